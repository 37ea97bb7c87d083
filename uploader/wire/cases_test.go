package wire

import (
	"crypto/ed25519"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

func caseOf(kind CaseKind) Case {
	c := Case{
		ID: NewUUID(), Consent: NewUUID(), Controller: "messenger", Kind: kind, Category: "posts", Purpose: "moments", Time: 1_790_000_000,
	}
	switch kind {
	case CaseComplaint:
		c.Text = "nobody answers\n没有人答复"
	case CaseCorrection:
		c.Item, c.Fields = "p-1", map[string]any{"text": "new", "n": int64(3), "on": true, "list": []string{"a", "b"}, "raw": []byte{1, 2}}
	case CaseErasure:
		c.Item, c.Names, c.From, c.Until = "p-1", []string{"media", "text"}, 5, 6
	}
	return c
}

func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32))) }

func TestCase(t *testing.T) {
	for _, kind := range CaseKinds {
		want := caseOf(kind)
		b, err := SignCase(testKey(), want)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		got, key, err := OpenCase(b)
		if err != nil || !key.Equal(testKey().Public()) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v, %v", kind, got, want, err)
		}
		if _, _, err := Open[Withdrawal](b); err == nil {
			t.Errorf("%s: taken for a withdrawal", kind)
		}
		for i := range b {
			damaged := append([]byte{}, b...)
			damaged[i] ^= 1
			if _, _, err := OpenCase(damaged); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s with byte %d changed: %v", kind, i, err)
			}
		}
	}
}

func TestCaseRefusesWhatDoesNotBelong(t *testing.T) {
	for name, spoil := range map[string]func(*Case){
		"no id":                     func(c *Case) { c.ID = UUID{} },
		"no consent":                func(c *Case) { c.Consent = UUID{} },
		"no controller":             func(c *Case) { c.Controller = "" },
		"unknown kind":              func(c *Case) { c.Kind = "praise" },
		"a complaint with fields":   func(c *Case) { c.Kind, c.Text, c.Names, c.From, c.Until = CaseComplaint, "x", nil, 0, 0 },
		"a complaint without words": func(c *Case) { *c = caseOf(CaseComplaint); c.Text = " \n" },
		"escape sequences":          func(c *Case) { *c = caseOf(CaseComplaint); c.Text = "\x1b[2J" },
		"escapes in a category":     func(c *Case) { c.Category = "posts\x1b[2J" },
		"a long text":               func(c *Case) { *c = caseOf(CaseComplaint); c.Text = strings.Repeat("x", MaxCaseText+1) },
		"an empty correction":       func(c *Case) { *c = caseOf(CaseCorrection); c.Fields = nil },
		"a float":                   func(c *Case) { *c = caseOf(CaseCorrection); c.Fields["n"] = 1.5 },
		"names out of order":        func(c *Case) { c.Names = []string{"b", "a"} },
		"a name twice":              func(c *Case) { c.Names = []string{"a", "a"} },
		"an end before its begin":   func(c *Case) { c.From, c.Until = 7, 7 },
		"an access with a selector": func(c *Case) { c.Kind = CaseAccess },
		"a closure of one item":     func(c *Case) { c.Kind, c.Names, c.From, c.Until = CaseClosure, nil, 0, 0 },
		"a long item":               func(c *Case) { c.Item = strings.Repeat("i", MaxCaseItem+1) },
	} {
		c := caseOf(CaseErasure)
		if spoil(&c); true {
			if _, err := SignCase(testKey(), c); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v, want ErrMalformed", name, err)
			}
		}
	}
}

