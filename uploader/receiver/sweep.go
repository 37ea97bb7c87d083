package receiver

import (
	"context"
	"database/sql"
	"math"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/policy"
)

// How long the receiver keeps its own records. What a person sent is kept as the policy says; a tombstone (consent id,
// pseudonym, time) is kept for ever with the signed answer, because only it makes a batch that comes years late refusable.
const (
	// EvidenceKept is how long the record of a consent is kept after it ended and nothing sent under it is held.
	EvidenceKept = 3 * 365 * 24 * time.Hour
	// AccessesKept is how long the record of accesses is kept.
	AccessesKept = 3 * 365 * 24 * time.Hour
)

// SweepEvery is how often a running receiver sweeps.
const SweepEvery = time.Hour

// Swept counts what a sweep removed.
type Swept struct {
	Batches  int // bodies erased
	Keys     int // keys destroyed because nothing is held under them any more
	Consents int // records of consents that ended long ago
	Accesses int
}

// Sweep enforces retention: it erases what has been kept as long as the policy says, by the policy of the time it arrived or
// the one now, whichever is shorter, and what was to be kept only as long as a consent that has ended. It also ends an epoch
// whose time is over. It is one transaction: all of it or nothing.
func (rv *Receiver) Sweep(ctx context.Context) (Swept, error) {
	var s Swept
	now := rv.cfg.Now()
	err := rv.cfg.Store.update(ctx, func(tx *sql.Tx) (err error) {
		s, err = rv.sweep(tx, now)
		return err
	})
	return s, err
}

func (rv *Receiver) sweep(tx queryer, now time.Time) (Swept, error) {
	var s Swept
	consents, err := collect(tx, func(r *sql.Rows) (agreement, error) { return scanAgreement(r) },
		agreementColumns+"WHERE EXISTS (SELECT 1 FROM batches b WHERE b.consent = c.id AND b.held)")
	if err != nil {
		return s, err
	}
	for _, a := range consents {
		erased, err := rv.sweepConsent(tx, a, now)
		if err != nil {
			return s, err
		}
		s.Batches += erased
	}
	at := now.Unix()
	steps := []struct {
		count *int
		query string
		args  []any
	}{
		{nil, "DELETE FROM matches WHERE NOT EXISTS (SELECT 1 FROM batches b WHERE b.consent = matches.consent AND b.held)", nil},
		{&s.Keys, "DELETE FROM keys WHERE NOT EXISTS (SELECT 1 FROM batches b WHERE b.consent = keys.consent AND b.held)", nil},
		// Of a consent that has ended, no batch is accepted any more, so its batches' ids need not be known.
		{nil, `DELETE FROM batches WHERE NOT held AND consent IN (SELECT c.id FROM consents c LEFT JOIN tombstones t ON t.consent = c.id
			WHERE c.expiry <= ? OR t.consent IS NOT NULL)`, []any{at}},
		{&s.Consents, `DELETE FROM consents WHERE NOT EXISTS (SELECT 1 FROM batches b WHERE b.consent = consents.id AND b.held)
			AND (expiry <= ?1 OR id IN (SELECT consent FROM tombstones WHERE withdrawn <= ?1))`, []any{now.Add(-EvidenceKept).Unix()}},
		{nil, "DELETE FROM receipts WHERE kind = 'consent' AND consent NOT IN (SELECT id FROM consents)", nil},
		{nil, "UPDATE approvals SET evidence = NULL WHERE evidence IS NOT NULL AND consent NOT IN (SELECT id FROM consents)", nil},
		{nil, "DELETE FROM latest WHERE NOT withdrawal AND consent NOT IN (SELECT id FROM consents)", nil},
		{&s.Accesses, "DELETE FROM accesses WHERE time <= ?", []any{now.Add(-AccessesKept).Unix()}},
	}
	for _, step := range steps {
		n, err := changed(tx, step.query, step.args...)
		if err != nil {
			return s, err
		}
		if step.count != nil {
			*step.count = n
		}
	}
	if err := sweepCases(tx, now); err != nil {
		return s, err
	}
	if err := rv.sweepAnswers(tx, now); err != nil {
		return s, err
	}
	var epochs int
	if err := tx.QueryRow("SELECT count(*) FROM epochs").Scan(&epochs); err != nil || epochs == 0 {
		return s, err // a controller that matches no contacts has none
	}
	_, err = rv.epoch(tx, now)
	return s, err
}

// sweepConsent erases what is held under one consent for long enough.
func (rv *Receiver) sweepConsent(tx queryer, a agreement, now time.Time) (int, error) {
	ended := a.Withdrawn != 0 || a.Expiry <= now.Unix()
	if ended && rv.keptUntilWithdrawn(a) {
		return eraseBodies(tx, a.ID)
	}
	oldest := int64(math.MinInt64)
	if e, err := rv.cfg.Policy.Effective(a.Category, a.Purpose); err == nil {
		oldest = oldestKept(e.Purpose.Kept, now)
	}
	return changed(tx, "UPDATE batches SET sealed = NULL, held = 0 WHERE consent = ? AND held AND (until <= ? OR received <= ?)",
		a.ID[:], now.Unix(), oldest)
}

// oldestKept is the time before which nothing is kept.
func oldestKept(r policy.Retention, now time.Time) int64 {
	if r.For <= 0 {
		return math.MinInt64
	}
	return now.Add(-r.For).Unix()
}

// Keep sweeps at once and then every SweepEvery until ctx ends. A sweep that fails is logged and tried again.
func (rv *Receiver) Keep(ctx context.Context) {
	tick := time.NewTicker(SweepEvery)
	defer tick.Stop()
	for {
		s, err := rv.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			rv.cfg.Log.Error("cannot sweep", zap.Error(err))
		case s != (Swept{}):
			rv.cfg.Log.Info("swept", zap.Int("batches", s.Batches), zap.Int("keys", s.Keys), zap.Int("consents", s.Consents), zap.Int("accesses", s.Accesses))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
