// Package keyring keeps every secret of one data subject in one sealed file: the data key and the identity of
// each consent, the key of each ledger and of each record in it. The file is replaced atomically, so one
// Update is the commit point of a consent change: it records a withdrawal and destroys the data key in the
// same instant, and whatever else follows (the ledger's file, the spool) can be repeated after a crash.
//
// The file is sealed with AES-256-GCM under a key derived from the device key, which comes from a service
// manager's credential or lies beside it as device.key. The package knows no policy rules and decides
// nothing; package consent is the only one that changes grants, and the uploader sets contact epochs.
//
// BUG: destroying a key replaces the file. Old blocks on flash or on a copy-on-write file system, and backups, can still
// hold the former ring; whoever has them and the device key can open it.
package keyring

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var (
	// ErrNoKey says that a consent has no key: there never was one, or it has been destroyed.
	ErrNoKey = errors.New("no key for this consent")
	// ErrSealed says that the ring cannot be opened: another device key, or damage. Nothing may be collected then.
	ErrSealed = errors.New("key ring cannot be opened")
	// ErrFull says that the ring has reached MaxSize.
	ErrFull = errors.New("key ring is full")
	// ErrClosed says that the ring was closed.
	ErrClosed = errors.New("key ring is closed")
)

// MaxSize bounds the ring's file in bytes: about 400,000 record keys.
const MaxSize = 16 << 20

// fileName is the ring's name in its folder; magic begins it and names its version.
const (
	fileName = "ring"
	magic    = "scruple-ring/1\n"
)

// Ring is the open key ring of one data subject. It is safe for concurrent use.
type Ring struct {
	dir, path string
	aead      cipher.AEAD
	lock      *durable.Lock
	reserve   *durable.Reserve

	update   sync.Mutex // serialises Update, so that mu is not held while the disk works
	unsynced bool       // the last replacement is in place but its name is not known to be flushed
	mu       sync.RWMutex
	state    *State // nil after Close
}

