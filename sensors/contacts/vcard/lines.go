package vcard

import (
	"encoding/binary"
	"math/bits"
)

// quickLines goes through lines that are what nearly all lines are: one whole
// property in the block, ended by LF or CRLF, that no fold and no soft break
// continues. It stops at the first value, and at the first line that is anything
// else, which step then looks at. So it may refuse whatever it likes, but what
// it passes it must understand as step does.
func (r *Reader) quickLines() bool {
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
		if e := named(first); e != nil && e.len == n {
			switch e.word {
			case wTel, wEmail:
				if v, end := r.simple(b, at+n); v != nil && r.card.open {
					r.pos, r.line = end, line+1
					r.hand(e.word, v, line)
					return true
				}
				break lines
			case wBegin, wEnd:
				if simpleFrame(b, at+n) == 0 || !r.openOrClose(e.word) {
					break lines
				}
			default:
				break lines
			}
		} else if c := b[stop-1]; c == '=' || c == ' ' {
			break
		}
		line++
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
		// The high bit of a byte is set unless the byte is below 0x0e.
		x |= x&^highs + (0x80-0x0e)*ones
		set |= gather(^x&highs) << i
	}
	return set
}
