package canonical

import "bytes"

// Regions lists the regions that have a numbering plan, sorted, as ISO 3166-1
// alpha-2 codes in upper case (with XK, as CLDR has it).
func Regions() []string {
	list := make([]string, 0, len(plans))
	for i := range len(regionPlan) {
		if regionPlan[i] != 0 {
			list = append(list, string([]byte{'A' + byte(i/26), 'A' + byte(i%26)}))
		}
	}
	return list
}

// ValidRegion tells whether region, in upper case, is one of Regions.
func ValidRegion(region string) bool { return planOf(region) != 0 }

// AppendPhone appends the E.164 form ("+" and up to 20 digits) of the number in
// input to dst. Input is text as people and programs write numbers: with
// punctuation, with words around, as tel: URI, in digits of any script, with
// letters for digits, with an extension, which is dropped. A number without a
// country calling code is read as it would be dialled in region, an ISO 3166-1
// alpha-2 code in upper case; "ZZ", "" or one that is not in Regions is none.
//
// The result is the one of libphonenumber's Parse and Format at MetadataVersion,
// whether or not such a number can exist. Nothing is allocated if dst has room
// (tel: URIs with a phone-context of uncommon length aside). On error dst is
// returned as it came; the errors are ErrCountryCode, ErrNotANumber,
// ErrTooShortAfterIDD, ErrTooShort and ErrTooLong.
func AppendPhone(dst, input []byte, region string) ([]byte, error) {
	home := planOf(region)
	if len(input) > maxDigits {
		return appendSlow(dst, input, home)
	}
	// The plain case: ASCII, and nothing after the first digit or plus but
	// digits and punctuation. Anything else is decided by the general reader.
	i := 0
	for ; i < len(input); i++ {
		class := byteClass[input[i]]
		if class&(isDigit|isPlus) != 0 {
			break
		}
		if class&(isControl|isForeign) != 0 || input[i] == ';' {
			return appendSlow(dst, input, home)
		}
	}
	start, end := i, len(input)
	for ; end > start; end-- {
		class := byteClass[input[end-1]]
		if class&(isControl|isForeign) != 0 {
			return appendSlow(dst, input, home)
		}
		if class&(isDigit|isLetter) != 0 || input[end-1] == '#' {
			break
		}
	}
	for i < end && input[i] == '+' {
		i++
	}
	var num [maxDigits + maxLiteral]byte
	var seen uint8
	first, n := i, 0
	for _, c := range input[i:end] {
		class := byteClass[c]
		seen |= class
		num[n] = c
		n += int(class & isDigit)
	}
	if seen&^(isDigit|isPunct) != 0 {
		return appendSlow(dst, input, home)
	}
	// Three digits are a number, and so are two without anything else.
	if n < 3 && (n < 2 || end-start != 2) {
		return dst, ErrNotANumber
	}
	if first == start && home == 0 {
		return dst, ErrCountryCode
	}
	return appendE164(dst, num[:n], first > start, home)
}

// appendSlow is AppendPhone for any input.
func appendSlow(dst, input []byte, home uint8) ([]byte, error) {
	var room [2 * maxDigits]byte
	num := input
	if at := bytes.Index(input, []byte(";phone-context=")); at >= 0 {
		var ok bool
		if num, ok = joinContext(room[:0], input, at); !ok {
			return dst, ErrNotANumber
		}
	} else if num = extract(input); len(num) == 0 {
		return dst, ErrNotANumber
	}
	if at := bytes.Index(num, []byte(";isub=")); at >= 0 {
		num = num[:at]
	}
	start, third, stop, hints := measure(num)
	switch {
	case third < 0:
		if !twoDigits(num) {
			return dst, ErrNotANumber
		}
	case stop < len(num):
		// Only an extension may hold what stopped the number.
		ext := extensionStart(num)
		if ext < third || ext > stop {
			return dst, ErrNotANumber
		}
		num = num[:ext]
	case hints:
		if ext := extensionStart(num); ext >= third || ext >= 0 && twoDigits(num[:ext]) {
			num = num[:ext]
		}
	}
	if start == 0 && home == 0 {
		return dst, ErrCountryCode
	}
	var digits [maxDigits + maxLiteral]byte
	n := readDigits(&digits, num[start:])
	return appendE164(dst, digits[:n], start > 0, home)
}

// extract returns the part of text that may be a number: from the first plus or
// digit to the last letter or digit, and only the first of two numbers. It is
// empty if text is not UTF-8 fit for interchange.
func extract(text []byte) []byte {
	start := -1
	for i := 0; i < len(text); {
		class, _, n := classAt(text, i)
		if class&isControl != 0 {
			return nil
		}
		if start < 0 && class&(isDigit|isPlus) != 0 {
			start = i
		}
		i += n
	}
	if start < 0 {
		return nil
	}
	num := text[start:]
	for len(num) > 0 {
		ok, n := endsNumber(num, len(num))
		if ok {
			break
		}
		num = num[:len(num)-n]
	}
	return cutSecond(num)
}

