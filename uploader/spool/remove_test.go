package spool

import (
	"slices"
	"testing"

	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestRemove takes single reports out of open segments, of the batch that was to be sent, and of a parked one; the others
// stay, also after a restart.
func TestRemove(t *testing.T) {
	f := newFixture(t)
	is := func(ns ...int64) func(wire.Report) bool {
		return func(r wire.Report) bool { return slices.Contains(ns, r.Item.Fields["n"].(int64)) }
	}
	expect := func(n int, want []int64, gone ...int64) {
		t.Helper()
		got, err := f.Remove(f.gate.consent, is(gone...))
		if err != nil || got != n {
			t.Errorf("removed %d, %v, want %d", got, err, n)
		}
		for range 2 {
			if held := f.held(t); !slices.Equal(held, want) {
				t.Errorf("held %v, want %v", held, want)
			}
			f.reopen(t)
		}
	}
	f.mustPut(t, 1, 2, 3)
	expect(0, []int64{1, 2, 3}, 9)
	expect(1, []int64{1, 3}, 2)
	f.mustPut(t, 4)
	before := f.next(t)
	expect(0, []int64{1, 3, 4}, 9)
	if again := f.next(t); again.ID != before.ID {
		t.Error("a batch that holds nothing of it was given up")
	}
	f.mustPut(t, 5)
	expect(2, []int64{1, 3}, 4, 5)
	after := f.next(t)
	if after.ID == before.ID {
		t.Error("the batch with the removed report is still to be sent")
	}
	if err := f.Rejected(f.gate.consent, after.ID, "malformed"); err != nil {
		t.Fatal(err)
	}
	f.mustPut(t, 6)
	expect(1, []int64{6}, 3)
	expect(1, nil, 6)
	if n, err := f.Remove(wire.NewUUID(), is(1)); n != 0 || err != nil {
		t.Errorf("a consent without reports: %d, %v", n, err)
	}
}

// TestStopDuringRemove stops the machine at every step of a removal: nothing else is lost or doubled, and asking again removes.
func TestStopDuringRemove(t *testing.T) {
	second := func(r wire.Report) bool { return r.Item.Fields["n"].(int64) == 2 }
	for step := 1; ; step++ {
		f := newFixture(t)
		f.mustPut(t, 1, 2, 3)
		f.next(t)
		f.mustPut(t, 4)
		disk := durabletest.Watch(t, f.dir)
		disk.StopAt(step, 5)
		_, err := f.Remove(f.gate.consent, second)
		stopped := disk.Stopped()
		if stopped != (err != nil) {
			t.Fatalf("step %d: %v", step, err)
		}
		disk.Restart()
		f.reopen(t)
		held := slices.DeleteFunc(f.held(t), func(n int64) bool { return n == 2 })
		if !slices.Equal(held, []int64{1, 3, 4}) {
			t.Fatalf("step %d: held %v besides", step, held)
		}
		if _, err := f.Remove(f.gate.consent, second); err != nil {
			t.Fatal(err)
		}
		if held := f.held(t); !slices.Equal(held, []int64{1, 3, 4}) {
			t.Fatalf("step %d: asking again left %v", step, held)
		}
		f.Close()
		if !stopped {
			return
		}
	}
}
