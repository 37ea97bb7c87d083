// Package rights keeps what the person asks of controllers under their rights, as cases: access, correction, erasure of parts,
// closing an account, complaints. A case is durable before it is confirmed to the person, is sent until the controller's signed
// receipt is there, and stays open until the controller's signed final answer is.
//
// Each case is one file, sealed under a key of its own that the key ring holds with a copy of the identity it is sent with, so
// that a case outlives the erasure of what it is about, and the withdrawal of its consent. Every change of a case writes a
// new file under a new key and then replaces the ring, which is the commit point: values of a correction and the identity are
// gone with the final answer, also from the old file's blocks as far as they cannot be read without the key.
//
// For most uses: File, then let the uploader ask Waiting and give back Confirm and Answer. List and Get are for people.
//
// Left out: the package sends nothing, changes no stored data, and decides nothing about consent.
package rights

import (
	"crypto/ed25519"
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
	"github.com/scruple-agent/scruple/uploader/wire"
)

var (
	// ErrNoIdentity says that the person's key towards the controller is gone, so that the controller cannot know who asks.
	ErrNoIdentity = errors.New("no key is left with which the controller knows this person")
	// ErrClosed says that the account at the controller was closed.
	ErrClosed = errors.New("the account at this controller was closed")
	// ErrFull says that MaxCases cases are open. An account can be closed all the same.
	ErrFull = errors.New("too many open cases")
	// ErrUnknown says that there is no case with this id.
	ErrUnknown = errors.New("no such case")
	// ErrDamaged says that a case's file cannot be read.
	ErrDamaged = errors.New("case cannot be read")
	// ErrOld says that a controller's answer is older than one that came before.
	ErrOld = errors.New("the controller gave a later answer before")
)

const (
	// MaxCases bounds the cases that are kept. To make room the oldest that has its final answer goes.
	MaxCases = 512
	// MaxErasures is how many of them are erasures: applications delete items too, and push out no complaint by that.
	MaxErasures = 384
	// Kept is how long a case is kept after its final answer.
	Kept = 365 * 24 * time.Hour
	// AskEvery is how often a controller is asked about a case without a final answer. The person can ask at any time.
	AskEvery = 24 * time.Hour
	// maxAnswers is how many answers to a case are kept, the latest ones.
	maxAnswers = 8
)

// Case is one case, as the device knows it.
type Case struct {
	ID      wire.UUID     `cbor:"1,keyasint"`
	Kind    wire.CaseKind `cbor:"2,keyasint"`
	Tuple   policy.Tuple  `cbor:"3,keyasint"`
	Consent wire.UUID     `cbor:"4,keyasint"`
	Created int64         `cbor:"5,keyasint"` // unix seconds, as all times here
	// What it is about. Names are those of fields; Values are in Message alone.
	Text  string   `cbor:"6,keyasint,omitempty"` // the person's words, in a complaint
	Item  string   `cbor:"7,keyasint,omitempty"`
	Names []string `cbor:"8,keyasint,omitempty"`
	From  int64    `cbor:"9,keyasint,omitempty"`
	Until int64    `cbor:"10,keyasint,omitempty"`
	// Local says that what has to be done on this device first has been done; Here is how many items that changed.
	Local bool `cbor:"11,keyasint"`
	Here  int  `cbor:"12,keyasint"`
	// Message is the signed case, nil once the final answer is there; Hash is its SHA-256.
	Message []byte    `cbor:"13,keyasint,omitempty"`
	Hash    wire.Hash `cbor:"14,keyasint"`
	// Receipt is the controller's signed confirmation; Received its time, or the time here where that is earlier. The time to
	// answer counts from it.
	Receipt  []byte `cbor:"15,keyasint,omitempty"`
	Received int64  `cbor:"16,keyasint,omitempty"`
	// Answers are the controller's signed notes, oldest first, and the fields behind them what the latest says.
	Answers [][]byte        `cbor:"17,keyasint,omitempty"`
	Number  uint64          `cbor:"18,keyasint,omitempty"`
	State   wire.CaseState  `cbor:"19,keyasint,omitempty"`
	Reason  wire.CaseReason `cbor:"20,keyasint,omitempty"`
	Words   string          `cbor:"21,keyasint,omitempty"`
	Items   int             `cbor:"22,keyasint,omitempty"`
	Ended   int64           `cbor:"23,keyasint,omitempty"` // when the final answer came
	Asked   int64           `cbor:"24,keyasint,omitempty"` // when the controller was asked last
}

// Due is when the final answer has to be there; zero while the controller has not confirmed the case.
func (c Case) Due() time.Time {
	if c.Received == 0 {
		return time.Time{}
	}
	return time.Unix(c.Received, 0).Add(wire.CaseTime).UTC()
}

