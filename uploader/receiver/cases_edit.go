package receiver

import (
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// correct changes the stored items that a correction is about: each batch is opened, changed and sealed again.
func (rv *Receiver) correct(tx queryer, m wire.Case, now time.Time) (outcome, error) {
	a, ok, err := agreementOf(tx, m.Consent)
	if err != nil {
		return outcome{}, err
	}
	if !ok || a.Withdrawn != 0 || a.Expiry <= now.Unix() {
		return refusedCase(wire.ReasonConsentEnded, ""), nil
	}
	e, err := rv.cfg.Policy.Effective(a.Category, a.Purpose)
	if err != nil || string(a.Category) != m.Category || string(a.Purpose) != m.Purpose {
		return refusedCase(wire.ReasonUndeclared, ""), nil
	}
	if e.Purpose.Collect.Mode != policy.ModeSubmitted {
		return refusedCase(wire.ReasonNotCorrectable, ""), nil
	}
	for name := range m.Fields {
		switch f, err := e.Field(name); {
		case err != nil:
			return refusedCase(wire.ReasonUndeclared, ""), nil
		case f.Immutable, name == itemField:
			return refusedCase(wire.ReasonImmutable, ""), nil
		}
	}
	if e.CheckReport(m.Fields) != nil {
		return refusedCase(wire.ReasonInvalid, ""), nil
	}
	n, err := rv.cfg.Store.editBatches(tx, m.Consent, func(it wire.Item) (map[string]any, bool) { return m.Apply(it, nil) })
	return counted(n, wire.ReasonFulfilled), err
}

// itemField names an item; it cannot be given another name by a correction.
const itemField = "item"

func counted(n int, reason wire.CaseReason) outcome {
	if n == 0 && reason == wire.ReasonFulfilled {
		reason = wire.ReasonNothingHeld
	}
	return outcome{state: wire.CaseDone, reason: reason, items: n}
}

// eraseSelected erases what an erasure selects. Fields that the policy declares immutable are left, and refused where they are named.
func (rv *Receiver) eraseSelected(tx queryer, m wire.Case) (outcome, error) {
	var immutable []string
	contacts := false
	a, ok, err := agreementOf(tx, m.Consent)
	if err != nil {
		return outcome{}, err
	}
	if ok {
		if e, err := rv.cfg.Policy.Effective(a.Category, a.Purpose); err == nil {
			for _, f := range e.Fields() {
				if f.Immutable {
					immutable = append(immutable, f.Name)
				}
			}
			contacts = e.Purpose.Minimiser.Name == policy.MinimiseContacts
		}
	}
	if slices.ContainsFunc(m.Names, func(name string) bool { return slices.Contains(immutable, name) }) {
		return refusedCase(wire.ReasonImmutable, ""), nil
	}
	if contacts {
		n, err := eraseContacts(tx, m)
		return counted(n, wire.ReasonFulfilled), err
	}
	reason := wire.ReasonFulfilled
	n, err := rv.cfg.Store.editBatches(tx, m.Consent, func(it wire.Item) (map[string]any, bool) {
		left, change := m.Apply(it, immutable)
		if len(m.Names) == 0 && len(left) > 0 {
			reason = wire.ReasonImmutableKept
		}
		return left, change
	})
	return counted(n, reason), err
}

// eraseContacts erases the matches of an address book: they have no items, so a selector takes all or none, by the time at which
// the latest of them came.
func eraseContacts(tx queryer, m wire.Case) (int, error) {
	if m.Item != "" {
		return 0, nil
	}
	until := m.Until
	if until == 0 {
		until = 1<<62 - 1
	}
	n, err := changed(tx, "UPDATE batches SET sealed = NULL, held = 0 WHERE consent = ? AND held AND received >= ? AND received < ?", m.Consent[:], m.From, until)
	if err != nil || n == 0 {
		return n, err
	}
	_, err = tx.Exec("DELETE FROM matches WHERE consent = ?1 AND NOT EXISTS (SELECT 1 FROM batches WHERE consent = ?1 AND held)", m.Consent[:])
	return n, err
}

// editBatches calls edit with every item held under a consent. What edit changes is replaced: an item of which no field is left goes,
// and so does a batch of which no item is left. It returns how many items were changed. The batches' ids and hashes stay, so that
// one that is sent again is not stored again.
func (s *Store) editBatches(tx queryer, consent wire.UUID, edit func(wire.Item) (fields map[string]any, change bool)) (int, error) {
	ids, err := batchIDs(tx, consent)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	key, err := s.consentKey(tx, consent, false)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, id := range ids {
		var sealed []byte
		if err := tx.QueryRow("SELECT sealed FROM batches WHERE id = ?", id[:]).Scan(&sealed); err != nil {
			return 0, err
		}
		body, err := open(key, sealed, "batch", id, consent)
		if err != nil {
			return 0, err
		}
		b, err := unpack(body)
		if err != nil {
			return 0, err
		}
		n := b.Edit(edit)
		if total += n; n == 0 {
			continue
		}
		if len(b.Items) == 0 {
			if _, err := tx.Exec("UPDATE batches SET sealed = NULL, held = 0 WHERE id = ?", id[:]); err != nil {
				return 0, err
			}
			continue
		}
		if body, err = wire.Pack(b); err != nil {
			return 0, err
		}
		if _, err := tx.Exec("UPDATE batches SET sealed = ?, items = ? WHERE id = ?",
			key.Seal(nil, nil, body, bound("batch", id, consent)), len(b.Items), id[:]); err != nil {
			return 0, err
		}
	}
	return total, nil
}
