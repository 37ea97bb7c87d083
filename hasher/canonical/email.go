package canonical

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// maxEmail is the longest address that fits an SMTP path (RFC 5321, 4.5.3.1.3), in bytes.
const maxEmail = 254

// maxRawEmail bounds what is handed to the IDNA and NFC tables; a name that
// maps to at most maxEmail bytes is never written with more.
const maxRawEmail = 4 * maxEmail

// AppendEmail appends the canonical form of the address in input to dst:
// surrounding white space and invisible marks removed, ASCII letters in lower
// case, the domain as IDNA2008 (non-transitional) A-labels without a final dot,
// the local part otherwise as written (NFC if it is not ASCII).
//
// An address in ASCII without A-labels costs no allocation if dst has room. On
// error dst is returned as it came; the error is ErrNotAnAddress, ErrBadDomain or ErrTooLong.
func AppendEmail(dst, input []byte) ([]byte, error) {
	in := trimInvisible(input)
	if form, ok := appendPlainEmail(dst, in); ok {
		return form, nil
	}
	return appendAnyEmail(dst, in)
}

// appendAnyEmail is AppendEmail byte by byte, for what is trimmed.
func appendAnyEmail(dst, in []byte) ([]byte, error) {
	if len(in) > maxRawEmail {
		return dst, ErrTooLong
	}
	at := bytes.LastIndexByte(in, '@')
	if at <= 0 {
		return dst, ErrNotAnAddress
	}
	base := len(dst)
	dst, err := appendLocal(dst, in[:at])
	if err != nil {
		return dst[:base], err
	}
	dst = append(dst, '@')
	dst, err = appendDomain(dst, in[at+1:])
	if err != nil {
		return dst[:base], err
	}
	if len(dst)-base > maxEmail {
		return dst[:base], ErrTooLong
	}
	return dst, nil
}

// AppendEmailFolded appends the canonical form of input after gmail's rules: for
// gmail.com and googlemail.com dots in the local part and everything from the
// first "+" are dropped and the domain becomes gmail.com. Elsewhere the form is
// AppendEmail's. changed tells whether the two forms differ. The result is an
// identifier of its own kind, to be tagged as such; errors are AppendEmail's.
func AppendEmailFolded(dst, input []byte) (out []byte, changed bool, err error) {
	base := len(dst)
	dst, err = AppendEmail(dst, input)
	if err != nil {
		return dst, false, err
	}
	form := dst[base:]
	at := bytes.LastIndexByte(form, '@')
	host := string(form[at+1:])
	if host != "gmail.com" && host != "googlemail.com" {
		return dst, false, nil
	}
	n := 0
	for _, c := range form[:at] {
		if c == '+' {
			break
		}
		if c != '.' {
			n++
		}
	}
	if n == 0 {
		return dst, false, nil
	}
	if n == at && host == "gmail.com" {
		return dst, false, nil
	}
	w := base
	for _, c := range form[:at] {
		if c == '+' {
			break
		}
		if c != '.' {
			dst[w] = c
			w++
		}
	}
	return append(dst[:w], "@gmail.com"...), true, nil
}

func appendLocal(dst, local []byte) ([]byte, error) {
	start := len(dst)
	for _, c := range local {
		switch {
		case c >= utf8.RuneSelf:
			return appendForeignLocal(dst[:start], local)
		case c <= ' ' || c == 0x7f:
			return dst, ErrNotAnAddress
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// appendForeignLocal writes a local part that is not ASCII: NFC first, since
// NFC may turn a compatibility letter (KELVIN SIGN) into an ASCII one, and again
// at the end, since a small letter may compose with a mark where its capital
// does not (t and diaeresis).
func appendForeignLocal(dst, local []byte) ([]byte, error) {
	for b := local; len(b) > 0; {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 || r <= ' ' || unicode.IsSpace(r) || unicode.IsControl(r) {
			return dst, ErrNotAnAddress
		}
		b = b[n:]
	}
	small := norm.NFC.Bytes(local)
	if len(local) > 0 && &small[0] == &local[0] {
		small = bytes.Clone(small) // the input is not ours to change
	}
	for i, c := range small {
		if 'A' <= c && c <= 'Z' {
			small[i] = c + 'a' - 'A'
		}
	}
	return norm.NFC.Append(dst, small...), nil
}

// appendDomain writes the domain. Labels of letters, digits and inner hyphens
// are their own A-labels once lower-cased; everything else asks IDNA.
func appendDomain(dst, domain []byte) ([]byte, error) {
	if n := len(domain); n > 0 && domain[n-1] == '.' {
		domain = domain[:n-1]
	}
	start, label := len(dst), len(dst)
	for _, c := range domain {
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '-':
			if n := len(dst) - label; n == 0 || n == 3 && dst[len(dst)-1] == '-' {
				return appendIDNA(dst[:start], domain)
			}
		case c == '.':
			if !endsLabel(dst, label) {
				return appendIDNA(dst[:start], domain)
			}
			label = len(dst) + 1
		default:
			return appendIDNA(dst[:start], domain)
		}
		dst = append(dst, c)
	}
	if !endsLabel(dst, label) {
		return appendIDNA(dst[:start], domain)
	}
	return dst, nil
}

// endsLabel tells whether dst[label:] may end as a label here.
func endsLabel(dst []byte, label int) bool {
	n := len(dst) - label
	return n > 0 && n <= 63 && dst[len(dst)-1] != '-'
}

// appendIDNA takes a domain through the Lookup profile of UTS 46. A result that
// the profile itself would refuse or change has no settled form.
func appendIDNA(dst, domain []byte) ([]byte, error) {
	if !utf8.Valid(domain) {
		return dst, ErrBadDomain
	}
	host, err := idna.Lookup.ToASCII(string(domain))
	if err != nil {
		return dst, ErrBadDomain
	}
	if again, err := idna.Lookup.ToASCII(host); err != nil || again != host {
		return dst, ErrBadDomain
	}
	host = strings.TrimSuffix(host, ".")
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return dst, ErrBadDomain
		}
	}
	return append(dst, host...), nil
}

// trimInvisible cuts white space and the marks that text carries when it is
// copied out of other programs: zero-width characters, byte order marks and
// directional formatting.
func trimInvisible(b []byte) []byte {
	for len(b) > 0 {
		if c := b[0]; c < utf8.RuneSelf {
			if c > ' ' {
				break
			}
			b = b[1:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		if !invisible(r) {
			break
		}
		b = b[n:]
	}
	for len(b) > 0 {
		if c := b[len(b)-1]; c < utf8.RuneSelf {
			if c > ' ' {
				break
			}
			b = b[:len(b)-1]
			continue
		}
		r, n := utf8.DecodeLastRune(b)
		if !invisible(r) {
			break
		}
		b = b[:len(b)-n]
	}
	return b
}

func invisible(r rune) bool {
	switch {
	case 0x200b <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e, 0x2060 <= r && r <= 0x2069, r == 0xfeff:
		return true
	}
	return unicode.IsSpace(r)
}
