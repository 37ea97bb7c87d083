// Package journal is the egress journal: a record of every body that left the device, written before the send, byte
// for byte, so that the person can read what was really sent.
//
// It has two parts. The index is a plain text log of when, on which lane, under which consent, how many bytes with which
// SHA-256, and what came of it. A body, with the method and path it was sent to, is stored once however often it is sent,
// sealed under its consent's data key. When a consent ends, its bodies become unreadable with its key and are removed
// by Forget, and the index keeps lane, consent id, time, size and hash. Messages of lane A that are sent after the key is gone
// have no body here; they stand in the consent ledger.
//
// The package sends nothing. It does not judge what it is given: whoever sends must call Begin first.
//
// BUG: the index is not signed. Whoever can write to the state folder can change it.
package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Lane is the lane a request goes on.
type Lane string

// The lanes.
const (
	LaneA Lane = "A" // consent messages, erasure
	LaneB Lane = "B" // consented features
	LaneC Lane = "C" // statistics
)

var (
	// ErrNoEntry says that there is no entry of this id; the oldest ones go when the index is full.
	ErrNoEntry = errors.New("no such entry in the egress journal")
	// ErrNoBody says that an entry's body is not kept (any more): its consent ended, it was too old, or its
	// message stands in the consent ledger.
	ErrNoBody = errors.New("the body is not kept any more")
	// ErrDamaged says that a stored body is not what was sent.
	ErrDamaged = errors.New("the stored body is damaged")
)

// The bounds, and what they were sized from.
const (
	// MaxBodies is what all bodies may take in bytes: a year of weekly address books of 1,000 people, or half a
	// year of an hourly accelerometer window, is below 4 MiB. The oldest go first.
	MaxBodies = 32 << 20
	// MaxAge is how long a body is kept: a season, enough to look into what one has agreed to, and not an archive of
	// what the minimiser has let through.
	MaxAge = 90 * 24 * time.Hour

	// indexBytes and indexFiles bound the index to 2 MiB, some 5,000 requests: with one a day on each of
	// ten tuples, more than a year.
	indexBytes = 256 << 10
	indexFiles = 8
)

// Limits are the bounds; a zero field means the constant of the same name.
type Limits struct {
	Bodies int64
	Age    time.Duration
	// Retention returns how long the policy lets the device keep what was collected under a consent, 0 where that is no duration. The
	// shorter of it and Age counts; nil means Age alone.
	Retention func(consent wire.UUID) time.Duration
}

// Entry is one request.
type Entry struct {
	ID      wire.UUID `json:"id"`
	Lane    Lane      `json:"lane"`
	Consent wire.UUID `json:"consent"`
	Time    time.Time `json:"time"` // before the send
	Size    int       `json:"size"` // of the body, in bytes
	Hash    wire.Hash `json:"sha256"`
	// Status is the answer's HTTP status, 0 when there was none.
	Status int `json:"status,omitempty"`
	// Outcome says in words what went wrong. It is "" when the controller confirmed the body with its receipt, and, with
	// Status 0, when the agent stopped before it knew.
	Outcome string `json:"outcome,omitempty"`
	// Kept says that Body can show it. Method and Path are known as long as it is.
	Kept   bool   `json:"kept"`
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
}

// Journal is safe for concurrent use.
type Journal struct {
	dir    string
	key    func(wire.UUID) ([]byte, error)
	limits Limits

	mu    sync.Mutex
	index index
	size  int64 // of all bodies
}

// Open opens the journal in dir and makes dir if needed. Bodies of consents without a data key are removed.
func Open(dir string, ring *keyring.Ring, l Limits) (*Journal, error) {
	return open(dir, ring.DataKey, l)
}

func open(dir string, key func(wire.UUID) ([]byte, error), l Limits) (*Journal, error) {
	if l.Bodies == 0 {
		l.Bodies = MaxBodies
	}
	if l.Age == 0 {
		l.Age = MaxAge
	}
	j := &Journal{dir: dir, key: key, limits: l, index: index{dir: dir}}
	if err := durable.MkdirAll(j.bodies()); err != nil {
		return nil, fmt.Errorf("open egress journal: %w", err)
	}
	if err := j.index.open(); err != nil {
		return nil, fmt.Errorf("open egress journal: %w", err)
	}
	if _, err := os.ReadDir(j.bodies()); err != nil {
		return nil, fmt.Errorf("open egress journal: %w", err)
	}
	for _, id := range j.Consents() {
		key, err := j.key(id)
		clear(key)
		if errors.Is(err, keyring.ErrNoKey) {
			_ = j.forget(id) // what is left is listed by Consents; nobody can read it
		}
	}
	for _, b := range j.stored() {
		j.size += b.size
	}
	return j, nil
}

