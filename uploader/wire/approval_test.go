package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
)

var guardianKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

func someQuestion() Question {
	return Question{
		Kind: ApproveGrant, Subject: HashOf([]byte("s")), Controller: "messenger", Category: "steps", Purpose: "compare",
		Notice: HashOf([]byte("text")), Lang: "en", PolicyID: "example", PolicyVersion: 1, Policy: HashOf([]byte("p")), Nonce: HashOf([]byte("n")), Expiry: 2000,
	}
}

func mustEncode(t testing.TB, q Question) []byte {
	t.Helper()
	b, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustApprove(t testing.TB, q Question) Approval {
	t.Helper()
	a, err := SignApproval(guardianKey, mustEncode(t, q))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestApproval(t *testing.T) {
	a := mustApprove(t, someQuestion())
	if q, err := a.Verify(guardianKey.Public().(ed25519.PublicKey)); err != nil || q.Purpose != "compare" {
		t.Fatal(q, err)
	}
	text, err := EncodeApproval(a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeApproval("  " + text[:30] + "\n" + text[30:] + "\n")
	if err != nil || !bytes.Equal(again.Signature, a.Signature) {
		t.Error("the text wrapped by a mail program is not read:", err)
	}
	for name, spoil := range map[string]func(*Approval){
		"another question":    func(a *Approval) { q := someQuestion(); q.Purpose = "other"; a.Question = mustEncode(t, q) },
		"another derived key": func(a *Approval) { a.Derived = guardianKey.Public().(ed25519.PublicKey) },
		"no evidence":         func(a *Approval) { a.Evidence = nil },
		"another evidence":    func(a *Approval) { a.Evidence = bytes.Repeat([]byte{1}, 64) },
		"another signature":   func(a *Approval) { a.Signature = a.Evidence },
	} {
		b := a
		spoil(&b)
		if _, err := b.Verify(guardianKey.Public().(ed25519.PublicKey)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.Verify(someKey.Public().(ed25519.PublicKey)); !errors.Is(err, ErrMalformed) {
		t.Error("another guardian:", err)
	}
}

// TestEvidenceLinksNothing: what a controller is shown of two answers of one guardian has nothing in common that came from them.
func TestEvidenceLinksNothing(t *testing.T) {
	q := someQuestion()
	q.Subject, q.Nonce = HashOf([]byte("other s")), HashOf([]byte("other n"))
	one, two := mustApprove(t, someQuestion()).GuardianEvidence(), mustApprove(t, q).GuardianEvidence()
	public := guardianKey.Public().(ed25519.PublicKey)
	if bytes.Equal(one.Derived, two.Derived) || bytes.Equal(one.Derived, public) {
		t.Error("the key shown to a controller is not of one answer alone")
	}
	for _, e := range []GuardianEvidence{one, two} {
		b, err := Marshal(e)
		if err != nil || bytes.Contains(b, public) {
			t.Error("the guardian's key is shown:", err)
		}
	}
}

func TestEvidenceAnswers(t *testing.T) {
	e := mustApprove(t, someQuestion()).GuardianEvidence()
	right := Consent{Controller: "messenger", Category: "steps", Purpose: "compare", Notice: HashOf([]byte("text")), Lang: "en", Time: 2000}
	if err := e.Answers(right); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Consent){
		"another controller": func(c *Consent) { c.Controller = "payments" },
		"another purpose":    func(c *Consent) { c.Purpose = "advertising" },
		"another category":   func(c *Consent) { c.Category = "location" },
		"another notice":     func(c *Consent) { c.Notice = HashOf(nil) },
		"another language":   func(c *Consent) { c.Lang = "zh-CN" },
		"too late":           func(c *Consent) { c.Time = 2001 },
	} {
		c := right
		spoil(&c)
		if err := e.Answers(c); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuestionIncomplete(t *testing.T) {
	for name, spoil := range map[string]func(*Question){
		"no nonce":              func(q *Question) { q.Nonce = Hash{} },
		"no subject":            func(q *Question) { q.Subject = Hash{} },
		"no end":                func(q *Question) { q.Expiry = 0 },
		"no notice":             func(q *Question) { q.Notice = Hash{} },
		"a band":                func(q *Question) { q.Band = "18+" },
		"another kind":          func(q *Question) { q.Kind = "everything" },
		"a purpose of a policy": func(q *Question) { q.Kind = ApprovePolicy },
		"an escape sequence":    func(q *Question) { q.Purpose = "\x1b[2J" },
		"erasure of a grant":    func(q *Question) { q.Clear = true },
	} {
		q := someQuestion()
		spoil(&q)
		if _, err := q.Encode(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGuardianKey(t *testing.T) {
	secret, public := NewGuardianKey()
	key, err := ParseGuardianSecret(secret + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseGuardianKey(" " + public); err != nil || !got.Equal(key.Public()) {
		t.Error(err)
	}
	for _, bad := range []string{"", secret, public[:len(public)-2], "scruple-guardian-key:" + strings.Repeat("A", 43)} {
		if _, err := ParseGuardianKey(bad); !errors.Is(err, ErrMalformed) || strings.Contains(err.Error(), secret[30:]) {
			t.Errorf("a bad key: %v", err)
		}
	}
}

func FuzzQuestion(f *testing.F) {
	f.Add(mustEncode(f, someQuestion()))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := DecodeQuestion(b)
		if err != nil {
			return
		}
		if again, err := q.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x (%v)", b, again, err)
		}
		a, err := SignApproval(guardianKey, b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Verify(guardianKey.Public().(ed25519.PublicKey)); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzApprovalText(f *testing.F) {
	q := someQuestion()
	request, err := EncodeRequest(ApprovalRequest{Question: mustEncode(f, q), Notice: "text", Device: HashOf([]byte("d"))})
	f.Add(string(mustBytes(f, []byte(request), err)))
	approval, err := EncodeApproval(mustApprove(f, q))
	f.Add(string(mustBytes(f, []byte(approval), err)))
	f.Add("scruple-request:AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if r, q, err := DecodeRequest(text); err == nil {
			if r.Notice != "" && HashOf([]byte(r.Notice)) != q.Notice {
				t.Fatal("another notice")
			}
			if again, err := EncodeRequest(r); err != nil || again != strings.Join(strings.Fields(text), "") {
				t.Fatal("a request reads in two ways")
			}
		}
		if a, err := DecodeApproval(text); err == nil {
			if again, err := EncodeApproval(a); err != nil || again != strings.Join(strings.Fields(text), "") {
				t.Fatal("an approval reads in two ways")
			}
			_, _ = a.Verify(guardianKey.Public().(ed25519.PublicKey))
		}
	})
}
