// Package measure has what the comparisons share: processor time, medians, and
// the header of a result.
//
// It counts processor time rather than wall time, because the machines that
// comparisons run on are shared.
package measure

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/klauspost/cpuid/v2"
)

// started is what wall times count from.
var started = time.Now()

// Header writes what the figures below it depend on. It holds no date, so that
// a result that stays the same makes no difference in the repository.
func Header(w io.Writer) {
	fmt.Fprintf(w, "%s, %s/%s, %s, one core\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, cpuid.CPU.BrandName)
}

// Median returns the median, 0 of nothing.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// CPU returns the processor time that f takes, garbage collection included.
func CPU(f func()) time.Duration {
	start := cpuTime()
	f()
	return cpuTime() - start
}

// Ratios returns a[i]/b[i].
func Ratios(a, b []float64) []float64 {
	r := make([]float64, min(len(a), len(b)))
	for i := range r {
		r[i] = a[i] / b[i]
	}
	return r
}

// Verdict writes a line with the median of v, the least and the most, each as
// format has it, and whether the bar is kept. atMost says that the median is to be the
// bar at most; otherwise it is to be that at least.
func Verdict(w io.Writer, name string, v []float64, format string, bar float64, atMost bool) {
	m := Median(v)
	least, most := m, m
	for _, x := range v {
		least, most = min(least, x), max(most, x)
	}
	sign, word := ">=", "kept"
	if atMost {
		sign = "<="
	}
	if atMost && m > bar || !atMost && m < bar {
		word = "MISSED"
	}
	f := func(x float64) string { return fmt.Sprintf(format, x) }
	fmt.Fprintf(w, "%-28s %10s (%s to %s), bar %s %g: %s\n", name, f(m), f(least), f(most), sign, bar, word)
}
