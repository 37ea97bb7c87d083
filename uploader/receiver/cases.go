package receiver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// schemaCases holds what people ask for under their rights. Of a case only its hash is kept, and the words of a complaint, sealed,
// until CasesKept is over.
const schemaCases = `
CREATE TABLE IF NOT EXISTS cases (
	id BLOB PRIMARY KEY, controller TEXT NOT NULL, consent BLOB NOT NULL, pseudonym BLOB NOT NULL, kind TEXT NOT NULL, category TEXT NOT NULL, purpose TEXT NOT NULL,
	message BLOB NOT NULL, received INTEGER NOT NULL, due INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, items INTEGER NOT NULL,
	number INTEGER NOT NULL, changed INTEGER NOT NULL, sealed BLOB, receipt BLOB NOT NULL, answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cases_consent ON cases (consent);
CREATE INDEX IF NOT EXISTS cases_pseudonym ON cases (pseudonym, received);
-- For ever, as tombstones are: the account that the consent was part of was closed.
CREATE TABLE IF NOT EXISTS closures (consent BLOB PRIMARY KEY, closed INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`

const (
	// CasesKept is how long a case is kept after its last answer.
	CasesKept = 3 * 365 * 24 * time.Hour
	// casesADay is how many cases of one pseudonym are taken in a day; the device keeps the others and asks again.
	casesADay = 256
)

// outcome is what came of a case at once.
type outcome struct {
	state  wire.CaseState
	reason wire.CaseReason
	items  int
	text   string
}

func refusedCase(reason wire.CaseReason, text string) outcome {
	return outcome{state: wire.CaseRefused, reason: reason, text: text}
}

// putCase: PUT /v1/cases/{id}
func (rv *Receiver) putCase(w http.ResponseWriter, r *http.Request, c caller) (answer, error) {
	id, err := pathUUID(r, "id")
	if err != nil {
		return answer{}, err
	}
	body, err := readBody(w, r, wire.MaxCase, "")
	if err != nil {
		return answer{}, err
	}
	m, key, err := wire.OpenCase(body)
	switch {
	case err != nil:
		return answer{}, refuse(wire.ProblemMalformed, "the body is not a signed case")
	case !c.key.Equal(key):
		return answer{}, refuse(wire.ProblemMalformed, "the case is not signed with the connection's own key")
	case m.ID != id:
		return answer{}, refuse(wire.ProblemMalformed, "the case has another id than the path")
	case m.Controller != string(rv.cfg.Controller):
		return answer{}, refuse(wire.ProblemWrongController, "the case names another controller")
	}
	var receipt []byte
	err = rv.cfg.Store.update(context.WithoutCancel(r.Context()), func(tx *sql.Tx) (err error) {
		receipt, err = rv.takeCase(tx, m, wire.HashOf(body), c)
		return err
	})
	return receiptAnswer(receipt), err
}

// takeCase does what can be done at once and stores the case with the signed answer to it.
func (rv *Receiver) takeCase(tx queryer, m wire.Case, hash wire.Hash, c caller) ([]byte, error) {
	now := rv.cfg.Now()
	if by, taken, err := owner(tx, m.Consent); err != nil {
		return nil, err
	} else if !taken || by != c.pseudonym {
		return nil, errNotYours
	}
	if old, ok, err := caseOf(tx, m.ID); err != nil {
		return nil, err
	} else if ok {
		switch {
		case old.pseudonym != c.pseudonym:
			return nil, errNoCase
		case old.message != hash:
			return nil, refuse(wire.ProblemBodyDiffers, "a case with this id came before with another message")
		}
		return old.receipt, nil
	}
	var recent int
	if err := tx.QueryRow("SELECT count(*) FROM cases WHERE pseudonym = ? AND received > ?", c.pseudonym[:], now.Add(-24*time.Hour).Unix()).Scan(&recent); err != nil {
		return nil, err
	} else if recent >= casesADay {
		return nil, &Refusal{Kind: wire.ProblemSlowDown, Detail: "too many cases with this key", RetryAfter: time.Hour}
	}
	out, err := rv.handleCase(tx, m, now)
	if err != nil {
		return nil, err
	}
	receipt, err := wire.SignReceipt(wire.Receipt{
		Controller: string(rv.cfg.Controller), Kind: wire.ReceiptCase, Consent: m.Consent, Body: hash, Time: now,
	}, rv.cfg.Signer)
	if err != nil {
		return nil, err
	}
	stored := storedCase{controller: string(rv.cfg.Controller), Case: Case{
		ID: m.ID, Consent: m.Consent, Kind: m.Kind, Category: m.Category, Purpose: m.Purpose, Received: now, Due: now.Add(wire.CaseTime),
		State: out.state, Reason: out.reason, Items: out.items, Number: 1, Changed: now,
	}, pseudonym: c.pseudonym, message: hash, receipt: receipt}
	if m.Text != "" {
		stored.sealed = rv.cfg.Store.master.Seal(nil, nil, []byte(m.Text), bound("case", m.ID))
	}
	stored.answer, err = wire.SignCaseAnswer(stored.says(out.text), rv.cfg.Signer)
	if err != nil {
		return nil, fmt.Errorf("answer case: %w", err)
	}
	return receipt, stored.insert(tx)
}

