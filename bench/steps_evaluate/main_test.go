package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRecordings holds the counting to what is wanted of it.
func TestRecordings(t *testing.T) {
	data := os.Getenv("SCRUPLE_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "..", "shared", "data")
	}
	list, err := load(filepath.Join(data, "steps"))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Skip("MISSING: recordings of walks (SCRUPLE_DATA)")
	}
	for _, w := range wanted {
		if got, _, n := meanError(list, w.in); n > 0 && got > w.most {
			t.Errorf("%s: mean error %.2f %%, want at most %v", w.what, got, w.most)
		}
	}
	if ours, theirs, _ := withoutWalk(list); ours*fewer > theirs {
		t.Errorf("%d steps where nobody walks, more than a fifth of the baseline's %d", ours, theirs)
	}
}

// TestBaseline counts a plain wave, so that the comparison is fair.
func TestBaseline(t *testing.T) {
	var at, m []float64
	for i := range 60 * 50 {
		at, m = append(at, float64(i)/50), append(m, wave(float64(i)/50))
	}
	if got := windowedPeaks(at, m); got < 112 || got > 116 {
		t.Errorf("the baseline counts %d steps of 114", got)
	}
}
