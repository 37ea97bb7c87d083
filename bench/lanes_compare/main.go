// Command lanes_compare measures the hasher beside what else there is, interleaved
// slice by slice, and prints the ratios that the hasher promises.
//
//	cd bench && go run ./lanes_compare [-runs 10] [-rounds 600] [-out results/lanes.txt]
//
// A shared machine is noisy, so a slice (4,096 messages) counts only if a probe
// just before and just after it ran within 4 % of its process's fastest. Each
// run gives the median of the slices that count; the ratios are between medians of
// the same run.
//
// hasher and hashtree run in this process. The standard library, sha256-simd and
// the unkeyed kernels run in a child (hasher/internal/contest), and again in one
// with GODEBUG=cpu.sha=off, where crypto/sha256 takes its AVX2 path.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/hasher"
)

const (
	sliceMessages = 4096
	probeMessages = 384
	sliceCount    = 80
	within        = 1.04 // of the best probe
	warmUp        = 4    // probes until caches and clock are as usual
	burst         = 4    // slices in a row, the same as in contest
)

var (
	runs   = flag.Int("runs", 10, "independent runs")
	rounds = flag.Int("rounds", 600, "slices of each contestant in a run")
	out    = flag.String("out", "", "file to write the report to as well")
)

// slice is one measurement: of the probes around it, the slower.
type slice struct{ probe, took time.Duration }

// contestant runs a burst of slices.
type contestant struct {
	name    string
	process int // whose probe it is: memory layout makes them differ by a few per cent
	run     func() ([burst]slice, error)
}

