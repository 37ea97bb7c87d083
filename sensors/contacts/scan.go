package contacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

// Why a file or folder was passed over, beside the reasons of package vcard.
const (
	skipAbsent     = "absent-path"     // one of several paths does not exist
	skipUnreadable = "unreadable-file" // a file that cannot be opened, or read to its end
	skipFolder     = "unreadable-folder"
	skipLink       = "link-outside" // a symbolic link that leaves the folder, or leads to a folder
	skipSpecial    = "special-file" // a pipe, socket or device named like a card
	skipDeep       = "too-deep"     // a folder more than maxDepth below the one given
)

const (
	// maxDepth bounds the open folders; address books are at most a few levels deep.
	maxDepth = 32
	// maxPlaces is how many places Stats keeps.
	maxPlaces = 8
)

// Place is where something was passed over.
type Place struct {
	File   int    // number of the file in the order read, 0 if none was open
	Card   int    // number of the card in the file
	Line   int    // number of the line in the file, 0 if the file could not be read
	Reason string // a word
}

// String returns one line such as "card 17 of file 2, line 203: too-long".
func (p Place) String() string {
	return fmt.Sprintf("card %d of file %d, line %d: %s", p.Card, p.File, p.Line, p.Reason)
}

// Stats counts what was read. It names no path and holds no value.
type Stats struct {
	Files   int            // files opened
	Cards   int            // cards begun
	Tels    int            // telephone numbers handed out
	Emails  int            // e-mail addresses handed out
	Skipped map[string]int // what was passed over, by a word that says why
	First   []Place        // where the first few of these are
}

// Scanner reads vCard files and folders of them without a permit: for a person
// who looks at their own files, never for collecting. It is not safe for use by
// several goroutines.
type Scanner struct {
	todo   []string // paths not yet looked at
	dirs   []folder // open folders, the innermost last
	file   *os.File
	name   string // of the open file
	reader *vcard.Reader
	gate   gate
	stats  Stats
	ended  error // why reading stopped before the end
}

type folder struct {
	root *os.Root
	path string
	todo []node
}

type node struct {
	name string
	dir  bool
}

// Scan returns a Scanner over paths: each a vCard file or a folder, which is
// read with all folders below it in the order of their names. In folders only
// files named .vcf or .vcard are read, and nothing whose name begins with a dot.
//
// It fails with sensors.ErrAbsent when nothing is at any of the paths or none is
// given, and when what is there is neither a regular file nor a folder.
func Scan(paths ...string) (*Scanner, error) {
	s := &Scanner{reader: new(vcard.Reader), stats: Stats{Skipped: map[string]int{}}}
	for i, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.skip(skipAbsent)
			continue
		case err != nil:
			return nil, fmt.Errorf("open address book %d: %w", i+1, bare(err))
		case !info.IsDir() && !info.Mode().IsRegular():
			return nil, fmt.Errorf("open address book %d: neither a regular file nor a folder", i+1)
		}
		s.todo = append(s.todo, path)
	}
	if len(s.todo) == 0 {
		return nil, fmt.Errorf("open contacts: %w", sensors.Absent("the address book"))
	}
	return s, nil
}

// bare is err without the path that it names.
func bare(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	var linkErr *os.LinkError
	if errors.As(err, &linkErr) {
		return linkErr.Err
	}
	return err
}

// Next returns the next entry, and io.EOF at the end. Files and lines that
// cannot be read are counted and passed over; an error is ctx's or the permit's.
func (s *Scanner) Next(ctx context.Context) (Entry, error) {
	if s.ended != nil {
		return Entry{}, s.ended
	}
	s.gate.ctx = ctx
	for {
		if s.file == nil {
			if err := s.gate.ask(); err != nil {
				return Entry{}, s.end(err)
			}
			if !s.open() {
				return Entry{}, io.EOF
			}
			s.gate.src, s.gate.stopped = s.file, nil
			s.reader.Reset(&s.gate)
		}
		v, err := s.reader.Next()
		if err == nil {
			return Entry{File: s.stats.Files, Card: v.Card, Line: v.Line, Kind: v.Kind, Agent: v.Agent, value: v}, nil
		}
		s.leave()
		if s.gate.stopped != nil {
			return Entry{}, s.end(s.gate.stopped)
		}
		if err != io.EOF {
			s.skip(skipUnreadable)
		}
	}
}

// File returns the path of the file that the last entry stands in. It is for
// the person's own terminal, never for a log.
func (s *Scanner) File() string { return s.name }

// gate stands before the file and asks before every read.
type gate struct {
	src     io.Reader
	ctx     context.Context
	check   func() error // nil for none
	stopped error        // what it refused a read with
}

// ask tells why reading must end, if it must.
func (g *gate) ask() error {
	if err := g.ctx.Err(); err != nil {
		return err
	}
	if g.check != nil {
		return g.check()
	}
	return nil
}

// Read implements io.Reader.
func (g *gate) Read(p []byte) (int, error) {
	if g.stopped = g.ask(); g.stopped != nil {
		return 0, g.stopped
	}
	return g.src.Read(p)
}

