package vcard

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// The classes of bytes that make a value more than a copy.
const (
	isHigh = 1 << iota
	isBackslash
	isNUL
	isEscape // begins a shift sequence in ISO 2022
)

var valueByte = func() (t [256]uint8) {
	for c := 0x80; c < 0x100; c++ {
		t[c] = isHigh
	}
	t['\\'], t[0], t[0x1b] = isBackslash, isNUL, isEscape
	return t
}()

func marks(b []byte) (m uint8) {
	if n := len(b); n >= 8 {
		// Eight bytes at a time, the last ones twice, to see that there is nothing.
		var any uint64
		for i := 0; i < n; i += 8 {
			x := binary.LittleEndian.Uint64(b[min(i, n-8):])
			any |= x | special(x)
		}
		if any&highs == 0 {
			return 0
		}
	}
	for _, c := range b {
		m |= valueByte[c]
	}
	return m
}

// decode makes a value of what stands behind the colon, and tells whether it
// could. Most need nothing but their blanks cut and are handed out where they
// stand.
func (r *Reader) decode(w word, raw []byte, p params, line int) bool {
	v := trim(raw)
	if len(v) == 0 {
		r.skipProperty(line, Empty)
		return false
	}
	if !r.card.open {
		r.skip(line, Outside)
		return false
	}
	switch {
	case p.qp:
		r.out[0] = appendQP(r.out[0][:0], v)
		v = r.out[0]
	case p.b64:
		var ok bool
		if v, ok = r.base64(v); !ok {
			r.skip(line, BadBase64)
			return false
		}
	}
	m := marks(v)
	if m != 0 || p.charset != nil {
		v = r.text8(w, v, p.charset, m)
		m = marks(v)
	}
	if m&isBackslash != 0 {
		r.out[0] = appendUnescaped(r.out[0][:0], v) // never longer than v, read before written
		v = r.out[0]
	}
	v = trim(v)
	switch {
	case len(v) == 0:
		r.skip(line, Empty)
		return false
	case m&isNUL != 0:
		r.skip(line, NUL)
		return false
	}
	r.hand(w, v, line)
	return true
}

// hand leaves a value for found.
func (r *Reader) hand(w word, v []byte, line int) {
	r.text, r.val.line = v, line
	if w == wEmail {
		r.val.kind = Email
		r.stats.Emails++
	} else {
		r.val.kind = Tel
		r.stats.Tels++
	}
}

// appendQP decodes quoted-printable. A "=" without two hexadecimal digits
// behind it stands for itself, as every lenient decoder has it.
func appendQP(dst, b []byte) []byte {
	dst = slices.Grow(dst, len(b))
	out, n := dst[:cap(dst)], len(dst)
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '=' && i+2 < len(b) {
			if x := uint(hexDigit[b[i+1]])<<4 | uint(hexDigit[b[i+2]]); x < 0x100 {
				c = byte(x)
				i += 2
			}
		}
		out[n] = c
		n++
	}
	return out[:n]
}

// hexDigit holds the value of each hexadecimal digit, and more than a byte, after
// a shift and without one, for what is none.
var hexDigit = func() (t [256]uint16) {
	for c := range t {
		t[c] = 0x1000
		switch {
		case '0' <= c && c <= '9':
			t[c] = uint16(c - '0')
		case 'a' <= c && c <= 'f':
			t[c] = uint16(c - 'a' + 10)
		case 'A' <= c && c <= 'F':
			t[c] = uint16(c - 'A' + 10)
		}
	}
	return t
}()

// base64 decodes with or without padding; blanks are left out.
func (r *Reader) base64(b []byte) ([]byte, bool) {
	r.out[1] = r.out[1][:0]
	for _, c := range b {
		if c > ' ' {
			r.out[1] = append(r.out[1], c)
		}
	}
	in := bytes.TrimRight(r.out[1], "=")
	var err error
	r.out[0], err = base64.RawStdEncoding.AppendDecode(r.out[0][:0], in)
	return r.out[0], err == nil
}

// appendUnescaped takes the backslash from the characters that any version
// escapes, and makes a line feed of \n. Other backslashes stay: they are part of
// the value in 2.1, and in what Windows programs write.
func appendUnescaped(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			switch b[i+1] {
			case '\\', ',', ';', ':':
				i++
				c = b[i]
			case 'n', 'N':
				i++
				c = '\n'
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// text8 turns b into UTF-8. A declared character set is believed unless it is
// unknown, or is UTF-8 and b is not. Without one, b is UTF-8 if it can be, and
// else in the character set of some machine, see guess.
func (r *Reader) text8(w word, b, declared []byte, m uint8) []byte {
	set := utf8Set
	if declared != nil {
		set = findCharset(declared)
	}
	switch {
	case set == utf8Set || set == noSet:
		if m&isHigh == 0 || utf8.Valid(b) {
			return b
		}
		return r.guess(w, b)
	case m&(isHigh|isEscape) == 0 && !set.shifts():
		return b // every other set holds ASCII as it is
	}
	return r.convert(set, b)
}

// guess reads bytes that are not UTF-8 and whose character set nobody declared.
// A number is digits and separators, so the first set in which it consists of
// them is right; otherwise Windows-1252 is what most such files are in.
func (r *Reader) guess(w word, b []byte) []byte {
	if w == wTel {
		for _, set := range [...]charset{windows1252, gbk, shiftJIS, big5} {
			if v := r.convert(set, b); dialled(v) {
				return v
			}
		}
	}
	return r.convert(windows1252, b)
}

// dialled tells whether all of b is ASCII, a full-width form, or a space or dash.
func dialled(b []byte) bool {
	for len(b) > 0 {
		c, n := utf8.DecodeRune(b)
		switch {
		case c < 0x80, c == 0xa0, c == 0xad, 0x2010 <= c && c <= 0x2015, c == 0x2212, c == 0x3000, 0xff01 <= c && c <= 0xff5e:
		default:
			return false
		}
		b = b[n:]
	}
	return true
}

// convert decodes b from set into memory of r. What is no character there
// becomes U+FFFD.
func (r *Reader) convert(set charset, b []byte) []byte {
	dec := r.decoders[set]
	if dec == nil {
		dec = set.encoding().NewDecoder()
		r.decoders[set] = dec
	}
	dec.Reset()
	// No set here makes more than three bytes of one, save for the
	// replacement of an incomplete character at the end.
	if need := 3*len(b) + 16; cap(r.out[1]) < need {
		r.out[1] = make([]byte, need)
	}
	dst := r.out[1][:cap(r.out[1])]
	n, _, err := dec.Transform(dst, b, true)
	if err != nil {
		return append(dst[:n], "\ufffd"...)
	}
	r.out[1] = dst
	return dst[:n]
}
