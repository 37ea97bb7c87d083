package uploader

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// breakJournal fills the disk under the journal until the returned function is called.
func breakJournal(t *testing.T, h *house) (repair func()) {
	t.Helper()
	dir := filepath.Join(h.desk.Dir, "journal")
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	disk := durabletest.Watch(t, dir)
	disk.Fill()
	return disk.Restart
}

// Weeks of a receiver that answers 400, 404, 410, 500, or not at all, to an introduction, an erasure, a withdrawal, one with clearing, and a
// case: each is tried within reason, never dropped, never hidden, and leaves as it was signed when the receiver is well.
func TestLaneAIsNotGivenUp(t *testing.T) {
	t.Run("messages", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { notGivenUp(t, false) }) })
	t.Run("a case", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { notGivenUp(t, true) }) })
}

func notGivenUp(t *testing.T, withCase bool) {
	cases := &filed{}
	h := newBubbleHouse(t, Options{Cases: cases})
	stop := h.start(t)
	defer stop()
	answers := []struct {
		says string
		do   func(http.ResponseWriter, *http.Request)
	}{
		{"400", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }},
		{"410", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }},
		{ErrTimeout.Error(), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); panic(http.ErrAbortHandler) }},
	}
	answer := func(i int) {
		h.far.set(func(w http.ResponseWriter, r *http.Request, _ []byte) bool { answers[i].do(w, r); return true })
	}
	told := map[string]wire.UUID{} // what is sent, of whom
	give := func(name, category, purpose string) policy.Tuple {
		tuple := consenttest.Tuple(t, h.doc, policy.CategoryID(category), policy.PurposeID(purpose))
		told[name] = h.give(t, tuple)
		h.Kick()
		synctest.Wait()
		return tuple
	}
	if withCase {
		tuple := give("case", "location", "nearby")
		answer(0)
		cases.waiting = []CaseMessage{{
			ID: wire.NewUUID(), Consent: told["case"], Controller: "messenger", Tuple: tuple, Body: []byte("signed"), Since: time.Now(), Changes: true,
		}}
	} else {
		withdrawn, cleared := give("withdrawal", "contacts", "find"), give("withdrawal with clearing", "steps", "compare")
		erased := give("erasure", "location", "nearby")
		answer(0)
		give("introduction", "device", "service")
		_, err := h.desk.Register.Erase(erased, consenttest.Person)
		if err := errors.Join(
			h.desk.Register.Withdraw(withdrawn, false, consenttest.Person), h.desk.Register.Withdraw(cleared, true, consenttest.Person), err,
		); err != nil {
			t.Fatal(err)
		}
	}
	h.Kick()
	synctest.Wait()
	const days = 3 // of each answer
	introduced := len(h.far.got("PUT "))
	for i, a := range answers {
		answer(i)
		from := len(h.far.got("PUT "))
		time.Sleep(days * 24 * time.Hour)
		synctest.Wait()
		tries := map[wire.UUID]int{}
		for _, r := range h.far.got("PUT ")[from:] {
			if m, _, err := wire.OpenAny(r.body); err == nil {
				tries[m.Consent]++
			} else {
				tries[told["case"]]++
			}
		}
		for name, id := range told {
			if n := tries[id]; n < days*20 || n > days*24*4 {
				t.Errorf("%s, %s: %d tries in %d days", name, a.says, n, days)
			}
			s := h.state(LaneA, id)
			if s.Waiting != 1 || s.Failures < days*20*(i+1) || time.Until(s.NextTry) > topA || !strings.Contains(s.LastError, a.says) {
				t.Errorf("%s, %s: %+v", name, a.says, s)
			}
		}
	}
	h.far.set(nil)
	time.Sleep(topA + time.Second)
	synctest.Wait()
	if n := len(h.desk.Register.Outbox("messenger")); n != 0 {
		t.Errorf("%d messages wait after the server is well again", n)
	}
	bodies := map[string]string{}
	for _, r := range h.far.got("PUT ")[introduced:] {
		if before, again := bodies[r.line]; again && before != string(r.body) {
			t.Errorf("%s left with another body", r.line)
		}
		bodies[r.line] = string(r.body)
	}
	if len(bodies) != len(told) {
		t.Errorf("%d messages left, want %d", len(bodies), len(told))
	}
	stop()
	h.server.Close()
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for field, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "0": 0, "-5": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0,
		"9223372036854775807":           365 * 24 * time.Hour,
		"Fri, 01 May 2026 12:10:00 GMT": 10 * time.Minute, "Fri, 01 May 2026 11:00:00 GMT": 0,
		"Friday, 01-May-26 12:10:00 GMT": 10 * time.Minute,
	} {
		if got := retryAfter(field, now); got != want {
			t.Errorf("retryAfter(%q): got %s, want %s", field, got, want)
		}
	}
	for _, c := range []struct {
		lane       Lane
		asked      time.Duration
		low, least time.Duration
	}{
		{LaneA, 10 * time.Minute, 10 * time.Minute, 12 * time.Minute},
		{LaneA, 1000 * time.Hour, maxRetryAfterA, 2 * maxRetryAfterA},
		{LaneB, 10 * time.Minute, 10 * time.Minute, 12 * time.Minute},
		{LaneB, 1000 * time.Hour, maxRetryAfterB, 2 * maxRetryAfterB},
	} {
		for range 100 {
			got := backoff(c.lane, 1, &Refusal{Status: 503, RetryAfter: c.asked})
			if got < c.low || got > c.least {
				t.Errorf("lane %s asked for %s: waits %s", c.lane, c.asked, got)
			}
		}
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{})
		id := h.give(t, h.tuple)
		h.store(t, h.tuple, 1)
		if err := h.Deliver(t.Context(), "messenger"); err != nil {
			t.Fatal(err)
		}
		h.far.refuse("PUT /v1/batches/", wire.ProblemSlowDown, map[string]string{"Retry-After": "7200"})
		stop := h.start(t)
		defer stop()
		h.Kick()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		got := h.far.got("PUT /v1/batches/")
		if len(got) < 8 || len(got) > 12 {
			t.Errorf("%d tries in a day, want about 11", len(got))
		}
		for i := 1; i < len(got); i++ {
			if gap := got[i].at.Sub(got[i-1].at); gap < 2*time.Hour {
				t.Errorf("came back after %s", gap)
			}
		}
		if h.waiting(id) != 1 {
			t.Error("the report is gone")
		}
		stop()
		h.server.Close()
	})
}

