package clients

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/sealed"
)

// Use is one time at which a location was told to an application. It does not say which location.
type Use struct {
	Time   int64  `cbor:"1,keyasint"` // unix seconds
	Client string `cbor:"2,keyasint"`
	Tuple  string `cbor:"3,keyasint"`
	Level  int    `cbor:"4,keyasint"` // of the cell that was told
	// Recipients are those that the policy named for it at that time.
	Recipients []string `cbor:"5,keyasint,omitempty"`
}

// MaxUses is how many uses of one application are kept, the newest: three a day for a year. One application cannot push out what
// another did.
const MaxUses = 1024

// ErrLog says that the record of uses cannot be read. Nothing is told to any application then.
var ErrLog = errors.New("the record of what applications were told cannot be read")

// Log is the record of uses: one file, sealed under a key of the ring and replaced atomically at each use. It is safe for
// concurrent use.
type Log struct {
	mu   sync.Mutex
	path string
	ring *keyring.Ring
}

// NewLog returns the log in the file at path, which is made at the first use.
func NewLog(path string, ring *keyring.Ring) *Log { return &Log{path: path, ring: ring} }

// Add records a use. When it returns nil the record survives a power cut.
func (l *Log) Add(u Use) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, err := l.key(true)
	if err != nil {
		return fmt.Errorf("record use: %w", err)
	}
	defer clear(key)
	list, err := l.read(key)
	if err != nil {
		return fmt.Errorf("record use: %w", err)
	}
	list = trim(append(list, u), u.Client)
	plain, err := encMode.Marshal(list)
	if err != nil {
		return fmt.Errorf("record use: %w", err)
	}
	if err := file.Write(l.path, key, nil, plain); err != nil {
		return fmt.Errorf("record use: %w", err)
	}
	return nil
}

// List returns the uses, oldest first.
func (l *Log) List() ([]Use, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, err := l.key(false)
	if err != nil || key == nil {
		return nil, err
	}
	defer clear(key)
	return l.read(key)
}

// trim drops the oldest uses of a client beyond MaxUses.
func trim(list []Use, client string) []Use {
	n := 0
	for _, u := range list {
		if u.Client == client {
			n++
		}
	}
	return slices.DeleteFunc(list, func(u Use) bool {
		drop := u.Client == client && n > MaxUses
		if drop {
			n--
		}
		return drop
	})
}

// file is the log's: MaxClients times MaxUses of half a kilobyte.
var file = sealed.Kind{Magic: "scruple-uses/1\n", Max: 128 << 20}

// key returns the log's key; with make set a missing one is made, without it there is none and no error.
func (l *Log) key(make bool) (key []byte, err error) {
	l.ring.View(func(s *keyring.State) { key = slices.Clone(s.ClientKey) })
	switch {
	case len(key) == 0 && !make:
		return nil, nil
	case len(key) == 0:
		if _, err := os.Lstat(l.path); err == nil {
			return nil, ErrLog // there is a record, and its key is gone
		}
		key = keyring.NewKey()
		if err := l.ring.Update(func(s *keyring.State) error { s.ClientKey = slices.Clone(key); return nil }); err != nil {
			return nil, err
		}
	}
	return key, nil
}

func (l *Log) read(key []byte) ([]Use, error) {
	plain, err := file.Read(l.path, key, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, sealed.ErrDamaged):
		return nil, ErrLog
	case err != nil:
		return nil, err
	}
	return decodeUses(plain)
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, UTF8: cbor.UTF8RejectInvalid,
		MaxArrayElements: MaxClients * MaxUses * 2, MaxMapPairs: 16, MaxNestedLevels: 4,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func decodeUses(plain []byte) ([]Use, error) {
	var list []Use
	if err := decMode.Unmarshal(plain, &list); err != nil {
		return nil, ErrLog
	}
	return list, nil
}
