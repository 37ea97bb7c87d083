package canonical

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
	digits, p := 0, end
	for p > 0 && digits <= 20 {
		class, _, n := classBefore(b, p)
		if class&isDigit == 0 {
			break
		}
		p -= n
		digits++
	}
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
	if r, n := foldAt(b, after); n > 0 && (r == ':' || r == '.' || r == 0xff0e) {
		q := after - n
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

// skipBack returns where the run of characters of set that ends at b[i] starts.
func skipBack(b []byte, i, set int) int {
	for i > 0 {
		switch c := b[i-1]; {
		case c == ' ' && set&(blanks|dashes) != 0,
			c == '\t' && set&blanks != 0,
			c == ',' && set&commas != 0,
			c == '-' && set&(hyphens|dashes) != 0:
			i--
		case c == 0xa0 && set&blanks != 0 && i > 1 && b[i-2] == 0xc2:
			i -= 2
		default:
			return i
		}
	}
	return i
}

// before returns where label starts if b[:i] ends with it in any case, else -1.
func before(b []byte, i int, label string) int {
	for j := len(label); j > 0; {
		// Labels hold runes of at most three bytes; walk them from the end.
		k := j - 1
		for label[k]&0xc0 == 0x80 {
			k--
		}
		want, _ := foldAt([]byte(label[k:j]), j-k)
		got, n := foldAt(b, i)
		if n == 0 || got != want {
			return -1
		}
		i, j = i-n, k
	}
	return i
}

// explicitLabel returns the start of a word such as "ext" that ends at b[i].
func explicitLabel(b []byte, i int) int {
	r, n := foldAt(b, i)
	switch r {
	case 'n':
		return extWord(b, i-n)
	case 't':
		return extWord(b, i)
	case 'o':
		if l := before(b, i, "anexo"); l >= 0 {
			return l
		}
		return extWord(b, i)
	case 0xf3, 0x301:
		return extWord(b, i)
	case 0xff4e:
		return wideExtWord(b, i-n)
	case 0xff54:
		return wideExtWord(b, i)
	case 0x431:
		return before(b, i, "доб")
	}
	return -1
}

// extWord is explicitLabel for e?xt(?:ensi(?:ó|o))?, its final n taken.
func extWord(b []byte, i int) int {
	if r, n := foldAt(b, i); r == 0xf3 || r == 'o' {
		i = before(b, i-n, "ensi")
	} else if r == 0x301 {
		i = before(b, i-n, "ensio")
	}
	if i < 0 {
		return -1
	}
	if i = before(b, i, "xt"); i < 0 {
		return -1
	}
	if r, n := foldAt(b, i); r == 'e' {
		i -= n
	}
	return i
}

// wideExtWord is extWord for full-width letters.
func wideExtWord(b []byte, i int) int {
	if i = before(b, i, "ｘｔ"); i < 0 {
		return -1
	}
	if r, n := foldAt(b, i); r == 0xff45 {
		i -= n
	}
	return i
}

// ambiguousLabel returns the start of a label such as "x" that ends at b[i].
func ambiguousLabel(b []byte, i int) int {
	switch r, n := foldAt(b, i); r {
	case 'x', 0xff58, '#', 0xff03, '~', 0xff5e:
		return i - n
	case 't':
		return before(b, i, "int")
	case 0xff54:
		return before(b, i, "ｉｎｔ")
	}
	return -1
}
