package uploader

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/spool"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func TestConsentThenBatch(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 3)
	got, err := h.Flush(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	requests := h.far.got("PUT ")
	if len(requests) != 2 || !strings.HasPrefix(requests[0].line, "PUT /v1/consents/"+id.String()) || !strings.HasPrefix(requests[1].line, "PUT /v1/batches/") {
		t.Fatalf("requests: %v", requests)
	}
	if want := (Result{Batches: 1, Reports: 3, Bytes: int64(len(requests[1].body)), Matches: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := h.Flush(t.Context(), id); !errors.Is(err, spool.ErrEmpty) {
		t.Errorf("nothing left: got %v, want ErrEmpty", err)
	}
	// The journal has what the controller got, hash for hash.
	entries, err := h.journal.List()
	if err != nil || len(entries) != 2 {
		t.Fatalf("journal: %d entries, %v", len(entries), err)
	}
	for i, e := range entries {
		body, err := h.journal.Body(e.ID)
		if err != nil || !bytes.Equal(body, requests[i].body) || e.Hash != wire.HashOf(requests[i].body) || e.Status != 200 || e.Outcome != "" ||
			e.Method+" "+e.Path != requests[i].line || e.Lane != []Lane{LaneA, LaneB}[i] {
			t.Errorf("entry %d does not say what left: %+v, %v", i, e, err)
		}
	}
	if s := h.state(LaneB, id); s.LastSent.IsZero() || s.Waiting != 0 || s.LastError != "" || !s.NextTry.IsZero() {
		t.Errorf("state: %+v", s)
	}
}

// Whatever comes back that is not the receipt, a message of lane A stays and is shown.
func TestLaneAIsNeverDropped(t *testing.T) {
	private, _, err := note.GenerateKey(rand.Reader, host)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, Options{})
	status := func(code int) func(http.ResponseWriter, *http.Request, []byte) bool {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Location", "https://elsewhere.example.com/")
			w.WriteHeader(code)
			return true
		}
	}
	sign := func(by func() note.Signer, change func(*wire.Receipt)) func(http.ResponseWriter, *http.Request, []byte) bool {
		return func(w http.ResponseWriter, r *http.Request, body []byte) bool {
			receipt, err := wire.OpenReceipt(h.far.receipt(r.URL.Path, body), h.far.verifier)
			if err != nil {
				t.Error(err)
			}
			change(&receipt)
			b, err := wire.SignReceipt(receipt, by())
			if err != nil {
				t.Error(err)
			}
			w.Write(b)
			return true
		}
	}
	own := func() note.Signer { return h.far.signer }
	cases := map[string]struct {
		answer func(http.ResponseWriter, *http.Request, []byte) bool
		want   error
	}{
		"200 without a body": {status(200), ErrNoReceipt},
		"204":                {status(204), ErrNoReceipt},
		"200 with a page": {func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			io.WriteString(w, "<html>Welcome to our network</html>")
			return true
		}, ErrNoReceipt},
		"receipt of a stranger":         {sign(func() note.Signer { return stranger }, func(*wire.Receipt) {}), ErrNoReceipt},
		"receipt for other bytes":       {sign(own, func(r *wire.Receipt) { r.Body[0] ^= 1 }), ErrNoReceipt},
		"receipt for another consent":   {sign(own, func(r *wire.Receipt) { r.Consent = wire.NewUUID() }), ErrNoReceipt},
		"receipt of another kind":       {sign(own, func(r *wire.Receipt) { r.Kind = wire.ReceiptBatch }), ErrNoReceipt},
		"receipt of another controller": {sign(own, func(r *wire.Receipt) { r.Controller = "payments" }), ErrNoReceipt},
		"301":                           {status(301), ErrRedirect}, "307": {status(307), ErrRedirect}, "308": {status(308), ErrRedirect},
		"connection dropped": {func(http.ResponseWriter, *http.Request, []byte) bool { panic(http.ErrAbortHandler) }, ErrCut},
	}
	for _, code := range []int{400, 401, 403, 404, 409, 410, 413, 429, 500, 502, 503} {
		cases[http.StatusText(code)] = struct {
			answer func(http.ResponseWriter, *http.Request, []byte) bool
			want   error
		}{status(code), nil}
	}
	id := h.give(t, h.tuple)
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Fatal(err)
	}
	if err := h.desk.Register.Withdraw(h.tuple, true, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		h.far.set(c.answer)
		err := h.Deliver(t.Context(), "messenger")
		var refusal *Refusal
		if err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && !errors.As(err, &refusal) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if n := len(h.desk.Register.Outbox("messenger")); n != 1 {
			t.Fatalf("%s: %d messages wait, want 1", name, n)
		}
		if s := h.state(LaneA, id); s.Waiting != 1 || s.LastError == "" || s.Err == nil || s.NextTry.IsZero() || s.Failures == 0 {
			t.Errorf("%s: not visible: %+v", name, s)
		}
	}
	if got := h.far.got("GET"); len(got) != 0 {
		t.Errorf("a redirect was followed: %v", got)
	}
	h.restart(t)
	h.far.set(nil)
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Fatal(err)
	}
	if n := len(h.desk.Register.Outbox("messenger")); n != 0 {
		t.Errorf("%d messages wait", n)
	}
	bodies := map[string]bool{}
	for _, r := range h.far.got("PUT /v1/consents/" + id.String() + "/withdrawal") {
		bodies[string(r.body)] = true
	}
	if len(bodies) != 1 {
		t.Errorf("the withdrawal was sent with %d different bodies", len(bodies))
	}
}

