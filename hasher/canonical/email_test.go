package canonical

import (
	"bytes"
	"strings"
	"testing"
)

var emailForms = []struct {
	input, want string // the form, or the word of an error
	folded      string // "" if folding changes nothing
}{
	{"jane.doe@example.com", "jane.doe@example.com", ""},
	{" \tJane.Doe+News@Example.COM\r\n", "jane.doe+news@example.com", ""},
	{"\u202ajane@example.com\u202c\ufeff", "jane@example.com", ""},
	{"jane@example.com.", "jane@example.com", ""},
	{"\"a@b\"@example.com", "\"a@b\"@example.com", ""},
	{"o'hara_=/?^`{|}~!#$%&*-x@example.com", "o'hara_=/?^`{|}~!#$%&*-x@example.com", ""},
	{"jane@localhost", "jane@localhost", ""},
	{"A@b", "a@b", ""},
	{"T\u0308@example.com", "\u1e97@example.com", ""}, // the capital composes with nothing
	{"\u212aT\u0308A@example.com", "k\u1e97a@example.com", ""},
	{"JANE@EXAMPLE", "jane@example", ""},
	{"A@LONGER-EXAMPLE.COM", "a@longer-example.com", ""},
	{"a.Z[]{}@x0.9y", "a.z[]{}@x0.9y", ""},
	{"jane@1.a-b.example", "jane@1.a-b.example", ""},

	// gmail's rules, and only there.
	{"J.A.N.E@gmail.com", "j.a.n.e@gmail.com", "jane@gmail.com"},
	{"jane+x.y@Gmail.com", "jane+x.y@gmail.com", "jane@gmail.com"},
	{"jane@googlemail.com", "jane@googlemail.com", "jane@gmail.com"},
	{"jane@gmail.com", "jane@gmail.com", ""},
	{"+x@gmail.com", "+x@gmail.com", ""},
	{"...@googlemail.com", "...@googlemail.com", ""},
	{"j.ane+x@mail.gmail.com", "j.ane+x@mail.gmail.com", ""},

	// IDNA2008, non-transitional.
	{"info@B\u00fccher.example", "info@xn--bcher-kva.example", ""},
	{"info@xn--Bcher-KVA.example", "info@xn--bcher-kva.example", ""},
	{"info@fa\u00df.example", "info@xn--fa-hia.example", ""},
	{"info@\u4f8b\u5b50\u3002example", "info@xn--fsqu00a.example", ""},
	{"info@e\u0301xample.example", "info@xn--xample-9ua.example", ""},
	{"info@EXAMPLE\uff0eCOM", "info@example.com", ""},

	// A local part beyond ASCII: NFC, ASCII letters in lower case, no more.
	{"J\u00d6rg@example.com", "j\u00d6rg@example.com", ""},
	{"Jo\u0308rg@example.com", "j\u00f6rg@example.com", ""},
	{"\u212aai@example.com", "kai@example.com", ""},
	{"\u0130@example.com", "\u0130@example.com", ""},

	{"", "not-an-address", ""},
	{"jane", "not-an-address", ""},
	{"@example.com", "not-an-address", ""},
	{"jane doe@example.com", "not-an-address", ""},
	{"jane\x00@example.com", "not-an-address", ""},
	{"j\u00f6rg\u00a0x@example.com", "not-an-address", ""},
	{"j\xf6rg@example.com", "not-an-address", ""},
	{"jane@", "bad-domain", ""},
	{"jane@.", "bad-domain", ""},
	{"jane@example..com", "bad-domain", ""},
	{"jane@-example.com", "bad-domain", ""},
	{"jane@example-.com", "bad-domain", ""},
	{"jane@ex_ample.com", "bad-domain", ""},
	{"jane@example.-com", "bad-domain", ""},
	{"jane@abcdefg..example", "bad-domain", ""},
	{"jane@abcdefgh..example", "bad-domain", ""},
	{"jane\x7fdoe@example.com", "not-an-address", ""},
	{"jane@exam ple.com", "bad-domain", ""},
	{"jane@[192.0.2.1]", "bad-domain", ""},
	{"jane@xn--a.example", "bad-domain", ""},
	{"jane@\xff.example", "bad-domain", ""},
	{"jane@" + strings.Repeat("a", 64) + ".example", "bad-domain", ""},
	{strings.Repeat("a", 244) + "@example.com", "too-long", ""},
	{strings.Repeat("a", 242) + "@example.com", strings.Repeat("a", 242) + "@example.com", ""},
	{strings.Repeat("\u00fc", 1<<20) + "@example.com", "too-long", ""},
}

