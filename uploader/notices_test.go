package uploader

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var errHeld = errors.New("held")

// notes is a memory of notices: nothing is verified, what comes stops the lanes.
type notes struct {
	mu   sync.Mutex
	n    uint64
	held bool
	next time.Time
}

func (b *notes) After(policy.ControllerID) uint64 { b.mu.Lock(); defer b.mu.Unlock(); return b.n }

func (b *notes) Take(_ policy.Controller, list []wire.NoticeBundle) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n += uint64(len(list))
	b.held = true
	return nil
}

func (b *notes) Next(policy.ControllerID) time.Time { b.mu.Lock(); defer b.mu.Unlock(); return b.next }

func (b *notes) SetNext(_ policy.ControllerID, at time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = at
	return nil
}

func (b *notes) Stopped(policy.ControllerID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held {
		return errHeld
	}
	return nil
}

func (b *notes) hold(held bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = held
}

// announces answers questions about notices with so many.
func announces(t *testing.T, list ...wire.NoticeBundle) func(http.ResponseWriter, *http.Request, []byte) bool {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !strings.HasPrefix(r.URL.Path, "/v1/notices") {
			return false
		}
		if r.URL.Query().Get("after") != "0" {
			list = nil
		}
		body, err := wire.EncodeNotices(list)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
		return true
	}
}

// TestNoticesAreAskedForRarely: about once a day while a consent is in force, about once a week after everything was withdrawn, not any
// more after the erasure was confirmed; also when the device is restarted every few hours.
func TestNoticesAreAskedForRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{Notices: &notes{}})
		h.far.set(announces(t))
		stop := h.start(t)
		asked := func(days int, restart bool) (n int) {
			before := len(h.far.got("GET /v1/notices"))
			for range days * 6 {
				time.Sleep(4 * time.Hour)
				if restart {
					stop()
					h.restart(t)
					stop = h.start(t)
				}
			}
			synctest.Wait()
			return len(h.far.got("GET /v1/notices")) - before
		}
		if n := asked(3, false); n != 0 {
			t.Errorf("asked %d times before any consent", n)
		}
		h.give(t, h.tuple)
		h.Kick()
		if n := asked(30, false); n < 15 || n > 61 {
			t.Errorf("asked %d times in 30 days", n)
		}
		if n := asked(30, true); n < 15 || n > 61 {
			t.Errorf("asked %d times in 30 days with a restart every four hours", n)
		}
		if err := h.desk.Register.Withdraw(h.tuple, false, consenttest.Person); err != nil {
			t.Fatal(err)
		}
		if n := asked(70, false); n < 4 || n > 23 {
			t.Errorf("asked %d times in 70 days after the withdrawal", n)
		}
		if err := h.desk.Register.Withdraw(h.tuple, true, consenttest.Person); err != nil {
			t.Fatal(err)
		}
		asked(1, false)
		if n := asked(30, false); n != 0 {
			t.Errorf("asked %d times after the erasure was confirmed", n)
		}
		stop()
		h.server.Close()
	})
}

// TestABreachStopsWhatIsUnderWay: a batch that is being sent is cut off, nothing of lane B follows, lane A does, and what waited leaves when
// the person has decided to go on.
func TestABreachStopsWhatIsUnderWay(t *testing.T) {
	board := &notes{}
	h := newHouse(t, Options{Notices: board})
	h.far.set(announces(t))
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	none := announces(t)
	h.far.set(func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		if !strings.HasPrefix(r.URL.Path, "/v1/batches/") {
			return none(w, r, body)
		}
		board.hold(true)
		h.stop("messenger")
		<-r.Context().Done()
		return true
	})
	if _, err := h.Flush(t.Context(), id); !errors.Is(err, errHeld) {
		t.Errorf("under way: %v", err)
	}
	if n := h.waiting(id); n != 1 {
		t.Errorf("%d reports wait", n)
	}
	if _, err := h.Flush(t.Context(), id); !errors.Is(err, errHeld) {
		t.Errorf("afterwards: %v", err)
	}
	if s := h.state(LaneB, id); !errors.Is(s.Err, errHeld) || !s.NextTry.IsZero() {
		t.Errorf("state: %+v", s)
	}
	other := consenttest.Tuple(t, h.doc, "contacts", "find")
	h.give(t, other)
	if err := h.desk.Register.Withdraw(other, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Error("lane A:", err)
	}
	board.hold(false)
	h.far.set(none)
	h.Resume("messenger")
	if r, err := h.Flush(t.Context(), id); err != nil || r.Reports != 1 {
		t.Errorf("after the decision: %+v, %v", r, err)
	}
}

// TestNoticesRideBeforeABatch: a notice that waits is looked at before the batch that would carry it.
func TestNoticesRideBeforeABatch(t *testing.T) {
	board := &notes{}
	h := newHouse(t, Options{Notices: board})
	h.far.set(announces(t))
	id := h.give(t, h.tuple)
	if err := h.Deliver(t.Context(), "messenger"); err != nil {
		t.Fatal(err)
	}
	h.restart(t)
	h.store(t, h.tuple, 1)
	h.far.set(announces(t, wire.NoticeBundle{Note: []byte("breach")}))
	if _, err := h.Flush(t.Context(), id); !errors.Is(err, errHeld) {
		t.Errorf("got %v", err)
	}
	if n := len(h.far.got("PUT /v1/batches/")); n != 0 {
		t.Errorf("%d batches left", n)
	}
}