func main() {
	flag.Parse()
	var w io.Writer = os.Stdout
	report := new(bytes.Buffer)
	if *out != "" {
		w = io.MultiWriter(os.Stdout, report)
	}
	err := compare(w)
	if err == nil && *out != "" {
		err = os.WriteFile(*out, report.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lanes_compare:", err)
		os.Exit(1)
	}
}

func compare(w io.Writer) error {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	own, err := ours()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "contest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "contest")
	build := exec.Command("go", "build", "-o", bin, "./hasher/internal/contest")
	build.Dir, build.Stderr = "..", os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the contestants (run this in bench/): %w", err)
	}
	usual, stop, err := child(bin, "")
	if err != nil {
		return err
	}
	defer stop()
	slow, stop, err := child(bin, "cpu.sha=off")
	if err != nil {
		return err
	}
	defer stop()

	best := hasher.Backends()[0]
	all := own
	for _, name := range []string{"hmac/crypto mix", "hmac/sha256-simd mix", "sum/crypto mix", "sum/sha256-simd mix", "hmac/portable mix", "sum/" + best + " mix"} {
		all = append(all, contestant{name, 1, func() ([burst]slice, error) { return usual(name) }})
	}
	all = append(all, contestant{"cpu.sha=off hmac/crypto mix", 2, func() ([burst]slice, error) { return slow("hmac/crypto mix") }})

	fmt.Fprintf(w, "%s, %s/%s, backends %s; %d runs of %d slices of %d messages\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		strings.Join(hasher.Backends(), " "), *runs, *rounds, sliceMessages)
	medians := map[string][]float64{} // ns per message, by run
	kept := map[string]int{}
	disturbed := 0
	for run := 0; run < *runs; {
		fmt.Fprintf(os.Stderr, "\rrun %d of %d", run+1, *runs)
		err := oneRun(all, medians, kept)
		switch {
		case err == nil:
			run++
		case !errors.Is(err, errDisturbed) || disturbed == 3**runs:
			return err
		default: // the machine had other work: this run counts for nothing
			disturbed++
		}
	}
	fmt.Fprintln(os.Stderr)
	fmt.Fprintf(w, "\n%-34s %10s %10s %8s\n", "contestant", "M/s", "ns/message", "slices")
	for _, c := range all {
		m := median(medians[c.name])
		fmt.Fprintf(w, "%-34s %10.2f %10.2f %7.0f%%\n", c.name, 1e3/m, m, 100*float64(kept[c.name])/float64(*runs**rounds))
	}
	fmt.Fprintf(w, "\n%-58s %7s %7s %7s %6s\n", "ratio (median of runs)", "median", "least", "most", "bar")
	missed := 0
	for _, r := range []struct {
		fast, slow string
		bar        float64
	}{
		{"shani4 mix", "hmac/crypto mix", 5.2},
		{"shani4 mix", "hmac/sha256-simd mix", 4.7},
		{"shani4 mix", "hashtree", 1.05},
		{"shani2 mix", "hmac/crypto mix", 3.9},
		{"avx2x8 mix", "cpu.sha=off hmac/crypto mix", 4},
		{"sum/shani4 mix", "sum/crypto mix", 5.6},
		{"shani4 phone", "hmac/crypto mix", 0},
		{"avx512x16 mix", "hmac/crypto mix", 0},
	} {
		fast, slow := medians[r.fast], medians[r.slow]
		if len(fast) == 0 || len(slow) == 0 {
			fmt.Fprintf(w, "%-58s not here\n", r.fast+" : "+r.slow)
			continue
		}
		ratios := make([]float64, len(fast))
		for i := range fast {
			ratios[i] = slow[i] / fast[i]
		}
		verdict := ""
		if r.bar > 0 {
			verdict = fmt.Sprintf("%6.2f", r.bar)
			if median(ratios) < r.bar {
				verdict += " MISSED"
				missed++
			}
		}
		fmt.Fprintf(w, "%-58s %7.2f %7.2f %7.2f %s\n", r.fast+" : "+r.slow, median(ratios), slices.Min(ratios), slices.Max(ratios), verdict)
	}
	if missed > 0 {
		return fmt.Errorf("%d ratios below their bar", missed)
	}
	return nil
}

// errDisturbed says that a run had too few slices in which the machine did nothing else.
var errDisturbed = errors.New("too few slices ran undisturbed")

// oneRun adds one median per contestant.
func oneRun(all []contestant, medians map[string][]float64, kept map[string]int) error {
	slicesOf := make([][]slice, len(all))
	best := [3]time.Duration{time.Hour, time.Hour, time.Hour}
	for range *rounds / burst {
		for i, c := range all {
			got, err := c.run()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			for _, s := range got {
				best[c.process] = min(best[c.process], s.probe)
			}
			slicesOf[i] = append(slicesOf[i], got[:]...)
		}
	}
	quietOf := make([][]float64, len(all))
	for i, c := range all {
		limit := time.Duration(float64(best[c.process]) * within)
		for _, s := range slicesOf[i] {
			if s.probe <= limit {
				quietOf[i] = append(quietOf[i], float64(s.took.Nanoseconds())/sliceMessages)
			}
		}
		if n := len(quietOf[i]); n < 5 {
			return fmt.Errorf("%s: %w: %d of %d; try again with more -rounds", c.name, errDisturbed, n, *rounds)
		}
	}
	for i, c := range all {
		kept[c.name] += len(quietOf[i])
		medians[c.name] = append(medians[c.name], median(quietOf[i]))
	}
	return nil
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// ours are the backends through the exported API, and hashtree's binding, which
// compresses as often: two blocks for a chunk of 64 bytes.
func ours() ([]contestant, error) {
	key, err := hasher.NewKey(make([]byte, hasher.EpochKeySize), hasher.Phone, 1)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(1, 1))
	dst := make([]byte, 0, sliceMessages*hasher.DigestSize)
	quick := hasher.Backends()[0]
	probeBatch := book(r, probeMessages, true)
	probe := func() time.Duration {
		_ = hasher.SetBackend(quick)
		start := time.Now()
		dst = key.AppendDigests(dst[:0], probeBatch)
		return time.Since(start)
	}
	var list []contestant
	add := func(name string, prepare, run func()) {
		list = append(list, contestant{name, 0, func() (got [burst]slice, err error) {
			before := probe()
			for range warmUp {
				before = probe()
			}
			for i := range got {
				prepare()
				start := time.Now()
				run()
				took := time.Since(start)
				after := probe()
				got[i] = slice{max(before, after), took}
				before = after
			}
			return got, nil
		}})
	}
	for _, set := range []string{"mix", "phone"} {
		var batches []*hasher.Batch
		for range sliceCount {
			batches = append(batches, book(r, sliceMessages, set == "mix"))
		}
		for _, backend := range hasher.Backends() {
			next := 0
			add(backend+" "+set, func() { _ = hasher.SetBackend(backend) }, func() {
				next = (next + 1) % sliceCount
				dst = key.AppendDigests(dst[:0], batches[next])
			})
		}
	}
	if hashTree == nil {
		fmt.Fprintln(os.Stderr, "MISSING: cgo, without which hashtree has no assembly to compare with")
		return list, nil
	}
	const trees = 25
	chunks := make([]byte, trees*sliceMessages*64)
	for i := range chunks {
		chunks[i] = byte(r.Uint32())
	}
	digests := make([]byte, sliceMessages*32)
	next := 0
	add("hashtree", func() {}, func() {
		next = (next + 1) % trees
		if err := hashTree(digests, chunks[next*sliceMessages*64:][:sliceMessages*64]); err != nil {
			panic(err)
		}
	})
	return list, nil
}

// book makes invented identifiers: phone numbers, and in the mix as many e-mail
// addresses, 20 bytes on average.
func book(r *rand.Rand, n int, mix bool) *hasher.Batch {
	b := new(hasher.Batch)
	b.Grow(n, 48*n)
	for i := range n {
		err := b.AppendFunc(func(dst []byte) ([]byte, error) {
			if mix && i%2 == 1 {
				return fmt.Appendf(dst, "%s.%d@example.com", "person.of.invention"[:5+r.IntN(14)], i%1000), nil
			}
			return fmt.Appendf(dst, "+%d", 100_0000_0000+r.Int64N(99900_0000_0000)), nil
		})
		if err != nil {
			panic(err)
		}
	}
	return b
}

// child starts the contestants of another process.
func child(bin, godebug string) (run func(string) ([burst]slice, error), stop func(), err error) {
	cmd := exec.Command(bin)
	cmd.Env = append(os.Environ(), "GODEBUG="+godebug, "GOGC=off")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	answers := bufio.NewReader(pipe)
	if _, err := answers.ReadString('\n'); err != nil {
		return nil, nil, fmt.Errorf("contestants' names: %w", err)
	}
	run = func(name string) (got [burst]slice, err error) {
		if _, err := fmt.Fprintln(in, name); err != nil {
			return got, err
		}
		for i := range got {
			var before, took, after int64
			if _, err := fmt.Fscanln(answers, &before, &took, &after); err != nil {
				return got, err
			}
			got[i] = slice{time.Duration(max(before, after)), time.Duration(took)}
		}
		return got, nil
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	return run, stop, nil
}
