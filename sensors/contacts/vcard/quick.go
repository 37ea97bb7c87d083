package vcard

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Eight bytes at once: each constant repeats one byte.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
	cases = 0xdf * ones // clears the bit that makes a letter lower case
)

// below marks in its high bits the bytes of x that are less than n, at most
// 0x80. The lowest mark is exact; those above it may be wrong.
func below(x, n uint64) uint64 { return (x - n*ones) &^ x & highs }

// special marks control bytes, backslashes and bytes from 0x80 on among the
// bytes of x. The lowest mark is exact.
func special(x uint64) uint64 { return below(x, ' ') | below(x^'\\'*ones, 1) | x&highs }

// gather puts the high bits of the bytes of x, which are all that is set, into
// the lowest byte.
func gather(x uint64) uint64 { return x >> 7 * 0x0102040810204080 >> 56 }

// name is a name of interest as the low bytes of a word.
type name struct {
	key, mask uint64
	len       int
	word      word
}

// names holds each name where the lowest bits of its first two letters, added
// without carry, say; the other places match nothing.
var names = [8]name{
	0: {'E' | 'M'<<8 | 'A'<<16 | 'I'<<24 | 'L'<<32, 1<<40 - 1, 5, wEmail},
	1: {'T' | 'E'<<8 | 'L'<<16, 1<<24 - 1, 3, wTel},
	2: {key: 1},
	3: {'E' | 'N'<<8 | 'D'<<16, 1<<24 - 1, 3, wEnd},
	4: {key: 1},
	5: {key: 1},
	6: {'A' | 'G'<<8 | 'E'<<16 | 'N'<<24 | 'T'<<32, 1<<40 - 1, 5, wAgent},
	7: {'B' | 'E'<<8 | 'G'<<16 | 'I'<<24 | 'N'<<32, 1<<40 - 1, 5, wBegin},
}

// named returns the name of interest that the bytes of first begin with, in any
// case, nil if there is none.
func named(first uint64) *name {
	e := &names[(first^first>>8)&7]
	if first&cases&e.mask != e.key {
		return nil
	}
	return e
}

// heads remembers what stood between a name and its colon, up to 24 bytes, where
// the parameters turned out not to matter: a book uses the same few all over.
type heads [512][3]uint64

// simple returns the value of the TEL or EMAIL property whose name ends at b[at]
// and where the next line begins, if the value can be handed out as it stands
// and the line ends with LF or CRLF and is not folded; nil if not.
func (r *Reader) simple(b []byte, at int) (v []byte, next int) {
	if at+32 > len(b) {
		return nil, 0
	}
	colon := 0
	if x := binary.LittleEndian.Uint64(b[at:]); byte(x) != ':' {
		y := binary.LittleEndian.Uint64(b[at+8:])
		z := binary.LittleEndian.Uint64(b[at+16:])
		set := gather(below(x^':'*ones, 1)) | gather(below(y^':'*ones, 1))<<8 | gather(below(z^':'*ones, 1))<<16
		if set == 0 {
			return nil, 0
		}
		colon = bits.TrailingZeros64(set)
		// Only what stands before the colon counts.
		x &= uint64(1)<<(8*colon) - 1
		y &= uint64(1)<<(8*max(colon-8, 0)) - 1
		z &= uint64(1)<<(8*max(colon-16, 0)) - 1
		known := &r.plain[(x*0x9e3779b97f4a7c15^y*0xc2b2ae3d27d4eb4f^z*0x165667b19e3779f9)>>55]
		if known[0]^x|known[1]^y|known[2]^z != 0 {
			if r.odd == [3]uint64{x, y, z} || !plainHead(b[at:at+colon+1]) {
				r.odd = [3]uint64{x, y, z}
				return nil, 0
			}
			*known = [3]uint64{x, y, z}
		}
	}
	from := at + colon + 1
	if from+40 > len(b) {
		return nil, 0
	}
	// The value ends at the first byte that is special; it must be the line's end.
	set := gather(special(binary.LittleEndian.Uint64(b[from:]))) |
		gather(special(binary.LittleEndian.Uint64(b[from+8:])))<<8 |
		gather(special(binary.LittleEndian.Uint64(b[from+16:])))<<16 |
		gather(special(binary.LittleEndian.Uint64(b[from+24:])))<<24
	for set == 0 {
		from += 32
		if from+40 > len(b) || from-at > MaxLine/2 {
			return nil, 0
		}
		set = gather(special(binary.LittleEndian.Uint64(b[from:]))) |
			gather(special(binary.LittleEndian.Uint64(b[from+8:])))<<8 |
			gather(special(binary.LittleEndian.Uint64(b[from+16:])))<<16 |
			gather(special(binary.LittleEndian.Uint64(b[from+24:])))<<24
	}
	stop := from + bits.TrailingZeros64(set)
	next = stop + 1
	if b[stop] == '\r' {
		next++
	}
	from = at + colon + 1
	if b[next-1] != '\n' || next == len(b) || blank(b[next]) || stop == from || b[from] == ' ' || b[stop-1] == ' ' {
		return nil, 0
	}
	return b[from:stop], next
}

// plainHead tells whether parameters, with the colon behind them, say nothing
// about the value.
func plainHead(b []byte) bool {
	colon, p := parameters(b)
	return colon == len(b)-1 && !p.qp && !p.b64 && p.charset == nil &&
		bytes.IndexByte(b, '"') < 0 && bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0
}

// simpleFrame returns where the line behind BEGIN:VCARD or END:VCARD begins, if the
// name ends at b[at] and the rest is as nearly everyone writes it; 0 if not.
func simpleFrame(b []byte, at int) (next int) {
	const (
		vcard = ':' | 'V'<<8 | 'C'<<16 | 'A'<<24 | 'R'<<32 | 'D'<<40
		crlf  = '\r'<<48 | '\n'<<56
		lf    = '\n' << 48
	)
	if at+9 > len(b) {
		return 0
	}
	x := binary.LittleEndian.Uint64(b[at:])
	switch {
	case x == vcard|crlf:
		next = at + 8
	case x<<8 == (vcard|lf)<<8 && byte(x) == ':':
		next = at + 7
	default:
		return 0
	}
	if blank(b[next]) {
		return 0
	}
	return next
}

// openOrClose takes a simple BEGIN or END in, and tells whether it was where it must be.
func (r *Reader) openOrClose(w word) bool {
	if r.card.agents > 0 || r.card.open == (w == wBegin) {
		return false
	}
	if r.card.open = w == wBegin; r.card.open {
		r.stats.Cards++
	}
	return true
}
