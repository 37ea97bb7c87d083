package lanes

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
)

// BenchmarkLengths shows how each backend takes to messages of one length: the
// class with folded constants, one block, and the scheduler of several blocks.
func BenchmarkLengths(b *testing.B) {
	const n = 4096
	for _, length := range []int{13, 40, 100, 1000} {
		messages := make([][]byte, n)
		for i := range messages {
			messages[i] = bytes.Repeat([]byte{byte(i)}, length)
		}
		data, offs := pack(messages, overread)
		dst := make([]byte, n*sha256.Size)
		for _, be := range available() {
			for _, kind := range []struct {
				name string
				size int
			}{{"hmac", Size}, {"sha256", sha256.Size}} {
				b.Run(fmt.Sprintf("%s/%d/impl=%s", kind.name, length, be.name), func(b *testing.B) {
					for b.Loop() {
						plain.sum(be, kind.size, dst, data, offs)
					}
					b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "digests/s")
				})
			}
		}
	}
}
