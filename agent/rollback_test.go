package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// The state folder is copied, the person withdraws, the copy is put back: as soon as the receiver is asked, before any
// byte of lane B leaves, every consent is invalidated, which status says, and its data is gone. The person can agree anew.
func TestStateFolderPutBack(t *testing.T) {
	t.Parallel()
	const tuple, other = "device/service", "steps/compare"
	h := newHouse(t, receivertest.Options{})
	h.give(other)
	id := h.known(tuple)
	h.stop()
	before := filepath.Join(h.dir, "copy")
	if err := os.CopyFS(before, os.DirFS(filepath.Join(h.dir, "state"))); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.must("consent", "withdraw", tuple)
	h.introduced()
	h.stop()
	restore(t, before, filepath.Join(h.dir, "state"))
	h.start()
	if row := h.tuple(tuple); row.Status != control.StatusGiven || row.Spool.Reports == 0 {
		t.Fatalf("the copy was not put back: %+v", row)
	}

	if _, err := h.client.Flush(t.Context(), tuple); err == nil || !strings.Contains(err.Error(), "older state") {
		t.Errorf("send: %v", err)
	}
	for range 2 {
		for _, name := range []string{tuple, other} {
			row := h.tuple(name)
			if row.Status != control.StatusInvalidated || row.Collecting || row.Reason != control.ReasonInvalidated ||
				!strings.Contains(row.Detail, "older state") || row.Spool.Reports != 0 {
				t.Errorf("%s: %+v", name, row)
			}
			if _, err := h.client.Collect(t.Context(), name); err == nil {
				t.Errorf("%s is collected", name)
			}
		}
		h.kill()
		h.start()
	}
	if n := h.far.Faults.Seen("PUT /v1/batches/"); n != 0 {
		t.Errorf("%d batches left the device", n)
	}
	h.introduced() // both controllers' ends have been confirmed
	for _, l := range h.far.Holdings(t) {
		if l.Status != receiver.StatusWithdrawn || l.Batches != 0 {
			t.Errorf("the receiver holds %+v", l)
		}
	}
	h.must("ledger", "verify")
	if fresh := h.give(tuple); fresh == id {
		t.Error("the consent that was withdrawn is back")
	}
	h.collected(tuple)
	h.send(tuple)
	h.stop()
}
