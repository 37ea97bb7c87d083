package vcard

import (
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// wide tells whether b begins as a book in UTF-16 does: with a byte order mark,
// or with an ASCII character beside a zero byte.
func wide(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	x, y := b[0], b[1]
	return x == 0xff && y == 0xfe || x == 0xfe && y == 0xff || ascii(x) && y == 0 || x == 0 && ascii(y)
}

func ascii(c byte) bool { return c == '\t' || c == '\r' || c == '\n' || ' ' <= c && c < 0x7f }

// wide32 tells whether b begins as text in UTF-32 does.
func wide32(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	switch [4]byte(b) {
	case [4]byte{0xff, 0xfe, 0, 0}, [4]byte{0, 0, 0xfe, 0xff}:
		return true
	}
	return b[1] == 0 && b[2] == 0 && (b[0] == 0 && ascii(b[3]) || b[3] == 0 && ascii(b[0]))
}

// utf16Reader turns UTF-16 into UTF-8, without the byte order mark. A surrogate
// without its half, and half a unit at the end, become U+FFFD.
type utf16Reader struct {
	src  io.Reader
	err  error
	big  bool
	raw  []byte // from pos to end: not yet decoded
	pos  int
	end  int
	left []byte // decoded, not yet handed out
	buf  [utf8.UTFMax]byte
}

// newUTF16 reads on after head, which is what src began with; err is what src ended with, if it has.
func newUTF16(src io.Reader, head []byte, err error) *utf16Reader {
	u := &utf16Reader{src: src, err: err, raw: make([]byte, max(len(head), 8<<10))}
	u.end = copy(u.raw, head)
	u.big = head[0] == 0xfe || head[0] == 0
	if head[0] >= 0xfe {
		u.pos = 2
	}
	return u
}

// Read implements io.Reader.
func (u *utf16Reader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(u.left) > 0 {
			c := copy(p[n:], u.left)
			u.left = u.left[c:]
			n += c
			continue
		}
		c, ok := u.next()
		if !ok {
			if n > 0 {
				return n, nil
			}
			return 0, u.err
		}
		if c < utf8.RuneSelf {
			p[n] = byte(c)
			n++
			continue
		}
		u.left = u.buf[:utf8.EncodeRune(u.buf[:], c)]
	}
	return n, nil
}

// next decodes one character; ok is false at the end.
func (u *utf16Reader) next() (c rune, ok bool) {
	if u.end-u.pos < 2 && !u.fill(2) {
		if u.pos < u.end && u.err == io.EOF {
			u.pos = u.end
			return utf8.RuneError, true
		}
		return 0, false
	}
	c = u.unit(u.pos)
	u.pos += 2
	if !utf16.IsSurrogate(c) {
		return c, true
	}
	if u.end-u.pos >= 2 || u.fill(2) {
		if r := utf16.DecodeRune(c, u.unit(u.pos)); r != utf8.RuneError {
			u.pos += 2
			return r, true
		}
	}
	return utf8.RuneError, true
}

func (u *utf16Reader) unit(at int) rune {
	if u.big {
		return rune(u.raw[at])<<8 | rune(u.raw[at+1])
	}
	return rune(u.raw[at+1])<<8 | rune(u.raw[at])
}

// fill reads until at least n bytes are there; false if the source ends before.
func (u *utf16Reader) fill(n int) bool {
	u.end = copy(u.raw, u.raw[u.pos:u.end])
	u.pos = 0
	for idle := 0; u.end < n && u.err == nil; {
		m, err := u.src.Read(u.raw[u.end:])
		u.end += max(0, min(m, len(u.raw)-u.end))
		u.err = err
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 && u.err == nil {
			u.err = io.ErrNoProgress
		}
	}
	return u.end >= n
}
