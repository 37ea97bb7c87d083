// Package contacts reads an address book: a vCard file, or a folder of them as
// KDE, khard and vdirsyncer keep, or of .contact files as Windows keeps. The source opens with a consent.Permit and
// yields the telephone numbers and e-mail addresses one at a time; names,
// photos and everything else stay unread (see package vcard).
//
// Use Open in the agent. Scan reads the same without a permit and is for the
// command line alone, where a person looks at their own files.
//
// File names are personal data too: no error and no count names a path; what
// is wrong is told as "card 17 of file 2". Packages carddav and evolution bring
// the cards of servers and of Evolution's databases here, as a Shelf.
//
// What is left out: the database of macOS (AddressBook-v22.abcddb), whose tables
// are not documented and change with the system, and that of the People app of
// Windows. Both can export vCards, and both can lie on a CardDAV server.
package contacts

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

// redacted keeps the name Raw free for the accessor.
type redacted = sensors.Raw

// Entry is one raw value of an address book. It redacts itself; Raw and Written
// are the ways to the text.
type Entry struct {
	redacted
	File  int        // number of the file in the order read, from 1
	Card  int        // number of the card in the file, from 1
	Line  int        // number of the line in the file, from 1
	Kind  vcard.Kind // telephone number or e-mail address
	Agent bool       // it belongs to the card's AGENT, another person

	value vcard.Value
}

// Raw returns what identifies: the value without the parts that RFC 6068 puts
// around an address, "mailto:" and what begins with "?". Telephone numbers are
// as written; package canonical reads tel: URIs. The bytes are valid until the
// next call of the Source or Scanner.
func (e Entry) Raw() []byte {
	b := e.value.Bytes()
	if e.Kind == vcard.Email {
		b = address(b)
	}
	return b
}

// Written returns the value as written in the card, after decoding. The bytes
// are valid until the next call of the Source or Scanner.
func (e Entry) Written() []byte { return e.value.Bytes() }

// MarshalLogObject implements zapcore.ObjectMarshaler with the place only.
func (e Entry) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddInt("file", e.File)
	return e.value.MarshalLogObject(enc)
}

// address cuts a mailto: URI to the address in it.
func address(b []byte) []byte {
	const scheme = "mailto:"
	if len(b) < len(scheme) {
		return b
	}
	for i := range len(scheme) {
		if c := b[i]; c != scheme[i] && c|0x20 != scheme[i] {
			return b
		}
	}
	b = b[len(scheme):]
	for i, c := range b {
		if c == '?' {
			return b[:i]
		}
	}
	return b
}

// Source reads an address book while its permit holds.
//
// Withdrawal closes it at once: Next looks at the permit's Done before every
// entry, also before one that was read already, and Done is closed before the
// withdrawal is answered. The full question, which also sees a consent that runs
// out by the clock and would be a tenth of the pass if asked for each entry, is
// asked before every file is opened and before every read from one. A read
// brings at most 128 KiB, which are parsed in less than a millisecond, so what
// was read before the clock struck is the most that is still handed out; the
// report of it is refused (minimise asks again, and so does the spool).
type Source struct {
	permit consent.Permit
	scan   *Scanner
}

// Open returns the address book at paths: each a vCard file or a folder of them.
// It fails when the permit does not hold, with sensors.ErrAbsent when nothing is
// at any of the paths or none is given, and when what is there is neither a
// regular file nor a folder.
func Open(p consent.Permit, paths ...string) (*Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open contacts: %w", err)
	}
	scan, err := Scan(paths...)
	if err != nil {
		return nil, err
	}
	return newSource(p, scan), nil
}

// OpenShelf returns what stands on a Shelf. It fails when the permit does not hold.
func OpenShelf(p consent.Permit, shelf Shelf) (*Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open contacts: %w", err)
	}
	return newSource(p, newScanner(shelf)), nil
}

func newSource(p consent.Permit, scan *Scanner) *Source {
	scan.r.gate.check, scan.r.gate.done = p.Check, p.Done()
	return &Source{permit: p, scan: scan}
}

// Remember lets m remember what is read, and answer for what has not changed. It
// must be called before the first Next. now is the time: what was changed just
// before is not remembered.
func (s *Source) Remember(m Memory, now time.Time) { s.scan.r.mem, s.scan.r.began = m, now }

// Next returns the next entry, and io.EOF at the end. Once the permit has ended,
// or ctx, it returns why, and nothing more is read.
func (s *Source) Next(ctx context.Context) (Entry, error) {
	s.scan.r.gate.ctx = ctx
	if err := s.scan.r.Ended(); err != nil {
		return Entry{}, s.scan.end(err)
	}
	return s.scan.Next(ctx)
}

// Stats returns the counts so far.
func (s *Source) Stats() Stats { return s.scan.Stats() }

// Moved returns how many files and folders changed while they were read, or just before; what was read may then be half of
// what somebody writes. It counts in passes with a Memory, on systems that tell the state of a file.
func (s *Source) Moved() int { return s.scan.r.moved }

// Close ends reading. It may be called more than once.
func (s *Source) Close() error { return s.scan.Close() }
