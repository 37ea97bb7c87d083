package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// TestCanonicalPause: who asks line by line gets each answer before the next question.
func TestCanonicalPause(t *testing.T) {
	in, ask := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- (&former{kind: "phone", region: noRegion}).copy(out, in)
	}()
	for _, c := range []struct{ ask, want string }{
		{"CN\t138 0000 1234\n", "+8613800001234\n"},
		{"nothing\n", "ERR not-a-number\n"},
		{"GB\t07700 900123\nGB\t0770", "+447700900123\n"},
		{"0 900124\n", "+447700900124\n"},
	} {
		if _, err := io.WriteString(ask, c.ask); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(c.want))
		if _, err := io.ReadFull(answers, got); err != nil || string(got) != c.want {
			t.Fatalf("%q: got %q, %v, want %q", c.ask, got, err, c.want)
		}
	}
	ask.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCanonicalLines: however the input arrives, each line has one answer and the long ones are refused.
func TestCanonicalLines(t *testing.T) {
	email := func(n int) string { return strings.Repeat("a", n-len("@b.example")) + "@b.example" }
	in := strings.Join([]string{
		"Ada@Example.com", email(maxFormLine), email(maxFormLine + 1), strings.Repeat("x", 5*maxFormLine), "", "b@example.com\r", strings.Repeat("\r", 70_000), "c@example.com",
	}, "\n")
	want := "ada@example.com\nERR too-long\nERR too-long\nERR too-long\nERR not-an-address\nb@example.com\nERR too-long\nc@example.com\n"
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(in), "bytes": iotest.OneByteReader(strings.NewReader(in)), "halves": iotest.HalfReader(strings.NewReader(in)),
		"error with data": iotest.DataErrReader(strings.NewReader(in)), "ended": strings.NewReader(in + "\n"),
	} {
		var out bytes.Buffer
		if err := (&former{kind: "email"}).copy(&out, r); err != nil || out.String() != want {
			t.Errorf("%s: got %q, %v, want %q", name, out.String(), err, want)
		}
	}
	var out bytes.Buffer
	err := (&former{kind: "email"}).copy(&out, io.MultiReader(strings.NewReader("a@example.com\nb"), iotest.ErrReader(io.ErrClosedPipe)))
	if err == nil || !strings.HasPrefix(out.String(), "a@example.com\n") {
		t.Errorf("got %q, %v, want the first answer and an error", out.String(), err)
	}
}

// FuzzCanonical: one answer a line, whatever the bytes.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"", "\n", "CN\t138 0000 1234\n", "a@b.example\r\n\x00", "\xff\t\xfe\n\t\t", "ZZ\t"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, phone bool) {
		kind := "email-folded"
		if phone {
			kind = "phone"
		}
		var whole, split bytes.Buffer
		if err := (&former{kind: kind}).copy(&whole, bytes.NewReader(in)); err != nil {
			t.Fatal(err)
		}
		if err := (&former{kind: kind}).copy(&split, iotest.OneByteReader(bytes.NewReader(in))); err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(in, []byte{'\n'})
		if len(in) > 0 && in[len(in)-1] != '\n' {
			lines++
		}
		if got := bytes.Count(whole.Bytes(), []byte{'\n'}); got != lines {
			t.Errorf("%d answers, want %d", got, lines)
		}
		if !bytes.Equal(whole.Bytes(), split.Bytes()) {
			t.Errorf("got %q in pieces, %q as a whole", split.Bytes(), whole.Bytes())
		}
	})
}

// FuzzJSON: a string reads back as the text, with U+FFFD for what is not UTF-8; and nothing that a terminal would obey
// is printed.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{"", "plain", `a"b\c`, "\x00\x1b[31m\x7f", "zoë 虚构 \U0001f600", "\xff\xc3", "\u202a+1\u202c", "\ufffd\u2028"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := string([]rune(string(text)))
		var got string
		line := appendJSON(nil, text)
		if err := json.Unmarshal(line, &got); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
		if bytes.ContainsAny(line, "\n\r\x1b\x7f") {
			t.Errorf("%q: %q holds a control character", text, line)
		}
		if p := appendPrintable(nil, text); bytes.ContainsAny(p, "\n\r\t\x1b\x7f\u009b\u202a\u2028") || !utf8.Valid(p) {
			t.Errorf("%q: %q would be obeyed by a terminal", text, p)
		}
	})
}