// open opens the next file there is, and tells whether there is one.
func (s *Scanner) open() bool {
	for {
		if n := len(s.dirs); n > 0 {
			d := &s.dirs[n-1]
			if len(d.todo) == 0 {
				_ = d.root.Close()
				s.dirs = s.dirs[:n-1]
				continue
			}
			next := d.todo[0]
			d.todo = d.todo[1:]
			if next.dir {
				s.enter(d.root.OpenRoot(next.name))
				s.dirPath(filepath.Join(d.path, next.name), n)
				continue
			}
			f, err := d.root.OpenFile(next.name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if s.take(f, err, filepath.Join(d.path, next.name)) {
				return true
			}
			continue
		}
		if len(s.todo) == 0 {
			return false
		}
		path := s.todo[0]
		s.todo = s.todo[1:]
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			s.enter(os.OpenRoot(path))
			s.dirPath(path, 0)
			continue
		}
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if s.take(f, err, path) {
			return true
		}
	}
}

// dirPath notes the path of the folder that was entered, if it was, above n others.
func (s *Scanner) dirPath(path string, n int) {
	if len(s.dirs) > n {
		s.dirs[n].path = path
	}
}

// take begins with f if it is a regular file. It was opened without waiting, so
// that a pipe put in a card's place stops nothing.
func (s *Scanner) take(f *os.File, err error, name string) bool {
	if err != nil {
		s.skip(skipUnreadable)
		return false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		s.skip(skipSpecial)
		return false
	}
	s.file, s.name = f, name
	s.stats.Files++
	return true
}

// enter lists a folder.
func (s *Scanner) enter(root *os.Root, err error) {
	if err != nil {
		s.skip(skipFolder)
		return
	}
	if len(s.dirs) == maxDepth {
		_ = root.Close()
		s.skip(skipDeep)
		return
	}
	list, err := s.list(root)
	if err != nil {
		s.skip(skipFolder)
	}
	s.dirs = append(s.dirs, folder{root: root, todo: list})
}

// list returns what is to be read in a folder, sorted, and the error that ended the listing.
func (s *Scanner) list(root *os.Root) ([]node, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var list []node
	for {
		entries, err := dir.ReadDir(512)
		for _, e := range entries {
			if n, ok := s.wanted(root, e); ok {
				list = append(list, n)
			}
		}
		if err != nil {
			slices.SortFunc(list, func(a, b node) int { return strings.Compare(a.name, b.name) })
			if err == io.EOF {
				err = nil
			}
			return list, err
		}
	}
}

// wanted tells whether an entry of a folder is to be read.
func (s *Scanner) wanted(root *os.Root, e fs.DirEntry) (node, bool) {
	name := e.Name()
	if strings.HasPrefix(name, ".") {
		return node{}, false
	}
	if e.IsDir() {
		return node{name, true}, true
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".vcf", ".vcard":
	default:
		return node{}, false
	}
	mode := e.Type()
	if mode&fs.ModeSymlink != 0 {
		info, err := root.Stat(name) // follows links inside the folder only
		if err != nil || info.IsDir() {
			s.skip(skipLink)
			return node{}, false
		}
		mode = info.Mode()
	}
	if !mode.IsRegular() {
		s.skip(skipSpecial)
		return node{}, false
	}
	return node{name, false}, true
}

func (s *Scanner) skip(reason string) {
	s.stats.Skipped[reason]++
	if len(s.stats.First) < maxPlaces {
		s.stats.First = append(s.stats.First, Place{File: s.stats.Files, Reason: reason})
	}
}

// leave closes the open file and takes its counts in.
func (s *Scanner) leave() {
	if s.file == nil {
		return
	}
	s.sum(&s.stats)
	_ = s.file.Close()
	s.file = nil
}

// sum adds the counts of the open file to st.
func (s *Scanner) sum(st *Stats) {
	r := s.reader.Stats()
	st.Cards += r.Cards
	st.Tels += r.Tels
	st.Emails += r.Emails
	if r.Skips.Total() == 0 {
		return
	}
	for word, n := range r.Skips.Words() {
		st.Skipped[word] += n
	}
	for _, k := range r.First() {
		if len(st.First) < maxPlaces {
			st.First = append(st.First, Place{File: st.Files, Card: k.Card, Line: k.Line, Reason: k.Reason.String()})
		}
	}
}

// Stats returns the counts so far.
func (s *Scanner) Stats() Stats {
	st := s.stats
	st.Skipped, st.First = maps.Clone(st.Skipped), slices.Clone(st.First)
	if s.file != nil {
		s.sum(&st)
	}
	return st
}

// drop lets go of everything open: nothing more is read.
func (s *Scanner) drop() {
	s.leave()
	for _, d := range s.dirs {
		_ = d.root.Close()
	}
	s.dirs, s.todo = nil, nil
}

// end is drop with the reason that every later call returns.
func (s *Scanner) end(why error) error {
	s.drop()
	s.ended = fmt.Errorf("read contacts: %w", why)
	return s.ended
}

// Close ends reading. It may be called more than once.
func (s *Scanner) Close() error {
	s.drop()
	return nil
}
