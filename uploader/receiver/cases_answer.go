package receiver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// Case is a case as lists show it: nothing of it is opened.
type Case struct {
	ID       wire.UUID       `json:"id"`
	Consent  wire.UUID       `json:"consent"`
	Kind     wire.CaseKind   `json:"kind"`
	Category string          `json:"category"`
	Purpose  string          `json:"purpose"`
	Received time.Time       `json:"received"`
	Due      time.Time       `json:"due"`
	State    wire.CaseState  `json:"state"`
	Reason   wire.CaseReason `json:"reason,omitempty"`
	Items    int             `json:"items"` // changed or erased; held, with an access
	Number   uint64          `json:"number"`
	Changed  time.Time       `json:"changed"` // of the latest answer
}

// Overdue reports whether a final answer should have been given by now.
func (c Case) Overdue(now time.Time) bool { return !c.State.Final() && now.After(c.Due) }

// OpenedCase is a case with the person's words and the latest answer to it.
type OpenedCase struct {
	Case
	Pseudonym Pseudonym `json:"pseudonym"`
	Text      string    `json:"text,omitempty"`
	Answer    string    `json:"answer"` // the signed note
}

var (
	// ErrNoCase says that there is no case with this id.
	ErrNoCase = errors.New("no such case")
	// ErrCaseFinal says that a case has its final answer already.
	ErrCaseFinal = errors.New("the case has its final answer already")
	// ErrCaseAnswer says that an answer has no words, or a reason that people do not decide.
	ErrCaseAnswer = errors.New("not an answer to a complaint")
)

// Cases lists the cases, those without a final answer first, by due date. Nothing is opened.
func (s *Store) Cases(ctx context.Context) ([]Case, error) {
	var list []Case
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		list, err = collect(tx, func(rows *sql.Rows) (Case, error) {
			c, err := scanCase(rows)
			return c.Case, err
		}, caseColumns+"ORDER BY state <> 'received', due, id")
		return err
	})
	return list, err
}

// Case opens a case. It is an access: it is recorded with who asked and the command, before anything is opened.
func (s *Store) Case(ctx context.Context, id wire.UUID, who Accessor) (OpenedCase, error) {
	var out OpenedCase
	err := s.update(ctx, func(tx *sql.Tx) error {
		c, ok, err := caseOf(tx, id)
		if err == nil && !ok {
			err = ErrNoCase
		}
		if err != nil {
			return err
		}
		if err := who.record(tx, "case "+id.String()); err != nil {
			return err
		}
		out, err = s.openCase(c)
		return err
	})
	return out, err
}

func (s *Store) openCase(c storedCase) (OpenedCase, error) {
	out := OpenedCase{Case: c.Case, Pseudonym: c.pseudonym, Answer: string(c.answer)}
	if c.sealed == nil {
		return out, nil
	}
	text, err := open(s.master, c.sealed, "case", c.ID)
	out.Text = string(text)
	return out, err
}

// CaseReply is what a controller's people answer to a complaint. Every other kind of case is decided when it comes.
type CaseReply struct {
	Reason wire.CaseReason // ReasonJustified, ReasonUnfounded or ReasonLegal
	Text   string          // the words, needed
}

// AnswerCase answers a complaint, signed with the controller's key. It is recorded as an access. ErrNoCase, ErrCaseFinal,
// ErrCaseAnswer.
func (s *Store) AnswerCase(ctx context.Context, id wire.UUID, reply CaseReply, signer note.Signer, who Accessor) (Case, error) {
	var answered Case
	err := s.update(ctx, func(tx *sql.Tx) error {
		c, ok, err := caseOf(tx, id)
		switch {
		case err != nil:
			return err
		case !ok:
			return ErrNoCase
		case c.State.Final():
			return ErrCaseFinal
		case !reply.whole():
			return ErrCaseAnswer
		}
		if err := who.record(tx, "answered case "+id.String()); err != nil {
			return err
		}
		c.Number++
		c.State, c.Reason, c.Changed = wire.CaseAnswered, reply.Reason, who.Now.UTC().Truncate(time.Second)
		signed, err := wire.SignCaseAnswer(c.says(reply.Text), signer)
		if err != nil {
			return fmt.Errorf("answer case: %w", err)
		}
		_, err = tx.Exec("UPDATE cases SET state = ?, reason = ?, number = ?, changed = ?, answer = ? WHERE id = ?",
			c.State, c.Reason, int64(c.Number), c.Changed.Unix(), signed, id[:])
		answered = c.Case
		return err
	})
	return answered, err
}

func (r CaseReply) whole() bool {
	return wire.ValidCaseText(r.Text) && (r.Reason == wire.ReasonJustified || r.Reason == wire.ReasonUnfounded || r.Reason == wire.ReasonLegal)
}

// sweepCases erases the cases, with their words, whose final answer is long ago.
func sweepCases(tx queryer, now time.Time) error {
	_, err := changed(tx, "DELETE FROM cases WHERE state <> 'received' AND changed <= ?", now.Add(-CasesKept).Unix())
	return err
}

// casesOf returns the cases of a pseudonym, opened: for the person's own copy.
func (s *Store) casesOf(ctx context.Context, p Pseudonym) ([]OpenedCase, error) {
	out := []OpenedCase{}
	err := s.update(ctx, func(tx *sql.Tx) error {
		rows, err := collect(tx, func(rows *sql.Rows) (storedCase, error) { return scanCase(rows) }, caseColumns+"WHERE pseudonym = ? ORDER BY received, id", p[:])
		if err != nil {
			return err
		}
		for _, c := range rows {
			one, err := s.openCase(c)
			if err != nil {
				return err
			}
			out = append(out, one)
		}
		return nil
	})
	return out, err
}
