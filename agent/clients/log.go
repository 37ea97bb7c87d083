package clients

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
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
	aead, err := l.sealer(true)
	if err != nil {
		return fmt.Errorf("record use: %w", err)
	}
	list, err := l.read(aead)
	if err != nil {
		return fmt.Errorf("record use: %w", err)
	}
	list = trim(append(list, u), u.Client)
	plain, err := encMode.Marshal(list)
	if err != nil {
		return fmt.Errorf("record use: %w", err)
	}
	if err := durable.WriteFile(l.path, aead.Seal([]byte(magic), nil, plain, []byte(magic)), 0o600); err != nil {
		return fmt.Errorf("record use: %w", err)
	}
	return nil
}

// List returns the uses, oldest first.
func (l *Log) List() ([]Use, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	aead, err := l.sealer(false)
	if err != nil || aead == nil {
		return nil, err
	}
	return l.read(aead)
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

const (
	magic   = "scruple-uses/1\n"
	maxFile = 128 << 20 // MaxClients times MaxUses of half a kilobyte
)

// sealer returns the log's seal; with make set a missing key is made, without it there is none and no error.
func (l *Log) sealer(make bool) (cipher.AEAD, error) {
	var key []byte
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
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (l *Log) read(aead cipher.AEAD) ([]Use, error) {
	info, err := os.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, ErrLog
	}
	b, err := os.ReadFile(l.path)
	if err != nil {
		return nil, err
	}
	sealed, ok := strings.CutPrefix(string(b), magic)
	if !ok {
		return nil, ErrLog
	}
	plain, err := aead.Open(nil, nil, []byte(sealed), []byte(magic))
	if err != nil {
		return nil, ErrLog
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
