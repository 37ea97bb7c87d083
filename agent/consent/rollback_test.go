package consent_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/ledger"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// latest returns the message about a consent with the highest number, as its controller would have kept it.
func (b *bench) latest(controller policy.ControllerID, id wire.UUID) (body []byte) {
	b.t.Helper()
	highest := uint64(0)
	for _, m := range b.Register.Outbox(controller) {
		s, _, err := wire.OpenAny(m.Body)
		b.ok(err)
		if s.Consent == id && s.Sequence > highest {
			body, highest = m.Body, s.Sequence
		}
	}
	return body
}

// Each message about a consent has a number of its own, one after the other, and none is shared with another consent.
func TestMessagesAreCounted(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	other := b.give(b.tuple("steps/compare"))
	for range 2 {
		_, err := b.Register.Erase(tu, person)
		b.ok(err)
		b.restart()
	}
	b.ok(b.Register.Withdraw(tu, false, person))
	b.ok(b.Register.Withdraw(tu, true, person))
	records, err := b.Register.Records("messenger")
	b.ok(err)
	count := map[wire.UUID]uint64{}
	for _, rec := range records {
		if len(rec.Message) == 0 {
			continue
		}
		s, _, err := wire.OpenAny(rec.Message)
		b.ok(err)
		if count[s.Consent]++; s.Sequence != count[s.Consent] {
			t.Errorf("%s message about %s is number %d, want %d", s.Kind, s.Consent, s.Sequence, count[s.Consent])
		}
	}
	if count[id] != 5 || count[other] != 1 {
		t.Errorf("counts %v", count)
	}
}

// What a controller shows after each history on a state folder that was, or was not, put back to an older copy.
func TestLater(t *testing.T) {
	erase := func(b *bench, tu policy.Tuple) { _, err := b.Register.Erase(tu, person); b.ok(err) }
	withdraw := func(b *bench, tu policy.Tuple) { b.ok(b.Register.Withdraw(tu, false, person)) }
	for name, c := range map[string]struct {
		before     func(*bench, policy.Tuple) // then the copy is made
		after      func(*bench, policy.Tuple) // the controller hears of this, the copy does not
		again      func(*bench, policy.Tuple) // happens on the copy that was put back
		rolledBack bool
	}{
		"withdrawn since":                  {after: withdraw, rolledBack: true},
		"withdrawn and cleared since":      {after: func(b *bench, tu policy.Tuple) { b.ok(b.Register.Withdraw(tu, true, person)) }, rolledBack: true},
		"erased since":                     {after: erase, rolledBack: true},
		"erased before, withdrawn since":   {before: erase, after: withdraw, rolledBack: true},
		"erased since, and here again":     {after: erase, again: erase, rolledBack: true},
		"withdrawn since, and erased here": {after: withdraw, again: erase, rolledBack: true},
		"withdrawn since, and erased twice here": {after: withdraw, again: func(b *bench, tu policy.Tuple) {
			erase(b, tu)
			erase(b, tu)
		}, rolledBack: true},
		"nothing since":             {},
		"erased here":               {again: erase},
		"withdrawn here":            {again: withdraw},
		"erased before":             {before: erase},
		"collected after a restart": {again: func(b *bench, _ policy.Tuple) { b.restart() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tu, same, far := b.tuple("contacts/find"), b.tuple("steps/compare"), b.tuple("payment/pay")
			ids := []wire.UUID{b.give(tu), b.give(same), b.give(far)}
			if c.before != nil {
				c.before(b, tu)
			}
			copied := t.TempDir()
			copyDir(t, b.Dir, copied)
			if c.after != nil {
				c.after(b, tu)
			}
			shown := b.latest("messenger", ids[0])
			if c.again != nil || c.rolledBack {
				b.Close()
				b.Dir = copied
				b.start()
			}
			if c.again != nil {
				c.again(b, tu)
			}
			p, err := b.Register.Permit(same)
			b.ok(err)
			var ended []wire.UUID
			b.Register.OnWithdrawn(func(id wire.UUID, _ policy.Tuple) { ended = append(ended, id) })

			err = b.Register.Later(ids[0], shown)
			if !c.rolledBack {
				if err != nil || p.Check() != nil || len(ended) != 0 {
					t.Errorf("got %v, permit %v, ended %v", err, p.Check(), ended)
				}
				return
			}
			if !errors.Is(err, consent.ErrRolledBack) || !errors.Is(err, consent.ErrNotInForce) {
				t.Fatalf("got %v", err)
			}
			if len(ended) != 3 {
				t.Errorf("told of %d ends", len(ended))
			}
			b.clock.Add(1)
			for range 2 {
				for i, tuple := range []policy.Tuple{tu, same, far} {
					if s := b.Register.State(tuple); s.Status != consent.Invalidated || s.InForce || !errors.Is(s.Err, consent.ErrRolledBack) || s.Reason == "" {
						t.Errorf("%s: %+v", tuple, s)
					}
					if err := b.Register.InForce(ids[i]); !errors.Is(err, consent.ErrNotInForce) {
						t.Errorf("%s: in force: %v", tuple, err)
					}
					if _, err := b.Ring.DataKey(ids[i]); !errors.Is(err, keyring.ErrNoKey) {
						t.Errorf("%s: readable: %v", tuple, err)
					}
				}
				b.restart()
			}
			// Each controller is told, with a number beyond whatever it has heard, and the evidence is kept where it belongs.
			seen, _, err := wire.OpenAny(shown)
			b.ok(err)
			told, _, err := wire.OpenAny(b.latest("messenger", ids[0]))
			b.ok(err)
			if told.Kind != wire.MsgWithdrawal || told.Sequence <= seen.Sequence {
				t.Errorf("told %+v after %+v", told, seen)
			}
			evidence := 0
			for _, controller := range []policy.ControllerID{"messenger", "payments"} {
				records, err := b.Register.Records(controller)
				b.ok(err)
				for _, rec := range records {
					if rec.Cause == consent.CauseRolledBack && len(rec.Evidence) > 0 {
						evidence++
						if rec.Consent != ids[0] || !bytes.Equal(rec.Evidence, shown) {
							t.Errorf("evidence in %+v", rec)
						}
					}
				}
			}
			if evidence != 1 {
				t.Errorf("the evidence stands in %d records", evidence)
			}
			// The same again changes nothing, and the person can agree anew.
			b.ok(b.Register.Later(ids[0], shown))
			if err := b.Register.InForce(b.give(tu)); err != nil {
				t.Errorf("agreed anew: %v", err)
			}
		})
	}
}