// Open opens the ring in dir, or begins an empty one. It makes dir for its owner alone, locks it against
// a second process (durable.ErrLocked), and refuses one that belongs to somebody else (durable.ErrForeign).
// ErrSealed means that the ring is damaged or deviceKey (32 bytes) is not the one it was sealed with; the ring is
// then left as it is.
func Open(dir string, deviceKey []byte) (_ *Ring, err error) {
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	if len(deviceKey) != KeySize {
		return nil, fmt.Errorf("open key ring: device key: want %d bytes", KeySize)
	}
	aead, err := sealed.AEAD(deviceKey, magic)
	if err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	lock, err := durable.LockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	r := &Ring{dir: dir, path: filepath.Join(dir, fileName), aead: aead, lock: lock}
	if r.state, err = r.read(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	r.reserve = durable.OpenReserve(dir)
	return r, nil
}

func (r *Ring) read() (*State, error) {
	info, err := os.Stat(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return newState(), nil
	}
	if err != nil {
		return nil, err
	}
	if err := durable.CheckPrivate(r.path); err != nil {
		return nil, err
	}
	if info.Size() > MaxSize {
		return nil, r.sealed("larger than any ring")
	}
	sealed, err := os.ReadFile(r.path)
	if err != nil {
		return nil, r.sealed(err.Error())
	}
	if len(sealed) < len(magic) || string(sealed[:len(magic)]) != magic {
		return nil, r.sealed("not a ring of this version")
	}
	plain, err := r.aead.Open(nil, nil, sealed[len(magic):], []byte(magic))
	if err != nil {
		return nil, r.sealed("damaged, or sealed with another device key")
	}
	defer clear(plain)
	s, err := decodeState(plain)
	if err != nil {
		return nil, r.sealed("its content is not in the schema")
	}
	return s, nil
}

func (r *Ring) sealed(why string) error {
	return fmt.Errorf("%w: %s: %s; put back the device key or the whole folder from one backup, or move the "+
		"folder away to start anew (every consent is then asked for again)", ErrSealed, r.path, why)
}

// Update changes the ring: act gets a copy of the state, and when it returns nil the copy is sealed, flushed and put in the
// place of the old ring in one atomic step. When Update returns nil the change is durable. When it
// returns an error, nothing has changed, in memory or on the disk; the one exception is an error for
// which durable.Replaced holds: the change is in force, and only its surviving a power cut at this very
// moment is unknown. On a full disk the reserve is given up for it. act must not keep the state or
// anything in it, and may be called only once.
func (r *Ring) Update(act func(*State) error) error { return r.change(act, r.reserve.Do) }

// UpdateIfRoom is Update that leaves the reserve to what must always be possible: on a full disk it fails.
func (r *Ring) UpdateIfRoom(act func(*State) error) error {
	return r.change(act, func(write func() error) error { return write() })
}

func (r *Ring) change(act func(*State) error, try func(write func() error) error) error {
	r.update.Lock()
	defer r.update.Unlock()
	r.mu.RLock()
	if r.state == nil {
		r.mu.RUnlock()
		return ErrClosed
	}
	next := r.state.clone()
	r.mu.RUnlock()
	if err := act(next); err != nil {
		next.wipe()
		return err
	}
	next.dropPlaces()
	next.Counter++
	err := r.write(next, try)
	if err != nil && !durable.Replaced(err) {
		next.wipe()
		return fmt.Errorf("update key ring: %w", err)
	}
	r.mu.Lock()
	old := r.state
	r.state = next
	r.mu.Unlock()
	old.wipe()
	r.unsynced = err != nil
	if err != nil {
		return fmt.Errorf("update key ring: %w", err)
	}
	return nil
}

// Flush makes an update durable that returned an error for which durable.Replaced holds. It does nothing otherwise.
func (r *Ring) Flush() error {
	r.update.Lock()
	defer r.update.Unlock()
	if !r.unsynced {
		return nil
	}
	if err := durable.SyncDir(r.dir); err != nil {
		return fmt.Errorf("flush key ring: %w", err)
	}
	r.unsynced = false
	return nil
}

func (r *Ring) write(s *State, try func(write func() error) error) error {
	plain, err := s.encode()
	if err != nil {
		return err
	}
	defer clear(plain)
	if len(plain) > MaxSize-1024 {
		return ErrFull
	}
	sealed := r.aead.Seal([]byte(magic), nil, plain, []byte(magic))
	if err := try(func() error { return durable.WriteFile(r.path, sealed, 0o600) }); err != nil {
		return err
	}
	if !r.reserve.Held() {
		_ = r.reserve.Refill() // still full: tried again at the next update
	}
	return nil
}

// View calls look with the current state, which look must neither change nor keep.
func (r *Ring) View(look func(*State)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.state == nil {
		look(newState())
		return
	}
	look(r.state)
}

// Reserve returns the ring's reserve of disk space, for other files that must be writable on a full disk.
func (r *Ring) Reserve() *durable.Reserve { return r.reserve }

// Dir returns the ring's folder.
func (r *Ring) Dir() string { return r.dir }

// Close wipes the keys in memory and releases the folder. Everything is already on the disk.
func (r *Ring) Close() error {
	r.update.Lock()
	defer r.update.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == nil {
		return nil
	}
	r.state.wipe()
	r.state = nil
	return r.lock.Close()
}

// grant returns a copy of the secret that pick chooses; ErrNoKey when there is none.
func (r *Ring) secret(consent wire.UUID, pick func(*Grant) Secret) (Secret, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.state == nil {
		return nil, ErrClosed
	}
	g := r.state.Grants[consent]
	if g == nil || len(pick(g)) == 0 {
		return nil, fmt.Errorf("consent %s: %w", consent, ErrNoKey)
	}
	return slices.Clone(pick(g)), nil
}

// DataKey returns a copy of the consent's data key (32 bytes); ErrNoKey after its consent has ended. The caller wipes
// it with clear when done.
func (r *Ring) DataKey(consent wire.UUID) ([]byte, error) {
	return r.secret(consent, func(g *Grant) Secret { return g.DataKey })
}

// Identity returns the consent's key, under which its controller knows it; ErrNoKey when it has been retired.
func (r *Ring) Identity(consent wire.UUID) (ed25519.PrivateKey, error) {
	seed, err := r.secret(consent, func(g *Grant) Secret { return g.Identity })
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed), nil
}

// Epoch returns what SetEpoch kept; ErrNoKey when there is none.
func (r *Ring) Epoch(consent wire.UUID) ([]byte, error) {
	return r.secret(consent, func(g *Grant) Secret { return g.Epoch })
}

// SetEpoch keeps the contacts epoch of a consent that has a data key; ErrNoKey otherwise. At most MaxEpoch bytes.
func (r *Ring) SetEpoch(consent wire.UUID, epoch []byte) error {
	if len(epoch) > MaxEpoch {
		return fmt.Errorf("set epoch: %w: more than %d bytes", wire.ErrMalformed, MaxEpoch)
	}
	return r.Update(func(s *State) error {
		g := s.Grants[consent]
		if g == nil || len(g.DataKey) == 0 {
			return fmt.Errorf("set epoch: consent %s: %w", consent, ErrNoKey)
		}
		g.Epoch = slices.Clone(epoch)
		return nil
	})
}

// Destroy destroys the data key and the epoch of a consent. It is idempotent.
func (r *Ring) Destroy(consent wire.UUID) error {
	if _, err := r.DataKey(consent); errors.Is(err, ErrNoKey) {
		return nil
	}
	return r.Update(func(s *State) error {
		if g := s.Grants[consent]; g != nil {
			g.DestroyData()
		}
		return nil
	})
}

// NewKey returns 32 fresh random bytes.
func NewKey() Secret {
	k := make(Secret, KeySize)
	rand.Read(k)
	return k
}
