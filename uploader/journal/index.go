package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// The index is a row of text files, index-00000001.log and so on, with one line per event:
//
//	crc32c of the JSON (8 hexadecimal digits) SP {"entry":{...}} LF
//	crc32c of the JSON (8 hexadecimal digits) SP {"end":{...}} LF
//
// A line that does not check is skipped; a tail without LF is the trace of a crash and is cut. A file is not
// appended to after a failed write; the next one is begun.
type index struct {
	dir    string
	number uint32 // of the active file
	active *durable.File
}

// line is one event.
type line struct {
	Entry *Entry  `json:"entry,omitempty"`
	End   *ending `json:"end,omitempty"`
}

// ending is what came of a request.
type ending struct {
	ID      wire.UUID `json:"id"`
	Status  int       `json:"status"`
	Outcome string    `json:"outcome"`
}

const (
	maxOutcome = 300 // bytes
	crcDigits  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (x *index) path(number uint32) string {
	return filepath.Join(x.dir, fmt.Sprintf("index-%08x.log", number))
}

// numbers returns the files' numbers, rising.
func (x *index) numbers() ([]uint32, error) {
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		return nil, err
	}
	var all []uint32
	for _, e := range entries {
		var n uint32
		if _, err := fmt.Sscanf(e.Name(), "index-%08x.log", &n); err == nil && x.path(n) == filepath.Join(x.dir, e.Name()) {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

func (x *index) open() error {
	all, err := x.numbers()
	if err != nil {
		return err
	}
	x.number = 1
	if len(all) == 0 {
		return nil
	}
	x.number = all[len(all)-1]
	b, err := x.readFile(x.number)
	if err != nil {
		return err
	}
	f, err := durable.OpenAppend(x.path(x.number))
	if err != nil {
		return err
	}
	if whole := int64(bytes.LastIndexByte(b, '\n') + 1); whole < f.Size() {
		if err := f.Truncate(whole); err != nil {
			f.Close()
			return err
		}
	}
	x.active = f
	return nil
}

func (x *index) close() {
	if x.active != nil {
		x.active.Close()
		x.active = nil
	}
}

func (x *index) append(l line) error {
	if l.End != nil {
		l.End.Outcome = oneLine(l.End.Outcome)
	}
	b, err := encodeLine(l)
	if err != nil {
		return err
	}
	if x.active != nil && x.active.Size()+int64(len(b)) > indexBytes {
		x.close()
		x.number++
	}
	if x.active == nil {
		if x.active, err = durable.OpenAppend(x.path(x.number)); err != nil {
			x.active = nil
			return err
		}
		if err := x.trim(); err != nil {
			return err
		}
	}
	if err := x.active.Append(b); err != nil {
		x.close()
		x.number++
		return err
	}
	return nil
}

// trim removes the oldest files.
func (x *index) trim() error {
	all, err := x.numbers()
	if err != nil {
		return err
	}
	for ; len(all) > indexFiles; all = all[1:] {
		if err := durable.Remove(x.path(all[0])); err != nil {
			return err
		}
	}
	return nil
}

func (x *index) readFile(number uint32) ([]byte, error) {
	f, err := os.Open(x.path(number))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 2*indexBytes))
}

// read returns all entries with their endings, oldest first.
func (x *index) read() ([]Entry, error) {
	all, err := x.numbers()
	if err != nil {
		return nil, err
	}
	var entries []Entry
	at := map[wire.UUID]int{}
	for _, n := range all {
		b, err := x.readFile(n)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for text := range bytes.Lines(b) {
			l, ok := decodeLine(text)
			switch {
			case !ok:
			case l.Entry != nil:
				at[l.Entry.ID] = len(entries)
				entries = append(entries, *l.Entry)
			case l.End != nil:
				if i, known := at[l.End.ID]; known {
					entries[i].Status, entries[i].Outcome = l.End.Status, l.End.Outcome
				}
			}
		}
	}
	return entries, nil
}

func encodeLine(l line) ([]byte, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(text, castagnoli), text), nil
}

// decodeLine reads what encodeLine wrote; false for anything else.
func decodeLine(b []byte) (line, bool) {
	text, ok := bytes.CutSuffix(b, []byte("\n"))
	if !ok || len(text) < crcDigits+1 || text[crcDigits] != ' ' {
		return line{}, false
	}
	head, text := string(text[:crcDigits]), text[crcDigits+1:]
	var l line
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if head != fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli)) || d.Decode(&l) != nil || (l.Entry == nil) == (l.End == nil) {
		return line{}, false
	}
	return l, true
}

// oneLine makes a text fit for one short line.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxOutcome {
		s = strings.ToValidUTF8(s[:maxOutcome], "")
	}
	return s
}
