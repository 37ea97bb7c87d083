package consent

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	proof "github.com/scruple-agent/scruple/agent/ledger"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Whoever puts the whole state folder back to an older copy brings back a ring and ledgers that fit together: nothing on
// the disk shows it. What shows it is what has left the device since: a message of lane A at its controller, or a
// checkpoint in the person's hands. Both are signed with keys that lie here and nowhere else, so nobody can make them
// up, and one that is later than what is recorded proves that the record is not the latest. Then every consent of the
// register stops counting and its data key is destroyed, because any of them may have been withdrawn in what is lost.
//
// The comparison is per consent (number and hash of its latest message), so that a controller learns nothing from it
// about other consents of the same person; a checkpoint of the ledger, which they share, is never sent.

// Later compares what a controller says is the latest message about a consent, signed under its identity, with what is
// recorded here. It returns nil when the ledger knows of it. When the message is later (another one was signed after the
// latest known, or the consent was withdrawn, or its count stands beside another message) every consent is invalidated,
// durably, and the error is ErrRolledBack. A message that was not signed here is wire.ErrMalformed, and changes nothing.
func (r *Register) Later(consent wire.UUID, message []byte) error {
	over, err := r.later(consent, message)
	r.call(&r.hooks.withdrawn, over)
	if err != nil {
		return fmt.Errorf("latest message about consent %s: %w", consent, err)
	}
	return nil
}

func (r *Register) later(consent wire.UUID, message []byte) ([]ended, error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	if len(message) > maxMessage {
		return nil, fmt.Errorf("%w: too long", wire.ErrMalformed)
	}
	m, by, err := wire.OpenAny(message)
	if err != nil {
		return nil, err
	}
	key, err := r.ring.Identity(consent)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if m.Consent != consent || !by.Equal(key.Public()) {
		return nil, fmt.Errorf("%w: it was not signed under this consent", wire.ErrMalformed)
	}
	var known keyring.Grant
	r.ring.View(func(s *keyring.State) {
		if g := s.Grants[consent]; g != nil {
			known = keyring.Grant{Tuple: g.Tuple, Sequence: g.Sequence, Latest: g.Latest}
		}
	})
	r.mu.RLock()
	g := r.grants[consent]
	withdrawn := g != nil && g.live && m.Kind == wire.MsgWithdrawal
	r.mu.RUnlock()
	another := m.Sequence == known.Sequence && m.Sequence > 0 && wire.HashOf(message) != known.Latest
	if m.Sequence <= known.Sequence && !withdrawn && !another {
		return nil, nil
	}
	return r.rolledBack(known.Tuple.Controller, message, &ended{consent, known.Tuple}, m.Sequence)
}

// rolledBack ends every consent: in memory at once, then ledger by ledger on the disk. It always returns an
// ErrRolledBack. shown is the consent that a message is about, nil for a checkpoint; after is the message's number. What
// a full disk leaves undone is found again at the next contact, since the evidence stays where it is. The caller holds commit.
func (r *Register) rolledBack(by policy.ControllerID, evidence []byte, shown *ended, after uint64) (over []ended, err error) {
	byLedger := map[policy.ControllerID][]ended{}
	r.mu.Lock()
	for id, g := range r.grants {
		if g.live {
			g.closing = ErrRolledBack
			r.shut(g, ErrRolledBack)
			byLedger[g.tuple.Controller] = append(byLedger[g.tuple.Controller], ended{id, g.tuple})
		}
	}
	r.mu.Unlock()
	now, _ := r.now()
	errs := []error{ErrRolledBack}
	for _, controller := range slices.Sorted(maps.Keys(byLedger)) {
		if r.ledgers[controller].damage != nil {
			continue // its consents do not count already
		}
		list := byLedger[controller]
		slices.SortFunc(list, func(a, b ended) int { return cmp.Compare(a.tuple.String(), b.tuple.String()) })
		if err := r.invalidate(controller, list, now, by, evidence, shown, after); err != nil && !durable.Replaced(err) {
			errs = append(errs, err)
			continue
		}
		over = append(over, list...)
	}
	if shown != nil {
		errs = append(errs, r.skipTo(shown.consent, after))
	}
	return over, errors.Join(errs...)
}