func (j *Journal) bodies() string { return filepath.Join(j.dir, "bodies") }

func (j *Journal) folder(consent wire.UUID) string {
	return filepath.Join(j.bodies(), consent.String())
}

func (j *Journal) path(consent wire.UUID, hash wire.Hash) string {
	return filepath.Join(j.folder(consent), hash.String()+".body")
}

// Begin records that a body is about to leave. When it returns nil the entry and, as long as the consent has a data key,
// the body are on the disk. After an error nothing may be sent, with one exception: lane A, whose messages the
// consent ledger has.
func (j *Journal) Begin(lane Lane, consent wire.UUID, method, path string, body []byte) (wire.UUID, error) {
	return j.BeginSince(lane, consent, method, path, body, time.Now())
}

// BeginSince is Begin of a body whose oldest content is from since: the retention counts from there.
func (j *Journal) BeginSince(lane Lane, consent wire.UUID, method, path string, body []byte, since time.Time) (wire.UUID, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := Entry{
		ID: wire.NewUUID(), Lane: lane, Consent: consent, Time: time.Now().UTC().Truncate(time.Second),
		Size: len(body), Hash: wire.HashOf(body),
	}
	if err := j.keep(e, sent{method, path, body}, since); err != nil && !errors.Is(err, keyring.ErrNoKey) {
		return wire.UUID{}, fmt.Errorf("egress journal: %w", err)
	}
	if err := j.index.append(line{Entry: &e}); err != nil {
		return wire.UUID{}, fmt.Errorf("egress journal: %w", err)
	}
	return e.ID, nil
}

// End records what came of a request: the HTTP status, or 0, and what went wrong in a few words that hold no personal
// value, "" for nothing.
func (j *Journal) End(id wire.UUID, status int, outcome string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.index.append(line{End: &ending{id, status, outcome}}); err != nil {
		return fmt.Errorf("egress journal: %w", err)
	}
	return nil
}

// keep stores a body under its consent's key, once.
func (j *Journal) keep(e Entry, s sent, since time.Time) error {
	key, err := j.key(e.Consent)
	if err != nil {
		return err
	}
	defer clear(key)
	path := j.path(e.Consent, e.Hash)
	if _, err := os.Stat(path); err == nil {
		if _, err := j.read(e); err == nil {
			return nil
		}
	}
	file, err := s.seal(key, e)
	if err != nil {
		return err
	}
	j.makeRoom(int64(len(file)))
	if err := durable.MkdirAll(j.folder(e.Consent)); err != nil {
		return err
	}
	if err := durable.WriteFile(path, file, 0o600); err != nil {
		return err
	}
	j.size += int64(len(file))
	if j.retention(e.Consent) > 0 {
		if since.After(e.Time) {
			since = e.Time
		}
		return os.Chtimes(path, since, since)
	}
	return nil
}

// retention is the policy's retention of a consent, 0 where there is none.
func (j *Journal) retention(consent wire.UUID) time.Duration {
	if j.limits.Retention == nil {
		return 0
	}
	return j.limits.Retention(consent)
}

// makeRoom removes the oldest bodies until n more bytes fit, and those that are too old.
func (j *Journal) makeRoom(n int64) {
	now := time.Now()
	all := j.stored()
	j.size = 0
	for _, b := range all {
		j.size += b.size
	}
	for _, b := range all {
		age := j.limits.Age
		if keep := j.retention(b.consent); keep > 0 {
			age = min(age, keep)
		}
		if j.size+n <= j.limits.Bodies && b.time.After(now.Add(-age)) {
			continue
		}
		if durable.Remove(b.path) == nil {
			j.size -= b.size
		}
	}
}

// storedBody is a body's file.
type storedBody struct {
	path    string
	consent wire.UUID
	size    int64
	time    time.Time
}

