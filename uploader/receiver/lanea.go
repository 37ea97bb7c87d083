package receiver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// maxMessage is the largest lane A message in bytes; an honest one has less than 1 KiB.
const maxMessage = 64 << 10

// agreement is a stored consent.
type agreement struct {
	ID        wire.UUID
	Pseudonym Pseudonym
	Category  policy.CategoryID
	Purpose   policy.PurposeID
	Subtree   wire.Hash
	Given     int64 // as the device says
	Expiry    int64 // never later than the policy allows from Received on
	Received  int64
	Message   wire.Hash
	Withdrawn int64 // 0 while not withdrawn
}

const agreementColumns = `SELECT c.id, c.pseudonym, c.category, c.purpose, c.subtree, c.given, c.expiry, c.received, c.message,
	coalesce(t.withdrawn, 0) FROM consents c LEFT JOIN tombstones t ON t.consent = c.id `

func scanAgreement(row interface{ Scan(...any) error }) (agreement, error) {
	var (
		a                           agreement
		id, pseud, subtree, message []byte
	)
	err := row.Scan(&id, &pseud, &a.Category, &a.Purpose, &subtree, &a.Given, &a.Expiry, &a.Received, &message, &a.Withdrawn)
	copy(a.ID[:], id)
	copy(a.Pseudonym[:], pseud)
	copy(a.Subtree[:], subtree)
	copy(a.Message[:], message)
	return a, err
}

