package receiver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// schemaNotices has what the controller has announced. It is public and the same for everybody; nothing says who has read
// it. Notices stay for ever, because each device follows their chain from the first.
const schemaNotices = `
CREATE TABLE IF NOT EXISTS notices (
	number INTEGER PRIMARY KEY, note BLOB NOT NULL, policy BLOB
) STRICT;
`

// AddNotice numbers, signs and stores a notice behind the latest; the next request of each device finds it. Controller,
// Number, Previous and Time of n are set here, and PolicyHash where a policy, a signed note, comes with it. The
// record of accesses gets a line. wire.ErrNotice when something is missing.
func (s *Store) AddNotice(ctx context.Context, n wire.Notice, policy []byte, controller string, signer note.Signer, by Accessor) (wire.Notice, error) {
	if len(policy) > wire.MaxNoticePolicy {
		return n, fmt.Errorf("add notice: %w: the policy is longer than %d bytes", wire.ErrNotice, wire.MaxNoticePolicy)
	}
	n.Controller, n.Time = controller, by.Now.UTC().Truncate(time.Second)
	if n.PolicyHash = (wire.Hash{}); policy != nil {
		n.PolicyHash = wire.HashOf(policy)
	}
	err := s.update(ctx, func(tx *sql.Tx) error {
		var last []byte
		n.Number, n.Previous = 1, wire.Hash{}
		err := tx.QueryRow("SELECT number, note FROM notices ORDER BY number DESC LIMIT 1").Scan(&n.Number, &last)
		if err == nil {
			var unverified *note.UnverifiedNoteError // with no key at hand: which one signed it does not matter for the chain
			if _, err := note.Open(last, note.VerifierList()); !errors.As(err, &unverified) {
				return sealedError("notice")
			}
			n.Number++
			n.Previous = wire.HashOf([]byte(unverified.Note.Text))
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		signed, err := wire.SignNotice(n, signer)
		if err != nil {
			return err
		}
		if err := by.record(tx, fmt.Sprintf("notice %d, %s", n.Number, n.Kind)); err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO notices (number, note, policy) VALUES (?, ?, ?)", int64(n.Number), signed, policy)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("add notice: %w", err)
	}
	return n, nil
}

// Notices returns the signed notices after a number, oldest first, at most wire.MaxNoticesOnce.
func (s *Store) Notices(ctx context.Context, after uint64) (list []wire.NoticeBundle, err error) {
	err = s.update(ctx, func(tx *sql.Tx) error {
		list, err = collect(tx, func(rows *sql.Rows) (b wire.NoticeBundle, err error) {
			return b, rows.Scan(&b.Note, &b.Policy)
		}, "SELECT note, policy FROM notices WHERE number > ? ORDER BY number LIMIT ?", int64(min(after, 1<<53)), wire.MaxNoticesOnce)
		return err
	})
	return list, err
}

// getNotices: GET /v1/notices?after=N. The answer is the same for every caller.
func (rv *Receiver) getNotices(_ http.ResponseWriter, r *http.Request, _ caller) (answer, error) {
	after := uint64(0)
	for name, values := range r.URL.Query() {
		n, err := strconv.ParseUint(values[0], 10, 53)
		if name != "after" || len(values) != 1 || err != nil {
			return answer{}, refuse(wire.ProblemMalformed, "the only query is after=NUMBER")
		}
		after = n
	}
	list, err := rv.cfg.Store.Notices(r.Context(), after)
	if err != nil {
		return answer{}, err
	}
	for i := range list {
		if list[i].Note, err = resigned(list[i].Note, rv.cfg.Signer); err != nil {
			return answer{}, err
		}
	}
	body, err := wire.EncodeNotices(list)
	return answer{"application/cbor", body}, err
}

// resigned returns a stored notice with a signature of the controller's present key: the chain is one of texts, and a device
// that comes after a change of the key knows only the present one.
func resigned(signed []byte, signer note.Signer) ([]byte, error) {
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(signed, note.VerifierList()); !errors.As(err, &unverified) {
		return nil, sealedError("notice")
	}
	for _, sig := range unverified.Note.UnverifiedSigs {
		if sig.Name == signer.Name() && sig.Hash == signer.KeyHash() {
			return signed, nil
		}
	}
	return note.Sign(&note.Note{Text: unverified.Note.Text}, signer)
}
