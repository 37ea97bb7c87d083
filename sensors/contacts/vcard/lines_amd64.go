//go:build !purego

package vcard

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// classesAVX2 marks bytes among the 64 at b, the first in the lowest bit: colons;
// control bytes and backslashes; bytes from 0x80 on.
//
//go:noescape
func classesAVX2(b *byte) (colon, special, high uint64)

// countLowAVX2 returns how many of the n times 128 bytes at b are less than 0x10.
// n is not 0.
//
//go:noescape
func countLowAVX2(b *byte, n int) int

// countLow returns how many bytes of b are less than 0x10: the breaks, and little
// else in text.
func countLow(b []byte) (sum int) {
	if n := len(b) / 128; n > 0 {
		sum = countLowAVX2(&b[0], n)
		b = b[128*n:]
	}
	for _, c := range b {
		if c < 0x10 {
			sum++
		}
	}
	return sum
}

// headMasks keep the first 0 to 24 bytes of three words.
var headMasks = func() (t [25][3]uint64) {
	for n := range t {
		for i := range 3 {
			t[n][i] = uint64(1)<<(8*max(n-8*i, 0)) - 1
		}
	}
	return t
}()

// plainValue is simple for a machine with AVX2: it returns the value of the TEL or
// EMAIL property whose name of n bytes begins at b[at], 64 bytes or more before
// the end of b, and where the next line begins, if the value can be handed out
// as it stands; nil if not.
func (r *Reader) plainValue(b []byte, at, n int) (v []byte, next int) {
	if at+64 > len(b) {
		return nil, 0
	}
	colons, special, high := classesAVX2(&b[at])
	colon := bits.TrailingZeros64(colons)
	switch size := colon - n; {
	case size == 0:
	case uint(size) < uint(len(headMasks)):
		head := b[at+n:]
		mask := &headMasks[size]
		x := binary.LittleEndian.Uint64(head) & mask[0]
		y := binary.LittleEndian.Uint64(head[8:]) & mask[1]
		z := binary.LittleEndian.Uint64(head[16:]) & mask[2]
		known := &r.plain[(x*0x9e3779b97f4a7c15^y*0xc2b2ae3d27d4eb4f^z*0x165667b19e3779f9)>>55]
		if known[0]^x|known[1]^y|known[2]^z != 0 {
			if r.odd == [3]uint64{x, y, z} || !plainHead(head[:size+1]) {
				r.odd = [3]uint64{x, y, z}
				return nil, 0
			}
			*known = [3]uint64{x, y, z}
		}
	default:
		return nil, 0
	}
	value := ^uint64(0) << colon << 1
	special &= value
	high &= value
	from, base := at+colon+1, at
	some := high // of a value that goes on over more than 64 bytes
	for special == 0 {
		base += 64
		if base+64 > len(b) || base-at > MaxLine/2 {
			return nil, 0
		}
		_, special, high = classesAVX2(&b[base])
		if special == 0 {
			some |= high
		}
	}
	some |= high & (special ^ (special - 1))
	stop := base + bits.TrailingZeros64(special)
	next = stop + 1
	if next+1 >= len(b) {
		return nil, 0
	}
	if b[stop] == '\r' {
		next++
	}
	if b[next-1] != '\n' || blank(b[next]) || stop == from || b[from] == ' ' || b[stop-1] == ' ' {
		return nil, 0
	}
	v = b[from:stop]
	if some != 0 && !utf8.Valid(v) {
		return nil, 0
	}
	return v, next
}
