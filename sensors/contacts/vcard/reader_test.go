package vcard_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

// found is a Value with its text, for comparisons.
type found struct {
	Card, Line int
	Kind       vcard.Kind
	Agent      bool
	Text       string
}

func collect(t testing.TB, r *vcard.Reader) ([]found, vcard.Stats) {
	t.Helper()
	var all []found
	s := readAll(t, r, func(v vcard.Value) {
		all = append(all, found{v.Card, v.Line, v.Kind, v.Agent, string(v.Bytes())})
	})
	return all, s
}

// texts returns "tel:" or "email:" before each value, for short tables.
func texts(all []found) []string {
	var list []string
	for _, f := range all {
		list = append(list, f.Kind.String()+" "+f.Text)
	}
	return list
}

// card puts lines into one card with CRLF breaks.
func card(lines ...string) string {
	return "BEGIN:VCARD\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VCARD\r\n"
}

func TestValues(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"3.0", card("VERSION:3.0", "TEL;TYPE=CELL,VOICE:+1-202-555-0142", "EMAIL;TYPE=INTERNET:ada@example.com"), []string{"tel +1-202-555-0142", "email ada@example.com"}},
		{"bare parameters of 2.1", card("VERSION:2.1", "TEL;WORK;VOICE;PREF:(202) 555-0142", "EMAIL;PREF;INTERNET:ada@example.com"), []string{"tel (202) 555-0142", "email ada@example.com"}},
		{"uri", card("VERSION:4.0", `TEL;VALUE=uri;TYPE="work,voice";PREF=1:tel:+1-202-555-0142;ext=102`), []string{"tel tel:+1-202-555-0142;ext=102"}},
		{"colon and semicolon in quotes", card(`TEL;X-LABEL="a:b;c:d";TYPE=cell:+12025550142`), []string{"tel +12025550142"}},
		{"quote never closed", card(`TEL;X-LABEL="a;TYPE=cell:+12025550142`), []string{"tel +12025550142"}},
		{"group", card("item1.TEL:+12025550142", "a.b-2.EMAIL;TYPE=x:ada@example.com", "contact.number.12.TEL:1"), []string{"tel +12025550142", "email ada@example.com", "tel 1"}},
		{"any case", "begin:vcard\ntel:1\nEmail:a@example.com\nTeL;cell:2\nend:VCard\n", []string{"tel 1", "email a@example.com", "tel 2"}},
		{"blanks of 2.1", "BEGIN : VCARD\nTEL ; HOME : 1\nTEL\t: 2 \t\nEND : VCARD\n", []string{"tel 1", "tel 2"}},
		{"quoted-printable", card("TEL;CELL;ENCODING=QUOTED-PRINTABLE:=2B=31=32=30=32=35=35=35=30=31=34=32"), []string{"tel +12025550142"}},
		{"bare quoted-printable", card("TEL;QUOTED-PRINTABLE:=2b12", "EMAIL;encoding=quoted-printable:ada=40example.com"), []string{"tel +12", "email ada@example.com"}},
		{"soft line breaks", card("EMAIL;ENCODING=QUOTED-PRINTABLE:ada=", "=40exam=", "ple.com", "TEL:2"), []string{"email ada@example.com", "tel 2"}},
		{"soft break with blanks behind", card("EMAIL;ENCODING=QUOTED-PRINTABLE:ada= ", "=40example.com", "TEL:2"), []string{"email ada@example.com", "tel 2"}},
		{"fold in quoted-printable", card("EMAIL;ENCODING=QUOTED-PRINTABLE:ada=40", " example.com"), []string{"email ada@example.com"}},
		{"equals sign at the end without quoted-printable", card("TEL:1=", "TEL:2"), []string{"tel 1=", "tel 2"}},
		{"broken quoted-printable", card("TEL;ENCODING=QUOTED-PRINTABLE:=2B1=ZZ=3"), []string{"tel +1=ZZ=3"}},
		{"note hides a number", card("NOTE;ENCODING=QUOTED-PRINTABLE:call=", "TEL:1=", "TEL:2", "TEL:3"), []string{"tel 3"}},
		{"label hides a number in a fold", card("NOTE:call", " TEL:1", "\tTEL:2", "TEL:3"), []string{"tel 3"}},
		{"soft break before the end of the card", card("NOTE;ENCODING=QUOTED-PRINTABLE:call=") + card("TEL:2"), []string{"tel 2"}},
		{"base64 value", card("TEL;ENCODING=BASE64:KzEyMDI1NTUwMTQy", "EMAIL;ENCODING=b:YWRhQGV4YW1wbGUuY29t"), []string{"tel +12025550142", "email ada@example.com"}},
		{"folded", card("TEL;TYPE=CELL:+1202", " 555", "\t0142", "EMAIL:ada@exa", " mple.com"), []string{"tel +12025550142", "email ada@example.com"}},
		{"folded in the parameters", card("TEL;TYPE=CELL;X-LONG=aaaa", " aaa:+1202", " 5550142"), []string{"tel +12025550142"}},
		{"folded in the name", card("TE", " L:1", "item1.", " EMAIL:a@example.com", "EMAIL", " ;HOME:b@example.com"), []string{"tel 1", "email a@example.com", "email b@example.com"}},
		{"folded inside a character", card("EMAIL:b\xc3", " \xbccher@example.com"), []string{"email bücher@example.com"}},
		{"folded parameters of another property", card("NOTE;CHARSET=UTF-8;ENCODING=QUOTED-", " PRINTABLE:a=", "TEL:1", "TEL:2"), []string{"tel 2"}},
		{"odd name", card("X-a/b;ENCODING=QUOTED-PRINTABLE:a=", "TEL:1", "TEL:2"), []string{"tel 2"}},
		{"escapes", card(`TEL:+1\,2\;3\\4\:5\n6\x`), []string{"tel +1,2;3\\4:5\n6\\x"}},
		{"values of white space around", card("TEL: \t 1 \t", "EMAIL:\ta@example.com  "), []string{"tel 1", "email a@example.com"}},
		{"LF", strings.ReplaceAll(card("TEL:1", "TEL:2"), "\r", ""), []string{"tel 1", "tel 2"}},
		{"CR", strings.ReplaceAll(card("TEL:1", " 2", "TEL:3"), "\n", ""), []string{"tel 12", "tel 3"}},
		{"CR CR LF", strings.ReplaceAll(card("TEL:1", " 2", "TEL:3"), "\r", "\r\r"), []string{"tel 12", "tel 3"}},
		{"breaks mixed", "BEGIN:VCARD\rTEL:1\nTEL:2\r\nFN:x\rTEL:3\n\n\r\rTEL:4\rEND:VCARD", []string{"tel 1", "tel 2", "tel 3", "tel 4"}},
		{"no break at the end", "BEGIN:VCARD\nTEL:1\nEMAIL:a@exam\n ple.com", []string{"tel 1", "email a@example.com"}},
		{"byte order mark", "\ufeff" + card("TEL:1") + "\ufeff" + card("TEL:2"), []string{"tel 1", "tel 2"}},
		{"nested card", card("TEL:1", "AGENT:", "BEGIN:VCARD", "TEL:2", "END:VCARD", "TEL:3"), []string{"tel 1", "tel 2", "tel 3"}},
		{"nested card on the agent's line", card("AGENT:BEGIN:VCARD", "TEL:2", "END:VCARD", "TEL:3"), []string{"tel 2", "tel 3"}},
		{"card in text", card(`AGENT:BEGIN:VCARD\nTEL:1\nEND:VCARD\n`, "AGENT:BEGIN:VCARD", " TEL:2", " END:VCARD", "TEL:3"), []string{"tel 3"}},
		{"group of cards of 2.1", card("X-DL:list", "BEGIN:VCARD", "TEL:1", "END:VCARD", "BEGIN:VCARD", "TEL:2", "END:VCARD"), []string{"tel 1", "tel 2"}},
		{"photo not indented", card("PHOTO;ENCODING=BASE64;JPEG:AAAA", strings.Repeat("TELtel/+09=AAAA\r\n", 40), "TEL:1"), []string{"tel 1"}},
		{"photo indented", card("PHOTO;ENCODING=b:AAAA"+strings.Repeat("\r\n "+strings.Repeat("TEL", 24), 40), "TEL:1"), []string{"tel 1"}},
		{"number between equal lines", card("NOTE:a", strings.Repeat(" abcdefg\r\n", 9)+"TEL:1234"+strings.Repeat("\r\n abcdefg", 9)), []string{"tel 1234" + strings.Repeat("abcdefg", 9)}},
		{"number behind a CR in equal lines", card("NOTE:a", strings.Repeat(" abcdefgh\r\n", 9)+" ab\rTEL:1\r\n"+strings.Repeat(" abcdefgh\r\n", 9)+"TEL:2"), []string{"tel 1" + strings.Repeat("abcdefgh", 9), "tel 2"}},
		{"names that only begin or end like one", card("TELX:1", "XTEL:2", "X-TEL:3", "EMAIL2:a", "VERYLONGTEL:4", "VERYVERYLONGEMAIL:5", "TELEPHONE;EMAIL:6"), nil},
		{"windows-1251", card("EMAIL;CHARSET=windows-1251:\xe0\xe1@example.com"), []string{"email аб@example.com"}},
		{"gbk", card("TEL;CHARSET=GBK:\xa3\xb1\xa3\xb2\xa3\xb3"), []string{"tel １２３"}},
		{"gb2312 in quoted-printable", card("TEL;CHARSET=gb2312;ENCODING=QUOTED-PRINTABLE:=A3=B1=A3=B2"), []string{"tel １２"}},
		{"gb18030", card("TEL;CHARSET=GB18030:\xa3\xb1"), []string{"tel １"}},
		{"shift-jis", card("TEL;CHARSET=SHIFT_JIS:\x82\x4f\x82\x58"), []string{"tel ０９"}},
		{"shift-jis with a backslash in a character", card("EMAIL;CHARSET=Shift-JIS:\x83\x5c@example.com"), []string{"email ソ@example.com"}},
		{"big5", card("TEL;CHARSET=big5:\xa2\xaf\xa2\xb8"), []string{"tel ０９"}},
		{"iso-8859-7", card("EMAIL;CHARSET=ISO-8859-7:\xe1@example.com"), []string{"email α@example.com"}},
		{"latin1", card(`EMAIL;CHARSET="iso-8859-1":b` + "\xfcro@example.com"), []string{"email büro@example.com"}},
		{"euc-kr", card("TEL;CHARSET=EUC-KR:\xa3\xb1"), []string{"tel １"}},
		{"iso-2022-jp", card("TEL;CHARSET=ISO-2022-JP:\x1b$B#1#2\x1b(B"), []string{"tel １２"}},
		{"unknown set", card("EMAIL;CHARSET=murks:b\xfcro@example.com", "EMAIL;CHARSET=murks:büro@example.com"), []string{"email büro@example.com", "email büro@example.com"}},
		{"declared UTF-8, but it is not", card("EMAIL;CHARSET=UTF-8:b\xfcro@example.com"), []string{"email büro@example.com"}},
		{"undeclared no-break space", card("TEL:+49\xa030\xa023125\xa0000"), []string{"tel +49\u00a030\u00a023125\u00a0000"}},
		{"undeclared gbk digits", card("TEL:\xa3\xb1\xa3\xb3\xa3\xb8 0000"), []string{"tel １３８ 0000"}},
		{"undeclared shift-jis digits", card("TEL:\x82\x4f\x82\x58"), []string{"tel ０９"}},
		{"message with a card", "BEGIN:VMSG\r\nTEL:0\r\n" + card("TEL:1") + "END:VMSG\r\n", []string{"tel 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, _ := collect(t, vcard.NewReader(strings.NewReader(tt.in)))
			if got := texts(all); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			r := vcard.NewReader(strings.NewReader(""))
			r.ResetBytes([]byte(tt.in))
			if all2, _ := collect(t, r); !reflect.DeepEqual(all2, all) {
				t.Errorf("in place: got %+v, want %+v", all2, all)
			}
			if all3, _ := collect(t, vcard.NewReader(iotest.OneByteReader(strings.NewReader(tt.in)))); !reflect.DeepEqual(all3, all) {
				t.Errorf("byte by byte: got %+v, want %+v", all3, all)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	in := card("FN:x", "TEL:1") + "\r\n" + card("NOTE:a", " b", "EMAIL:a@", " example.com", "TEL:2") +
		card("AGENT:", "BEGIN:VCARD", "TEL:3", "END:VCARD", "TEL:4")
	got, s := collect(t, vcard.NewReader(strings.NewReader(in)))
	want := []found{
		{1, 3, vcard.Tel, false, "1"},
		{2, 9, vcard.Email, false, "a@example.com"},
		{2, 11, vcard.Tel, false, "2"},
		{3, 16, vcard.Tel, true, "3"},
		{3, 18, vcard.Tel, false, "4"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if s.Cards != 3 || s.Agents != 1 || s.Tels != 4 || s.Emails != 1 || s.Lines != 19 || s.Skips.Total() != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestUTF16(t *testing.T) {
	in := card("TEL:+1202\u00a05550142", "EMAIL:𝒶büro@example.com")
	for _, big := range []bool{false, true} {
		for _, bom := range []bool{false, true} {
			b := encode16(in, big, bom)
			for name, r := range map[string]*vcard.Reader{
				"whole": vcard.NewReader(strings.NewReader(b)),
				"bytes": vcard.NewReader(iotest.OneByteReader(strings.NewReader(b))),
			} {
				all, s := collect(t, r)
				want := []string{"tel +1202\u00a05550142", "email 𝒶büro@example.com"}
				if got := texts(all); !reflect.DeepEqual(got, want) || s.Cards != 1 {
					t.Errorf("big=%v, bom=%v, %s: got %q, want %q", big, bom, name, got, want)
				}
			}
			r := vcard.NewReader(strings.NewReader(""))
			r.ResetBytes([]byte(b))
			if all, _ := collect(t, r); len(all) != 2 {
				t.Errorf("big=%v, bom=%v, in place: %d values, want 2", big, bom, len(all))
			}
			// Half a unit, half a pair at the end.
			for cut := 1; cut < 6; cut++ {
				collect(t, vcard.NewReader(strings.NewReader(b[:len(b)-cut])))
			}
		}
	}
}

func TestSkipped(t *testing.T) {
	long := strings.Repeat("1", vcard.MaxLine)
	huge := strings.Repeat("1", 1<<20)
	tests := []struct {
		name, in string
		want     []string // values
		skips    string   // places
	}{
		{"empty input", "", nil, "[]"},
		{"empty value", card("TEL:", "EMAIL;HOME: ", "TEL:1"), []string{"tel 1"}, "[card 1, line 2: empty card 1, line 3: empty]"},
		{"no colon", card("TEL;HOME 202", "EMAIL", "TEL 3", "TEL:1"), []string{"tel 1"}, "[card 1, line 2: no-colon card 1, line 3: no-colon card 1, line 4: no-colon]"},
		{"line too long", card("TEL:"+long, "TEL:1"), []string{"tel 1"}, "[card 1, line 2: too-long]"},
		{"line longer than a block", card("TEL:"+huge, "TEL:1"), []string{"tel 1"}, "[card 1, line 2: too-long]"},
		{"fold longer than a block", card("TEL:1", " "+huge, " 2", "TEL:1"), []string{"tel 1"}, "[card 1, line 2: too-long]"},
		{"endless folding", card("TEL:1"+strings.Repeat("\r\n 1", 1<<17), "TEL:1"), []string{"tel 1"}, "[card 1, line 2: too-long]"},
		{"endless soft breaks", card("TEL;QUOTED-PRINTABLE:1"+strings.Repeat("=\r\n1", 1<<17), "TEL:1"), []string{"tel 1"}, "[card 1, line 2: too-long]"},
		{"endless parameters", card("TEL"+strings.Repeat(";HOME", 1<<17)+":1", "TEL:1"), []string{"tel 1"}, "[card 1, line 2: too-long]"},
		{"other line longer than a block", card("NOTE:"+huge, " "+huge, "TEL:1"), []string{"tel 1"}, "[]"},
		{"quoted-printable longer than a block", card("NOTE;QUOTED-PRINTABLE:"+huge+"=", "TEL:2"+huge+"=", "TEL:3", "TEL:1"), []string{"tel 1"}, "[]"},
		{"block of carriage returns", card("FN:x") + strings.Repeat("\r", 1<<19) + card("TEL:1"), []string{"tel 1"}, "[]"},
		{"NUL", card("TEL:12\x0034", "TEL;QUOTED-PRINTABLE:1=002", "TEL:1"), []string{"tel 1"}, "[card 1, line 2: nul card 1, line 3: nul]"},
		{"bad base64", card("TEL;ENCODING=BASE64:%%%", "TEL:1"), []string{"tel 1"}, "[card 1, line 2: bad-base64]"},
		{"outside", "TEL:1\n" + card("TEL:1") + "EMAIL:a@example.com\n", []string{"tel 1"}, "[card 0, line 1: outside-card card 1, line 5: outside-card]"},
		{"card in text", card(`AGENT:BEGIN:VCARD\nTEL:1\nEND:VCARD`, "TEL:1"), []string{"tel 1"}, "[card 1, line 2: agent-text]"},
		{"no end", "BEGIN:VCARD\nTEL:1\nBEGIN:VCARD\nTEL:2", []string{"tel 1", "tel 2"}, "[card 1, line 3: unfinished-card card 2, line 5: unfinished-card]"},
		{"agent without an end", card("AGENT:", "BEGIN:VCARD", "TEL:1") + card("TEL:2"), []string{"tel 1", "tel 2"}, "[card 1, line 6: unfinished-card]"},
		{"two ends", card("TEL:1") + "END:VCARD\n", []string{"tel 1"}, "[card 1, line 4: unpaired-end]"},
		{"no card", "name,phone\nx,1\n", nil, "[card 0, line 3: no-card]"},
		{"UTF-32", "\xff\xfe\x00\x00B\x00\x00\x00", nil, "[card 0, line 1: charset]"},
		{"UTF-32 without a mark", "\x00\x00\x00B\x00\x00\x00E", nil, "[card 0, line 1: charset]"},
		{"zeros", strings.Repeat("\x00", 1000), nil, "[card 0, line 2: no-card]"},
		{"one line of a megabyte", "BEGIN:VCARD" + huge, nil, "[card 0, line 2: no-card]"},
		{"nested without end", strings.Repeat("BEGIN:VCARD\nAGENT:\n", 1000) + "TEL:1\n", []string{"tel 1"}, "[card 1, line 2002: unfinished-card]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, s := collect(t, vcard.NewReader(strings.NewReader(tt.in)))
			if got := texts(all); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %d values, want %q", len(got), tt.want)
			}
			if got := fmt.Sprint(s.First()); got != tt.skips {
				t.Errorf("passed over %s, want %s", got, tt.skips)
			}
			if n := len(s.First()); s.Skips.Total() != n {
				t.Errorf("%d skips counted, %d placed", s.Skips.Total(), n)
			}
		})
	}
}

// TestCutAnywhere cuts a book at every byte: what was read before stays, nothing panics.
func TestCutAnywhere(t *testing.T) {
	in := card("VERSION:2.1", "TEL;CELL:11111", "EMAIL;ENCODING=QUOTED-PRINTABLE:a=40exam=", "ple.com", "AGENT:", "BEGIN:VCARD", "TEL:22222", "END:VCARD") + card("TEL:3333\r\n 3")
	all, _ := collect(t, vcard.NewReader(strings.NewReader(in)))
	for n := range in {
		got, _ := collect(t, vcard.NewReader(strings.NewReader(in[:n])))
		if len(got) > len(all) {
			t.Fatalf("cut at %d: %d values of %d", n, len(got), len(all))
		}
		for i := range max(0, len(got)-1) {
			if got[i] != all[i] {
				t.Errorf("cut at %d: value %d is another", n, i)
			}
		}
	}
}

func TestSourceFails(t *testing.T) {
	boom := errors.New("boom")
	r := vcard.NewReader(io.MultiReader(strings.NewReader("BEGIN:VCARD\nTEL:1\nTEL:2\n"), iotest.ErrReader(boom)))
	for range 2 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, boom) || !strings.Contains(err.Error(), "card 1, line 4") {
			t.Errorf("Next: %v, want boom with its place", err)
		}
	}
	r.Reset(idle{})
	if _, err := r.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Next: %v, want %v", err, io.ErrNoProgress)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// TestRedacts prints a value in every way and looks for it.
func TestRedacts(t *testing.T) {
	const canary = "canary@example.com"
	r := vcard.NewReader(strings.NewReader(card("EMAIL:" + canary)))
	v, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if string(v.Bytes()) != canary {
		t.Fatal("the accessor does not give the value")
	}
	type holder struct {
		Value  vcard.Value
		hidden vcard.Value
		list   []vcard.Value
	}
	h := holder{v, v, []vcard.Value{v}}
	var out strings.Builder
	for _, x := range []any{v, &v, h, &h, []vcard.Value{v}, map[string]vcard.Value{"a": v}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
			fmt.Fprintf(&out, verb+"\n", x)
		}
		b, err := json.Marshal(x)
		if err != nil {
			t.Error(err)
		}
		out.Write(b)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	log := zap.New(core)
	log.Info("x", zap.Any("a", v), zap.Any("b", &v), zap.Object("c", v), zap.Stringer("d", v), zap.Any("e", h), zap.Reflect("f", h), zap.Inline(v))
	for _, e := range logs.All() {
		fmt.Fprintf(&out, "%v", e.ContextMap())
	}
	for _, leak := range []string{canary, "canary", fmt.Sprintf("%x", canary), fmt.Sprint([]byte(canary))} {
		if strings.Contains(out.String(), strings.Trim(leak, "[]")) {
			t.Errorf("a value was printed")
		}
	}
}

// TestNothingAllocated reads a book with folds, encodings and photos over and over.
func TestNothingAllocated(t *testing.T) {
	var b strings.Builder
	for range 500 {
		b.WriteString(card("VERSION:3.0", "TEL;TYPE=CELL:+1202", " 5550142", "item1.EMAIL:ada@example.com",
			"TEL;ENCODING=QUOTED-PRINTABLE:=2B1=", "2", "TEL;CHARSET=GBK:\xa3\xb1", `TEL:1\,2`,
			"PHOTO;ENCODING=b:"+strings.Repeat("AAAA\r\n AAAA", 200)))
	}
	book := []byte(b.String())
	src := strings.NewReader(b.String())
	r := vcard.NewReader(src)
	for name, reset := range map[string]func(){
		"reader": func() { src.Reset(b.String()); r.Reset(src) },
		"bytes":  func() { r.ResetBytes(book) },
	} {
		n := testing.AllocsPerRun(5, func() {
			reset()
			for {
				if _, err := r.Next(); err != nil {
					break
				}
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations for a book of 500 cards, want none", name, n)
		}
		if s := r.Stats(); s.Values() != 2500 {
			t.Errorf("%s: %d values, want 2500", name, s.Values())
		}
	}
}
