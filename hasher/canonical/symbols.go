package canonical

import "unicode/utf8"

// A number is read as symbols, one byte a character: ASCII stands for itself,
// beyond ASCII there is one symbol for all characters that libphonenumber's
// patterns treat alike.
const (
	symDigit   = 0x80 + iota // 0x80 to 0x89: decimal digits of other scripts
	symPlus    = 0x89 + iota // full-width plus
	symNoBreak               // no-break space
	symPunct                 // other punctuation that may stand between digits
	symLongS                 // long s, which folds to s
	symKelvin                // kelvin sign, which folds to k
	symLine                  // line and paragraph separator
	symAcute                 // combining acute accent
	symOAcute                // o with acute accent
	symWideE                 // full-width letters, in either case
	symWideX
	symWideT
	symWideN
	symWideI
	symDe // Cyrillic letters, in either case
	symO
	symBe
	symWideHash
	symWideTilde
	symWideDot
	symLongMark // katakana long vowel mark, punctuation and a letter
	symWord     // other letters and numbers
	symOther    // everything else
	symControl  // not UTF-8, or not fit for interchange
)

// Classes of a symbol. A symbol may have several.
const (
	isDigit   = 1 << iota // decimal digit
	isPunct               // punctuation, x, star
	isLetter              // a-z in either case, and what folds to them
	isPlus                // plus sign
	isTilde               // punctuation that may be an extension's label
	isControl             // symControl and ASCII's control characters
	isOther               // nothing of the above
	isWord                // may end a number
)

// The entries of symClass.
const (
	dg = isDigit | isWord
	pu = isPunct
	pw = isPunct | isWord
	le = isLetter | isWord
	lx = isLetter | isPunct | isWord // stands for a carrier code, too
	pl = isPlus
	ti = isPunct | isTilde
	ct = isControl
	ot = isOther
	wo = isOther | isWord
)

// symClass is the class of each symbol.
var symClass = [256]uint8{
	ct, ct, ct, ct, ct, ct, ct, ct, ct, ot, ot, ct, ot, ot, ct, ct, // 0x00
	ct, ct, ct, ct, ct, ct, ct, ct, ct, ct, ct, ct, ct, ct, ct, ct, // 0x10
	pu, ot, ot, wo, ot, ot, ot, ot, pu, pu, pu, pl, ot, pu, pu, pu, // 0x20
	dg, dg, dg, dg, dg, dg, dg, dg, dg, dg, ot, ot, ot, ot, ot, ot, // 0
	ot, le, le, le, le, le, le, le, le, le, le, le, le, le, le, le, // @
	le, le, le, le, le, le, le, le, lx, le, le, pu, ot, pu, ot, ot, // P
	ot, le, le, le, le, le, le, le, le, le, le, le, le, le, le, le, // `
	le, le, le, le, le, le, le, le, lx, le, le, ot, ot, ot, ti, ct, // p
	dg, dg, dg, dg, dg, dg, dg, dg, dg, dg, pl, pu, pu, le, le, ot, // 0x80
	ot, wo, wo, wo, wo, wo, wo, wo, wo, wo, ot, ot, pu, pw, wo, ot, // 0x90
	ct,
}

// reduce writes the symbols of text to room, or to new memory if text is longer
// than room, and returns the classes seen.
func reduce(room, text []byte) (syms []byte, seen uint8) {
	if len(text) > len(room) {
		room = make([]byte, len(text))
	}
	n := 0
	for i := 0; i < len(text) && n < len(room); n++ {
		sym := text[i]
		i++
		if sym >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text[i-1:])
			sym = symbolOf(r, size)
			i += size - 1
		}
		seen |= symClass[sym]
		room[n] = sym
	}
	return room[:n], seen
}

// symbolOf returns the symbol of a character beyond ASCII that was decoded from n bytes.
func symbolOf(r rune, n int) byte {
	switch {
	case r < 0xa0:
		return symControl
	case 0x4e00 <= r && r < 0xa000:
		return symWord
	case 0x2000 <= r && r < 0x2070:
		switch {
		case 0x2010 <= r && r <= 0x2015, r == 0x200b, r == 0x2053, r == 0x2060:
			return symPunct
		case r == 0x2028, r == 0x2029:
			return symLine
		}
		return symOther
	case 0xff00 <= r && r < 0xff5f:
		return wideSymbol(r)
	case r == utf8.RuneError && n == 1, 0xfdd0 <= r && r <= 0xfdef, r&0xfffe == 0xfffe:
		return symControl
	}
	switch r {
	case 0xa0:
		return symNoBreak
	case 0xad, 0x2212, 0x223c, 0x3000:
		return symPunct
	case 0x30fc:
		return symLongMark
	case 0xd3, 0xf3:
		return symOAcute
	case 0x17f:
		return symLongS
	case 0x301:
		return symAcute
	case 0x414, 0x434, 0x1c81:
		return symDe
	case 0x41e, 0x43e, 0x1c82:
		return symO
	case 0x411, 0x431:
		return symBe
	case 0x212a:
		return symKelvin
	}
	i := search(len(decimalZeros), func(i int) bool { return decimalZeros[i] > uint32(r) }) - 1
	if i >= 0 && uint32(r)-decimalZeros[i] < 10 {
		return symDigit + byte(uint32(r)-decimalZeros[i])
	}
	i = search(len(lettersAndNumbers), func(i int) bool { return lettersAndNumbers[i][0] > uint32(r) }) - 1
	if i >= 0 && uint32(r) <= lettersAndNumbers[i][1] {
		return symWord
	}
	return symOther
}

// wideSymbol is symbolOf for the full-width forms of ASCII.
func wideSymbol(r rune) byte {
	switch c := byte(r - 0xff00 + ' '); c {
	case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return symDigit + c - '0'
	case '+':
		return symPlus
	case '-', '/', '(', ')', '[', ']':
		return symPunct
	case '.':
		return symWideDot
	case '#':
		return symWideHash
	case '~':
		return symWideTilde
	case 'e', 'E':
		return symWideE
	case 'x', 'X':
		return symWideX
	case 't', 'T':
		return symWideT
	case 'n', 'N':
		return symWideN
	case 'i', 'I':
		return symWideI
	default:
		if c|0x20 >= 'a' && c|0x20 <= 'z' {
			return symWord
		}
		return symOther
	}
}

// search is sort.Search, small enough to be inlined with its predicate.
func search(n int, after func(int) bool) int {
	lo := 0
	for lo < n {
		mid := int(uint(lo+n) / 2)
		if after(mid) {
			n = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}
