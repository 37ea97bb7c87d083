// Package vcard finds the telephone numbers and e-mail addresses in address
// books written as vCards, versions 2.1, 3.0 and 4.0 (RFC 2426, RFC 6350 and
// the vCard 2.1 document of the versit consortium), in whatever mix and state
// real exporters leave them.
//
// It is a scanner, not an object model: a Reader goes through the bytes once,
// in a block of fixed size, and hands out TEL and EMAIL values one at a time.
// Names, photos and every other property are passed over and never copied.
// Memory stays bounded whatever the input; a line that cannot be used is
// counted with its card and line number, and reading goes on.
//
// What is understood: groups (item1.TEL), bare parameters of 2.1, quoted
// parameters, quoted-printable with soft line breaks, base64, CHARSET, folding
// also inside a character, LF, CRLF and CR in any mix, byte order marks, UTF-16
// in both orders, values in an undeclared eight-bit character set, nested cards
// (AGENT), cards without an end.
//
// What is left out: every other property; the kind of a number (home, fax); and
// which number is preferred. A card written as escaped or folded text inside an
// AGENT property of 3.0 is text about a third person; it is counted, not read.
package vcard

import (
	"fmt"

	"go.uber.org/zap/zapcore"

	"github.com/scruple-agent/scruple/sensors"
)

// Kind tells what a Value is.
type Kind uint8

// The two kinds of values.
const (
	Tel   Kind = iota + 1 // a telephone number as written, or a tel: URI
	Email                 // an e-mail address as written, or a mailto: URI
)

// String returns "tel" or "email".
func (k Kind) String() string {
	switch k {
	case Tel:
		return "tel"
	case Email:
		return "email"
	}
	return "unknown"
}

// Place is where something stands in the input.
type Place struct {
	Card int // number of the card, from 1; 0 before the first
	Line int // number of the physical line, from 1
}

// Value is one TEL or EMAIL value and where its property begins. It redacts
// itself when printed, logged or encoded, also as an unexported field of another
// struct; Bytes is the one way to the text.
type Value struct { // four fields, so that the compiler keeps it in registers
	Place
	Kind  Kind // Tel or Email
	Agent bool // it stands in a card nested as AGENT in the card of that number

	// A function, because printing by reflection ends at its address; it follows
	// a pointer under a verb that does not fit.
	text func() []byte
}

// Bytes returns the value as written, after transfer decoding, character
// decoding to UTF-8, unfolding and unescaping, and without surrounding white
// space. It is never empty. URIs of 4.0 keep their scheme ("tel:+1-202-555-0142;ext=2"),
// which canonical.AppendPhone reads. The bytes belong to the Reader and are
// valid until its next call; the zero Value has none.
func (v Value) Bytes() []byte {
	if v.text == nil {
		return nil
	}
	return v.text()
}

// String implements fmt.Stringer.
func (Value) String() string { return sensors.Redacted }

// GoString implements fmt.GoStringer.
func (Value) GoString() string { return sensors.Redacted }

// Format implements fmt.Formatter, so that no verb reaches the fields.
func (Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(sensors.Redacted)) }

// MarshalJSON implements json.Marshaler.
func (Value) MarshalJSON() ([]byte, error) { return sensors.Raw{}.MarshalJSON() }

// MarshalText implements encoding.TextMarshaler.
func (Value) MarshalText() ([]byte, error) { return []byte(sensors.Redacted), nil }

// MarshalLogObject implements zapcore.ObjectMarshaler with the place only.
func (v Value) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("kind", v.Kind.String())
	enc.AddInt("card", v.Card)
	enc.AddInt("line", v.Line)
	return nil
}

// Reason says why something in the input was not handed out.
type Reason uint8

// The reasons.
const (
	Empty      Reason = iota // a TEL or EMAIL without a value
	NoColon                  // a TEL or EMAIL line without a colon
	TooLong                  // a TEL or EMAIL of more than MaxLine bytes
	NUL                      // a TEL or EMAIL value with a NUL byte in it
	BadBase64                // a TEL or EMAIL declared base64 that is none
	Outside                  // a TEL or EMAIL outside any card
	AgentText                // a card written as text in an AGENT property
	Unfinished               // a card that does not end before the next one or the end of the input
	Unpaired                 // an END without a BEGIN
	NoCard                   // input that is not empty and holds no card
	Charset                  // input in UTF-32, which no exporter writes
	reasons
)

var reasonWords = [reasons]string{
	Empty: "empty", NoColon: "no-colon", TooLong: "too-long", NUL: "nul", BadBase64: "bad-base64",
	Outside: "outside-card", AgentText: "agent-text", Unfinished: "unfinished-card",
	Unpaired: "unpaired-end", NoCard: "no-card", Charset: "charset",
}

// String returns the reason as a stable word, such as "too-long".
func (r Reason) String() string {
	if r < reasons {
		return reasonWords[r]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler with the word.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Skip is one thing that was passed over and where.
type Skip struct {
	Place
	Reason Reason // why
}

// String returns one line such as "card 17, line 203: too-long".
func (s Skip) String() string {
	return fmt.Sprintf("card %d, line %d: %s", s.Card, s.Line, s.Reason)
}

// Skips counts what was passed over, by Reason.
type Skips [reasons]int

// Total returns the sum over all reasons.
func (s Skips) Total() int {
	n := 0
	for _, c := range s {
		n += c
	}
	return n
}

// Words returns the counts that are not zero by their word, for reports.
func (s Skips) Words() map[string]int {
	m := make(map[string]int)
	for r, c := range s {
		if c > 0 {
			m[Reason(r).String()] = c
		}
	}
	return m
}

// Add adds the counts of t.
func (s *Skips) Add(t Skips) {
	for r, c := range t {
		s[r] += c
	}
}

// maxFirst is how many places Stats keeps: enough to show a person where to look.
const maxFirst = 8

// Stats counts what a Reader met so far. It holds no value.
type Stats struct {
	Cards  int // cards begun, nested ones not counted
	Agents int // cards nested as AGENT
	Tels   int // values of kind Tel handed out
	Emails int // values of kind Email handed out
	Lines  int // physical lines
	Skips  Skips
	first  [maxFirst]Skip
	nfirst int
}

// Values returns how many values were handed out.
func (s *Stats) Values() int { return s.Tels + s.Emails }

// First returns the places of the first few skips, at most eight.
func (s *Stats) First() []Skip { return s.first[:s.nfirst:s.nfirst] }

func (s *Stats) skip(k Skip) {
	s.Skips[k.Reason]++
	if s.nfirst < maxFirst {
		s.first[s.nfirst] = k
		s.nfirst++
	}
}
