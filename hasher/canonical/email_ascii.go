package canonical

import (
	"bytes"
	"encoding/binary"
)

// Eight bytes at once: each constant repeats one byte.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// atLeast marks in their high bits the bytes of x that are c or more. The high
// bits of x must be clear.
func atLeast(x, c uint64) uint64 { return (x + (0x80-c)*ones) & highs }

// lower turns ASCII letters to lower case. The high bits of x must be clear.
func lower(x uint64) uint64 { return x | atLeast(x, 'A')&^atLeast(x, 'Z'+1)>>2 }

// localWord lowers eight bytes of a local part. The high bits of bad are set
// where a byte is no ASCII character, or a blank or control character.
func localWord(x uint64) (form, bad uint64) {
	bad = x
	x &^= highs
	return lower(x), bad | ^atLeast(x, '!') | atLeast(x, 0x7f)
}

// domainWord lowers eight bytes of a domain and marks its dots and hyphens. The
// high bits of bad are set where a byte is neither of these nor a letter or digit.
func domainWord(x uint64) (form, marks, bad uint64) {
	bad = x
	x = lower(x &^ highs)
	marks = atLeast(x, '-') &^ atLeast(x, '/')
	plain := atLeast(x, 'a')&^atLeast(x, 'z'+1) | atLeast(x, '0')&^atLeast(x, '9'+1)
	return x, marks, bad | ^(marks | plain)
}

// appendPlainEmail appends the form of an address that nearly all are like: one
// "@", no byte outside ASCII, and a domain of at most 63 letters and digits, with
// single dots and hyphens between them. It takes eight bytes at a time and
// refuses anything else, also where dst lacks room.
func appendPlainEmail(dst, in []byte) ([]byte, bool) {
	size := len(in)
	if size > 0 && in[size-1] == '.' {
		size--
	}
	if size < 8 || size > maxEmail || cap(dst)-len(dst) < size+8 {
		return dst, false
	}
	in = in[:size]
	at := bytes.IndexByte(in, '@')
	n := size - at - 1 // of the domain
	if at <= 0 || n <= 0 || n > 63 || in[size-1] == '-' || in[size-1] == '.' {
		return dst, false
	}
	out := dst[len(dst) : len(dst)+size+8]

	// The last bytes of a part that does not come out even are taken together with
	// some before them once more; of a short part, with others that are made letters.
	var form, bad, any uint64
	if at >= 8 {
		for i := 0; i+8 <= at; i += 8 {
			form, bad = localWord(binary.LittleEndian.Uint64(in[i:]))
			any |= bad
			binary.LittleEndian.PutUint64(out[i:], form)
		}
		form, bad = localWord(binary.LittleEndian.Uint64(in[at-8:]))
		binary.LittleEndian.PutUint64(out[at-8:], form)
	} else {
		rest := ^uint64(0) << (8 * at)
		form, bad = localWord(binary.LittleEndian.Uint64(in)&^rest | 'x'*ones&rest)
		binary.LittleEndian.PutUint64(out, form)
	}
	any |= bad
	out[at] = '@'

	var marks uint64
	before := uint64(0x80) // no mark may be the first or behind another
	domain := out[at+1:]
	if n >= 8 {
		for i := 0; i+8 <= n; i += 8 {
			form, marks, bad = domainWord(binary.LittleEndian.Uint64(in[at+1+i:]))
			any |= bad | marks&(marks<<8|before)
			before = marks >> 56
			binary.LittleEndian.PutUint64(domain[i:], form)
		}
		form, marks, bad = domainWord(binary.LittleEndian.Uint64(in[size-8:]))
		any |= bad | marks&(marks<<8)
		binary.LittleEndian.PutUint64(domain[n-8:], form)
	} else {
		rest := ^uint64(0) << (8 * n)
		x := binary.LittleEndian.Uint64(in[size-8:]) >> (8 * (8 - n))
		form, marks, bad = domainWord(x&^rest | 'x'*ones&rest)
		any |= bad | marks&(marks<<8|before)
		binary.LittleEndian.PutUint64(domain, form)
	}
	if any&highs != 0 {
		return dst, false
	}
	return dst[:len(dst)+size], true
}
