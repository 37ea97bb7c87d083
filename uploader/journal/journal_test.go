package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// keys stands for a keyring.Ring.
type keys map[wire.UUID][]byte

func (k keys) DataKey(c wire.UUID) ([]byte, error) {
	if k[c] == nil {
		return nil, keyring.ErrNoKey
	}
	return bytes.Clone(k[c]), nil
}

type fixture struct {
	*Journal
	dir     string
	keys    keys
	consent wire.UUID
	limits  Limits
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{dir: filepath.Join(t.TempDir(), "journal"), consent: wire.NewUUID()}
	f.keys = keys{f.consent: bytes.Repeat([]byte{7}, 32)}
	f.reopen(t)
	t.Cleanup(func() { f.Close() })
	return f
}

func (f *fixture) reopen(t testing.TB) {
	t.Helper()
	if f.Journal != nil {
		f.Close()
	}
	j, err := open(f.dir, f.keys.DataKey, f.limits)
	if err != nil {
		t.Fatal(err)
	}
	f.Journal = j
}

func (f *fixture) begin(t testing.TB, body string) wire.UUID {
	t.Helper()
	id, err := f.Begin(LaneB, f.consent, "PUT", "/v1/batches/x", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (f *fixture) list(t testing.TB) []Entry {
	t.Helper()
	entries, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func (f *fixture) bodyFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(f.dir, "bodies", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEntryAndBody(t *testing.T) {
	f := newFixture(t)
	id := f.begin(t, "canary body")
	want := Entry{
		ID: id, Lane: LaneB, Consent: f.consent, Size: 11, Hash: wire.HashOf([]byte("canary body")), Kept: true, Method: "PUT", Path: "/v1/batches/x",
	}
	for _, outcome := range []string{"", "cut off"} {
		if outcome != "" {
			want.Status, want.Outcome = 200, outcome
			if err := f.End(id, 200, outcome); err != nil {
				t.Fatal(err)
			}
		}
		f.reopen(t)
		got := f.list(t)
		if len(got) != 1 || time.Since(got[0].Time) > time.Minute {
			t.Fatalf("got %+v", got)
		}
		want.Time = got[0].Time
		if !reflect.DeepEqual(got[0], want) {
			t.Errorf("got  %+v\nwant %+v", got[0], want)
		}
		if b, err := f.Body(id); err != nil || string(b) != "canary body" {
			t.Errorf("Body: got %q, %v", b, err)
		}
	}
	if _, err := f.Body(wire.NewUUID()); !errors.Is(err, ErrNoEntry) {
		t.Errorf("got %v, want ErrNoEntry", err)
	}
}

func TestForget(t *testing.T) {
	f := newFixture(t)
	id := f.begin(t, "canary body")
	before := f.list(t)[0]
	for range 2 {
		if err := f.Forget(f.consent); err != nil {
			t.Fatal(err)
		}
	}
	want := before
	want.Kept, want.Method, want.Path = false, "", ""
	if got := f.list(t); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, err := f.Body(id); !errors.Is(err, ErrNoBody) {
		t.Errorf("got %v, want ErrNoBody", err)
	}
}

// The key is destroyed before the files go: nothing may be readable then, and the next start removes the files.
func TestDestroyedKey(t *testing.T) {
	f := newFixture(t)
	id := f.begin(t, "canary body")
	delete(f.keys, f.consent)
	if _, err := f.Body(id); !errors.Is(err, ErrNoBody) {
		t.Errorf("got %v, want ErrNoBody", err)
	}
	if got := f.list(t)[0]; got.Kept || got.Path != "" {
		t.Errorf("got %+v", got)
	}
	// A withdrawal leaves after that: an entry without a body.
	late, err := f.Begin(LaneA, f.consent, "PUT", "/v1/consents/x/withdrawal", []byte("goodbye"))
	if err != nil {
		t.Fatal(err)
	}
	f.reopen(t)
	if files := f.bodyFiles(t); len(files) != 0 {
		t.Errorf("files left: %v", files)
	}
	got := f.list(t)
	if len(got) != 2 || got[1].ID != late || got[1].Kept || got[1].Hash != wire.HashOf([]byte("goodbye")) {
		t.Errorf("got %+v", got)
	}
}

func TestNothingReadableOnDisk(t *testing.T) {
	f := newFixture(t)
	f.begin(t, "canary body")
	err := filepath.WalkDir(f.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("canary")) || bytes.Contains(b, []byte("/v1/")) {
			t.Errorf("%s holds plain text", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestResendIsStoredOnce(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.begin(t, "the same bytes")
	}
	if files, entries := f.bodyFiles(t), f.list(t); len(files) != 1 || len(entries) != 3 {
		t.Errorf("%d files and %d entries, want 1 and 3", len(files), len(entries))
	}
}

func TestDamagedBodyIsNotShown(t *testing.T) {
	f := newFixture(t)
	id := f.begin(t, "body")
	path := f.bodyFiles(t)[0]
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)-1], "magic": append([]byte("x"), good[1:]...),
		"bit": append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1),
	} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Body(id); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
	f.begin(t, "body") // the next send of it repairs it
	if b, err := f.Body(id); err != nil || string(b) != "body" {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestRetention: a body goes when the policy's retention of what is in it is over, counted from its oldest content; its entry stays.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		other := wire.NewUUID()
		f.keys[other] = bytes.Repeat([]byte{8}, 32)
		const week = 7 * 24 * time.Hour
		f.limits = Limits{Retention: func(id wire.UUID) time.Duration {
			if id == f.consent {
				return week
			}
			return 0 // kept until an event: the journal's own bound holds
		}}
		f.reopen(t)
		time.Sleep(week)
		begin := func(id wire.UUID, body string, since time.Time) wire.UUID {
			entry, err := f.BeginSince(LaneB, id, "PUT", "/v1/batches/x", []byte(body), since)
			if err != nil {
				t.Fatal(err)
			}
			return entry
		}
		fresh, old, kept := begin(f.consent, "fresh", time.Now()), begin(f.consent, "old", time.Now().Add(-5*24*time.Hour)), begin(other, "kept", time.Now())
		for _, c := range []struct {
			days int
			want map[wire.UUID]bool
		}{
			{1, map[wire.UUID]bool{fresh: true, old: true, kept: true}},
			{2, map[wire.UUID]bool{fresh: true, old: false, kept: true}},
			{5, map[wire.UUID]bool{fresh: false, old: false, kept: true}},
		} {
			time.Sleep(time.Duration(c.days) * 24 * time.Hour)
			f.Sweep()
			for id, want := range c.want {
				if _, err := f.Body(id); (err == nil) != want {
					t.Errorf("after %d more days: %v", c.days, err)
				}
			}
		}
		if n := len(f.list(t)); n != 3 {
			t.Errorf("%d entries, want 3", n)
		}
	})
}

func TestBounds(t *testing.T) {
	f := newFixture(t)
	f.limits = Limits{Bodies: 5000, Age: time.Hour}
	f.reopen(t)
	first := f.begin(t, strings.Repeat("a", 2000))
	if err := os.Chtimes(f.bodyFiles(t)[0], time.Time{}, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	f.begin(t, strings.Repeat("b", 2000))
	f.begin(t, strings.Repeat("c", 2000))
	if _, err := f.Body(first); !errors.Is(err, ErrNoBody) {
		t.Errorf("the oldest body: got %v, want ErrNoBody", err)
	}
	if files := f.bodyFiles(t); len(files) != 2 {
		t.Errorf("%d bodies, want 2", len(files))
	}
	for _, path := range f.bodyFiles(t) {
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	f.Sweep()
	if files, entries := f.bodyFiles(t), f.list(t); len(files) != 0 || len(entries) != 3 {
		t.Errorf("after the age: %d bodies and %d entries, want 0 and 3", len(files), len(entries))
	}
}

func TestIndexIsBounded(t *testing.T) {
	f := newFixture(t)
	if err := f.Forget(f.consent); err != nil {
		t.Fatal(err)
	}
	filler := bytes.Repeat([]byte("x"), indexBytes-1)
	for n := range indexFiles + 3 {
		f.Close()
		f.index.number = uint32(n + 10)
		if err := os.WriteFile(f.index.path(f.index.number), append(filler, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.reopen(t)
	id := f.begin(t, "body")
	numbers, err := f.index.numbers()
	if err != nil || len(numbers) != indexFiles {
		t.Errorf("index files: %v, %v", numbers, err)
	}
	if got := f.list(t); len(got) != 1 || got[0].ID != id {
		t.Errorf("got %+v", got)
	}
}

func TestIndexDamage(t *testing.T) {
	f := newFixture(t)
	for n := range 3 {
		f.begin(t, fmt.Sprint(n))
	}
	f.Close()
	path := f.index.path(1)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.IndexByte(good, '\n') + 1
	for name, c := range map[string]struct {
		file []byte
		want int
	}{
		"tail cut":        {good[:len(good)-10], 2},
		"tail without LF": {good[:len(good)-1], 2},
		"zeros behind":    {append(bytes.Clone(good), make([]byte, 100)...), 3},
		"bit in a line":   {append(append(bytes.Clone(good[:second+30]), good[second+30]^1), good[second+31:]...), 2},
		"unknown fields":  {append([]byte("00000000 {}\nnonsense\n"), good...), 3},
		"empty":           {nil, 0},
	} {
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		f.reopen(t)
		if got := f.list(t); len(got) != c.want {
			t.Errorf("%s: %d entries, want %d", name, len(got), c.want)
		}
		f.begin(t, "another")
		if got := f.list(t); len(got) != c.want+1 {
			t.Errorf("%s: %d entries after one more, want %d", name, len(got), c.want+1)
		}
		f.Close()
	}
}

// Whatever step the machine stops at: an entry whose Begin returned nil is there after a restart, with its body.
func TestStopAtEveryStep(t *testing.T) {
	for _, torn := range []int{0, 20} {
		for step := 1; ; step++ {
			f := newFixture(t)
			disk := durabletest.Watch(t, f.dir)
			disk.StopAt(step, torn)
			begun := map[wire.UUID]string{}
			for n := range 3 {
				body := fmt.Sprint("body ", n)
				id, err := f.Begin(LaneB, f.consent, "PUT", "/", []byte(body))
				if err != nil {
					break
				}
				begun[id] = body
				if f.End(id, 200, "") != nil {
					break
				}
			}
			stopped := disk.Stopped()
			disk.Restart()
			f.reopen(t)
			for id, want := range begun {
				if b, err := f.Body(id); err != nil || string(b) != want {
					t.Fatalf("step %d, torn %d: entry %s: got %q, %v", step, torn, id, b, err)
				}
			}
			f.begin(t, "after")
			f.Close()
			if !stopped {
				break
			}
		}
	}
}

func TestFullDisk(t *testing.T) {
	f := newFixture(t)
	disk := durabletest.Watch(t, f.dir)
	id := f.begin(t, "one")
	disk.Fill()
	if _, err := f.Begin(LaneB, f.consent, "PUT", "/", []byte("two")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC", err)
	}
	if err := f.End(id, 200, ""); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC", err)
	}
	if _, err := f.Body(id); err != nil {
		t.Errorf("on a full disk: %v", err)
	}
	disk.Restart()
	next := f.begin(t, "three")
	ids := []wire.UUID{}
	for _, e := range f.list(t) {
		ids = append(ids, e.ID)
	}
	if !slices.Equal(ids, []wire.UUID{id, next}) {
		t.Errorf("got %v, want %v", ids, []wire.UUID{id, next})
	}
	disk.Fill()
	if err := f.Forget(f.consent); err != nil {
		t.Errorf("forget on a full disk: %v", err)
	}
}

func TestOutcomeIsOneShortLine(t *testing.T) {
	f := newFixture(t)
	id := f.begin(t, "x")
	if err := f.End(id, 0, "a\nb\x1b"+strings.Repeat("c", 1000)); err != nil {
		t.Fatal(err)
	}
	if got := f.list(t)[0].Outcome; !strings.HasPrefix(got, "a b c") || len(got) > maxOutcome {
		t.Errorf("got %q", got)
	}
}

func FuzzLine(f *testing.F) {
	b, err := encodeLine(line{Entry: &Entry{ID: wire.NewUUID(), Lane: LaneA, Consent: wire.NewUUID()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, ok := decodeLine(b); ok && (l.Entry == nil) == (l.End == nil) {
			t.Fatal("a line with none or two meanings")
		}
	})
}

func FuzzBody(f *testing.F) {
	id := wire.UUID{0: 1, 6: 0x40, 8: 0x80}
	e := Entry{Consent: id, Hash: wire.HashOf([]byte("body"))}
	b, err := wire.Marshal(sent{"PUT", "/", []byte("body")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeSent(b, e); err == nil && string(s.Body) != "body" {
			t.Fatal("a body that was never sealed")
		}
	})
}
