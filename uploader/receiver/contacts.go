package receiver

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// EpochLife is how long an epoch key serves. Digests under two epochs cannot be compared, so this bounds for how long
// the same person's digest stays the same.
const EpochLife = 180 * 24 * time.Hour

// Epoch returns the epoch in force at now with its key. It makes one when there is none, when the last has ended, and
// when this program spells identifiers by other rules: the ended one's key goes, and with it the digests of
// registered users and the matches that were made under it, which must be added and sent again.
func (s *Store) Epoch(ctx context.Context, now time.Time) (wire.Epoch, error) {
	var e wire.Epoch
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		e, err = s.epoch(tx, now)
		return err
	})
	return e, err
}

// Rotate ends the epoch in force and returns a new one.
func (s *Store) Rotate(ctx context.Context, now time.Time) (wire.Epoch, error) {
	var e wire.Epoch
	err := s.update(ctx, func(tx *sql.Tx) error {
		old, err := s.epoch(tx, now)
		if err != nil {
			return err
		}
		e, err = s.newEpoch(tx, old.ID+1, now)
		return err
	})
	return e, err
}

func (s *Store) epoch(tx queryer, now time.Time) (wire.Epoch, error) {
	e := wire.Epoch{Mode: "keyed", Length: hasher.DigestSize}
	var sealed []byte
	err := tx.QueryRow("SELECT id, not_before, not_after, form, sealed FROM epochs ORDER BY id DESC LIMIT 1").
		Scan(&e.ID, &e.NotBefore, &e.NotAfter, &e.Form, &sealed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return s.newEpoch(tx, 1, now)
	case err != nil:
		return wire.Epoch{}, err
	case e.NotAfter <= now.Unix() || e.Form != canonical.PhoneForm:
		return s.newEpoch(tx, e.ID+1, now)
	}
	e.Key, err = open(s.master, sealed, "epoch")
	return e, err
}

func (s *Store) newEpoch(tx queryer, id uint, now time.Time) (wire.Epoch, error) {
	e := wire.Epoch{
		ID: id, NotBefore: now.Unix(), NotAfter: now.Add(EpochLife).Unix(), Mode: "keyed", Length: hasher.DigestSize,
		Form: canonical.PhoneForm, Key: make([]byte, hasher.EpochKeySize),
	}
	rand.Read(e.Key)
	for _, q := range []string{
		"DELETE FROM epochs", "DELETE FROM users", "DELETE FROM matches",
		"UPDATE batches SET held = 0 WHERE held AND sealed IS NULL",
	} {
		if _, err := tx.Exec(q); err != nil {
			return wire.Epoch{}, err
		}
	}
	_, err := tx.Exec("INSERT INTO epochs (id, not_before, not_after, form, sealed) VALUES (?, ?, ?, ?, ?)",
		e.ID, e.NotBefore, e.NotAfter, e.Form, s.master.Seal(nil, nil, e.Key, bound("epoch")))
	return e, err
}

// getEpoch: GET /v1/contacts/epoch, for a connection whose consent for a contacts purpose is in force.
func (rv *Receiver) getEpoch(_ http.ResponseWriter, r *http.Request, c caller) (answer, error) {
	now := rv.cfg.Now()
	var body []byte
	err := rv.cfg.Store.update(r.Context(), func(tx *sql.Tx) error {
		if err := rv.mayMatch(tx, c, now); err != nil {
			return err
		}
		e, err := rv.epoch(tx, now)
		if err != nil {
			return err
		}
		body, err = wire.Marshal(e)
		return err
	})
	return answer{"application/cbor", body}, err
}

// epoch is Store.epoch; it tells the operator, who alone can do something about it, when a new one has begun.
func (rv *Receiver) epoch(tx queryer, now time.Time) (wire.Epoch, error) {
	e, err := rv.cfg.Store.epoch(tx, now)
	if err == nil {
		if last := rv.lastEpoch.Swap(uint64(e.ID)); last != 0 && last != uint64(e.ID) {
			rv.cfg.Log.Warn("a new epoch has begun: registered users must be added again", zap.Uint("epoch", e.ID))
		}
	}
	return e, err
}

// mayMatch returns nil when one of the caller's consents for contacts is in force, and otherwise why the last is not.
func (rv *Receiver) mayMatch(tx queryer, c caller, now time.Time) error {
	list, err := agreementsOf(tx, c.pseudonym)
	if err != nil {
		return err
	}
	why := error(refuse(wire.ProblemConsentUnknown, "no consent for contacts was given with this key"))
	for _, a := range list {
		e, err := rv.inForce(a, a.Subtree, now)
		switch {
		case err != nil:
			why = err
		case e.Purpose.Minimiser.Name == policy.MinimiseContacts:
			return nil
		}
	}
	if len(list) == 0 {
		var dead int
		if err := tx.QueryRow("SELECT count(*) FROM tombstones WHERE pseudonym = ?", c.pseudonym[:]).Scan(&dead); err != nil {
			return err
		}
		if dead > 0 {
			return refuse(wire.ProblemConsentWithdrawn, "this consent was withdrawn")
		}
	}
	return why
}

