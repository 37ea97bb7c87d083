// Package answers keeps what the analytics lane needs on the device: the counts of a period that is not over, and the answers that
// were made of those before and wait for their random time. Each consent has one file, sealed under its data key and replaced
// atomically, so that closing a period is one step and a withdrawal makes all of it unreadable at once.
//
// It is apart from the spool because its unit is the single answer: each leaves at a time of its own. The package sends nothing,
// draws nothing, and asks nobody for consent but the Permit it is given, under the lock that Erase takes.
//
// BUG: that a consent has a file here, and its size, can be seen by whoever can read the state folder.
package answers

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// The bounds of one consent, and what they were sized from.
const (
	// MaxQueue is how many answers wait: a year of a budget of one answer a week. The oldest go first.
	MaxQueue = 64
	// MaxCount is the largest count; what goes beyond stays there. No range of a policy needs to tell more apart.
	MaxCount = 1 << 40
	// MaxAge is the longest that anything waits where the policy's retention is an event and not a duration.
	MaxAge = 90 * 24 * time.Hour
)

// sealing is of a file with 64 answers of 512 bytes and 64 counts.
var sealing = sealed.Kind{Magic: "scruple-answers/1\n", Max: 128 << 10}

var (
	// ErrNone says that a consent has no answer that waits.
	ErrNone = errors.New("no answer waits to be sent")
	// ErrOtherConsent says that an answer and the permit it came with rest on different consents.
	ErrOtherConsent = errors.New("the answer was made under another consent")
)

// Waiting is an answer that waits.
type Waiting struct {
	ID      wire.UUID // of the body
	Consent wire.UUID
	Subtree wire.Hash // it was made under
	Body    []byte
	Due     time.Time
}

// Period is what was counted since the last answers were made.
type Period struct {
	Begin  time.Time
	Counts map[string]int64
}

// Stat is what is kept of one consent.
type Stat struct {
	Consent wire.UUID
	Begin   time.Time // of the open period
	Waiting int
	Bytes   int64
	Next    time.Time // when the first answer is due, zero when none waits
	Problem string    // why the file cannot be read, "" when all is well
}

// state is the content of a file.
type state struct {
	Begin  int64            `cbor:"1,keyasint"` // unix seconds
	Counts map[string]int64 `cbor:"2,keyasint"`
	Queue  []queued         `cbor:"3,keyasint"`
}

type queued struct {
	Body    []byte    `cbor:"1,keyasint"`
	Subtree wire.Hash `cbor:"2,keyasint"`
	Made    int64     `cbor:"3,keyasint"` // unix seconds
	Due     int64     `cbor:"4,keyasint"` // unix nanoseconds
}

// Store is safe for concurrent use.
type Store struct {
	files     sealed.Folder
	retention func(wire.UUID) time.Duration

	mu sync.Mutex
}

// Open opens the store in dir and makes dir if needed. Files of consents without a data key are removed: their
// withdrawal had been decided. retention returns the policy's retention on the device for a consent, 0 where it is no duration.
func Open(dir string, ring *keyring.Ring, retention func(wire.UUID) time.Duration) (*Store, error) {
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open answers: %w", err)
	}
	s := &Store{files: sealed.Folder{Dir: dir, Suffix: ".answers", Kind: sealing, Key: ring.DataKey}, retention: retention}
	for _, id := range s.Consents() {
		key, err := ring.DataKey(id)
		clear(key)
		if errors.Is(err, keyring.ErrNoKey) {
			_ = s.Erase(id) // repeated by the owner; nobody can read it
		}
	}
	return s, nil
}

// Consents returns the consents that have a file.
func (s *Store) Consents() []wire.UUID { return s.files.Consents() }

// read returns the state of a consent; an empty one where there is none, or where what there is cannot be opened: it is then of
// a data key that was destroyed, by an erasure, or damaged, and statistics are not worth a stop.
func (s *Store) read(consent wire.UUID) (state, error) {
	var st state
	plain, err := s.files.Load(consent)
	if err == nil {
		defer clear(plain)
		st, err = decode(plain)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, sealed.ErrDamaged) {
		return state{Counts: map[string]int64{}}, nil
	}
	return st, err
}

func decode(plain []byte) (state, error) {
	var st state
	if wire.Unmarshal(plain, &st) != nil || len(st.Queue) > MaxQueue {
		return state{}, sealed.ErrDamaged
	}
	for _, q := range st.Queue {
		if _, err := wire.DecodeAnswer(q.Body); err != nil {
			return state{}, sealed.ErrDamaged
		}
	}
	if st.Counts == nil {
		st.Counts = map[string]int64{}
	}
	return st, nil
}

func (s *Store) write(consent wire.UUID, st state) error {
	plain, err := wire.Marshal(st)
	if err != nil {
		return err
	}
	defer clear(plain)
	return s.files.Save(consent, plain)
}

