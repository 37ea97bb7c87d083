package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var subtree = wire.HashOf([]byte("subtree"))

// fakeGate stands for a consent.Permit.
type fakeGate struct {
	consent wire.UUID
	subtree wire.Hash
	err     error
}

func (g *fakeGate) Check() error       { return g.err }
func (g *fakeGate) Consent() wire.UUID { return g.consent }
func (g *fakeGate) Subtree() wire.Hash { return g.subtree }

// keys stands for a keyring.Ring.
type keys map[wire.UUID][]byte

func (k keys) DataKey(c wire.UUID) ([]byte, error) {
	if k[c] == nil {
		return nil, keyring.ErrNoKey
	}
	return bytes.Clone(k[c]), nil
}

type fixture struct {
	dir   string
	keys  keys
	gate  *fakeGate
	limit Limits
	*Spool
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	id := wire.NewUUID()
	f := &fixture{
		dir: filepath.Join(t.TempDir(), "spool"), keys: keys{id: bytes.Repeat([]byte{7}, 32)}, gate: &fakeGate{consent: id, subtree: subtree},
	}
	f.reopen(t)
	t.Cleanup(func() { f.Close() })
	return f
}

func (f *fixture) reopen(t testing.TB) {
	t.Helper()
	if f.Spool != nil {
		f.Close()
	}
	s, err := open(f.dir, f.keys.DataKey, f.limit)
	if err != nil {
		t.Fatal(err)
	}
	f.Spool = s
}

// folder returns the consent's folder.
func (f *fixture) folder() string { return filepath.Join(f.dir, f.gate.consent.String()) }

