package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrRunning says that a living daemon answers on the socket.
var ErrRunning = errors.New("another daemon answers on this socket")

// maxSocketPath is the longest path that every platform takes (sun_path of macOS, without its NUL).
const maxSocketPath = 103

// Listen makes the socket at path, 0600, in a folder that is this account's alone (0700; made when it
// is not there). A socket that a dead daemon left is replaced; a living one is ErrRunning; anything else at
// path is left alone and is an error. Two daemons of one state folder are kept apart by its lock, which the
// caller holds, so that no other daemon can be between the question and the replacement.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control socket: the path has %d bytes, at most %d are possible: set a shorter socket path", len(path), maxSocketPath)
	}
	if err := privateFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !isSocket(info):
		return fmt.Errorf("%s is there and is no socket: remove it or set another path", path)
	}
	c, err := net.DialTimeout("unix", path, 2*time.Second)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%w: %s", ErrRunning, path)
	case !errors.Is(err, syscall.ECONNREFUSED) && !isRefused(err):
		return fmt.Errorf("ask the socket that is there: %w", err)
	}
	return os.Remove(path)
}
