package minimise

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/sensors/contacts"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// passOptions are what a memory is bound to.
type passOptions struct {
	epoch  wire.Epoch
	region string
	build  string
	key    byte
	sealed []byte
	now    time.Time // of the pass
	cold   bool      // without a memory
}

type passResult struct {
	report  []byte
	sealed  []byte // what is stored after the pass
	stats   contacts.Stats
	values  int
	skipped map[string]int
	damaged bool
}

func runPass(t testing.TB, p consent.Permit, dir string, o passOptions) passResult {
	t.Helper()
	source, err := contacts.Open(p, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	at := now
	pass, err := NewContacts(p, o.region, o.epoch, at)
	if err != nil {
		t.Fatal(err)
	}
	defer pass.Close()
	var memory *ContactsMemory
	r := passResult{sealed: o.sealed}
	if !o.cold {
		memory, err = pass.Remember(bytes.Repeat([]byte{o.key}, 32), o.build, bytes.Clone(o.sealed))
		r.damaged = errors.Is(err, ErrContactsMemory)
		if err != nil && !r.damaged {
			t.Fatal(err)
		}
		source.Remember(memory, o.now)
	}
	for {
		e, err := source.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := pass.Add(e.Kind, e.Raw()); err != nil {
			t.Fatal(err)
		}
	}
	report, err := pass.Report(bytes.Repeat([]byte{9}, 32), at)
	if err != nil {
		t.Fatal(err)
	}
	r.report, r.stats, r.values, r.skipped = report.Encode(), source.Stats(), pass.Values(), pass.Skipped()
	if memory != nil {
		if sealed, changed := memory.Seal(); changed {
			r.sealed = sealed
		}
	}
	return r
}

// same fails the test when a pass with a memory differs from one without.
func (r passResult) same(t testing.TB, cold passResult) {
	t.Helper()
	if !bytes.Equal(r.report, cold.report) {
		t.Error("the report differs from that of a cold pass")
	}
	a, b := r.stats, cold.stats
	a.Unchanged = 0
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("counts\n%+v, of a cold pass\n%+v", a, b)
	}
	if r.values != cold.values || !maps.Equal(r.skipped, cold.skipped) {
		t.Errorf("values %d, skipped %v, of a cold pass %d, %v", r.values, r.skipped, cold.values, cold.skipped)
	}
}

// marks is how many of n files can be remembered on this system.
func marks(n int) int {
	if runtime.GOOS == "windows" {
		return 0
	}
	return n
}

// testOptions has every file settled.
func testOptions() passOptions {
	return passOptions{epoch: epoch(), region: "GB", build: "1", key: 1, now: time.Now().Add(time.Hour)}
}