// Nobody but this device can make its ledger look old.
func TestLaterIsNotForged(t *testing.T) {
	b := setup(t)
	tu, other := b.tuple("contacts/find"), b.tuple("steps/compare")
	id, otherID := b.give(tu), b.give(other)
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	identity, err := b.Ring.Identity(id)
	b.ok(err)
	withdrawal := wire.Withdrawal{Consent: id, Controller: "messenger", Time: 1, Sequence: 9}
	sign := func(key ed25519.PrivateKey, m any) []byte { s, err := wire.Sign(key, m); b.ok(err); return s }
	good := sign(identity, withdrawal)
	otherIdentity, err := b.Ring.Identity(otherID)
	b.ok(err)
	for name, message := range map[string][]byte{
		"nothing":             nil,
		"another key":         sign(stranger, withdrawal),
		"another consent":     b.latest("messenger", otherID),
		"its key for another": sign(identity, wire.Withdrawal{Consent: otherID, Controller: "messenger", Sequence: 9}),
		"another's key":       sign(otherIdentity, withdrawal),
		"bytes at the end":    append(bytes.Clone(good), 0),
		"a byte changed":      append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1),
		"too long":            make([]byte, 1<<20),
	} {
		if err := b.Register.Later(id, message); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(b.Register.InForce(id), b.Register.InForce(otherID)); err != nil {
		t.Error(err)
	}
	if err := b.Register.Later(wire.NewUUID(), good); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("an unknown consent: %v", err)
	}
}

