package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// TestFullDiskOfTheDaemon: the built daemon on a small file system that is filled to the last byte. Nothing more is agreed to or stored, and that is said;
// what was agreed to can be taken back and erased all the same, which holds after a kill and reaches the controller.
func TestFullDiskOfTheDaemon(t *testing.T) {
	h := newHouse(t, receivertest.Options{})
	h.steps(1337)
	h.stop()
	state := filepath.Join(h.dir, "state")
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		t.Skipf("MISSING: the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		h.stop()
		if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	h.start()
	cleared, plain := h.give("device/service"), h.give("steps/compare")
	h.collected("device/service")
	h.introduced()

	filler, err := os.Create(filepath.Join(state, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for size := 64 << 10; size > 0; {
		if _, err := filler.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	filler.Close()
	out, code := "", control.ExitDone
	for range 50 { // what is left of the file's last page is filled first
		if out, code = h.command("data", "collect", "device/service"); code != control.ExitDone {
			break
		}
	}
	if code != control.ExitFailed || !strings.Contains(out, "no space left") {
		t.Errorf("stored on a full disk: %d\n%s", code, out)
	}
	n, err := h.client.Show(t.Context(), "accelerometer/gravity", "en")
	if err == nil {
		_, err = h.client.Give(t.Context(), "accelerometer/gravity", "en", n.SHA256)
	}
	if err == nil {
		t.Error("agreed to on a full disk")
	}
	h.must("status")
	h.must("consent", "withdraw", "device/service", "--clear")
	h.must("consent", "withdraw", "steps/compare")
	for _, again := range []bool{false, true} {
		if again {
			h.kill()
			h.start()
		}
		for _, tuple := range []string{"device/service", "steps/compare"} {
			if row := h.tuple(tuple); row.Status != control.StatusWithdrawn || row.Collecting || row.Spool.Reports != 0 {
				t.Errorf("%s, killed %v: %q, %d reports", tuple, again, row.Status, row.Spool.Reports)
			}
		}
		if got := h.status().Unfinished; len(got) != 0 {
			t.Errorf("killed %v: unfinished %+v", again, got)
		}
	}
	for _, id := range []string{cleared, plain} {
		eventually(t, "the controller is told", func() bool {
			held, ok := h.holding(id)
			return ok && held.Status == receiver.StatusWithdrawn
		})
	}
	if err := os.Remove(filepath.Join(state, "filler")); err != nil {
		t.Fatal(err)
	}
	h.kill()
	h.start()
	h.introduced()
	h.must("ledger", "verify")
	h.give("device/service")
	h.collected("device/service")
}
