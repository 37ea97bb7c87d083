package agent_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// TestManyCommandsAtOnce: a hundred command lines at once agree to two purposes, refuse them, take them back with and without clearing, and look,
// while a second daemon tries the same folder. Each is answered as if it had been alone; afterwards the ledger is in order, the last word
// counts, at both ends, and of all consents that were given in between none is in force anywhere.
func TestManyCommandsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	h.steps(1337)
	tuples := []string{"device/service", "steps/compare"}
	hash := map[string]string{}
	for _, tuple := range tuples {
		n, err := h.client.Show(t.Context(), tuple, "en")
		if err != nil {
			t.Fatal(err)
		}
		hash[tuple] = n.SHA256
	}
	type said struct {
		line, out string
		code      int
	}
	var (
		group   sync.WaitGroup
		mu      sync.Mutex
		answers []said
	)
	for i := range 100 {
		tuple := tuples[i%2]
		line := [][]string{
			{"consent", "give", tuple, "--accept", hash[tuple]},
			{"consent", "withdraw", tuple},
			{"consent", "give", tuple, "--accept", hash[tuple]},
			{"consent", "withdraw", tuple, "--clear"},
			{"consent", "refuse", tuple},
			{"status"},
			{"ledger", "verify"},
			{"data", "erase", tuple, "--yes"},
		}[i/2%8]
		group.Go(func() {
			out, code := h.command(line...)
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, said{strings.Join(line, " "), out, code})
		})
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, "run", "--config", filepath.Join(h.dir, "scruple.yaml")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another process") {
		t.Errorf("a second daemon on the same folder: %v: %s", err, out)
	}
	group.Wait()
	for _, a := range answers {
		refusal := a.code == control.ExitRefused && (strings.Contains(a.line, "give") || strings.Contains(a.line, "refuse") || strings.Contains(a.line, "erase"))
		nothing := a.code == control.ExitFailed && strings.Contains(a.line, "erase")
		if a.code != control.ExitDone && !refusal && !nothing || strings.Contains(a.out, "goroutine ") {
			t.Errorf("%s: exit code %d\n%s", a.line, a.code, a.out)
		}
	}
	for _, tuple := range tuples {
		h.must("consent", "withdraw", tuple, "--clear")
		if row := h.tuple(tuple); row.Status == control.StatusGiven || row.Spool.Reports != 0 {
			t.Errorf("%s: %q with %d reports", tuple, row.Status, row.Spool.Reports)
		}
	}
	h.must("ledger", "verify")
	h.introduced()
	given := h.give(tuples[0])
	h.introduced()
	for _, held := range h.far.Holdings(t) {
		want := receiver.StatusWithdrawn
		if held.Consent.String() == given {
			want = receiver.StatusGiven
		}
		if held.Status != want || held.Batches != 0 {
			t.Errorf("the receiver holds %+v, want %s", held, want)
		}
	}
}