// handleCase does what a case asks for. What people have to answer stays open.
func (rv *Receiver) handleCase(tx queryer, m wire.Case, now time.Time) (outcome, error) {
	var closed int
	if err := tx.QueryRow("SELECT count(*) FROM closures WHERE consent = ?", m.Consent[:]).Scan(&closed); err != nil {
		return outcome{}, err
	}
	if closed > 0 {
		return refusedCase(wire.ReasonAccountClosed, "The account was closed. 账号已注销。"), nil
	}
	switch m.Kind {
	case wire.CaseCorrection, wire.CaseErasure, wire.CaseClosure:
		if err := countChange(tx, m.Consent); err != nil {
			return outcome{}, err
		}
	}
	switch m.Kind {
	case wire.CaseComplaint:
		return outcome{state: wire.CaseReceived}, nil
	case wire.CaseAccess:
		return heldItems(tx, m.Consent)
	case wire.CaseCorrection:
		return rv.correct(tx, m, now)
	case wire.CaseErasure:
		return rv.eraseSelected(tx, m)
	case wire.CaseClosure:
		return closeAccount(tx, m.Consent, now)
	}
	return outcome{}, refuse(wire.ProblemMalformed, "no such kind of case")
}

// heldItems says how much is held; the content comes with GET /v1/data, over the same connection.
func heldItems(tx queryer, consent wire.UUID) (outcome, error) {
	out := outcome{state: wire.CaseDone, reason: wire.ReasonFulfilled}
	err := tx.QueryRow("SELECT coalesce(sum(items), 0) FROM batches WHERE consent = ? AND held", consent[:]).Scan(&out.items)
	if out.items == 0 {
		out.reason = wire.ReasonNothingHeld
	}
	return out, err
}

// closeAccount ends what is kept until the account is closed, and everything else that was sent under the consent.
func closeAccount(tx queryer, consent wire.UUID, now time.Time) (outcome, error) {
	out, err := heldItems(tx, consent)
	if err != nil {
		return out, err
	}
	out.reason = wire.ReasonFulfilled
	if _, err := eraseBodies(tx, consent); err != nil {
		return out, err
	}
	_, err = tx.Exec("INSERT INTO closures (consent, closed) VALUES (?, ?)", consent[:], now.Unix())
	return out, err
}

// errNoCase is the answer to whoever asks about another's case; it does not tell that there is one.
var errNoCase = refuse(wire.ProblemCaseUnknown, "no case with this id came with this key")

// getCase: GET /v1/cases/{id}, the controller's signed answer of the moment.
func (rv *Receiver) getCase(_ http.ResponseWriter, r *http.Request, c caller) (answer, error) {
	id, err := pathUUID(r, "id")
	if err != nil {
		return answer{}, err
	}
	var signed []byte
	err = rv.cfg.Store.update(r.Context(), func(tx *sql.Tx) error {
		stored, ok, err := caseOf(tx, id)
		if err == nil && (!ok || stored.pseudonym != c.pseudonym) {
			err = errNoCase
		}
		signed = stored.answer
		return err
	})
	return receiptAnswer(signed), err
}

// storedCase is a row of cases.
type storedCase struct {
	Case
	controller      string
	pseudonym       Pseudonym
	message         wire.Hash
	sealed          []byte
	receipt, answer []byte
}

// says makes the answer of the moment.
func (c storedCase) says(text string) wire.CaseAnswer {
	return wire.CaseAnswer{
		Controller: c.controller, Case: c.ID, Consent: c.Consent, Message: c.message, Number: c.Number, State: c.State, Reason: c.Reason,
		Received: c.Received, Due: c.Due, Time: c.Changed, Items: c.Items, Text: text,
	}
}

func (c storedCase) insert(tx queryer) error {
	_, err := tx.Exec(`INSERT INTO cases (id, controller, consent, pseudonym, kind, category, purpose, message, received, due, state, reason, items, number,
		changed, sealed, receipt, answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.ID[:], c.controller, c.Consent[:], c.pseudonym[:], c.Kind, c.Category, c.Purpose, c.message[:], c.Received.Unix(), c.Due.Unix(), c.State, c.Reason, c.Items,
		int64(c.Number), c.Changed.Unix(), c.sealed, c.receipt, c.answer)
	return err
}

const caseColumns = `SELECT id, controller, consent, pseudonym, kind, category, purpose, message, received, due, state, reason, items, number, changed,
	sealed, receipt, answer FROM cases `

func scanCase(row interface{ Scan(...any) error }) (storedCase, error) {
	var (
		c                           storedCase
		id, consent, pseud, message []byte
		received, due, changed      int64
		number                      int64
	)
	err := row.Scan(&id, &c.controller, &consent, &pseud, &c.Kind, &c.Category, &c.Purpose, &message, &received, &due, &c.State, &c.Reason, &c.Items, &number,
		&changed, &c.sealed, &c.receipt, &c.answer)
	copy(c.ID[:], id)
	copy(c.Consent[:], consent)
	copy(c.pseudonym[:], pseud)
	copy(c.message[:], message)
	c.Number = uint64(number)
	c.Received, c.Due, c.Changed = time.Unix(received, 0).UTC(), time.Unix(due, 0).UTC(), time.Unix(changed, 0).UTC()
	return c, err
}

func caseOf(tx queryer, id wire.UUID) (c storedCase, ok bool, err error) {
	c, err = scanCase(tx.QueryRow(caseColumns+"WHERE id = ?", id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return storedCase{}, false, nil
	}
	return c, err == nil, err
}
