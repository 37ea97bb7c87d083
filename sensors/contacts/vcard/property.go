package vcard

import "bytes"

// property reads a TEL or EMAIL at pos. rest begins behind the name.
func (r *Reader) property(w word, rest, text []byte, next int, folded bool) bool {
	r.card.pending = false
	line := r.line
	colon, p := parameters(rest)
	if !folded && (!p.qp || !soft(text)) {
		// The usual case: one line, looked at where it stands.
		r.pass(text, next)
		if colon < 0 {
			r.skipProperty(line, NoColon)
			return false
		}
		if len(text) > MaxLine {
			r.skipProperty(line, TooLong)
			return false
		}
		return r.decode(w, rest[colon+1:], p, line)
	}
	at := len(text) - len(rest)
	if r.unfold(text, next, p.qp) {
		r.skipProperty(line, TooLong)
		return false
	}
	return r.value(w, r.word[at:], line)
}

// value reads an unfolded property from behind its name.
func (r *Reader) value(w word, rest []byte, line int) bool {
	colon, p := parameters(rest)
	if colon < 0 {
		r.skipProperty(line, NoColon)
		return false
	}
	return r.decode(w, rest[colon+1:], p, line)
}

// unfold puts the property at pos together in r.word, without folds and, if qp
// is true, without soft line breaks, and passes it. cut tells that it is longer
// than MaxLine; then only its head is kept.
func (r *Reader) unfold(text []byte, next int, qp bool) (cut bool) {
	r.word = r.word[:0]
	add := func(b []byte) {
		if len(r.word)+len(b) > MaxLine {
			b = b[:MaxLine-len(r.word)]
			cut = true
		}
		r.word = append(r.word, b...)
	}
	more := qp && soft(text)
	if more {
		add(hard(text))
	} else {
		add(text)
	}
	r.pass(text, next)
	for r.more() && (more || blank(r.buf[r.pos])) {
		text, next, whole := r.physical()
		part := text
		if more && whole && frameLine(text) {
			return cut
		}
		if !more {
			part = part[1:]
		}
		more = qp && soft(text)
		if more {
			part = hard(part)
		}
		add(part)
		if !whole {
			cut = true
			more = r.discard() == '=' && qp
			continue
		}
		r.pass(text, next)
	}
	return cut
}

// hard returns text without its soft line break.
func hard(text []byte) []byte {
	text = bytes.TrimRight(text, " \t")
	return text[:max(0, len(text)-1)]
}

// params is what matters of a property's parameters.
type params struct {
	qp, b64 bool
	charset []byte // as declared, nil if not
}

// parameters reads from the ";" or ":" behind the name to the colon before the
// value, whose offset it returns, -1 if there is none.
func parameters(rest []byte) (colon int, p params) {
	switch {
	case len(rest) == 0:
		return -1, p
	case rest[0] == ':':
		return 0, p
	case rest[0] != ';':
		return -1, p
	}
	from := 1
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			return quotedParameters(rest)
		case ':':
			p.set(rest[from:i])
			return i, p
		case ';':
			p.set(rest[from:i])
			from = i + 1
		}
	}
	p.set(rest[from:])
	return -1, p
}

// quotedParameters is parameters where a quote stands before the first colon.
func quotedParameters(rest []byte) (colon int, p params) {
	colon = findColon(rest)
	head := rest
	if colon >= 0 {
		head = rest[:colon]
	}
	for len(head) > 0 {
		head = head[1:] // the ";"
		n := endParam(head)
		p.set(head[:n])
		head = head[n:]
	}
	return colon, p
}

// findColon returns the first colon that is not quoted. A quote that is never
// closed is no quote.
func findColon(b []byte) int {
	first := bytes.IndexByte(b, ':')
	if first < 0 || bytes.IndexByte(b[:first], '"') < 0 {
		return first
	}
	quoted := false
	for i, c := range b {
		switch c {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				return i
			}
		}
	}
	return first
}

// endParam returns where the parameter ends: at a ";" that is not quoted.
func endParam(b []byte) int {
	first := bytes.IndexByte(b, ';')
	if first < 0 {
		return len(b)
	}
	if bytes.IndexByte(b[:first], '"') < 0 {
		return first
	}
	quoted := false
	for i, c := range b {
		switch c {
		case '"':
			quoted = !quoted
		case ';':
			if !quoted {
				return i
			}
		}
	}
	if quoted {
		return first
	}
	return len(b)
}

// set takes one parameter in: NAME=VALUE, or the bare value of 2.1.
func (p *params) set(b []byte) {
	// ENCODING, CHARSET, QUOTED-PRINTABLE, BASE64 are all there is to find.
	if len(b) < len("BASE64") {
		return
	}
	switch b[0] | 0x20 {
	case 'e', 'c', 'q', 'b', ' ', '\t' | 0x20:
	default:
		return
	}
	name, value, ok := bytes.Cut(b, []byte{'='})
	name = trim(name)
	if !ok {
		p.encoding(name)
		return
	}
	value = bytes.Trim(trim(value), `"`)
	switch {
	case equalFold(name, "ENCODING"):
		p.encoding(value)
		if equalFold(value, "B") {
			p.b64 = true
		}
	case equalFold(name, "CHARSET"):
		p.charset = value
	}
}

func (p *params) encoding(value []byte) {
	switch {
	case equalFold(value, "QUOTED-PRINTABLE"), equalFold(value, "Q"):
		p.qp = true
	case equalFold(value, "BASE64"):
		p.b64 = true
	}
}

// trim cuts white space from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func space(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// frame reads a BEGIN, END or AGENT line at pos.
func (r *Reader) frame(w word, rest, text []byte, next int, folded bool) {
	line := r.line
	if folded {
		at := len(text) - len(rest)
		r.unfold(text, next, false)
		r.frameWord(w, r.word[at:], line, true)
		return
	}
	if w == wAgent && soft(text) {
		if _, p := parameters(rest); p.qp {
			at := len(text) - len(rest)
			r.unfold(text, next, true)
			r.frameWord(w, r.word[at:], line, true)
			return
		}
	}
	r.pass(text, next)
	r.frameWord(w, rest, line, false)
}

// frameWord opens and closes cards. A BEGIN opens a nested card only where an
// AGENT asks for one; anywhere else it ends a card that was cut off. So a
// missing END costs nothing but a count, and 2.1's groups of cards are read as
// the cards they hold.
func (r *Reader) frameWord(w word, rest []byte, line int, folded bool) {
	pending := r.card.pending
	r.card.pending = false
	switch w {
	case wAgent:
		colon := findColon(rest)
		if colon < 0 {
			return
		}
		value := trim(rest[colon+1:])
		switch {
		case len(value) == 0:
			r.card.pending = r.card.open
		case !hasBegin(value):
		case !folded && isVCARD(value[len("BEGIN"):]):
			if r.card.open {
				r.card.agents++
				r.stats.Agents++
			}
		default:
			r.skip(line, AgentText)
		}
	case wBegin:
		if !isVCARD(rest) {
			return
		}
		if pending {
			r.card.agents++
			r.stats.Agents++
			return
		}
		if r.card.open {
			r.skip(line, Unfinished)
		}
		r.card.open, r.card.agents = true, 0
		r.stats.Cards++
	case wEnd:
		switch {
		case !isVCARD(rest):
		case r.card.agents > 0:
			r.card.agents--
		case r.card.open:
			r.card.open = false
		default:
			r.skip(line, Unpaired)
		}
	}
}

func hasBegin(value []byte) bool {
	return len(value) > len("BEGIN") && equalFold(value[:len("BEGIN")], "BEGIN")
}
