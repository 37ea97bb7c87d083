package durabletest

import (
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/scruple-agent/scruple/agent/durable/internal/fault"
)

// unflushed is a change that a power cut may still take back: of a file's bytes until the file is flushed, of its name
// until its folder is.
type unflushed struct {
	op   fault.Op
	path string
	was  []byte // what path held before
	none bool   // there was no such file
	dir  bool   // it was a folder
}

// Remember makes Lose possible: from now on what is not flushed yet is kept in mind, with what it replaced. It costs a
// read of every file that is changed.
func (s *Steps) Remember() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember = true
}

// Lose takes back changes that were not flushed when the machine stopped, each with an even chance drawn from r (a file
// system keeps or loses them in any order), and restarts as Restart does. Nothing may have a file open meanwhile.
func (s *Steps) Lose(r *rand.Rand) error {
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	s.Restart()
	for i := len(pending) - 1; i >= 0; i-- {
		if r.IntN(2) == 0 {
			continue
		}
		u := pending[i]
		var err error
		switch info, stat := os.Stat(u.path); {
		case u.none:
			err = os.RemoveAll(u.path)
		case u.dir:
			if stat != nil {
				err = os.Mkdir(u.path, 0o700)
			}
		case stat != nil: // it was removed
			err = os.WriteFile(u.path, u.was, 0o600)
		default:
			err = os.WriteFile(u.path, u.was, info.Mode().Perm())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// track keeps the list of what is not flushed, before a step that will be done. The caller holds mu.
func (s *Steps) track(op fault.Op, path string) {
	if !s.remember {
		return
	}
	switch op {
	case fault.Sync:
		s.flushed(func(u unflushed) bool { return u.path == path && (u.op == fault.Write || u.op == fault.Truncate) })
	case fault.SyncDir:
		s.flushed(func(u unflushed) bool {
			return filepath.Dir(u.path) == path && u.op != fault.Write && u.op != fault.Truncate
		})
	case fault.Write, fault.Truncate, fault.Rename, fault.Remove:
		if filepath.Ext(path) == ".tmp" { // what a replacement leaves behind is nobody's
			return
		}
		info, stat := os.Stat(path)
		u := unflushed{op: op, path: path, none: os.IsNotExist(stat), dir: stat == nil && info.IsDir()}
		if !u.dir {
			u.was, _ = os.ReadFile(path)
		}
		s.pending = append(s.pending, u)
	case fault.Create:
		if filepath.Ext(path) != ".tmp" {
			s.pending = append(s.pending, unflushed{op: op, path: path, none: true})
		}
	}
}

func (s *Steps) flushed(done func(unflushed) bool) {
	kept := s.pending[:0]
	for _, u := range s.pending {
		if !done(u) {
			kept = append(kept, u)
		}
	}
	s.pending = kept
}
