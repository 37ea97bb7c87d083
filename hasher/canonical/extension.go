package canonical

import "unicode/utf8"

// This file finds the extension at the end of a number. libphonenumber has one
// regular expression of six alternatives for it; all of them end in digits and
// none has digits before, so it is read backwards here without trying anything
// twice:
//
//	;ext=D{1,20}
//	S* explicit A D{1,20} #?
//	S* ambiguous A D{1,9} #?
//	[- ]+ D{1,6} #
//	B* (,,|;) A D{1,15} #?
//	B* ,+ A D{1,9} #?
//
// where D is a decimal digit, B a blank, S a blank or comma, and A what may
// follow a label: [:.．]? [ \t,-]*

// extensionStart returns where the leftmost extension that reaches to the end
// of b starts, -1 if there is none.
func extensionStart(b []byte) int {
	end, hash := len(b), false
	if end > 0 && b[end-1] == '#' {
		end, hash = end-1, true
	}
	p := end
	for p > 0 && end-p <= 20 && symClass[b[p-1]]&isDigit != 0 {
		p--
	}
	digits := end - p
	if digits == 0 || digits > 20 {
		return -1
	}
	best := -1
	found := func(at int) {
		if at >= 0 && (best < 0 || at < best) {
			best = at
		}
	}
	if !hash {
		found(before(b, p, ";ext="))
	}
	if hash && digits <= 6 {
		if q := skipBack(b, p, dashes); q < p {
			found(q)
		}
	}
	// after is where a label without a colon ends.
	after := skipBack(b, p, blanks|commas|hyphens)
	labels := func(q int) {
		if l := explicitLabel(b, q); l >= 0 {
			found(skipBack(b, l, blanks|commas))
		}
		if l := ambiguousLabel(b, q); l >= 0 && digits <= 9 {
			found(skipBack(b, l, blanks|commas))
		}
		if q > 0 && b[q-1] == ';' && digits <= 15 {
			found(skipBack(b, q-1, blanks))
		}
	}
	labels(after)
	// Commas are label and filler at once: any comma of the run may be the label.
	for i := after; i < p; i++ {
		if b[i] != ',' {
			continue
		}
		if digits <= 9 {
			found(skipBack(b, i, blanks))
			break
		}
		if digits <= 15 && i+1 < p && b[i+1] == ',' {
			found(skipBack(b, i, blanks))
			break
		}
	}
	if after > 0 && (b[after-1] == ':' || b[after-1] == '.' || b[after-1] == symWideDot) {
		q := after - 1
		labels(q)
		if l := skipBack(b, q, commas); l < q {
			if digits <= 9 {
				found(skipBack(b, l, blanks))
			} else if digits <= 15 && q-l >= 2 {
				found(skipBack(b, q-2, blanks))
			}
		}
	}
	return best
}

// Sets of characters for skipBack.
const (
	blanks  = 1 << iota // space, no-break space, tab
	commas              // ","
	hyphens             // "-"
	dashes              // space and "-"
)

// skipBack returns where the run of symbols of set that ends at b[i] starts.
func skipBack(b []byte, i, set int) int {
	for ; i > 0; i-- {
		switch c := b[i-1]; {
		case c == ' ' && set&(blanks|dashes) != 0,
			(c == '\t' || c == symNoBreak) && set&blanks != 0,
			c == ',' && set&commas != 0,
			c == '-' && set&(hyphens|dashes) != 0:
		default:
			return i
		}
	}
	return 0
}

// before returns where label starts if b[:i] ends with it in any case, else -1.
func before(b []byte, i int, label string) int {
	start := i - len(label)
	if start < 0 {
		return -1
	}
	for j, c := range b[start:i] {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c == symLongS {
			c = 's'
		}
		if c != label[j] {
			return -1
		}
	}
	return start
}

// maybe is before for a label that need not be there.
func maybe(b []byte, i int, label string) int {
	if at := before(b, i, label); at >= 0 {
		return at
	}
	return i
}

// Labels with symbols beyond ASCII.
const (
	labelDob     = "\x97\x98\x99" // symDe, symO, symBe
	labelWideXT  = "\x93\x94"
	labelWideInt = "\x96\x95\x94"
	labelWideE   = "\x92"
	labelWideN   = "\x95"
)

// explicitLabel returns the start of a word such as "ext" that ends at b[i], -1
// if there is none: e?xt(?:ensi(?:ó|ó|o))?n?, its full-width form, доб, anexo.
func explicitLabel(b []byte, i int) int {
	if i < 2 {
		return -1
	}
	if b[i-1] >= utf8.RuneSelf {
		if at := before(b, i, labelDob); at >= 0 {
			return at
		}
		if at := before(b, maybe(b, i, labelWideN), labelWideXT); at >= 0 {
			return maybe(b, at, labelWideE)
		}
	}
	switch b[i-1] | 0x20 {
	case 't', 'n', 'o', symAcute | 0x20, symOAcute | 0x20:
	default:
		return -1
	}
	if at := before(b, i, "anexo"); at >= 0 {
		return at
	}
	i = maybe(b, i, "n")
	for _, tail := range [...]string{"ensio", "ensi\x91", "ensio\x90"} {
		if at := before(b, i, tail); at >= 0 {
			i = at
			break
		}
	}
	if i = before(b, i, "xt"); i >= 0 {
		i = maybe(b, i, "e")
	}
	return i
}

// ambiguousLabel returns the start of a label such as "x" that ends at b[i], -1
// if there is none.
func ambiguousLabel(b []byte, i int) int {
	if i == 0 {
		return -1
	}
	switch b[i-1] {
	case 'x', 'X', symWideX, '#', symWideHash, '~', symWideTilde:
		return i - 1
	}
	if at := before(b, i, "int"); at >= 0 {
		return at
	}
	return before(b, i, labelWideInt)
}
