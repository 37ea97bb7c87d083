//go:build unix

package contacts

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// dir is an open folder. Files are reached through its descriptor by their
// single name and without following links, so they lie in it; os.Root serves
// for links and for the folders below.
type dir struct {
	root *os.Root
	f    *os.File
	fd   int
	lister
}

func openDir(path string) (*dir, error)      { return newDir(os.OpenRoot(path)) }
func (d *dir) sub(name string) (*dir, error) { return newDir(d.root.OpenRoot(name)) }
func (d *dir) close()                        { _, _ = d.f.Close(), d.root.Close() }
func newDir(root *os.Root, err error) (*dir, error) {
	root, f, err := openRooted(root, err)
	if err != nil {
		return nil, err
	}
	return &dir{root: root, f: f, fd: int(f.Fd())}, nil
}

// stat returns the state of a file.
func (d *dir) stat(name string) (mark, bool) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return mark{}, false
	}
	return markOf(&st), true
}

func markOf(st *unix.Stat_t) mark {
	return mark{
		dev: uint64(st.Dev), ino: uint64(st.Ino), size: uint64(st.Size), //nolint:unconvert // differs by system
		mtime: unix.TimespecToNsec(st.Mtim), ctime: unix.TimespecToNsec(st.Ctim),
	}
}

const rawFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY

// open opens a file in the folder.
func (d *dir) open(name string) (*file, mark, error) {
	return raw(unix.Openat(d.fd, name, rawFlags|unix.O_NOFOLLOW, 0))
}

func openPath(path string) (*file, mark, error) { return raw(unix.Open(path, rawFlags, 0)) }

func statPath(path string) (mark, bool) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return mark{}, false
	}
	return markOf(&st), true
}

func markFile(f *os.File) (mark, bool) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return mark{}, false
	}
	return markOf(&st), true
}

func raw(fd int, err error) (*file, mark, error) {
	if err != nil {
		return nil, mark{}, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errSpecial
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, mark{}, err
	}
	return &file{fd: fd}, markOf(&st), nil
}

// follow opens what a link leads to inside the folder.
func (d *dir) follow(name string) (*file, error) {
	f, _, err := checked(d.root.OpenFile(name, openFlags, 0))
	if err != nil {
		return nil, err
	}
	return &file{fd: -1, f: f}, nil
}

// state is that of the folder itself: it changes with the names in it.
func (d *dir) state() mark {
	var st unix.Stat_t
	if unix.Fstat(d.fd, &st) != nil {
		return mark{}
	}
	return markOf(&st)
}

// state is that of the file now.
func (f *file) state() mark {
	var st unix.Stat_t
	fd := f.fd
	if f.f != nil {
		fd = int(f.f.Fd())
	}
	if unix.Fstat(fd, &st) != nil {
		return mark{}
	}
	return markOf(&st)
}

// file is an open file, without what os.File adds for files that one must wait
// for, which is a third of the price of a small one.
type file struct {
	fd int
	f  *os.File // instead of fd, for what a link leads to
}

// Read implements io.Reader.
func (f *file) Read(p []byte) (int, error) {
	if f.f != nil {
		return f.f.Read(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Read(f.fd, p)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (f *file) close() {
	if f.f != nil {
		_ = f.f.Close()
		return
	}
	_ = unix.Close(f.fd)
}
