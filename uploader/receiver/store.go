package receiver

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/uploader/wire"

	_ "modernc.org/sqlite" // the only database driver, pure Go
)

// Names of the store's files in a receiver's folder.
const (
	DatabaseFile = "receiver.db"
	masterFile   = "master.key"
)

// Pseudonym is what a receiver knows a tuple by: the SHA-256 of the public key (SubjectPublicKeyInfo) of its client
// certificate.
type Pseudonym [32]byte

// String returns lower-case hexadecimal.
func (p Pseudonym) String() string { return wire.Hash(p).String() }

// MarshalText implements encoding.TextMarshaler.
func (p Pseudonym) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Pseudonym) UnmarshalText(b []byte) error { return (*wire.Hash)(p).UnmarshalText(b) }

// Store is what one receiver holds: a SQLite database and a master key beside it. Bodies are sealed under a random
// key per consent, which itself is sealed under the master key, so that deleting one short row makes all that a
// person sent unreadable. The peer's address has no column.
//
// The database works with a rollback journal, not a write-ahead log, and with secure_delete: when a transaction that
// erases has been committed, the database file no longer holds the erased pages, whoever else has it open.
// Several processes may open the same folder; they wait for each other.
type Store struct {
	db     *sql.DB
	master cipher.AEAD
	dir    string
}

// busyWait is how long a statement waits for another process that holds the database.
const busyWait = 10 * time.Second

const schema = `
CREATE TABLE IF NOT EXISTS consents (
	id BLOB PRIMARY KEY, pseudonym BLOB NOT NULL, category TEXT NOT NULL, purpose TEXT NOT NULL,
	policy INTEGER NOT NULL, subtree BLOB NOT NULL, notice BLOB NOT NULL, lang TEXT NOT NULL,
	given INTEGER NOT NULL, expiry INTEGER NOT NULL, received INTEGER NOT NULL,
	message BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS consents_pseudonym ON consents (pseudonym);
-- For ever: a batch may come however late.
CREATE TABLE IF NOT EXISTS tombstones (
	consent BLOB PRIMARY KEY, pseudonym BLOB NOT NULL, withdrawn INTEGER NOT NULL, cleared INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tombstones_pseudonym ON tombstones (pseudonym);
-- Answers of lane A by what they answer, so that a repeated message gets the same one.
CREATE TABLE IF NOT EXISTS receipts (
	kind TEXT NOT NULL, id BLOB NOT NULL, message BLOB NOT NULL, consent BLOB NOT NULL, receipt BLOB NOT NULL,
	PRIMARY KEY (kind, id, message)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (consent BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
-- held: something of the batch is still kept. sealed is NULL for contacts and after erasure.
CREATE TABLE IF NOT EXISTS batches (
	id BLOB PRIMARY KEY, consent BLOB NOT NULL, body BLOB NOT NULL, received INTEGER NOT NULL, until INTEGER NOT NULL,
	items INTEGER NOT NULL, held INTEGER NOT NULL, sealed BLOB, receipt BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batches_consent ON batches (consent);
CREATE TABLE IF NOT EXISTS matches (
	consent BLOB PRIMARY KEY, epoch INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epochs (
	id INTEGER PRIMARY KEY, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, form INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS users (
	epoch INTEGER NOT NULL, digest BLOB NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (epoch, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accesses (
	time INTEGER NOT NULL, who TEXT NOT NULL, command TEXT NOT NULL, what TEXT NOT NULL
) STRICT;
` + schema2 + schema3

// schema2 is what version 2 has more than version 1.
const schema2 = `
-- The latest message of lane A about each consent, as it was signed; of a withdrawn one the withdrawal.
CREATE TABLE IF NOT EXISTS latest (
	consent BLOB PRIMARY KEY, number INTEGER NOT NULL, withdrawal INTEGER NOT NULL, body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
`

// schema3 is what version 3 has more than version 2: each part of the receiver that came with it has its tables in its own file.
const schema3 = schemaCases + schemaNotices + schemaGuardians + schemaAnalytics + schemaChanges + `
PRAGMA user_version = 3;
`

// schemaVersion is the user_version that schema sets.
const schemaVersion = 3

// Open opens the store in dir, which it makes (0700) with a new master key if there is none. It refuses a
// database of another version, and a database whose master key is missing.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	path := filepath.Join(dir, DatabaseFile)
	_, err := os.Stat(path)
	fresh := errors.Is(err, os.ErrNotExist)
	key, err := masterKey(filepath.Join(dir, masterFile), fresh)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	master, err := newAEAD(key)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	// Made here so that neither the database nor its journal, which takes the same mode, is ever readable by others.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	// One connection: transactions of one process wait in Go, not in SQLite's busy handler.
	db.SetMaxOpenConns(1)
	s := &Store{db: db, master: master, dir: dir}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), db.Close())
	}
	return s, nil
}

