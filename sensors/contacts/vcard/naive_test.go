package vcard_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

func encode16(s string, big, bom bool) string {
	var out []byte
	units := utf16.Encode([]rune(s))
	if bom {
		units = append([]uint16{0xfeff}, units...)
	}
	for _, u := range units {
		if big {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return string(out)
}

// naive is the reader written down line by line, without a block, without any
// search but for one byte at a time: what the fast one must agree with. It
// knows cards, folds and soft breaks; values are compared undecoded only where
// nothing needs decoding.
type naive struct {
	lines []physicalLine
	open  bool
	agent int
	wait  bool // for a nested card
	cards int
	all   []found

	unpaired, unfinished int
}

type physicalLine struct {
	number int
	text   string
}

func readNaively(in string) *naive {
	n := &naive{}
	number := 1
	for i := 0; i < len(in); {
		from := i
		for i < len(in) && in[i] != '\n' && in[i] != '\r' {
			i++
		}
		n.lines = append(n.lines, physicalLine{number, in[from:i]})
		crs := 0
		for i < len(in) && in[i] == '\r' {
			i++
			crs++
		}
		if i < len(in) && in[i] == '\n' {
			i++
			number++
		} else {
			number += max(crs, 1)
		}
	}
	for i := 0; i < len(n.lines); {
		i = n.logical(i)
	}
	if n.open {
		n.unfinished++
	}
	return n
}

func isBlank(s string) bool { return s != "" && (s[0] == ' ' || s[0] == '\t') }

func isSoft(s string) bool { return strings.HasSuffix(strings.TrimRight(s, " \t"), "=") }

func cutSoft(s string) string { return strings.TrimSuffix(strings.TrimRight(s, " \t"), "=") }

// split takes a logical line apart; ok is false if it is no property.
func split(s string) (name, params, value string, ok bool) {
	s = strings.TrimPrefix(s, "\ufeff")
	end := strings.IndexAny(s, ":;")
	if end < 0 {
		return s, "", "", false
	}
	name = s[:end]
	if k := strings.LastIndexByte(name, '.'); k >= 0 {
		name = name[k+1:]
	}
	name = strings.ToUpper(strings.TrimRight(name, " \t"))
	rest := s[end:]
	quoted, colon := false, -1
	for i := 0; i < len(rest); i++ {
		if rest[i] == '"' {
			quoted = !quoted
		}
		if rest[i] == ':' && !quoted {
			colon = i
			break
		}
	}
	if colon < 0 {
		colon = strings.IndexByte(rest, ':')
	}
	if colon < 0 {
		return name, rest, "", false
	}
	return name, rest[:colon], rest[colon+1:], true
}

func isFrame(s string) bool {
	name, params, value, ok := split(s)
	return ok && params == "" && (name == "BEGIN" || name == "END") && strings.EqualFold(strings.TrimSpace(value), "VCARD")
}

func (n *naive) logical(i int) int {
	first := n.lines[i]
	if isBlank(first.text) || first.text == "" {
		return i + 1 // nothing before it that it could continue
	}
	text := first.text
	i++
	folded := i < len(n.lines) && isBlank(n.lines[i].text)
	// The head first: fold until there is a colon.
	_, params, _, ok := split(text)
	for !ok && i < len(n.lines) && isBlank(n.lines[i].text) {
		text += n.lines[i].text[1:]
		i++
		_, params, _, ok = split(text)
	}
	qp := strings.Contains(strings.ToUpper(params), "QUOTED-PRINTABLE")
	for i < len(n.lines) {
		next := n.lines[i].text
		if qp && isSoft(text) {
			if isFrame(next) {
				text = cutSoft(text)
				break
			}
			text = cutSoft(text) + next
		} else if isBlank(next) {
			text += next[1:]
		} else {
			break
		}
		i++
	}
	if qp && isSoft(text) {
		text = cutSoft(text)
	}
	name, params, value, ok := split(text)
	if name == "" && strings.TrimSpace(text) == "" {
		return i
	}
	wait := n.wait
	n.wait = false
	value = strings.TrimSpace(value)
	switch {
	case !ok:
	case name == "BEGIN" && params == "" && strings.EqualFold(value, "VCARD"):
		switch {
		case wait:
			n.agent++
		default:
			if n.open {
				n.unfinished++
			}
			n.cards, n.open, n.agent = n.cards+1, true, 0
		}
	case name == "END" && params == "" && strings.EqualFold(value, "VCARD"):
		if n.agent > 0 {
			n.agent--
		} else {
			if !n.open {
				n.unpaired++
			}
			n.open = false
		}
	case name == "AGENT":
		if value == "" {
			n.wait = n.open
		} else if !folded && strings.EqualFold(value, "BEGIN:VCARD") && n.open {
			n.agent++
		}
	case (name == "TEL" || name == "EMAIL") && n.open && value != "" && !strings.ContainsRune(value, 0) && len(text) <= vcard.MaxLine:
		kind := vcard.Tel
		if name == "EMAIL" {
			kind = vcard.Email
		}
		if strings.ContainsAny(value, "=\\\x1b") || strings.ContainsAny(strings.ToUpper(params), "BQ=") || !plainASCII(value) {
			value = "" // decoded; only the place is compared
		}
		n.all = append(n.all, found{n.cards, first.number, kind, n.agent > 0, value})
	}
	return i
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// words is what books are put together from at random.
var words = []string{
	"BEGIN:VCARD", "END:VCARD", "begin:vcard", "AGENT:", "AGENT:BEGIN:VCARD", "AGENT:x", "VERSION:2.1",
	"TEL:1234567890", "TEL;CELL:+1 202 555 0142", "EMAIL;TYPE=INTERNET,HOME:ada@example.com", "item1.TEL;TYPE=x:12345678",
	"item12345678.EMAIL:somebody.with.a.name@example.com", "TEL;TYPE=\"a:b;c\":99999999", "TEL", "TEL;HOME", "TEL:",
	"TEL;ENCODING=QUOTED-PRINTABLE:=2B1=", "NOTE;ENCODING=QUOTED-PRINTABLE:text=", "NOTE;QUOTED-PRINTABLE:text= ", "NOTE:text=",
	"NOTE:some text", "N:x", "X-LONGER-NAME;A=B:text", "X-VERY-LONG-NAME-EMAIL:a", "TELX:1", "XXTEL:1", "X-a/b:1",
	" folded text", "\tTEL:1", " ", "  AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"", "# comment", "TE", " L:1", "\ufeffTEL:11111111", "TEL;CHARSET=x:b\xfc", "TEL :7", "TEL:a\\,b",
	" AAAAAAAAAAAAAAAAAAAAAAAAAAA", " AAAAAAAAAAAAAAAAAAAAAAAAAAA", " AAAAAAAAAAAAAAAAAAAAAAAAAAA", " AAAAAAAAAAAAAAAAAAAAAAAAAAA",
}

var breaks = []string{"\r\n", "\n", "\r", "\r\r\n", "\r\n", "\r\n", "\r\n"}

// assemble makes a book of words: two bits of each byte choose the break, and
// some words are repeated to make stretches of equal lines.
func assemble(recipe []byte) string {
	var b strings.Builder
	brk := "\r\n"
	for i, c := range recipe {
		w := words[int(c)%len(words)]
		if c > 250 {
			brk = breaks[int(c^byte(i))%len(breaks)]
		}
		b.WriteString(w)
		b.WriteString(brk)
		if c%7 == 0 && len(w) > 20 {
			for range c % 13 {
				b.WriteString(w)
				b.WriteString(brk)
			}
		}
	}
	return b.String()
}

// sameAsNaive reads in the usual block and in small ones, whose ends fall at all
// places of the lines.
func sameAsNaive(t *testing.T, in string, sizes ...int) {
	t.Helper()
	n := readNaively(in)
	want := n.all
	for _, size := range append(sizes, 128<<10, 144, 193, 251+len(in)%64) {
		got, s := collect(t, vcard.NewReaderBlock(strings.NewReader(in), size))
		if s.Cards != n.cards || s.Skips[vcard.Unpaired] != n.unpaired || s.Skips[vcard.Unfinished] != n.unfinished {
			t.Fatalf("block of %d: %d cards, passed over %v; want %d, %d without a begin, %d without an end\nin %q",
				size, s.Cards, s.Skips.Words(), n.cards, n.unpaired, n.unfinished, in)
		}
		if len(got) != len(want) {
			t.Fatalf("block of %d: %d values, want %d\ngot  %+v\nwant %+v\nin %q", size, len(got), len(want), got, want, in)
		}
		for i, w := range want {
			g := got[i]
			if w.Text == "" {
				g.Text = ""
			}
			if g != w {
				t.Fatalf("block of %d: value %d: got %+v, want %+v\nin %q", size, i, g, w, in)
			}
		}
	}
}

// TestBlocks puts lines together at random and compares.
func TestBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		recipe := make([]byte, 60)
		for i := range recipe {
			recipe[i] = byte(rng.Uint32())
		}
		sameAsNaive(t, assemble(recipe))
	}
	var book strings.Builder
	for i := range 100 {
		book.WriteString(card("TEL:"+strings.Repeat("1", 8+i%20), "NOTE:x\r\n y", "EMAIL;TYPE=HOME:ada@example.com", "N:x", "UID:"+strings.Repeat("0", i%59)))
	}
	var sizes []int
	for size := 128; size < 1400; size++ {
		sizes = append(sizes, size)
	}
	sameAsNaive(t, book.String(), sizes...)
}

// FuzzStructure compares the reader with the naive one on books put together
// from lines that mean something.
func FuzzStructure(f *testing.F) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	f.Add(all)
	f.Add([]byte{0, 7, 8, 9, 1})
	f.Add([]byte{0, 18, 7, 1, 0, 8, 1})
	f.Add([]byte{0, 3, 0, 7, 1, 8, 1})
	f.Add(bytes.Repeat([]byte{0, 34, 35, 7, 28, 1}, 9))
	f.Add([]byte{0, 3, 13, 0})     // AGENT:, a damaged TEL, a card
	f.Add([]byte{0, 3, 34, 35, 0}) // AGENT:, a TEL whose name is folded, a card
	f.Fuzz(func(t *testing.T, recipe []byte) {
		if len(recipe) > 4096 {
			return
		}
		sameAsNaive(t, assemble(recipe))
	})
}