func TestAppendEmail(t *testing.T) {
	for _, c := range emailForms {
		got, err := AppendEmail([]byte("|"), []byte(c.input))
		if form := string(got) + Word(err); form != "|"+c.want {
			t.Errorf("%.60q: got %.60s, want %.60s", c.input, form, c.want)
		}
		if err != nil {
			continue
		}
		if again, err := AppendEmail(nil, got[1:]); err != nil || string(again) != c.want {
			t.Errorf("%.60q: the form is not its own form: %s, %v", c.input, again, err)
		}
	}
}

func TestAppendEmailFolded(t *testing.T) {
	for _, c := range emailForms {
		want, wantChanged := c.folded, true
		if want == "" {
			want, wantChanged = c.want, false
		}
		got, changed, err := AppendEmailFolded([]byte("|"), []byte(c.input))
		if form := string(got) + Word(err); form != "|"+want || changed != wantChanged {
			t.Errorf("%.60q: got %.60s changed %v, want %.60s %v", c.input, form, changed, want, wantChanged)
		}
	}
}

// TestPlainEmail puts every byte at every place of addresses of several lengths: what
// the quick way takes, it must take as the other does.
func TestPlainEmail(t *testing.T) {
	taken := 0
	for _, address := range []string{
		"j@ex.example", "jane@ex.co", "janedoes@x.example", "jane.doe@example.com", "jane.q.public@mail.example.com",
		"jane@a-b-c.example.net", strings.Repeat("j", 64) + "@" + strings.Repeat("mail.", 9) + "example.com",
	} {
		in := []byte(address)
		for i := range in {
			old := in[i]
			for c := range 256 {
				in[i] = byte(c)
				if comparePlain(t, in) {
					taken++
				}
			}
			in[i] = old
		}
	}
	if taken == 0 {
		t.Error("the quick way takes nothing")
	}
}

// comparePlain tells whether the quick way takes in.
func comparePlain(t *testing.T, in []byte) bool {
	t.Helper()
	got, ok := appendPlainEmail(append(make([]byte, 0, 512), '|'), in)
	if !ok {
		if string(got) != "|" {
			t.Fatalf("%q: refused, but left %q", in, got)
		}
		return false
	}
	if want, err := appendAnyEmail([]byte("|"), in); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%q: got %q, want %q, %v", in, got, want, err)
	}
	return true
}

func TestEmailAllocations(t *testing.T) {
	dst, in := make([]byte, 0, 64), []byte(" Jane.Doe+News@GoogleMail.COM ")
	if n := testing.AllocsPerRun(10, func() { dst, _ = AppendEmail(dst[:0], in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(10, func() { dst, _, _ = AppendEmailFolded(dst[:0], in) }); n != 0 {
		t.Errorf("%v allocations when folding", n)
	}
}

func FuzzAppendEmail(f *testing.F) {
	for _, c := range emailForms {
		if len(c.input) < 300 {
			f.Add([]byte(c.input))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		comparePlain(t, in)
		got, err := AppendEmail(nil, in)
		if err != nil {
			if Word(err) == "" || len(got) != 0 {
				t.Fatalf("error %v left %q", err, got)
			}
			return
		}
		if again, err := AppendEmail(nil, got); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("form %q is not its own form: %q, %v", got, again, err)
		}
		folded, changed, err := AppendEmailFolded(nil, in)
		if err != nil || changed == bytes.Equal(folded, got) {
			t.Fatalf("form %q folds to %q, changed %v, %v", got, folded, changed, err)
		}
	})
}
