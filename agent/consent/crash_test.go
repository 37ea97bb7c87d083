package consent_test

import (
	"errors"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Stopped before every step of a life of a consent, the register comes back with what was answered, and never with more.
func TestCrashAtEveryStep(t *testing.T) {
	for torn := range 2 {
		for n := 1; ; n++ {
			if done := crashAt(t, n, torn*40); done {
				if n < 20 {
					t.Errorf("only %d steps", n-1)
				}
				break
			}
		}
	}
}

func crashAt(t *testing.T, n, torn int) (finished bool) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	steps := durabletest.Watch(t, b.Dir)
	steps.StopAt(n, torn)
	var ids []wire.UUID
	ack := func() error {
		for _, m := range b.Register.Outbox("messenger") {
			if err := b.Register.Acknowledge("messenger", m.Seq, receipt(t, m)); err != nil {
				return err
			}
		}
		return nil
	}
	acts := []struct {
		name   string
		act    func() error
		status consent.Status
	}{
		{"request", func() error { return b.Register.Request(tu, app) }, consent.Requested},
		{"show", func() error { _, err := b.Register.Show(tu, policy.LangEN, person); return err }, consent.Requested},
		{"grant", func() error {
			eff, _ := b.doc.Effective(tu.Category, tu.Purpose)
			id, err := b.Register.Grant(tu, policy.LangEN, eff.Notice(policy.LangEN).SHA256, person)
			if err == nil {
				ids = append(ids, id)
			}
			return err
		}, consent.Given},
		{"acknowledge", ack, consent.Given},
		{"erase", func() error { _, err := b.Register.Erase(tu, person); return err }, consent.Given},
		{"withdraw", func() error { return b.Register.Withdraw(tu, false, person) }, consent.Withdrawn},
		{"clear", func() error { return b.Register.Withdraw(tu, true, person) }, consent.Withdrawn},
		{"acknowledge", ack, consent.Withdrawn},
	}
	crashed := false
	last := consent.NeverAsked
	for i := 0; i < len(acts); i++ {
		a := acts[i]
		err := a.act()
		if err == nil {
			last = a.status
		} else if !steps.Stopped() {
			t.Fatalf("stop at %d, %s: %v", n, a.name, err)
		}
		if a.name == "withdraw" || a.name == "clear" {
			// With or without success: from the call on nothing is in force.
			if s := b.Register.State(tu); s.InForce {
				t.Fatalf("stop at %d: in force after %s (%v)", n, a.name, err)
			}
		}
		if steps.Stopped() && !crashed {
			crashed = true
			steps.Restart()
			b.restart()
			s := b.Register.State(tu)
			if s.Status != last && (err == nil || s.Status != a.status) {
				t.Fatalf("stop at %d in %s (%v): got %q after the restart, had %q", n, a.name, err, s.Status, last)
			}
			if errors.Is(s.Err, consent.ErrDamaged) {
				t.Fatalf("stop at %d in %s: a crash looks like damage: %v", n, a.name, s.Err)
			}
			if last == consent.Withdrawn {
				for _, id := range ids {
					if _, err := b.Ring.DataKey(id); err == nil {
						t.Fatalf("stop at %d in %s: withdrawn data is readable", n, a.name)
					}
				}
				if len(b.Register.Outbox("messenger")) == 0 && a.name != "acknowledge" {
					t.Fatalf("stop at %d in %s: the withdrawal's message is lost", n, a.name)
				}
			}
			last = s.Status
			if err != nil {
				i-- // again
			}
		}
	}
	if out := b.Register.Outbox("messenger"); len(out) != 0 {
		t.Fatalf("stop at %d: %d messages are left", n, len(out))
	}
	for _, id := range ids {
		if _, err := b.Ring.Identity(id); err == nil {
			t.Fatalf("stop at %d: an identity is left", n)
		}
	}
	return !crashed
}
