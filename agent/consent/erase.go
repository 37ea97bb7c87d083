package consent

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// ErrNeeded says that the body of a record cannot be erased yet, because what holds now rests on it.
var ErrNeeded = errors.New("the record is still needed")

// TombstoneTerm is how long a tombstone of a withdrawal or an erasure survives the record: as long as somebody may still
// claim that there was none, three years under the Civil Code of China (article 188) and the usual term elsewhere.
const TombstoneTerm = 3 * 365 * 24 * time.Hour

// EraseBody erases the bodies of records: their keys go, in one replacement of the key ring, so all or none. What
// remains is the leaf in the tree, so that every proof made before stays true, and of a withdrawal or an erasure a
// tombstone for TombstoneTerm. It is idempotent.
//
// A record can be erased when nothing rests on it any more: its consent is over, the controller has confirmed all
// that was asked (so the consent's keys are gone), and the ledger says the same without it about every consent, question
// and quiet period. Records that only make sense together go together, or oldest first. ErrNeeded otherwise, and
// nothing is erased; ErrNoRecord, ErrNoLedger, ErrDamaged.
func (r *Register) EraseBody(controller policy.ControllerID, seqs ...uint64) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	if err := r.eraseBodies(controller, seqs); err != nil {
		return fmt.Errorf("erase record: %w", err)
	}
	return nil
}

