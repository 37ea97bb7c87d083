package receiver_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func post(r *receivertest.Receiver, item, text string) wire.Item {
	return wire.Item{Time: r.Now().Unix(), Fields: map[string]any{"item": item, "kind": "post", "text": text}}
}

// poster is somebody who has posted two things.
func poster(t *testing.T, r *receivertest.Receiver) *receivertest.Client {
	t.Helper()
	c := r.Client(t, "posts", "moments")
	c.Give(t)
	c.Receipt(t, c.Send(t, post(r, "p-1", "one"), post(r, "p-2", "two")))
	return c
}

// texts are what is stored of the items of a client, as "item=text".
func texts(t *testing.T, r *receivertest.Receiver, c *receivertest.Client) (out []string) {
	t.Helper()
	for _, b := range r.Stored(t, c.Consent) {
		for _, it := range b.Batch.Items {
			out = append(out, it.Fields["item"].(string)+"="+it.Fields["text"].(string))
		}
	}
	return out
}

func TestCorrectionChangesWhatIsStored(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := poster(t, r)
	m := c.Case(wire.CaseCorrection)
	m.Item, m.Fields = "p-2", map[string]any{"text": "second"}
	a := c.Ask(t, m)
	if a.State != wire.CaseDone || a.Reason != wire.ReasonFulfilled || a.Items != 1 {
		t.Errorf("answer %+v", a)
	}
	if got, want := texts(t, r, c), []string{"p-1=one", "p-2=second"}; !reflect.DeepEqual(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
	if again := c.Receipt(t, c.PutCase(t, m)); again.Kind != wire.ReceiptCase {
		t.Errorf("the same case again: %+v", again)
	}
	m.Fields["text"] = "other"
	if got := c.PutCase(t, m).Problem(); got != wire.ProblemBodyDiffers {
		t.Errorf("the same id with another message: %q", got)
	}
}

// TestCasesThatAreRefused: each with the reason, signed, and nothing is changed.
func TestCasesThatAreRefused(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	account := r.Client(t, "profile", "account")
	account.Give(t)
	account.Receipt(t, account.Send(t, wire.Item{Time: r.Now().Unix(), Fields: map[string]any{"nickname": "n", "account-id": "a-1", "qr-code": "q-1"}}))
	posts, device := poster(t, r), r.Client(t, "device", "service")
	device.Give(t)
	device.Receipt(t, device.Send(t, wire.Item{Time: r.Now().Unix(), Fields: map[string]any{"model": "m"}}))
	for name, c := range map[string]struct {
		by     *receivertest.Client
		change func(*wire.Case)
		want   wire.CaseReason
	}{
		"correct an immutable field": {account, func(m *wire.Case) { m.Kind, m.Fields = wire.CaseCorrection, map[string]any{"account-id": "a-2"} }, wire.ReasonImmutable},
		"erase an immutable field":   {account, func(m *wire.Case) { m.Names = []string{"qr-code"} }, wire.ReasonImmutable},
		"rename an item":             {posts, func(m *wire.Case) { m.Kind, m.Fields = wire.CaseCorrection, map[string]any{"item": "p-3"} }, wire.ReasonImmutable},
		"correct what is undeclared": {posts, func(m *wire.Case) { m.Kind, m.Fields = wire.CaseCorrection, map[string]any{"shoe-size": int64(44)} }, wire.ReasonUndeclared},
		"correct to another type":    {posts, func(m *wire.Case) { m.Kind, m.Fields = wire.CaseCorrection, map[string]any{"text": int64(44)} }, wire.ReasonInvalid},
		"correct to no choice":       {posts, func(m *wire.Case) { m.Kind, m.Fields = wire.CaseCorrection, map[string]any{"kind": "rant"} }, wire.ReasonInvalid},
		"correct another purpose": {posts, func(m *wire.Case) {
			m.Kind, m.Purpose, m.Fields = wire.CaseCorrection, "other", map[string]any{"text": "x"}
		}, wire.ReasonUndeclared},
		"correct what was measured": {device, func(m *wire.Case) { m.Kind, m.Fields = wire.CaseCorrection, map[string]any{"model": "x"} }, wire.ReasonNotCorrectable},
	} {
		m := c.by.Case(wire.CaseErasure)
		c.change(&m)
		if a := c.by.Ask(t, m); a.State != wire.CaseRefused || a.Reason != c.want || a.Items != 0 {
			t.Errorf("%s: %s %s, want refused %s", name, a.State, a.Reason, c.want)
		}
	}
	if got, want := texts(t, r, posts), []string{"p-1=one", "p-2=two"}; !reflect.DeepEqual(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// TestErasureOfAnItem: it goes, the other stays, and the erased words are in no file.
func TestErasureOfAnItem(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := poster(t, r)
	m := c.Case(wire.CaseErasure)
	m.Item = "p-1"
	if a := c.Ask(t, m); a.State != wire.CaseDone || a.Reason != wire.ReasonFulfilled || a.Items != 1 {
		t.Errorf("answer %+v", a)
	}
	if got, want := texts(t, r, c), []string{"p-2=two"}; !reflect.DeepEqual(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
	m.ID = wire.NewUUID()
	if a := c.Ask(t, m); a.Reason != wire.ReasonNothingHeld {
		t.Errorf("again: %s", a.Reason)
	}
	m.ID, m.Item, m.Names = wire.NewUUID(), "p-2", []string{"text"}
	if a := c.Ask(t, m); a.Items != 1 {
		t.Errorf("one field: %+v", a)
	}
	if f := r.Stored(t, c.Consent)[0].Batch.Items[0].Fields; f["text"] != nil || f["kind"] != "post" {
		t.Errorf("after erasing one field: %v", f)
	}
	m.ID, m.Item, m.Names = wire.NewUUID(), "", nil
	if a := c.Ask(t, m); a.Items != 1 || len(r.Stored(t, c.Consent)) != 0 {
		t.Errorf("all: %+v, and %d batches are left", a, len(r.Stored(t, c.Consent)))
	}
}

func TestErasureOfATimeRange(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "posts", "moments")
	c.Give(t)
	early, late := post(r, "p-1", "early"), post(r, "p-2", "late")
	early.Time -= 7200
	c.Receipt(t, c.Send(t, early, late))
	m := c.Case(wire.CaseErasure)
	m.From, m.Until = early.Time, late.Time-late.Time%3600
	if a := c.Ask(t, m); a.Items != 1 {
		t.Errorf("answer %+v", a)
	}
	if got, want := texts(t, r, c), []string{"p-2=late"}; !reflect.DeepEqual(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// TestErasureKeepsWhatIsImmutable: the rest of the profile goes, and the answer says why something was left.
func TestErasureKeepsWhatIsImmutable(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "profile", "account")
	c.Give(t)
	c.Receipt(t, c.Send(t, wire.Item{Time: r.Now().Unix(), Fields: map[string]any{"nickname": "n", "phone": "+1 202 555 0100", "account-id": "a-1"}}))
	if a := c.Ask(t, c.Case(wire.CaseErasure)); a.State != wire.CaseDone || a.Reason != wire.ReasonImmutableKept || a.Items != 1 {
		t.Errorf("answer %+v", a)
	}
	if got, want := r.Stored(t, c.Consent)[0].Batch.Items[0].Fields, map[string]any{"account-id": "a-1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
	if a := c.Ask(t, c.Case(wire.CaseErasure)); a.Reason != wire.ReasonImmutableKept || a.Items != 0 {
		t.Errorf("asked again: %+v, and it is still held", a)
	}
}

func TestAccountClosure(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := poster(t, r)
	if a := c.Ask(t, c.Case(wire.CaseClosure)); a.State != wire.CaseDone || a.Items != 2 {
		t.Errorf("answer %+v", a)
	}
	if n := len(r.Stored(t, c.Consent)); n != 0 {
		t.Errorf("%d batches after the closure", n)
	}
	for _, kind := range []wire.CaseKind{wire.CaseClosure, wire.CaseAccess, wire.CaseErasure} {
		if a := c.Ask(t, c.Case(kind)); a.State != wire.CaseRefused || a.Reason != wire.ReasonAccountClosed {
			t.Errorf("%s after the closure: %s %s", kind, a.State, a.Reason)
		}
	}
}

// TestComplaint: the clock starts with the receipt, the words are sealed, reading and answering them is recorded, and what is answered
// stays answered.
func TestComplaint(t *testing.T) {
	const canary = "CANARY they never answer"
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	c := poster(t, r)
	m := c.Case(wire.CaseComplaint)
	m.Text = canary
	a := c.Ask(t, m)
	if a.State != wire.CaseReceived || !a.Due.Equal(a.Received.Add(30*24*time.Hour)) || !a.Received.Equal(clock.Now()) {
		t.Errorf("answer %+v", a)
	}
	db, err := os.ReadFile(filepath.Join(r.Dir, receiver.DatabaseFile))
	if err != nil || bytes.Contains(db, []byte(canary)) {
		t.Errorf("the words lie open in the database: %v", err)
	}
	clock.Advance(31 * 24 * time.Hour)
	list, err := r.Store.Cases(t.Context())
	if err != nil || len(list) != 1 || !list[0].Overdue(clock.Now()) {
		t.Errorf("cases %+v, %v: want one, overdue", list, err)
	}
	signer, _, err := receiver.ReadNoteKey(filepath.Join(r.Dir, receiver.ControllerKey))
	if err != nil {
		t.Fatal(err)
	}
	who := receiver.Accessor{Who: "uid 1000", Command: "cases show", Now: clock.Now()}
	opened, err := r.Store.Case(t.Context(), m.ID, who)
	if err != nil || opened.Text != canary {
		t.Errorf("opened %q, %v", opened.Text, err)
	}
	reply := receiver.CaseReply{Reason: wire.ReasonJustified, Text: "You are right.\n您是对的。"}
	for name, bad := range map[string]receiver.CaseReply{
		"another reason": {Reason: wire.ReasonFulfilled, Text: "x"},
		"no words":       {Reason: wire.ReasonJustified},
		"escapes":        {Reason: wire.ReasonJustified, Text: "\x1b[2J"},
	} {
		if _, err := r.Store.AnswerCase(t.Context(), m.ID, bad, signer, who); !errors.Is(err, receiver.ErrCaseAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Store.AnswerCase(t.Context(), m.ID, reply, signer, who); err != nil {
		t.Fatal(err)
	}
	if got := c.CaseAnswer(t, m.ID); got.State != wire.CaseAnswered || got.Number != 2 || got.Text != reply.Text || got.Reason != wire.ReasonJustified {
		t.Errorf("answer %+v", got)
	}
	if _, err := r.Store.AnswerCase(t.Context(), m.ID, reply, signer, who); !errors.Is(err, receiver.ErrCaseFinal) {
		t.Errorf("a second final answer: %v", err)
	}
	accesses, err := r.Store.Accesses(t.Context())
	var lines []string
	for _, x := range accesses {
		lines = append(lines, x.What)
	}
	if all := strings.Join(lines, "\n"); err != nil || !strings.Contains(all, "case "+m.ID.String()) || !strings.Contains(all, "answered case "+m.ID.String()) {
		t.Errorf("record of accesses: %q, %v", lines, err)
	}
	clock.Advance(receiver.CasesKept + time.Hour)
	if _, err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, _ := r.Store.Cases(t.Context()); len(list) != 0 {
		t.Errorf("%d cases long after the answer", len(list))
	}
}

// TestCasesOfOthers: nobody asks about or files under what is another's, before a consent or with another's key.
func TestCasesOfOthers(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c, other := poster(t, r), poster(t, r)
	m := c.Case(wire.CaseAccess)
	c.Ask(t, m)
	if got := other.Do(t.Context(), http.MethodGet, "/v1/cases/"+m.ID.String(), nil, "").Problem(); got != wire.ProblemCaseUnknown {
		t.Errorf("another's case: %q", got)
	}
	stolen := other.Case(wire.CaseErasure)
	stolen.Consent = c.Consent
	if got := other.PutCase(t, stolen).Problem(); got != wire.ProblemConsentUnknown {
		t.Errorf("a case about another's consent: %q", got)
	}
	taken := other.Case(wire.CaseAccess)
	taken.ID = m.ID
	if got := other.PutCase(t, taken).Problem(); got != wire.ProblemCaseUnknown {
		t.Errorf("another's case id: %q", got)
	}
	elsewhere := c.Case(wire.CaseAccess)
	elsewhere.Controller = "payments"
	if got := c.PutCase(t, elsewhere).Problem(); got != wire.ProblemWrongController {
		t.Errorf("another controller's case: %q", got)
	}
	signed, err := wire.SignCase(c.Identity, c.Case(wire.CaseAccess))
	if err != nil {
		t.Fatal(err)
	}
	if got := other.Do(t.Context(), http.MethodPut, "/v1/cases/"+wire.NewUUID().String(), signed, "").Problem(); got != wire.ProblemMalformed {
		t.Errorf("a case signed with another key: %q", got)
	}
	stranger := r.Client(t, "posts", "moments")
	if got := stranger.PutCase(t, stranger.Case(wire.CaseAccess)).Problem(); got != wire.ProblemConsentUnknown {
		t.Errorf("a case without a consent: %q", got)
	}
	if got := len(texts(t, r, c)); got != 2 {
		t.Errorf("%d items, want both", got)
	}
}

// TestComplaintAfterWithdrawal: who has the key can still complain.
func TestComplaintAfterWithdrawal(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := poster(t, r)
	c.Withdraw(t, true)
	m := c.Case(wire.CaseComplaint)
	m.Text = "still waiting"
	if a := c.Ask(t, m); a.State != wire.CaseReceived {
		t.Errorf("answer %+v", a)
	}
	fix := c.Case(wire.CaseCorrection)
	fix.Fields = map[string]any{"text": "x"}
	if a := c.Ask(t, fix); a.Reason != wire.ReasonConsentEnded {
		t.Errorf("a correction after the withdrawal: %s", a.Reason)
	}
}

// TestManyCases: one key cannot fill the store; it is told to come later.
func TestManyCases(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	c := r.Client(t, "posts", "moments")
	c.Give(t)
	var a receivertest.Answer
	for range 257 {
		a = c.PutCase(t, c.Case(wire.CaseAccess))
	}
	if a.Problem() != wire.ProblemSlowDown || a.Header.Get("Retry-After") == "" {
		t.Errorf("the 257th case of a day: %d %q", a.Status, a.Problem())
	}
	clock.Advance(25 * time.Hour)
	c.Receipt(t, c.PutCase(t, c.Case(wire.CaseAccess)))
}