func (f *fixture) files(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(f.folder())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func report(consent wire.UUID, n int64, pad int) []byte {
	b, err := wire.EncodeReport(wire.Report{Consent: consent, Subtree: subtree, Item: wire.Item{
		Time: n, Fields: map[string]any{"n": n, "canary": "canary" + strings.Repeat("x", pad)},
	}})
	if err != nil {
		panic(err)
	}
	return b
}

func (f *fixture) put(n int64) error { return f.add(f.gate, report(f.gate.consent, n, 0)) }

func (f *fixture) mustPut(t testing.TB, ns ...int64) {
	t.Helper()
	for _, n := range ns {
		if err := f.put(n); err != nil {
			t.Fatal(err)
		}
	}
}

// held returns the numbers of the reports the spool holds.
func (f *fixture) held(t testing.TB) []int64 {
	t.Helper()
	reports, err := f.Reports(f.gate.consent)
	if err != nil {
		t.Fatal(err)
	}
	return numbers(reports)
}

func numbers(reports []wire.Report) []int64 {
	var ns []int64
	for _, r := range reports {
		ns = append(ns, r.Item.Fields["n"].(int64))
	}
	return ns
}

func (f *fixture) next(t testing.TB) Sending {
	t.Helper()
	b, err := f.Next(f.gate.consent)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (f *fixture) stat(t testing.TB) Stat {
	t.Helper()
	all := f.Stats()
	if len(all) != 1 {
		t.Fatalf("%d stats, want 1", len(all))
	}
	return all[0]
}

func seq(from, to int64) []int64 {
	var ns []int64
	for n := from; n <= to; n++ {
		ns = append(ns, n)
	}
	return ns
}

func TestWayOfABatch(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Next(f.gate.consent); !errors.Is(err, ErrEmpty) {
		t.Fatalf("empty spool: got %v, want ErrEmpty", err)
	}
	f.mustPut(t, 1, 2, 3)
	b := f.next(t)
	if b.Items != 3 || b.Hash != wire.HashOf(b.Body) {
		t.Fatalf("got %d items, want 3", b.Items)
	}
	f.mustPut(t, 4)
	if again := f.next(t); !reflect.DeepEqual(again, b) {
		t.Error("the batch changed before it was acknowledged")
	}
	f.reopen(t)
	if again := f.next(t); !reflect.DeepEqual(again, b) {
		t.Error("the batch changed over a restart")
	}
	plain, body, err := f.Preview(f.gate.consent)
	if err != nil || !bytes.Equal(body, b.Body) || plain.ID != b.ID || plain.Consent != f.gate.consent || plain.Subtree != subtree || len(plain.Items) != 3 {
		t.Errorf("Preview: got %d items, %v", len(plain.Items), err)
	}
	if err := f.Acked(f.gate.consent, wire.NewUUID()); !errors.Is(err, ErrNotPending) {
		t.Errorf("another batch acknowledged: got %v, want ErrNotPending", err)
	}
	if err := f.Acked(f.gate.consent, b.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.Acked(f.gate.consent, b.ID); !errors.Is(err, ErrNotPending) {
		t.Errorf("acknowledged twice: got %v, want ErrNotPending", err)
	}
	if got := f.held(t); !slices.Equal(got, []int64{4}) {
		t.Errorf("held: got %v, want [4]", got)
	}
	second := f.next(t)
	if second.ID == b.ID || second.Items != 1 {
		t.Errorf("second batch: got %s with %d items", second.ID, second.Items)
	}
	if err := f.Acked(f.gate.consent, second.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Next(f.gate.consent); !errors.Is(err, ErrEmpty) {
		t.Errorf("got %v, want ErrEmpty", err)
	}
	if files := f.files(t); len(files) != 0 {
		t.Errorf("files left of what was acknowledged: %v", files)
	}
}

func TestPermitIsChecked(t *testing.T) {
	f := newFixture(t)
	f.gate.err = errors.New("withdrawn")
	if err := f.put(1); !errors.Is(err, f.gate.err) {
		t.Fatalf("got %v, want the permit's error", err)
	}
	f.gate.err = nil
	if err := f.add(f.gate, report(wire.NewUUID(), 1, 0)); !errors.Is(err, ErrOtherConsent) {
		t.Errorf("another consent: got %v, want ErrOtherConsent", err)
	}
	other := &fakeGate{consent: f.gate.consent, subtree: wire.HashOf([]byte("other"))}
	if err := f.add(other, report(f.gate.consent, 1, 0)); !errors.Is(err, ErrOtherConsent) {
		t.Errorf("another subtree: got %v, want ErrOtherConsent", err)
	}
	if err := f.add(f.gate, []byte("no report")); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
	if err := f.add(f.gate, report(f.gate.consent, 1, MaxReport)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	delete(f.keys, f.gate.consent)
	if err := f.put(1); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("key destroyed: got %v, want ErrNoKey", err)
	}
	if files := f.files(t); len(files) != 0 {
		t.Errorf("refused reports left %v", files)
	}
}

// lockedGate withdraws while the check runs: Erase must wait, and then take everything.
type lockedGate struct {
	fakeGate
	during func()
}

func (g *lockedGate) Check() error {
	g.during()
	return nil
}

func TestEraseWaitsForAppendAndTakesIt(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	g := &lockedGate{fakeGate: *f.gate, during: func() {
		wg.Go(func() {
			if err := f.Erase(f.gate.consent); err != nil {
				t.Error(err)
			}
		})
	}}
	if err := f.add(g, report(f.gate.consent, 1, 0)); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if c := f.Consents(); len(c) != 0 {
		t.Errorf("consents left: %v", c)
	}
	if _, err := os.Stat(f.folder()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder left: %v", err)
	}
}

func TestNothingReadableOnDisk(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1, 2)
	f.next(t)
	f.mustPut(t, 3)
	for _, name := range f.files(t) {
		b, err := os.ReadFile(filepath.Join(f.folder(), name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s holds plain text", name)
		}
		info, err := os.Stat(filepath.Join(f.folder(), name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", name, info.Mode())
		}
	}
}

func TestEraseGoesOnUnderTheSameConsent(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1, 2)
	b := f.next(t)
	f.keys[f.gate.consent] = bytes.Repeat([]byte{8}, 32)
	for range 2 {
		if err := f.Erase(f.gate.consent); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Acked(f.gate.consent, b.ID); err != nil {
		t.Errorf("acknowledgement after the erasure: got %v, want nil", err)
	}
	f.mustPut(t, 3)
	if got := f.held(t); !slices.Equal(got, []int64{3}) {
		t.Errorf("got %v, want [3]", got)
	}
}

func TestOpenErasesWhatHasNoKey(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1)
	delete(f.keys, f.gate.consent)
	f.reopen(t)
	if files := f.files(t); len(files) != 0 || len(f.Consents()) != 0 {
		t.Errorf("left: %v", files)
	}
	if _, err := f.Next(f.gate.consent); !errors.Is(err, ErrEmpty) {
		t.Errorf("got %v, want ErrEmpty", err)
	}
}

func TestOldKeyIsUnreadable(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1, 2)
	f.next(t)
	f.keys[f.gate.consent] = bytes.Repeat([]byte{8}, 32)
	f.reopen(t)
	if got := f.held(t); len(got) != 0 {
		t.Fatalf("read %v with another key", got)
	}
	if got := f.stat(t).Dropped; !reflect.DeepEqual(got, map[string]int{DroppedUnreadable: 2}) {
		t.Errorf("dropped: got %v", got)
	}
}

func TestRejectedIsParked(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1, 2)
	b := f.next(t)
	f.mustPut(t, 3)
	if err := f.Rejected(f.gate.consent, b.ID, "Undeclared/Field"); err == nil {
		t.Error("a reason with a slash was taken")
	}
	if err := f.Rejected(f.gate.consent, b.ID, "undeclared-field"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := f.next(t); got.Items != 1 {
			t.Errorf("next batch has %d items, want 1", got.Items)
		}
		st := f.stat(t)
		if !reflect.DeepEqual(st.Parked, map[string]int{"undeclared-field": 2}) || st.Reports != 1 {
			t.Errorf("got parked %v, reports %d", st.Parked, st.Reports)
		}
		if got := f.held(t); !slices.Equal(got, []int64{1, 2, 3}) {
			t.Errorf("the person's copy: got %v, want [1 2 3]", got)
		}
		f.reopen(t)
	}
}

func TestBounds(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		f := newFixture(t)
		f.limit.Bytes = 3 << 20
		f.reopen(t)
		for n := range int64(60) {
			if err := f.add(f.gate, report(f.gate.consent, n, 100<<10)); err != nil {
				t.Fatal(err)
			}
		}
		st, held := f.stat(t), f.held(t)
		if st.Bytes > f.limit.Bytes || st.Dropped[DroppedBytes]+len(held) != 60 || held[len(held)-1] != 59 || len(held) < 15 {
			t.Errorf("got %+v, held %v", st, held)
		}
	})
	t.Run("reports", func(t *testing.T) {
		f := newFixture(t)
		f.limit.Reports = 1500
		var told int
		f.limit.Dropped = func(id wire.UUID, why string, n int) {
			if id != f.gate.consent || why != DroppedReports {
				t.Errorf("told of %s, %s", id, why)
			}
			told += n
		}
		f.reopen(t)
		for n := range int64(1600) {
			f.mustPut(t, n)
		}
		st, held := f.stat(t), f.held(t)
		if st.Reports > f.limit.Reports || st.Dropped[DroppedReports]+len(held) != 1600 || told != st.Dropped[DroppedReports] || len(held) < 400 {
			t.Errorf("got %+v, told %d", st, told)
		}
		f.reopen(t)
		if got := f.stat(t).Dropped; !reflect.DeepEqual(got, st.Dropped) {
			t.Errorf("after a restart: got %v, want %v", got, st.Dropped)
		}
	})
	t.Run("total", func(t *testing.T) {
		f := newFixture(t)
		f.limit.Total = 3 << 20
		small := wire.NewUUID()
		f.keys[small] = bytes.Repeat([]byte{9}, 32)
		f.reopen(t)
		if err := f.add(&fakeGate{consent: small, subtree: subtree}, report(small, 1, 0)); err != nil {
			t.Fatal(err)
		}
		for n := range int64(60) {
			if err := f.add(f.gate, report(f.gate.consent, n, 100<<10)); err != nil {
				t.Fatal(err)
			}
		}
		if n := f.total(); n > f.limit.Total {
			t.Errorf("%d bytes, bound %d", n, f.limit.Total)
		}
		if kept, err := f.Reports(small); err != nil || len(kept) != 1 {
			t.Errorf("the small consent paid for the large one: %d reports, %v", len(kept), err)
		}
	})
	t.Run("pending batch goes whole", func(t *testing.T) {
		f := newFixture(t)
		f.limit.Bytes = 3 << 20
		f.reopen(t)
		f.mustPut(t, 1, 2, 3)
		b := f.next(t)
		for n := range int64(60) {
			if err := f.add(f.gate, report(f.gate.consent, n+100, 100<<10)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Acked(f.gate.consent, b.ID); !errors.Is(err, ErrNotPending) {
			t.Errorf("got %v, want ErrNotPending", err)
		}
		if got := f.held(t); got[0] < 100 {
			t.Errorf("half of the batch is left: %v", got)
		}
	})
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		const week = 7 * 24 * time.Hour
		f.limit.Retention = func(wire.UUID) time.Duration { return week }
		f.reopen(t)
		for n := range int64(21) {
			f.mustPut(t, n)
			oldest := f.stat(t).Oldest
			if age := time.Since(oldest); age >= week+time.Hour {
				t.Fatalf("day %d: a report %s old is kept", n, age)
			}
			time.Sleep(24 * time.Hour)
		}
		if got := f.held(t); len(got) < 5 || len(got) > 8 || got[len(got)-1] != 20 {
			t.Errorf("held: got %v, want about the last seven", got)
		}
		b := f.next(t)
		if err := f.Rejected(f.gate.consent, b.ID, "too-large"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(week)
		f.Sweep()
		if files := f.files(t); !slices.Equal(files, []string{droppedFile}) {
			t.Errorf("files after retention: %v", files)
		}
		if got := f.stat(t).Dropped; got[DroppedAge] != 21 {
			t.Errorf("dropped: got %v, want 21 for age", got)
		}
	})
}

// A clock that is set back must not prolong retention.
func TestRetentionWithClockSetBack(t *testing.T) {
	var dir string
	shared := keys{}
	gate := &fakeGate{consent: wire.NewUUID(), subtree: subtree}
	shared[gate.consent] = make([]byte, 32)
	dir = filepath.Join(t.TempDir(), "spool")
	put := func(t *testing.T, n int64) *Spool {
		s, err := open(dir, shared.DataKey, Limits{Age: 24 * time.Hour})
		if err == nil {
			err = s.add(gate, report(gate.consent, n, 0))
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	synctest.Test(t, func(t *testing.T) { // each bubble begins in the year 2000
		time.Sleep(1000 * time.Hour)
		put(t, 1).Close()
	})
	synctest.Test(t, func(t *testing.T) {
		s := put(t, 2)
		defer s.Close()
		st := s.Stats()[0]
		time.Sleep(1025 * time.Hour)
		s.Sweep()
		if left := s.Stats()[0].Reports; st.Reports != 2 || left != 0 {
			t.Errorf("got %d reports and then %d, want 2 and 0", st.Reports, left)
		}
	})
}

func TestFullDisk(t *testing.T) {
	f := newFixture(t)
	disk := durabletest.Watch(t, f.dir)
	f.mustPut(t, 1, 2)
	b := f.next(t)
	f.mustPut(t, 3)
	disk.Fill()
	for range 3 {
		if err := f.put(4); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v, want ENOSPC", err)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("error has more than one line: %q", err)
		}
	}
	if got := f.held(t); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("held on a full disk: got %v", got)
	}
	if err := f.Acked(f.gate.consent, b.ID); err != nil {
		t.Errorf("acknowledge on a full disk: %v", err)
	}
	if got := f.held(t); !slices.Equal(got, []int64{3}) {
		t.Errorf("held: got %v, want [3]", got)
	}
	disk.Restart()
	f.mustPut(t, 5)
	disk.Fill()
	f.reopen(t)
	if got := f.held(t); !slices.Equal(got, []int64{3, 5}) {
		t.Errorf("reopened on a full disk: got %v, want [3 5]", got)
	}
	if err := f.Erase(f.gate.consent); err != nil {
		t.Errorf("erase on a full disk: %v", err)
	}
	if files := f.files(t); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

func TestFailedSyncRetiresTheFile(t *testing.T) {
	f := newFixture(t)
	disk := durabletest.Watch(t, f.dir)
	f.mustPut(t, 1)
	before := f.files(t)
	disk.FailSync()
	if err := f.put(2); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v, want EIO", err)
	}
	disk.Restart()
	f.mustPut(t, 3)
	after := f.files(t)
	if len(after) != 2 || after[0] != before[0] {
		t.Fatalf("files: got %v after %v, want one more", after, before)
	}
	if got := f.held(t); !slices.Contains(got, 1) || !slices.Contains(got, 3) {
		t.Errorf("held: got %v, want 1 and 3 in it", got)
	}
}

func TestFailedEraseStaysVisible(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1)
	disk := durabletest.Watch(t, f.dir)
	disk.StopAt(1, 0)
	if err := f.Erase(f.gate.consent); err == nil {
		t.Fatal("an erasure that did not happen was reported as done")
	}
	if st := f.stat(t); st.Problem == "" {
		t.Errorf("the problem is not shown: %+v", st)
	}
	disk.Restart()
	if err := f.Erase(f.gate.consent); err != nil {
		t.Fatal(err)
	}
	if len(f.Consents()) != 0 {
		t.Error("consent is still listed")
	}
}

