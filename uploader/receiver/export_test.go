package receiver

import (
	"database/sql"
	"testing"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// Sealed returns every sealed value of a consent as it lies in the database: the bodies, the matches, and the key.
func Sealed(t testing.TB, s *Store, consent wire.UUID) [][]byte {
	t.Helper()
	list, err := collect(s.db, func(rows *sql.Rows) (b []byte, err error) { return b, rows.Scan(&b) },
		`SELECT sealed FROM batches WHERE consent = ?1 AND sealed IS NOT NULL UNION ALL
		SELECT sealed FROM matches WHERE consent = ?1 UNION ALL SELECT sealed FROM keys WHERE consent = ?1`, consent[:])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// EstimateOf is estimate.
var EstimateOf = estimate
