package consent

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// change is one atomic change: records of one ledger and what they do to the keys.
type change struct {
	records []*Record
	keys    func(*keyring.State) error // may be nil
	restart bool                       // begin a new generation of the ledger first
}

// must reports whether the change has to be possible although the ledger is nearly full.
func (c *change) must() bool {
	for _, rec := range c.records {
		switch rec.Event {
		case EventRequested, EventDeferred, EventGiven:
			return false
		}
	}
	return true
}

// record returns a record about a tuple with what every record says.
func (r *Register) record(t policy.Tuple, e Event, who Actor, now int64) *Record {
	contact := ""
	if c, err := r.doc.Controller(t.Controller); err == nil {
		contact = c.Contact
	}
	return &Record{
		Version: RecordVersion, Event: e, Contact: contact, Time: now, Subject: t.Subject, Controller: t.Controller, Category: t.Category,
		Purpose: t.Purpose, PolicyID: r.doc.ID, PolicyVersion: uint(max(r.doc.Version, 0)), Actor: who,
	}
}

// refer makes a record that shows no notice itself say which notice and which terms it is about, so that it can be
// understood on its own: those of the consent that it ends, or of the question that it answers.
func (r *Register) refer(rec *Record) {
	if rec.Notice != (Notice{}) || rec.Event == EventRequested || rec.Event == EventAcknowledged {
		return
	}
	if g := r.grants[rec.Consent]; g != nil {
		rec.Subtree, rec.Notice = g.subtree, Notice{Lang: g.notice.Lang, SHA256: g.notice.SHA256}
		return
	}
	if !rec.Consent.IsZero() {
		return
	}
	if t := r.tuples[rec.Tuple()]; t != nil && t.asked {
		rec.Subtree, rec.Notice = t.terms, Notice{Lang: t.shown.Lang, SHA256: t.shown.SHA256}
	} else if eff, err := r.doc.Effective(rec.Category, rec.Purpose); err == nil && eff.Controller.ID == rec.Controller {
		rec.Terms = eff.Terms().Encode() // refused without having been asked
		rec.Subtree = wire.HashOf(rec.Terms)
	}
}

// put makes a change durable and lets it take effect in memory: one update of the ring, which is the commit
// point, then the ledger's file. When only the file cannot be written, the change stands and its records wait in the ring.
// An error for which durable.Replaced holds comes with a change that is in force. The caller holds commit.
func (r *Register) put(controller policy.ControllerID, now int64, c *change) error {
	l := r.ledgers[controller]
	if l.damage != nil && !c.restart {
		return l.damage
	}
	if r.closed {
		return ErrClosed
	}
	if l.problem != nil {
		r.flush(l, c.must())
		if l.damage != nil && !c.restart {
			return l.damage
		}
	}
	fresh := l
	if c.restart {
		fresh = &ledger{dir: l.dir, controller: l.controller, generation: l.generation + 1}
		for fresh.taken() {
			fresh.generation++
		}
	}
	if limit := uint64(MaxRecords - reservedRecords); fresh.size+uint64(len(c.records)) > limit &&
		(!c.must() || fresh.size+uint64(len(c.records)) > MaxRecords) {
		return fmt.Errorf("%s: %w", controller, ErrFull)
	}

	size, hashed, frames := fresh.size, len(fresh.hashes), slices.Clone(fresh.pending)
	update := r.ring.UpdateIfRoom // what is left of a full disk is for taking back
	if c.must() {
		update = r.ring.Update
	}
	err := update(func(s *keyring.State) error {
		ls := s.Ledgers[controller]
		if ls == nil || c.restart {
			next := &keyring.LedgerState{
				Generation: fresh.generation, Seed: keyring.NewKey(), RecordKeys: map[uint64]keyring.Secret{},
			}
			if ls != nil {
				next.Retired, next.Tombstones = append(ls.Retired, ls), ls.Tombstones
				ls.Retired, ls.Pending, ls.Tombstones = nil, nil, nil
			}
			s.Ledgers[controller], ls = next, next
		}
		if ls.Size != size || ls.Generation != fresh.generation {
			return fmt.Errorf("%s: %w: the key ring was changed by somebody else", controller, ErrDamaged)
		}
		fresh.public = ed25519.NewKeyFromSeed(ls.Seed).Public().(ed25519.PublicKey)
		for i, rec := range c.records {
			rec.Seq, rec.Counter = size+uint64(i), s.Counter+1
			r.refer(rec)
			key := keyring.NewKey()
			frame, leaf, err := sealFrame(controller, fresh.generation, rec, key)
			if err != nil {
				return err
			}
			if err := fresh.addLeaf(rec.Seq, leaf); err != nil {
				return err
			}
			ls.RecordKeys[rec.Seq] = key
			frames = append(frames, frame)
			if g := s.Grants[rec.Consent]; g != nil && len(rec.Message) > 0 {
				g.Sequence, g.Latest = rec.sequence, wire.HashOf(rec.Message)
			}
		}
		waiting := 0
		for _, f := range frames {
			waiting += len(f)
		}
		if waiting > maxPending {
			return fmt.Errorf("%s: %w: its file cannot be written", controller, ErrFull)
		}
		var err error
		ls.Size, ls.Pending = size+uint64(len(c.records)), frames
		if ls.Root, err = fresh.root(ls.Size); err != nil {
			return err
		}
		r.remember(s, controller)
		s.HighWater = max(s.HighWater, now)
		s.PolicyVersion = max(s.PolicyVersion, r.doc.Version)
		if c.keys != nil {
			return c.keys(s)
		}
		return nil
	})
	if err != nil && !durable.Replaced(err) {
		fresh.hashes = fresh.hashes[:hashed]
		return err
	}
	fresh.size, fresh.pending = size+uint64(len(c.records)), frames
	r.mu.Lock()
	if c.restart {
		l.close()
		r.ledgers[controller] = fresh
		r.forget(controller)
	}
	for _, rec := range c.records {
		r.apply(rec)
	}
	r.renewLeases()
	r.mu.Unlock()
	r.saved = max(r.saved, now)
	r.flush(fresh, c.must())
	return err
}

