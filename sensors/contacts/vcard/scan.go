package vcard

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// word is what a property's name means here.
type word uint8

const (
	wOther word = iota // a property of no interest
	wStray             // no name with ":" or ";" behind it: no property at all
	wTel
	wEmail
	wBegin
	wEnd
	wAgent
)

// Next returns the next value. It returns io.EOF at the end of the input, and
// an error that wraps the source's if that fails; both stay. Anything wrong in
// the input itself is counted in Stats and passed over.
func (r *Reader) Next() (Value, error) {
	for {
		var ok bool
		if useAVX2 {
			ok = r.quickWindows()
		} else {
			ok = r.quickLines()
		}
		if ok {
			return r.found(), nil
		}
		if !r.more() {
			return Value{}, r.finish()
		}
		if r.step() {
			return r.found(), nil
		}
	}
}

// found is the value that was just left in text and val.
func (r *Reader) found() Value {
	return Value{Place: Place{r.stats.Cards, r.val.line}, Kind: r.val.kind, Agent: r.card.agents > 0, text: r.get}
}

// step looks at the line at pos, whatever it is, and tells whether it left a
// value for found.
func (r *Reader) step() bool {
	if blank(r.buf[r.pos]) {
		r.passFolds()
		return false
	}
	text, next, whole := r.physical()
	w, name := classify(text)
	if !whole {
		r.passLong(w, text)
		return false
	}
	folded := next < r.end && blank(r.buf[next])
	switch w {
	case wOther:
		if folded || soft(text) {
			return r.passOther(text, next, folded)
		}
		r.pass(text, next)
		r.card.pending = false
	case wStray:
		return r.stray(text, next, name, folded)
	case wTel, wEmail:
		return r.property(w, text[name:], text, next, folded)
	default:
		r.frame(w, text[name:], text, next, folded)
	}
	return false
}

// finish judges the end of the input once.
func (r *Reader) finish() error {
	if r.err != io.EOF {
		return fmt.Errorf("card %d, line %d: %w", r.stats.Cards, r.line, r.err)
	}
	if !r.done {
		r.done = true
		if r.card.open {
			r.skip(r.line, Unfinished)
		}
		if r.stats.Cards == 0 && r.any {
			r.skip(r.line, NoCard)
		}
	}
	return io.EOF
}

func (r *Reader) skip(line int, why Reason) {
	r.stats.skip(Skip{Place{r.stats.Cards, line}, why})
}

// nameByte marks the bytes of a property's name and, as a second bit, those
// that end it in a well-formed line.
var nameByte = func() (t [256]uint8) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			t[c] = 1
		}
	}
	return t
}()

// classify looks at a line's name. at is where the parameters or the value
// begin: the offset of the ";" or ":" behind the name.
func classify(text []byte) (w word, at int) {
	start, i := 0, 0
	if len(text) >= 3 && text[0] == 0xef && text[1] == 0xbb && text[2] == 0xbf {
		start, i = 3, 3 // a byte order mark, also where files were joined
	}
	for {
		for i < len(text) && nameByte[text[i]] != 0 {
			i++
		}
		if i == len(text) {
			return strayName(text[start:i]), i
		}
		if text[i] != '.' {
			break
		}
		i++ // a group ends here
		start = i
	}
	stop := i
	for i < len(text) && blank(text[i]) {
		i++
	}
	if i == len(text) || text[i] != ':' && text[i] != ';' {
		if k := bytes.IndexByte(text[i:], ':'); k >= 0 && stop == i {
			if semi := bytes.IndexByte(text[i:i+k], ';'); semi >= 0 {
				k = semi
			}
			return wOther, i + k // an odd name
		}
		return strayName(text[start:stop]), i
	}
	return lookup(text[start:stop]), i
}

// lookup knows the names of interest in any mix of cases.
func lookup(name []byte) word {
	switch len(name) {
	case 3:
		switch uint32(name[0])<<16&0xdf0000 | uint32(name[1])<<8&0xdf00 | uint32(name[2])&0xdf {
		case 'T'<<16 | 'E'<<8 | 'L':
			return wTel
		case 'E'<<16 | 'N'<<8 | 'D':
			return wEnd
		}
	case 5:
		switch name[0] | 0x20 {
		case 'e':
			if equalFold(name, "EMAIL") {
				return wEmail
			}
		case 'b':
			if equalFold(name, "BEGIN") {
				return wBegin
			}
		case 'a':
			if equalFold(name, "AGENT") {
				return wAgent
			}
		}
	}
	return wOther
}

// equalFold compares ASCII text without regard to case; upper is in upper case.
func equalFold(b []byte, upper string) bool {
	if len(b) != len(upper) {
		return false
	}
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}

// strayName is wStray, but TEL and EMAIL without a colon are damage to report.
func strayName(name []byte) word {
	if w := lookup(name); w == wTel || w == wEmail {
		return w
	}
	return wStray
}

// soft tells whether text ends as a soft line break of quoted-printable does.
func soft(text []byte) bool {
	n := len(text)
	if n == 0 {
		return false
	}
	switch text[n-1] {
	case '=':
		return true
	case ' ', '\t':
		return lastByte(text) == '='
	}
	return false
}

// frameLine tells whether text begins or ends a card. Such a line never
// continues a quoted-printable value, whatever stands before it: an exporter
// that writes "=" and stops must not swallow the rest of the book.
func frameLine(text []byte) bool {
	w, at := classify(text)
	return (w == wBegin || w == wEnd) && isVCARD(text[at:])
}