// matchContacts looks up which digests of a contacts batch belong to registered users and keeps those; all others are
// forgotten here, before anything is written. A batch holds whole sets: the last one replaces what was kept before.
func (rv *Receiver) matchContacts(tx queryer, in incoming, e policy.Effective) ([]byte, error) {
	s := rv.cfg.Store
	epoch, err := rv.epoch(tx, in.now)
	if err != nil {
		return nil, err
	}
	var digests []byte
	for i, item := range in.batch.Items {
		if digests, err = checkSet(item.Fields, epoch, e.Purpose.Minimiser.PadFrom); err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
	}
	kept, users, err := match(tx, epoch.ID, digests)
	if err != nil {
		return nil, err
	}
	consent := in.batch.Consent
	if _, err := tx.Exec("UPDATE batches SET held = 0 WHERE consent = ?", consent[:]); err != nil {
		return nil, err
	}
	if _, err := tx.Exec("DELETE FROM matches WHERE consent = ?", consent[:]); err != nil {
		return nil, err
	}
	if users > 0 {
		key, err := s.consentKey(tx, consent, true)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec("INSERT INTO matches (consent, epoch, sealed) VALUES (?, ?, ?)",
			consent[:], epoch.ID, key.Seal(nil, nil, kept, bound("matches", consent))); err != nil {
			return nil, err
		}
	}
	return rv.insertBatch(tx, in, e, nil, users > 0, users)
}

// checkSet returns the digests of one set, which must be under this epoch, sorted, without duplicates, and padded to a size
// class: a set that is not would tell how many contacts there are.
func checkSet(fields map[string]any, epoch wire.Epoch, padFrom int) ([]byte, error) {
	digests, ok1 := fields["digests"].([]byte)
	id, ok2 := fields["epoch"].(int64)
	form, ok3 := fields["form"].(int64)
	if !ok1 || !ok2 || !ok3 {
		return nil, refuse(wire.ProblemMalformed, "a set of digests needs digests, epoch and form")
	}
	if id != int64(epoch.ID) || form != int64(epoch.Form) {
		return nil, refuse(wire.ProblemWrongEpoch, "the digests were made under another epoch or form than the one in force")
	}
	n := len(digests) / hasher.DigestSize
	if len(digests)%hasher.DigestSize != 0 || n < max(padFrom, hasher.MinPadded) || bits.OnesCount(uint(n)) != 1 {
		return nil, refuse(wire.ProblemMalformed, "the set is not padded to a size class")
	}
	for i := hasher.DigestSize; i < len(digests); i += hasher.DigestSize {
		if bytes.Compare(digests[i-hasher.DigestSize:i], digests[i:i+hasher.DigestSize]) >= 0 {
			return nil, refuse(wire.ProblemMalformed, "the digests are not sorted without duplicates")
		}
	}
	return digests, nil
}

// lookups is how many digests one statement looks up.
const lookups = 500

// match returns the digests that belong to registered users, and how many users these are.
func match(tx queryer, epoch uint, digests []byte) (kept []byte, users int, err error) {
	type hit struct {
		digest []byte
		name   string
	}
	names := map[string]bool{}
	for set := range slices.Chunk(digests, lookups*hasher.DigestSize) {
		args := []any{epoch}
		for d := range slices.Chunk(set, hasher.DigestSize) {
			args = append(args, d)
		}
		hits, err := collect(tx, func(rows *sql.Rows) (h hit, err error) {
			return h, rows.Scan(&h.digest, &h.name)
		}, "SELECT digest, name FROM users WHERE epoch = ? AND digest IN (?"+strings.Repeat(",?", len(args)-2)+") ORDER BY digest", args...)
		if err != nil {
			return nil, 0, err
		}
		for _, h := range hits {
			kept = append(kept, h.digest...)
			names[h.name] = true
		}
	}
	return kept, len(names), nil
}

// Matches returns the kept digests of a consent, hasher.DigestSize bytes each, and the epoch they are under. It is an
// access and recorded as one.
func (s *Store) Matches(ctx context.Context, consent wire.UUID, who Accessor) (digests []byte, epoch uint, err error) {
	err = s.update(ctx, func(tx *sql.Tx) error {
		if err := who.record(tx, "matches of consent "+consent.String()); err != nil {
			return err
		}
		digests, epoch, err = s.matches(tx, consent)
		return err
	})
	return digests, epoch, err
}

func (s *Store) matches(tx queryer, consent wire.UUID) (digests []byte, epoch uint, err error) {
	var sealed []byte
	err = tx.QueryRow("SELECT epoch, sealed FROM matches WHERE consent = ?", consent[:]).Scan(&epoch, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, err
	}
	key, err := s.consentKey(tx, consent, false)
	if err != nil {
		return nil, 0, err
	}
	digests, err = open(key, sealed, "matches", consent)
	return digests, epoch, err
}