func (s *Store) prepare() error {
	var version int
	if err := s.db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("%s: %w", DatabaseFile, err)
	}
	if version == schemaVersion {
		return nil
	}
	statements, ok := map[int]string{0: schema, 1: schema2 + schema3, 2: schema3}[version]
	if !ok {
		return fmt.Errorf("%s: version %d, this program knows %d", DatabaseFile, version, schemaVersion)
	}
	return s.update(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec(statements)
		return err
	})
}

// dataSource names the database with what every connection to it needs.
func dataSource(path string) string {
	path = filepath.ToSlash(path)
	if filepath.VolumeName(path) != "" {
		path = "/" + path
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyWait.Milliseconds()),
		"journal_mode(TRUNCATE)", // with synchronous FULL the truncation is synced: a commit stays one
		"synchronous(FULL)",
		"secure_delete(ON)",
		"temp_store(MEMORY)",
		"trusted_schema(OFF)",
	}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Dir returns the folder the store was opened in.
func (s *Store) Dir() string { return s.dir }

// update runs f in one transaction that sees no other's half-done work, and returns when it is on disk.
func (s *Store) update(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// Also after a panic of f: the one connection must come back.
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// masterKey reads the key, or makes one when nothing was sealed under an earlier one yet.
func masterKey(path string, fresh bool) ([]byte, error) {
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) == 32:
		return key, nil
	case err == nil:
		return nil, fmt.Errorf("%s: not a key of 32 bytes", path)
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	case !fresh:
		return nil, fmt.Errorf("%s is missing: what the database holds cannot be opened without it", path)
	}
	key = make([]byte, 32)
	rand.Read(key)
	if err := createFile(path, key, 0o600); errors.Is(err, os.ErrExist) {
		return masterKey(path, false) // another process was first
	} else if err != nil {
		return nil, err
	}
	return key, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bound is the additional data that ties a sealed value to its place: what it is and the identifiers of its row.
func bound(what string, ids ...wire.UUID) []byte {
	b := []byte("scruple-receiver/" + what + "/1\n")
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

// errSealed says that a stored value cannot be opened with the key at hand; it names the kind of the value.
type sealedError string

func (e sealedError) Error() string {
	return "stored " + string(e) + " cannot be opened: damaged, or another key"
}

func open(key cipher.AEAD, sealed []byte, what string, ids ...wire.UUID) ([]byte, error) {
	plain, err := key.Open(nil, nil, sealed, bound(what, ids...))
	if err != nil {
		return nil, sealedError(what)
	}
	return plain, nil
}

// consentKey returns the key of a consent; with create it makes one where there is none.
// Without, the key of a consent that has none is sql.ErrNoRows.
func (s *Store) consentKey(tx queryer, consent wire.UUID, create bool) (cipher.AEAD, error) {
	var sealed []byte
	err := tx.QueryRow("SELECT sealed FROM keys WHERE consent = ?", consent[:]).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) && create {
		key := make([]byte, 32)
		rand.Read(key)
		defer clear(key)
		sealed = s.master.Seal(nil, nil, key, bound("key", consent))
		if _, err := tx.Exec("INSERT INTO keys (consent, sealed) VALUES (?, ?)", consent[:], sealed); err != nil {
			return nil, err
		}
		return newAEAD(key)
	}
	if err != nil {
		return nil, err
	}
	key, err := open(s.master, sealed, "key", consent)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return newAEAD(key)
}

// queryer is a *sql.Tx or a *sql.DB.
type queryer interface {
	Exec(query string, args ...any) (sql.Result, error)
	Query(query string, args ...any) (*sql.Rows, error)
	QueryRow(query string, args ...any) *sql.Row
}

// collect reads all rows before anything else uses the connection.
func collect[T any](tx queryer, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// changed runs a statement and returns how many rows it changed.
func changed(tx queryer, query string, args ...any) (int, error) {
	res, err := tx.Exec(query, args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// createFile writes a new file completely or not at all, and fails with os.ErrExist where there is one.
func createFile(path string, data []byte, perm os.FileMode) error {
	return placeFile(path, data, perm, func(temp string) error {
		defer os.Remove(temp)
		return os.Link(temp, path)
	})
}

// replaceFile writes a file completely or not at all.
func replaceFile(path string, data []byte, perm os.FileMode) error {
	return placeFile(path, data, perm, func(temp string) error { return os.Rename(temp, path) })
}

func placeFile(path string, data []byte, perm os.FileMode, place func(temp string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), strings.TrimPrefix(filepath.Base(path), ".")+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close())
	if err == nil {
		err = place(f.Name())
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(f.Name())))
	}
	return syncDir(filepath.Dir(path))
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
