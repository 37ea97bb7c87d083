package agent

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/durable/durabletest"
)

// aloneWorld is the world of TestModel for a test that says itself what happens, and ends with endAlone.
func aloneWorld(t *testing.T, house *deployment, dir string, r *rand.Rand) *world {
	t.Helper()
	steps := durabletest.Watch(t, filepath.Join(dir, "near"))
	steps.Remember()
	return newWorld(t, house, filepath.Join(dir, "near"), steps, openFar(t, dir), r, map[string]int{})
}

// endAlone reports what the model did not agree with.
func (w *world) endAlone(format string, args ...any) {
	w.t.Helper()
	w.end()
	for _, s := range w.stores {
		s.Close()
	}
	if len(w.failures) > 0 {
		w.t.Fatalf("%s\n%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.trace, "\n"), strings.Join(w.failures, "\n"))
	}
}

// TestWithdrawalCutsAReading: nothing stays of a reading that was under way when its consent was withdrawn, not even where the
// counter stood: the steps until the next consent would be counted as that one's.
func TestWithdrawalCutsAReading(t *testing.T) {
	house := newDeployment(t)
	for _, first := range []bool{true, false} {
		dir := inMemory(t)
		synctest.Test(t, func(t *testing.T) {
			w := aloneWorld(t, house, dir, rand.New(rand.NewPCG(1, 1)))
			defer w.endAlone("the first reading: %v", first)
			w.grant("compare")
			if !first {
				w.read("compare")
			}
			w.withdrawInReading("compare")
			if w.counts["reading under way"] != 1 {
				t.Fatal("no reading was under way")
			}
			w.look("compare") // nobody looks, and somebody walks
			time.Sleep(40 * day)
			w.grant("compare")
			if n := w.look("compare"); n != 0 {
				w.failf("%d reports of what was walked before the consent", n)
			}
			if n := w.look("compare"); n != 1 {
				w.failf("%d reports of what was walked after it", n)
			}
			w.quiesce()
		})
	}
}
