// Package spool keeps Reports on the disk until the controller has them: sealed under the consent's data key, bounded in
// bytes, number and age, safe against crashes, erased by unlinking files that nobody can read any more.
//
// Each consent has a folder of its own with numbered segments (see segment.go). A batch is made of the
// oldest segments and is stored, byte for byte as it will be sent, before anybody gets to see it, so a resend after a
// crash is the same bytes under the same id. What the receiver has confirmed is renamed, then its segments are
// unlinked; that needs no free space, and neither does erasing. The unit of dropping is the segment.
//
// After a failed write or fsync a file is never appended to again; after a restart a new segment is begun.
// What is read back is authenticated before anybody sees a byte of it.
//
// The package sends nothing and asks nobody for consent but the Permit it is given, under the lock that Erase takes.
//
// BUG: the number of reports of a tuple and their sizes can be seen from the files' sizes by whoever can read the
// state folder. Someone who can write to it can put back older segments of a consent that is still in force.
package spool

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var (
	// ErrEmpty says that a consent has nothing to be sent.
	ErrEmpty = errors.New("nothing to send")
	// ErrTooLarge says that a report is larger than MaxReport.
	ErrTooLarge = errors.New("report too large")
	// ErrOtherConsent says that a report and the permit it came with rest on different consents.
	ErrOtherConsent = errors.New("report was made under another consent")
	// ErrNotPending says that a batch is not the one to be sent next.
	ErrNotPending = errors.New("not the batch to be sent next")

	errNoSegment = errors.New("not a segment of this version")
	errDamaged   = errors.New("damaged, or sealed with another key")
)

// The bounds, and what they were sized from. Each is per consent unless it says otherwise.
const (
	// MaxReport is the largest encoded report in bytes: 131,072 digests of 16 bytes, the largest size class of
	// contacts, are 2 MiB.
	MaxReport = 4 << 20
	// MaxBytes is what the files of one consent may take: four of the largest reports, or at 300 bytes a sealed
	// accelerometer window of an hour, six years.
	MaxBytes = 16 << 20
	// MaxReports is the number of reports of one consent: two years of one report an hour.
	MaxReports = 20_000
	// MaxTotal is what all files may take: a small board's flash also has other uses.
	MaxTotal = 64 << 20
	// MaxAge is the longest a report waits where the policy's retention is an event and not a duration: a quarter of a
	// year offline is more than a device on holiday, and old values serve no declared purpose.
	MaxAge = 90 * 24 * time.Hour

	// segmentBytes and segmentReports close a segment: the loss when one has to be dropped, and the work of
	// reading one, stay small; four full ones fit into one batch.
	segmentBytes   = 1 << 20
	segmentReports = 1024
	// segmentAges closes a segment when its oldest report has used this part of its retention. Reports go when the
	// oldest of their segment is due, so at most an eighth early and never late.
	segmentAges = 8
	// batchBytes is the encoded size at which no further segment goes into a batch: larger bodies save nothing
	// per byte, and a cut connection repeats the whole.
	batchBytes = 1 << 20
)

// Why reports were dropped without being sent; the keys of Stat.Dropped.
const (
	DroppedBytes      = "bytes"      // the bound on bytes
	DroppedReports    = "reports"    // the bound on the number of reports
	DroppedAge        = "age"        // the retention on the device, or MaxAge
	DroppedDamaged    = "damaged"    // frames with a wrong checksum, files that are no segment
	DroppedUnreadable = "unreadable" // whole frames that were sealed with another key, or for another place
	DroppedTorn       = "torn"       // tails of segments that a crash left unfinished; their Append had not returned
)

// Limits are the bounds; a zero field means the constant of the same name.
type Limits struct {
	Bytes   int64
	Reports int
	Total   int64
	Age     time.Duration
	// Retention returns the policy's retention on the device for a consent, 0 where it is no duration. The shorter
	// of it and Age holds. It is called under the spool's lock and must not call back. May be nil.
	Retention func(consent wire.UUID) time.Duration
	// Dropped is told of every drop: whose, why (a Dropped constant), and how many reports. It is called under the
	// spool's lock and must not call back. May be nil.
	Dropped func(consent wire.UUID, reason string, reports int)
}

