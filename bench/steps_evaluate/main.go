// Command steps_evaluate counts the steps of recorded walks with package pedometer, beside plain windowed peak
// detection, and prints the table: true steps, counted, error, baseline, per recording, and the means by kind.
//
//	cd bench && go run ./steps_evaluate [-data FOLDER] [-split]
//
// The recordings are steps/oxford (phones, true steps in stats.csv) and steps/sensorwatch (a watch; half of them are
// no walks) below FOLDER, $SCRUPLE_DATA, or ../shared/data beside the repository. With -split it also prints what
// each walker and each watch recording contributes.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/sensors/steps/pedometer"
)

// recording is one file.
type recording struct {
	name, group string // group: phone, watch walk, no walk
	walker      string
	backPocket  bool
	truth       int
	counted     int
	baseline    int
	seconds     float64
}

func main() {
	log.SetFlags(0)
	data := flag.String("data", os.Getenv("SCRUPLE_DATA"), "folder that has steps/oxford and steps/sensorwatch")
	split := flag.Bool("split", false, "also by walker")
	flag.Parse()
	if *data == "" {
		*data = filepath.Join("..", "..", "shared", "data")
	}
	list, err := load(filepath.Join(*data, "steps"))
	if err != nil {
		log.Fatal(err)
	}
	if len(list) == 0 {
		fmt.Println("MISSING: recordings of walks (-data or SCRUPLE_DATA)")
		return
	}
	table(list, *split)
	fmt.Println()
	speed()
}

func load(folder string) ([]recording, error) {
	var list []recording
	truth, err := readTruth(filepath.Join(folder, "oxford", "stats.csv"))
	if err != nil {
		return nil, err
	}
	phones, _ := filepath.Glob(filepath.Join(folder, "oxford", "*.csv*"))
	for _, name := range phones {
		base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".gz"), ".csv")
		steps, ok := truth[base]
		if !ok {
			continue
		}
		r := recording{name: base, group: "phone", truth: steps, backPocket: strings.Contains(strings.ToLower(base), "backpocket")}
		if parts := strings.Split(base, "_"); len(parts) > 1 {
			r.walker = parts[1]
		}
		if err := r.count(name); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	watches, _ := filepath.Glob(filepath.Join(folder, "sensorwatch", "*.csv"))
	for _, name := range watches {
		base := strings.TrimSuffix(filepath.Base(name), ".csv")
		r := recording{name: base, group: "no walk", walker: base}
		if strings.Contains(base, "walking") {
			r.group = "watch walk"
		}
		if r.truth, err = watchTruth(name); err != nil {
			return nil, err
		}
		if err := r.count(name); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// readTruth reads the true steps by recording; none when there is no such file.
func readTruth(name string) (map[string]int, error) {
	truth := map[string]int{}
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return truth, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if n, err := strconv.Atoi(strings.TrimSpace(fields[len(fields)-1])); err == nil {
			truth[strings.TrimSpace(fields[0])] = n
		}
	}
	return truth, nil
}

// watchTruth reads the true steps in the first row of a watch recording, column Steps.
func watchTruth(name string) (int, error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	in := csv.NewReader(file)
	header, err := in.Read()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	row, err := in.Read()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	for i, column := range header {
		if column == "Steps" {
			return strconv.Atoi(row[i])
		}
	}
	return 0, fmt.Errorf("%s: no column Steps", name)
}

// count fills in what the pedometer and the baseline count.
func (r *recording) count(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if b, err = io.ReadAll(z); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var c pedometer.Counter
	if err := pedometer.Read(bytes.NewReader(b), &c); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.counted, r.seconds = int(c.Steps()), c.Stats().Duration.Seconds()
	t, m, err := magnitudes(b)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.baseline = windowedPeaks(t, m)
	return nil
}

func (r *recording) err() float64 {
	return math.Abs(float64(r.counted-r.truth)) / float64(max(r.truth, 1)) * 100
}

func (r *recording) baseErr() float64 {
	return math.Abs(float64(r.baseline-r.truth)) / float64(max(r.truth, 1)) * 100
}

