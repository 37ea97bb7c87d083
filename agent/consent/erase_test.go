package consent_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/ledger"
	"github.com/scruple-agent/scruple/agent/policy"
)

func (b *bench) answerAll() {
	b.t.Helper()
	for _, m := range b.Register.Outbox("messenger") {
		b.ok(b.Register.Acknowledge("messenger", m.Seq, receipt(b.t, m)))
	}
}

// Which records can go after each history, one at a time, from the start: "." can, "x" is needed.
func TestEraseBodyRules(t *testing.T) {
	// The records of each history are numbered in the order of the acts: shown, given, acknowledged, ...
	for history, want := range map[string]string{
		"request":                             "x",       // the question is open
		"request defer":                       ".x",      // "deferred" is what holds now
		"request defer late":                  ".x",      // still
		"request refuse":                      ".x",      // the quiet period
		"request refuse late":                 ".x",      // without it the request would be open again
		"refuse":                              "x",       // the quiet period
		"refuse late":                         ".",       // and it is as if nothing had been asked
		"give":                                ".x",      // the message has not arrived
		"give ack":                            ".xx",     // given
		"give ack erase ack":                  ".xxxx",   // given
		"give ack withdraw":                   ".xxx",    // the message has not arrived
		"give ack withdraw ack":               ".xxxx",   // erasure could still be asked for
		"give ack withdraw ack late":          "...xx",   // the controller's retention is over
		"give ack clear ack":                  "...xx",   // the end stays during the quiet period
		"give ack erase ack clear ack":        ".....xx", // and says all that the erasure said
		"give ack clear ack request":          "...xxx",
		"give ack clear ack late give":        "...xx.x", // without the end alone the first would be given still
		"give ack clear ack late give ack":    "...xx.xx",
		"give ack change give ack":            ".xx.xxxx", // what was stored under the first waits
		"give ack expire":                     ".xxx",     // erasure could still be asked for
		"request give ack clear ack late":     "....xx",
		"other give ack clear ack":            "x...xx",
		"other give ack withdraw late settle": "x.xxx",
	} {
		t.Run(history, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.live(history)
			records, err := b.Register.Records("messenger")
			b.ok(err)
			var got []string
			for _, rec := range records {
				// On a copy, so that one erasure does not ease the next.
				copied := t.TempDir()
				copyDir(t, b.Dir, copied)
				one := &bench{t: t, clock: b.clock, doc: b.doc}
				one.Desk = copyDesk(b, copied)
				one.start()
				before := fmt.Sprintf("%+v", one.Register.States())
				err := one.Register.EraseBody("messenger", rec.Seq)
				switch {
				case err == nil:
					got = append(got, ".")
				case errors.Is(err, consent.ErrNeeded):
					got = append(got, "x")
				default:
					t.Errorf("record %d: %v", rec.Seq, err)
				}
				now := fmt.Sprintf("%+v", one.Register.States())
				one.restart()
				if after := fmt.Sprintf("%+v", one.Register.States()); after != now || now != before && history != "refuse late" {
					t.Errorf("record %d: the state changes from\n%s\nto\n%s\nand after a restart\n%s", rec.Seq, before, now, after)
				}
				one.Close()
			}
			if g := strings.Join(got, ""); g != want {
				var events []string
				for _, rec := range records {
					events = append(events, string(rec.Event))
				}
				t.Errorf("got %q, want %q; records %s", g, want, events)
			}
		})
	}
}

// live does what a history says, on contacts/find; "other" asks about another purpose.
func (b *bench) live(history string) {
	b.t.Helper()
	tu := b.tuple("contacts/find")
	for act := range strings.FieldsSeq(history) {
		switch act {
		case "other":
			b.ok(b.Register.Request(b.tuple("steps/compare"), app))
		case "request":
			b.ok(b.Register.Request(tu, person))
		case "defer":
			b.ok(b.Register.Defer(tu, person))
		case "refuse":
			b.ok(b.Register.Refuse(tu, person))
		case "give":
			b.give(tu)
		case "erase":
			_, err := b.Register.Erase(tu, person)
			b.ok(err)
		case "withdraw":
			b.ok(b.Register.Withdraw(tu, false, person))
		case "clear":
			b.ok(b.Register.Withdraw(tu, true, person))
		case "change":
			b.changeTerms()
		case "ack":
			b.answerAll()
		case "expire":
			b.clock.Add(366 * day)
			b.ok(b.Register.Sweep(b.clock.Now()))
		case "late":
			b.clock.Add(91 * day)
			b.ok(b.Register.Sweep(b.clock.Now()))
		case "settle":
			b.ok(b.Register.Sweep(b.clock.Now()))
		}
		b.clock.Add(time.Minute)
	}
}