func TestBackoff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lane := rapid.SampledFrom([]Lane{LaneA, LaneB}).Draw(t, "lane")
		n := rapid.IntRange(1, 1<<30).Draw(t, "failures")
		err := rapid.SampledFrom([]error{ErrCut, ErrTimeout, &Refusal{Status: 500}, errors.New("disk"), consent.ErrClock}).Draw(t, "error")
		top := topB
		if lane == LaneA {
			top = topA
		}
		if got := backoff(lane, n, err); got < leastWait || got > top {
			t.Fatalf("lane %s, %d failures, %v: waits %s", lane, n, err, got)
		}
	})
	// The waits grow, and are spread.
	longest, shortest := map[int]time.Duration{}, map[int]time.Duration{}
	for n := 1; n <= 12; n++ {
		for range 500 {
			d := backoff(LaneB, n, ErrCut)
			longest[n] = max(longest[n], d)
			if shortest[n] == 0 || d < shortest[n] {
				shortest[n] = d
			}
		}
	}
	if longest[1] > baseB || longest[4] < 2*baseB || longest[12] < topB/2 || shortest[12] > topB/8 {
		t.Errorf("longest %v, shortest %v", longest, shortest)
	}
}

// A sending time depends on the consent and on chance, not on when something was stored; nothing waits longer than a slot.
func TestInstants(t *testing.T) {
	u := &Uploader{o: Options{Slot: time.Hour}}
	one, two := wire.NewUUID(), wire.NewUUID()
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	instants, same := map[time.Time]int{}, 0
	for s := range 24 * 360 {
		now := base.Add(time.Duration(s) * 10 * time.Second)
		at := u.instant(one, now)
		if wait := at.Sub(now); wait <= 0 || wait > time.Hour {
			t.Fatalf("waits %s", wait)
		}
		instants[at]++
		if at.Equal(u.instant(two, now)) {
			same++
		}
	}
	if len(instants) < 47 || len(instants) > 50 || same != 0 {
		t.Errorf("%d instants in 24 hours, want two an hour; %d the same as another consent's", len(instants), same)
	}
	var minutes [4]int
	for at := range instants {
		minutes[at.Minute()/15]++
	}
	for _, n := range minutes {
		if n < 2 {
			t.Errorf("instants are not spread over the hour: %v", minutes)
		}
	}
	u.o.Slot = 0
	if at := u.instant(one, base); !at.Equal(base) {
		t.Errorf("without slots: got %s", at)
	}
}

