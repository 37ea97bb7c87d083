package evolution

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Where things stand in a database file: https://www.sqlite.org/fileformat.html.
const (
	sqliteMagic = "SQLite format 3\x00"
	headerSize  = 100
	leafTable   = 0x0d
	innerTable  = 0x05
	maxHeader   = 16 << 10 // bytes of a record's header: 200 columns take 600
	maxTree     = 20       // levels
	maxSQL      = 64 << 10
	maxPages    = 1 << 22
)

var errDamaged = errors.New("damaged")

// database reads tables of an SQLite file in rollback mode: one page at a time, each at most once, so that damage, be it a
// loop of pages, costs no more than the file is long.
type database struct {
	f     io.ReaderAt
	size  int // of a page
	pages int
	seen  []uint64 // a bit a page
}

func openDatabase(f io.ReaderAt, length int64) (*database, error) {
	var h [headerSize]byte
	if length < headerSize {
		return nil, ErrNoBook
	}
	if _, err := f.ReadAt(h[:], 0); err != nil {
		return nil, err
	}
	if string(h[:16]) != sqliteMagic {
		return nil, ErrNoBook
	}
	d := &database{f: f, size: int(binary.BigEndian.Uint16(h[16:]))}
	if d.size == 1 {
		d.size = 1 << 16
	}
	switch {
	case h[18] == 2 || h[19] == 2:
		return nil, ErrWAL
	case d.size < 512 || d.size&(d.size-1) != 0 || h[18] != 1 || h[19] != 1 || h[20] != 0:
		return nil, ErrNoBook
	case binary.BigEndian.Uint32(h[56:]) != 1: // UTF-8
		return nil, ErrNoBook
	case length/int64(d.size) > maxPages:
		return nil, ErrTooLarge
	}
	d.pages = int(length / int64(d.size))
	return d, nil
}

// page reads page n, which is refused a second time.
func (d *database) page(n uint32, buf []byte) ([]byte, error) {
	if n == 0 || int64(n) > int64(d.pages) {
		return nil, errDamaged
	}
	if d.seen == nil {
		d.seen = make([]uint64, d.pages/64+1)
	}
	if d.seen[n/64]&(1<<(n%64)) != 0 {
		return nil, errDamaged
	}
	d.seen[n/64] |= 1 << (n % 64)
	if cap(buf) < d.size {
		buf = make([]byte, d.size)
	}
	buf = buf[:d.size]
	_, err := d.f.ReadAt(buf, int64(n-1)*int64(d.size))
	return buf, err
}

// level is a page of a table's tree on the way to the record being read.
type level struct {
	page  []byte
	head  int // where the page's header is
	inner bool
	cells int
	next  int // cell
	taken int // bytes of records that were found in the page: those of a whole one do not overlap
}

// rows goes through the records of a table in the order of their numbers.
type rows struct {
	d      *database
	levels []level
	spill  []byte // an overflow page
}

func (d *database) table(root uint32) (*rows, error) {
	r := &rows{d: d}
	return r, r.enter(root)
}

func (r *rows) enter(n uint32) error {
	if len(r.levels) == maxTree {
		return errDamaged
	}
	var buf []byte
	if spare := r.levels[:cap(r.levels)]; len(spare) > len(r.levels) {
		buf = spare[len(r.levels)].page
	}
	page, err := r.d.page(n, buf)
	if err != nil {
		return err
	}
	l := level{page: page}
	if n == 1 {
		l.head = headerSize
	}
	switch page[l.head] {
	case innerTable:
		l.inner = true
	case leafTable:
	default:
		return errDamaged
	}
	l.cells = int(binary.BigEndian.Uint16(page[l.head+3:]))
	if l.pointers()+2*l.cells > len(page) {
		return errDamaged
	}
	r.levels = append(r.levels, l)
	return nil
}

func (l *level) pointers() int {
	if l.inner {
		return l.head + 12
	}
	return l.head + 8
}

// cell returns cell i up to the end of its page.
func (l *level) cell(i int) ([]byte, error) {
	at := int(binary.BigEndian.Uint16(l.page[l.pointers()+2*i:]))
	if at < l.pointers()+2*l.cells || at >= len(l.page) {
		return nil, errDamaged
	}
	return l.page[at:], nil
}

// next returns the next record, io.EOF at the end. It is valid until the next call.
func (r *rows) next() (*record, error) {
	for len(r.levels) > 0 {
		l := &r.levels[len(r.levels)-1]
		switch {
		case !l.inner && l.next < l.cells:
			cell, err := l.cell(l.next)
			if err != nil {
				return nil, err
			}
			l.next++
			rec, err := r.record(cell)
			if err != nil {
				return nil, err
			}
			if l.taken += rec.here; l.taken > len(l.page) {
				return nil, errDamaged
			}
			return rec, rec.header()
		case l.inner && l.next < l.cells:
			cell, err := l.cell(l.next)
			if err != nil || len(cell) < 4 {
				return nil, errDamaged
			}
			l.next++
			if err := r.enter(binary.BigEndian.Uint32(cell)); err != nil {
				return nil, err
			}
		case l.inner && l.next == l.cells:
			l.next++
			if err := r.enter(binary.BigEndian.Uint32(l.page[l.head+8:])); err != nil {
				return nil, err
			}
		default:
			r.levels = r.levels[:len(r.levels)-1]
		}
	}
	return nil, io.EOF
}

// record is one record: its bytes as they come from the page and those it spilt to.
type record struct {
	rows  *rows
	local []byte
	here  int    // bytes in its own page
	spill uint32 // next page, 0 for none
	left  int64  // bytes of the record not yet read
	sizes []int64
	kinds []int64
}

