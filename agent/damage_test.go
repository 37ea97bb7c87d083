package agent_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// ruin is the built daemon with two accounts, one of which has somebody at the other end, and its state folder to be damaged.
type ruin struct {
	*house
	consent string
	good    string // a copy of the whole folder
	state   string
	older   []byte // the messenger's ledger before its last record
}

func newRuin(t *testing.T) *ruin {
	t.Helper()
	r := &ruin{house: newHouse(t, receivertest.Options{})}
	r.state, r.good = filepath.Join(r.dir, "state"), filepath.Join(r.dir, "good")
	r.consent = r.give("device/service")
	r.collected("device/service")
	r.give("bank-card/binding")
	r.waiting(1) // for the bank, where nobody is
	r.older = read(t, r.state, "ledger", "messenger-1.ledger")
	r.must("consent", "refuse", "location/nearby")
	r.stop()
	r.copied(r.state, r.good)
	return r
}

// copied puts a copy of a folder in the place of another.
func (r *ruin) copied(from, to string) {
	r.t.Helper()
	if err := os.RemoveAll(to); err != nil {
		r.t.Fatal(err)
	}
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		place := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case e.IsDir():
			return os.Mkdir(place, 0o700)
		case e.Type().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(place, b, 0o600)
		}
		return nil // a socket
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// frames returns where each record of a ledger's file begins, and its end.
func frames(file []byte) (starts []int) {
	at := bytes.IndexByte(file, '\n') + 1
	for at < len(file) {
		starts = append(starts, at)
		at += 8 + (int(file[at]) | int(file[at+1])<<8 | int(file[at+2])<<16)
	}
	return append(starts, at)
}

// TestDamagedLedgers: the built daemon with a ledger that is damaged in each way. Its consents do not count, status and ledger say so in both
// languages, with what to do, and the damaged file stays; the other account goes on. The way that is shown leads out: the controller is told, and
// what is agreed to anew counts. What a crash explains, or what can be put right without a doubt, is put right and nothing is lost.
func TestDamagedLedgers(t *testing.T) {
	t.Parallel()
	r := newRuin(t)
	whole := read(t, r.state, "ledger", "messenger-1.ledger")
	other := read(t, r.state, "ledger", "payments-1.ledger")
	at := frames(whole)
	file := filepath.Join(r.state, "ledger", "messenger-1.ledger")
	flip := func(i int) []byte { b := bytes.Clone(whole); b[i] ^= 1; return b }
	for _, kind := range []struct {
		name   string
		put    []byte // nil: make does it
		make   func() error
		intact bool // nothing is lost
	}{
		{name: "cut in the middle of a record", put: whole[:at[1]+20]},
		{name: "cut in the first line", put: whole[:at[0]/2]},
		{name: "a byte of a leaf", put: flip(at[1] + 9)},
		{name: "a byte of a sealed body", put: flip(at[1] + 70)},
		{name: "a byte of the first line, which is signed for by the key ring", put: flip(20)},
		{name: "records exchanged", put: bytes.Join([][]byte{whole[:at[0]], whole[at[1]:at[2]], whole[at[0]:at[1]], whole[at[2]:]}, nil)},
		{name: "a record twice", put: append(bytes.Clone(whole), whole[at[len(at)-2]:]...)},
		{name: "the last two records removed", put: whole[:at[len(at)-3]]},
		{name: "an old copy of the file", put: r.older[:frames(r.older)[1]]},
		{name: "empty", put: []byte{}},
		{name: "missing", make: func() error { return os.Remove(file) }},
		{name: "of another controller", put: other},
		{name: "readable by others", make: func() error { return os.Chmod(file, 0o644) }},
		{name: "a folder", make: func() error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) }},
		{name: "a link to nowhere", make: func() error { return errors.Join(os.Remove(file), os.Symlink(filepath.Join(r.dir, "nowhere"), file)) }},
		{name: "bytes after the end", put: append(bytes.Clone(whole), "\x00\xff garbage"...), intact: true},
		{name: "a last record that is torn", put: whole[:len(whole)-10], intact: true},
		{name: "the last record removed", put: whole[:at[len(at)-2]], intact: true},
	} {
		t.Run(kind.name, func(t *testing.T) {
			h := *r
			daemon := *r.daemon
			daemon.t, h.house = t, &house{&daemon, r.far}
			h.copied(h.good, h.state)
			if kind.make == nil {
				kind.make = func() error { return os.WriteFile(file, kind.put, 0o600) }
			}
			if err := kind.make(); err != nil {
				t.Fatal(err)
			}
			before := h.far.Faults.Seen("PUT /v1/batches/")
			h.start()
			defer h.stop()
			if got := h.tuple("bank-card/binding").Status; got != control.StatusGiven {
				t.Errorf("the other account: %s", got)
			}
			if kind.intact {
				if row := h.tuple("device/service"); row.Status != control.StatusGiven || row.Consent != h.consent {
					t.Errorf("status %q", row.Status)
				}
				if got := h.tuple("location/nearby").Status; got != control.StatusRefused {
					t.Errorf("what was refused: %q", got)
				}
				h.must("ledger", "verify")
				return
			}
			if row := h.tuple("device/service"); row.Collecting || row.Status != control.StatusInvalidated {
				t.Errorf("collecting %v, status %q", row.Collecting, row.Status)
			}
			for _, args := range [][]string{{"data", "collect"}, {"egress", "send"}} {
				h.refused(control.ExitRefused, "hint: scruple consent withdraw", append(args, "device/service")...)
				h.refused(control.ExitRefused, "提示：scruple consent withdraw", append(args, "device/service", "--lang", "zh-CN")...)
			}
			h.refused(control.ExitFailed, "withdraw one, which begins a new ledger", "ledger", "verify")
			h.refused(control.ExitFailed, "同意账本已损坏", "ledger", "verify", "--lang", "zh-CN")
			if out := h.must("status", "--lang", "zh-CN"); !strings.Contains(out, "同意账本已损坏") || strings.Contains(out, "damaged") {
				t.Errorf("status:\n%s", out)
			}
			if kind.put != nil && !bytes.Equal(read(t, file), kind.put) {
				t.Error("the damaged file was changed")
			}
			if out := h.must("consent", "withdraw", "device/service", "--clear"); !strings.Contains(out, "The controller is told") {
				t.Errorf("withdrawn: %s", out)
			}
			h.waiting(1)
			again := h.give("device/service")
			h.collected("device/service")
			h.must("ledger", "verify")
			if held, ok := h.holding(again); ok && held.Status != receiver.StatusGiven {
				t.Errorf("the new consent: %+v", held)
			}
			if n := h.far.Faults.Seen("PUT /v1/batches/"); n != before {
				t.Errorf("%d batches left", n-before)
			}
		})
	}
	if log := read(t, r.dir, "log"); bytes.Contains(log, []byte("panic")) || bytes.Contains(log, []byte("goroutine ")) {
		t.Error("it panicked")
	}
}

