package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// witness remembers what the spool promised, to hold it to that after a crash.
type witness struct {
	stored  map[int64]bool // Append returned nil
	settled map[int64]bool // in a batch that was told to be acknowledged, rejected or erased, whatever the answer
	sent    map[wire.UUID][]byte
	pending wire.UUID // handed out, nothing tried with it yet
}

func newWitness() *witness {
	return &witness{stored: map[int64]bool{}, settled: map[int64]bool{}, sent: map[wire.UUID][]byte{}}
}

func (w *witness) put(f *fixture, n int64) error {
	err := f.put(n)
	if err == nil {
		w.stored[n] = true
	}
	return err
}

func (w *witness) next(f *fixture) (Sending, error) {
	b, err := f.Next(f.gate.consent)
	if err != nil {
		return b, err
	}
	if known := w.sent[b.ID]; known != nil && !bytes.Equal(known, b.Body) {
		return b, errors.New("one batch id with two bodies")
	}
	w.sent[b.ID], w.pending = b.Body, b.ID
	return b, nil
}

func (w *witness) settle(f *fixture, b Sending, act func(consent, batch wire.UUID) error) error {
	plain, err := unpack(b.Body)
	if err != nil {
		return err
	}
	for _, it := range plain.Items {
		w.settled[it.Fields["n"].(int64)] = true
	}
	w.pending = wire.UUID{}
	return act(f.gate.consent, b.ID)
}

// check holds the spool to its promises after a restart.
func (w *witness) check(t interface {
	Helper()
	Errorf(string, ...any)
	Fatalf(string, ...any)
}, f *fixture,
) {
	t.Helper()
	reports, err := f.Reports(f.gate.consent)
	if err != nil {
		t.Fatalf("after the restart: %v", err)
	}
	held := numbers(reports)
	sorted := slices.Sorted(slices.Values(held))
	if len(slices.Compact(slices.Clone(sorted))) != len(held) {
		t.Errorf("a report is there twice: %v", held)
	}
	for n := range w.stored {
		if !w.settled[n] && !slices.Contains(held, n) {
			t.Errorf("report %d was stored and is lost; held %v", n, held)
		}
	}
	if !w.pending.IsZero() {
		b, err := f.Next(f.gate.consent)
		if err != nil || b.ID != w.pending || !bytes.Equal(b.Body, w.sent[b.ID]) {
			t.Errorf("the batch that was handed out is not sent again byte for byte (%v)", err)
		}
	}
}

// life is the workload that is interrupted at every step.
func life(f *fixture, w *witness) error {
	for n := range int64(3) {
		if err := w.put(f, n); err != nil {
			return err
		}
	}
	b, err := w.next(f)
	if err != nil {
		return err
	}
	if err := w.put(f, 3); err != nil {
		return err
	}
	if err := w.settle(f, b, f.Acked); err != nil {
		return err
	}
	if b, err = w.next(f); err != nil {
		return err
	}
	park := func(c, id wire.UUID) error { return f.Rejected(c, id, "too-large") }
	if err := w.settle(f, b, park); err != nil {
		return err
	}
	for n := range int64(2) {
		if err := w.put(f, 10+n); err != nil {
			return err
		}
	}
	_, err = w.next(f)
	return err
}

func TestStopAtEveryStep(t *testing.T) {
	for step := 1; ; step++ {
		at := stopAt(t, step, 0)
		if at == "" {
			return
		}
		if strings.HasPrefix(at, "write ") {
			for _, torn := range []int{5, 60, 1 << 20} {
				stopAt(t, step, torn)
			}
		}
	}
}

// stopAt stops the machine at a step of the workload, with that many bytes of a write done, and checks what is left. It
// returns the step in words, "" when the workload has fewer.
func stopAt(t *testing.T, step, torn int) string {
	t.Helper()
	f := newFixture(t)
	defer f.Close()
	disk := durabletest.Watch(t, f.dir)
	w := newWitness()
	disk.StopAt(step, torn)
	err := life(f, w)
	stopped, at := disk.Stopped(), ""
	if stopped {
		at = disk.Trace()[step-1]
	}
	if stopped != (err != nil) {
		t.Fatalf("step %d (%s), torn %d: the workload says %v", step, at, torn, err)
	}
	disk.Restart()
	f.reopen(t)
	w.check(t, f)
	if err := w.put(f, 99); err != nil {
		t.Errorf("the spool does not take another report: %v", err)
	}
	if t.Failed() {
		t.Fatalf("step %d (%s), torn %d", step, at, torn)
	}
	return at
}

