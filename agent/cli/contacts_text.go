package cli

import (
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendJSON appends text as a JSON string. Bytes that are not UTF-8 become U+FFFD, as in encoding/json, which is too
// slow for millions of them.
func appendJSON(dst, text []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, text[from:i]...)
			if c == '"' || c == '\\' {
				dst = append(dst, '\\', c)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(append(dst, text[from:i]...), `\ufffd`...)
			from = i + 1
		}
		i += n
	}
	return append(append(dst, text[from:]...), '"')
}

// appendPrintable appends text for a terminal: what is not printed but obeyed there (escape sequences, direction marks,
// line breaks) becomes U+FFFD.
func appendPrintable(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if !unicode.IsPrint(r) && r != '\u00a0' && r != '\u3000' {
			r = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, r)
		text = text[n:]
	}
	return dst
}
