// Package notices keeps what controllers have announced: a breach, a later policy, the end of the service. Each notice is
// signed by its controller's key, is numbered, and holds the hash of the one before; a mark in the key ring holds the
// number and hash of the latest that was verified. So what is forged, was seen before, or belongs to another history is
// refused, whatever the server says and whatever is done to the files here.
//
// Take verifies and keeps; List, Shown and Decide are the person's side; Stopped is asked before anything is sent. The notices of
// a controller lie in one sealed file, which is written before the mark: what the mark does not know of is forgotten at
// the next start and asked for again.
//
// Left out: asking (the uploader does) and acting on a notice (package agent does).
package notices

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var (
	// ErrRefused says that a notice is not the next one of its controller: not signed by its key, for another one, seen
	// before, or of another history. None of it has any effect.
	ErrRefused = errors.New("the notice is refused")
	// ErrStopped says that nothing is sent to a controller because it has announced a breach, until the person decides.
	ErrStopped = errors.New("stopped after a breach notice: scruple notices decide")
	// ErrNoDecision says that a notice asks for no decision, or that it has been taken.
	ErrNoDecision = errors.New("the notice asks for no decision")
)

// maxKept is how many notices of a controller are kept; the oldest go first.
const maxKept = 256

// sealing is of a file with maxKept notices and one policy.
var sealing = sealed.Kind{Magic: "scruple-notices/1\n", Max: maxKept*(wire.MaxNotice+256) + wire.MaxNoticePolicy + 4096}

// Kept is one notice with what has become of it here.
type Kept struct {
	wire.Notice
	Signed   []byte    // the signed note
	Policy   []byte    // a signed policy, with the latest policy change
	Received time.Time // here
	Before   bool      // announced before the person's first consent: without effect
	Unread   bool      // not shown yet
	Stops    bool      // stops the lanes until the person decides

	key string // verifier key with which it was verified
}

// file is what a sealed file holds.
type file struct {
	Controller policy.ControllerID `cbor:"1,keyasint"`
	List       []entry             `cbor:"2,keyasint"`
}

type entry struct {
	Signed   []byte `cbor:"1,keyasint"`
	Policy   []byte `cbor:"2,keyasint,omitempty"`
	Received int64  `cbor:"3,keyasint"`
	Before   bool   `cbor:"4,keyasint,omitempty"`
	Key      string `cbor:"5,keyasint"` // verifier key that it was verified with
}

// Store keeps the notices of all controllers of one data subject. It is safe for concurrent use.
type Store struct {
	dir  string
	ring *keyring.Ring

	mu   sync.Mutex
	kept map[policy.ControllerID][]Kept
}

// Open opens the store in dir, which it makes if needed. A file that cannot be read is no error: its notices are asked for
// again, and have no second effect.
func Open(dir string, ring *keyring.Ring) (*Store, error) {
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open notices: %w", err)
	}
	s := &Store{dir: dir, ring: ring, kept: map[policy.ControllerID][]Kept{}}
	marks := map[policy.ControllerID]keyring.NoticeMark{}
	ring.View(func(st *keyring.State) {
		for id, m := range st.Notices {
			c := *m
			c.Key = slices.Clone(m.Key)
			marks[id] = c
		}
	})
	for id, m := range marks {
		list, err := s.read(id, m)
		clear(m.Key)
		if err == nil {
			s.kept[id] = list
		}
	}
	return s, nil
}

func (s *Store) path(id policy.ControllerID) string {
	return filepath.Join(s.dir, string(id)+".notices")
}

var errFile = errors.New("not the notices that were kept")

// read opens a controller's file and leaves out what the mark does not know of.
func (s *Store) read(id policy.ControllerID, m keyring.NoticeMark) ([]Kept, error) {
	plain, err := sealing.Read(s.path(id), m.Key, []byte(id))
	if err != nil {
		return nil, err
	}
	var f file
	if err := wire.Unmarshal(plain, &f); err != nil || f.Controller != id {
		return nil, errFile
	}
	var list []Kept
	for _, e := range f.List {
		n, err := wire.OpenNotice(e.Signed, e.Key)
		if err != nil {
			return nil, errFile
		}
		if n.Number > m.Number {
			break
		}
		list = append(list, Kept{Notice: n, Signed: e.Signed, Policy: e.Policy, Received: time.Unix(e.Received, 0).UTC(), Before: e.Before, key: e.Key})
	}
	if len(list) == 0 || list[len(list)-1].Number != m.Number || list[len(list)-1].Hash() != wire.Hash(m.Hash) {
		return nil, errFile
	}
	return list, nil
}

// After is the number of the latest notice at hand: what comes is to begin behind it. It is 0 where the kept ones were lost,
// so that they come again.
func (s *Store) After(id policy.ControllerID) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if list := s.kept[id]; len(list) > 0 {
		return list[len(list)-1].Number
	}
	return 0
}

