//go:build !purego

package vcard

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"golang.org/x/sys/cpu"
)

// useAVX2 is a variable so that a test can take the other way. Wider registers
// were tried and gain nothing here: most windows hold an event.
var useAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasPOPCNT

// window is 64 bytes of the buffer and what is to be looked at in them. In a
// mask the lowest bit is the first byte. The assembly knows the offsets.
type window struct {
	base  int // where the 64 bytes begin
	limit int // the last place where they can
	start int // where the line begins that base is in
	prev  int // where the line before that begins
	line  int // the number of the line at start

	lf, cr uint64
	soft   uint64 // "=", space, tab: what a soft break ends with and a fold begins with
	dot    uint64
	events uint64 // see advance

	resume int // the position for which this state holds
}

// enter sets w before pos, where a line begins, so that advance begins there.
func (w *window) enter(pos, line int) {
	// The byte before is taken for a line feed behind a short line.
	w.base, w.start, w.prev, w.line = pos-64, pos, pos, line-1
	w.lf, w.cr, w.soft, w.dot = 1<<63, 0, 0, 0
}

// advance goes on to the next 64 bytes of b in which there is an event; there is
// none if fewer are left. These are the events:
//
//   - behind an LF or a dot, a letter that TEL, EMAIL, BEGIN, END or AGENT begin
//     with in any case, or a byte from 0x80;
//   - behind an LF, a byte of the class soft: the line may be folded;
//   - an LF, also with a CR before it, behind a byte of the class soft: the line
//     may end in a soft break;
//   - what is behind a CR and is no LF.
func (w *window) advance(b []byte) {
	w.limit = len(b) - 64
	advanceAVX2(&b[0], w)
}

//go:noescape
func advanceAVX2(b *byte, w *window)

// quickWindows passes over all lines that do not matter without looking at them.
// A window finds the places that may matter: where a name of interest may begin,
// behind a line break or the dot of a group; and lines that go on, by a fold or
// what may be a soft break, or that end in a CR alone.
//
// It stops at the first value and at the first line that is not as simple as
// nearly all are. What it passes it must understand as step does.
func (r *Reader) quickWindows() bool {
	b := r.buf[:r.end]
	if r.card.pending || r.pos+64 > len(b) || blank(b[r.pos]) {
		return false
	}
	w := &r.win
	if w.resume != r.pos {
		w.enter(r.pos, r.line)
		w.advance(b)
	}
	for {
		for events := w.events; events != 0; events &= events - 1 {
			i := bits.TrailingZeros64(events)
			breaks := w.lf & (1<<i - 1)
			at, start, line := w.base+i, w.base+64-bits.LeadingZeros64(breaks), w.line+bits.OnesCount64(breaks)
			if breaks == 0 {
				start = w.start
			}
			if at+64 > len(b) {
				if blank(b[at]) && at == start {
					return r.fold(b, w.before(breaks), start, line)
				}
				return r.refuse(start, line)
			}
			e := named(binary.LittleEndian.Uint64(b[at:]))
			if e == nil {
				switch c := b[at]; {
				case c == '\n':
					return r.refuse(start, line)
				case blank(c) && at == start:
					return r.fold(b, w.before(breaks), start, line)
				case at > r.pos && b[at-1] == '\r', c == 0xef && at == start: // perhaps a byte order mark
					return r.refuse(start, line)
				}
				continue
			}
			if at != start && !groups(b[start:at]) {
				if b[at-1] == '\r' {
					return r.refuse(start, line)
				}
				continue
			}
			if c := b[at+e.len]; c != ':' && c != ';' || e.word == wAgent {
				if nameByte[c] != 0 {
					continue // a longer name
				}
				return r.refuse(start, line)
			}
			if e.word < wBegin {
				v, next := r.plainValue(b, at, e.len)
				if v == nil || !r.card.open {
					return r.valueAt(b, at+e.len, start, line, e.word)
				}
				r.pos, r.line = next, line+1
				w.resume = -1
				if k := next - w.base; k < 64 {
					w.events = events & (^uint64(0) << k)
					w.resume = next
				}
				r.hand(e.word, v, line)
				return true
			}
			next := simpleFrame(b, at+e.len)
			if next == 0 || !r.openOrClose(e.word) {
				return r.refuse(start, line)
			}
			r.pos, r.line = next, line+1
		}
		if w.advance(b); w.events == 0 {
			if w.start > r.pos {
				// Whether the last line is folded was not seen if it ends the last window.
				return r.refuse(w.prev, w.line-1)
			}
			// A line that was read already may reach beyond the last window.
			return r.refuse(r.pos, r.line)
		}
	}
}

// groups tells whether b is nothing but the groups before a name.
func groups(b []byte) bool {
	for _, c := range b {
		if nameByte[c] == 0 && c != '.' {
			return false
		}
	}
	return true
}

// before returns where the line before the one behind the last of breaks begins.
func (w *window) before(breaks uint64) int {
	if breaks == 0 {
		return w.prev
	}
	if rest := breaks &^ (1 << (63 - bits.LeadingZeros64(breaks))); rest != 0 {
		return w.base + 64 - bits.LeadingZeros64(rest)
	}
	return w.start
}

// fold leaves to step the fold that begins at start, if the line before, which
// begins at before and is of no interest, has its colon and is not
// quoted-printable; and else that line.
func (r *Reader) fold(b []byte, before, start, line int) bool {
	text := b[before:start]
	if colon := bytes.IndexByte(text, ':'); colon >= 0 {
		semi := bytes.IndexByte(text[:colon], ';')
		if semi < 0 {
			return r.refuse(start, line)
		}
		if c, p := parameters(text[semi:]); c >= 0 && !p.qp {
			return r.refuse(start, line)
		}
	}
	return r.refuse(before, line-1)
}

// refuse leaves the line at start to step.
func (r *Reader) refuse(start, line int) bool {
	r.win.resume = -1
	r.pos, r.line = start, line
	return false
}

// valueAt reads a TEL or EMAIL in a line that is whole but not simple; the name
// ends at b[at] and the line begins at start.
func (r *Reader) valueAt(b []byte, at, start, line int, w word) bool {
	r.refuse(start, line)
	k := bytes.IndexByte(b[at:], '\n')
	if k < 0 {
		return false
	}
	stop, next := at+k, at+k+1
	if next == len(b) || blank(b[next]) {
		return false
	}
	if b[stop-1] == '\r' {
		stop--
	}
	if bytes.IndexByte(b[start:stop], '\r') >= 0 {
		return false
	}
	return r.property(w, b[at:stop], b[start:stop], next, false)
}
