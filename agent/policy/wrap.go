package policy

import (
	"strings"
	"unicode"
)

// noticeWidth is the width of a notice in terminal columns; a Chinese character takes two.
const noticeWidth = 76

// wrap breaks a paragraph into lines of at most width columns. Chinese text breaks between any two
// characters, except that no line begins with closing punctuation or ends with opening punctuation; Latin
// words stay whole.
func wrap(s string, width int) []string {
	var (
		lines []string
		line  strings.Builder
		used  int
	)
	for _, a := range atoms(s) {
		gap := 0
		if a.spaced && used > 0 {
			gap = 1
		}
		if used > 0 && used+gap+a.width > width {
			lines = append(lines, line.String())
			line.Reset()
			used, gap = 0, 0
		}
		if gap > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(a.text)
		used += gap + a.width
	}
	return append(lines, line.String())
}

// atom is a piece of text that is not broken.
type atom struct {
	text   string
	width  int
	spaced bool // a space comes before it
}

func atoms(s string) []atom {
	var (
		out    []atom
		spaced bool
		prev   rune
	)
	for _, c := range s {
		if c == ' ' {
			spaced, prev = true, ' '
			continue
		}
		glued := len(out) > 0 && !spaced && (isClosing(c) || isOpening(prev) || !isWide(c) && !isWide(prev))
		if glued {
			last := &out[len(out)-1]
			last.text += string(c)
			last.width += columns(c)
		} else {
			out = append(out, atom{string(c), columns(c), spaced})
		}
		spaced, prev = false, c
	}
	return out
}

func isClosing(c rune) bool {
	return strings.ContainsRune("，。、；：！？）》」』】”’…%,.;:!?)", c)
}

func isOpening(c rune) bool { return strings.ContainsRune("（《「『【“‘(", c) }

// isWide reports whether a character is set in two columns, between two of which a line may break.
func isWide(c rune) bool {
	switch {
	case c < 0x2E80:
		return false
	case c <= 0xA4CF, c >= 0xAC00 && c <= 0xD7A3, c >= 0xF900 && c <= 0xFAFF, c >= 0xFE30 && c <= 0xFE6F,
		c >= 0xFF01 && c <= 0xFF60, c >= 0xFFE0 && c <= 0xFFE6, c >= 0x20000 && c <= 0x3FFFD:
		return true
	}
	return false
}

func columns(c rune) int {
	switch {
	case isWide(c):
		return 2
	case unicode.Is(unicode.Mn, c):
		return 0
	}
	return 1
}

// textWidth is the number of terminal columns of s.
func textWidth(s string) int {
	n := 0
	for _, c := range s {
		n += columns(c)
	}
	return n
}
