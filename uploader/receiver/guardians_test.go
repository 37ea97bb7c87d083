package receiver_test

import (
	"bytes"
	"crypto/ed25519"
	"net/http"
	"testing"

	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// evidence is what comes with the consent of a minor of whom c is one tuple; nonce names the question.
func evidence(t *testing.T, m wire.Consent, nonce string, edit func(*wire.Question)) *wire.GuardianEvidence {
	t.Helper()
	q := wire.Question{
		Kind: wire.ApproveGrant, Subject: wire.HashOf([]byte("subject")), Controller: m.Controller, Category: m.Category, Purpose: m.Purpose,
		Notice: m.Notice, Lang: m.Lang, PolicyID: "example", PolicyVersion: 1, Policy: wire.HashOf([]byte("policy")), Nonce: wire.HashOf([]byte(nonce)),
		Expiry: m.Time + 3600,
	}
	if edit != nil {
		edit(&q)
	}
	question, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	a, err := wire.SignApproval(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32)), question)
	if err != nil {
		t.Fatal(err)
	}
	e := a.GuardianEvidence()
	return &e
}

// TestGuardianApprovals: where minors are expected a consent needs an approval of just this; anywhere a wrong one is refused; one approval
// is for one consent, also after that was cleared.
func TestGuardianApprovals(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{Guardians: true})
	put := func(c *receivertest.Client, m wire.Consent) receivertest.Answer {
		return c.Do(t.Context(), http.MethodPut, "/v1/consents/"+m.Consent.String(), c.Sign(t, m), "")
	}
	c := r.Client(t, "device", "service")
	m := c.Message()
	m.Lang = "en"
	if a := put(c, m); a.Problem() != wire.ProblemGuardian {
		t.Errorf("without an approval: %d %q", a.Status, a.Problem())
	}
	for name, edit := range map[string]func(*wire.Question){
		"of another purpose": func(q *wire.Question) { q.Purpose = "other" },
		"of another notice":  func(q *wire.Question) { q.Notice = wire.HashOf(nil) },
		"expired":            func(q *wire.Question) { q.Expiry = m.Time - 1 },
	} {
		wrong := m
		wrong.Guardian = evidence(t, m, name, edit)
		if a := put(c, wrong); a.Problem() != wire.ProblemGuardian {
			t.Errorf("%s: %d %q", name, a.Status, a.Problem())
		}
	}
	forged := m
	forged.Guardian = evidence(t, m, "forged", nil)
	forged.Guardian.Signature = bytes.Repeat([]byte{1}, 64)
	if a := put(c, forged); a.Problem() != wire.ProblemGuardian {
		t.Errorf("forged: %d %q", a.Status, a.Problem())
	}
	m.Guardian = evidence(t, m, "once", nil)
	for range 2 { // the same message again gets the same answer
		if a := put(c, m); a.Status != http.StatusOK {
			t.Fatalf("approved: %d %q", a.Status, a.Problem())
		}
	}
	again := func(when string) {
		other := r.Client(t, "device", "service")
		m2 := other.Message()
		m2.Lang, m2.Notice = "en", m.Notice
		m2.Guardian = m.Guardian
		if a := put(other, m2); a.Problem() != wire.ProblemGuardian {
			t.Errorf("used for another consent %s: %d %q", when, a.Status, a.Problem())
		}
	}
	again("at once")
	c.Withdraw(t, true)
	again("after it was cleared")
}
