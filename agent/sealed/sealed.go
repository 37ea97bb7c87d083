// Package sealed makes what lies on the disk readable for the holder of a key alone: AES-256-GCM under a key that is derived for one
// use, bound to the place that the text belongs to, so that none can be moved, exchanged or read as another. Most of it is files that
// are replaced as a whole (Kind), and folders with one such file for each consent (Folder).
//
// It keeps no key, decides nothing about consent, and serialises no writers: its users hold a lock of their own.
//
// BUG: the number of files and their sizes can be seen by whoever can read the state folder; and an older file under the same
// key can be put back by who can write to it, where the place does not tell the two apart.
package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var (
	// ErrDamaged says that a file is not what was written: damaged, of another version, or sealed with another key or for another
	// place.
	ErrDamaged = errors.New("damaged, or sealed with another key")
	// ErrTooLarge says that a file would be larger than its kind may be.
	ErrTooLarge = errors.New("too large to be kept")
)

// AEAD derives from a secret key of 32 bytes the cipher of one use. Different uses have independent keys. It draws its nonces itself.
func AEAD(secret []byte, use string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, use, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Kind is a kind of file: its magic, which is also the use of its key, and one sealed text.
type Kind struct {
	Magic string // the first line, with the version
	Max   int    // bytes of the whole file
}

func (k Kind) bound(place []byte) []byte { return append([]byte(k.Magic), place...) }

// Seal returns the content of the file at a place.
func (k Kind) Seal(secret, place, plain []byte) ([]byte, error) {
	aead, err := AEAD(secret, k.Magic)
	if err != nil {
		return nil, err
	}
	if len(k.Magic)+len(plain)+aead.Overhead() > k.Max {
		return nil, ErrTooLarge
	}
	return aead.Seal([]byte(k.Magic), nil, plain, k.bound(place)), nil
}

// Open returns what was sealed; ErrDamaged.
func (k Kind) Open(secret, place, file []byte) ([]byte, error) {
	body, ok := bytes.CutPrefix(file, []byte(k.Magic))
	if !ok || len(file) > k.Max {
		return nil, ErrDamaged
	}
	aead, err := AEAD(secret, k.Magic)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, body, k.bound(place))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// Read opens the file at path; fs.ErrNotExist, ErrDamaged.
func (k Kind) Read(path string, secret, place []byte) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := io.ReadAll(io.LimitReader(f, int64(k.Max)+1))
	if err != nil {
		return nil, err
	}
	return k.Open(secret, place, file)
}

// Write replaces the file at path, as durable.WriteFile does.
func (k Kind) Write(path string, secret, place, plain []byte) error {
	file, err := k.Seal(secret, place, plain)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, file, 0o600)
}

// Folder holds at most one file for each consent, under a key derived from its data key.
type Folder struct {
	Dir    string
	Suffix string // of the files' names
	Kind   Kind
	Key    func(wire.UUID) ([]byte, error) // returns a copy of a consent's data key
}

// Path returns the path of a consent's file.
func (f Folder) Path(consent wire.UUID) string {
	return filepath.Join(f.Dir, consent.String()+f.Suffix)
}

// Load opens a consent's file; fs.ErrNotExist, ErrDamaged, and the errors of Key.
func (f Folder) Load(consent wire.UUID) ([]byte, error) {
	key, err := f.Key(consent)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return f.Kind.Read(f.Path(consent), key, consent[:])
}

// Save replaces a consent's file.
func (f Folder) Save(consent wire.UUID, plain []byte) error {
	key, err := f.Key(consent)
	if err != nil {
		return err
	}
	defer clear(key)
	return f.Kind.Write(f.Path(consent), key, consent[:], plain)
}

// Erase unlinks a consent's file, and what a crash left of an unfinished one. It is idempotent, and needs no key and no free space.
func (f Folder) Erase(consent wire.UUID) error {
	return errors.Join(durable.Remove(f.Path(consent)), durable.Remove(f.Path(consent)+".tmp"))
}

// Consents returns the consents that have a file, or what a crash left of one. A folder that cannot be read has none that
// could be erased.
func (f Folder) Consents() (list []wire.UUID) {
	entries, _ := os.ReadDir(f.Dir)
	for _, e := range entries {
		name, ours := strings.CutSuffix(strings.TrimSuffix(e.Name(), ".tmp"), f.Suffix)
		if id, err := wire.ParseUUID(name); ours && err == nil && !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}