func table(list []recording, split bool) {
	fmt.Printf("%-36s %-10s %7s %5s %8s %8s %9s %8s\n", "recording", "kind", "seconds", "true", "counted", "error %", "baseline", "error %")
	for _, r := range list {
		if r.group == "no walk" {
			fmt.Printf("%-36s %-10s %7.0f %5d %8d %8s %9d\n", r.name, r.group, r.seconds, r.truth, r.counted, "", r.baseline)
			continue
		}
		fmt.Printf("%-36s %-10s %7.0f %5d %8d %+8.1f %9d %+8.1f\n", r.name, r.group, r.seconds, r.truth, r.counted,
			100*float64(r.counted-r.truth)/float64(r.truth), r.baseline, 100*float64(r.baseline-r.truth)/float64(r.truth))
	}
	fmt.Println()
	for _, w := range wanted {
		if ours, theirs, n := meanError(list, w.in); n > 0 {
			fmt.Printf("mean error, %-24s %3d recordings: %5.2f %%  (wanted: at most %v %%; baseline %.2f %%)\n", w.what, n, ours, w.most, theirs)
		}
	}
	if ours, theirs, seconds := withoutWalk(list); ours+theirs > 0 {
		fmt.Printf("without a walk: %d steps in %.1f minutes, baseline %d: %.1f times fewer (wanted: at least %d)\n",
			ours, seconds/60, theirs, float64(theirs)/float64(max(ours, 1)), fewer)
	}
	if !split {
		return
	}
	fmt.Println()
	var walkers []string
	for _, r := range list {
		if r.group == "phone" && !slices.Contains(walkers, r.walker) {
			walkers = append(walkers, r.walker)
		}
	}
	for _, name := range walkers {
		ours, theirs, n := meanError(list, func(r recording) bool { return r.group == "phone" && r.walker == name })
		fmt.Printf("mean error, phone walks of %-9s %3d recordings: %5.2f %%  (baseline %.2f %%)\n", name, n, ours, theirs)
	}
}

// wanted are the most mean errors in per cent.
var wanted = []struct {
	what string
	most float64
	in   func(recording) bool
}{
	{"phone walks", 3, func(r recording) bool { return r.group == "phone" }},
	{"of them in a back pocket", 8, func(r recording) bool { return r.group == "phone" && r.backPocket }},
	{"watch walks", 17, func(r recording) bool { return r.group == "watch walk" }},
}

// fewer is how many times fewer steps than the baseline are to be counted where nobody walks.
const fewer = 5

// meanError returns the mean errors in per cent, ours and the baseline's, and of how many recordings.
func meanError(list []recording, in func(recording) bool) (ours, theirs float64, n int) {
	for _, r := range list {
		if in(r) {
			ours, theirs, n = ours+r.err(), theirs+r.baseErr(), n+1
		}
	}
	return ours / float64(max(n, 1)), theirs / float64(max(n, 1)), n
}

// withoutWalk returns the steps counted where nobody walks.
func withoutWalk(list []recording) (ours, theirs int, seconds float64) {
	for _, r := range list {
		if r.group == "no walk" {
			ours, theirs, seconds = ours+r.counted, theirs+r.baseline, seconds+r.seconds
		}
	}
	return ours, theirs, seconds
}

// wave is a walk of 1.9 steps a second in m/s2.
func wave(seconds float64) float64 {
	p := 2 * math.Pi * 1.9 * seconds
	return 9.81 + 2.5*math.Sin(p) + 0.6*math.Sin(2*p+1)
}

// speed prints what a sample costs: the fastest of some rounds, since other work on the machine only adds.
func speed() {
	for _, hz := range []float64{12.5, 25, 50, 100, 400} {
		const seconds = 200
		n := int(seconds * hz)
		m := make([]float64, n)
		for i := range m {
			m[i] = wave(float64(i)/hz) + 0.3*math.Sin(float64(i)*12.9898)
		}
		var c pedometer.Counter
		best := time.Duration(math.MaxInt64)
		var at int64
		for range 200 {
			start := time.Now()
			for i := range m {
				at += int64(1e9 / hz)
				_ = c.Add(at, 0.6*m[i], 0.8*m[i], 0)
			}
			best = min(best, time.Since(start))
		}
		fmt.Printf("at %5.1f Hz: %5.1f ns a sample\n", hz, float64(best.Nanoseconds())/float64(n))
	}
}
