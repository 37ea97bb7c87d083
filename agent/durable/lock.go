package durable

import (
	"fmt"
	"os"
	"path/filepath"
)

// Lock is held on a folder as long as the process lives or until Close. The kernel releases it at the end of
// the process, so a crash leaves nothing behind.
type Lock struct{ f *os.File }

// LockDir takes the lock of a folder through the file "lock" in it. It does not wait: ErrLocked when another
// process, or another Lock of this one, has it.
func LockDir(dir string) (*Lock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f}, nil
}

// Close releases the lock.
func (l *Lock) Close() error { return l.f.Close() }
