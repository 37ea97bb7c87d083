package pedometer_test

import (
	"fmt"
	"testing"

	"github.com/scruple-agent/scruple/sensors/steps/pedometer"
)

func BenchmarkAdd(b *testing.B) {
	for _, hz := range []float64{12.5, 25, 50, 100, 400} {
		b.Run(fmt.Sprintf("hz=%v", hz), func(b *testing.B) {
			var c pedometer.Counter
			walk := newWalker(hz, 1.9, 1)
			samples := make([]sample, 60*int(hz))
			for i := range samples {
				samples[i] = walk.next()
			}
			length := samples[len(samples)-1].t + int64(1e9/hz)
			var at int64
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i == len(samples) {
					i, at = 0, at+length
				}
				s := &samples[i]
				if err := c.Add(at+s.t, s.x, s.y, s.z); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	text := []byte(csvOf(newWalker(100, 1.9, 1), 60))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var c pedometer.Counter
		if err := pedometer.Read(newReader(text), &c); err != nil {
			b.Fatal(err)
		}
	}
}