// The recovery itself may be interrupted too.
func TestStopDuringRecovery(t *testing.T) {
	for step := 1; ; step++ {
		f := newFixture(t)
		disk := durabletest.Watch(t, f.dir)
		w := newWitness()
		disk.StopAt(step, 5)
		if life(f, w) == nil {
			return
		}
		for second := 1; second < 8; second++ {
			disk.StopAt(second, 0)
			f.Close()
			s, err := open(f.dir, f.keys.DataKey, f.limit)
			if err == nil {
				f.Spool = s
			}
			disk.Restart()
		}
		f.reopen(t)
		w.check(t, f)
		if t.Failed() {
			t.Fatalf("step %d", step)
		}
		f.Close()
	}
}

func TestStopDuringErase(t *testing.T) {
	for step := 1; ; step++ {
		f := newFixture(t)
		f.mustPut(t, 1, 2)
		f.next(t)
		f.mustPut(t, 3)
		disk := durabletest.Watch(t, f.dir)
		disk.StopAt(step, 0)
		delete(f.keys, f.gate.consent) // the keeper's commit point comes first
		err := f.Erase(f.gate.consent)
		stopped := disk.Stopped()
		disk.Restart()
		if stopped != (err != nil) {
			t.Fatalf("step %d: stopped %v, Erase returned %v", step, stopped, err)
		}
		f.reopen(t) // finishes what was interrupted
		if _, err := os.Stat(f.folder()); !errors.Is(err, os.ErrNotExist) || len(f.Consents()) != 0 {
			t.Fatalf("step %d: the folder is still there", step)
		}
		f.Close()
		if !stopped {
			return
		}
	}
}

// TestAnyOrder lets rapid choose what happens in which order, crashes included.
func TestAnyOrder(t *testing.T) {
	base := t.TempDir()
	count := 0
	rapid.Check(t, func(r *rapid.T) {
		count++
		id := wire.NewUUID()
		f := &fixture{dir: filepath.Join(base, fmt.Sprint(count)), keys: keys{id: make([]byte, 32)}, gate: &fakeGate{consent: id, subtree: subtree}}
		f.reopen(t)
		disk := durabletest.Watch(t, f.dir)
		w := newWitness()
		next := int64(0)
		crash := func(r *rapid.T) {
			disk.Restart()
			f.reopen(t)
			w.check(r, f)
		}
		act := func(r *rapid.T, do func() error) {
			if err := do(); err != nil && !errors.Is(err, ErrEmpty) {
				if !disk.Stopped() {
					r.Fatalf("%v", err)
				}
				crash(r)
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"put": func(r *rapid.T) { next++; act(r, func() error { return w.put(f, next) }) },
			"ack": func(r *rapid.T) {
				act(r, func() error {
					b, err := w.next(f)
					if err != nil {
						return err
					}
					return w.settle(f, b, f.Acked)
				})
			},
			"park": func(r *rapid.T) {
				act(r, func() error {
					b, err := w.next(f)
					if err != nil {
						return err
					}
					return w.settle(f, b, func(c, id wire.UUID) error { return f.Rejected(c, id, "too-large") })
				})
			},
			"next":  func(r *rapid.T) { act(r, func() error { _, err := w.next(f); return err }) },
			"crash": crash,
			"trap": func(r *rapid.T) {
				disk.StopAt(rapid.IntRange(1, 12).Draw(r, "step"), rapid.IntRange(0, 300).Draw(r, "torn"))
			},
			"erase": func(r *rapid.T) {
				act(r, func() error {
					for n := range w.stored {
						w.settled[n] = true
					}
					w.pending = wire.UUID{}
					return f.Erase(f.gate.consent)
				})
			},
		})
		f.Close()
	})
}