// A checkpoint or a proof that the person kept shows that the folder was put back, or that the ledger was forked.
func TestCompare(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	early, _ := b.checkpoint("messenger")
	copied, forked := t.TempDir(), t.TempDir()
	copyDir(t, b.Dir, copied)
	copyDir(t, b.Dir, forked)
	b.ok(b.Register.Refuse(b.tuple("steps/compare"), person))
	late, _ := b.checkpoint("messenger")
	in, err := b.Register.InclusionProof("messenger", 1)
	b.ok(err)
	growth, err := b.Register.ConsistencyProof("messenger", 1, 0)
	b.ok(err)
	payments := b.give(b.tuple("payment/pay"))
	strange, _ := b.checkpoint("payments")

	for name, kept := range map[string][]byte{"early": early, "late": late, "proof": in.Proof, "growth": growth} {
		held, err := b.Register.Compare(kept)
		if err != nil || held.Controller != "messenger" || held.Now.Size != 3 || held.Restarted {
			t.Errorf("%s: %+v, %v", name, held, err)
		}
	}
	if err := errors.Join(b.Register.InForce(id), b.Register.InForce(payments)); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		kept []byte
		want error
	}{
		"not one":        {[]byte("hello\n"), ledger.ErrCheckpoint},
		"a changed size": {bytes.Replace(late, []byte("\n3\n"), []byte("\n9\n"), 1), ledger.ErrCheckpoint},
	} {
		if _, err := b.Register.Compare(c.kept); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}

	for name, c := range map[string]struct {
		dir  string
		kept []byte
		want error
	}{
		"older, late":   {copied, late, consent.ErrRolledBack},
		"forked, proof": {forked, in.Proof, consent.ErrRolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			b.Close()
			b.Dir = c.dir
			b.start()
			if name == "forked, proof" {
				b.ok(b.Register.Request(b.tuple("steps/compare"), app))
			}
			if _, err := b.Register.Compare(strange); !errors.Is(err, consent.ErrOtherLedger) {
				t.Errorf("of a ledger that is not here: %v", err)
			}
			if _, err := b.Register.Compare(early); err != nil || b.Register.InForce(id) != nil {
				t.Errorf("early: %v, %v", err, b.Register.InForce(id))
			}
			if _, err := b.Register.Compare(c.kept); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			b.restart()
			if s := b.Register.State(tu); s.Status != consent.Invalidated || !errors.Is(s.Err, consent.ErrRolledBack) {
				t.Errorf("state %+v", s)
			}
		})
	}

	// What was kept of a ledger that has been restarted since is recognised and says no more.
	b.Close()
	b.ok(os.Remove(b.ledger("messenger")))
	b.start()
	if _, err := b.Register.Compare(early); !errors.Is(err, consent.ErrDamaged) {
		t.Errorf("of a damaged ledger: %v", err)
	}
	b.ok(b.Register.Restart("messenger", person))
	if held, err := b.Register.Compare(early); err != nil || !held.Restarted {
		t.Errorf("of a restarted ledger: %+v, %v", held, err)
	}
}

// While the disk is full, what is known to be old is closed all the same, and stays so.
func TestRolledBackOnAFullDisk(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	copied := t.TempDir()
	copyDir(t, b.Dir, copied)
	b.ok(b.Register.Withdraw(tu, false, person))
	shown := b.latest("messenger", id)
	b.Close()
	b.Dir = copied
	b.start()
	steps := durabletest.Watch(t, b.Dir)
	steps.StopAt(1, 0)
	if err := b.Register.Later(id, shown); !errors.Is(err, consent.ErrRolledBack) || !errors.Is(err, durabletest.ErrStopped) {
		t.Errorf("got %v", err)
	}
	if err := b.Register.InForce(id); !errors.Is(err, consent.ErrRolledBack) {
		t.Errorf("in force: %v", err)
	}
	steps.Restart()
	if err := b.Register.Later(id, shown); !errors.Is(err, consent.ErrRolledBack) {
		t.Errorf("again: %v", err)
	}
	if s := b.Register.State(tu); s.Status != consent.Invalidated {
		t.Errorf("state %+v", s)
	}
	if _, err := os.Stat(filepath.Join(b.Dir, "ring")); err != nil {
		t.Error(err)
	}
}
