package receiver_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// canary is a value that must be readable nowhere but in what is opened on purpose.
const canary = "canary-5d2f90c1"

var tester = receiver.Accessor{Who: "test", Command: "go test", Now: time.Unix(1, 0)}

func steps(at time.Time, total int64) wire.Item {
	return wire.Item{Time: at.Unix(), Fields: map[string]any{"total": total}}
}

func device(at time.Time, model string) wire.Item {
	return wire.Item{Time: at.Unix(), Fields: map[string]any{"model": model}}
}

func TestConsentThenBatchThenWithdrawal(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{Clock: receivertest.NewClock()}) // a message made twice is the same
	c := r.Client(t, "device", "service")

	if a := c.Send(t, device(r.Now(), canary)); a.Problem() != wire.ProblemConsentUnknown {
		t.Fatalf("batch before consent: got %d %q, want consent-unknown", a.Status, a.Problem())
	}
	if n := len(r.Holdings(t)); n != 0 {
		t.Fatalf("holdings before consent: got %d, want none", n)
	}

	given := c.Give(t)
	if err := given.Answers("messenger", wire.ReceiptConsent, c.Consent, wire.HashOf(c.Sign(t, c.Message()))); err != nil {
		t.Error(err)
	}
	b, body := c.Batch(t, device(r.Now(), canary))
	got := c.Receipt(t, c.PutBatch(t, b.ID, body))
	if err := got.Answers("messenger", wire.ReceiptBatch, c.Consent, wire.HashOf(body)); err != nil {
		t.Error(err)
	}
	list := r.Stored(t, c.Consent)
	if len(list) != 1 || list[0].ID != b.ID || list[0].Batch.Items[0].Fields["model"] != canary {
		t.Fatalf("stored: got %d batches, want the one sent", len(list))
	}

	withdrawn := c.Withdraw(t, false)
	if withdrawn.Kind != wire.ReceiptWithdrawal || withdrawn.Erased != 0 {
		t.Errorf("withdrawal without clear: got %s erased %d, want withdrawal erased 0", withdrawn.Kind, withdrawn.Erased)
	}
	if a := c.Send(t, device(r.Now(), canary)); a.Problem() != wire.ProblemConsentWithdrawn {
		t.Errorf("batch after withdrawal: got %d %q, want consent-withdrawn", a.Status, a.Problem())
	}
	if a := c.PutBatch(t, b.ID, body); a.Problem() != wire.ProblemConsentWithdrawn {
		t.Errorf("the stored batch again after withdrawal: got %d %q, want consent-withdrawn", a.Status, a.Problem())
	}
	if n := len(r.Stored(t, c.Consent)); n != 1 {
		t.Errorf("stored after withdrawal without clear: got %d, want 1 until its retention ends", n)
	}

	cleared := c.Withdraw(t, true)
	if cleared.Kind != wire.ReceiptErasure || cleared.Erased != 1 {
		t.Errorf("clear: got %s erased %d, want erasure erased 1", cleared.Kind, cleared.Erased)
	}
	if n := len(r.Stored(t, c.Consent)); n != 0 {
		t.Errorf("stored after clear: got %d, want none", n)
	}
}

