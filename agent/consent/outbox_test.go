package consent_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func receipt(t testing.TB, m consent.Message) []byte {
	t.Helper()
	return consenttest.Receipt(t, m.Tuple.Controller, m, time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC))
}

// kinds describes an outbox in one line.
func kinds(out []consent.Message) string {
	var s []string
	for _, m := range out {
		k := string(m.Kind)
		if w, _, err := wire.Open[wire.Withdrawal](m.Body); err == nil && w.Clear {
			k += "+clear"
		}
		s = append(s, k)
	}
	return strings.Join(s, " ")
}

// What waits for the controller after each history. "ack" is the controller's receipt for all that waits.
func TestOutbox(t *testing.T) {
	for history, want := range map[string]string{
		"give":                                 "consent",
		"give erase":                           "consent erasure",
		"give ack":                             "",
		"give withdraw":                        "withdrawal",
		"give clear":                           "withdrawal+clear",
		"give ack withdraw":                    "withdrawal",
		"give ack erase withdraw":              "erasure withdrawal",
		"give ack erase clear":                 "withdrawal+clear",
		"give ack withdraw clear":              "withdrawal+clear",
		"give ack withdraw ack clear":          "withdrawal+clear",
		"give ack clear clear":                 "withdrawal+clear",
		"give ack clear ack clear":             "",
		"give ack withdraw withdraw":           "withdrawal",
		"give ack withdraw ack withdraw":       "",
		"give ack change give":                 "withdrawal consent",
		"give change give":                     "withdrawal consent",
		"give ack change give ack withdraw":    "withdrawal",
		"give ack change give ack clear":       "withdrawal+clear withdrawal+clear",
		"give expire":                          "",
		"give ack expire":                      "",
		"give ack expire clear":                "withdrawal+clear",
		"give ack withdraw ack give ack clear": "withdrawal+clear withdrawal+clear",
		"give ack withdraw ack late clear":     "", // the controller's retention is over
		"request refuse":                       "",
		"give ack erase ack erase":             "erasure",
	} {
		t.Run(history, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tu := b.tuple("contacts/find")
			for _, act := range strings.Fields(history) {
				switch act {
				case "give":
					b.give(tu)
				case "request":
					b.ok(b.Register.Request(tu, app))
				case "refuse":
					b.ok(b.Register.Refuse(tu, person))
				case "withdraw":
					b.ok(b.Register.Withdraw(tu, false, person))
				case "clear":
					b.ok(b.Register.Withdraw(tu, true, person))
				case "erase":
					_, err := b.Register.Erase(tu, person)
					b.ok(err)
				case "change":
					b.changeTerms()
				case "expire":
					b.clock.Add(366 * 24 * time.Hour)
					b.ok(b.Register.Sweep(b.clock.Now()))
				case "late":
					b.clock.Add(91 * 24 * time.Hour)
					b.ok(b.Register.Sweep(b.clock.Now()))
				case "ack":
					for _, m := range b.Register.Outbox("messenger") {
						b.ok(b.Register.Acknowledge("messenger", m.Seq, receipt(t, m)))
					}
				}
				b.clock.Add(time.Minute)
			}
			out := b.Register.Outbox("messenger")
			if got := kinds(out); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			for _, m := range out {
				if m.Tuple != tu || m.Consent.IsZero() || !strings.HasPrefix(m.Path, "/v1/") || m.Since.IsZero() {
					t.Errorf("message %+v", m)
				}
			}
			if !slices.IsSortedFunc(out, func(a, b consent.Message) int { return int(a.Seq) - int(b.Seq) }) {
				t.Error("not oldest first")
			}
			b.restart()
			if again := kinds(b.Register.Outbox("messenger")); again != want {
				t.Errorf("after a restart %q, want %q", again, want)
			}
		})
	}
}

