package sensors

import (
	"errors"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"
)

// OpenStream opens a device file in the folder itself, no symbolic link. The error is ErrAbsent, ErrBusy or ErrDenied, or
// says that it cannot be opened.
//
// The file is kept away from the runtime's poller: a device in it would wake the process for every sample, although
// nobody waits.
func (r *Root) OpenStream(name string) (Stream, error) {
	if !fs.ValidPath(name) || name == "." {
		return nil, Absent("the device file")
	}
	dir, err := r.root.Open(".")
	if err != nil {
		return nil, Absent("the device file")
	}
	defer dir.Close()
	raw, err := dir.SyscallConn()
	if err != nil {
		return nil, err
	}
	var (
		fd     int
		opened error
	)
	if err := raw.Control(func(at uintptr) {
		fd, opened = unix.Openat(int(at), name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NOCTTY, 0)
	}); err != nil {
		return nil, err
	}
	switch {
	case opened == nil:
		return &stream{fd: fd}, nil
	case errors.Is(opened, unix.ENOENT), errors.Is(opened, unix.ENODEV), errors.Is(opened, unix.ENXIO):
		return nil, Absent("the device file")
	case errors.Is(opened, unix.EBUSY):
		return nil, ErrBusy
	case errors.Is(opened, unix.EACCES), errors.Is(opened, unix.EPERM):
		return nil, ErrDenied
	}
	return nil, errors.New("the device file cannot be opened")
}

type stream struct {
	mu sync.Mutex // a number that was closed may belong to another file
	fd int
}

// Take implements Stream.
func (s *stream) Take(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return 0, fs.ErrClosed
	}
	for {
		n, err := unix.Read(s.fd, p)
		switch {
		case err == nil:
			return max(n, 0), nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
			return 0, ErrGone
		default:
			return 0, errors.New("the device file cannot be read")
		}
	}
}

// Close implements Stream.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}