func TestNoBatchBeforeTheIntroduction(t *testing.T) {
	h := newHouse(t, Options{})
	h.far.refuse("PUT /v1/consents/", wire.ProblemSlowDown, nil)
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	if _, err := h.Flush(t.Context(), id); err == nil {
		t.Error("Flush reports success")
	}
	due, _ := h.plan(time.Now().Add(1000 * time.Hour))
	for _, task := range due {
		if task.id.lane == LaneB {
			t.Error("lane B is due although the controller does not know the consent")
		}
	}
	if got := h.far.got("PUT /v1/batches/"); len(got) != 0 {
		t.Errorf("%d batches came", len(got))
	}
	if s := h.state(LaneB, id); s.Waiting != 1 || !s.NextTry.IsZero() || !errors.Is(s.Err, ErrNotIntroduced) {
		t.Errorf("state: %+v", s)
	}
}

// TestErasureBeforeWhatIsStoredLater: what is stored after the person has asked for an erasure is sent behind it, by hand and by
// itself, so that it is not erased with the rest.
func TestErasureBeforeWhatIsStoredLater(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	if _, err := h.Flush(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.far.refuse("PUT /v1/erasures/", wire.ProblemSlowDown, nil)
	if _, err := h.desk.Register.Erase(h.tuple, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	h.store(t, h.tuple, 1)
	if _, err := h.Flush(t.Context(), id); err == nil {
		t.Error("Flush reports success")
	}
	due, _ := h.plan(time.Now().Add(1000 * time.Hour))
	if slices.ContainsFunc(due, func(t *task) bool { return t.id.lane == LaneB }) {
		t.Error("lane B is due although an erasure waits")
	}
	if s := h.state(LaneB, id); s.Waiting != 1 || !s.NextTry.IsZero() || !errors.Is(s.Err, ErrBehind) {
		t.Errorf("state: %+v", s)
	}
	if got := h.far.got("PUT /v1/batches/"); len(got) != 1 {
		t.Errorf("%d batches came", len(got))
	}
	h.far.set(nil)
	if _, err := h.Flush(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	got := h.far.got("PUT ")
	if n := len(got); !strings.HasPrefix(got[n-2].line, "PUT /v1/erasures/") || !strings.HasPrefix(got[n-1].line, "PUT /v1/batches/") {
		t.Errorf("the last two requests were %s, %s", got[n-2].line, got[n-1].line)
	}
}

// filed is an outbox of cases that no controller ever confirms.
type filed struct {
	Outbox
	waiting []CaseMessage
}

func (f *filed) Waiting() []CaseMessage { return f.waiting }
func (f *filed) Tried(wire.UUID)        {}

// TestCaseBeforeWhatIsStoredLater: the same of a case that changes what the controller holds. A complaint keeps nothing back.
func TestCaseBeforeWhatIsStoredLater(t *testing.T) {
	cases := &filed{}
	h := newHouse(t, Options{Cases: cases})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	if _, err := h.Flush(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.store(t, h.tuple, 1)
	m := CaseMessage{ID: wire.NewUUID(), Consent: id, Controller: "messenger", Tuple: h.tuple, Body: []byte("signed"), Changes: true}
	cases.waiting = []CaseMessage{m}
	if _, err := h.Flush(t.Context(), id); !errors.Is(err, ErrBehind) || !errors.Is(err, ErrNoReceipt) {
		t.Errorf("Flush: %v", err)
	}
	if len(h.far.got("PUT /v1/cases/")) == 0 || len(h.far.got("PUT /v1/batches/")) != 1 {
		t.Error("the case was not tried first")
	}
	cases.waiting[0].Changes = false
	if r, err := h.Flush(t.Context(), id); err != nil || r.Batches != 1 {
		t.Errorf("behind a complaint: %+v, %v", r, err)
	}
}

func TestNothingLeavesWithoutConsent(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Fatal(err)
	}
	// Other terms: the consent stands no longer, but its reports are still there.
	changed := consenttest.Document(t)
	changed.Controllers = h.doc.Controllers
	changed.Categories[0].Purposes[0].Kept.For *= 2
	if err := h.desk.Register.SetPolicy(changed); err != nil {
		t.Fatal(err)
	}
	_, err := h.Flush(t.Context(), id)
	if !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("got %v, want ErrNotInForce", err)
	}
	err = h.work(t.Context(), h.task(taskID{LaneB, id}, "messenger", h.tuple), func(ctx context.Context, t *task) error {
		_, err := h.sendBatches(ctx, t)
		return err
	})
	if !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("got %v, want ErrNotInForce", err)
	}
	if got := h.far.got("PUT /v1/batches/"); len(got) != 0 {
		t.Errorf("%d batches came", len(got))
	}
	if h.waiting(id) != 1 {
		t.Error("the report is gone")
	}
	if s := h.state(LaneB, id); s.LastError == "" {
		t.Errorf("the reason is not shown: %+v", s)
	}
}

func TestWithdrawalStopsTheRequest(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	arrived := make(chan struct{})
	h.far.set(func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !strings.HasPrefix(r.URL.Path, "/v1/batches/") {
			return false
		}
		close(arrived)
		<-r.Context().Done() // the connection ends
		return true
	})
	done := make(chan error)
	go func() {
		_, err := h.Flush(t.Context(), id)
		done <- err
	}()
	<-arrived
	if err := h.desk.Register.Withdraw(h.tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, consent.ErrWithdrawn) {
		t.Errorf("got %v, want ErrWithdrawn", err)
	}
	h.far.set(nil)
	if _, err := h.Flush(t.Context(), id); !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("got %v, want ErrNotInForce", err)
	}
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Fatal(err)
	}
	if got := h.far.got("PUT /v1/batches/"); len(got) != 1 {
		t.Errorf("%d batches came, want the one that was cut", len(got))
	}
	entries, err := h.journal.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Kept || e.Path != "" {
			t.Errorf("the journal still has a body: %+v", e)
		}
	}
}