// agreementOf returns the stored consent, or ok false.
func agreementOf(tx queryer, consent wire.UUID) (a agreement, ok bool, err error) {
	a, err = scanAgreement(tx.QueryRow(agreementColumns+"WHERE c.id = ?", consent[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return agreement{}, false, nil
	}
	return a, err == nil, err
}

func agreementsOf(tx queryer, p Pseudonym) ([]agreement, error) {
	return collect(tx, func(r *sql.Rows) (agreement, error) { return scanAgreement(r) },
		agreementColumns+"WHERE c.pseudonym = ? ORDER BY c.received, c.id", p[:])
}

// tombstone is what stays of a withdrawn consent.
type tombstone struct {
	Pseudonym Pseudonym
	Withdrawn int64
	Cleared   bool
}

func tombstoneOf(tx queryer, consent wire.UUID) (t tombstone, ok bool, err error) {
	var pseud []byte
	err = tx.QueryRow("SELECT pseudonym, withdrawn, cleared FROM tombstones WHERE consent = ?", consent[:]).
		Scan(&pseud, &t.Withdrawn, &t.Cleared)
	if errors.Is(err, sql.ErrNoRows) {
		return tombstone{}, false, nil
	}
	copy(t.Pseudonym[:], pseud)
	return t, err == nil, err
}

// owner returns whose consent id this is: nobody's yet, or a pseudonym's.
func owner(tx queryer, consent wire.UUID) (p Pseudonym, taken bool, err error) {
	if t, ok, err := tombstoneOf(tx, consent); ok || err != nil {
		return t.Pseudonym, ok, err
	}
	a, ok, err := agreementOf(tx, consent)
	return a.Pseudonym, ok, err
}

// errNotYours is the answer to whoever names another's consent; it does not tell that there is one.
var errNotYours = refuse(wire.ProblemConsentUnknown, "no consent with this id was given with this key")

// answered returns the receipt that a message got when it came before. Another message in the same place is
// refused where only one can be.
func answered(tx queryer, kind wire.MessageKind, id wire.UUID, message wire.Hash, single bool) ([]byte, error) {
	var receipt []byte
	err := tx.QueryRow("SELECT receipt FROM receipts WHERE kind = ? AND id = ? AND message = ?", kind, id[:], message[:]).Scan(&receipt)
	if !errors.Is(err, sql.ErrNoRows) || !single {
		return receipt, ignoreNoRows(err)
	}
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM receipts WHERE kind = ? AND id = ?", kind, id[:]).Scan(&n); err != nil {
		return nil, err
	}
	if n > 0 {
		return nil, refuse(wire.ProblemBodyDiffers, "this id came before with another message")
	}
	return nil, nil
}

func ignoreNoRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// sign makes the receipt of a message and stores it in the transaction that did what it confirms.
func (rv *Receiver) sign(tx queryer, kind wire.MessageKind, id wire.UUID, r wire.Receipt) ([]byte, error) {
	r.Controller = string(rv.cfg.Controller)
	receipt, err := wire.SignReceipt(r, rv.cfg.Signer)
	if err != nil {
		return nil, fmt.Errorf("sign receipt: %w", err)
	}
	_, err = tx.Exec("INSERT INTO receipts (kind, id, message, consent, receipt) VALUES (?, ?, ?, ?, ?)",
		kind, id[:], r.Body[:], r.Consent[:], receipt)
	return receipt, err
}

// openMessage reads a lane A message, which must be signed with the connection's own key and meant for this
// controller.
func openMessage[T wire.Consent | wire.Withdrawal | wire.Erasure](rv *Receiver, w http.ResponseWriter, r *http.Request, c caller) (T, []byte, error) {
	var zero T
	body, err := readBody(w, r, maxMessage, "")
	if err != nil {
		return zero, nil, err
	}
	message, key, err := wire.Open[T](body)
	if err != nil {
		return zero, nil, refuse(wire.ProblemMalformed, "the body is not a signed message of this kind")
	}
	if !c.key.Equal(key) {
		return zero, nil, refuse(wire.ProblemMalformed, "the message is not signed with the connection's own key")
	}
	var controller string
	switch m := any(message).(type) {
	case wire.Consent:
		controller = m.Controller
	case wire.Withdrawal:
		controller = m.Controller
	case wire.Erasure:
		controller = m.Controller
	}
	if controller != string(rv.cfg.Controller) {
		return zero, nil, refuse(wire.ProblemWrongController, "the message names another controller")
	}
	return message, body, nil
}

// putConsent: PUT /v1/consents/{consent}
func (rv *Receiver) putConsent(w http.ResponseWriter, r *http.Request, c caller) (answer, error) {
	id, err := pathUUID(r, "consent")
	if err != nil {
		return answer{}, err
	}
	m, body, err := openMessage[wire.Consent](rv, w, r, c)
	if err != nil {
		return answer{}, err
	}
	if m.Consent != id {
		return answer{}, refuse(wire.ProblemMalformed, "the message names another consent than the path")
	}
	now, hash := rv.cfg.Now(), wire.HashOf(body)
	var receipt []byte
	// Lane A is finished even if the device has hung up: it will ask again anyway.
	err = rv.cfg.Store.update(context.WithoutCancel(r.Context()), func(tx *sql.Tx) (err error) {
		if by, taken, err := owner(tx, id); err != nil {
			return err
		} else if taken && by != c.pseudonym {
			return errNotYours
		}
		if _, dead, err := tombstoneOf(tx, id); err != nil {
			return err
		} else if dead {
			return refuse(wire.ProblemConsentWithdrawn, "this consent was withdrawn")
		}
		if receipt, err = answered(tx, wire.MsgConsent, id, hash, true); receipt != nil || err != nil {
			return err
		}
		e, err := rv.admit(tx, m, c, now)
		if err != nil {
			return err
		}
		receipt, err = rv.sign(tx, wire.MsgConsent, id, wire.Receipt{Kind: wire.ReceiptConsent, Consent: id, Body: hash, Time: now})
		if err != nil {
			return err
		}
		if err := remember(tx, id, m.Sequence, false, body); err != nil {
			return err
		}
		return insertConsent(tx, m, hash, c, e, now)
	})
	return receiptAnswer(receipt), err
}

// admit checks a consent that is new here against the policy this receiver holds.
func (rv *Receiver) admit(tx queryer, m wire.Consent, c caller, now time.Time) (policy.Effective, error) {
	var none policy.Effective
	if m.Expiry <= m.Time || m.Time < 0 {
		return none, refuse(wire.ProblemMalformed, "the consent ends before it begins")
	}
	if m.Expiry <= now.Unix() {
		return none, refuse(wire.ProblemConsentExpired, "the consent has expired")
	}
	e, err := rv.effective(policy.CategoryID(m.Category), policy.PurposeID(m.Purpose), m.Subtree)
	if err != nil {
		return none, err
	}
	earlier, err := agreementsOf(tx, c.pseudonym)
	if err != nil {
		return none, err
	}
	for _, a := range earlier {
		if string(a.Category) != m.Category || string(a.Purpose) != m.Purpose {
			return none, refuse(wire.ProblemPolicyMismatch, "this key already serves another purpose")
		}
	}
	var cleared int
	if err := tx.QueryRow("SELECT count(*) FROM tombstones WHERE pseudonym = ? AND cleared", c.pseudonym[:]).Scan(&cleared); err != nil {
		return none, err
	}
	if err := rv.admitGuardian(tx, m); err != nil {
		return none, err
	}
	if cleared > 0 {
		return none, refuse(wire.ProblemConsentWithdrawn, "this key was retired when its consent was withdrawn and cleared")
	}
	return e, nil
}

func insertConsent(tx queryer, m wire.Consent, hash wire.Hash, c caller, e policy.Effective, now time.Time) error {
	// A device whose clock runs ahead prolongs nothing.
	expiry := m.Expiry
	if e.Purpose.Expiry > 0 {
		expiry = min(expiry, now.Add(e.Purpose.Expiry).Unix())
	}
	_, err := tx.Exec(`INSERT INTO consents (id, pseudonym, category, purpose, policy, subtree, notice, lang, given, expiry, received, message)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		m.Consent[:], c.pseudonym[:], m.Category, m.Purpose, int64(min(m.PolicyVersion, math.MaxInt32)), m.Subtree[:], m.Notice[:], m.Lang,
		m.Time, expiry, now.Unix(), hash[:])
	return err
}

// putWithdrawal: PUT /v1/consents/{consent}/withdrawal
func (rv *Receiver) putWithdrawal(w http.ResponseWriter, r *http.Request, c caller) (answer, error) {
	id, err := pathUUID(r, "consent")
	if err != nil {
		return answer{}, err
	}
	m, body, err := openMessage[wire.Withdrawal](rv, w, r, c)
	if err != nil {
		return answer{}, err
	}
	if m.Consent != id {
		return answer{}, refuse(wire.ProblemMalformed, "the message names another consent than the path")
	}
	now, hash := rv.cfg.Now(), wire.HashOf(body)
	var receipt []byte
	err = rv.cfg.Store.update(context.WithoutCancel(r.Context()), func(tx *sql.Tx) (err error) {
		if by, taken, err := owner(tx, id); err != nil {
			return err
		} else if taken && by != c.pseudonym {
			return errNotYours
		}
		if receipt, err = answered(tx, wire.MsgWithdrawal, id, hash, false); receipt != nil || err != nil {
			return err
		}
		a, known, err := agreementOf(tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO tombstones (consent, pseudonym, withdrawn, cleared) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET cleared = cleared OR excluded.cleared`, id[:], c.pseudonym[:], now.Unix(), m.Clear); err != nil {
			return err
		}
		if err := remember(tx, id, m.Sequence, true, body); err != nil {
			return err
		}
		done := wire.Receipt{Kind: wire.ReceiptWithdrawal, Consent: id, Body: hash, Time: now}
		if m.Clear {
			done.Kind = wire.ReceiptErasure
		}
		if m.Clear || known && rv.keptUntilWithdrawn(a) {
			if done.Erased, err = eraseBodies(tx, id); err != nil {
				return err
			}
		}
		if m.Clear {
			if err := forget(tx, id); err != nil {
				return err
			}
		}
		receipt, err = rv.sign(tx, wire.MsgWithdrawal, id, done)
		return err
	})
	return receiptAnswer(receipt), err
}

