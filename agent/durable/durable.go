// Package durable holds the few ways in which the agent changes a disk: replace a file atomically, append to
// a file, remove a file, lock a folder, keep a reserve of space. When one of them returns nil, the
// change survives a power cut; when it returns an error, the file is as before or, for an append, ends in
// a torn tail that a reader must be able to recognise (frames carry their length and checksum).
//
// It knows no format, encrypts nothing and retries nothing. Folders are made for their owner alone (0700)
// and files too (0600); where the operating system has no such modes, its own defaults hold.
//
// BUG: what a lying disk, a file system without barriers, or a network file system drops after fsync
// returned is lost. On Windows a folder cannot be flushed: a file's new name rests on the file
// system's own journal. Removing or replacing a file makes no promise about the old blocks: flash, copy-on-write
// file systems, snapshots and backups may keep them.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/scruple-agent/scruple/agent/durable/internal/fault"
)

var (
	// ErrForeign says that a file or folder belongs to another user, or that others may write to it.
	ErrForeign = errors.New("belongs to another user or is open to others")
	// ErrLocked says that another process holds the lock of a folder.
	ErrLocked = errors.New("locked by another process")
	// ErrBroken says that a write or fsync on this handle has failed before, so that nobody knows which
	// bytes are on the disk. Open the file anew, look, and cut it to its last whole frame.
	ErrBroken = errors.New("file handle is not used again after a failed write")
)

// WriteFile replaces the file at path by data, atomically: whoever opens path sees all of the old bytes or
// all of the new ones, also after a power cut. The system calls of the happy path:
//
//	openat(path.tmp, O_CREAT|O_TRUNC|O_WRONLY, perm) write fsync close rename(path.tmp, path)
//	openat(dir) fsync close
//
// A left-over path.tmp is harmless and overwritten next time; callers serialise writers of one path.
// If only the last fsync failed, the new bytes may be in place although an error is returned.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	tmp := path + ".tmp"
	if _, err := fault.Check(fault.Create, tmp); err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	// A temporary file of an earlier crash may have another mode, so it goes first.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	defer func() {
		if f != nil {
			f.Close()
		}
		if err != nil && !errors.Is(err, errAfterRename) {
			if _, stop := fault.Check(fault.Remove, tmp); stop == nil {
				os.Remove(tmp)
			}
		}
	}()
	if err := write(f, tmp, data); err != nil {
		return err
	}
	if err := sync(f, tmp); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	f = nil
	if _, err := fault.Check(fault.Rename, path); err != nil {
		return fmt.Errorf("rename to %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%w: %w", errAfterRename, err)
	}
	return nil
}

// errAfterRename marks a failure after the new bytes got their name.
var errAfterRename = errors.New("replaced, but not known to survive a power cut")

// Replaced reports whether err came from a WriteFile that had already put the new bytes in place: a reader
// sees them now, and only their surviving a power cut is in doubt.
func Replaced(err error) bool { return errors.Is(err, errAfterRename) }

// SyncDir flushes the names in a folder: files created, renamed and removed in it.
func SyncDir(dir string) error {
	if _, err := fault.Check(fault.SyncDir, dir); err != nil {
		return fmt.Errorf("fsync %s: %w", dir, err)
	}
	return syncDir(dir)
}

// MkdirAll makes path and its missing parents for their owner alone (0700) and flushes their names. If path exists and belongs to
// this user, its mode is narrowed to 0700; if it belongs to another user, ErrForeign.
func MkdirAll(path string) error {
	path = filepath.Clean(path)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if parent := filepath.Dir(path); parent != path {
			if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
				if err := MkdirAll(parent); err != nil {
					return err
				}
			}
		}
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: %w", path, syscall.ENOTDIR)
	}
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if modes && info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(path, 0o700)
	}
	return nil
}

// CheckPrivate returns ErrForeign unless the file at path belongs to this user (or, for a credential that a
// service manager mounted, to root) and nobody else can read or write it.
func CheckPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if modes && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: %w: mode %#o, wanted 0600", path, ErrForeign, info.Mode().Perm())
	}
	return nil
}

// Remove unlinks the file at path and flushes its folder. A file that is not there is no error. It needs no
// free space.
func Remove(path string) error {
	if _, err := fault.Check(fault.Remove, path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return SyncDir(filepath.Dir(path))
}

func write(f *os.File, path string, b []byte) error {
	if torn, err := fault.Check(fault.Write, path); err != nil {
		f.Write(b[:min(torn, len(b))])
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err := f.Write(b)
	return err
}

func sync(f *os.File, path string) error {
	if _, err := fault.Check(fault.Sync, path); err != nil {
		return fmt.Errorf("fsync %s: %w", path, err)
	}
	return f.Sync()
}