func TestLostAnswerIsSentAgainByteForByte(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 2)
	h.far.set(func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
		if strings.HasPrefix(r.URL.Path, "/v1/batches/") {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	for range 3 {
		if _, err := h.Flush(t.Context(), id); !errors.Is(err, ErrCut) {
			t.Errorf("got %v, want ErrCut", err)
		}
		h.store(t, h.tuple, 1)
		h.restart(t)
	}
	h.far.set(nil)
	got, err := h.Flush(t.Context(), id)
	if err != nil || got.Reports != 5 || got.Batches != 2 {
		t.Errorf("got %+v, %v, want 5 reports in 2 batches", got, err)
	}
	first := h.far.got("PUT /v1/batches/")
	for _, again := range first[:4] {
		if again.line != first[0].line || !bytes.Equal(again.body, first[0].body) {
			t.Error("the batch was not the same bytes under the same id")
		}
	}
}

func TestRefusals(t *testing.T) {
	for kind, parks := range map[wire.ProblemType]string{
		wire.ProblemUndeclaredField: "batch", wire.ProblemWrongEpoch: "batch", wire.ProblemBodyDiffers: "batch", wire.ProblemTooLarge: "batch",
		wire.ProblemMalformed: "batch", wire.ProblemConsentWithdrawn: "consent", wire.ProblemConsentExpired: "consent",
		wire.ProblemPolicyMismatch: "consent", wire.ProblemWrongController: "consent", wire.ProblemSlowDown: "", wire.ProblemChanged: "", "unheard-of": "",
	} {
		t.Run(string(kind), func(t *testing.T) {
			h := newHouse(t, Options{})
			id := h.give(t, h.tuple)
			h.store(t, h.tuple, 2)
			h.far.refuse("PUT /v1/batches/", kind, nil)
			_, err := h.Flush(t.Context(), id)
			var refusal *Refusal
			if !errors.As(err, &refusal) || kind != "unheard-of" && refusal.Kind != kind || !strings.Contains(err.Error(), "for a reason") {
				t.Fatalf("got %v, want the refusal", err)
			}
			st := h.spool.Stats()[0]
			state := h.state(LaneB, id)
			switch parks {
			case "batch":
				if !reflect.DeepEqual(st.Parked, map[string]int{string(kind): 2}) || st.Reports != 0 {
					t.Errorf("spool: %+v, want 2 parked reports", st)
				}
				h.far.set(nil)
				h.store(t, h.tuple, 1)
				if got, err := h.Flush(t.Context(), id); err != nil || got.Reports != 1 {
					t.Errorf("the next batch: %+v, %v", got, err)
				}
			case "consent":
				if st.Reports != 2 || len(st.Parked) != 0 || state.Parked != kind || time.Until(state.NextTry) < parkedWait/4 {
					t.Errorf("spool %+v, state %+v: want the consent parked", st, state)
				}
			default:
				if st.Reports != 2 || state.Parked != "" || state.LastError == "" || time.Until(state.NextTry) > topB {
					t.Errorf("spool %+v, state %+v: want a retry", st, state)
				}
			}
		})
	}
}

func TestForgottenConsentIsIntroducedAgain(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	known := 0
	h.far.set(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/v1/consents/") {
			known++
			return false
		}
		if known > 1 || r.URL.Path == "/v1/controller" {
			return false
		}
		w.WriteHeader(403)
		io.WriteString(w, `{"type":"urn:scruple:problem:consent-unknown"}`)
		return true
	})
	if got, err := h.Flush(t.Context(), id); err != nil || got.Reports != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	consents := h.far.got("PUT /v1/consents/")
	if len(consents) != 2 || !bytes.Equal(consents[0].body, consents[1].body) {
		t.Errorf("the consent was introduced %d times", len(consents))
	}
	if !bytes.Equal(consents[1].cert.RawSubjectPublicKeyInfo, h.far.got("PUT /v1/batches/")[0].cert.RawSubjectPublicKeyInfo) {
		t.Error("the consent was introduced under another pseudonym")
	}
	// A controller that never learns is not asked in a circle.
	known = -100
	h.store(t, h.tuple, 1)
	if _, err := h.Flush(t.Context(), id); err == nil {
		t.Error("Flush reports success")
	}
	if n := len(h.far.got("PUT ")); n > 8 {
		t.Errorf("%d requests in all", n)
	}
}