func (r *rows) record(cell []byte) (*record, error) {
	length, n := varint(cell)
	if n == 0 || length < 0 || length > int64(r.d.pages)*int64(r.d.size) {
		return nil, errDamaged
	}
	cell = cell[n:]
	if _, n = varint(cell); n == 0 { // the record's number
		return nil, errDamaged
	}
	cell = cell[n:]
	u := int64(r.d.size)
	here := length
	if most := u - 35; length > most {
		least := (u-12)*32/255 - 23
		if here = least + (length-least)%(u-4); here > most {
			here = least
		}
	}
	rec := &record{rows: r, left: length}
	if here < length {
		if int64(len(cell)) < here+4 {
			return nil, errDamaged
		}
		rec.spill = binary.BigEndian.Uint32(cell[here:])
	}
	if int64(len(cell)) < here {
		return nil, errDamaged
	}
	rec.local, rec.here = cell[:here], int(here)
	return rec, nil
}

// Read implements io.Reader with the rest of the record.
func (rec *record) Read(p []byte) (int, error) {
	if rec.left == 0 {
		return 0, io.EOF
	}
	if len(rec.local) == 0 {
		if rec.spill == 0 {
			return 0, errDamaged
		}
		page, err := rec.rows.d.page(rec.spill, rec.rows.spill)
		if err != nil {
			return 0, err
		}
		rec.rows.spill = page
		rec.spill, rec.local = binary.BigEndian.Uint32(page), page[4:]
	}
	n := copy(p, rec.local[:min(int64(len(rec.local)), rec.left)])
	rec.local = rec.local[n:]
	rec.left -= int64(n)
	return n, nil
}

// header reads the record's header: what its columns are.
func (rec *record) header() error {
	var first [9]byte
	n, err := io.ReadAtLeast(rec, first[:], 1)
	if err != nil {
		return errDamaged
	}
	for n < len(first) && rec.left > 0 {
		m, err := rec.Read(first[n:])
		if err != nil {
			return errDamaged
		}
		n += m
	}
	size, used := varint(first[:n])
	if used == 0 || size < int64(used) || size > maxHeader {
		return errDamaged
	}
	rest := size - int64(n)
	head := append([]byte(nil), first[used:n]...)
	var extra []byte // of the body, that was read with the header
	if rest < 0 {
		cut := int64(len(head)) + rest
		if cut < 0 {
			return errDamaged
		}
		extra, head = head[cut:], head[:cut]
	} else {
		more := make([]byte, rest)
		if _, err := io.ReadFull(rec, more); err != nil {
			return errDamaged
		}
		head = append(head, more...)
	}
	for len(head) > 0 {
		kind, n := varint(head)
		if n == 0 {
			return errDamaged
		}
		head = head[n:]
		rec.kinds = append(rec.kinds, kind)
		rec.sizes = append(rec.sizes, sizeOf(kind))
	}
	rec.unread(extra)
	return nil
}

// unread puts back what was read too far.
func (rec *record) unread(b []byte) {
	if len(b) == 0 {
		return
	}
	rec.left += int64(len(b))
	rec.local = append(bytes.Clone(b), rec.local...)
}

func sizeOf(kind int64) int64 {
	switch {
	case kind < 0:
		return -1
	case kind <= 4:
		return kind
	case kind == 5:
		return 6
	case kind == 6 || kind == 7:
		return 8
	case kind < 12:
		return 0
	}
	return (kind - 12) / 2
}

// column returns what stands in column i, which must be after those asked for before; nil if that is no text.
func (rec *record) column(i int) (io.Reader, error) {
	if i >= len(rec.sizes) {
		return nil, nil
	}
	var before int64
	for j := range i {
		if rec.sizes[j] < 0 || rec.sizes[j] > rec.left {
			return nil, errDamaged
		}
		before += rec.sizes[j]
		rec.sizes[j] = 0
	}
	if before > rec.left {
		return nil, errDamaged
	}
	if _, err := io.CopyN(io.Discard, struct{ io.Reader }{rec}, before); err != nil {
		return nil, errDamaged
	}
	if rec.sizes[i] > rec.left {
		return nil, errDamaged
	}
	if kind := rec.kinds[i]; kind < 13 || kind%2 == 0 {
		return nil, nil
	}
	r := io.LimitReader(rec, rec.sizes[i])
	rec.sizes[i] = 0
	return r, nil
}

// text returns a short text of a column.
func (rec *record) text(i, most int) (string, error) {
	r, err := rec.column(i)
	if err != nil || r == nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil || len(b) > most {
		return "", errDamaged
	}
	return string(b), nil
}

// number returns an integer of a column.
func (rec *record) number(i int) (int64, error) {
	if i >= len(rec.kinds) || rec.kinds[i] == 0 || rec.kinds[i] == 7 || rec.kinds[i] > 9 {
		return 0, errDamaged
	}
	switch rec.kinds[i] {
	case 8:
		return 0, nil
	case 9:
		return 1, nil
	}
	n := rec.sizes[i]
	rec.kinds[i] = 13 // read it as a text
	s, err := rec.text(i, 8)
	if err != nil || int64(len(s)) != n {
		return 0, errDamaged
	}
	var v int64
	for j := range len(s) {
		v = v<<8 | int64(s[j])
	}
	return v, nil
}

// varint reads an integer of one to nine bytes, 0 bytes if there is none.
func varint(b []byte) (v int64, n int) {
	for i := range min(len(b), 8) {
		v = v<<7 | int64(b[i]&0x7f)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	if len(b) < 9 {
		return 0, 0
	}
	return v<<8 | int64(b[8]), 9
}