// Damage of a stored segment: what authenticates is kept, what does not is counted and never handed out.
func TestDamage(t *testing.T) {
	frame := func(b []byte, n int) (from, to int) { // the n-th frame
		to = len(segmentMagic)
		for ; n >= 0; n-- {
			from = to
			to += frameHead + int(binary.BigEndian.Uint32(b[from:]))
		}
		return from, to
	}
	for name, c := range map[string]struct {
		damage  func(b []byte) []byte
		held    []int64
		dropped map[string]int
	}{
		"bit in a frame":  {func(b []byte) []byte { from, _ := frame(b, 1); b[from+40] ^= 1; return b }, []int64{0, 2, 3}, map[string]int{DroppedDamaged: 1}},
		"bit in checksum": {func(b []byte) []byte { from, _ := frame(b, 1); b[from+5] ^= 1; return b }, []int64{0, 2, 3}, map[string]int{DroppedDamaged: 1}},
		"length":          {func(b []byte) []byte { from, _ := frame(b, 1); b[from] ^= 0x80; return b }, []int64{0}, map[string]int{DroppedTorn: 1}},
		"cut in a frame":  {func(b []byte) []byte { from, _ := frame(b, 3); return b[:from+20] }, []int64{0, 1, 2}, map[string]int{DroppedTorn: 1}},
		"cut in a head":   {func(b []byte) []byte { from, _ := frame(b, 3); return b[:from+3] }, []int64{0, 1, 2}, map[string]int{DroppedTorn: 1}},
		"zeros behind":    {func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, []int64{0, 1, 2, 3}, map[string]int{DroppedTorn: 1}},
		"last frame rotten": {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, []int64{0, 1, 2}, map[string]int{
			DroppedTorn: 1,
		}},
		"frame twice": {func(b []byte) []byte {
			from, to := frame(b, 1)
			return append(b, b[from:to]...)
		}, []int64{0, 1, 2, 3}, map[string]int{DroppedUnreadable: 1}},
		"frames exchanged": {func(b []byte) []byte {
			from, to := frame(b, 1)
			_, end := frame(b, 2)
			return slices.Concat(b[:from], b[to:end], b[from:to], b[end:])
		}, []int64{0, 3}, map[string]int{DroppedUnreadable: 2}},
		"frame forged": {func(b []byte) []byte {
			return appendSealed(b, make([]byte, 100))
		}, []int64{0, 1, 2, 3}, map[string]int{DroppedUnreadable: 1}},
		"magic": {func(b []byte) []byte { b[0] = 'S'; return b }, nil, map[string]int{DroppedTorn: 1}},
		"empty": {func(b []byte) []byte { return nil }, nil, map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.mustPut(t, 0, 1, 2, 3)
			f.Close()
			path := filepath.Join(f.folder(), "00000001.seg")
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, c.damage(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time nothing is counted again
				f.reopen(t)
				if got := f.held(t); !slices.Equal(got, c.held) {
					t.Errorf("held: got %v, want %v", got, c.held)
				}
				if got := f.stat(t).Dropped; !reflect.DeepEqual(got, c.dropped) {
					t.Errorf("dropped: got %v, want %v", got, c.dropped)
				}
			}
			f.mustPut(t, 9)
			want := append(slices.Clone(c.held), 9)
			if got := f.next(t); got.Items != len(want) {
				t.Errorf("batch has %d items, want %d", got.Items, len(want))
			}
		})
	}
}

