//go:build unix

package evolution

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const nonblock = unix.O_NONBLOCK

// The bytes of the file that SQLite's locks stand for.
const (
	pendingByte  = 0x40000000
	reservedByte = pendingByte + 1
	sharedFirst  = pendingByte + 2
	sharedSize   = 510
)

// lock takes the lock of a reader: it keeps writers from changing the file, and is refused while one does. It
// ends when the file is closed.
func lock(f *os.File) error {
	pending := unix.Flock_t{Type: unix.F_RDLCK, Start: pendingByte, Len: 1}
	shared := unix.Flock_t{Type: unix.F_RDLCK, Start: sharedFirst, Len: sharedSize}
	err := setLock(f, &pending)
	if err == nil {
		err = setLock(f, &shared)
		pending.Type = unix.F_UNLCK
		_ = setLock(f, &pending)
	}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EAGAIN) {
		return ErrBusy
	}
	return err
}

func setLock(f *os.File, l *unix.Flock_t) error { return unix.FcntlFlock(f.Fd(), unix.F_SETLK, l) }

// reserved tells whether another program is about to write.
func reserved(f *os.File) (bool, error) {
	l := unix.Flock_t{Type: unix.F_WRLCK, Start: reservedByte, Len: 1}
	err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &l)
	return l.Type != unix.F_UNLCK, err
}
