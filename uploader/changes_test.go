package uploader

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// changed makes the controller take a batch only under the number of changes that number returns.
func (c *controller) changed(number func() uint64) {
	c.set(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !strings.HasPrefix(r.URL.Path, "/v1/batches/") {
			return false
		}
		want := number()
		if r.URL.Query().Get(wire.ChangesParameter) == fmt.Sprint(want) {
			return false
		}
		w.WriteHeader(wire.ProblemChanged.Status())
		fmt.Fprintf(w, `{"type":"%s","title":"no","status":409,"changes":%d}`, wire.ProblemBase+wire.ProblemChanged, want)
		return true
	})
}

// TestBatchHeldUpAcrossAnErasure: a batch is on its way while an erasure is made here and taken there. It is refused, and what is
// sent then is what the erasure has left, not what was held up. The number is learnt anew after a start.
func TestBatchHeldUpAcrossAnErasure(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	for _, value := range []string{"erased", "kept"} {
		storeValue(t, h.desk.Register, h.spool, h.tuple, 1, map[string]any{"value": value})
	}
	h.far.changed(func() uint64 {
		_, err := h.spool.Edit(id, func(it wire.Item) (map[string]any, bool) { return nil, it.Fields["value"] == "erased" })
		if err != nil {
			t.Error(err)
		}
		return 1
	})
	if r, err := h.Flush(t.Context(), id); err != nil || r.Reports != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	sent := h.far.got("PUT /v1/batches/")
	if len(sent) != 2 || bytes.Equal(sent[0].body, sent[1].body) {
		t.Fatalf("%d batches were sent, or twice the same", len(sent))
	}
	plain, err := wire.Decompress(sent[1].body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.DecodeBatch(plain)
	if err != nil || len(b.Items) != 1 || b.Items[0].Fields["value"] != "kept" {
		t.Errorf("sent after the erasure: %+v, %v", b.Items, err)
	}
	for _, restart := range []bool{false, true} {
		if restart {
			h.restart(t)
		}
		before := len(h.far.got("PUT /v1/batches/"))
		h.store(t, h.tuple, 1)
		if _, err := h.Flush(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		want := 1
		if restart {
			want = 2
		}
		if got := len(h.far.got("PUT /v1/batches/")) - before; got != want {
			t.Errorf("restart %v: %d requests, want %d", restart, got, want)
		}
	}
}

// TestChangesWithoutEnd: a controller that names another number each time is not followed for ever, and nothing is lost.
func TestChangesWithoutEnd(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	n := uint64(0)
	h.far.changed(func() uint64 { n++; return n })
	_, err := h.Flush(t.Context(), id)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Kind != wire.ProblemChanged {
		t.Errorf("Flush: %v", err)
	}
	if got := len(h.far.got("PUT /v1/batches/")); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
	if st := h.spool.Stats()[0]; st.Reports != 1 || len(st.Parked) != 0 {
		t.Errorf("spool: %+v", st)
	}
}

// TestHeldUpBatchIsNotStored: the same against the real receiver. What was held up comes after the erasure, twice.
func TestHeldUpBatchIsNotStored(t *testing.T) {
	far := receivertest.New(t, receivertest.Options{})
	h := realHouse(t, far)
	id := h.give(t, h.tuple)
	h.model(t, 1)
	far.Faults.Next(receiver.Fault{On: "PUT /v1/batches/", CutRequest: true})
	if _, err := h.Flush(t.Context(), id); err == nil {
		t.Fatal("the request was not held up")
	}
	heldUp, err := h.spool.Next(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.desk.Register.Erase(h.tuple, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.spool.Erase(id), h.Deliver(t.Context(), "messenger")); err != nil {
		t.Fatal(err)
	}
	c, err := h.client("messenger", id)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for range 2 {
		_, _, _, err := c.confirm(t.Context(), "/v1/batches/"+heldUp.ID.String(), heldUp.Body, "zstd", wire.ReceiptBatch, id)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Kind != wire.ProblemChanged {
			t.Errorf("the batch that was held up: %v", err)
		}
	}
	h.model(t, 2)
	if _, err := h.Flush(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := h.models(t, id); !slices.Equal(got, []string{"Example 2"}) {
		t.Errorf("the receiver holds %v", got)
	}
}
