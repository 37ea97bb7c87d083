package consent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

const day = 24 * time.Hour

func TestExpiry(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	p, err := b.Register.Permit(tu)
	b.ok(err)
	var over []wire.UUID
	b.Register.OnWithdrawn(func(id wire.UUID, _ policy.Tuple) { over = append(over, id) })
	b.clock.Add(365*day - time.Second)
	if err := p.Check(); err != nil {
		t.Errorf("a second early: %v", err)
	}
	b.clock.Add(time.Second)
	if err := p.Check(); !errors.Is(err, consent.ErrExpired) {
		t.Errorf("at the hour: %v", err)
	}
	b.clock.Add(-2 * time.Minute) // within the tolerance, so that only the time seen can tell
	if err := p.Check(); !errors.Is(err, consent.ErrExpired) {
		t.Errorf("set back: %v", err)
	}
	b.ok(b.Register.Sweep(b.clock.Now()))
	<-p.Done()
	if _, err := b.Ring.DataKey(id); err == nil {
		t.Error("the data key outlived the consent")
	}
	if s := b.Register.State(tu); s.Status != consent.Expired {
		t.Errorf("state %+v", s)
	}
	if len(over) != 1 || over[0] != id {
		t.Errorf("told of %v", over)
	}
}

// A clock set back prolongs nothing and stops everything but withdrawal, also across a restart.
func TestClockSetBack(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	p, err := b.Register.Permit(tu)
	b.ok(err)
	b.clock.Add(10 * day)
	b.ok(b.Register.Sweep(b.clock.Now()))
	b.clock.Add(-consent.ClockTolerance)
	if err := p.Check(); err != nil {
		t.Errorf("within the tolerance: %v", err)
	}
	b.clock.Add(-time.Second)
	refused := func() {
		t.Helper()
		if _, err := b.Register.Permit(tu); !errors.Is(err, consent.ErrClock) {
			t.Errorf("permit: %v", err)
		}
		if err := b.Register.InForce(id); !errors.Is(err, consent.ErrClock) {
			t.Errorf("in force: %v", err)
		}
		if s := b.Register.State(tu); !errors.Is(s.Err, consent.ErrClock) || s.Status != consent.Given {
			t.Errorf("state %+v", s)
		}
		ctx, cancel := b.Register.Context(t.Context(), id)
		defer cancel()
		if !errors.Is(context.Cause(ctx), consent.ErrClock) {
			t.Errorf("context: %v", context.Cause(ctx))
		}
		if len(b.Register.Outbox("messenger")) == 0 {
			t.Error("lane A stops too")
		}
	}
	if err := p.Check(); !errors.Is(err, consent.ErrClock) {
		t.Errorf("beyond the tolerance: %v", err)
	}
	refused()
	b.restart()
	refused()
	n, err := b.Register.Show(b.tuple("steps/compare"), policy.LangEN, person)
	b.ok(err)
	if _, err := b.Register.Grant(b.tuple("steps/compare"), n.Lang, n.SHA256, person); !errors.Is(err, consent.ErrClock) {
		t.Errorf("grant: %v", err)
	}
	b.clock.Add(time.Second)
	if err := b.Register.InForce(id); err != nil {
		t.Errorf("after the clock was set right: %v", err)
	}
	b.clock.Add(-5 * 365 * day)
	b.ok(b.Register.Withdraw(tu, true, person))
	if s := b.Register.State(tu); s.Status != consent.Withdrawn {
		t.Errorf("withdrawn with a wrong clock: %+v", s)
	}
}

// A clock that once ran ahead would stop everything for good, without the person's word.
func TestAcceptClock(t *testing.T) {
	b := setup(t)
	long, tu := b.tuple("contacts/find"), b.tuple("steps/compare")
	id := b.give(tu)
	b.clock.Add(20 * day)
	b.ok(b.Register.Sweep(b.clock.Now()))
	b.give(long)
	b.clock.Add(350 * day)
	b.ok(b.Register.Sweep(b.clock.Now())) // tu expires by the wrong clock
	b.clock.Add(-350 * day)
	if err := b.Register.AcceptClock(app); !errors.Is(err, consent.ErrNotPerson) {
		t.Errorf("an application: %v", err)
	}
	b.ok(b.Register.AcceptClock(person))
	if s := b.Register.State(long); !s.InForce {
		t.Errorf("state %+v", s)
	}
	if err := b.Register.InForce(id); !errors.Is(err, consent.ErrExpired) {
		t.Errorf("what expired came back: %v", err)
	}
	b.restart()
	if s := b.Register.State(long); !s.InForce {
		t.Errorf("after a restart: %+v", s)
	}
}

func TestHighWaterIsSaved(t *testing.T) {
	b := setup(t)
	water := func() (at int64) {
		b.Ring.View(func(s *keyring.State) { at = s.HighWater })
		return at
	}
	b.give(b.tuple("contacts/find"))
	first := water()
	b.clock.Add(59 * time.Minute)
	b.ok(b.Register.Sweep(b.clock.Now()))
	if water() != first {
		t.Error("written more often than hourly")
	}
	b.clock.Add(time.Minute)
	b.ok(b.Register.Sweep(b.clock.Now()))
	if water() != first+3600 {
		t.Errorf("got %d, want %d", water(), first+3600)
	}
}

