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
	symWord    // other letters and numbers
	symOther   // everything else
	symControl // not UTF-8, or not fit for interchange
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
	d = isDigit | isWord
	p = isPunct
	a = isLetter | isWord
	x = isLetter | isPunct | isWord // stands for a carrier code, too
	s = isPlus
	t = isPunct | isTilde
	c = isControl
	o = isOther
	w = isOther | isWord
)

// symClass is the class of each symbol.
var symClass = [256]uint8{
	c, c, c, c, c, c, c, c, c, o, o, c, o, o, c, c, // 0x00
	c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, // 0x10
	p, o, o, w, o, o, o, o, p, p, p, s, o, p, p, p, // 0x20
	d, d, d, d, d, d, d, d, d, d, o, o, o, o, o, o, // 0
	o, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, // @
	a, a, a, a, a, a, a, a, x, a, a, p, o, p, o, o, // P
	o, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, // `
	a, a, a, a, a, a, a, a, x, a, a, o, o, o, t, c, // p
	d, d, d, d, d, d, d, d, d, d, s, p, p, a, a, o, // 0x80
	o, w, w, w, w, w, w, w, w, w, o, o, p, w, o, c, // 0x90
}

// reduce appends the symbols of text to syms. fit is false if one of them is
// not fit for interchange.
func reduce(syms, text []byte) (out []byte, fit bool) {
	var seen uint8
	for i := 0; i < len(text); {
		sym, n := text[i], 1
		if sym >= utf8.RuneSelf {
			var r rune
			r, n = utf8.DecodeRune(text[i:])
			sym = symbolOf(r, n)
		}
		seen |= symClass[sym]
		syms = append(syms, sym)
		i += n
	}
	return syms, seen&isControl == 0
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
	case 0xad, 0x2212, 0x223c, 0x3000, 0x30fc:
		return symPunct
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