// keptUntilWithdrawn reports whether the policy keeps what was sent under a no longer than the consent. What the
// policy no longer declares is not kept either.
func (rv *Receiver) keptUntilWithdrawn(a agreement) bool {
	e, err := rv.cfg.Policy.Effective(a.Category, a.Purpose)
	return err != nil || e.Purpose.Kept.Until == policy.UntilWithdrawn
}

// putErasure: PUT /v1/erasures/{id}
func (rv *Receiver) putErasure(w http.ResponseWriter, r *http.Request, c caller) (answer, error) {
	id, err := pathUUID(r, "id")
	if err != nil {
		return answer{}, err
	}
	m, body, err := openMessage[wire.Erasure](rv, w, r, c)
	if err != nil {
		return answer{}, err
	}
	if m.ID != id {
		return answer{}, refuse(wire.ProblemMalformed, "the message names another erasure than the path")
	}
	now, hash := rv.cfg.Now(), wire.HashOf(body)
	var receipt []byte
	err = rv.cfg.Store.update(context.WithoutCancel(r.Context()), func(tx *sql.Tx) (err error) {
		if by, taken, err := owner(tx, m.Consent); err != nil {
			return err
		} else if taken && by != c.pseudonym {
			return errNotYours
		}
		if receipt, err = answered(tx, wire.MsgErasure, id, hash, true); receipt != nil || err != nil {
			return err
		}
		erased, err := eraseBodies(tx, m.Consent)
		if err != nil {
			return err
		}
		if err := countChange(tx, m.Consent); err != nil {
			return err
		}
		if err := remember(tx, m.Consent, m.Sequence, false, body); err != nil {
			return err
		}
		receipt, err = rv.sign(tx, wire.MsgErasure, id, wire.Receipt{
			Kind: wire.ReceiptErasure, Consent: m.Consent, Body: hash, Time: now, Erased: erased,
		})
		return err
	})
	return receiptAnswer(receipt), err
}

// eraseBodies destroys the key of a consent and what was sealed under it, and returns how many batches that were.
// The batches' ids stay, so that one that is sent again is not stored again.
func eraseBodies(tx queryer, consent wire.UUID) (int, error) {
	if _, err := tx.Exec("DELETE FROM keys WHERE consent = ?", consent[:]); err != nil {
		return 0, err
	}
	if _, err := tx.Exec("DELETE FROM matches WHERE consent = ?", consent[:]); err != nil {
		return 0, err
	}
	return changed(tx, "UPDATE batches SET sealed = NULL, held = 0 WHERE consent = ? AND held", consent[:])
}

// forget removes everything that a cleared consent left but its tombstone, the withdrawal as it was signed, and the
// signed answers to its withdrawal and erasures.
func forget(tx queryer, consent wire.UUID) error {
	for _, q := range []string{
		"DELETE FROM batches WHERE consent = ?",
		"DELETE FROM consents WHERE id = ?",
		"DELETE FROM receipts WHERE consent = ? AND kind = 'consent'",
		"DELETE FROM latest WHERE consent = ? AND NOT withdrawal",
		"DELETE FROM changes WHERE consent = ?",
		"UPDATE approvals SET evidence = NULL WHERE consent = ?",
	} {
		if _, err := tx.Exec(q, consent[:]); err != nil {
			return err
		}
	}
	return nil
}
