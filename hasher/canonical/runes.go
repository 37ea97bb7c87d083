package canonical

import "unicode/utf8"

// Classes of a character in a phone number, as libphonenumber's patterns name
// them. A character may have several.
const (
	isDigit   = 1 << iota // decimal digit of any script
	isPunct               // punctuation that may stand between digits; x, star
	isLetter              // a-z in either case, and what folds to them
	isPlus                // plus sign, full-width too
	isHint                // may be part of an extension, of a parameter or of a second number
	isControl             // not allowed in interchange
	isForeign             // first byte of a character that is not ASCII
	isOther               // any other character
)

// inNumber are the classes a viable number may go on with after three digits.
const inNumber = isDigit | isPunct | isLetter

// The entries of byteClass.
const (
	d = isDigit
	p = isPunct
	a = isLetter
	x = isLetter | isPunct // a letter that also stands for a carrier code
	s = isPlus
	h = isHint
	t = isPunct | isHint // tilde
	c = isControl
	f = isForeign
	o = isOther
)

// byteClass is the class of each byte.
var byteClass = [256]uint8{
	c, c, c, c, c, c, c, c, c, h, o, c, o, o, c, c, // 0x00
	c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, // 0x10
	p, o, o, h, o, o, o, o, p, p, p, s, h, p, p, p, //
	d, d, d, d, d, d, d, d, d, d, o, h, o, o, o, o, // 0
	o, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, // @
	a, a, a, a, a, a, a, a, x, a, a, p, h, p, o, o, // P
	o, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, // `
	a, a, a, a, a, a, a, a, x, a, a, o, o, o, t, c, // p
	f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, // 0x80
	f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, // 0x90
	f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, // 0xa0
	f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, // 0xb0
	f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, // 0xc0
	f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, // 0xd0
	f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, // 0xe0
	f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, // 0xf0
}

// classAt returns the class of the character at b[i], its value if it is a
// decimal digit, and its size in bytes. What is not UTF-8 is isControl.
func classAt(b []byte, i int) (class, digit uint8, size int) {
	if c := b[i]; c < utf8.RuneSelf {
		return byteClass[c], c & 15, 1
	}
	r, n := utf8.DecodeRune(b[i:])
	class, digit = foreignClass(r, n)
	return class, digit, n
}

// classBefore is classAt for the character that ends at b[i].
func classBefore(b []byte, i int) (class, digit uint8, size int) {
	if c := b[i-1]; c < utf8.RuneSelf {
		return byteClass[c], c & 15, 1
	}
	r, n := utf8.DecodeLastRune(b[:i])
	class, digit = foreignClass(r, n)
	return class, digit, n
}

// foreignClass is the class, and the digit, of a character r beyond ASCII that
// was decoded from n bytes.
func foreignClass(r rune, n int) (class, digit uint8) {
	switch {
	case r < 0xa0:
		return isControl, 0
	case r < 0x660:
		switch r {
		case 0xa0, 0xad:
			return isPunct, 0
		case 0x17f: // long s
			return isLetter, 0
		}
		return isOther, 0
	case 0x2000 <= r && r < 0x2300:
		switch {
		case 0x2010 <= r && r <= 0x2015, r == 0x200b, r == 0x2053, r == 0x2060, r == 0x2212, r == 0x223c:
			return isPunct, 0
		case r == 0x212a: // kelvin sign
			return isLetter, 0
		}
		return isOther, 0
	case 0x3000 <= r && r < 0xa000:
		if r == 0x3000 || r == 0x30fc {
			return isPunct, 0
		}
		return isOther, 0
	case 0xff00 <= r && r < 0xfffd:
		switch {
		case 0xff10 <= r && r <= 0xff19:
			return isDigit, uint8(r - 0xff10)
		case 0xff0d <= r && r <= 0xff0f, r == 0xff08, r == 0xff09, r == 0xff3b, r == 0xff3d:
			return isPunct, 0
		case r == 0xff0b:
			return isPlus, 0
		}
		return isOther, 0
	case r == utf8.RuneError:
		if n == 1 {
			return isControl, 0
		}
		return isOther, 0
	case 0xfdd0 <= r && r <= 0xfdef, r&0xfffe == 0xfffe:
		return isControl, 0
	}
	lo, hi := 0, len(decimalZeros)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if decimalZeros[mid] <= uint32(r) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo > 0 && uint32(r)-decimalZeros[lo-1] < 10 {
		return isDigit, uint8(uint32(r) - decimalZeros[lo-1])
	}
	return isOther, 0
}

// endsNumber tells whether the character of b that ends at i may end a number:
// a letter, a number of any kind, or "#".
func endsNumber(b []byte, i int) (ok bool, size int) {
	if c := b[i-1]; c < utf8.RuneSelf {
		return byteClass[c]&(isDigit|isLetter) != 0 || c == '#', 1
	}
	r, n := utf8.DecodeLastRune(b[:i])
	lo, hi := 0, len(lettersAndNumbers)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if lettersAndNumbers[mid][0] <= uint32(r) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo > 0 && uint32(r) <= lettersAndNumbers[lo-1][1], n
}

// foldAt returns the character that ends at b[i] in lower case, as far as the
// labels of extensions need it, and its size; size 0 at the start of b.
func foldAt(b []byte, i int) (rune, int) {
	if i == 0 {
		return 0, 0
	}
	if c := b[i-1]; c < utf8.RuneSelf {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return rune(c), 1
	}
	r, n := utf8.DecodeLastRune(b[:i])
	switch {
	case r == 0x17f:
		r = 's'
	case r == 0xd3:
		r = 0xf3
	case 0x410 <= r && r <= 0x42f:
		r += 0x20
	case r == 0x1c81:
		r = 0x434
	case r == 0x1c82:
		r = 0x43e
	case 0xff21 <= r && r <= 0xff3a:
		r += 0x20
	}
	return r, n
}