func TestCaseSelects(t *testing.T) {
	it := Item{Time: 7300, Fields: map[string]any{"item": "a", "text": "x"}}
	for _, c := range []struct {
		c    Case
		want bool
	}{
		{Case{}, true},
		{Case{Item: "a"}, true},
		{Case{Item: "b"}, false},
		{Case{From: 7300}, true},
		{Case{From: 10799}, true},
		{Case{From: 10800}, false},
		{Case{Until: 7200}, false},
		{Case{Until: 7201}, true},
		{Case{Item: "a", From: 1, Until: 7200}, false},
	} {
		// The device knows the second, the controller the hour: both select the same.
		for _, at := range []int64{7200, 7300, 10799} {
			it.Time = at
			if got := c.c.Selects(it); got != c.want {
				t.Errorf("%+v selects an item of %d: %v, want %v", c.c, at, got, c.want)
			}
		}
	}
}

func caseAnswer() CaseAnswer {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return CaseAnswer{
		Controller: "messenger", Case: NewUUID(), Consent: NewUUID(), Message: HashOf([]byte("m")), Number: 2, State: CaseAnswered,
		Reason: ReasonJustified, Received: at, Due: at.Add(CaseTime), Time: at.Add(time.Hour), Items: 3, Text: "We were wrong.\n\n> 我们错了。",
	}
}

func TestCaseAnswer(t *testing.T) {
	signerKey, verifier, err := note.GenerateKey(nil, "messenger.example.com")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(signerKey)
	if err != nil {
		t.Fatal(err)
	}
	received := caseAnswer()
	received.State, received.Reason, received.Text, received.Items = CaseReceived, "", "", 0
	for _, want := range []CaseAnswer{caseAnswer(), received} {
		b, err := SignCaseAnswer(want, signer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenCaseAnswer(b, verifier)
		if err != nil || got != want {
			t.Errorf("got %+v, want %+v, %v", got, want, err)
		}
		if err := got.Answers(want.Controller, want.Case, want.Consent, want.Message); err != nil {
			t.Error(err)
		}
		for _, err := range []error{
			got.Answers("payments", want.Case, want.Consent, want.Message), got.Answers(want.Controller, NewUUID(), want.Consent, want.Message),
			got.Answers(want.Controller, want.Case, NewUUID(), want.Message), got.Answers(want.Controller, want.Case, want.Consent, Hash{}),
		} {
			if !errors.Is(err, ErrCaseAnswer) {
				t.Errorf("an answer to something else is taken: %v", err)
			}
		}
		if _, err := OpenCaseAnswer([]byte(strings.Replace(string(b), "number 2", "number 3", 1)), verifier); !errors.Is(err, ErrCaseAnswer) {
			t.Errorf("a changed answer: %v", err)
		}
	}
	for name, spoil := range map[string]func(*CaseAnswer){
		"no number":             func(a *CaseAnswer) { a.Number = 0 },
		"no reason":             func(a *CaseAnswer) { a.Reason = "" },
		"a reason of its own":   func(a *CaseAnswer) { a.Reason = "because" },
		"a reason too early":    func(a *CaseAnswer) { a.State = CaseReceived },
		"escape sequences":      func(a *CaseAnswer) { a.Text = "\x1b[2J" },
		"a controller of lines": func(a *CaseAnswer) { a.Controller = "a\nb" },
		"less than nothing":     func(a *CaseAnswer) { a.Items = -1 },
	} {
		a := caseAnswer()
		spoil(&a)
		if _, err := SignCaseAnswer(a, signer); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

func FuzzOpenCase(f *testing.F) {
	for _, kind := range CaseKinds {
		b, err := SignCase(testKey(), caseOf(kind))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _, err := OpenCase(b)
		if err != nil {
			return
		}
		again, err := SignCase(testKey(), c)
		if err != nil {
			t.Fatalf("read, but cannot be written: %v", err)
		}
		if d, _, err := OpenCase(again); err != nil || !reflect.DeepEqual(c, d) {
			t.Fatalf("%+v became %+v: %v", c, d, err)
		}
	})
}

func FuzzParseCaseAnswer(f *testing.F) {
	f.Add(caseAnswer().note())
	f.Add(caseFirstLine + "\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if a, ok := parseCaseAnswer(text); ok && a.note() != text {
			t.Fatalf("%q is read as %q", text, a.note())
		}
	})
}
