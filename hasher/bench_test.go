package hasher

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"

	simd "github.com/minio/sha256-simd"
)

// book makes a batch of invented identifiers: phone numbers of 12 to 14 bytes,
// and in the mix as many e-mail addresses, 20 bytes on average.
func book(tb testing.TB, n int, mix bool) (*Batch, [][]byte) {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	b := new(Batch)
	var ids [][]byte
	for i := range n {
		id := fmt.Appendf(nil, "+%d", 100_0000_0000+r.Int64N(900_0000_0000))
		id = fmt.Appendf(id, "%d", r.IntN(100))[:12+r.IntN(2)]
		if mix && i%2 == 1 {
			id = fmt.Appendf(nil, "%s.%d@example.com", "person.of.invention"[:5+r.IntN(14)], i%1000)
		}
		if err := b.Append(id); err != nil {
			tb.Fatal(err)
		}
		ids = append(ids, id)
	}
	return b, ids
}

// BenchmarkDigests shows every backend of this CPU beside crypto/hmac and
// sha256-simd under it, both reused by Reset. Large batches take as many cores as
// -cpu gives; the peers take one.
func BenchmarkDigests(b *testing.B) {
	auto := Backend()
	defer func() { _ = SetBackend(auto) }()
	key := make([]byte, 32)
	for _, n := range []int{64, 65536} {
		for _, set := range []string{"mix", "phone"} {
			batch, ids := book(b, n, set == "mix")
			k := testKey(b, Phone)
			dst := make([]byte, 0, n*DigestSize)
			name := fmt.Sprintf("n=%d/%s/impl=", n, set)
			report := func(b *testing.B) {
				b.ReportAllocs()
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "digests/s")
			}
			for _, backend := range Backends() {
				b.Run(name+backend, func(b *testing.B) {
					if err := SetBackend(backend); err != nil {
						b.Fatal(err)
					}
					for b.Loop() {
						dst = k.AppendDigests(dst[:0], batch)
					}
					report(b)
				})
			}
			for _, peer := range []struct {
				name string
				mac  func() (sum func(dst, id []byte) []byte)
			}{
				{"crypto-hmac", func() func(dst, id []byte) []byte {
					m := hmac.New(sha256.New, key)
					return func(dst, id []byte) []byte { m.Reset(); m.Write(id); return m.Sum(dst) }
				}},
				{"sha256-simd-hmac", func() func(dst, id []byte) []byte {
					m := hmac.New(simd.New, key)
					return func(dst, id []byte) []byte { m.Reset(); m.Write(id); return m.Sum(dst) }
				}},
			} {
				b.Run(name+peer.name, func(b *testing.B) {
					sum := peer.mac()
					var out [32]byte
					for b.Loop() {
						for i, id := range ids {
							copy(dst[:cap(dst)][i*DigestSize:], sum(out[:0], id)[:DigestSize])
						}
					}
					report(b)
				})
			}
		}
	}
}

func BenchmarkSortDedupe(b *testing.B) {
	for _, n := range []int{1000, 300_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			src, d := make([]byte, n*DigestSize), make([]byte, n*DigestSize)
			for i := range src {
				src[i] = byte(r.Uint32())
			}
			for b.Loop() {
				copy(d, src)
				SortDedupe(d)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/digest")
		})
	}
}

func BenchmarkPad(b *testing.B) {
	const n = 200_000
	r := rand.New(rand.NewPCG(1, 1))
	set := make([]byte, n*DigestSize)
	for i := range set {
		set[i] = byte(r.Uint32())
	}
	set = SortDedupe(set)
	for b.Loop() {
		Pad(set, set[:32])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/digest")
}
