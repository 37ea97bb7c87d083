package canonical

// This file applies a region's numbering plan to digits: prefixes, country
// calling code, national number. The rules are libphonenumber's (class
// PhoneNumberUtil, parsing part); the patterns are automata in plans_tables.go.

//go:generate go -C ../_canonical run . -out ../canonical

const (
	// minNational and maxNational bound a national number, in digits.
	minNational = 2
	maxNational = 17

	// maxDigits is how many digits of an input are kept. Prefixes and calling
	// code take fewer than 32, what remains of a longer input is too long
	// whatever it is.
	maxDigits = 64

	// maxLiteral bounds the digits that a national prefix is replaced with.
	maxLiteral = 8
)

// plan is the numbering plan of a region or of a non-geographic calling code.
type plan struct {
	match    uint16 // start in matchNext: patterns of national numbers
	idd      uint16 // start in prefixNext: international prefix; 0 for none
	national uint16 // start in prefixNext: national prefix and carrier code; 0 for none
	lengths  uint32 // bit n: a number of n digits may keep its prefix cut off; bit 31: 31 and more
	longest  uint8  // longest possible national number, in digits
	ccLen    uint8
	cc       [3]byte // country calling code
}

// action replaces a matched prefix by literal and the digits [from, to).
type action struct {
	literal  string
	from, to uint8
}

// planOf returns the index of region's plan, 0 for none.
func planOf(region string) uint8 {
	if len(region) != 2 {
		return 0
	}
	a, b := region[0]-'A', region[1]-'A'
	if a >= 26 || b >= 26 {
		return 0
	}
	return regionPlan[int(a)*26+int(b)]
}

// matches tells whether num is, as a whole, a national number of the plan.
func (p *plan) matches(num []byte) bool {
	s := uint(p.match)
	for _, c := range num {
		s = uint(matchNext[s+uint(c&15)])
		if s == 0 {
			return false
		}
	}
	return matchEnd[s/10] != 0
}

// keeps tells whether a number of n digits, its prefix cut off, is preferred to
// the one with its prefix.
func (p *plan) keeps(n int) bool {
	return p.lengths>>min(uint(n), 31)&1 != 0
}

// tooLong tells whether n digits are more than the plan has.
func (p *plan) tooLong(n int) bool { return n > int(p.longest) }

// findPrefix runs the automaton that starts at s over num and returns how many
// digits the preferred match takes and its action; action 0 is no match.
func findPrefix(s uint16, num []byte) (n int, act uint8) {
	state := uint(s)
	for i, c := range num {
		if a := prefixNow[state/10]; a != 0 {
			n, act = i, a
		}
		state = uint(prefixNext[state+uint(c&15)])
		if state == 0 {
			return n, act
		}
	}
	if a := prefixEnd[state/10]; a != 0 {
		n, act = len(num), a
	}
	return n, act
}

// cutNational cuts the national prefix and carrier code off num, or replaces it
// as the plan says, unless that would turn a number of the plan into none. The
// result is num, a tail of it, or in buf.
func (p *plan) cutNational(num []byte, buf *[maxDigits + maxLiteral]byte) []byte {
	if len(num) == 0 || p.national == 0 {
		return num
	}
	n, act := findPrefix(p.national, num)
	if act == 0 || act == 1 && n == 0 {
		return num
	}
	cut := num[n:]
	if act > 1 {
		a := &actions[act]
		w := copy(buf[:], a.literal)
		w += copy(buf[w:], num[a.from:a.to])
		w += copy(buf[w:], cut)
		cut = buf[:w]
	}
	if p.matches(num) && !p.matches(cut) {
		return num
	}
	return cut
}

// callingCode returns the index of the plan whose country calling code num
// starts with and the code's length; 0, 0 for none.
func callingCode(num []byte) (uint8, int) {
	if num[0] == '0' {
		return 0, 0
	}
	code := 0
	for n := 1; n <= 3 && n <= len(num); n++ {
		code = code*10 + int(num[n-1]&15)
		if i := callingPlan[code]; i != 0 {
			return i, n
		}
	}
	return 0, 0
}

// cutCountry finds the country that num, written without a plus, names. It cuts
// the international prefix of the home plan and the calling code off, or the home
// plan's own calling code where the number makes no sense with it. It returns
// the plan's index, 0 if num is national, and what is left of num.
func cutCountry(num []byte, home uint8) (uint8, []byte, error) {
	if home == 0 || len(num) == 0 {
		return 0, num, nil
	}
	p := &plans[home]
	if n, act := findPrefix(p.idd, num); act != 0 && (n == len(num) || num[n] != '0') {
		num = num[n:]
		if len(num) <= minNational {
			return 0, num, ErrTooShortAfterIDD
		}
		i, n := callingCode(num)
		if i == 0 {
			return 0, num, ErrCountryCode
		}
		return i, num[n:], nil
	}
	cc := int(p.ccLen)
	if len(num) < cc || string(num[:cc]) != string(p.cc[:cc]) {
		return 0, num, nil
	}
	var buf [maxDigits + maxLiteral]byte
	if rest := p.cutNational(num[cc:], &buf); p.tooLong(len(num)) || !p.matches(num) && p.matches(rest) {
		// rest may lie in buf, which ends here; it goes where num is.
		return callingPlan[codeOf(p)], append(num[:0], rest...), nil
	}
	return 0, num, nil
}

// codeOf returns the country calling code as a number.
func codeOf(p *plan) int {
	code := 0
	for _, c := range p.cc[:p.ccLen] {
		code = code*10 + int(c&15)
	}
	return code
}

// appendE164 appends the E.164 form of the digits in num; plus tells whether a
// plus sign stood before them, home is the index of the default region's plan.
// num is overwritten.
func appendE164(dst, num []byte, plus bool, home uint8) ([]byte, error) {
	var i uint8
	if plus {
		if len(num) <= minNational {
			return dst, ErrTooShortAfterIDD
		}
		var n int
		if i, n = callingCode(num); i != 0 {
			num = num[n:]
		} else if i, num, _ = cutCountry(num, home); i == 0 {
			// A plus before an international or national prefix.
			return dst, ErrCountryCode
		}
	} else {
		var err error
		if i, num, err = cutCountry(num, home); err != nil {
			return dst, err
		}
		if i == 0 {
			i = home
		}
	}
	if len(num) < minNational {
		return dst, ErrTooShort
	}
	p := &plans[i]
	var buf [maxDigits + maxLiteral]byte
	if cut := p.cutNational(num, &buf); p.keeps(len(cut)) {
		num = cut
	}
	if len(num) < minNational {
		return dst, ErrTooShort
	}
	if len(num) > maxNational {
		return dst, ErrTooLong
	}
	out := [4]byte{'+', p.cc[0], p.cc[1], p.cc[2]}
	dst = append(dst, out[:1+p.ccLen]...)
	return append(dst, num...), nil
}