// Only the controller's receipt for exactly this message ends its sending.
func TestReceiptMustAnswer(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	b.give(tu)
	m := b.Register.Outbox("messenger")[0]
	good := receipt(t, m)
	other := m
	other.Consent = wire.NewUUID()
	otherBody := m
	otherBody.Body = append(slices.Clone(m.Body), 0)
	withdrawn := m
	withdrawn.Kind = wire.MsgErasure
	for name, bad := range map[string][]byte{
		"empty": nil, "garbage": []byte("OK"), "cut": good[:len(good)-2], "flipped": append([]byte{good[0] ^ 1}, good[1:]...),
		"other controller": consenttest.Receipt(t, "payments", m, time.Now()), "other consent": receipt(t, other),
		"other body": receipt(t, otherBody), "other kind": receipt(t, withdrawn), "huge": make([]byte, 1<<20),
	} {
		if err := b.Register.Acknowledge("messenger", m.Seq, bad); !errors.Is(err, consent.ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Register.Acknowledge("messenger", m.Seq+1, good); !errors.Is(err, consent.ErrNoMessage) {
		t.Errorf("other message: %v", err)
	}
	if b.Register.Introduced(m.Consent) {
		t.Error("introduced before the receipt")
	}
	b.Register.Tried("messenger", m.Seq)
	if got := b.Register.Outbox("messenger"); len(got) != 1 || got[0].Attempts != 1 {
		t.Errorf("outbox %+v", got)
	}
	b.ok(b.Register.Acknowledge("messenger", m.Seq, good))
	if !b.Register.Introduced(m.Consent) {
		t.Error("not introduced after the receipt")
	}
	if err := b.Register.Acknowledge("messenger", m.Seq, good); !errors.Is(err, consent.ErrNoMessage) {
		t.Errorf("twice: %v", err)
	}
	b.restart()
	receipts, err := b.Register.Receipts("messenger")
	b.ok(err)
	if len(receipts) != 1 || receipts[0].Record.Event != consent.EventGiven || receipts[0].Receipt.Consent != m.Consent || string(receipts[0].Note) != string(good) {
		t.Errorf("receipts %+v", receipts)
	}
}

// The identity lives as long as something can be asked of the controller, and no longer.
func TestIdentityIsRetired(t *testing.T) {
	ack := func(b *bench) {
		for _, m := range b.Register.Outbox("messenger") {
			b.ok(b.Register.Acknowledge("messenger", m.Seq, receipt(b.t, m)))
		}
	}
	sweepAfter := func(b *bench, d time.Duration) {
		b.clock.Add(d)
		b.ok(b.Register.Sweep(b.clock.Now()))
	}
	for name, c := range map[string]struct {
		life func(*bench, policy.Tuple)
		left bool
	}{
		"cleared, no receipt":  {func(b *bench, tu policy.Tuple) { b.ok(b.Register.Withdraw(tu, true, person)) }, true},
		"cleared, receipt":     {func(b *bench, tu policy.Tuple) { b.ok(b.Register.Withdraw(tu, true, person)); ack(b) }, false},
		"not cleared, receipt": {func(b *bench, tu policy.Tuple) { b.ok(b.Register.Withdraw(tu, false, person)); ack(b) }, true},
		"not cleared, kept by them": {func(b *bench, tu policy.Tuple) {
			b.ok(b.Register.Withdraw(tu, false, person))
			ack(b)
			sweepAfter(b, 89*24*time.Hour)
		}, true},
		"not cleared, retention": {func(b *bench, tu policy.Tuple) {
			b.ok(b.Register.Withdraw(tu, false, person))
			ack(b)
			sweepAfter(b, 90*24*time.Hour)
		}, false},
		"retention, no receipt": {func(b *bench, tu policy.Tuple) {
			b.ok(b.Register.Withdraw(tu, false, person))
			sweepAfter(b, 900*24*time.Hour)
		}, true},
		"cleared late, receipt": {func(b *bench, tu policy.Tuple) {
			b.ok(b.Register.Withdraw(tu, false, person))
			ack(b)
			b.ok(b.Register.Withdraw(tu, true, person))
			ack(b)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tu := b.tuple("contacts/find")
			id := b.give(tu)
			ack(b)
			c.life(b, tu)
			if _, err := b.Ring.DataKey(id); err == nil {
				t.Error("the data key is still there")
			}
			if _, err := b.Ring.Identity(id); (err == nil) != c.left {
				t.Errorf("identity: %v", err)
			}
			b.restart()
			if _, err := b.Ring.Identity(id); (err == nil) != c.left {
				t.Errorf("identity after a restart: %v", err)
			}
		})
	}
}

// Where the controller keeps data until withdrawal, or until an event, the policy decides how long the identity is of use.
func TestIdentityAndEvents(t *testing.T) {
	for event, left := range map[policy.Event]bool{policy.UntilWithdrawn: false, policy.UntilAccountClosed: true} {
		b := setup(t)
		doc := consenttest.Document(t)
		for i := range doc.Categories {
			doc.Categories[i].Purposes[0].Kept = policy.Retention{Until: event}
		}
		b.doc = doc
		b.restart()
		tu := b.tuple("contacts/find")
		id := b.give(tu)
		b.ok(b.Register.Withdraw(tu, false, person))
		for _, m := range b.Register.Outbox("messenger") {
			b.ok(b.Register.Acknowledge("messenger", m.Seq, receipt(t, m)))
		}
		b.clock.Add(4000 * 24 * time.Hour)
		b.ok(b.Register.Sweep(b.clock.Now()))
		if _, err := b.Ring.Identity(id); (err == nil) != left {
			t.Errorf("%s: identity: %v", event, err)
		}
	}
}

func TestErase(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	before, err := b.Ring.DataKey(id)
	b.ok(err)
	b.ok(b.Ring.SetEpoch(id, []byte("epoch")))
	p, err := b.Register.Permit(tu)
	b.ok(err)
	ctx, cancel := b.Register.Context(t.Context(), id)
	defer cancel()
	var erased []wire.UUID
	b.Register.OnErased(func(id wire.UUID, _ policy.Tuple) { erased = append(erased, id) })
	request, err := b.Register.Erase(tu, person)
	b.ok(err)
	if context.Cause(ctx) == nil {
		t.Error("the request in flight goes on with what was erased")
	}
	if err := p.Check(); err != nil {
		t.Errorf("the consent goes on: %v", err)
	}
	after, err := b.Ring.DataKey(id)
	b.ok(err)
	if string(before) == string(after) {
		t.Error("the data key is the same")
	}
	if _, err := b.Ring.Epoch(id); err == nil {
		t.Error("the epoch is still there")
	}
	if !slices.Equal(erased, []wire.UUID{id}) {
		t.Errorf("told of %v", erased)
	}
	out := b.Register.Outbox("messenger")
	m, _, err := wire.Open[wire.Erasure](out[1].Body)
	b.ok(err)
	if m.ID != request || m.Consent != id || out[1].Path != "/v1/erasures/"+request.String() {
		t.Errorf("message %+v to %s", m, out[1].Path)
	}
	next, cancel2 := b.Register.Context(t.Context(), id)
	defer cancel2()
	if next.Err() != nil {
		t.Error("sending cannot go on")
	}
}
