package canonical

import "strings"

// regions lists the regions known so far with their calling code and trunk prefix.
var regions = [...]struct{ id, cc, trunk string }{
	{"CN", "86", "0"}, {"DE", "49", "0"}, {"FR", "33", "0"}, {"GB", "44", "0"}, {"IN", "91", "0"}, {"US", "1", "1"},
}

// Regions lists the regions AppendPhone knows, sorted, as ISO 3166-1 alpha-2 codes.
func Regions() []string {
	list := make([]string, 0, len(regions))
	for _, r := range regions {
		list = append(list, r.id)
	}
	return list
}

// ValidRegion tells whether region, in upper case, is one of Regions.
func ValidRegion(region string) bool {
	for _, r := range regions {
		if r.id == region {
			return true
		}
	}
	return false
}

// AppendPhone appends the E.164 form of input, read as it would be dialled in
// region (ISO 3166-1 alpha-2, upper case; "ZZ" or "" for none), to dst. On
// error dst is returned as it came.
func AppendPhone(dst, input []byte, region string) ([]byte, error) {
	base := len(dst)
	plus := false
	var digits [32]byte
	n := 0
	for _, c := range input {
		switch {
		case c == '+' && n == 0:
			plus = true
		case '0' <= c && c <= '9':
			if n == len(digits) {
				return dst, ErrTooLong
			}
			digits[n] = c
			n++
		}
	}
	num := digits[:n]
	if n < 3 {
		return dst, ErrNotANumber
	}
	dst = append(dst, '+')
	if !plus {
		i := 0
		for i < len(regions) && regions[i].id != region {
			i++
		}
		if i == len(regions) {
			return dst[:base], ErrCountryCode
		}
		if rest, ok := strings.CutPrefix(string(num), "00"); ok {
			num = append(num[:0], rest...)
		} else {
			dst = append(dst, regions[i].cc...)
			if string(num[:1]) == regions[i].trunk {
				num = num[1:]
			}
		}
	}
	if len(num) > 17 {
		return dst[:base], ErrTooLong
	}
	return append(dst, num...), nil
}