func TestAnalyticsIsNotSent(t *testing.T) {
	h := newHouse(t, Options{})
	h.doc.Categories[0].Purposes[0].Lane = policy.LaneAnalytics
	id := h.give(t, h.tuple)
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Fatal(err)
	}
	h.store(t, h.tuple, 1)
	if _, err := h.Flush(t.Context(), id); !errors.Is(err, ErrAtRandom) {
		t.Errorf("got %v, want ErrAtRandom", err)
	}
	if due, next := h.plan(time.Now()); len(due) != 0 || !next.IsZero() {
		t.Errorf("due %v, next %s", due, next)
	}
}

// What cannot be written down does not leave.
func TestNoJournalNoBatch(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Fatal(err)
	}
	h.store(t, h.tuple, 1)
	full := breakJournal(t, h)
	if _, err := h.Flush(t.Context(), id); err == nil {
		t.Error("Flush reports success")
	}
	if got := h.far.got("PUT /v1/batches/"); len(got) != 0 {
		t.Errorf("%d batches came", len(got))
	}
	// A withdrawal leaves all the same.
	if err := h.desk.Register.Withdraw(h.tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Errorf("withdrawal without a journal: %v", err)
	}
	full()
}

func TestEpoch(t *testing.T) {
	h := newHouse(t, Options{})
	tuple := consenttest.Tuple(t, h.doc, "contacts", "find")
	now := time.Now().Unix()
	epoch := wire.Epoch{ID: 1, NotBefore: now - 10, NotAfter: now + 1000, Mode: "keyed", Length: 16, Form: 1, Key: bytes.Repeat([]byte{9}, 32)}
	body := func(e wire.Epoch) []byte {
		b, err := wire.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	answer := body(epoch)
	h.far.set(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.URL.Path == "/v1/contacts/epoch" {
			w.Write(answer)
		}
		return r.URL.Path == "/v1/contacts/epoch"
	})
	if _, err := h.Epoch(t.Context(), wire.NewUUID()); !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("without consent: got %v, want ErrNotInForce", err)
	}
	id := h.give(t, tuple)
	for range 2 { // the second time it comes from the ring
		if got, err := h.Epoch(t.Context(), id); err != nil || !reflect.DeepEqual(got, epoch) {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if got := h.far.got(""); len(got) != 4 || !strings.HasPrefix(got[0].line, "PUT /v1/consents/") || got[1].line != "GET /v1/controller" ||
		!strings.HasPrefix(got[2].line, "GET /v1/consents/") || got[3].line != "GET /v1/contacts/epoch" {
		t.Errorf("requests: %v", got)
	}
	expired := epoch
	expired.NotAfter = now - 1
	if err := h.desk.Ring.SetEpoch(id, body(expired)); err != nil {
		t.Fatal(err)
	}
	epoch.ID = 2
	answer = body(epoch)
	if got, err := h.Epoch(t.Context(), id); err != nil || got.ID != 2 {
		t.Errorf("after the first expired: got %v, %v", got, err)
	}
	for name, bad := range map[string][]byte{
		"nothing": {}, "garbage": []byte("<html>"), "an expired one": body(expired), "a long one": make([]byte, 1<<20),
		"an unkeyed one": body(wire.Epoch{ID: 3, NotAfter: now + 9, Mode: "none", Length: 16, Key: make([]byte, 32)}),
	} {
		if err := h.desk.Ring.SetEpoch(id, body(expired)); err != nil {
			t.Fatal(err)
		}
		answer = bad
		if _, err := h.Epoch(t.Context(), id); !errors.Is(err, ErrGarbage) {
			t.Errorf("%s: got %v, want ErrGarbage", name, err)
		}
		if sealed, err := h.desk.Ring.Epoch(id); err != nil || !bytes.Equal(sealed, body(expired)) {
			t.Errorf("%s: the ring was changed", name)
		}
	}
	// A batch of digests of another epoch is set aside, and the new epoch fetched.
	answer = body(epoch)
	h.store(t, tuple, 1)
	h.far.set(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.Method == http.MethodGet {
			w.Write(answer)
			return true
		}
		w.WriteHeader(403)
		io.WriteString(w, `{"type":"urn:scruple:problem:wrong-epoch"}`)
		return true
	})
	if _, err := h.Flush(t.Context(), id); err == nil {
		t.Error("Flush reports success")
	}
	if sealed, err := h.desk.Ring.Epoch(id); err != nil || !bytes.Equal(sealed, answer) {
		t.Errorf("the new epoch is not in the ring: %v", err)
	}
	if err := h.desk.Register.Withdraw(tuple, true, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Epoch(t.Context(), id); !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("after withdrawal: got %v, want ErrNotInForce", err)
	}
	if _, err := h.desk.Ring.Epoch(id); err == nil {
		t.Error("the epoch key outlived the consent")
	}
}

func TestRemoteData(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.far.set(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if r.URL.Path == "/v1/data" {
			io.WriteString(w, `{"controller":"messenger"}`)
		}
		return r.URL.Path == "/v1/data"
	})
	if err := h.desk.Register.Withdraw(h.tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if got, err := h.RemoteData(t.Context(), id); err != nil || string(got) != `{"controller":"messenger"}` {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := h.RemoteData(t.Context(), wire.NewUUID()); err == nil {
		t.Error("data of a consent that nobody gave")
	}
}