// Whatever the order in which a batch and the withdrawal of its consent arrive, nothing of it is left.
func TestWithdrawalInBothOrders(t *testing.T) {
	for name, batchFirst := range map[string]bool{"batch first": true, "withdrawal first": false} {
		t.Run(name, func(t *testing.T) {
			clock := receivertest.NewClock()
			r := receivertest.New(t, receivertest.Options{Clock: clock})
			c := r.Client(t, "steps", "compare")
			c.Give(t)
			b, body := c.Batch(t, steps(clock.Now(), 4321))
			if batchFirst {
				c.Receipt(t, c.PutBatch(t, b.ID, body))
			}
			c.Withdraw(t, true)
			for range 3 {
				if a := c.PutBatch(t, b.ID, body); a.Problem() != wire.ProblemConsentWithdrawn {
					t.Errorf("late batch: got %d %q, want consent-withdrawn", a.Status, a.Problem())
				}
				clock.Advance(2 * 365 * 24 * time.Hour)
				if _, err := r.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if a := c.PutConsent(t, c.Message()); a.Problem() != wire.ProblemConsentWithdrawn {
				t.Errorf("the consent again: got %d %q, want consent-withdrawn", a.Status, a.Problem())
			}
			h := r.Holdings(t)
			if len(h) != 1 || h[0].Status != receiver.StatusWithdrawn || h[0].Batches != 0 || h[0].Category != "" {
				t.Errorf("holdings: got %+v, want the tombstone alone", h)
			}
		})
	}
}

// Both at once, many times: the answer may be either, what is left may not.
func TestWithdrawalDuringBatches(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	for range 10 {
		c := r.Client(t, "steps", "compare")
		c.Give(t)
		var wg sync.WaitGroup
		for i := range 4 {
			b, body := c.Batch(t, steps(r.Now(), int64(i)))
			wg.Go(func() { c.PutBatch(t, b.ID, body) })
		}
		wg.Go(func() { c.Withdraw(t, true) })
		wg.Wait()
		if n := len(r.Stored(t, c.Consent)); n != 0 {
			t.Fatalf("stored after clear: got %d, want none", n)
		}
	}
}

func TestWithdrawalOfAnUnknownConsent(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	got := c.Withdraw(t, true)
	if got.Kind != wire.ReceiptErasure || got.Erased != 0 {
		t.Errorf("got %s erased %d, want erasure erased 0", got.Kind, got.Erased)
	}
	if a := c.PutConsent(t, c.Message()); a.Problem() != wire.ProblemConsentWithdrawn {
		t.Errorf("consent that comes after its withdrawal: got %d %q, want consent-withdrawn", a.Status, a.Problem())
	}
}

func TestSameMessageSameAnswer(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	c := r.Client(t, "steps", "compare")
	consent, withdrawal := c.Message(), wire.Withdrawal{Consent: c.Consent, Controller: "messenger", Time: r.Now().Unix(), Clear: true}
	erasure := c.Sign(t, wire.Erasure{ID: wire.NewUUID(), Consent: c.Consent, Controller: "messenger", Time: 1})
	m, _, err := wire.Open[wire.Erasure](erasure)
	if err != nil {
		t.Fatal(err)
	}
	b, body := c.Batch(t, steps(r.Now(), 12))
	for _, step := range []struct {
		name string
		send func() receivertest.Answer
	}{
		{"consent", func() receivertest.Answer { return c.PutConsent(t, consent) }},
		{"batch", func() receivertest.Answer { return c.PutBatch(t, b.ID, body) }},
		{"erasure", func() receivertest.Answer {
			return c.Do(t.Context(), http.MethodPut, "/v1/erasures/"+m.ID.String(), erasure, "")
		}},
		{"batch that was erased", func() receivertest.Answer { return c.PutBatch(t, b.ID, body) }},
		{"withdrawal", func() receivertest.Answer { return c.PutWithdrawal(t, withdrawal) }},
	} {
		first := step.send()
		c.Receipt(t, first)
		clock.Advance(time.Hour)
		if again := step.send(); !bytes.Equal(again.Body, first.Body) || again.Status != first.Status {
			t.Errorf("%s again: got another answer than before", step.name)
		}
	}
	if n := len(r.Stored(t, c.Consent)); n != 0 {
		t.Errorf("stored: got %d, want none: the batch was erased", n)
	}
}

func TestOtherBytesUnderTheSameID(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	other := c.Message()
	other.Expiry--
	if a := c.PutConsent(t, other); a.Problem() != wire.ProblemBodyDiffers || a.Status != http.StatusConflict {
		t.Errorf("consent: got %d %q, want 409 body-differs", a.Status, a.Problem())
	}
	b, body := c.Batch(t, steps(r.Now(), 12))
	c.Receipt(t, c.PutBatch(t, b.ID, body))
	b.Items = []wire.Item{steps(r.Now(), 13)}
	if a := c.PutBatch(t, b.ID, receivertest.Pack(t, b)); a.Problem() != wire.ProblemBodyDiffers || a.Status != http.StatusConflict {
		t.Errorf("batch: got %d %q, want 409 body-differs", a.Status, a.Problem())
	}
	if got := r.Stored(t, c.Consent); len(got) != 1 || got[0].Batch.Items[0].Fields["total"] != int64(12) {
		t.Errorf("stored: want the first batch alone")
	}
}

func TestConsentRefusals(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	for name, tc := range map[string]struct {
		change func(*wire.Consent)
		want   wire.ProblemType
	}{
		"other controller":     {func(m *wire.Consent) { m.Controller = "payments" }, wire.ProblemWrongController},
		"undeclared category":  {func(m *wire.Consent) { m.Category = "mood" }, wire.ProblemPolicyMismatch},
		"undeclared purpose":   {func(m *wire.Consent) { m.Purpose = "advertising-of-others" }, wire.ProblemPolicyMismatch},
		"other subtree":        {func(m *wire.Consent) { m.Subtree[0]++ }, wire.ProblemPolicyMismatch},
		"expired":              {func(m *wire.Consent) { m.Time, m.Expiry = 1000, 2000 }, wire.ProblemConsentExpired},
		"expires now":          {func(m *wire.Consent) { m.Expiry = clock.Now().Unix() }, wire.ProblemConsentExpired},
		"before the epoch":     {func(m *wire.Consent) { m.Time = -5 }, wire.ProblemMalformed},
		"purpose of payments":  {func(m *wire.Consent) { m.Category, m.Purpose = paymentsTuple(t, r) }, wire.ProblemWrongController},
		"connection's address": {func(m *wire.Consent) { m.Category, m.Purpose = connectionTuple(r) }, wire.ProblemPolicyMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.Client(t, "steps", "compare")
			m := c.Message()
			m.Time = clock.Now().Add(-time.Hour).Unix()
			tc.change(&m)
			if a := c.PutConsent(t, m); a.Problem() != tc.want || a.Status != tc.want.Status() {
				t.Errorf("got %d %q, want %q", a.Status, a.Problem(), tc.want)
			}
			if a := c.Send(t, steps(r.Now(), 1)); a.Problem() != wire.ProblemConsentUnknown {
				t.Errorf("batch after a refused consent: got %q, want consent-unknown", a.Problem())
			}
		})
	}
}