func TestChangedPolicy(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	for _, m := range b.Register.Outbox("messenger") {
		b.ok(b.Register.Acknowledge("messenger", m.Seq, receipt(t, m)))
	}
	p, err := b.Register.Permit(tu)
	b.ok(err)

	same := consenttest.Document(t)
	same.Version = 2
	b.ok(b.Register.SetPolicy(same))
	if err := p.Check(); err != nil {
		t.Errorf("a new version with the same terms: %v", err)
	}

	old := b.doc
	b.changeTerms()
	<-p.Done()
	if err := p.Check(); !errors.Is(err, consent.ErrPolicyChanged) {
		t.Errorf("permit: %v", err)
	}
	s := b.Register.State(tu)
	if s.InForce || !errors.Is(s.Err, consent.ErrPolicyChanged) || s.Reason == "" || s.Status != consent.Given {
		t.Errorf("state %+v", s)
	}
	if _, err := b.Ring.DataKey(id); err != nil {
		t.Errorf("what was collected before is parked, not lost: %v", err)
	}
	b.restart()
	if err := b.Register.InForce(id); !errors.Is(err, consent.ErrPolicyChanged) {
		t.Errorf("after a restart: %v", err)
	}
	b.ok(b.Register.SetPolicy(old))
	if p, err = b.Register.Permit(tu); err != nil || p.Check() != nil {
		t.Errorf("the agreed terms again: %v", err)
	}
	b.changeTerms()

	next := b.give(tu)
	if next == id {
		t.Error("the consent to other terms has the same id")
	}
	if err := b.Register.InForce(id); err == nil {
		t.Error("the old consent is in force beside the new one")
	}
	if _, err := b.Ring.DataKey(id); err != nil {
		t.Errorf("parked: %v", err)
	}
	b.clock.Add(7 * day)
	b.ok(b.Register.Sweep(b.clock.Now()))
	if _, err := b.Ring.DataKey(id); err == nil {
		t.Error("parked beyond its retention")
	}
	if err := b.Register.InForce(next); err != nil {
		t.Errorf("new consent: %v", err)
	}
}

// Withdrawing makes what is parked from earlier terms unreadable too.
func TestWithdrawalEndsWhatIsParked(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	first := b.give(tu)
	b.changeTerms()
	second := b.give(tu)
	b.ok(b.Register.Withdraw(tu, false, person))
	for _, id := range []wire.UUID{first, second} {
		if _, err := b.Ring.DataKey(id); err == nil {
			t.Errorf("%s can be read", id)
		}
	}
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doc := consenttest.Document(t)
		d := consenttest.Setup(t, doc)
		tu := consenttest.Tuple(t, doc, "location", "nearby")
		if _, err := d.Register.OpenSession(tu, time.Minute, app); !errors.Is(err, consent.ErrNotGiven) {
			t.Errorf("without consent: %v", err)
		}
		consenttest.Give(t, d.Register, tu)
		if _, err := d.Register.Permit(tu); !errors.Is(err, consent.ErrSessionOnly) {
			t.Errorf("without a session: %v", err)
		}
		s, err := d.Register.OpenSession(tu, time.Minute, app)
		if err != nil {
			t.Fatal(err)
		}
		p := s.Permit()
		if err := p.Check(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute - time.Second)
		if err := p.Check(); err != nil {
			t.Errorf("a second early: %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		<-p.Done()
		if err := p.Check(); !errors.Is(err, consent.ErrSessionEnded) {
			t.Errorf("at the end: %v", err)
		}

		s, err = d.Register.OpenSession(tu, 24*time.Hour, app)
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Until(s.Until()); got != 10*time.Minute {
			t.Errorf("lasts %v, the policy allows 10 minutes", got)
		}
		s.Close()
		s.Close()
		<-s.Permit().Done()

		s, err = d.Register.OpenSession(tu, 0, app)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Register.Withdraw(tu, false, person); err != nil {
			t.Fatal(err)
		}
		<-s.Permit().Done()
		if err := s.Permit().Check(); !errors.Is(err, consent.ErrWithdrawn) {
			t.Errorf("withdrawn within the session: %v", err)
		}
	})
}

// A machine that slept through the end of a session finds it ended, though the timer has not run.
func TestSessionAfterSuspend(t *testing.T) {
	b := setup(t)
	tu := b.tuple("location/nearby")
	b.give(tu)
	s, err := b.Register.OpenSession(tu, time.Minute, app)
	b.ok(err)
	b.clock.Add(time.Hour)
	if err := s.Permit().Check(); !errors.Is(err, consent.ErrSessionEnded) {
		t.Errorf("got %v", err)
	}
	<-s.Permit().Done()
}

func TestSessionsAreBounded(t *testing.T) {
	b := setup(t)
	tu, background := b.tuple("location/nearby"), b.tuple("device/service")
	b.give(tu)
	b.give(background)
	if _, err := b.Register.OpenSession(background, 0, app); !errors.Is(err, consent.ErrNoSession) {
		t.Errorf("background: %v", err)
	}
	if _, err := b.Register.OpenSession(tu, 0, consent.Actor{Channel: "?"}); err == nil {
		t.Error("unknown actor")
	}
	var first *consent.Session
	for range consent.MaxSessions {
		s, err := b.Register.OpenSession(tu, 0, app)
		b.ok(err)
		if first == nil {
			first = s
		}
	}
	if _, err := b.Register.OpenSession(tu, 0, app); !errors.Is(err, consent.ErrTooMany) {
		t.Errorf("got %v", err)
	}
	first.Close()
	s, err := b.Register.OpenSession(tu, 0, app)
	b.ok(err)
	b.Close()
	<-s.Permit().Done()
	if err := s.Permit().Check(); !errors.Is(err, consent.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