// Spool is safe for concurrent use.
type Spool struct {
	dir    string
	key    func(wire.UUID) ([]byte, error)
	limits Limits

	mu     sync.Mutex
	queues map[wire.UUID]*queue
}

// Stat is what the spool holds of one consent.
type Stat struct {
	Consent wire.UUID      `json:"consent"`
	Bytes   int64          `json:"bytes"`   // of its files
	Reports int            `json:"reports"` // waiting to be sent, parked ones aside
	Oldest  time.Time      `json:"oldest"`  // hour of the oldest of them, zero when there is none
	Parked  map[string]int `json:"parked"`  // refused by the controller, by reason: reports that are kept
	Dropped map[string]int `json:"dropped"` // by reason
	// Problem says why the folder could not be read or erased, "" when all is well.
	Problem string `json:"problem,omitempty"`
}

// Open opens the spool in dir and makes dir if needed. Torn tails are cut, what a crash interrupted is finished, and
// the folder of a consent without a data key is erased: its withdrawal had been decided. Folders that
// could not be read or erased stay listed, with the problem in their Stat.
func Open(dir string, ring *keyring.Ring, l Limits) (*Spool, error) {
	return open(dir, ring.DataKey, l)
}

func open(dir string, key func(wire.UUID) ([]byte, error), l Limits) (*Spool, error) {
	setDefault(&l.Bytes, MaxBytes)
	setDefault(&l.Reports, MaxReports)
	setDefault(&l.Total, MaxTotal)
	setDefault(&l.Age, MaxAge)
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &Spool{dir: dir, key: key, limits: l, queues: map[wire.UUID]*queue{}}
	for _, e := range entries {
		id, err := wire.ParseUUID(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		q := s.newQueue(id)
		s.queues[id] = q
		if _, err := s.ready(q); errors.Is(err, keyring.ErrNoKey) {
			_ = s.erase(id) // a failure stays in the Stat
		}
	}
	return s, nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// aead returns the sealer of a consent. It is made anew for every operation, so a destroyed key is gone at once.
func (s *Spool) aead(consent wire.UUID) (cipher.AEAD, error) {
	key, err := s.key(consent)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return sealer(key)
}

// ready returns the sealer of a queue whose state in memory is that of the disk.
func (s *Spool) ready(q *queue) (cipher.AEAD, error) {
	aead, err := s.aead(q.consent)
	if err != nil {
		q.problem = err
		return nil, err
	}
	if q.stale {
		if err := q.load(aead); err != nil {
			q.problem = err
			return nil, err
		}
	}
	q.problem = nil
	return aead, nil
}

// gate is what the spool asks of a consent.Permit.
type gate interface {
	Check() error
	Consent() wire.UUID
	Subtree() wire.Hash
}

// add does what Append says, for an encoded report.
func (s *Spool) add(p gate, encoded []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := p.Check(); err != nil {
		return err
	}
	if len(encoded) > MaxReport {
		return ErrTooLarge
	}
	r, err := wire.DecodeReport(encoded)
	if err != nil {
		return err
	}
	if r.Consent != p.Consent() || r.Subtree != p.Subtree() {
		return ErrOtherConsent
	}
	q := s.queues[r.Consent]
	if q == nil {
		q = s.newQueue(r.Consent)
	}
	aead, err := s.ready(q)
	if err != nil {
		return err
	}
	if s.queues[r.Consent] == nil {
		if err := durable.MkdirAll(q.dir); err != nil {
			return err
		}
		s.queues[r.Consent] = q
	}
	s.expire(q)
	s.makeRoom(q, int64(len(encoded)))
	if err := q.append(aead, record{q.now().Unix(), encoded}, r.Subtree, s.age(q.consent)/segmentAges); err != nil {
		q.spoilt(err)
		return err
	}
	return nil
}

// age returns the longest a report of the consent may wait.
func (s *Spool) age(consent wire.UUID) time.Duration {
	if s.limits.Retention != nil {
		if d := s.limits.Retention(consent); d > 0 {
			return min(d, s.limits.Age)
		}
	}
	return s.limits.Age
}

// expire drops what has waited too long.
func (s *Spool) expire(q *queue) {
	due := q.now().Add(-s.age(q.consent)).Unix()
	for {
		hour, ok := q.oldest()
		if !ok || hour > due || !s.drop(q, DroppedAge) {
			break
		}
	}
	for i := len(q.parked) - 1; i >= 0; i-- {
		if q.parked[i].hour <= due {
			s.dropParked(q, i, DroppedAge)
		}
	}
}

// makeRoom drops the oldest until n more bytes and one more report fit.
func (s *Spool) makeRoom(q *queue, n int64) {
	for q.bytes()+n > s.limits.Bytes && s.dropOldest(q, DroppedBytes) {
	}
	for q.reports() >= s.limits.Reports && s.drop(q, DroppedReports) {
	}
	for s.total()+n > s.limits.Total {
		largest := q
		for _, other := range s.queues {
			if other.bytes() > largest.bytes() {
				largest = other
			}
		}
		if !s.dropOldest(largest, DroppedBytes) {
			break
		}
	}
}

func (s *Spool) total() int64 {
	var n int64
	for _, q := range s.queues {
		n += q.bytes()
	}
	return n
}

// dropOldest drops a parked batch, or if there is none the oldest reports. It reports whether there was anything.
func (s *Spool) dropOldest(q *queue, reason string) bool {
	if len(q.parked) > 0 {
		return s.dropParked(q, 0, reason)
	}
	return s.drop(q, reason)
}

// drop drops the oldest segment, with all others of its batch if it is in one.
func (s *Spool) drop(q *queue, reason string) bool {
	n, err := q.dropFirst()
	if err != nil {
		q.spoilt(err)
		return false
	}
	s.count(q, reason, n)
	return n > 0
}

func (s *Spool) dropParked(q *queue, i int, reason string) bool {
	n := q.parked[i].items
	if err := q.removeParked(i); err != nil {
		q.spoilt(err)
		return false
	}
	s.count(q, reason, n)
	return true
}

func (s *Spool) count(q *queue, reason string, n int) {
	if n == 0 {
		return
	}
	q.dropped[reason] += n
	q.saveDropped()
	if s.limits.Dropped != nil {
		s.limits.Dropped(q.consent, reason, n)
	}
}

// Sweep drops what has waited longer than its retention. Append and Next do the same for their consent; an idle spool is
// swept by its owner once in a while.
func (s *Spool) Sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.consents() {
		q := s.queues[id]
		if _, err := s.ready(q); err == nil {
			s.expire(q)
		}
	}
}

// Erase removes every file of a consent. It is idempotent, needs no key and no free space, and once it has returned nil
// nothing of the consent is in the spool. After an error some files may be left: repeat it.
func (s *Spool) Erase(consent wire.UUID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.erase(consent); err != nil {
		return fmt.Errorf("erase spool of consent %s: %w", consent, err)
	}
	return nil
}

func (s *Spool) erase(consent wire.UUID) error {
	q := s.queues[consent]
	if q == nil {
		q = s.newQueue(consent)
	}
	q.close()
	q.stale = true
	err := removeDir(q.dir)
	if err != nil {
		q.erasure = err
		s.queues[consent] = q
		return err
	}
	delete(s.queues, consent)
	return nil
}

// removeDir unlinks the files in dir one by one, then dir. A missing dir is no error.
func removeDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() { // not ours, but nothing may be left
			errs = append(errs, os.RemoveAll(path))
			continue
		}
		errs = append(errs, durable.Remove(path))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return durable.Remove(dir)
}

// Consents returns the consents that have a folder, in no telling order.
func (s *Spool) Consents() []wire.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.consents()
}

func (s *Spool) consents() []wire.UUID {
	return slices.SortedFunc(maps.Keys(s.queues), func(a, b wire.UUID) int { return slices.Compare(a[:], b[:]) })
}

// Stats returns one entry per consent.
func (s *Spool) Stats() []Stat {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := make([]Stat, 0, len(s.queues))
	for _, id := range s.consents() {
		q := s.queues[id]
		if q.stale {
			_, _ = s.ready(q) // why not is in the stat
		}
		stats = append(stats, q.stat())
	}
	return stats
}

// Close closes the files. Everything stored is already on the disk.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		q.close()
		q.stale = true
	}
	return nil
}