func writeCard(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// inventedCard is a card whose values and faults depend on n; its size does not, for n within a class of ten.
func inventedCard(n int) string {
	number := fmt.Sprintf("+44 7700 9%05d", n%100_000)
	lines := []string{"BEGIN:VCARD", "VERSION:3.0", "TEL:" + number}
	switch n % 10 {
	case 1:
		lines = append(lines, "EMAIL:person"+fmt.Sprintf("%05d", n%100_000)+"@example.com")
	case 2:
		lines = append(lines, "TEL:not a number", "EMAIL:nobody")
	case 3:
		lines = append(lines, "TEL:", "TEL;ENCODING=b:!!!!")
	case 4:
		lines = append(lines, "TEL:07700 900"+fmt.Sprintf("%03d", n%1000))
	case 5:
		return strings.Join(lines, "\r\n") // cut off
	}
	return strings.Join(append(lines, "END:VCARD", ""), "\r\n")
}

// TestRescanIsAColdScan edits a folder at random, in the same tick too and keeping sizes and times, and compares
// every pass that remembers with one that does not.
func TestRescanIsAColdScan(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			dir, p, o := t.TempDir(), permit(t, "contacts", "find-friends"), testOptions()
			name := func() string {
				return filepath.Join(dir, []string{"", "a", "b", filepath.Join("b", "c")}[rnd.IntN(4)], fmt.Sprintf("%02d.vcf", rnd.IntN(20)))
			}
			writeCard(t, filepath.Join(dir, "first.vcf"), inventedCard(1))
			unchanged := 0
			for range 25 {
				settled := rnd.IntN(2) == 0 // files count as left alone; then an edit comes in a later tick, as it would
				o.now = time.Now()
				if settled {
					o.now = o.now.Add(time.Hour)
				}
				got := runPass(t, p, dir, o)
				cold := o
				cold.cold = true
				got.same(t, runPass(t, p, dir, cold))
				if got.damaged {
					t.Fatal("what was sealed cannot be opened")
				}
				o.sealed = got.sealed
				unchanged += got.stats.Unchanged
				if settled {
					time.Sleep(20 * time.Millisecond)
				}
				for range rnd.IntN(4) {
					path, other := name(), name()
					info, err := os.Stat(path)
					switch rnd.IntN(6) {
					case 0, 1:
						writeCard(t, path, inventedCard(rnd.IntN(100_000)))
					case 2: // the same size, and the time put back
						if err == nil {
							text, _ := os.ReadFile(path)
							writeCard(t, path, strings.ReplaceAll(string(text), "7700 9", "7700 8"))
							if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
								t.Fatal(err)
							}
						}
					case 3:
						_ = os.Remove(path)
					case 4:
						if err == nil {
							_ = os.MkdirAll(filepath.Dir(other), 0o700)
							_ = os.Rename(path, other)
						}
					case 5:
						_ = os.RemoveAll(filepath.Join(dir, "b", "c"))
					}
				}
			}
			if unchanged == 0 && marks(1) == 1 {
				t.Error("no file was ever taken as unchanged: the test shows nothing")
			}
		})
	}
}

// TestRescanReadsNothing has a folder that nobody touched: no file of it is opened.
func TestRescanReadsNothing(t *testing.T) {
	dir, p, o := t.TempDir(), permit(t, "contacts", "find-friends"), testOptions()
	book := booktest.Generate(5, 300, booktest.Options{})
	if err := book.WriteFolder(dir); err != nil {
		t.Fatal(err)
	}
	first := runPass(t, p, dir, o)
	if first.stats.Unchanged != 0 {
		t.Errorf("%d files unchanged in the first pass", first.stats.Unchanged)
	}
	o.sealed = first.sealed
	second := runPass(t, p, dir, o)
	second.same(t, first)
	if second.stats.Unchanged != marks(300) {
		t.Errorf("%d of 300 files unchanged", second.stats.Unchanged)
	}
	if marks(1) == 1 && !bytes.Equal(second.sealed, first.sealed) {
		t.Error("nothing changed, and it is written anew")
	}
}

// TestMemoryIsBound changes, one at a time, everything that digests depend on.
func TestMemoryIsBound(t *testing.T) {
	dir, p, o := t.TempDir(), permit(t, "contacts", "find-friends"), testOptions()
	for i := range 40 {
		writeCard(t, filepath.Join(dir, fmt.Sprintf("%d.vcf", i)), inventedCard(i))
	}
	o.sealed = runPass(t, p, dir, o).sealed
	for name, change := range map[string]func(*passOptions){
		"epoch":     func(o *passOptions) { o.epoch.ID++ },
		"epoch key": func(o *passOptions) { o.epoch.Key = bytes.Repeat([]byte{4}, 32) },
		"region":    func(o *passOptions) { o.region = "CN" },
		"build":     func(o *passOptions) { o.build = "2" },
		"data key":  func(o *passOptions) { o.key++ },
		"damage": func(o *passOptions) {
			o.sealed = append(bytes.Clone(o.sealed[:len(o.sealed)-1]), o.sealed[len(o.sealed)-1]^1)
		},
		"torn":      func(o *passOptions) { o.sealed = o.sealed[:len(o.sealed)/2] },
		"empty":     func(o *passOptions) { o.sealed = []byte{0} },
		"too large": func(o *passOptions) { o.sealed = make([]byte, MaxContactsMemory+1) },
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			change(&o)
			got := runPass(t, p, dir, o)
			cold := o
			cold.cold = true
			got.same(t, runPass(t, p, dir, cold))
			if got.stats.Unchanged != 0 {
				t.Errorf("%d files were taken from what another epoch, region, version or key made", got.stats.Unchanged)
			}
			if want := name == "data key" || name == "damage" || name == "torn" || name == "empty" || name == "too large"; got.damaged != want {
				t.Errorf("said to be damaged: %v", got.damaged)
			}
			o.sealed = got.sealed
			if again := runPass(t, p, dir, o); again.stats.Unchanged != marks(40) || again.damaged {
				t.Errorf("rebuilt: %d of 40 files unchanged", again.stats.Unchanged)
			}
		})
	}
	t.Run("another consent", func(t *testing.T) {
		if got := runPass(t, permit(t, "contacts", "find-friends"), dir, o); got.stats.Unchanged != 0 {
			t.Errorf("%d files were taken from another consent", got.stats.Unchanged)
		}
	})
}