// change reads, changes and replaces the file of a permit's consent, under the lock that Erase takes.
func (s *Store) change(p consent.Permit, what string, act func(*state) (changed bool)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := func() error {
		if err := p.Check(); err != nil {
			return err
		}
		st, err := s.read(p.Consent())
		if err != nil {
			return err
		}
		if !act(&st) {
			return nil
		}
		return s.write(p.Consent(), st)
	}()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Start begins the first period of a consent, if none has begun.
func (s *Store) Start(p consent.Permit, now time.Time) error {
	return s.change(p, "begin to count", func(st *state) bool {
		if st.Begin != 0 {
			return false
		}
		st.Begin = now.Unix()
		return true
	})
}

// Add counts. It is durable when Add returns nil. Negative counts are ignored.
func (s *Store) Add(p consent.Permit, counts map[string]int64, now time.Time) error {
	return s.change(p, "count", func(st *state) bool {
		if st.Begin == 0 {
			st.Begin = now.Unix()
		}
		for name, n := range counts {
			if n >= 0 {
				st.Counts[name] = min(st.Counts[name]+min(n, MaxCount), MaxCount)
			}
		}
		return true
	})
}

// Put sets a value, for what is not counted but found out.
func (s *Store) Put(p consent.Permit, name string, value int64, now time.Time) error {
	return s.change(p, "count", func(st *state) bool {
		if st.Begin == 0 {
			st.Begin = now.Unix()
		}
		st.Counts[name] = value
		return true
	})
}

// Close ends a period: its counts go, its answers wait, each for the time that due returns, and the next period begins now. It is
// one step: after a crash either all of it has happened or nothing.
func (s *Store) Close(p consent.Permit, made []minimise.Answer, now time.Time, due func() time.Time) error {
	for _, a := range made {
		if a.Consent() != p.Consent() {
			return fmt.Errorf("close period: %w", ErrOtherConsent)
		}
	}
	return s.change(p, "close period", func(st *state) bool {
		st.Begin, st.Counts = now.Unix(), map[string]int64{}
		for _, a := range made {
			st.Queue = append(st.Queue, queued{a.Body(), a.Subtree(), now.Unix(), due().UnixNano()})
		}
		if extra := len(st.Queue) - MaxQueue; extra > 0 {
			st.Queue = st.Queue[extra:]
		}
		return true
	})
}

// Period returns the open period of a consent; zero when none has begun.
func (s *Store) Period(consent wire.UUID) (Period, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.read(consent)
	if err != nil || st.Begin == 0 {
		return Period{}, err
	}
	return Period{time.Unix(st.Begin, 0), maps.Clone(st.Counts)}, nil
}

// Queue returns the answers of a consent that wait, the first due first.
func (s *Store) Queue(consent wire.UUID) ([]Waiting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.read(consent)
	if err != nil {
		return nil, fmt.Errorf("answers of consent %s: %w", consent, err)
	}
	list := make([]Waiting, 0, len(st.Queue))
	for _, q := range st.Queue {
		a, err := wire.DecodeAnswer(q.Body)
		if err != nil {
			continue
		}
		list = append(list, Waiting{a.ID, consent, q.Subtree, q.Body, time.Unix(0, q.Due)})
	}
	slices.SortStableFunc(list, func(a, b Waiting) int { return a.Due.Compare(b.Due) })
	return list, nil
}

// All returns the answers of all consents that wait, the first due first.
func (s *Store) All() []Waiting {
	var all []Waiting
	for _, id := range s.Consents() {
		if list, err := s.Queue(id); err == nil {
			all = append(all, list...)
		}
	}
	slices.SortStableFunc(all, func(a, b Waiting) int { return a.Due.Compare(b.Due) })
	return all
}

// Remove takes an answer out: the controller has it, or it may not leave any more. One that is not there is no error.
func (s *Store) Remove(consent, id wire.UUID) error {
	return s.edit(consent, id, func(q []queued, i int) []queued { return slices.Delete(q, i, i+1) })
}

// Postpone gives an answer another time.
func (s *Store) Postpone(consent, id wire.UUID, due time.Time) error {
	return s.edit(consent, id, func(q []queued, i int) []queued {
		q[i].Due = due.UnixNano()
		return q
	})
}

func (s *Store) edit(consent, id wire.UUID, act func(q []queued, i int) []queued) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := func() error {
		st, err := s.read(consent)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(st.Queue, func(q queued) bool {
			a, err := wire.DecodeAnswer(q.Body)
			return err == nil && a.ID == id
		})
		if i < 0 {
			return nil
		}
		st.Queue = act(st.Queue, i)
		return s.write(consent, st)
	}()
	if err != nil {
		return fmt.Errorf("answer of consent %s: %w", consent, err)
	}
	return nil
}

// Sweep drops answers that have waited longer than their retention.
func (s *Store) Sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.Consents() {
		st, err := s.read(id)
		if err != nil {
			continue
		}
		age := MaxAge
		if s.retention != nil {
			if d := s.retention(id); d > 0 {
				age = min(age, d)
			}
		}
		oldest, before := now.Add(-age).Unix(), len(st.Queue)
		st.Queue = slices.DeleteFunc(st.Queue, func(q queued) bool { return q.Made <= oldest })
		if len(st.Queue) < before {
			_ = s.write(id, st) // tried again at the next sweep
		}
	}
}

// Erase removes everything of a consent. It is idempotent and needs no key.
func (s *Store) Erase(consent wire.UUID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.files.Erase(consent); err != nil {
		return fmt.Errorf("erase answers of consent %s: %w", consent, err)
	}
	return nil
}

// Stats returns one entry per consent.
func (s *Store) Stats() []Stat {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stats []Stat
	for _, id := range s.Consents() {
		stat := Stat{Consent: id}
		st, err := s.read(id)
		if err != nil {
			stat.Problem = err.Error()
		}
		if st.Begin != 0 {
			stat.Begin = time.Unix(st.Begin, 0)
		}
		stat.Waiting = len(st.Queue)
		for _, q := range st.Queue {
			if due := time.Unix(0, q.Due); stat.Next.IsZero() || due.Before(stat.Next) {
				stat.Next = due
			}
		}
		if info, err := os.Stat(s.files.Path(id)); err == nil {
			stat.Bytes = info.Size()
		}
		stats = append(stats, stat)
	}
	return stats
}
