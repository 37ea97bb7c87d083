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
func below(x, n uint64) uint64 { return (x - n*ones) &^ x & highs }

// is marks the bytes of x that are c. All marks are exact.
func is(x uint64, c byte) uint64 {
	x ^= uint64(c) * ones
	return ^((x&^highs + 0x7f*ones) | x) & highs
}

// gather puts the high bits of the bytes of x into the lowest byte.
func gather(x uint64) uint64 { return (x & highs) >> 7 * 0x0102040810204080 >> 56 }

// masks says of 64 bytes which are of a class; the lowest bit is the first byte.
type masks struct {
	lf     uint64
	cr     uint64
	soft   uint64 // "=", space, tab: what a soft break ends with and a fold begins with
	dot    uint64
	letter uint64 // the first letters of TEL, EMAIL, BEGIN, END, AGENT in any case, and all from 0x80
}

// findGo is the specification of find.
func (m *masks) findGo(b []byte) {
	*m = masks{}
	for i := 0; i < 64; i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		lower := x | 0x20*ones
		m.lf |= gather(is(x, '\n')) << i
		m.cr |= gather(is(x, '\r')) << i
		m.soft |= gather(is(x, '=')|is(x, ' ')|is(x, '\t')) << i
		m.dot |= gather(is(x, '.')) << i
		m.letter |= gather(is(lower, 't')|is(lower, 'e')|is(lower, 'b')|is(lower, 'a')|x) << i
	}
}

// starts returns where the line that holds bit i begins, if it does in these 64
// bytes: the number of bytes before it, 0 if it does not.
func (m *masks) starts(i int) int {
	return 64 - bits.LeadingZeros64(m.lf&(1<<i-1))
}
