package uploader

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/spool"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// realHouse is a house whose controller is the reference receiver.
func realHouse(t testing.TB, far *receivertest.Receiver) *house {
	t.Helper()
	h := &house{doc: far.Policy, desk: &consenttest.Desk{Dir: t.TempDir(), Key: make([]byte, 32)}, options: Options{Timeout: 10 * time.Second}}
	h.open(t)
	t.Cleanup(h.close)
	h.tuple = consenttest.Tuple(t, h.doc, "device", "service")
	return h
}

// model stores a device report whose model tells it from others.
func (h *house) model(t testing.TB, n int) {
	t.Helper()
	storeValue(t, h.desk.Register, h.spool, h.tuple, 1, map[string]any{"model": fmt.Sprintf("Example %d", n)})
}

// models returns what the receiver holds under a consent, as its person is told, sorted.
func (h *house) models(t testing.TB, id wire.UUID) []string {
	t.Helper()
	b, err := h.RemoteData(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Consents []struct {
			Consent receiver.Holding
			Batches []receiver.BatchJSON
		}
	}
	if err := json.Unmarshal(b, &data); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range data.Consents {
		for _, batch := range c.Batches {
			for _, it := range batch.Items {
				out = append(out, it.Fields["model"].(string))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestWithTheReceiver(t *testing.T) {
	far := receivertest.New(t, receivertest.Options{})
	h := realHouse(t, far)
	id := h.give(t, h.tuple)
	for n := range 3 {
		h.model(t, n)
	}
	if got, err := h.Flush(t.Context(), id); err != nil || got.Reports != 3 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got := h.models(t, id); !slices.Equal(got, []string{"Example 0", "Example 1", "Example 2"}) {
		t.Errorf("the receiver holds %v", got)
	}
	h.model(t, 3) // never sent
	if err := h.desk.Register.Withdraw(h.tuple, true, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Fatal(err)
	}
	receipts, err := h.desk.Register.Receipts("messenger")
	if err != nil || len(receipts) != 2 || receipts[1].Receipt.Kind != wire.ReceiptErasure || receipts[1].Receipt.Erased != 1 {
		t.Errorf("receipts: %+v, %v", receipts, err)
	}
	for _, held := range far.Holdings(t) {
		if held.Batches != 0 || held.Status != receiver.StatusWithdrawn {
			t.Errorf("the receiver still holds %+v", held)
		}
	}
}

// Every way in which the receiver can misbehave once: afterwards all is there, once.
func TestReceiverFaults(t *testing.T) {
	for name, fault := range map[string]receiver.Fault{
		"lost ack":       {LoseAck: true},
		"answer cut":     {CutAnswer: true},
		"request cut":    {CutRequest: true},
		"garbage":        {Garbage: true},
		"forged receipt": {Forge: []byte("scruple/receipt/1\n")},
		"404":            {Status: 404},
		"413":            {Status: 413},
		"500":            {Status: 500},
		"slow-down":      {Problem: wire.ProblemSlowDown, RetryAfter: time.Minute},
	} {
		for _, on := range []string{"PUT /v1/consents/", "PUT /v1/batches/"} {
			t.Run(name+" on "+on, func(t *testing.T) {
				far := receivertest.New(t, receivertest.Options{})
				h := realHouse(t, far)
				id := h.give(t, h.tuple)
				h.model(t, 1)
				fault.On = on
				far.Faults.Next(fault)
				if _, err := h.Flush(t.Context(), id); err == nil {
					t.Error("the fault went by unnoticed")
				}
				h.restart(t)
				h.model(t, 2)
				if _, err := h.Flush(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				if got := h.models(t, id); !slices.Equal(got, []string{"Example 1", "Example 2"}) {
					t.Errorf("the receiver holds %v", got)
				}
			})
		}
	}
}

// TestAnyFaults lets chance choose faults, restarts and a withdrawal: each report that was stored arrives once, and
// after the withdrawal's receipt nothing is held.
func TestAnyFaults(t *testing.T) {
	far := receivertest.New(t, receivertest.Options{})
	faults := []receiver.Fault{
		{LoseAck: true},
		{CutAnswer: true},
		{CutRequest: true},
		{Garbage: true},
		{Status: 400},
		{Status: 503},
		{Problem: wire.ProblemSlowDown},
		{Problem: wire.ProblemConsentUnknown},
	}
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		some := func() (list []receiver.Fault) {
			for range r.IntN(4) {
				list = append(list, faults[r.IntN(len(faults))])
			}
			return list
		}
		h := realHouse(t, far)
		id := h.give(t, h.tuple)
		var want []string
		for n := range 1 + r.IntN(6) {
			h.model(t, n)
			want = append(want, fmt.Sprintf("Example %d", n))
			far.Faults.Next(some()...)
			if _, err := h.Flush(t.Context(), id); err == nil && h.waiting(id) != 0 {
				t.Fatalf("seed %d: Flush reports success, but something waits", seed)
			}
			if r.IntN(2) == 0 {
				h.restart(t)
			}
		}
		far.Faults.Clear()
		if _, err := h.Flush(t.Context(), id); err != nil && !errors.Is(err, spool.ErrEmpty) {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got := h.models(t, id); !slices.Equal(got, want) {
			t.Fatalf("seed %d: the receiver holds %v, want %v", seed, got, want)
		}
		if err := h.desk.Register.Withdraw(h.tuple, true, consenttest.Person); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		far.Faults.Next(some()...)
		for h.Deliver(t.Context(), "messenger") != nil {
			h.restart(t)
		}
		if n := h.held(t, far, id); n != 0 {
			t.Fatalf("seed %d: %d batches are held after the erasure receipt", seed, n)
		}
		far.Faults.Clear()
	}
}

// held returns the number of batches held under a consent.
func (h *house) held(t testing.TB, far *receivertest.Receiver, id wire.UUID) int {
	t.Helper()
	for _, held := range far.Holdings(t) {
		if held.Consent == id {
			return held.Batches
		}
	}
	return 0
}

func TestExpiredCertificateAtTheReceiver(t *testing.T) {
	far := receivertest.New(t, receivertest.Options{NotAfter: time.Now().Add(-time.Hour)})
	h := realHouse(t, far)
	id := h.give(t, h.tuple)
	h.model(t, 1)
	if _, err := h.Flush(t.Context(), id); !errors.Is(err, ErrExpired) {
		t.Errorf("got %v, want ErrExpired", err)
	}
	if h.waiting(id) != 1 || len(h.desk.Register.Outbox("messenger")) != 1 {
		t.Error("something was lost")
	}
}

func TestJournalIsWhatArrived(t *testing.T) {
	far := receivertest.New(t, receivertest.Options{})
	h := realHouse(t, far)
	id := h.give(t, h.tuple)
	h.model(t, 1)
	preview, body, err := h.spool.Preview(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Flush(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	entries, err := h.journal.List()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(entries, func(e journal.Entry) bool { return e.Lane == LaneB })
	sent, err := h.journal.Body(entries[i].ID)
	if err != nil || !bytes.Equal(sent, body) || entries[i].Path != "/v1/batches/"+preview.ID.String() {
		t.Errorf("what left is not what was shown before: %+v, %v", entries[i], err)
	}
}

func TestEpochFromTheReceiver(t *testing.T) {
	far := receivertest.New(t, receivertest.Options{})
	h := realHouse(t, far)
	var contacts policy.Tuple
	for _, tuple := range h.doc.Tuples(consenttest.Subject) {
		if tuple.Category == "contacts" {
			contacts = tuple
		}
	}
	id := h.give(t, contacts)
	e, err := h.Epoch(t.Context(), id)
	if err != nil || len(e.Key) != 32 {
		t.Fatalf("got %v, %v", e, err)
	}
	// Another tuple of the same device is not given the key.
	other := h.give(t, h.tuple)
	if _, err := h.Epoch(t.Context(), other); err == nil {
		t.Error("the device tuple got the contacts epoch")
	}
}

func TestStateFolderHoldsNoValue(t *testing.T) {
	far := receivertest.New(t, receivertest.Options{})
	h := realHouse(t, far)
	id := h.give(t, h.tuple)
	storeValue(t, h.desk.Register, h.spool, h.tuple, 2, map[string]any{"model": "CanaryPhone"})
	far.Faults.Next(receiver.Fault{On: "PUT /v1/batches/", Status: 500})
	_, _ = h.Flush(t.Context(), id)
	for _, s := range h.State() {
		if s.LastError == "" && s.Lane == LaneB {
			t.Error("the failure is not shown")
		}
	}
	files, err := filepath.Glob(filepath.Join(h.desk.Dir, "*", "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte("CanaryPhone")) {
			t.Errorf("%s holds a value", f)
		}
	}
}
