package canonical

import (
	"bytes"
	"unicode/utf8"
)

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
// whether or not such a number can exist: read again, an impossible one may
// lose a prefix more. Nothing is allocated if dst has room and input at most 128
// characters. On error dst is returned as it came; the errors are
// ErrCountryCode, ErrNotANumber, ErrTooShortAfterIDD, ErrTooShort and ErrTooLong.
func AppendPhone(dst, input []byte, region string) ([]byte, error) {
	home := planOf(region)
	if len(input) > maxDigits {
		return appendSlow(dst, input, home)
	}
	// The plain case: ASCII, and nothing after the first digit or plus but
	// digits and punctuation. Anything else is decided by the general reader.
	i := 0
	for ; i < len(input); i++ {
		c := input[i]
		if c >= utf8.RuneSelf || c == ';' || symClass[c]&isControl != 0 {
			return appendSlow(dst, input, home)
		}
		if symClass[c]&(isDigit|isPlus) != 0 {
			break
		}
	}
	start, end := i, len(input)
	for ; end > start; end-- {
		c := input[end-1]
		if c >= utf8.RuneSelf || symClass[c]&isControl != 0 {
			return appendSlow(dst, input, home)
		}
		if symClass[c]&isWord != 0 {
			break
		}
	}
	for i < end && input[i] == '+' {
		i++
	}
	var num [maxDigits + maxLiteral]byte
	var seen, high uint8
	first, n := i, 0
	for _, c := range input[i:end] {
		class := symClass[c]
		seen |= class
		high |= c
		num[n] = c
		n += int(class & isDigit)
	}
	if high >= utf8.RuneSelf || seen&^(isDigit|isPunct|isWord) != 0 {
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
	var room, joined [2 * maxDigits]byte
	num, seen := reduce(room[:], input)
	params := seen&isOther != 0 && bytes.IndexByte(num, ';') >= 0
	at := -1
	if params {
		at = bytes.Index(num, []byte(";phone-context="))
	}
	switch {
	case at >= 0:
		var ok bool
		if num, ok = joinContext(joined[:0], num, at); !ok {
			return dst, ErrNotANumber
		}
	case seen&isControl != 0:
		return dst, ErrNotANumber
	default:
		num = extract(num)
		if seen&isLetter != 0 {
			num = cutSecond(num)
		}
	}
	if params {
		if at := bytes.Index(num, []byte(";isub=")); at >= 0 {
			num = num[:at]
		}
	}
	start, third, stop, label := measure(num)
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
	case label:
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
// digit to the last letter or number.
func extract(text []byte) []byte {
	start, end := 0, len(text)
	for start < end && symClass[text[start]]&(isDigit|isPlus) == 0 {
		start++
	}
	for end > start && symClass[text[end-1]]&isWord == 0 {
		end--
	}
	return text[start:end]
}

// cutSecond cuts off a second number or extension, as in "583-6985 x302/x2303":
// everything from the last slash or backslash that spaces and an "x" follow. Of
// several lines it keeps the first that has one (libphonenumber's "(.*)[\\/] *x").
func cutSecond(num []byte) []byte {
	if bytes.IndexByte(num, 'x') < 0 {
		return num
	}
	for rest := num; len(rest) > 0; {
		end := 0
		for end < len(rest) && (rest[end] < '\n' || rest[end] > '\r') && rest[end] != symLine {
			end++
		}
		line := rest[:end]
		rest = rest[min(end+1, len(rest)):]
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

// joinContext returns the number of an RFC 3966 URI whose phone-context
// parameter starts at: a context that is a number prefix, then what stands
// between "tel:" and the parameter. It appends to room. The result is false if
// the context is neither a number prefix nor a domain name.
func joinContext(room, uri []byte, at int) ([]byte, bool) {
	context := uri[at+len(";phone-context="):]
	if end := bytes.IndexByte(context, ';'); end >= 0 {
		context = context[:end]
	}
	switch {
	case isGlobalContext(context):
		room = append(room, context...)
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
	return append(room, uri[from:at]...), true
}

// isGlobalContext tells whether context is "+" and digits with separators.
func isGlobalContext(context []byte) bool {
	if len(context) == 0 || context[0] != '+' {
		return false
	}
	digits := false
	for _, c := range context[1:] {
		switch {
		case symClass[c]&isDigit != 0:
			digits = true
		case c != '-' && c != '.' && c != '(' && c != ')':
			return false
		}
	}
	return digits
}

// isDomainContext tells whether context is a domain name as RFC 3966 writes it:
// labels of letters, digits of any script and inner hyphens, the last starting
// with a letter; a final dot is allowed.
func isDomainContext(context []byte) bool {
	if n := len(context); n > 0 && context[n-1] == '.' {
		context = context[:n-1]
	}
	first, hyphen, top := true, false, false
	for _, c := range context {
		letter := 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		switch {
		case letter || symClass[c]&isDigit != 0:
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
	}
	return !first && !hyphen && top
}

// measure reads num as far as it is a number: where its plus signs end, where
// its third digit ends (-1 if there is none), and where the first symbol stands
// that belongs into an extension only. label tells whether what was read may
// hold an extension's label.
func measure(num []byte) (start, third, stop int, label bool) {
	for start < len(num) && symClass[num[start]]&isPlus != 0 {
		start++
	}
	i, digits := start, 0
	var seen uint8
	for ; i < len(num) && digits < 3; i++ {
		class := symClass[num[i]]
		if class&(isDigit|isPunct) == 0 {
			return start, -1, i, false
		}
		seen |= class
		digits += int(class & isDigit)
	}
	if digits < 3 {
		return start, -1, i, false
	}
	for third = i; i < len(num); i++ {
		class := symClass[num[i]]
		if class&(isDigit|isPunct|isLetter) == 0 {
			break
		}
		seen |= class
	}
	return start, third, i, seen&(isLetter|isTilde) != 0
}

// twoDigits tells whether num is two digits and nothing else.
func twoDigits(num []byte) bool {
	return len(num) == 2 && symClass[num[0]]&symClass[num[1]]&isDigit != 0
}

// keypad is the digit of each letter from A to Z (ITU-T E.161).
const keypad = "22233344455566677778889999"

// readDigits writes the digits of num, at most maxDigits of them. Three letters
// or more make it a vanity number: letters are digits then, and only ASCII counts.
func readDigits(digits *[maxDigits + maxLiteral]byte, num []byte) int {
	letters := 0
	for _, c := range num {
		letters += int(symClass[c] / isLetter % 2)
	}
	n := 0
	if letters < 3 {
		for _, c := range num {
			digits[n] = '0' + c&15
			n = min(n+int(symClass[c]&isDigit), maxDigits)
		}
		return n
	}
	for _, c := range num {
		if c >= utf8.RuneSelf || n == maxDigits {
			continue
		}
		if symClass[c]&isDigit != 0 {
			digits[n] = c
			n++
		} else if symClass[c]&isLetter != 0 {
			digits[n] = keypad[c&^0x20-'A']
			n++
		}
	}
	return n
}
