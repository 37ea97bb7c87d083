package vcard

import (
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
func below(x uint64, n uint64) uint64 { return (x - n*ones) &^ x & highs }

// The names of interest as the low bytes of a word.
const (
	nameTEL   = 'T' | 'E'<<8 | 'L'<<16
	nameEND   = 'E' | 'N'<<8 | 'D'<<16
	nameEMAIL = 'E' | 'M'<<8 | 'A'<<16 | 'I'<<24 | 'L'<<32
	nameBEGIN = 'B' | 'E'<<8 | 'G'<<16 | 'I'<<24 | 'N'<<32
	nameAGENT = 'A' | 'G'<<8 | 'E'<<16 | 'N'<<24 | 'T'<<32
)

// quick goes through lines that are what nearly all lines are: one whole
// property in the block, ended by LF or CRLF, that no fold and no soft break
// continues, with a short name. It stops at the first value, and at the first
// line that is anything else, which step then looks at; so quick may refuse
// whatever it likes, but what it passes it must understand as step does.
func (r *Reader) quick() bool {
	b := r.buf[:r.end]
	pos, line := r.pos, r.line
	if r.card.pending || pos+64 > len(b) {
		return false
	}
	base, ends := pos, controls(b[pos:]) // bit i stands for b[base+i]
lines:
	for {
		for ends == 0 {
			if base += 64; base+64 > len(b) {
				break lines
			}
			ends = controls(b[base:])
		}
		stop := base + bits.TrailingZeros64(ends)
		next := stop + 1
		if next+1 >= len(b) {
			break
		}
		if b[stop] == '\r' {
			next++
		}
		if b[next-1] != '\n' || blank(b[next]) {
			break
		}

		// The end of the name: ":" or ";", which differ in one bit, or the "." of a group.
		first := binary.LittleEndian.Uint64(b[pos:])
		at, n, ok := pos, 0, false
		for at+8 <= len(b) {
			d := below(first&(0xfe*ones)^':'*ones, 1) | below(first^'.'*ones, 1)
			n = bits.TrailingZeros64(d) >> 3 // 8 if there is none
			mask := uint64(1)<<(8*n) - 1
			if (below(first, '!')|first&highs)&mask != 0 {
				break lines // a blank, a byte order mark
			}
			if n < 8 && b[at+n] != '.' {
				first &= mask
				ok = true
				break
			}
			// Go on after the group; or in a long name, by so little that the tail
			// seen next is still longer than any name of interest.
			if n < 8 {
				at += n + 1
			} else {
				at += 2
			}
			if at+8 <= len(b) {
				first = binary.LittleEndian.Uint64(b[at:])
			}
		}
		if !ok || at+n >= stop {
			break
		}
		switch first & cases {
		case nameTEL, nameEMAIL:
			w := wTel
			if n == 5 {
				w = wEmail
			}
			r.pos, r.line = pos, line
			if v := r.simple(b, at+n, stop); v != nil && r.card.open {
				r.pos, r.line = next, line+1
				r.hand(w, v, line)
				return true
			}
			if r.property(w, b[at+n:stop], b[pos:stop], next, false) {
				return true
			}
			if r.pos != next {
				return false
			}
			line = r.line
		case nameBEGIN, nameEND:
			switch {
			case stop-at-n != len(vcard) || string(b[at+n:stop]) != vcard || r.card.agents > 0:
				r.pos, r.line = pos, line
				return false
			case n == 5 && !r.card.open:
				r.card.open = true
				r.stats.Cards++
			case n == 3 && r.card.open:
				r.card.open = false
			default:
				r.pos, r.line = pos, line
				return false
			}
			line++
		case nameAGENT:
			break lines
		default:
			if c := b[stop-1]; c == '=' || c == ' ' {
				break lines
			}
			line++
		}
		pos = next
		if pos+8 > len(b) {
			break
		}
		if k := next - base; k < 64 {
			ends &= ^uint64(0) << k
			continue
		}
		if base += 64; base+64 > len(b) {
			break
		}
		ends = controls(b[base:]) & (^uint64(0) << (next - base))
	}
	r.pos, r.line = pos, line
	return false
}

// controls returns which of the first 64 bytes of b are below 0x0e, the lowest
// bit standing for the first.
func controls(b []byte) (set uint64) {
	_ = b[63]
	for i := 0; i < 64; i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		// The high bit of a byte is set unless the byte is below 0x0e; so
		// the complement marks those.
		x |= x&^highs + (0x80-0x0e)*ones
		set |= marked(^x) << i
	}
	return set
}

const vcard = ":VCARD" // as nearly everyone writes it

// heads remembers what stood between a name and its colon, up to 24 bytes, where
// the parameters turned out not to matter: a book uses the same few all over.
type heads [64][3]uint64

// simple returns the value of the TEL or EMAIL property whose name ends at b[at]
// and which ends at b[stop], if it can be handed out as it stands; nil if not.
func (r *Reader) simple(b []byte, at, stop int) []byte {
	if at+24 > len(b) {
		return nil
	}
	var head [3]uint64
	head[0] = binary.LittleEndian.Uint64(b[at:])
	colon := 0
	if byte(head[0]) != ':' {
		head[1] = binary.LittleEndian.Uint64(b[at+8:])
		head[2] = binary.LittleEndian.Uint64(b[at+16:])
		set := marked(below(head[0]^':'*ones, 1)) | marked(below(head[1]^':'*ones, 1))<<8 | marked(below(head[2]^':'*ones, 1))<<16
		if set == 0 {
			return nil
		}
		colon = bits.TrailingZeros64(set)
		if at+colon >= stop {
			return nil
		}
		// Only what stands before the colon counts.
		head[0] &= uint64(1)<<(8*colon) - 1
		head[1] &= uint64(1)<<(8*max(colon-8, 0)) - 1
		head[2] &= uint64(1)<<(8*max(colon-16, 0)) - 1
		known := &r.plain[(head[0]*0x9e3779b97f4a7c15^head[1]*0xc2b2ae3d27d4eb4f^head[2]*0x165667b19e3779f9)>>58]
		if *known != head {
			c, p := parameters(b[at:stop])
			if c != colon || p.qp || p.b64 || p.charset != nil {
				return nil
			}
			*known = head
		}
	}
	v := b[at+colon+1 : stop]
	n := len(v)
	if n < 8 || n > 32 || v[0] <= ' ' || v[n-1] <= ' ' {
		return nil
	}
	// All bytes in four words, some of them twice.
	w := binary.LittleEndian.Uint64(v)
	x := binary.LittleEndian.Uint64(v[min(8, n-8):])
	y := binary.LittleEndian.Uint64(v[min(16, n-8):])
	z := binary.LittleEndian.Uint64(v[n-8:])
	if (w|x|y|z|special(w)|special(x)|special(y)|special(z))&highs != 0 {
		return nil
	}
	return v
}

// special marks control bytes and backslashes among the bytes of x.
func special(x uint64) uint64 { return below(x, ' ') | below(x^'\\'*ones, 1) }

// marked gathers the high bits of the bytes of x in its lowest byte.
func marked(x uint64) uint64 { return (x & highs) >> 7 * 0x0102040810204080 >> 56 }
