package vcard

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// The names of interest as the low bytes of a word.
const (
	nameTEL   = 'T' | 'E'<<8 | 'L'<<16
	nameEND   = 'E' | 'N'<<8 | 'D'<<16
	nameEMAIL = 'E' | 'M'<<8 | 'A'<<16 | 'I'<<24 | 'L'<<32
	nameAGENT = 'A' | 'G'<<8 | 'E'<<16 | 'N'<<24 | 'T'<<32
	nameBEGIN = 'B' | 'E'<<8 | 'G'<<16 | 'I'<<24 | 'N'<<32
)

// window is the state of quick between two calls: 64 bytes and what is left to
// look at in them.
type window struct {
	masks
	base   int    // where the 64 bytes begin
	start  int    // where the line begins that base is in
	line   int    // its number
	events uint64 // the places to look at
	resume int    // the position for which this state holds
}

// quick passes over all lines that do not matter without looking at them. Of 64
// bytes at once it finds the places that may matter: where TEL, EMAIL or a line
// that frames a card may begin, behind a line break or the dot of a group; and
// the ends of lines that go on, by a fold or what may be a soft break, or that
// end in a CR alone.
//
// It stops at the first value and at the first line that is not as simple as
// nearly all are, which step then looks at. So quick may refuse whatever it
// likes, but what it passes it must understand as step does.
func (r *Reader) quick() bool {
	b := r.buf[:r.end]
	if r.card.pending || r.pos+65 > len(b) || blank(b[r.pos]) {
		return false
	}
	w := &r.win
	var carry edges
	if w.resume != r.pos {
		w.base, w.start, w.line = r.pos, r.pos, r.line
		w.find(b[w.base:])
		carry.begin = 1
		w.events = w.look(carry, b[w.base+64])
	}
	for {
		for w.events != 0 {
			i := bits.TrailingZeros64(w.events)
			bit := uint64(1) << i
			w.events &^= bit
			at := w.base + i
			start, line := w.start, w.line
			if n := w.starts(i); n > 0 {
				start, line = w.base+n, w.line+bits.OnesCount64(w.lf&(bit-1))
			}
			if (w.lf|w.cr)&bit != 0 {
				return r.refuse(start, line)
			}
			done, found := r.event(b, at, start, line)
			if done {
				return found
			}
		}
		// On to the next 64 bytes.
		carry = edges{begin: (w.lf | w.dot) >> 63, soft: w.soft >> 63, soft2: w.soft >> 62, cr: w.cr >> 63}
		if w.lf != 0 {
			w.line += bits.OnesCount64(w.lf)
			w.start = w.base + 64 - bits.LeadingZeros64(w.lf)
		}
		if w.base += 64; w.base+65 > len(b) {
			return r.refuse(w.start, w.line)
		}
		w.find(b[w.base:])
		w.events = w.look(carry, b[w.base+64])
	}
}

// edges is what the bytes before the window say about its first ones.
type edges struct {
	begin uint64 // a name may begin with the first byte
	soft  uint64 // the byte before is of that class
	soft2 uint64 // and, in its second bit, the byte before that in its first
	cr    uint64
}

// look returns the places to look at; next is the byte behind the window.
func (m *masks) look(e edges, next byte) uint64 {
	var nextLF, nextSoft uint64
	switch next {
	case '\n':
		nextLF = 1 << 63
	case ' ', '\t':
		nextSoft = 1 << 63
	}
	begins := m.letter & ((m.lf|m.dot)<<1 | e.begin)
	folds := m.lf & (m.soft>>1 | nextSoft)
	softs := m.lf & (m.soft<<1 | e.soft | (m.cr<<1|e.cr)&(m.soft<<2|e.soft2))
	alone := m.cr &^ (m.lf>>1 | nextLF)
	return begins | folds | softs | alone
}

// refuse leaves the line at start to step.
func (r *Reader) refuse(start, line int) bool {
	r.win.resume = -1
	r.pos, r.line = start, line
	return false
}

// event looks at b[at], where a name of interest may begin, in the line that
// begins at start. done tells that quick ends, and found that it has a value.
func (r *Reader) event(b []byte, at, start, line int) (done, found bool) {
	if at+64 > len(b) {
		return true, r.refuse(start, line)
	}
	first := binary.LittleEndian.Uint64(b[at:])
	switch uint16(first) | 0x2020 {
	case 't' | 'e'<<8, 'e' | 'm'<<8, 'b' | 'e'<<8, 'e' | 'n'<<8, 'a' | 'g'<<8:
	default:
		if b[at] == 0xef && at == start { // perhaps a byte order mark
			return true, r.refuse(start, line)
		}
		return false, false
	}
	for _, c := range b[start:at] {
		if nameByte[c] == 0 && c != '.' {
			return false, false // a dot, but not of a group
		}
	}
	n, w := 3, wTel
	switch first & cases & (1<<40 - 1) {
	case nameEMAIL:
		n, w = 5, wEmail
	case nameBEGIN:
		n, w = 5, wBegin
	case nameAGENT:
		return true, r.refuse(start, line)
	default:
		switch first & cases & (1<<24 - 1) {
		case nameTEL:
		case nameEND:
			w = wEnd
		default:
			return false, false
		}
	}
	if c := b[at+n]; nameByte[c] != 0 {
		return false, false // a longer name
	} else if c != ':' && c != ';' {
		return true, r.refuse(start, line)
	}
	stop := at
	if m := r.win.lf >> (at - r.win.base); m != 0 {
		stop += bits.TrailingZeros64(m)
	} else if k := bytes.IndexByte(b[at:], '\n'); k >= 0 {
		stop += k
	} else {
		return true, r.refuse(start, line)
	}
	next := stop + 1
	if next >= len(b) || blank(b[next]) {
		return true, r.refuse(start, line)
	}
	if b[stop-1] == '\r' {
		stop--
	}
	if w == wBegin || w == wEnd {
		switch {
		case stop-at-n != len(vcard) || string(b[at+n:stop]) != vcard || r.card.agents > 0 || r.card.open == (w == wBegin):
			return true, r.refuse(start, line)
		case w == wBegin:
			r.stats.Cards++
		}
		r.card.open = w == wBegin
		return false, false
	}
	if v := r.simple(b, at+n, stop); v != nil && r.card.open {
		r.pos, r.line = next, line+1
		r.win.keep(next)
		r.hand(w, v, line)
		return true, true
	}
	r.win.resume = -1
	r.pos, r.line = start, line
	if bytes.IndexByte(b[start:stop], '\r') >= 0 {
		return true, false
	}
	return true, r.property(w, b[at+n:stop], b[start:stop], next, false)
}

// keep holds the window for a call that begins at next.
func (w *window) keep(next int) {
	if k := next - w.base; k < 64 {
		w.events &= ^uint64(0) << k
		w.resume = next
	} else {
		w.resume = -1
	}
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
		set := gather(is(head[0], ':')) | gather(is(head[1], ':'))<<8 | gather(is(head[2], ':'))<<16
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
			if c != colon || p.qp || p.b64 || p.charset != nil || bytes.IndexByte(b[at:at+colon], '\r') >= 0 {
				return nil
			}
			*known = head
		}
	}
	v := b[at+colon+1 : stop]
	n := len(v)
	if n < 8 || v[0] <= ' ' || v[n-1] <= ' ' {
		return nil
	}
	if n > 32 {
		if n > MaxLine/2 || marks(v) != 0 || bytes.IndexByte(v, '\r') >= 0 {
			return nil
		}
		return v
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
