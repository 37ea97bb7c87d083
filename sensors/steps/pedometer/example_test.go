package pedometer_test

import (
	"fmt"
	"math"

	"github.com/scruple-agent/scruple/sensors/steps/pedometer"
)

// A minute of walking in place, 2 steps a second, read at 50 Hz.
func ExampleCounter() {
	var c pedometer.Counter
	for i := range 60*50 + 1 {
		seconds := float64(i) / 50
		up := 9.81 + 2*math.Sin(2*math.Pi*2*seconds)
		if err := c.Add(int64(i)*20_000_000, 0, 0, up); err != nil {
			fmt.Println(err)
		}
	}
	c.Flush()
	fmt.Println(c.Steps(), "steps in", c.Stats().Duration)
	// Output: 120 steps in 1m0s
}
