package receiver

import (
	"database/sql"
	"errors"
	"net/http"
	"strconv"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// schemaChanges counts what each consent's person has asked to be changed in what is held of it: erasures, corrections, the closing
// of the account. A batch names the number it was sent under, so one that was held up on its way from before a change is told
// from one that was sent after it.
const schemaChanges = `
CREATE TABLE IF NOT EXISTS changes (consent BLOB PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`

// changes returns the number of changes of a consent.
func changes(tx queryer, consent wire.UUID) (n uint64, err error) {
	var stored int64
	err = tx.QueryRow("SELECT number FROM changes WHERE consent = ?", consent[:]).Scan(&stored)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return uint64(stored), err
}

// countChange notes one more, in the transaction that makes it, also when nothing was found: it may still be on its way.
func countChange(tx queryer, consent wire.UUID) error {
	_, err := tx.Exec("INSERT INTO changes (consent, number) VALUES (?, 1) ON CONFLICT DO UPDATE SET number = number + 1", consent[:])
	return err
}

// namedChanges returns the number that a batch names; none is 0.
func namedChanges(r *http.Request) (uint64, error) {
	query := r.URL.Query()
	if !query.Has(wire.ChangesParameter) {
		return 0, nil
	}
	n, err := strconv.ParseUint(query.Get(wire.ChangesParameter), 10, 63)
	if err != nil {
		return 0, refuse(wire.ProblemMalformed, "the number of changes is none")
	}
	return n, nil
}

// current refuses a batch that was sent before the latest change.
func (in incoming) current(tx queryer) error {
	n, err := changes(tx, in.batch.Consent)
	if err != nil || n == in.changes {
		return err
	}
	return &Refusal{Kind: wire.ProblemChanged, Detail: "an erasure or a correction came before it", Changes: n}
}
