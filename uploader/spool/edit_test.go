package spool

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// without drops the reports with these numbers.
func without(ns ...int64) func(wire.Item) (map[string]any, bool) {
	return func(it wire.Item) (map[string]any, bool) {
		for _, n := range ns {
			if it.Fields["n"] == n {
				return nil, true
			}
		}
		return nil, false
	}
}

// TestEdit: what is waiting, built into a batch or parked changes, and the rest is sent as it was.
func TestEdit(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1, 2)
	parked := f.next(t)
	if err := f.Rejected(f.gate.consent, parked.ID, "undeclared-field"); err != nil {
		t.Fatal(err)
	}
	f.mustPut(t, 3, 4)
	built := f.next(t)
	f.mustPut(t, 5, 6)
	n, err := f.Edit(f.gate.consent, without(1, 3, 5))
	if err != nil || n != 3 {
		t.Errorf("%d changed, %v: want 3", n, err)
	}
	if got, want := f.held(t), []int64{2, 4, 6}; !reflect.DeepEqual(got, want) {
		t.Errorf("held %v, want %v", got, want)
	}
	again := f.next(t)
	if b, err := unpack(again.Body); err != nil || again.ID != built.ID || len(b.Items) != 1 || b.Items[0].Fields["n"] != int64(4) {
		t.Errorf("the built batch: %d items, %v", again.Items, err)
	}
	f.reopen(t)
	if got, want := f.held(t), []int64{2, 4, 6}; !reflect.DeepEqual(got, want) {
		t.Errorf("after a restart: held %v, want %v", got, want)
	}
	if n, err := f.Edit(f.gate.consent, without(1, 3, 5)); n != 0 || err != nil {
		t.Errorf("again: %d changed, %v", n, err)
	}
	if n, err := f.Edit(f.gate.consent, func(it wire.Item) (map[string]any, bool) {
		return map[string]any{"n": it.Fields["n"].(int64) * 10}, true
	}); n != 3 || err != nil {
		t.Errorf("other values: %d changed, %v", n, err)
	}
	if got, want := f.held(t), []int64{20, 40, 60}; !reflect.DeepEqual(got, want) {
		t.Errorf("held %v, want %v", got, want)
	}
	if _, err := f.Edit(f.gate.consent, func(wire.Item) (map[string]any, bool) { return nil, true }); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Next(f.gate.consent); !errors.Is(err, ErrEmpty) || len(f.held(t)) != 0 {
		t.Errorf("after all went: %v, %v", f.held(t), err)
	}
	f.mustPut(t, 7)
	if got := f.held(t); !reflect.DeepEqual(got, []int64{7}) {
		t.Errorf("appended afterwards: %v", got)
	}
	if n, err := f.Edit(wire.NewUUID(), without()); n != 0 || err != nil {
		t.Errorf("another consent: %d, %v", n, err)
	}
}

// TestEditCrashes stops the machine before every step: what was to stay is there after the restart, and a repetition finishes the rest.
func TestEditCrashes(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture(t)
		f.mustPut(t, 1, 2)
		f.next(t)
		f.mustPut(t, 3, 4)
		steps := durabletest.Watch(t, f.dir)
		steps.StopAt(n, 30)
		_, err := f.Edit(f.gate.consent, without(1, 3))
		stopped := steps.Stopped()
		steps.Restart()
		f.reopen(t)
		held := fmt.Sprint(f.held(t))
		if err == nil && held != "[2 4]" {
			t.Errorf("step %d: done, and held %s", n, held)
		}
		if _, err := f.Edit(f.gate.consent, without(1, 3)); err != nil {
			t.Errorf("step %d: repeated: %v", n, err)
		}
		if got := f.held(t); !reflect.DeepEqual(got, []int64{2, 4}) {
			t.Errorf("step %d: repeated: held %v", n, got)
		}
		if b, err := unpack(f.next(t).Body); err != nil || b.Items[0].Fields["n"] == int64(1) {
			t.Errorf("step %d: what was erased would be sent: %v", n, err)
		}
		if !stopped {
			return
		}
	}
}