// Everything of a life that is over can go at once; then nothing is known but tombstones, which go after their term. Proofs
// made before stay true, new ones can be made, and the ledger is in order.
func TestEraseBody(t *testing.T) {
	b := setup(t)
	b.live("give ack erase ack clear ack late")
	tu := b.tuple("contacts/find")
	live := b.give(b.tuple("steps/compare"))
	records, err := b.Register.Records("messenger")
	b.ok(err)
	early, c := b.checkpoint("messenger")
	key := b.ledgerKey("messenger")
	var kept []consent.Inclusion
	var seqs []uint64
	for _, rec := range records {
		in, err := b.Register.InclusionProof("messenger", rec.Seq)
		b.ok(err)
		kept = append(kept, in)
		if rec.Category == tu.Category {
			seqs = append(seqs, rec.Seq)
		}
	}
	if len(seqs) != 7 || len(records) != 9 {
		t.Fatalf("%d of %d records", len(seqs), len(records))
	}

	for name, err := range map[string]error{
		"one of no record":   b.Register.EraseBody("messenger", 1, 99),
		"one of no ledger":   b.Register.EraseBody("payments", 0),
		"the end before all": b.Register.EraseBody("messenger", seqs[5]),
		"one that is given":  b.Register.EraseBody("messenger", append(seqs, 8)...),
	} {
		if !errors.Is(err, consent.ErrNeeded) && !errors.Is(err, consent.ErrNoRecord) && !errors.Is(err, consent.ErrNoLedger) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a := b.Register.Audit()[0]; a.Erased != 0 {
		t.Errorf("%d are erased already", a.Erased)
	}

	b.ok(b.Register.EraseBody("messenger", seqs...))
	b.ok(b.Register.EraseBody("messenger", seqs...)) // again
	for range 2 {
		if s := b.Register.State(tu); s.Status != consent.NeverAsked || s.Asked || len(s.Ended) != 0 {
			t.Errorf("state %+v", s)
		}
		if err := b.Register.InForce(live); err != nil {
			t.Error(err)
		}
		a := b.Register.Audit()[0]
		if a.Problem != nil || a.Erased != 7 || a.Readable != 2 || a.Tombstones != 2 || a.Unsent != 1 || a.Root != c.Root {
			t.Errorf("audit %+v", a)
		}
		for i, in := range kept {
			if got, n, err := ledger.VerifyInclusion(in.Proof, in.Leaf, key); err != nil || n != uint64(i) || got != c {
				t.Errorf("the proof kept of record %d: %v", i, err)
			}
			fresh, err := b.Register.InclusionProof("messenger", uint64(i))
			b.ok(err)
			if _, _, err := ledger.VerifyInclusion(fresh.Proof, in.Leaf, key); err != nil || fresh.Leaf != in.Leaf {
				t.Errorf("a new proof of record %d: %v", i, err)
			}
			if erased := records[i].Category == tu.Category; (fresh.Record == nil) != erased || (len(fresh.Statement) == 0) != erased {
				t.Errorf("record %d is readable: %+v", i, fresh.Record)
			}
		}
		b.restart()
	}
	if _, err := b.Register.Compare(early); err != nil {
		t.Errorf("with the checkpoint of before: %v", err)
	}

	stones := b.Register.Tombstones("messenger")
	for i, want := range []consent.Event{consent.EventErased, consent.EventWithdrawn} {
		s := stones[i]
		if s.Event != string(want) || s.Consent != records[1].Consent || s.Time == 0 || s.Confirmed == 0 || s.Clear != (i == 1) ||
			s.Until != b.clock.Now().Unix()+int64(consent.TombstoneTerm/time.Second) {
			t.Errorf("tombstone %+v", s)
		}
		if strings.Contains(fmt.Sprintf("%+v", s), "contacts") {
			t.Errorf("the tombstone says what it was about: %+v", s)
		}
	}
	b.clock.Add(consent.TombstoneTerm - time.Hour)
	b.ok(b.Register.Sweep(b.clock.Now()))
	if n := len(b.Register.Tombstones("messenger")); n != 2 {
		t.Errorf("%d tombstones before their term", n)
	}
	b.clock.Add(2 * time.Hour)
	b.ok(b.Register.Sweep(b.clock.Now()))
	b.restart()
	if n := len(b.Register.Tombstones("messenger")); n != 0 {
		t.Errorf("%d tombstones after their term", n)
	}
}

// Tombstones outlive a damaged ledger, and a crash in the middle of an erasure erases all or nothing.
func TestEraseBodyCrash(t *testing.T) {
	for n := 1; ; n++ {
		b := setup(t)
		b.live("give ack clear ack late")
		steps := durabletest.Watch(t, b.Dir)
		steps.StopAt(n, 20)
		err := b.Register.EraseBody("messenger", 0, 1, 2, 3, 4)
		stopped := steps.Stopped()
		steps.Restart()
		b.restart()
		a := b.Register.Audit()[0]
		if a.Problem != nil || a.Erased != 0 && a.Erased != 5 || err == nil && a.Erased != 5 || a.Erased == 5 != (a.Tombstones == 1) {
			t.Errorf("stopped at %d (%v): %+v", n, err, a)
		}
		if !stopped {
			if n < 4 {
				t.Errorf("only %d steps", n-1)
			}
			b.Close()
			b.ok(b.damageLedger())
			b.start()
			b.ok(b.Register.Restart("messenger", person))
			b.give(b.tuple("contacts/find"))
			if n := len(b.Register.Tombstones(policy.ControllerID("messenger"))); n != 1 {
				t.Errorf("%d tombstones after the ledger was restarted", n)
			}
			return
		}
		b.Close()
		b.start()
	}
}

// TestEraseAll: of a closed account nothing of a record is left that can be read, also of generations before a damaged ledger; proofs and
// checkpoints stay good, tombstones stay for their term, and what still rests on a record keeps all.
func TestEraseAll(t *testing.T) {
	b := setup(t)
	b.ok(b.Register.EraseAll("messenger")) // nothing is recorded yet
	tu := b.tuple("contacts/find")
	b.give(tu)
	b.answerAll()
	if err := b.Register.EraseAll("messenger"); !errors.Is(err, consent.ErrNeeded) {
		t.Errorf("of a consent that is given: %v", err)
	}
	damaged := b.ledger("messenger")
	b.Close()
	keep, err := os.ReadFile(damaged)
	b.ok(err)
	b.ok(b.damageLedger())
	b.start()
	b.ok(b.Register.Withdraw(tu, true, person))
	if err := b.Register.EraseAll("messenger"); !errors.Is(err, consent.ErrNeeded) {
		t.Errorf("of a withdrawal that is not confirmed: %v", err)
	}
	b.live("ack settle") // the identity is retired
	if err := b.Register.EraseAll("messenger"); !errors.Is(err, consent.ErrNeeded) {
		t.Errorf("within the quiet period: %v", err)
	}
	b.live("late")
	kept, err := b.Register.InclusionProof("messenger", 0)
	b.ok(err)
	key := b.ledgerKey("messenger")
	readable := func() (n int) {
		b.Ring.View(func(s *keyring.State) {
			ls := s.Ledgers["messenger"]
			for _, one := range append([]*keyring.LedgerState{ls}, ls.Retired...) {
				n += len(one.RecordKeys)
			}
		})
		return n
	}
	if readable() < 4 {
		t.Fatalf("only %d records are readable", readable())
	}
	for range 2 {
		b.ok(b.Register.EraseAll("messenger"))
		if n := readable(); n != 0 {
			t.Errorf("%d records are readable", n)
		}
		if a := b.Register.Audit()[0]; a.Problem != nil || a.Readable != 0 || a.Tombstones != 1 {
			t.Errorf("audit %+v", a)
		}
		if _, _, err := ledger.VerifyInclusion(kept.Proof, kept.Leaf, key); err != nil {
			t.Error(err)
		}
		if _, err := b.Register.InclusionProof("messenger", 0); err != nil {
			t.Error(err)
		}
		b.restart()
	}
	b.ok(os.WriteFile(damaged, keep, 0o600)) // even whole, nobody can read it
	b.restart()
	b.give(tu) // after the account is opened again
	if a := b.Register.Audit()[0]; a.Problem != nil || a.Readable == 0 {
		t.Errorf("audit %+v", a)
	}
}

// TestEraseAllCrash: stopped at any step, what is left is read as before or erased, and the rest follows.
func TestEraseAllCrash(t *testing.T) {
	for n, stopped := 1, true; stopped; n++ {
		b := setup(t)
		b.live("give ack clear ack late")
		b.Close()
		b.ok(b.damageLedger())
		b.start()
		b.ok(b.Register.Restart("messenger", person))
		b.live("give ack clear ack late")
		steps := durabletest.Watch(t, b.Dir)
		steps.StopAt(n, 20)
		err := b.Register.EraseAll("messenger")
		stopped = steps.Stopped()
		if !stopped {
			b.ok(err)
			if n < 7 {
				t.Errorf("only %d steps", n-1)
			}
		}
		steps.Restart()
		b.restart()
		if a := b.Register.Audit()[0]; a.Problem != nil {
			t.Errorf("stopped at %d: %v", n, a.Problem)
		}
		b.ok(b.Register.EraseAll("messenger"))
		if a := b.Register.Audit()[0]; a.Problem != nil || a.Readable != 0 || a.Tombstones == 0 {
			t.Errorf("stopped at %d: %+v", n, a)
		}
	}
}

func copyDesk(b *bench, dir string) *consenttest.Desk { return &consenttest.Desk{Dir: dir, Key: b.Key} }

func (b *bench) damageLedger() error { return os.Truncate(b.ledger("messenger"), 9) }