// EraseAll erases the bodies of all records of a controller, those of generations before a damaged one included, which can be read by nobody
// else. It is for an account that was closed. It is idempotent; nil when there is no ledger. Otherwise as EraseBody.
func (r *Register) EraseAll(controller policy.ControllerID) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	readable, retired := false, false
	var seqs []uint64
	r.ring.View(func(s *keyring.State) {
		if ls := s.Ledgers[controller]; ls != nil {
			readable = len(ls.RecordKeys) > 0
			for seq := range ls.Size {
				seqs = append(seqs, seq)
			}
			retired = slices.ContainsFunc(ls.Retired, func(old *keyring.LedgerState) bool { return len(old.RecordKeys) > 0 })
		}
	})
	if readable {
		if err := r.eraseBodies(controller, seqs); err != nil {
			return fmt.Errorf("erase records: %w", err)
		}
	}
	if !retired {
		return nil
	}
	err := r.ring.Update(func(s *keyring.State) error {
		for _, old := range s.Ledgers[controller].Retired {
			for _, key := range old.RecordKeys {
				clear(key)
			}
			clear(old.RecordKeys)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("erase records: %w", err)
	}
	return nil
}

func (r *Register) eraseBodies(controller policy.ControllerID, seqs []uint64) error {
	l, err := r.provable(controller)
	if err != nil {
		return err
	}
	records, err := r.readable(l)
	if err != nil {
		return err
	}
	gone := map[uint64]bool{}
	for _, seq := range seqs {
		if seq >= uint64(len(records)) {
			return fmt.Errorf("%s: record %d of %d: %w", controller, seq, len(records), ErrNoRecord)
		}
		if !records[seq].Erased {
			gone[seq] = true
		}
	}
	if len(gone) == 0 {
		return r.ring.Flush()
	}
	now, _ := r.now()
	var forgotten []policy.Tuple
	r.mu.RLock()
	for _, seq := range slices.Sorted(maps.Keys(gone)) {
		if err = r.settledWith(records[seq]); err != nil {
			break
		}
	}
	if err == nil {
		forgotten, err = r.same(controller, records, gone, now)
	}
	r.mu.RUnlock()
	if err != nil {
		return err
	}
	if err := r.ring.Update(func(s *keyring.State) error {
		ls := s.Ledgers[controller]
		if ls == nil || ls.Generation != l.generation {
			return fmt.Errorf("%s: %w: the key ring was changed by somebody else", controller, ErrDamaged)
		}
		for _, seq := range slices.Sorted(maps.Keys(gone)) {
			clear(ls.RecordKeys[seq])
			delete(ls.RecordKeys, seq)
			if t, ok := r.tombstone(l, records, seq, now); ok {
				ls.Tombstones = append(ls.Tombstones, t)
			}
		}
		s.HighWater = max(s.HighWater, now)
		return nil
	}); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range forgotten {
		delete(r.tuples, t)
	}
	for seq := range gone { // of a consent that is over; its keys went before
		delete(r.grants, records[seq].Consent)
	}
	return nil
}

// readable returns every record of a ledger, erased ones with their number alone. The caller holds commit.
func (r *Register) readable(l *ledger) (records []*Record, err error) {
	r.ring.View(func(s *keyring.State) {
		if ls := s.Ledgers[l.controller]; ls != nil {
			records, err = l.read(ls.RecordKeys)
		}
	})
	return records, err
}

// settledWith returns nil when the keys of a record's consent are gone, which is when its controller has confirmed all
// that was asked of it. The caller holds mu.
func (r *Register) settledWith(rec *Record) error {
	if rec.Consent.IsZero() {
		return nil
	}
	var err error
	r.ring.View(func(s *keyring.State) {
		switch g := s.Grants[rec.Consent]; {
		case g == nil:
		case r.grants[rec.Consent] != nil && r.grants[rec.Consent].live:
			err = fmt.Errorf("record %d: %w: its consent is given", rec.Seq, ErrNeeded)
		default:
			err = fmt.Errorf("record %d: %w: its controller may still have something of the consent to confirm or to erase", rec.Seq, ErrNeeded)
		}
	})
	return err
}

// same returns ErrNeeded unless the ledger says the same without the records that are to go; what it then no longer
// mentions at all is returned. The caller holds mu.
func (r *Register) same(controller policy.ControllerID, records []*Record, gone map[uint64]bool, now int64) (forgotten []policy.Tuple, err error) {
	with, without := replay(records, nil), replay(records, gone)
	for key, w := range with.outbox {
		if without.outbox[key] == nil {
			return nil, fmt.Errorf("record %d: %w: its message has not been answered", w.seq, ErrNeeded)
		}
	}
	if len(with.outbox) != len(without.outbox) {
		return nil, fmt.Errorf("%w: its message would be sent again", ErrNeeded)
	}
	for id, g := range without.grants {
		if g.live && (with.grants[id] == nil || !with.grants[id].live) {
			return nil, fmt.Errorf("%w: without it consent %s would not have ended", ErrNeeded, id)
		}
	}
	for id, g := range with.grants {
		if g.live && (without.grants[id] == nil || !without.grants[id].live) {
			return nil, fmt.Errorf("%w: consent %s is given", ErrNeeded, id)
		}
	}
	for t, p := range with.tuples {
		rest := without.tuples[t]
		if rest != nil {
			if rest.present() != p.present() {
				return nil, fmt.Errorf("%s: %w: it says what holds now; erase all of it, or what is older first", t, ErrNeeded)
			}
			continue
		}
		eff, err := r.doc.Effective(t.Category, t.Purpose)
		quiet := err == nil && p.noAt != 0 && now < p.noAt+int64(eff.Purpose.Quiet/time.Second)
		switch {
		case p.asked:
			return nil, fmt.Errorf("%s: %w: a question waits for an answer", t, ErrNeeded)
		case quiet:
			return nil, fmt.Errorf("%s: %w: the quiet period is not over", t, ErrNeeded)
		}
		forgotten = append(forgotten, t)
	}
	return forgotten, nil
}

// present is what a tuple says that still means something.
func (p tuple) present() tuple {
	if !p.asked {
		p.terms = wire.Hash{}
	}
	if p.status != Invalidated {
		p.why = nil
	}
	return p
}

// replay returns what the records say, without some of them. It is for comparison only.
func replay(records []*Record, without map[uint64]bool) *Register {
	r := &Register{tuples: map[policy.Tuple]*tuple{}, grants: map[wire.UUID]*grant{}, outbox: map[outboxKey]*waiting{}}
	for _, rec := range records {
		if !without[rec.Seq] {
			r.apply(rec)
		}
	}
	return r
}

// tombstone returns what survives a record; ok is false when nothing does.
func (r *Register) tombstone(l *ledger, records []*Record, seq uint64, now int64) (t keyring.Tombstone, ok bool) {
	rec := records[seq]
	if rec.Event != EventWithdrawn && rec.Event != EventErased {
		return t, false
	}
	t = keyring.Tombstone{
		Generation: l.generation, Seq: seq, Consent: rec.Consent, Event: string(rec.Event), Time: rec.Time, Clear: rec.Clear,
		Until: now + int64(TombstoneTerm/time.Second),
	}
	for _, answer := range records[seq+1:] {
		if answer.Event == EventAcknowledged && answer.RefersTo == seq {
			t.Confirmed = answer.Time
		}
	}
	return t, true
}

// Tombstones returns what is left of erased records of withdrawals and erasures, oldest first.
func (r *Register) Tombstones(controller policy.ControllerID) []keyring.Tombstone {
	var out []keyring.Tombstone
	r.ring.View(func(s *keyring.State) {
		if ls := s.Ledgers[controller]; ls != nil {
			out = slices.Clone(ls.Tombstones)
		}
	})
	return out
}

// bury drops the tombstones whose term is over.
func bury(s *keyring.State, now int64) {
	for _, ls := range s.Ledgers {
		ls.Tombstones = slices.DeleteFunc(ls.Tombstones, func(t keyring.Tombstone) bool { return t.Until <= now })
	}
}
