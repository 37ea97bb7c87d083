// Package fault lets tests stop a durable write between two system calls, as a power cut, a full disk or
// a failing disk would. It is internal to package durable: only durable asks it and only durabletest
// sets it, so that no other code can switch disk errors on. Without a hook it costs one atomic load.
package fault

import (
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// Op names the step that is about to happen.
type Op string

// The steps of durable writes.
const (
	Create   Op = "create"
	Write    Op = "write"
	Sync     Op = "fsync"
	Rename   Op = "rename"
	SyncDir  Op = "fsync-dir"
	Remove   Op = "remove"
	Truncate Op = "truncate"
)

// Hook is asked before each step under its folder. An error stops the step and is what the step returns. For
// Write, torn is the number of leading bytes that reach the file nevertheless.
type Hook func(op Op, path string) (torn int, err error)

var (
	active atomic.Int32
	mu     sync.Mutex
	hooks  = map[string]Hook{}
)

// Set installs h for every path under dir and returns the function that takes it away.
func Set(dir string, h Hook) (remove func()) {
	dir = filepath.Clean(dir)
	mu.Lock()
	defer mu.Unlock()
	hooks[dir] = h
	active.Store(int32(len(hooks)))
	return func() {
		mu.Lock()
		defer mu.Unlock()
		delete(hooks, dir)
		active.Store(int32(len(hooks)))
	}
}

// Check asks the hook that is responsible for path.
func Check(op Op, path string) (torn int, err error) {
	if active.Load() == 0 {
		return 0, nil
	}
	path = filepath.Clean(path)
	mu.Lock()
	var h Hook
	for dir, hook := range hooks {
		if path == dir || strings.HasPrefix(path, dir+string(filepath.Separator)) {
			h = hook
			break
		}
	}
	mu.Unlock()
	if h == nil {
		return 0, nil
	}
	return h(op, path)
}