// Take verifies what a controller answered and keeps it, durably, before it returns what is new. What was announced before
// first (unix seconds; 0: nobody ever agreed to anything) is kept without effect, unless it is of an end still to come. At the first notice that is not the next
// one it stops with ErrRefused; those before it are kept.
func (s *Store) Take(c policy.Controller, bundles []wire.NoticeBundle, now time.Time, first int64) (fresh []Kept, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.ContainsAny(string(c.ID), "/\\") {
		return nil, ErrRefused
	}
	list := slices.Clone(s.kept[c.ID])
	mark := s.mark(c.ID)
	defer clear(mark.Key)
	var refused error
	for _, b := range bundles {
		k, err := next(c, list, mark, b)
		if err != nil {
			refused = err
			break
		}
		k.Received, k.Before = now.UTC().Truncate(time.Second), !concerns(k.Notice, now, first)
		list = append(list, k)
		if k.Number > mark.Number {
			fresh = append(fresh, k)
		}
	}
	if len(list) == len(s.kept[c.ID]) {
		return nil, refused
	}
	last := list[len(list)-1]
	if last.Number < mark.Number { // lost ones, and not all of them again yet
		s.kept[c.ID] = list
		return nil, refused
	}
	for i := range list[:len(list)-1] {
		list[i].Policy = nil
	}
	list = list[max(0, len(list)-maxKept):]
	if err := s.keep(c, list, fresh, last, mark); err != nil {
		return nil, fmt.Errorf("keep notices: %w", err)
	}
	return fresh, refused
}

// clockSkew is how far the controller's clock and this device's may be apart, in seconds.
const clockSkew = 24 * 3600

// concerns reports whether a notice concerns a person who first agreed to something at first: it was announced since, give or take
// the clocks, or it is of an end that is still to come.
func concerns(n wire.Notice, now time.Time, first int64) bool {
	return first != 0 && (n.Time.Unix() >= first-clockSkew || n.Kind == wire.NoticeEnd && n.Ends.After(now))
}