func isVCARD(rest []byte) bool {
	return len(rest) > 0 && rest[0] == ':' && equalFold(trim(rest[1:]), "VCARD")
}

// passFolds passes the lines that continue a property of no interest. Base64
// comes in lines of equal length, so a whole stretch of them is checked at once:
// the breaks are where they must be, and there are no others.
func (r *Reader) passFolds() {
	for r.more() && blank(r.buf[r.pos]) {
		text, next, whole := r.physical()
		if !whole {
			r.discard()
			continue
		}
		size, from := next-r.pos, next
		r.pass(text, next)
		r.stride(size, from, true)
	}
}

// minStride is the number of equal lines from which checking them together pays.
const minStride = 4

// stride passes the lines from pos on that are all size bytes long with their
// break, as the one before them. If folds is true each begins with a blank,
// otherwise none holds a ":" or ";", so none is a property.
func (r *Reader) stride(size, from int, folds bool) {
	if r.calm > 0 {
		r.calm--
		return
	}
	b := r.buf[:r.end]
	if size < 2 || from < size || b[from-1] != '\n' {
		return
	}
	crlf := b[from-2] == '\r'
	n, p := 0, from
	if folds {
		// The end of each line and the blank of the next one in one comparison.
		if from >= len(b) || !blank(b[from]) {
			return
		}
		want, mask := uint32('\n')<<8|uint32(b[from])<<16, uint32(0xffff00)
		if crlf {
			want, mask = want|'\r', 0xffffff
		}
		for p+size+2 <= len(b) && binary.LittleEndian.Uint32(b[p+size-2:])&mask == want {
			p += size
			n++
		}
	} else {
		for p+size < len(b) && b[p+size-1] == '\n' && (!crlf || b[p+size-2] == '\r') {
			p += size
			n++
		}
	}
	if n < minStride {
		return
	}
	part := b[from:p]
	ok := onlyBreaks(part, n, crlf, folds && b[from] == '\t')
	if ok && !folds {
		ok = bytes.IndexByte(part, ':') < 0 && bytes.IndexByte(part, ';') < 0
	}
	if !ok {
		r.calm = n
		return
	}
	r.pos = p
	r.line += n
}

// onlyBreaks tells whether there are no breaks in part but those that its n lines
// end with. tab says that each begins with one. It may say no to lines that hold
// other control characters.
func onlyBreaks(part []byte, n int, crlf, tab bool) bool {
	want := n
	if crlf {
		want += n
	}
	if useAVX2 {
		if tab {
			want += n
		}
		return countLow(part) == want
	}
	return bytes.Count(part, lfByte) == n && n+bytes.Count(part, crByte) == want
}

var lfByte, crByte = []byte{'\n'}, []byte{'\r'}

// passOther passes a property of no interest that goes on over several lines.
// Quoted-printable hides lines that look like properties. A property whose name
// and parameters themselves are folded is put together and looked at again.
func (r *Reader) passOther(text []byte, next int, folded bool) bool {
	r.card.pending = false
	_, at := classify(text)
	colon, p := parameters(text[at:])
	if colon < 0 && folded {
		return r.foldedHead(text, next)
	}
	if !p.qp {
		r.pass(text, next)
		return false
	}
	more := soft(text)
	r.pass(text, next)
	r.passSoft(more)
	return false
}

// passSoft passes the rest of a quoted-printable property; more tells whether
// the line before ended in a soft break.
func (r *Reader) passSoft(more bool) {
	for r.more() && (more || blank(r.buf[r.pos])) {
		text, next, whole := r.physical()
		if !whole {
			more = r.discard() == '='
			continue
		}
		if more && frameLine(text) {
			return
		}
		more = soft(text)
		r.pass(text, next)
	}
}

// passLong passes a property whose first line does not fit the block.
func (r *Reader) passLong(w word, text []byte) {
	line := r.line
	r.card.pending = false
	_, at := classify(text)
	_, p := parameters(text[at:])
	if w == wTel || w == wEmail {
		r.skipProperty(line, TooLong)
	}
	last := r.discard()
	if p.qp {
		r.passSoft(last == '=')
	}
}

// skipProperty counts a TEL or EMAIL that cannot be used.
func (r *Reader) skipProperty(line int, why Reason) {
	if !r.card.open {
		why = Outside
	}
	r.skip(line, why)
}

// stray passes a line that is no property: an empty one, a comment, base64 that
// is not indented as 2.1 allows.
func (r *Reader) stray(text []byte, next, at int, folded bool) bool {
	if folded && len(text) > 0 && at == len(text) {
		return r.foldedHead(text, next) // a name that is folded
	}
	if len(text) > 0 {
		r.card.pending = false
	}
	size := next - r.pos
	r.pass(text, next)
	if len(text) >= minStray {
		r.stride(size, next, false)
	}
	return false
}

// minStray keeps the search for equal lines to those that can be base64.
const minStray = 32

// foldedHead unfolds a property up to MaxLine bytes and looks at it as a whole.
func (r *Reader) foldedHead(text []byte, next int) bool {
	line := r.line
	cut := r.unfold(text, next, false)
	w, at := classify(r.word)
	if w == wTel || w == wEmail || w == wOther || w == wStray {
		r.card.pending = false
	}
	switch w {
	case wTel, wEmail:
		if cut {
			r.skipProperty(line, TooLong)
			return false
		}
		return r.value(w, r.word[at:], line)
	case wBegin, wEnd, wAgent:
		r.frameWord(w, r.word[at:], line, true)
	default:
		if _, p := parameters(r.word[at:]); p.qp {
			r.passSoft(soft(r.word))
		}
	}
	return false
}