// stored lists the bodies' files, oldest first.
func (j *Journal) stored() []storedBody {
	var all []storedBody
	_ = filepath.WalkDir(j.bodies(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			consent, _ := wire.ParseUUID(filepath.Base(filepath.Dir(path))) // a folder of another name has no retention
			all = append(all, storedBody{path, consent, info.Size(), info.ModTime()})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b storedBody) int { return a.time.Compare(b.time) })
	return all
}

// Sweep removes bodies that are too old. Begin does the same.
func (j *Journal) Sweep() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.makeRoom(0)
}

// List returns the entries, oldest first.
func (j *Journal) List() ([]Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries, err := j.index.read()
	if err != nil {
		return nil, fmt.Errorf("read egress journal: %w", err)
	}
	known := map[string]*sent{}
	for i := range entries {
		e := &entries[i]
		path := j.path(e.Consent, e.Hash)
		s, seen := known[path]
		if !seen {
			if got, err := j.read(*e); err == nil {
				s = &sent{Method: got.Method, Path: got.Path}
			}
			known[path] = s
		}
		if s != nil {
			e.Kept, e.Method, e.Path = true, s.Method, s.Path
		}
	}
	return entries, nil
}

// Body returns the body of an entry as it left: its SHA-256 has been compared with the entry's. ErrNoEntry, ErrNoBody,
// ErrDamaged.
func (j *Journal) Body(id wire.UUID) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries, err := j.index.read()
	if err != nil {
		return nil, fmt.Errorf("read egress journal: %w", err)
	}
	for _, e := range entries {
		if e.ID != id {
			continue
		}
		s, err := j.read(e)
		if err != nil {
			return nil, fmt.Errorf("entry %s: %w", id, err)
		}
		return s.Body, nil
	}
	return nil, fmt.Errorf("entry %s: %w", id, ErrNoEntry)
}

// read returns the stored body of an entry.
func (j *Journal) read(e Entry) (sent, error) {
	key, err := j.key(e.Consent)
	if errors.Is(err, keyring.ErrNoKey) {
		return sent{}, ErrNoBody
	}
	if err != nil {
		return sent{}, err
	}
	defer clear(key)
	plain, err := sealing.Read(j.path(e.Consent, e.Hash), key, place(e))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return sent{}, ErrNoBody
	case errors.Is(err, sealed.ErrDamaged):
		return sent{}, ErrDamaged
	case err != nil:
		return sent{}, err
	}
	return decodeSent(plain, e)
}

// Forget removes the bodies of a consent. Lane, consent id, time, size and hash stay. It is idempotent and needs neither
// a key nor free space.
func (j *Journal) Forget(consent wire.UUID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.forget(consent); err != nil {
		return fmt.Errorf("forget consent %s in the egress journal: %w", consent, err)
	}
	return nil
}

func (j *Journal) forget(consent wire.UUID) error {
	dir := j.folder(consent)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := durable.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return durable.Remove(dir)
}

// Consents returns the consents of which bodies, or their folder, are on the disk. A folder that cannot be read has none that could be
// forgotten.
func (j *Journal) Consents() (list []wire.UUID) {
	entries, _ := os.ReadDir(j.bodies())
	for _, e := range entries {
		if id, err := wire.ParseUUID(e.Name()); err == nil {
			list = append(list, id)
		}
	}
	return list
}

// Close closes the files. Everything recorded is already on the disk.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.index.close()
	return nil
}

// sent is what a body's file holds.
type sent struct {
	Method string `cbor:"1,keyasint"`
	Path   string `cbor:"2,keyasint"`
	Body   []byte `cbor:"3,keyasint"`
}

// A body's file is sealed under the consent's data key. Its place is the consent and the SHA-256 of the body, its name that SHA-256.
var sealing = sealed.Kind{Magic: "scruple-egress/1\n", Max: 4096 + wire.MaxBody}

func place(e Entry) []byte { return append(e.Consent[:], e.Hash[:]...) }

func (s sent) seal(key []byte, e Entry) ([]byte, error) {
	plain, err := wire.Marshal(s)
	if err != nil {
		return nil, err
	}
	return sealing.Seal(key, place(e), plain)
}

func decodeSent(plain []byte, e Entry) (sent, error) {
	var s sent
	if err := wire.Unmarshal(plain, &s); err != nil || wire.HashOf(s.Body) != e.Hash {
		return sent{}, ErrDamaged
	}
	return s, nil
}