// cutSecond cuts off a second number or extension, as in "583-6985 x302/x2303":
// everything from the last slash or backslash that spaces and an "x" follow. Of
// several lines it keeps the first that has one (libphonenumber's "(.*)[\\/] *x").
func cutSecond(num []byte) []byte {
	if bytes.IndexByte(num, 'x') < 0 {
		return num
	}
	for rest := num; len(rest) > 0; {
		line := rest
		rest = nil
		if end, n := lineEnd(line); end >= 0 {
			line, rest = line[:end], line[end+n:]
		}
		for i := len(line) - 1; i >= 0; i-- {
			if line[i] != '/' && line[i] != '\\' {
				continue
			}
			j := i + 1
			for j < len(line) && line[j] == ' ' {
				j++
			}
			if j < len(line) && line[j] == 'x' {
				return line[:i]
			}
		}
	}
	return num
}

// lineEnd returns place and size of the first line terminator; -1, 0 for none.
func lineEnd(b []byte) (at, size int) {
	for i, c := range b {
		switch {
		case '\n' <= c && c <= '\r':
			return i, 1
		case c == 0xe2 && i+2 < len(b) && b[i+1] == 0x80 && b[i+2]&0xfe == 0xa8:
			return i, 3
		}
	}
	return -1, 0
}

// joinContext returns the number of an RFC 3966 URI whose phone-context
// parameter starts at: a context that is a number prefix, then what stands
// between "tel:" and the parameter. It appends to room. The result is false if
// the context is neither a number prefix nor a domain name.
func joinContext(room, uri []byte, at int) ([]byte, bool) {
	context := uri[at+len(";phone-context="):]
	if end := bytes.IndexByte(context, ';'); end >= 0 {
		context = context[:end]
	}
	var num []byte
	switch {
	case isGlobalContext(context):
		num = append(room, context...)
	case !isDomainContext(context):
		return nil, false
	}
	from := 0
	if tel := bytes.Index(uri, []byte("tel:")); tel >= 0 {
		from = tel + len("tel:")
	}
	if from > at {
		// "tel:" stands after the parameter; libphonenumber then takes all of it.
		at = len(uri)
	}
	if num == nil {
		return uri[from:at], true
	}
	return append(num, uri[from:at]...), true
}

// isGlobalContext tells whether context is "+" and digits with separators.
func isGlobalContext(context []byte) bool {
	if len(context) == 0 || context[0] != '+' {
		return false
	}
	digits := false
	for i := 1; i < len(context); {
		class, _, n := classAt(context, i)
		switch c := context[i]; {
		case class&isDigit != 0:
			digits = true
		case c != '-' && c != '.' && c != '(' && c != ')':
			return false
		}
		i += n
	}
	return digits
}

// isDomainContext tells whether context is a domain name as RFC 3966 writes it:
// labels of letters, digits of any script and inner hyphens, the last starting with a
// letter; a final dot is allowed.
func isDomainContext(context []byte) bool {
	if n := len(context); n > 0 && context[n-1] == '.' {
		context = context[:n-1]
	}
	first, hyphen, top := true, false, false
	for i := 0; i < len(context); {
		c := context[i]
		class, _, n := classAt(context, i)
		letter := 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		switch {
		case letter || class&isDigit != 0:
			if first {
				top = letter
			}
			first, hyphen = false, false
		case c == '-' && !first:
			hyphen = true
		case c == '.' && !first && !hyphen:
			first, top = true, false
		default:
			return false
		}
		i += n
	}
	return !first && !hyphen && top
}

// measure reads num as far as it is a number: where its plus signs end, where
// its third digit ends (-1 if there is none), and where the first character
// stands that belongs into an extension only. hints tells whether what was read
// may hold an extension, too.
func measure(num []byte) (start, third, stop int, hints bool) {
	i, digits := 0, 0
	for i < len(num) {
		class, _, n := classAt(num, i)
		if class&isPlus == 0 {
			break
		}
		i += n
	}
	start = i
	third = -1
	for i < len(num) {
		class, _, n := classAt(num, i)
		if third < 0 {
			if class&(isDigit|isPunct) == 0 {
				return start, -1, i, false
			}
			if digits += int(class & isDigit); digits == 3 {
				third = i + n
			}
		} else if class&inNumber == 0 {
			return start, third, i, true
		}
		hints = hints || class&(isLetter|isHint) != 0
		i += n
	}
	return start, third, i, hints
}

// twoDigits tells whether b is two digits and nothing else.
func twoDigits(b []byte) bool {
	for range 2 {
		if len(b) == 0 {
			return false
		}
		class, _, n := classAt(b, 0)
		if class&isDigit == 0 {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

// keypad is the digit of each letter from A to Z (ITU-T E.161).
const keypad = "22233344455566677778889999"

// readDigits writes the digits of num, at most maxDigits of them. Three letters
// or more make it a vanity number: letters are digits then, and only ASCII counts.
func readDigits(digits *[maxDigits + maxLiteral]byte, num []byte) int {
	letters := 0
	for i := 0; i < len(num); {
		class, _, size := classAt(num, i)
		if class&isLetter != 0 {
			letters++
		}
		i += size
	}
	n := 0
	for i := 0; i < len(num) && n < maxDigits; {
		class, digit, size := classAt(num, i)
		if class&isDigit != 0 && (size == 1 || letters < 3) {
			digits[n] = '0' + digit
			n++
		} else if class&isLetter != 0 && size == 1 && letters >= 3 {
			digits[n] = keypad[num[i]&^0x20-'A']
			n++
		}
		i += size
	}
	return n
}