// TestDamagedState: what the ledgers rest on is damaged: the daemon does not start, says which file it is and what to do, and changes nothing.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	r := newRuin(t)
	place := func(name string) string { return filepath.Join(r.state, name) }
	flipped := read(t, r.state, "ring")
	flipped[len(flipped)/2] ^= 1
	for name, kind := range map[string]struct {
		spoil func() error
		file  string
	}{
		"a byte of the key ring":    {func() error { return os.WriteFile(place("ring"), flipped, 0o600) }, "ring"},
		"an empty key ring":         {func() error { return os.WriteFile(place("ring"), nil, 0o600) }, "ring"},
		"a folder for the key ring": {func() error { return errors.Join(os.Remove(place("ring")), os.Mkdir(place("ring"), 0o700)) }, "ring"},
		"no device key":             {func() error { return os.Remove(place("device.key")) }, "device.key"},
		"a short device key":        {func() error { return os.WriteFile(place("device.key"), []byte("short"), 0o600) }, "device.key"},
		"another device key":        {func() error { return os.WriteFile(place("device.key"), bytes.Repeat([]byte{7}, 32), 0o600) }, "ring"},
		"a file for the ledgers": {func() error {
			return errors.Join(os.RemoveAll(place("ledger")), os.WriteFile(place("ledger"), nil, 0o600))
		}, "ledger"},
	} {
		r.copied(r.good, r.state)
		if err := kind.spoil(); err != nil {
			t.Fatal(err)
		}
		r.write("log", nil)
		err := r.try()
		if err == nil {
			r.stop()
			t.Errorf("%s: it starts", name)
			continue
		}
		for _, want := range []string{kind.file, "put ", "move "} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: it does not say %q: %v", name, want, err)
			}
		}
		if strings.Contains(err.Error(), "goroutine ") {
			t.Errorf("%s: %v", name, err)
		}
		for _, file := range []string{"ledger/messenger-1.ledger", "ledger/payments-1.ledger"} {
			if kind.file != "ledger" && !bytes.Equal(read(t, r.state, file), read(t, r.good, file)) {
				t.Errorf("%s: %s was changed", name, file)
			}
		}
	}
	r.copied(r.good, r.state)
	r.start()
	if row := r.tuple("device/service"); row.Status != control.StatusGiven {
		t.Errorf("put back: %q", row.Status)
	}
}
