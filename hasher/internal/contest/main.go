// Command contest runs slices of hashing work on request, so that a benchmark in
// another process can interleave contestants that cannot live in one: the standard
// library on its slower paths (GODEBUG is read at start) and the unkeyed kernels,
// which package hasher does not export.
//
// Each line on standard input names a contestant and a set of messages; the answer
// is a line for each of a few slices: the nanoseconds of a probe, of the slice, and
// of a probe again. A first line tells the names. It leaves filtering and
// statistics to bench.
package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	simd "github.com/minio/sha256-simd"

	"github.com/scruple-agent/scruple/hasher/internal/lanes"
)

const (
	sliceMessages = 4096
	sliceCount    = 80 // slices before the same messages come again
	probeMessages = 384
	warmUp        = 4 // probes until caches and clock are as usual
	burst         = 4 // slices per request
)

// pack is a slice's messages.
type pack struct {
	data []byte
	offs []uint32
}

func makePack(r *rand.Rand, n int, mix bool) pack {
	p := pack{data: make([]byte, 0, n*48), offs: []uint32{0}}
	for i := range n {
		if mix && i%2 == 1 {
			p.data = fmt.Appendf(p.data, "%s.%d@example.com", "person.of.invention"[:5+r.IntN(14)], i%1000)
		} else {
			p.data = fmt.Appendf(p.data, "+%d", 100_0000_0000+r.Int64N(99900_0000_0000))
		}
		p.offs = append(p.offs, uint32(len(p.data)))
	}
	return p
}

func main() {
	runtime.GOMAXPROCS(1)
	r := rand.New(rand.NewPCG(1, 1))
	sets := map[string][]pack{}
	for _, set := range []string{"mix", "phone"} {
		for range sliceCount {
			sets[set] = append(sets[set], makePack(r, sliceMessages, set == "mix"))
		}
	}
	dst := make([]byte, sliceMessages*sha256.Size)
	var key lanes.HMAC
	key.Init(make([]byte, 32))

	backends := lanes.Backends()
	all := map[string]func(p pack){}
	for _, be := range backends {
		all["hmac/"+be] = func(p pack) { key.Sum(dst, p.data, p.offs) }
		all["sum/"+be] = func(p pack) { lanes.Sum256(dst, p.data, p.offs) }
	}
	reuse := func(h func() hash.Hash) func(p pack) {
		m := hmac.New(h, make([]byte, 32))
		return func(p pack) {
			for i := range len(p.offs) - 1 {
				m.Reset()
				m.Write(p.data[p.offs[i]:p.offs[i+1]])
				m.Sum(dst[:32*i])
			}
		}
	}
	all["hmac/crypto"] = reuse(sha256.New)
	all["hmac/sha256-simd"] = reuse(simd.New)
	all["sum/crypto"] = func(p pack) {
		for i := range len(p.offs) - 1 {
			*(*[32]byte)(dst[32*i:]) = sha256.Sum256(p.data[p.offs[i]:p.offs[i+1]])
		}
	}
	all["sum/sha256-simd"] = func(p pack) {
		for i := range len(p.offs) - 1 {
			*(*[32]byte)(dst[32*i:]) = simd.Sum256(p.data[p.offs[i]:p.offs[i+1]])
		}
	}

	probePack := makePack(r, probeMessages, true)
	probe := func() time.Duration {
		_ = lanes.SetBackend(backends[0])
		start := time.Now()
		key.Sum(dst, probePack.data, probePack.offs)
		return time.Since(start)
	}

	names := []string{}
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Println(strings.Join(names, " "))
	next, out := 0, bufio.NewWriter(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		name, set, _ := strings.Cut(in.Text(), " ")
		run, packs := all[name], sets[set]
		if run == nil || packs == nil {
			fmt.Fprintf(os.Stderr, "contest: no contestant %q on %q\n", name, set)
			os.Exit(2)
		}
		before := probe()
		for range warmUp {
			before = probe()
		}
		for range burst {
			next = (next + 1) % sliceCount
			if _, be, _ := strings.Cut(name, "/"); slices.Contains(backends, be) {
				_ = lanes.SetBackend(be)
			}
			start := time.Now()
			run(packs[next])
			took := time.Since(start)
			after := probe()
			fmt.Fprintln(out, before.Nanoseconds(), took.Nanoseconds(), after.Nanoseconds())
			before = after
		}
		_ = out.Flush()
	}
}