// FuzzReader feeds anything: no panic, bounded values, the same answer whatever
// the way the bytes come in.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"", "BEGIN:VCARD", card("TEL:1"), card("TEL;CHARSET=GBK;ENCODING=QUOTED-PRINTABLE:=A3=B1=", "=A3"),
		card("EMAIL;ENCODING=b:YUBleGFtcGxlLmNvbQ=="), card("TEL;CHARSET=ISO-2022-JP:\x1b$B#1"),
		encode16(card("TEL:1"), true, true), "\xff\xfe", "\xfe\xff\xd8\x00", "\xef\xbb\xbf" + card("AGENT:", "BEGIN:VCARD", "TEL:1"),
		"BEGIN:VCARD\rTEL:1\r\r\nNOTE;QUOTED-PRINTABLE:=\rTEL:2\nEND:VCARD",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		all, s := collect(t, vcard.NewReader(bytes.NewReader(in)))
		if len(all) != s.Values() {
			t.Errorf("%d values, %d counted", len(all), s.Values())
		}
		for _, v := range all {
			if v.Text == "" || len(v.Text) > 4*vcard.MaxLine || v.Card < 1 || v.Card > s.Cards || v.Line < 1 || v.Line > s.Lines {
				t.Errorf("card %d of %d, line %d of %d: %d bytes", v.Card, s.Cards, v.Line, s.Lines, len(v.Text))
			}
		}
		kept := bytes.Clone(in)
		r := vcard.NewReader(iotest.HalfReader(bytes.NewReader(in)))
		if again, _ := collect(t, r); !reflect.DeepEqual(again, all) {
			t.Errorf("in halves: %+v, want %+v", again, all)
		}
		r.ResetBytes(in)
		if again, _ := collect(t, r); !reflect.DeepEqual(again, all) {
			t.Errorf("in place: %+v, want %+v", again, all)
		}
		if !bytes.Equal(in, kept) {
			t.Error("the caller's bytes were written to")
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
	})
}
