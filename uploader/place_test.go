package uploader

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
)

// TestAControllerThatMoves: its own signed word is asked for before the first batch and daily; when it names another region or
// endpoint nothing of lane B leaves, lane A does, the state says why, and all of it leaves when it is back.
func TestAControllerThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{})
		id := h.give(t, h.tuple)
		h.store(t, h.tuple, 1)
		if _, err := h.Flush(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		home := h.far.metadata
		batches := func() int { return len(h.far.got("PUT /v1/batches/")) }
		before := batches()
		h.far.metadata.Region = "US"
		time.Sleep(placeEvery)
		for name, move := range map[string]func(){
			"another region":   func() { h.far.metadata.Region = "US" },
			"another endpoint": func() { h.far.metadata.Endpoint = "https://elsewhere.example.com" },
		} {
			h.far.metadata = home
			move()
			h.store(t, h.tuple, 1)
			for range 2 {
				if _, err := h.Flush(t.Context(), id); !errors.Is(err, ErrRegion) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if s := h.state(LaneB, id); !errors.Is(s.Err, ErrRegion) || time.Until(s.NextTry) < parkedWait/2 {
				t.Errorf("%s: state %+v", name, s)
			}
		}
		if n := batches(); n != before {
			t.Errorf("%d batches left for elsewhere", n-before)
		}
		other := consenttest.Tuple(t, h.doc, "contacts", "find")
		h.give(t, other)
		if err := h.desk.Register.Withdraw(other, true, consenttest.Person); err != nil {
			t.Fatal(err)
		}
		if err := h.Deliver(t.Context(), "messenger"); err != nil {
			t.Error("lane A:", err)
		}
		h.far.metadata = home
		if r, err := h.Flush(t.Context(), id); err != nil || r.Reports != 2 {
			t.Errorf("back again: %+v, %v", r, err)
		}
		h.server.Close()
	})
}

// TestResident: a policy that sends a category out of its region sends nothing, whoever let it through.
func TestResident(t *testing.T) {
	h := newHouse(t, Options{})
	for i := range h.doc.Categories {
		if h.doc.Categories[i].ID == h.tuple.Category {
			h.doc.Categories[i].Residency = "SG"
		}
	}
	if err := h.resident(h.tuple); !errors.Is(err, ErrRegion) {
		t.Errorf("got %v", err)
	}
}