func paymentsTuple(t *testing.T, r *receivertest.Receiver) (category, purpose string) {
	t.Helper()
	for _, tp := range r.Policy.Tuples("") {
		if tp.Controller == "payments" {
			return string(tp.Category), string(tp.Purpose)
		}
	}
	t.Fatal("the example policy has no purpose of payments")
	return "", ""
}

func connectionTuple(r *receivertest.Receiver) (category, purpose string) {
	for _, c := range r.Policy.Categories {
		if c.Source == policy.SourceConnection {
			return string(c.ID), string(c.Purposes[0].ID)
		}
	}
	return "address", "none"
}

func TestOneKeyOneTuple(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	other := r.Client(t, "device", "service").Message()
	if a := c.PutConsent(t, other); a.Problem() != wire.ProblemPolicyMismatch {
		t.Errorf("second purpose under one key: got %d %q, want policy-mismatch", a.Status, a.Problem())
	}
	c.Withdraw(t, true)
	c.Consent = wire.NewUUID()
	if a := c.PutConsent(t, c.Message()); a.Problem() != wire.ProblemConsentWithdrawn {
		t.Errorf("retired key: got %d %q, want consent-withdrawn", a.Status, a.Problem())
	}
}

// A person's consent is nobody else's: not to send under, not to withdraw, not to erase, and not to find out about.
func TestAnothersConsent(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	mine, theirs := r.Client(t, "steps", "compare"), r.Client(t, "steps", "compare")
	mine.Give(t)
	theirs.Give(t)
	mine.Receipt(t, mine.Send(t, steps(r.Now(), 7)))
	id := mine.Consent
	theirs.Consent = id

	if a := theirs.Send(t, steps(r.Now(), 8)); a.Problem() != wire.ProblemConsentUnknown {
		t.Errorf("batch: got %d %q, want consent-unknown", a.Status, a.Problem())
	}
	if a := theirs.PutConsent(t, theirs.Message()); a.Problem() != wire.ProblemConsentUnknown {
		t.Errorf("consent: got %d %q, want consent-unknown", a.Status, a.Problem())
	}
	if a := theirs.PutWithdrawal(t, wire.Withdrawal{Consent: id, Controller: "messenger", Clear: true}); a.Problem() != wire.ProblemConsentUnknown {
		t.Errorf("withdrawal: got %d %q, want consent-unknown", a.Status, a.Problem())
	}
	e := wire.Erasure{ID: wire.NewUUID(), Consent: id, Controller: "messenger"}
	if a := theirs.Do(t.Context(), http.MethodPut, "/v1/erasures/"+e.ID.String(), theirs.Sign(t, e), ""); a.Problem() != wire.ProblemConsentUnknown {
		t.Errorf("erasure: got %d %q, want consent-unknown", a.Status, a.Problem())
	}
	// Signed by the owner, but sent over another's connection.
	w := mine.Sign(t, wire.Withdrawal{Consent: id, Controller: "messenger", Clear: true})
	if a := theirs.Do(t.Context(), http.MethodPut, "/v1/consents/"+id.String()+"/withdrawal", w, ""); a.Problem() != wire.ProblemMalformed {
		t.Errorf("stolen message: got %d %q, want malformed", a.Status, a.Problem())
	}
	if n := len(r.Stored(t, id)); n != 1 {
		t.Errorf("stored: got %d, want the owner's batch untouched", n)
	}
	var shown struct {
		Consents []struct{ Batches []any }
	}
	a := theirs.Do(t.Context(), http.MethodGet, "/v1/data", nil, "")
	if err := json.Unmarshal(a.Body, &shown); err != nil || len(shown.Consents) != 1 || len(shown.Consents[0].Batches) != 0 {
		t.Errorf("data: got %s, want their own empty consent alone", a.Body)
	}
}

