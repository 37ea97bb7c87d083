package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	gosync "sync"
)

// ReserveSize is the size in bytes of a reserve: a key ring of a few thousand consent records, twice (old and new
// exist side by side while it is replaced), and the frames of several withdrawals fit into it.
const ReserveSize = 256 << 10

// Reserve is a file that does nothing but occupy space, so that a withdrawal can still be written on a full disk:
// the reserve is given up first. It is safe for concurrent use.
type Reserve struct {
	mu   gosync.Mutex
	path string
	held bool
}

// OpenReserve returns the reserve of a folder and makes it if there is room. A missing reserve is no error: a
// device whose disk is full must still be able to start.
func OpenReserve(dir string) *Reserve {
	r := &Reserve{path: filepath.Join(dir, "reserve")}
	info, err := os.Stat(r.path)
	r.held = err == nil && info.Size() >= ReserveSize
	r.Refill()
	return r
}

// Held reports whether the space is reserved now.
func (r *Reserve) Held() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// Refill makes the reserve again after it was given up. It does nothing while the reserve is held.
func (r *Reserve) Refill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held {
		return nil
	}
	// Random bytes: a file system that compresses or leaves holes would reserve nothing for zeros.
	b := make([]byte, ReserveSize)
	rand.Read(b)
	if err := WriteFile(r.path, b, 0o600); err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	r.held = true
	return nil
}

// Do runs act. If the disk is full, it gives the reserve up and runs act once more, so act must be repeatable.
func (r *Reserve) Do(act func() error) error {
	err := act()
	if err == nil || !isFull(err) {
		return err
	}
	r.mu.Lock()
	rmErr := os.Remove(r.path)
	if rmErr == nil {
		r.held = false
		rmErr = syncDir(filepath.Dir(r.path))
	}
	r.mu.Unlock()
	if rmErr != nil && !errors.Is(rmErr, os.ErrNotExist) {
		return errors.Join(err, rmErr)
	}
	return act()
}

// IsFull reports whether err says that the disk, or the user's share of it, is full.
func IsFull(err error) bool { return isFull(err) }
