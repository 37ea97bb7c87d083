// Package durabletest breaks durable writes on purpose, for the tests of every package that writes through
// package durable: it stops them before a chosen step, tears a write, or fills the disk. Each test works
// on its own folder, so that tests can run in parallel.
package durabletest

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/scruple-agent/scruple/agent/durable/internal/fault"
)

// ErrStopped is what every step returns from the moment the simulated machine stopped.
var ErrStopped = errors.New("simulated power cut")

// Steps counts the durable steps below a folder and stops the machine at one of them.
type Steps struct {
	mu      sync.Mutex
	count   int
	stopAt  int // 0: never
	torn    int
	stopped bool
	full    bool
	fillAt  int    // 0: never
	ballast string // the disk is full while this file exists
	failing fault.Op
	held    chan struct{}
	entered func()
	trace   []string

	remember bool
	pending  []unflushed
}

// Watch counts the steps below dir until the test ends. Nothing fails until one of the methods says so.
func Watch(t testing.TB, dir string) *Steps {
	t.Helper()
	s := &Steps{}
	t.Cleanup(fault.Set(dir, s.hook))
	return s
}

// StopAt stops the machine before the n-th step from now (1 is the next one): that step and all later
// ones return ErrStopped. If the step is a write, its first torn bytes still reach the file.
func (s *Steps) StopAt(n, torn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count, s.stopAt, s.torn, s.stopped, s.trace = 0, n, torn, false, nil
}

// Restart lets everything work again, as after a reboot, and counts from zero.
func (s *Steps) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count, s.stopAt, s.fillAt, s.stopped, s.full, s.ballast, s.failing, s.trace, s.pending = 0, 0, 0, false, false, "", "", nil, nil
}

// Fill makes the disk full: creating and writing return ENOSPC, all else works.
func (s *Steps) Fill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = true
}

// FillAt makes the disk full at the n-th step from now (1 is the next one).
func (s *Steps) FillAt(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count, s.fillAt, s.full, s.trace = 0, n, false, nil
}

// FillUntilRemoved makes the disk full as long as the file at path exists.
func (s *Steps) FillUntilRemoved(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ballast = path
}

// FailSync makes every fsync of a file return EIO, as a dying disk does.
func (s *Steps) FailSync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = fault.Sync
}

// Hold makes every step wait until release is called, as a slow disk does. entered is closed when the first step waits.
func (s *Steps) Hold() (entered <-chan struct{}, release func()) {
	in, held := make(chan struct{}), make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	s.entered = sync.OnceFunc(func() { close(in) })
	return in, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = nil
		close(held)
	})
}

// Count returns the number of steps since the last StopAt or Restart.
func (s *Steps) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Stopped reports whether the step given to StopAt has been reached.
func (s *Steps) Stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// Trace returns the steps since the last StopAt or Restart, as "op path".
func (s *Steps) Trace() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.trace...)
}

func (s *Steps) hook(op fault.Op, path string) (int, error) {
	s.mu.Lock()
	held, entered := s.held, s.entered
	s.mu.Unlock()
	if held != nil {
		entered()
		<-held
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	s.trace = append(s.trace, string(op)+" "+path)
	s.full = s.full || s.count == s.fillAt
	switch {
	case s.stopped:
		return 0, ErrStopped
	case s.count == s.stopAt:
		s.stopped = true
		if op == fault.Write {
			s.track(op, path)
		}
		return s.torn, ErrStopped
	case (s.full || s.crowded(path)) && (op == fault.Create || op == fault.Write):
		return 0, syscall.ENOSPC
	case s.failing == op:
		return 0, syscall.EIO
	}
	s.track(op, path)
	return 0, nil
}

// crowded reports whether the ballast leaves no room for path. The ballast itself finds none once it has been removed.
func (s *Steps) crowded(path string) bool {
	if s.ballast == "" {
		return false
	}
	_, err := os.Stat(s.ballast)
	return err == nil || path == s.ballast+".tmp"
}