func TestBatchRefusals(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	ok := steps(clock.Now(), 12)
	for name, tc := range map[string]struct {
		change func(*wire.Batch)
		want   wire.ProblemType
	}{
		"other consent":    {func(b *wire.Batch) { b.Consent = wire.NewUUID() }, wire.ProblemConsentUnknown},
		"other subtree":    {func(b *wire.Batch) { b.Subtree[31]++ }, wire.ProblemPolicyMismatch},
		"undeclared field": {func(b *wire.Batch) { b.Items = append(b.Items, device(clock.Now(), canary)) }, wire.ProblemUndeclaredField},
		"value as a name": {func(b *wire.Batch) {
			b.Items[0].Fields = map[string]any{"total": int64(1), "call-12025550123": true}
		}, wire.ProblemUndeclaredField},
		"wrong type": {func(b *wire.Batch) { b.Items[0].Fields = map[string]any{"total": canary} }, wire.ProblemMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := c.Batch(t, wire.Item{Time: ok.Time, Fields: map[string]any{"total": int64(12)}})
			tc.change(&b)
			a := c.PutBatch(t, b.ID, receivertest.Pack(t, b))
			if a.Problem() != tc.want || a.Status != tc.want.Status() {
				t.Errorf("got %d %q, want %q", a.Status, a.Problem(), tc.want)
			}
			if bytes.Contains(a.Body, []byte(canary)) || bytes.Contains(a.Body, []byte("2025550123")) {
				t.Errorf("the refusal holds a value: %s", a.Body)
			}
		})
	}
	t.Run("other path", func(t *testing.T) {
		_, body := c.Batch(t, ok)
		if a := c.PutBatch(t, wire.NewUUID(), body); a.Problem() != wire.ProblemMalformed {
			t.Errorf("got %d %q, want malformed", a.Status, a.Problem())
		}
	})
	t.Run("expired", func(t *testing.T) {
		clock.Advance(c.Effective.Purpose.Expiry)
		if a := c.Send(t, ok); a.Problem() != wire.ProblemConsentExpired {
			t.Errorf("got %d %q, want consent-expired", a.Status, a.Problem())
		}
	})
	if n := len(r.Stored(t, c.Consent)); n != 0 {
		t.Errorf("stored: got %d, want nothing that was refused", n)
	}
}

// A device whose clock runs ahead, or a consent that claims to last longer than the policy lets it, prolongs nothing.
func TestExpiryIsThePolicys(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	c := r.Client(t, "steps", "compare")
	m := c.Message()
	m.Time, m.Expiry = m.Time+1<<31, m.Expiry+1<<31
	c.Receipt(t, c.PutConsent(t, m))
	clock.Advance(c.Effective.Purpose.Expiry)
	if a := c.Send(t, steps(clock.Now(), 1)); a.Problem() != wire.ProblemConsentExpired {
		t.Errorf("got %d %q, want consent-expired", a.Status, a.Problem())
	}
}

func TestAnalyticsLaneIsNotLaneB(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	for _, tp := range r.Policy.Tuples("") {
		e, err := r.Policy.Effective(tp.Category, tp.Purpose)
		if err != nil || e.Purpose.Lane != policy.LaneAnalytics || tp.Controller != "messenger" {
			continue
		}
		c := r.Client(t, tp.Category, tp.Purpose)
		c.Give(t)
		if a := c.Send(t, wire.Item{Fields: map[string]any{"x": int64(1)}}); a.Problem() != wire.ProblemPolicyMismatch {
			t.Errorf("%s: got %d %q, want policy-mismatch", tp, a.Status, a.Problem())
		}
		return
	}
	t.Fatal("the example policy has no analytics purpose")
}