// TestMemoryNeedsAPermit withdraws between the scan and the report: what is remembered is not handed out.
func TestMemoryNeedsAPermit(t *testing.T) {
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	reg := consenttest.New(t, doc)
	tuple := consenttest.Tuple(t, doc, "contacts", "find-friends")
	consenttest.Give(t, reg, tuple)
	p := consenttest.PermitFrom(t, reg, tuple)
	dir, o := t.TempDir(), testOptions()
	for i := range 600 {
		writeCard(t, filepath.Join(dir, fmt.Sprintf("%d.vcf", i)), inventedCard(10*i))
	}
	o.sealed = runPass(t, p, dir, o).sealed

	open := func() (*contacts.Source, *Contacts) {
		source, err := contacts.Open(p, dir)
		if err != nil {
			t.Fatal(err)
		}
		pass, err := NewContacts(p, o.region, o.epoch, now)
		if err != nil {
			t.Fatal(err)
		}
		memory, err := pass.Remember(bytes.Repeat([]byte{o.key}, 32), o.build, bytes.Clone(o.sealed))
		if err != nil {
			t.Fatal(err)
		}
		source.Remember(memory, o.now)
		return source, pass
	}
	source, pass := open()
	defer source.Close()
	if _, err := source.Next(t.Context()); err != io.EOF && marks(1) == 1 {
		t.Fatal(err)
	}
	later, _ := open()
	defer later.Close()
	if err := reg.Withdraw(tuple, false, consent.Actor{UID: os.Getuid(), Channel: "cli", Person: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := pass.Report(bytes.Repeat([]byte{9}, 32), now); err == nil {
		t.Error("a report was made of what is remembered, without a consent")
	}
	if _, err := later.Next(t.Context()); err == nil || err == io.EOF {
		t.Errorf("Next after the withdrawal: %v, want a refusal", err)
	}
	if n := later.Stats().Unchanged; n != 0 {
		t.Errorf("%d files were looked up without a consent", n)
	}
}

// TestJustChangedIsReadAgain: what was changed within two seconds before a pass can change again under the same stamp.
func TestJustChangedIsReadAgain(t *testing.T) {
	dir, p := t.TempDir(), permit(t, "contacts", "find-friends")
	path := filepath.Join(dir, "a.vcf")
	writeCard(t, path, inventedCard(1))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for ago, want := range map[time.Duration]int{-time.Hour: 0, 0: 0, 1900 * time.Millisecond: 0, 2100 * time.Millisecond: 1} {
		o := testOptions()
		o.now = info.ModTime().Add(ago)
		o.sealed = runPass(t, p, dir, o).sealed
		if got := runPass(t, p, dir, o).stats.Unchanged; got != marks(want) {
			t.Errorf("changed %v before the pass: %d files taken as unchanged, want %d", ago, got, marks(want))
		}
	}
}
