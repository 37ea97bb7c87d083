package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var thePerson = server.Actor{UID: 1000, Channel: "cli", Person: true}

// full is a state folder in which one consent has something of every kind that a withdrawal takes away.
type full struct {
	t       *testing.T
	dir     string
	devices string // an empty folder
	id      wire.UUID
	tuple   policy.Tuple
}

func newFull(t *testing.T) full {
	t.Helper()
	f := full{t: t, dir: t.TempDir(), devices: t.TempDir()}
	a := f.open(f.dir)
	defer a.Close()
	var err error
	if f.tuple, err = a.document().Tuple(a.subject, "posts/moments"); err != nil {
		t.Fatal(err)
	}
	actor := consent.Actor{UID: 1000, Channel: "cli", Person: true}
	if err := a.register.DeclareAge(consent.BandAdult, actor); err != nil {
		t.Fatal(err)
	}
	n, err := a.register.Show(f.tuple, policy.LangEN, actor)
	if err != nil {
		t.Fatal(err)
	}
	if f.id, err = a.register.Grant(f.tuple, n.Lang, n.SHA256, actor); err != nil {
		t.Fatal(err)
	}
	body := `{"records":[{"item":"p-1","kind":"post","text":"one"},{"item":"p-2","kind":"post","text":"two"}]}`
	if _, err := a.Submit(t.Context(), thePerson, f.tuple, []byte(body)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.spool.Next(f.id); err != nil { // a batch is built
		t.Fatal(err)
	}
	if _, err := a.journal.Begin(journal.LaneB, f.id, "PUT", "/v1/batches/x", []byte("body")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{a.memories.files.Path(f.id), filepath.Join(f.dir, "answers", f.id.String()+".answers")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("sealed"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if left := f.left(f.dir); len(left) < 7 {
		t.Fatalf("only %q lies there", left)
	}
	return f
}

// open opens a state folder without running anything.
func (f full) open(dir string) *Agent {
	f.t.Helper()
	s := settings.Defaults()
	s.StateDir, s.Socket, s.Dev, s.Region, s.Language = dir, filepath.Join(dir, "socket"), true, "CN", "en"
	s.IIORoot, s.GPSD = f.devices, "127.0.0.1:1"
	a, err := New(s, zap.NewNop())
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// copied returns a copy of the folder, with its modes.
func (f full) copied() string {
	f.t.Helper()
	dir := f.t.TempDir()
	err := filepath.WalkDir(f.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == f.dir {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, f.dir))
		if e.IsDir() {
			return os.Mkdir(to, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o600)
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return dir
}

// left lists what is named after the consent.
func (f full) left(dir string) (out []string) {
	f.t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(path, f.id.String()) {
			out = append(out, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// over checks that the withdrawal holds: nothing is in force or readable, and its message waits.
func (f full) over(a *Agent, where string, erase bool) {
	f.t.Helper()
	if st := a.register.State(f.tuple); st.Status != consent.Withdrawn || st.InForce || a.register.InForce(f.id) == nil {
		f.t.Errorf("%s: %+v", where, st)
	}
	if _, err := a.ring.DataKey(f.id); err == nil {
		f.t.Errorf("%s: what was stored is readable", where)
	}
	if _, err := a.spool.Next(f.id); err == nil {
		f.t.Errorf("%s: a batch can be sent", where)
	}
	out := a.register.Outbox(f.tuple.Controller)
	if !slices.ContainsFunc(out, func(m consent.Message) bool {
		w, _, err := wire.Open[wire.Withdrawal](m.Body)
		return m.Kind == wire.MsgWithdrawal && m.Consent == f.id && err == nil && w.Clear == erase
	}) {
		f.t.Errorf("%s: the message to the controller is lost: %+v", where, out)
	}
}

// gone checks that the steps after the commit point have been done as well.
func (f full) gone(a *Agent, where, dir string) {
	f.t.Helper()
	if left := f.left(dir); len(left) != 0 || len(a.unfinished) != 0 {
		f.t.Errorf("%s: left behind: %q, unfinished: %v", where, left, a.unfinished)
	}
}

// TestWithdrawalStoppedAtEveryStep stops the machine before every durable step of a withdrawal, with and without clearing, and tears the
// write where it is one: the ring, the ledger's file, spool, items, sent bodies, address book, answers. Nothing is in force once it was asked
// for; what was answered holds after the restart, which does the rest; what was not can be asked for again.
func TestWithdrawalStoppedAtEveryStep(t *testing.T) {
	f := newFull(t)
	seen := map[string]bool{}
	for _, erase := range []bool{false, true} {
		for n, step := 1, "first"; step != ""; n++ {
			if step = f.stopAt(n, 0, erase); step != "" {
				seen[strings.ReplaceAll(step, f.id.String(), "*")] = true
			}
			if strings.HasPrefix(step, "write ") {
				f.stopAt(n, 40, erase)
			}
		}
	}
	for _, part := range []string{"/ring", "/ledger/", "/spool/", "/items/", "/egress/", "/contacts/", "/answers/"} {
		if !slices.ContainsFunc(keysOf(seen), func(s string) bool { return strings.Contains(s, part) }) {
			t.Errorf("it was never stopped in %s", part)
		}
	}
	t.Logf("%d steps: %q", len(seen), keysOf(seen))
}

// stopAt stops a withdrawal before its n-th step, and returns which that was, "" when there are not so many.
func (f full) stopAt(n, torn int, erase bool) (step string) {
	t, dir := f.t, f.copied()
	a := f.open(dir)
	steps := durabletest.Watch(t, dir)
	steps.StopAt(n, torn)
	_, failed := a.Withdraw(t.Context(), thePerson, f.tuple, erase)
	if steps.Stopped() {
		step = strings.ReplaceAll(steps.Trace()[n-1], dir, "")
	}
	if a.register.InForce(f.id) == nil {
		t.Errorf("%s: in force after it was asked for", step)
	}
	if failed == nil {
		f.over(a, step, erase)
		if len(f.left(dir)) != 0 && len(a.unfinished) == 0 {
			t.Errorf("%s: what is left behind does not show", step)
		}
	}
	a.Close()
	steps.Restart()
	a = f.open(dir)
	defer a.Close()
	a.finishWithdrawals()
	if a.register.State(f.tuple).Status == consent.Given {
		if failed == nil {
			t.Errorf("%s: what was answered is forgotten", step)
		}
		if len(f.left(dir)) < 7 {
			t.Errorf("%s: what was not withdrawn is lost", step)
		}
		if _, err := a.Withdraw(t.Context(), thePerson, f.tuple, erase); err != nil {
			t.Errorf("%s: again: %v", step, err)
		}
	}
	f.over(a, step+", after the restart", erase)
	f.gone(a, step+", after the restart", dir)
	return step
}

func keysOf(m map[string]bool) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// TestDiskFullDuringWithdrawal fills the disk before every step of a withdrawal. It is closed in any case; what failed says so and stands when it is
// asked for again, and what stands is finished without anybody when there is room.
func TestDiskFullDuringWithdrawal(t *testing.T) {
	f := newFull(t)
	for _, erase := range []bool{false, true} {
		for n, all := 1, false; !all; n++ {
			dir := f.copied()
			a := f.open(dir)
			steps := durabletest.Watch(t, dir)
			steps.FillAt(n)
			_, failed := a.Withdraw(t.Context(), thePerson, f.tuple, erase)
			all = steps.Count() < n
			where := "full at the end"
			if !all {
				where = "full at " + strings.ReplaceAll(steps.Trace()[n-1], dir, "")
			}
			if a.register.InForce(f.id) == nil {
				t.Errorf("%s: in force", where)
			}
			if failed != nil {
				if st := a.register.State(f.tuple); st.Err == nil {
					t.Errorf("%s: the failure does not show: %+v", where, st)
				}
				steps.Restart()
				if _, err := a.Withdraw(t.Context(), thePerson, f.tuple, erase); err != nil {
					t.Errorf("%s: again: %v", where, err)
				}
			}
			f.over(a, where, erase)
			f.gone(a, where, dir) // removing needs no room
			steps.Restart()
			a.Close()
			a = f.open(dir)
			f.over(a, where+", after a restart", erase)
			a.Close()
		}
	}
}

// TestStepOfAWithdrawalFails puts something in the way of each step. The withdrawal stands, the step shows, also after a restart, and is
// repeated.
func TestStepOfAWithdrawalFails(t *testing.T) {
	f := newFull(t)
	for _, place := range []string{"spool/*", "items/*.items", "egress/bodies/*", "contacts/*.memory", "answers/*.answers"} {
		dir := f.copied()
		a := f.open(dir)
		steps := durabletest.Watch(t, filepath.Join(dir, strings.ReplaceAll(place, "*", f.id.String())))
		steps.StopAt(1, 0)
		w, err := a.Withdraw(t.Context(), thePerson, f.tuple, true)
		if err != nil || len(w.Unfinished) != 1 {
			t.Errorf("%s: %+v, %v", place, w, err)
		}
		f.over(a, place, true)
		a.Close()
		a = f.open(dir) // still in the way
		a.finishWithdrawals()
		if len(a.unfinished) != 1 {
			t.Errorf("%s: after a restart the failed step does not show: %v", place, a.unfinished)
		}
		steps.Restart()
		a.finishWithdrawals()
		f.over(a, place, true)
		f.gone(a, place, dir)
		a.Close()
	}
}

// TestClockSetBack: with a clock that is a day behind the time already seen nothing is taken, read or sent, the status says so, and taking back
// works all the same. When the clock is right again, what was not withdrawn goes on.
func TestClockSetBack(t *testing.T) {
	f := newFull(t)
	for _, right := range []bool{true, false} {
		dir := f.copied()
		a := f.open(dir)
		seen := time.Now().Add(policy.Day)
		if err := a.ring.Update(func(s *keyring.State) error { s.HighWater = seen.Unix(); return nil }); err != nil {
			t.Fatal(err)
		}
		a.Close()
		a = f.open(dir)
		status, err := a.Status(t.Context())
		if err != nil || !status.Clock.Trouble {
			t.Errorf("status: %+v, %v", status.Clock, err)
		}
		_, submitted := a.Submit(t.Context(), thePerson, f.tuple, []byte(`{"records":[{"item":"p-3","kind":"post","text":"three"}]}`))
		_, sent := a.uploader.Flush(t.Context(), f.id)
		for what, err := range map[string]error{"submitted": submitted, "sent": sent, "in force": a.register.InForce(f.id)} {
			if !errors.Is(err, consent.ErrClock) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if right {
			err := a.ring.Update(func(s *keyring.State) error { s.HighWater = time.Now().Unix(); return nil })
			a.Close()
			if err != nil {
				t.Fatal(err)
			}
			a = f.open(dir)
			if err := a.register.InForce(f.id); err != nil {
				t.Errorf("when the clock is right again: %v", err)
			}
			if list, err := a.spool.Reports(f.id); err != nil || len(list) != 2 {
				t.Errorf("%d reports are left, %v", len(list), err)
			}
		} else {
			if _, err := a.Withdraw(t.Context(), thePerson, f.tuple, true); err != nil {
				t.Error(err)
			}
			f.over(a, "withdrawn with a wrong clock", true)
			f.gone(a, "withdrawn with a wrong clock", dir)
		}
		a.Close()
	}
}