func TestSlotsInPractice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{Slot: 4 * time.Hour})
		id := h.give(t, h.tuple)
		stop := h.start(t)
		defer stop()
		var stored []time.Time
		for range 100 {
			stored = append(stored, time.Now())
			h.store(t, h.tuple, 1)
			h.Kick()
			time.Sleep(30 * time.Minute)
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		got := h.far.got("PUT /v1/batches/")
		if len(got) < 15 || len(got) > 30 || h.waiting(id) != 0 {
			t.Errorf("%d uploads in 54 hours, %d reports wait", len(got), h.waiting(id))
		}
		arrived := 0
		for _, r := range got {
			plain, err := wire.Decompress(r.body)
			if err != nil {
				t.Fatal(err)
			}
			b, err := wire.DecodeBatch(plain)
			if err != nil {
				t.Fatal(err)
			}
			for range b.Items {
				if wait := r.at.Sub(stored[arrived]); wait > 4*time.Hour {
					t.Errorf("report %d waited %s", arrived, wait)
				}
				arrived++
			}
		}
		if arrived != 100 {
			t.Errorf("%d reports arrived, want 100", arrived)
		}
		stop()
		h.server.Close()
	})
}

// A server that is down for a day: nothing lost, nothing twice, and not many tries.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{Slot: time.Hour})
		id := h.give(t, h.tuple)
		stop := h.start(t)
		defer stop()
		h.Kick()
		synctest.Wait()
		h.far.set(func(http.ResponseWriter, *http.Request, []byte) bool { panic(http.ErrAbortHandler) })
		for range 24 {
			h.store(t, h.tuple, 1)
			h.Kick()
			time.Sleep(time.Hour)
		}
		synctest.Wait()
		if tries := len(h.far.got("GET /v1/controller")) + len(h.far.got("PUT /v1/batches/")); tries < 8 || tries > 60 {
			t.Errorf("%d tries in a day", tries)
		}
		s := h.state(LaneB, id)
		if s.Waiting != 24 || !errors.Is(s.Err, ErrCut) || s.NextTry.IsZero() || time.Since(s.Since) < 23*time.Hour {
			t.Errorf("state: %+v", s)
		}
		failed := len(h.far.got("PUT /v1/batches/"))
		h.far.set(nil)
		time.Sleep(topB)
		synctest.Wait()
		ids := map[string]bool{}
		for _, r := range h.far.got("PUT /v1/batches/")[failed:] {
			ids[r.line] = true
		}
		if h.waiting(id) != 0 || len(ids) != len(h.far.got("PUT /v1/batches/"))-failed {
			t.Errorf("%d reports wait, %d batches confirmed", h.waiting(id), len(ids))
		}
		stop()
		h.server.Close()
	})
}

func TestParkedConsentIsNotRetriedHot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{})
		id := h.give(t, h.tuple)
		h.store(t, h.tuple, 1)
		h.far.refuse("PUT /v1/batches/", wire.ProblemPolicyMismatch, nil)
		stop := h.start(t)
		defer stop()
		for range 6 * 24 {
			h.Kick() // every ten minutes something happens
			time.Sleep(10 * time.Minute)
		}
		synctest.Wait()
		if tries := len(h.far.got("PUT /v1/batches/")); tries < 1 || tries > 3 {
			t.Errorf("%d tries in a day", tries)
		}
		if s := h.state(LaneB, id); s.Parked != wire.ProblemPolicyMismatch || s.Waiting != 1 {
			t.Errorf("state: %+v", s)
		}
		stop()
		h.server.Close()
	})
}

// With nothing to send there is no timer: Run sleeps until it is kicked.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{Slot: time.Hour})
		if due, next := h.plan(time.Now()); len(due) != 0 || !next.IsZero() {
			t.Errorf("before consent: due %v, next %s", due, next)
		}
		h.give(t, h.tuple)
		h.store(t, h.tuple, 1)
		stop := h.start(t)
		defer stop()
		h.Kick()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if due, next := h.plan(time.Now()); len(due) != 0 || !next.IsZero() {
			t.Errorf("after everything was sent: due %v, next %s", due, next)
		}
		h.far.mu.Lock()
		conns := h.far.conns
		h.far.mu.Unlock()
		if conns != 2 {
			t.Errorf("%d connections", conns)
		}
		stop()
		h.server.Close()
	})
}

func TestStopDuringUpload(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	arrived := make(chan struct{}, 8)
	h.far.set(func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
		if strings.HasPrefix(r.URL.Path, "/v1/batches/") {
			arrived <- struct{}{}
			<-r.Context().Done()
			return true
		}
		return false
	})
	stop := h.start(t)
	h.Kick()
	<-arrived
	stop()
	if h.waiting(id) != 1 {
		t.Error("the report is gone")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Flush(ctx, id); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Fri, 01 May 2026 12:10:00 GMT")
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, field string) {
		asked := retryAfter(field, now)
		if asked < 0 {
			t.Fatalf("%q asks to wait %s", field, asked)
		}
		if wait := backoff(LaneA, 1, &Refusal{RetryAfter: asked}); wait <= 0 || wait > 2*maxRetryAfterA {
			t.Fatalf("%q makes lane A wait %s", field, wait)
		}
	})
}
