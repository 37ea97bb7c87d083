//go:build unix

package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// TestHangup: the built daemon reads its policy again at SIGHUP. A narrower version goes on, a wider one stops what it loosens; an older one, one
// that nobody signed, one that another key signed, a damaged one and none at all change nothing, and the status says why until the files are in order.
func TestHangup(t *testing.T) {
	t.Parallel()
	const tuple, other = "device/service", "steps/compare"
	h := newHouse(t, receivertest.Options{})
	h.steps(1337)
	consent := h.give(tuple)
	kept := h.give(other)
	h.collected(tuple)
	version := func(n, controller string) []byte {
		return edited(t, h.far.YAML, "\nversion: 1\n", "\nversion: "+n+"\n", deviceRules, strings.Replace(deviceRules, "180d", controller, 1))
	}
	hangup := func() {
		t.Helper()
		if err := h.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	goesOn := func(what, id string, version int) {
		t.Helper()
		for name, want := range map[string]string{tuple: id, other: kept} {
			if row := h.tuple(name); row.Status != control.StatusGiven || row.Consent != want || !row.Collecting {
				t.Errorf("%s: %s: status %q, collecting %v, reason %q", what, name, row.Status, row.Collecting, row.Reason)
			}
		}
		if _, err := h.client.Collect(t.Context(), tuple); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := h.status().Policy.Version; got != version {
			t.Errorf("%s: version %d, want %d", what, got, version)
		}
	}
	inForce := func(n int) {
		t.Helper()
		eventually(t, "the version is in force", func() bool { s := h.status(); return s.Policy.Version == n && s.PolicyRefused == "" })
	}

	h.write("note", h.resign(version("2", "90d")))
	hangup()
	inForce(2)
	goesOn("narrower", consent, 2)

	h.write("note", h.resign(version("3", "360d")))
	hangup()
	inForce(3)
	if row := h.tuple(tuple); row.Collecting || row.Reason != control.ReasonPolicyChanged || !strings.Contains(h.must("status"), "version 3") {
		t.Errorf("wider: collecting %v, reason %q", row.Collecting, row.Reason)
	}
	h.refused(control.ExitRefused, tuple, "data", "collect", tuple)
	h.refused(control.ExitRefused, tuple, "egress", "send", tuple)
	if row := h.tuple(other); !row.Collecting || row.Consent != kept {
		t.Errorf("wider elsewhere: %+v", row)
	}
	consent = h.give(tuple)
	goesOn("agreed to", consent, 3)

	foreign := newDeployer(t).sign(t, string(version("4", "90d")))
	damaged := h.resign(version("4", "90d"))
	damaged[len(damaged)/2] ^= 1
	for _, bad := range []struct {
		name string
		note []byte
		says string
	}{
		{"rolled back", h.resign(version("2", "90d")), "put the later version back"},
		{"changed under the same version", h.resign(version("3", "720d")), "without a later version"},
		{"unsigned", version("4", "90d"), "not signed"},
		{"of another key", foreign, "not signed by the pinned key"},
		{"damaged", damaged, "signature"},
		{"empty", nil, ""},
		{"nothing of the kind", []byte("hello"), ""},
	} {
		h.write("note", bad.note)
		hangup()
		eventually(t, bad.name+" is refused", func() bool {
			why := h.status().PolicyRefused
			return why != "" && strings.Contains(why, bad.says)
		})
		goesOn(bad.name, consent, 3)
		out := h.must("status")
		if !strings.Contains(out, "not taken over; version 3 stays in force") || !strings.Contains(out, bad.says) {
			t.Errorf("%s: the status does not say so:\n%s", bad.name, out)
		}
		if out := h.must("status", "--lang", "zh-CN"); !strings.Contains(out, "未被采用，第 3 版继续有效") {
			t.Errorf("%s: nor in Chinese:\n%s", bad.name, out)
		}
		h.write("note", h.resign(version("3", "360d")))
		hangup()
		inForce(3)
	}
	if err := os.Remove(filepath.Join(h.dir, "note")); err != nil {
		t.Fatal(err)
	}
	hangup()
	eventually(t, "a missing file is refused", func() bool { return h.status().PolicyRefused != "" })
	goesOn("missing", consent, 3)

	// What was refused while running is refused at a start as well.
	h.write("note", h.resign(version("2", "90d")))
	h.stop()
	if err := h.try(); err == nil || !strings.Contains(err.Error(), "put the later version back") {
		t.Errorf("a start with an older version: %v", err)
	}
	h.write("note", h.resign(version("3", "360d")))
	h.start()
	goesOn("after a start", consent, 3)
}
