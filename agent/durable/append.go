package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	gosync "sync"

	"github.com/scruple-agent/scruple/agent/durable/internal/fault"
)

// File is a file that only grows, and shrinks only to cut a torn tail. It is safe for concurrent use.
type File struct {
	mu     gosync.Mutex
	f      *os.File
	path   string
	size   int64
	broken bool
}

// OpenAppend opens the file at path, or makes it (0600) and flushes its name. It returns ErrForeign when others
// may read it.
func OpenAppend(path string) (*File, error) {
	_, err := os.Stat(path)
	fresh := errors.Is(err, os.ErrNotExist)
	if fresh {
		if _, err := fault.Check(fault.Create, path); err != nil {
			return nil, fmt.Errorf("create %s: %w", path, err)
		}
	} else if err := CheckPrivate(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && fresh {
		err = SyncDir(filepath.Dir(path))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{f: f, path: path, size: size}, nil
}

// Append writes b at the end and flushes it before it returns. After an error the handle is of no more
// use (ErrBroken): the kernel may have dropped the pages it could not write, so a second fsync proves
// nothing. The system calls of the happy path:
//
//	pwrite fsync
func (a *File) Append(b []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		return fmt.Errorf("append %s: %w", a.path, ErrBroken)
	}
	torn, err := fault.Check(fault.Write, a.path)
	if err != nil {
		a.f.WriteAt(b[:min(torn, len(b))], a.size)
		err = fmt.Errorf("write %s: %w", a.path, err)
	} else {
		_, err = a.f.WriteAt(b, a.size)
	}
	if err == nil {
		err = sync(a.f, a.path)
	}
	if err != nil {
		a.broken = true
		return fmt.Errorf("append: %w", err)
	}
	a.size += int64(len(b))
	return nil
}

// Truncate cuts the file to size bytes and flushes it: how a reader removes a torn tail. Size may not be larger than
// the file.
func (a *File) Truncate(size int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		return fmt.Errorf("truncate %s: %w", a.path, ErrBroken)
	}
	if size > a.size {
		return fmt.Errorf("truncate %s: beyond the end", a.path)
	}
	_, err := fault.Check(fault.Truncate, a.path)
	if err != nil {
		err = fmt.Errorf("truncate %s: %w", a.path, err)
	} else {
		err = a.f.Truncate(size)
	}
	if err == nil {
		err = sync(a.f, a.path)
	}
	if err != nil {
		a.broken = true
		return err
	}
	a.size = size
	return nil
}

// ReadAt reads as io.ReaderAt does.
func (a *File) ReadAt(p []byte, off int64) (int, error) { return a.f.ReadAt(p, off) }

// Size returns the number of bytes that are known to be on the disk.
func (a *File) Size() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size
}

// Close closes the handle; everything appended is already flushed.
func (a *File) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = true
	return a.f.Close()
}