func TestDamagedBatchIsMadeAgain(t *testing.T) {
	for _, restart := range []bool{false, true} {
		f := newFixture(t)
		f.mustPut(t, 1, 2)
		b := f.next(t)
		path := filepath.Join(f.folder(), "00000001-00000001.batch")
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file[len(file)/2] ^= 1
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if restart {
			f.reopen(t)
		}
		if got := f.next(t); got.ID == b.ID || got.Items != 2 {
			t.Errorf("restart %v: got %d items under the id %s", restart, got.Items, got.ID)
		}
	}
}

// Segments of another consent, or under another number, must not be taken.
func TestMovedSegmentIsRefused(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1)
	other := wire.NewUUID()
	f.keys[other] = f.keys[f.gate.consent] // even with the same key
	f.Close()
	b, err := os.ReadFile(filepath.Join(f.folder(), "00000001.seg"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(f.dir, other.String())
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, id := range map[string]wire.UUID{
		filepath.Join(dir, "00000001.seg"): other, filepath.Join(f.folder(), "00000007.seg"): f.gate.consent,
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f.reopen(t)
		reports, err := f.Reports(id)
		if err != nil || slices.Contains(numbers(reports), 1) && id == other || len(reports) > 1 {
			t.Errorf("%s: got %d reports, %v", path, len(reports), err)
		}
	}
}

func TestNamesAreStrict(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1)
	f.Close()
	for _, name := range []string{"00000002.seg.tmp", "0000000G.seg", "2.seg", "notes.txt", "00000003-00000001.batch", "00000001-00000001.No.parked", "00000001-00000001..parked"} {
		if err := os.WriteFile(filepath.Join(f.folder(), name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := parseName(name); ok != strings.HasSuffix(name, ".tmp") {
			t.Errorf("parseName(%s): got %v", name, ok)
		}
	}
	f.reopen(t)
	if got := f.held(t); !slices.Equal(got, []int64{1}) {
		t.Errorf("held: got %v", got)
	}
	if slices.Contains(f.files(t), "00000002.seg.tmp") {
		t.Error("the leftover of an interrupted write is still there")
	}
	if err := f.Erase(f.gate.consent); err != nil || len(f.files(t)) != 0 {
		t.Errorf("erase: %v, left %v", err, f.files(t))
	}
}

func TestLargeBacklogBecomesSeveralBatches(t *testing.T) {
	f := newFixture(t)
	for n := range int64(2500) {
		f.mustPut(t, n)
	}
	var got []int64
	for len(got) < 2500 {
		b := f.next(t)
		plain, err := unpack(b.Body)
		if err != nil || len(plain.Items) != b.Items {
			t.Fatalf("%d items, %v", len(plain.Items), err)
		}
		for _, it := range plain.Items {
			got = append(got, it.Fields["n"].(int64))
		}
		if err := f.Acked(f.gate.consent, b.ID); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, seq(0, 2499)) {
		t.Error("the reports did not arrive once each and in order")
	}
}

func TestOtherSubtreeIsAnotherBatch(t *testing.T) {
	f := newFixture(t)
	f.mustPut(t, 1)
	newer := wire.HashOf([]byte("newer"))
	r := wire.Report{Consent: f.gate.consent, Subtree: newer, Item: wire.Item{Fields: map[string]any{"n": int64(2)}}}
	b, err := wire.EncodeReport(r)
	if err == nil {
		err = f.add(&fakeGate{consent: f.gate.consent, subtree: newer}, b)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []wire.Hash{subtree, newer} {
		plain, _, err := f.Preview(f.gate.consent)
		if err != nil || plain.Subtree != want || len(plain.Items) != 1 {
			t.Fatalf("got %v, %v", plain, err)
		}
		if err := f.Acked(f.gate.consent, plain.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func ExampleStat() {
	fmt.Println(Stat{Dropped: map[string]int{DroppedAge: 3}}.Dropped)
	// Output: map[age:3]
}