// flush brings a ledger's file up to the ring. A failure is shown by Problems and the flush repeated with the next change, by
// Sweep, and at the next start, while the records wait in the ring; a file that somebody has shortened is damage.
// With must the reserve of space is given up for it.
func (r *Register) flush(l *ledger, must bool) {
	err := l.flush()
	if must && durable.IsFull(err) {
		err = r.ring.Reserve().Do(l.flush)
	}
	if !errors.Is(err, ErrDamaged) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l.damage = err
	for _, g := range r.grants {
		if g.tuple.Controller == l.controller {
			r.shut(g, err)
		}
	}
}

// taken reports whether the file of this generation exists.
func (l *ledger) taken() bool { return slices.Contains(l.files(), l.path()) }

// forget drops what the records of a damaged ledger said. The caller holds mu.
func (r *Register) forget(controller policy.ControllerID) {
	for id, g := range r.grants {
		if g.tuple.Controller == controller {
			r.shut(g, ErrDamaged)
			delete(r.grants, id)
		}
	}
	for t := range r.tuples {
		if t.Controller == controller {
			delete(r.tuples, t)
		}
	}
	for key := range r.outbox {
		if key.controller == controller {
			delete(r.outbox, key)
		}
	}
}

// ended is a consent whose data key a change destroys.
type ended struct {
	consent wire.UUID
	tuple   policy.Tuple
}

// destroy destroys the data keys of consents.
func destroy(s *keyring.State, over []ended) {
	for _, e := range over {
		if g := s.Grants[e.consent]; g != nil {
			g.DestroyData()
		}
	}
}

// farewell returns the record that ends a consent with the signed message that tells its controller so.
func (r *Register) farewell(t policy.Tuple, consent wire.UUID, e Event, erase bool, now int64, who Actor) (*Record, error) {
	return r.farewellAfter(t, consent, e, erase, now, who, 0)
}

// farewellAfter is farewell with a message that is numbered beyond after.
func (r *Register) farewellAfter(t policy.Tuple, consent wire.UUID, e Event, erase bool, now int64, who Actor, after uint64) (*Record, error) {
	rec := r.record(t, e, who, now)
	rec.Consent, rec.Clear = consent, erase
	var err error
	rec.Message, rec.sequence, err = r.sign(consent, after, func(n uint64) any {
		return wire.Withdrawal{Consent: consent, Controller: string(t.Controller), Time: now, Clear: erase, Sequence: n}
	})
	if errors.Is(err, keyring.ErrNoKey) {
		err = nil // only damage gets here; the end of a consent must not depend on it
	}
	return rec, err
}

// sign returns a message, signed under the identity of a consent, with its number: one more than that of the latest
// message about this consent, and more than after. put brings the number into the ring.
func (r *Register) sign(consent wire.UUID, after uint64, message func(number uint64) any) (signed []byte, number uint64, err error) {
	key, err := r.ring.Identity(consent)
	if err != nil {
		return nil, 0, err
	}
	defer clear(key)
	r.ring.View(func(s *keyring.State) {
		if g := s.Grants[consent]; g != nil {
			number = g.Sequence
		}
	})
	number = max(number, after) + 1
	signed, err = wire.Sign(key, message(number))
	return signed, number, err
}

// Problems returns, per controller, why records wait in the key ring instead of being in the ledger's file, or why a
// ledger does not count. It is empty when all is well.
func (r *Register) Problems() map[policy.ControllerID]error {
	r.commit.Lock()
	defer r.commit.Unlock()
	out := map[policy.ControllerID]error{}
	for id, l := range r.ledgers {
		if err := errors.Join(l.damage, l.problem); err != nil {
			out[id] = err
		}
	}
	return out
}
