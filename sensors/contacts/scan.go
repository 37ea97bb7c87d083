package contacts

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

// maxPlaces is how many places Stats keeps.
const maxPlaces = 8

// skipUnreadable counts a file that cannot be opened, or read to its end.
const skipUnreadable = "unreadable-file"

// Place is where something was passed over.
type Place struct {
	File   int    // number of the file in the order read, 0 for what was not opened
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
	Files     int            // files opened, and those known unchanged
	Unchanged int            // of these, known unchanged and not opened
	Cards     int            // cards begun
	Tels      int            // telephone numbers handed out, or known
	Emails    int            // e-mail addresses handed out, or known
	Skipped   map[string]int // what was passed over, by a word that says why
	First     []Place        // where the first few of these are
}

// Scanner reads vCard files and folders of them without a permit: for a person
// who looks at their own files, never for collecting. It is not safe for use by
// several goroutines.
type Scanner struct {
	shelf  Shelf
	reader *vcard.Reader
	r      Reading
	begun  bool  // a text is being read
	ended  error // why reading stopped before the end
	closed bool

	grouped bool // the memory knows that this source has its turn
}

// Scan returns a Scanner over paths: each a vCard file or a folder, which is
// read with all folders below it in the order of their names (a folder of more
// than batch files is read so in parts). In folders only
// files named .vcf, .vcard, or .contact (Windows) are read, and nothing whose name begins with a dot.
//
// It fails with sensors.ErrAbsent when nothing is at any of the paths or none is
// given, and when what is there is neither a regular file nor a folder.
func Scan(paths ...string) (*Scanner, error) {
	s := newScanner(nil)
	shelf, err := openFolders(&s.r, paths)
	if err != nil {
		return nil, err
	}
	s.shelf = shelf
	return s, nil
}

func newScanner(shelf Shelf) *Scanner {
	return &Scanner{shelf: shelf, reader: new(vcard.Reader), r: Reading{stats: Stats{Skipped: map[string]int{}}}}
}

// Next returns the next entry, and io.EOF at the end. Files and lines that
// cannot be read are counted and passed over; an error is ctx's, the permit's, or
// the shelf's.
func (s *Scanner) Next(ctx context.Context) (Entry, error) {
	if s.ended != nil {
		return Entry{}, s.ended
	}
	s.r.gate.ctx = ctx
	for {
		if !s.begun {
			if err := s.begin(ctx); err != nil {
				return Entry{}, err
			}
		}
		v, err := s.reader.Next()
		if err == nil {
			return Entry{File: s.r.stats.Files, Card: v.Card, Line: v.Line, Kind: v.Kind, Agent: v.Agent, value: v}, nil
		}
		s.leave(err == io.EOF && s.r.gate.stopped == nil)
		if s.r.gate.stopped != nil {
			return Entry{}, s.end(s.r.gate.stopped)
		}
		if err != io.EOF {
			s.r.skip(Place{File: s.r.stats.Files, Reason: skipUnreadable}, s.File())
		}
	}
}

// begin goes on to the next text.
func (s *Scanner) begin(ctx context.Context) error {
	if s.closed {
		return io.EOF
	}
	if err := s.r.Check(); err != nil {
		return s.end(err)
	}
	if !s.grouped && s.r.mem != nil {
		s.r.mem.Group(Key{}) // sources are read one after another
		s.grouped = true
	}
	src, err := s.shelf.Next(ctx, &s.r)
	switch {
	case err == io.EOF:
		return io.EOF
	case err != nil:
		return s.end(err)
	}
	if s.r.open && s.r.mem != nil {
		s.r.mem.Begin(s.r.item)
	}
	s.r.stats.Files++
	s.r.gate.src, s.r.gate.stopped = src, nil
	s.reader.Reset(&s.r.gate)
	s.begun = true
	return nil
}

// File returns the path of the file that the last entry stands in. It is for
// the person's own terminal, never for a log.
func (s *Scanner) File() string {
	if f, ok := s.shelf.(*folders); ok {
		return f.name()
	}
	return ""
}

// Paths returns the paths of the files and folders that the places of Stats().First
// are in. They are for the person's own terminal, never for a log.
func (s *Scanner) Paths() []string { return s.r.paths }

// gate stands before the text and asks before every read.
type gate struct {
	src     io.Reader
	ctx     context.Context
	check   func() error    // nil for none
	done    <-chan struct{} // closed when check has something to say; nil for never
	stopped error           // what it refused a read with
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

// leave ends the text being read and takes its counts in; whole is whether it was read to its end.
func (s *Scanner) leave(whole bool) {
	if !s.begun {
		return
	}
	out := s.outcome()
	path := ""
	if len(out.First) > 0 {
		path = s.File()
	}
	s.r.add(out, path)
	if s.r.mem != nil && s.r.open && whole {
		s.r.mem.Done(out, s.r.keep)
	}
	s.begun, s.r.open = false, false
}

// outcome is what the reader has counted in the text being read.
func (s *Scanner) outcome() Outcome {
	r := s.reader.Stats()
	out := Outcome{Items: 1, Cards: r.Cards, Tels: r.Tels, Emails: r.Emails}
	if r.Skips.Total() == 0 {
		return out
	}
	out.Skipped = r.Skips.Words()
	for _, k := range r.First() {
		out.First = append(out.First, Place{Card: k.Card, Line: k.Line, Reason: k.Reason.String()})
	}
	return out
}

// Stats returns the counts so far.
func (s *Scanner) Stats() Stats {
	r := Reading{stats: s.r.stats}
	r.stats.Skipped, r.stats.First = maps.Clone(r.stats.Skipped), slices.Clone(r.stats.First)
	if s.begun {
		r.add(s.outcome(), "")
	}
	return r.stats
}

// end is Close with the reason that every later call returns.
func (s *Scanner) end(why error) error {
	_ = s.Close()
	s.ended = fmt.Errorf("read contacts: %w", why)
	return s.ended
}

// Close ends reading. It may be called more than once.
func (s *Scanner) Close() error {
	s.leave(false)
	s.closed = true
	return s.shelf.Close()
}