// next checks that a bundle is the notice that follows those of the list.
func next(c policy.Controller, list []Kept, mark keyring.NoticeMark, b wire.NoticeBundle) (Kept, error) {
	refuse := func(why string) (Kept, error) { return Kept{}, fmt.Errorf("%w: %s", ErrRefused, why) }
	n, err := wire.OpenNotice(b.Note, c.Key)
	if err != nil {
		return Kept{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	number, previous := uint64(0), wire.Hash{}
	if len(list) > 0 {
		last := list[len(list)-1]
		number, previous = last.Number, last.Hash()
	}
	switch {
	case n.Controller != string(c.ID):
		return refuse("it is another controller's")
	case n.Number <= number:
		return refuse("it was seen before")
	case n.Number != number+1:
		return refuse("one before it is missing")
	case n.Previous != previous:
		return refuse("it continues another history than the one seen before")
	case n.Number == mark.Number && n.Hash() != wire.Hash(mark.Hash):
		return refuse("another one was seen with its number")
	case n.Kind == wire.NoticePolicy && wire.HashOf(b.Policy) != n.PolicyHash:
		return refuse("the policy that comes with it is another one")
	case n.Kind != wire.NoticePolicy && len(b.Policy) > 0:
		return refuse("it has a policy with it")
	}
	return Kept{Notice: n, Signed: b.Note, Policy: b.Policy, key: c.Key}, nil
}

// mark returns a copy of a controller's mark, or a fresh one.
func (s *Store) mark(id policy.ControllerID) (m keyring.NoticeMark) {
	s.ring.View(func(st *keyring.State) {
		if old := st.Notices[id]; old != nil {
			m = *old
			m.Key = slices.Clone(old.Key)
		}
	})
	if len(m.Key) == 0 {
		m.Key = keyring.NewKey()
	}
	return m
}

// keep writes the file and then the mark with the effects of what is fresh: one replacement of the ring.
func (s *Store) keep(c policy.Controller, list, fresh []Kept, last Kept, mark keyring.NoticeMark) error {
	f := file{Controller: c.ID}
	for _, k := range list {
		f.List = append(f.List, entry{Signed: k.Signed, Policy: k.Policy, Received: k.Received.Unix(), Before: k.Before, Key: k.key})
	}
	plain, err := wire.Marshal(f)
	if err != nil {
		return err
	}
	if err := sealing.Write(s.path(c.ID), mark.Key, []byte(c.ID), plain); err != nil && !durable.Replaced(err) {
		return err
	}
	hash := last.Hash()
	err = s.ring.Update(func(st *keyring.State) error {
		m := s.entry(st, c.ID, mark.Key)
		m.Number, m.Hash = last.Number, hash[:]
		for _, k := range fresh {
			if k.Before {
				continue
			}
			m.Unread = append(m.Unread, k.Number)
			switch k.Kind {
			case wire.NoticeBreach:
				m.Stops = append(m.Stops, k.Number)
			case wire.NoticeEnd:
				m.Ends = k.Ends.Unix()
			}
		}
		m.Unread, m.Stops = m.Unread[max(0, len(m.Unread)-maxKept):], m.Stops[max(0, len(m.Stops)-maxKept):]
		return nil
	})
	if err != nil && !durable.Replaced(err) {
		return err
	}
	s.kept[c.ID] = list
	return nil
}

// entry returns the mark in a state that is being changed.
func (s *Store) entry(st *keyring.State, id policy.ControllerID, key keyring.Secret) *keyring.NoticeMark {
	m := st.Notices[id]
	if m == nil {
		m = &keyring.NoticeMark{Key: slices.Clone(key)}
		st.Notices[id] = m
	}
	return m
}

// List returns every notice that is kept, by controller and number.
func (s *Store) List() []Kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Kept
	for _, list := range s.kept {
		out = append(out, list...)
	}
	s.ring.View(func(st *keyring.State) {
		for i, k := range out {
			if m := st.Notices[policy.ControllerID(k.Controller)]; m != nil {
				_, out[i].Unread = slices.BinarySearch(m.Unread, k.Number)
				_, out[i].Stops = slices.BinarySearch(m.Stops, k.Number)
			}
		}
	})
	slices.SortFunc(out, func(a, b Kept) int {
		if a.Controller != b.Controller {
			return strings.Compare(a.Controller, b.Controller)
		}
		return int(int64(a.Number) - int64(b.Number))
	})
	return out
}

// Shown notes that the person has been shown a notice. It is durable when it returns.
func (s *Store) Shown(id policy.ControllerID, number uint64) error {
	return s.drop(id, number, func(m *keyring.NoticeMark) *[]uint64 { return &m.Unread }, nil)
}

// Decide notes that the person has decided what follows from a breach. ErrNoDecision when there is none to take.
func (s *Store) Decide(id policy.ControllerID, number uint64) error {
	return s.drop(id, number, func(m *keyring.NoticeMark) *[]uint64 { return &m.Stops }, ErrNoDecision)
}

// drop takes a number out of one list of a mark; absent is the error when it is not in it.
func (s *Store) drop(id policy.ControllerID, number uint64, of func(*keyring.NoticeMark) *[]uint64, absent error) error {
	there := false
	s.ring.View(func(st *keyring.State) {
		if m := st.Notices[id]; m != nil {
			_, there = slices.BinarySearch(*of(m), number)
		}
	})
	if !there {
		return absent
	}
	return s.ring.Update(func(st *keyring.State) error {
		if m := st.Notices[id]; m != nil {
			list := of(m)
			*list = slices.DeleteFunc(*list, func(n uint64) bool { return n == number })
		}
		return nil
	})
}

// Stopped returns ErrStopped while a breach stops what goes to a controller.
func (s *Store) Stopped(id policy.ControllerID) (err error) {
	s.ring.View(func(st *keyring.State) {
		if m := st.Notices[id]; m != nil && len(m.Stops) > 0 {
			err = ErrStopped
		}
	})
	return err
}

// Waiting is what of a controller's notices waits for the person, by number, ascending.
type Waiting struct{ Unread, Stops []uint64 }

// Waiting returns what waits for the person, by controller, also where the notices themselves were lost and have to come again.
func (s *Store) Waiting() map[policy.ControllerID]Waiting {
	out := map[policy.ControllerID]Waiting{}
	s.ring.View(func(st *keyring.State) {
		for id, m := range st.Notices {
			if len(m.Unread)+len(m.Stops) > 0 {
				out[id] = Waiting{slices.Clone(m.Unread), slices.Clone(m.Stops)}
			}
		}
	})
	return out
}

// Ends returns when the service of each controller ends that has announced an end.
func (s *Store) Ends() map[policy.ControllerID]time.Time {
	out := map[policy.ControllerID]time.Time{}
	s.ring.View(func(st *keyring.State) {
		for id, m := range st.Notices {
			if m.Ends != 0 {
				out[id] = time.Unix(m.Ends, 0).UTC()
			}
		}
	})
	return out
}

// Next returns when a controller is to be asked again by itself; the zero time when that was not settled yet.
func (s *Store) Next(id policy.ControllerID) (at time.Time) {
	s.ring.View(func(st *keyring.State) {
		if m := st.Notices[id]; m != nil && m.Next != 0 {
			at = time.Unix(m.Next, 0)
		}
	})
	return at
}

// SetNext keeps when a controller is to be asked again, over a restart.
func (s *Store) SetNext(id policy.ControllerID, at time.Time) error {
	return s.ring.Update(func(st *keyring.State) error {
		s.entry(st, id, keyring.NewKey()).Next = max(at.Unix(), 1)
		return nil
	})
}
