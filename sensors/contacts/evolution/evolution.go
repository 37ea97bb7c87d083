// Package evolution reads the local address books of GNOME Evolution and
// whatever else uses its data server: files named contacts.db below
// evolution/addressbook in the person's data folder. The column that holds the
// cards as vCards goes to the same reader as files; nothing else is looked at.
//
// The files are SQLite databases, read only, here by a reader of tables of its
// own: it never loads a record whole, never visits a page twice, and so cannot be
// led in a circle by damage, which the small readers that exist can. While it
// reads it holds the lock that SQLite's readers hold; what another program is
// writing is not read (ErrBusy).
//
// What is left out: books in write-ahead mode, since what is in their log would
// be missing (ErrWAL says so); the cache of books that lie on a server, which
// package carddav reads from there; systems without the locks of POSIX.
package evolution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/contacts"
)

// Why a book cannot be read. The next pass tries again.
var (
	ErrWAL     = errors.New("evolution: the book is in write-ahead mode, what is in its log would be missing; it is not read")
	ErrJournal = errors.New("evolution: the book holds an unfinished change; start Evolution once")
	ErrBusy    = errors.New("evolution: the book is being written by another program")
	ErrNoBook  = errors.New("evolution: not an address book of Evolution")
	ErrDamaged = errors.New("evolution: the book is damaged")
	// ErrTooLarge is beyond 4 million pages.
	ErrTooLarge = errors.New("evolution: the file is larger than any address book")
)

const (
	bookName = "contacts.db"
	table    = "folder_id"
	column   = "vcard"
	maxBooks = 64
)

// Open returns the books at paths: each a contacts.db, or a folder with one in it or in a folder of it, as
// evolution/addressbook is. It fails when the permit does not hold, and with sensors.ErrAbsent when there is none.
func Open(p consent.Permit, paths ...string) (*contacts.Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open contacts: %w", err)
	}
	var found []string
	for _, path := range paths {
		found = append(found, books(path)...)
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("open contacts: %w", sensors.Absent("the address book of Evolution"))
	case len(found) > maxBooks:
		return nil, ErrTooLarge
	}
	return contacts.OpenShelf(p, &shelf{todo: found})
}

// books lists the books at a path.
func books(path string) []string {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	if !info.IsDir() {
		return []string{path}
	}
	var found []string
	for _, pattern := range []string{bookName, filepath.Join("*", bookName)} {
		matches, err := fs.Glob(os.DirFS(path), filepath.ToSlash(pattern))
		if err != nil {
			continue
		}
		for _, m := range matches {
			found = append(found, filepath.Join(path, filepath.FromSlash(m)))
		}
	}
	slices.Sort(found)
	return found
}

// shelf is the contacts.Shelf of the books.
type shelf struct {
	todo []string
	open *os.File
}

// Next implements contacts.Shelf.
func (s *shelf) Next(_ context.Context, r *contacts.Reading) (io.Reader, error) {
	for {
		s.leave()
		if err := r.Check(); err != nil {
			return nil, err
		}
		if len(s.todo) == 0 {
			return nil, io.EOF
		}
		path := s.todo[0]
		s.todo = s.todo[1:]
		f, err := openBook(path)
		if err != nil {
			return nil, err
		}
		s.open = f
		it, keep, ok := r.File(f, path)
		if ok && r.Known(it) {
			continue
		}
		text, err := read(f)
		if err != nil {
			return nil, said(err)
		}
		if ok {
			r.Begin(it, keep)
		}
		return text, nil
	}
}

// openBook opens and locks a book that has no unfinished change.
func openBook(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be opened", ErrNoBook)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNoBook
	}
	if err == nil {
		err = lock(f)
	}
	if err == nil {
		err = settled(f, path)
	}
	if err != nil {
		_ = f.Close()
		return nil, said(err)
	}
	return f, nil
}

// settled refuses a book of which a part stands elsewhere: in a write-ahead log, or in the journal of a change that was
// cut off.
func settled(f *os.File, path string) error {
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		return ErrWAL
	}
	j, err := os.OpenFile(path+"-journal", os.O_RDONLY|nonblock, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ErrJournal
	}
	defer j.Close()
	var head [8]byte
	if n, _ := io.ReadFull(j, head[:]); n < len(head) || head == [8]byte{} {
		return nil // ended: cut to nothing, or its head overwritten
	}
	writing, err := reserved(f)
	if err != nil {
		return err
	}
	if writing {
		return nil // begun by somebody who is still there; nothing of it is in the file, or we had no lock
	}
	return ErrJournal
}

// said is an error in the words of this package.
func said(err error) error {
	for _, known := range []error{ErrWAL, ErrJournal, ErrBusy, ErrNoBook, ErrTooLarge} {
		if errors.Is(err, known) {
			return err
		}
	}
	return ErrDamaged
}

func (s *shelf) leave() {
	if s.open != nil {
		_ = s.open.Close() // and with it the lock
		s.open = nil
	}
}

// Close implements contacts.Shelf.
func (s *shelf) Close() error {
	s.leave()
	s.todo = nil
	return nil
}

// read returns the cards of a book, one after another.
func read(f *os.File) (io.Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return cards(f, info.Size())
}

func cards(f io.ReaderAt, length int64) (io.Reader, error) {
	d, err := openDatabase(f, length)
	if err != nil {
		return nil, err
	}
	root, index, err := d.find(table, column)
	if err != nil {
		return nil, err
	}
	d.seen = nil
	rows, err := d.table(root)
	if err != nil {
		return nil, err
	}
	return &text{rows: rows, column: index}, nil
}

// text is the cards of a table as one text.
type text struct {
	rows   *rows
	column int
	card   io.Reader
	err    error
}

// Read implements io.Reader.
func (t *text) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for t.err == nil {
		if t.card == nil {
			rec, err := t.rows.next()
			if err == nil {
				t.card, err = rec.column(t.column)
			}
			if err != nil {
				t.err = err
			}
			continue
		}
		n, err := t.card.Read(p)
		switch {
		case err == io.EOF:
			t.card = nil
			p[0] = '\n'
			return 1, nil
		case err != nil:
			t.err = err
		case n > 0:
			return n, nil
		}
	}
	if t.err != io.EOF {
		return 0, said(t.err)
	}
	return 0, io.EOF
}