// Overdue reports whether the controller has let the time pass: to answer, or to confirm a case that it has been sent again and again.
func (c Case) Overdue(now time.Time) bool {
	switch {
	case c.State.Final():
		return false
	case c.Received == 0:
		return now.After(time.Unix(c.Created, 0).Add(wire.CaseTime))
	}
	return now.After(c.Due())
}

// Request opens the signed case; ErrMalformed once it is gone.
func (c Case) Request() (wire.Case, error) {
	m, _, err := wire.OpenCase(c.Message)
	return m, err
}

// Options of a store.
type Options struct {
	// Key returns a controller's verifier key.
	Key func(policy.ControllerID) (string, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Store holds the cases of one data subject. It is safe for concurrent use.
type Store struct {
	dir  string
	ring *keyring.Ring
	o    Options

	mu      sync.Mutex
	cases   map[wire.UUID]*Case
	damaged map[wire.UUID]error
}

// Open opens the cases in dir, which it makes if needed. What a crash interrupted is finished: a file without a key goes. A case
// whose file cannot be read is no error of Open; Damaged names it.
func Open(dir string, ring *keyring.Ring, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open cases: %w", err)
	}
	s := &Store{dir: dir, ring: ring, o: o, cases: map[wire.UUID]*Case{}, damaged: map[wire.UUID]error{}}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("open cases: %w", err)
	}
	return s, nil
}

// Damaged returns the cases whose files cannot be read.
func (s *Store) Damaged() []wire.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []wire.UUID
	for id := range s.damaged {
		out = append(out, id)
	}
	slices.SortFunc(out, func(a, b wire.UUID) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// List returns every case, oldest first.
func (s *Store) List() []Case {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list()
}

func (s *Store) list() []Case {
	out := make([]Case, 0, len(s.cases))
	for _, c := range s.cases {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Case) int {
		if a.Created != b.Created {
			return int(a.Created - b.Created)
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	return out
}

// Get returns a case; ErrUnknown, ErrDamaged.
func (s *Store) Get(id wire.UUID) (Case, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.cases[id]; c != nil {
		return *c, nil
	}
	if err := s.damaged[id]; err != nil {
		return Case{}, fmt.Errorf("case %s: %w", id, err)
	}
	return Case{}, fmt.Errorf("case %s: %w", id, ErrUnknown)
}

// Identity returns the identity with which the cases of a consent are sent; keyring.ErrNoKey when there is none.
func (s *Store) Identity(consent wire.UUID) (key ed25519.PrivateKey, err error) {
	err = fmt.Errorf("consent %s: %w", consent, keyring.ErrNoKey)
	s.ring.View(func(st *keyring.State) {
		if seed := identity(st, consent); seed != nil {
			key, err = ed25519.NewKeyFromSeed(seed), nil
		}
	})
	return key, err
}

// identity returns the seed of a consent's identity: the consent's own, or the copy in one of its cases.
func identity(st *keyring.State, consent wire.UUID) keyring.Secret {
	if g := st.Grants[consent]; g != nil && len(g.Identity) > 0 {
		return g.Identity
	}
	for _, k := range st.Rights.Cases {
		if k.Consent == consent && len(k.Identity) > 0 {
			return k.Identity
		}
	}
	return nil
}

// Closed returns the tombstone of the person's account at a controller, and whether there is one.
func (s *Store) Closed(controller policy.ControllerID) (c keyring.Closed, closed bool) {
	s.ring.View(func(st *keyring.State) { c, closed = st.Rights.Closed[controller] })
	return c, closed
}

// Reopen takes the tombstone away, because the person registers anew.
func (s *Store) Reopen(controller policy.ControllerID) error {
	if _, closed := s.Closed(controller); !closed {
		return nil
	}
	if err := s.ring.Update(func(st *keyring.State) error {
		delete(st.Rights.Closed, controller)
		return nil
	}); err != nil {
		return fmt.Errorf("reopen account: %w", err)
	}
	return nil
}

// FinishClosure records that every signed answer about a closed account is there.
func (s *Store) FinishClosure(controller policy.ControllerID) error {
	if c, closed := s.Closed(controller); !closed || c.Done != 0 {
		return nil
	}
	now := s.o.Now().Unix()
	if err := s.ring.Update(func(st *keyring.State) error {
		c := st.Rights.Closed[controller]
		c.Done = now
		st.Rights.Closed[controller] = c
		return nil
	}); err != nil {
		return fmt.Errorf("finish closing account: %w", err)
	}
	return nil
}

func (s *Store) path(id wire.UUID, generation uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s-%d%s", id, generation, suffix))
}
