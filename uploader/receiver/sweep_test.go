package receiver_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

const day = 24 * time.Hour

func TestRetentionInMonths(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	kept := map[*receivertest.Client]time.Duration{}
	for _, tp := range [][2]string{{"steps", "compare"}, {"device", "service"}} {
		c := r.Client(t, policy.CategoryID(tp[0]), policy.PurposeID(tp[1]))
		kept[c] = c.Effective.Purpose.Kept.For
		if kept[c] < 2*day {
			t.Fatalf("%s/%s is kept for %v; this test needs days", tp[0], tp[1], kept[c])
		}
		c.Give(t)
	}
	start := clock.Now()
	sent := map[*receivertest.Client][]time.Time{}
	for clock.Now().Before(start.Add(9 * 30 * day)) {
		if clock.Now().Before(start.Add(60 * day)) {
			for c := range kept {
				item := steps(clock.Now(), 1)
				if c.Effective.Category.ID == "device" {
					item = device(clock.Now(), "m")
				}
				c.Receipt(t, c.Send(t, item))
				sent[c] = append(sent[c], clock.Now())
			}
		}
		clock.Advance(10 * day)
		if _, err := r.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		for c, retention := range kept {
			want := 0
			for _, at := range sent[c] {
				if at.Add(retention).After(clock.Now()) {
					want++
				}
			}
			if got := len(r.Stored(t, c.Consent)); got != want {
				t.Fatalf("%s on day %d: got %d batches, want %d", c.Effective.Category.ID, int(clock.Now().Sub(start)/day), got, want)
			}
		}
	}
	for c := range kept {
		if n := len(receiver.Sealed(t, r.Store, c.Consent)); n != 0 {
			t.Errorf("%s: %d sealed values after everything ended, want not even the key", c.Effective.Category.ID, n)
		}
	}
}

// Matches end with the retention of the set they were found in.
func TestRetentionOfMatches(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	addUsers(t, r, 1)
	c := r.Client(t, "contacts", "find-friends")
	c.Give(t)
	c.Receipt(t, c.Send(t, receivertest.Contacts(t, c.Epoch(t), r.Now(), number(0))))
	clock.Advance(c.Effective.Purpose.Kept.For)
	swept, err := r.Sweep(t.Context())
	if err != nil || swept.Batches != 1 {
		t.Errorf("swept: got %+v %v, want one batch", swept, err)
	}
	if n := len(receiver.Sealed(t, r.Store, c.Consent)); n != 0 {
		t.Errorf("got %d sealed values, want none", n)
	}
}

// The record of a consent is kept as evidence and then goes; the tombstone stays.
func TestEvidenceEnds(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	withdrawn, expired := r.Client(t, "steps", "compare"), r.Client(t, "steps", "compare")
	withdrawn.Give(t)
	expired.Give(t)
	withdrawn.Withdraw(t, false)
	if _, err := r.Store.Batches(t.Context(), withdrawn.Consent, receiver.Accessor{Who: "w", Command: "c", Now: clock.Now()}); err != nil {
		t.Fatal(err)
	}
	clock.Advance(receiver.EvidenceKept - day)
	if _, err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Holdings(t)); n != 2 {
		t.Errorf("before its end: got %d records, want both", n)
	}
	clock.Advance(2*day + expired.Effective.Purpose.Expiry)
	swept, err := r.Sweep(t.Context())
	if err != nil || swept.Consents != 2 || swept.Accesses != 1 {
		t.Errorf("swept: got %+v %v, want 2 consents and 1 access", swept, err)
	}
	if h := r.Holdings(t); len(h) != 1 || h[0].Consent != withdrawn.Consent || h[0].Category != "" {
		t.Errorf("after its end: got %+v, want the tombstone alone", h)
	}
}

// A running receiver sweeps by itself, every hour.
func TestKeepSweeps(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		dev, err := receiver.OpenDev(receiver.DevOptions{Dir: dir, Policy: configs.PolicyYAML, Controller: "messenger", Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		if _, err := dev.Store.Batches(t.Context(), [16]byte{}, receiver.Accessor{Who: "w", Command: "c", Now: time.Now().Add(90*time.Minute - receiver.AccessesKept)}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			dev.Keep(ctx)
		}()
		time.Sleep(65 * time.Minute)
		synctest.Wait()
		if log, err := dev.Store.Accesses(t.Context()); err != nil || len(log) != 1 {
			t.Errorf("before its end: got %d accesses %v, want 1", len(log), err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if log, err := dev.Store.Accesses(t.Context()); err != nil || len(log) != 0 {
			t.Errorf("after its end: got %d accesses %v, want none", len(log), err)
		}
		cancel()
		<-done
	})
}
