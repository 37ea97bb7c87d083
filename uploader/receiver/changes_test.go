package receiver_test

import (
	"testing"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestHeldUpBatch: what was sent before an erasure, a correction or the closing of an account and comes after it is not stored, nor
// does it become so by coming again. What is sent afterwards is, and a batch that had been stored is confirmed as before.
func TestHeldUpBatch(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *receivertest.Client){
		"erasure of everything": func(t *testing.T, c *receivertest.Client) { c.Erase(t) },
		"erasure of an item that is not there yet": func(t *testing.T, c *receivertest.Client) {
			m := c.Case(wire.CaseErasure)
			m.Item = "p-3"
			if a := c.Ask(t, m); a.Reason != wire.ReasonNothingHeld {
				t.Errorf("answer %+v", a)
			}
			c.Receipt(t, c.PutCase(t, m)) // again, which counts once
		},
		"correction": func(t *testing.T, c *receivertest.Client) {
			m := c.Case(wire.CaseCorrection)
			m.Item, m.Fields = "p-3", map[string]any{"text": "second"}
			c.Ask(t, m)
		},
		"closing of the account": func(t *testing.T, c *receivertest.Client) { c.Ask(t, c.Case(wire.CaseClosure)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := receivertest.New(t, receivertest.Options{})
			c := r.Client(t, "posts", "moments")
			c.Give(t)
			first, before := c.Batch(t, post(r, "p-1", "one"))
			c.Receipt(t, c.PutBatchUnder(t, first.ID, before, 0))
			late, heldUp := c.Batch(t, post(r, "p-3", "three"))
			change(t, c)
			for range 2 {
				a := c.PutBatchUnder(t, late.ID, heldUp, 0)
				p, err := wire.DecodeProblem(a.Body)
				if err != nil || p.Kind() != wire.ProblemChanged || p.Changes != 1 {
					t.Fatalf("the late batch: %d %s, %v", a.Status, a.Body, err)
				}
			}
			for _, b := range r.Stored(t, c.Consent) {
				if b.ID == late.ID {
					t.Error("the late batch is stored")
				}
			}
			c.Receipt(t, c.PutBatchUnder(t, first.ID, before, 0))
			if c.PutBatchUnder(t, late.ID, heldUp, 2).Problem() != wire.ProblemChanged {
				t.Error("a number that has not come yet was taken")
			}
			if name != "closing of the account" { // after which nothing is sent
				c.Receipt(t, c.PutBatchUnder(t, late.ID, heldUp, 1))
			}
		})
	}
}

// TestChangesAreCountedPerConsent: another's changes, a complaint and a question count for nothing, nor does a refused message.
func TestChangesAreCountedPerConsent(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c, other := poster(t, r), poster(t, r)
	other.Erase(t)
	m := c.Case(wire.CaseComplaint)
	m.Text = "why?"
	c.Ask(t, m)
	c.Ask(t, c.Case(wire.CaseAccess))
	r.Faults.Next(receiver.Fault{On: "PUT /v1/erasures/", Status: 500})
	e := wire.Erasure{ID: wire.NewUUID(), Consent: c.Consent, Controller: string(c.Effective.Controller.ID), Time: r.Now().Unix()}
	if a := c.Do(t.Context(), "PUT", "/v1/erasures/"+e.ID.String(), c.Sign(t, e), ""); a.Status != 500 {
		t.Errorf("status %d", a.Status)
	}
	b, body := c.Batch(t, post(r, "p-4", "four"))
	c.Receipt(t, c.PutBatchUnder(t, b.ID, body, 0))
	for _, bad := range []string{"-1", "x", "", "9223372036854775808"} {
		a := c.Do(t.Context(), "PUT", "/v1/batches/"+b.ID.String()+"?"+wire.ChangesParameter+"="+bad, body, "zstd")
		if a.Problem() != wire.ProblemMalformed {
			t.Errorf("the number %q: %d %s", bad, a.Status, a.Body)
		}
	}
}
