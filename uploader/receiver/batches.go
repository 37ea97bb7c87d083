package receiver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// unpack decompresses and decodes a batch, never more than wire.MaxPlain bytes.
func unpack(body []byte) (wire.Batch, error) {
	plain, err := wire.Decompress(body)
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		return wire.Batch{}, refuse(wire.ProblemTooLarge, "the body unpacks to more than %d bytes", wire.MaxPlain)
	case err != nil:
		return wire.Batch{}, refuse(wire.ProblemMalformed, "the body is not zstd")
	}
	b, err := wire.DecodeBatch(plain)
	if err != nil {
		return wire.Batch{}, refuse(wire.ProblemMalformed, "the body is not a batch of this schema")
	}
	return b, nil
}

// putBatch: PUT /v1/batches/{id}
func (rv *Receiver) putBatch(w http.ResponseWriter, r *http.Request, c caller) (answer, error) {
	id, err := pathUUID(r, "id")
	if err != nil {
		return answer{}, err
	}
	if known, err := rv.cfg.Store.knows(c.pseudonym); err != nil {
		return answer{}, err
	} else if !known {
		// No memory is spent on a stranger's body; it is read so that the client gets to reading the answer.
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, wire.MaxBody))
		return answer{}, errNotYours
	}
	named, err := namedChanges(r)
	if err != nil {
		return answer{}, err
	}
	body, err := readBody(w, r, wire.MaxBody, "zstd")
	if err != nil {
		return answer{}, err
	}
	// Not before the body is there: a slow client holds up nobody else.
	select {
	case rv.unpacking <- struct{}{}:
		defer func() { <-rv.unpacking }()
	case <-r.Context().Done():
		return answer{}, statusError{http.StatusServiceUnavailable, "the connection ended"}
	}
	b, err := unpack(body)
	if err != nil {
		return answer{}, err
	}
	if b.ID != id {
		return answer{}, refuse(wire.ProblemMalformed, "the batch has another id than the path")
	}
	in := incoming{batch: b, body: body, hash: wire.HashOf(body), now: rv.cfg.Now(), changes: named}
	var receipt []byte
	err = rv.cfg.Store.update(r.Context(), func(tx *sql.Tx) (err error) {
		receipt, err = rv.storeBatch(tx, in, c)
		return err
	})
	return receiptAnswer(receipt), err
}

// knows reports whether a pseudonym has ever given or withdrawn a consent.
func (s *Store) knows(p Pseudonym) (bool, error) {
	var n int
	err := s.db.QueryRow(`SELECT (SELECT count(*) FROM consents WHERE pseudonym = ?1) + (SELECT count(*) FROM tombstones WHERE pseudonym = ?1)`, p[:]).Scan(&n)
	return n > 0, err
}

// incoming is a batch on its way into the store.
type incoming struct {
	batch wire.Batch
	body  []byte // as sent
	hash  wire.Hash
	now   time.Time
	// changes is the number of changes that the device knew of when it sent it.
	changes uint64
}

// storeBatch checks and stores a batch in one transaction, so that no withdrawal can come between.
func (rv *Receiver) storeBatch(tx queryer, in incoming, c caller) ([]byte, error) {
	consent := in.batch.Consent
	if by, taken, err := owner(tx, consent); err != nil {
		return nil, err
	} else if !taken || by != c.pseudonym {
		return nil, errNotYours
	}
	if _, dead, err := tombstoneOf(tx, consent); err != nil {
		return nil, err
	} else if dead {
		return nil, refuse(wire.ProblemConsentWithdrawn, "this consent was withdrawn")
	}
	if receipt, err := storedAnswer(tx, in); receipt != nil || err != nil {
		return receipt, err
	}
	a, ok, err := agreementOf(tx, consent)
	if err != nil {
		return nil, err
	} else if !ok {
		return nil, errNotYours
	}
	e, err := rv.inForce(a, in.batch.Subtree, in.now)
	if err != nil {
		return nil, err
	}
	if err := in.current(tx); err != nil {
		return nil, err
	}
	if e.Purpose.Lane == policy.LaneAnalytics {
		return nil, refuse(wire.ProblemPolicyMismatch, "the policy sends this purpose without a consent id, in the analytics lane")
	}
	for i, item := range in.batch.Items {
		if err := checkFields(e, i, item); err != nil {
			return nil, err
		}
	}
	if e.Purpose.Minimiser.Name == policy.MinimiseContacts {
		return rv.matchContacts(tx, in, e)
	}
	key, err := rv.cfg.Store.consentKey(tx, consent, true)
	if err != nil {
		return nil, err
	}
	sealed := key.Seal(nil, nil, in.body, bound("batch", in.batch.ID, consent))
	return rv.insertBatch(tx, in, e, sealed, true, 0)
}