// invalidate records the end of consents of one ledger and destroys their data keys.
func (r *Register) invalidate(controller policy.ControllerID, list []ended, now int64, by policy.ControllerID, evidence []byte, shown *ended, after uint64) error {
	c := &change{keys: func(s *keyring.State) error { destroy(s, list); return nil }}
	for _, e := range list {
		from := uint64(0)
		if shown != nil && e.consent == shown.consent {
			from = after
		}
		rec, err := r.farewellAfter(e.tuple, e.consent, EventInvalidated, false, now, agentItself, from)
		if err != nil {
			return err
		}
		rec.Cause = CauseRolledBack
		if by == controller && (shown == nil || e.consent == shown.consent) {
			rec.Evidence = evidence
		}
		c.records = append(c.records, rec)
	}
	return r.put(controller, now, c)
}

// skipTo makes the next message of a consent be numbered beyond the latest one that is known to be signed.
func (r *Register) skipTo(consent wire.UUID, number uint64) error {
	behind := false
	r.ring.View(func(s *keyring.State) {
		g := s.Grants[consent]
		behind = g != nil && g.Sequence < number
	})
	if !behind {
		return nil
	}
	return r.ring.Update(func(s *keyring.State) error {
		s.Grants[consent].Sequence = number
		return nil
	})
}

// ErrOtherLedger says that a kept checkpoint is of no ledger that is or was here. Nothing can be said about its signature.
var ErrOtherLedger = errors.New("no ledger here has that name: it is another device's or person's, or this state was put back to before the ledger began")

// Held is what a checkpoint, or a proof with one, that somebody kept says about a ledger here.
type Held struct {
	Controller policy.ControllerID
	Generation uint64
	Kept       proof.Checkpoint // as it was kept
	Now        proof.Checkpoint // the same ledger as it is now
	// Restarted says that the ledger was damaged since and that another has taken its place.
	Restarted bool
}

// Compare compares a checkpoint, a tlog-proof or a proof of growth that the person kept with the ledger it is about. The
// ledger must begin with what was signed then; when it does not, or has fewer records, it was put back to an older state
// or is a fork: every consent is invalidated, as by Later, and the error is ErrRolledBack. ErrOtherLedger when no ledger here
// has ever had that name, ErrDamaged when the ledger itself is damaged, proof.ErrCheckpoint for a forged one.
func (r *Register) Compare(kept []byte) (Held, error) {
	held, over, err := r.compare(kept)
	r.call(&r.hooks.withdrawn, over)
	if err != nil {
		return held, fmt.Errorf("compare with what was kept: %w", err)
	}
	return held, nil
}

func (r *Register) compare(kept []byte) (held Held, over []ended, err error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	if r.closed {
		return held, nil, ErrClosed
	}
	origin := proof.UnverifiedOrigin(kept)
	if origin == "" {
		return held, nil, fmt.Errorf("%w: layout", proof.ErrCheckpoint)
	}
	var public ed25519.PublicKey
	r.ring.View(func(s *keyring.State) {
		for id, ls := range s.Ledgers {
			for i, one := range append([]*keyring.LedgerState{ls}, ls.Retired...) {
				key := ed25519.NewKeyFromSeed(one.Seed).Public().(ed25519.PublicKey)
				if proof.Origin(key) != origin {
					continue
				}
				public = key
				held = Held{Controller: id, Generation: one.Generation, Restarted: i > 0}
				held.Now = proof.Checkpoint{Origin: origin, Size: one.Size}
				copy(held.Now.Root[:], one.Root)
			}
		}
	})
	if public == nil {
		return held, nil, ErrOtherLedger
	}
	key, err := proof.Key(public)
	if err != nil {
		return held, nil, err
	}
	signed := kept
	if p, err := proof.ParseProof(kept); err == nil {
		signed = p.Checkpoint
	} else if g, err := proof.ParseGrowth(kept); err == nil {
		signed = g.Checkpoint
	}
	if held.Kept, err = proof.OpenCheckpoint(signed, key); err != nil {
		return held, nil, err
	}
	l := r.ledgers[held.Controller]
	switch {
	case held.Restarted:
		return held, nil, nil // what was lost with it has been invalidated
	case l.damage != nil:
		return held, nil, l.damage
	}
	if held.Kept.Size <= l.size {
		root, err := l.root(held.Kept.Size)
		if err != nil {
			return held, nil, err
		}
		if held.Kept.Size == 0 || [32]byte(root) == held.Kept.Root {
			return held, nil, nil
		}
	}
	over, err = r.rolledBack(held.Controller, signed, nil, 0)
	return held, over, err
}
