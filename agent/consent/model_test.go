package consent_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// model is what a person would say is in force, kept in the plainest way: no ledger, no keys, no files.
type model struct {
	given   wire.UUID // of the tuple's consent, none while there is none
	expiry  time.Time
	terms   int // version of the policy's terms that were agreed to
	ended   []wire.UUID
	parked  []wire.UUID
	unsure  bool // an act on it was cut off by a crash
	closing bool // a withdrawal returned an error
}

// Random lives of several consents, with crashes at random steps, restarts, changes of terms and of the clock. After each act: nothing is
// permitted without a consent of the model; after Withdraw has returned nothing of the tuple is readable; its message waits.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "scruple-model")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		steps := durabletest.Watch(t, dir)
		b := &bench{t: t, clock: newClock(), doc: consenttest.Document(t)}
		b.Desk = &consenttest.Desk{Dir: dir, Key: make([]byte, 32)}
		b.start()
		defer func() { b.Close() }()

		tuples := b.doc.Tuples(consenttest.Subject)
		models := map[policy.Tuple]*model{}
		for _, tu := range tuples {
			models[tu] = &model{}
		}
		terms := 1
		seen := b.clock.Now()
		latest := func() time.Time {
			if now := b.clock.Now(); now.After(seen) {
				seen = now
			}
			return seen
		}
		settle := func() { // after a crash the register says which side of the commit point it is on
			for _, tu := range tuples {
				m := models[tu]
				m.closing = false
				if !m.unsure {
					continue
				}
				m.unsure = false
				s := b.Register.State(tu)
				if s.Consent != m.given {
					if !m.given.IsZero() {
						m.ended = append(m.ended, m.given)
					}
					m.given, m.expiry, m.terms = s.Consent, s.Expiry, terms
				}
			}
		}
		restart := func() {
			steps.Restart()
			b.restart()
			settle()
		}
		// try runs an act; if the disk stopped in it, the outcome is open until the restart.
		try := func(m *model, act func() error) error {
			err := act()
			if steps.Stopped() {
				m.unsure = true
				return durabletest.ErrStopped
			}
			return err
		}
		pick := func(rt *rapid.T) (policy.Tuple, *model) {
			tu := tuples[rapid.IntRange(0, len(tuples)-1).Draw(rt, "tuple")]
			return tu, models[tu]
		}

		rt.Repeat(map[string]func(*rapid.T){
			"request": func(rt *rapid.T) {
				tu, m := pick(rt)
				_ = try(m, func() error { return b.Register.Request(tu, app) })
			},
			"refuse": func(rt *rapid.T) {
				tu, m := pick(rt)
				if err := try(m, func() error { return b.Register.Refuse(tu, person) }); err == nil && !m.given.IsZero() &&
					latest().Before(m.expiry) { // an expired one is open to a new answer
					rt.Fatalf("%s: refused while given", tu)
				}
			},
			"defer": func(rt *rapid.T) {
				tu, m := pick(rt)
				_ = try(m, func() error { return b.Register.Defer(tu, person) })
			},
			"grant": func(rt *rapid.T) {
				tu, m := pick(rt)
				var id wire.UUID
				err := try(m, func() error {
					n, err := b.Register.Show(tu, policy.LangEN, person)
					if err != nil {
						return err
					}
					id, err = b.Register.Grant(tu, n.Lang, n.SHA256, person)
					return err
				})
				if err != nil {
					return
				}
				if id == m.given {
					return
				}
				if !m.given.IsZero() {
					if m.closing || !latest().Before(m.expiry) {
						m.ended = append(m.ended, m.given)
					} else {
						m.parked = append(m.parked, m.given)
					}
				}
				*m = model{given: id, expiry: b.Register.State(tu).Expiry, terms: terms, ended: m.ended, parked: m.parked}
			},
			"sneak": func(rt *rapid.T) { // agree without having been shown
				tu, m := pick(rt)
				if err := try(m, func() error {
					_, err := b.Register.Grant(tu, policy.LangEN, wire.Hash{}, person)
					return err
				}); err == nil && m.given.IsZero() {
					rt.Fatalf("%s: given without a notice", tu)
				}
			},
			"withdraw": func(rt *rapid.T) {
				tu, m := pick(rt)
				erase := rapid.Bool().Draw(rt, "clear")
				m.closing = !m.given.IsZero()
				if err := try(m, func() error { return b.Register.Withdraw(tu, erase, person) }); err != nil {
					return
				}
				waits := false
				for _, msg := range b.Register.Outbox(tu.Controller) {
					waits = waits || msg.Consent == m.given && msg.Kind == wire.MsgWithdrawal
				}
				if !m.given.IsZero() {
					if !waits && latest().Before(m.expiry) { // the controller knows when a consent expires
						rt.Fatalf("%s: no message to the controller", tu)
					}
					m.ended = append(m.ended, m.given)
				}
				*m = model{ended: append(m.ended, m.parked...)}
			},
			"erase": func(rt *rapid.T) {
				tu, m := pick(rt)
				if err := try(m, func() error { _, err := b.Register.Erase(tu, person); return err }); err == nil && m.given.IsZero() {
					rt.Fatalf("%s: erased without a consent", tu)
				}
			},
			"deliver": func(rt *rapid.T) {
				c := policy.ControllerID(rapid.SampledFrom([]string{"messenger", "payments"}).Draw(rt, "controller"))
				if out := b.Register.Outbox(c); len(out) > 0 {
					m := out[rapid.IntRange(0, len(out)-1).Draw(rt, "message")]
					err := b.Register.Acknowledge(c, m.Seq, receipt(t, m))
					if err != nil && !steps.Stopped() {
						rt.Fatal(err)
					}
				}
			},
			"time": func(rt *rapid.T) {
				b.clock.Add(time.Duration(rapid.IntRange(1, 200).Draw(rt, "days")) * day)
				latest()
				if rapid.Bool().Draw(rt, "sweep") {
					_ = b.Register.Sweep(b.clock.Now())
				}
			},
			"clock back": func(rt *rapid.T) {
				latest()
				if b.Register.Sweep(b.clock.Now()) != nil { // what the register has not seen it cannot know
					return
				}
				b.clock.Add(-time.Duration(rapid.IntRange(1, 30).Draw(rt, "days")) * day)
			},
			"terms": func(*rapid.T) {
				b.changeTerms()
				terms++
			},
			"crash": func(rt *rapid.T) {
				steps.StopAt(rapid.IntRange(1, 9).Draw(rt, "step"), rapid.IntRange(0, 60).Draw(rt, "torn"))
			},
			"restart": func(*rapid.T) { restart() },
			"": func(rt *rapid.T) {
				if steps.Stopped() {
					for tu, m := range models {
						if m.closing && b.Register.State(tu).InForce {
							rt.Fatalf("%s: in force while a withdrawal is under way", tu)
						}
					}
					restart()
				}
				now := latest()
				behind := b.clock.Now().Before(now.Add(-consent.ClockTolerance))
				for tu, m := range models {
					if p := b.Register.Problems()[tu.Controller]; errors.Is(p, consent.ErrDamaged) {
						rt.Fatalf("a crash looks like damage: %v", p)
					}
					s := b.Register.State(tu)
					want := !m.given.IsZero() && now.Before(m.expiry) && m.terms == terms && !m.closing
					if s.InForce && (!want || behind) {
						rt.Fatalf("%s: in force against the person's word: %+v, model %+v", tu, s, *m)
					}
					if want && s.Consent != m.given {
						rt.Fatalf("%s: consent lost: %+v, model %+v", tu, s, *m)
					}
					if want && !behind && !s.InForce && !errors.Is(s.Err, consent.ErrClock) {
						rt.Fatalf("%s: not in force: %+v, model %+v", tu, s, *m)
					}
					p, err := b.Register.Permit(tu)
					if err == nil && (p.Check() != nil || p.Consent() != m.given || !s.InForce) {
						rt.Fatalf("%s: a permit for %s: %v", tu, p.Consent(), p.Check())
					}
					for _, id := range m.ended {
						if _, err := b.Ring.DataKey(id); !errors.Is(err, keyring.ErrNoKey) {
							rt.Fatalf("%s: readable after the end: %v", tu, err)
						}
						if b.Register.InForce(id) == nil {
							rt.Fatalf("%s: sendable after the end", tu)
						}
					}
					for _, id := range m.parked {
						if b.Register.InForce(id) == nil {
							rt.Fatalf("%s: sendable under other terms", tu)
						}
					}
				}
			},
		})
		before := fmt.Sprintf("%+v", b.Register.States())
		restart()
		if after := fmt.Sprintf("%+v", b.Register.States()); after != before {
			rt.Fatalf("a restart changes\n%s\nto\n%s", before, after)
		}
	})
}