// storedAnswer returns the receipt of a batch that came before.
func storedAnswer(tx queryer, in incoming) ([]byte, error) {
	var body, receipt []byte
	err := tx.QueryRow("SELECT body, receipt FROM batches WHERE id = ?", in.batch.ID[:]).Scan(&body, &receipt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil && !bytes.Equal(body, in.hash[:]) {
		return nil, refuse(wire.ProblemBodyDiffers, "a batch with this id came before with other bytes")
	}
	return receipt, err
}

// inForce checks that a consent covers what is done under the named subtree at this time.
func (rv *Receiver) inForce(a agreement, subtree wire.Hash, now time.Time) (policy.Effective, error) {
	if a.Withdrawn != 0 {
		return policy.Effective{}, refuse(wire.ProblemConsentWithdrawn, "this consent was withdrawn")
	}
	if a.Expiry <= now.Unix() {
		return policy.Effective{}, refuse(wire.ProblemConsentExpired, "the consent has expired")
	}
	return rv.covers(a, subtree)
}

// checkFields refuses what the policy does not declare. The policy's errors name the field and hold no value; but
// the name of an undeclared field is the sender's and may be a value in disguise, so one with a digit is not repeated.
func checkFields(e policy.Effective, i int, item wire.Item) error {
	err := e.CheckFields(item.Fields)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, policy.ErrUndeclaredField):
		return refuse(wire.ProblemMalformed, "item %d: %s", i, err)
	case strings.ContainsAny(err.Error(), "0123456789"):
		return refuse(wire.ProblemUndeclaredField, "item %d: %s", i, policy.ErrUndeclaredField)
	default:
		return refuse(wire.ProblemUndeclaredField, "item %d: %s", i, err)
	}
}

func (rv *Receiver) insertBatch(tx queryer, in incoming, e policy.Effective, sealed []byte, held bool, matches int) ([]byte, error) {
	receipt, err := wire.SignReceipt(wire.Receipt{
		Controller: string(rv.cfg.Controller), Kind: wire.ReceiptBatch, Consent: in.batch.Consent, Body: in.hash, Time: in.now, Matches: matches,
	}, rv.cfg.Signer)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec("INSERT INTO batches (id, consent, body, received, until, items, held, sealed, receipt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		in.batch.ID[:], in.batch.Consent[:], in.hash[:], in.now.Unix(), keptUntil(e.Purpose.Kept, in.now), len(in.batch.Items), held, sealed, receipt)
	return receipt, err
}

// keptUntil is the time at which the retention of what arrived now ends; math.MaxInt64 where an event ends it.
func keptUntil(r policy.Retention, now time.Time) int64 {
	if r.For <= 0 {
		return math.MaxInt64
	}
	return now.Add(r.For).Unix()
}

// StoredBatch is one stored batch, opened.
type StoredBatch struct {
	ID       wire.UUID
	Received time.Time
	Batch    wire.Batch
}

// openBatch opens one batch in a transaction of its own, so that nobody waits for the opening of many. ok is false when its
// body is no longer held.
func (s *Store) openBatch(ctx context.Context, id, consent wire.UUID) (b StoredBatch, ok bool, err error) {
	var (
		sealed, body []byte
		received     int64
	)
	err = s.update(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRow("SELECT sealed, received FROM batches WHERE id = ? AND sealed IS NOT NULL", id[:]).Scan(&sealed, &received)
		if err != nil {
			return err
		}
		key, err := s.consentKey(tx, consent, false)
		if err != nil {
			return err
		}
		body, err = open(key, sealed, "batch", id, consent)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return StoredBatch{}, false, nil
	} else if err != nil {
		return StoredBatch{}, false, err
	}
	batch, err := unpack(body)
	if err != nil {
		return StoredBatch{}, false, err
	}
	return StoredBatch{ID: id, Received: time.Unix(received, 0).UTC(), Batch: batch}, true, nil
}

// batchIDs lists the batches of a consent whose bodies are stored, oldest first.
func batchIDs(tx queryer, consent wire.UUID) ([]wire.UUID, error) {
	return collect(tx, scanUUID, "SELECT id FROM batches WHERE consent = ? AND sealed IS NOT NULL ORDER BY received, id", consent[:])
}

func scanUUID(rows *sql.Rows) (id wire.UUID, err error) {
	var b []byte
	err = rows.Scan(&b)
	copy(id[:], b)
	return id, err
}

// Batches opens what is stored under a consent, oldest first. Each call is an access: it is recorded with who asked
// and the command, before anything is opened.
func (s *Store) Batches(ctx context.Context, consent wire.UUID, who Accessor) ([]StoredBatch, error) {
	var ids []wire.UUID
	if err := s.update(ctx, func(tx *sql.Tx) (err error) {
		if err := who.record(tx, "batches of consent "+consent.String()); err != nil {
			return err
		}
		ids, err = batchIDs(tx, consent)
		return err
	}); err != nil {
		return nil, err
	}
	var list []StoredBatch
	for _, id := range ids {
		b, ok, err := s.openBatch(ctx, id, consent)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, b)
		}
	}
	return list, nil
}
