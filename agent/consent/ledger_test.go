package consent_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// copyDir copies the files of a state folder, as a crash leaves them.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A tail torn at any length is cut, and the record completed from the key ring: nothing that was answered is lost.
func TestTornTail(t *testing.T) {
	b := setup(t)
	tu := b.tuple("device/service")
	b.give(tu)
	before, err := os.ReadFile(b.ledger("messenger"))
	b.ok(err)
	b.ok(b.Register.Withdraw(tu, true, person))
	after, err := os.ReadFile(b.ledger("messenger"))
	b.ok(err)
	if !bytes.HasPrefix(after, before) {
		t.Fatal("the file does not only grow")
	}
	for n := len(before); n <= len(after); n += 3 {
		for _, junk := range []string{"", "\x00\x00\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("\xff", 50)} {
			b.Close()
			b.ok(os.WriteFile(b.ledger("messenger"), append(bytes.Clone(after[:n]), junk...), 0o600))
			b.start()
			if s := b.Register.State(tu); s.Status != consent.Withdrawn {
				t.Fatalf("cut to %d, %d bytes of junk: %+v", n, len(junk), s)
			}
			if got, _ := os.ReadFile(b.ledger("messenger")); !bytes.Equal(got, after) {
				t.Fatalf("cut to %d, %d bytes of junk: the file was not completed", n, len(junk))
			}
		}
	}
}

// recheck makes the checksum of the frame at a place right again.
func recheck(file []byte, at int) []byte {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	n := 8 + int(binary.LittleEndian.Uint32(file[at:]))
	sum := crc32.Update(crc32.Checksum(file[at:at+4], castagnoli), castagnoli, file[at+8:at+n])
	binary.LittleEndian.PutUint32(file[at+4:], sum)
	return file
}

// Each kind of damage makes the consents of that ledger not count, says so, and leaves the other ledger alone.
func TestDamage(t *testing.T) {
	type files struct{ ledger, ring, oldRing []byte }
	frames := func(b []byte) (starts []int) {
		at := bytes.IndexByte(b, '\n') + 1
		for at < len(b) {
			starts = append(starts, at)
			at += 8 + int(uint32(b[at])|uint32(b[at+1])<<8|uint32(b[at+2])<<16)
		}
		return append(starts, at)
	}
	flip := func(b []byte, i int) []byte { c := bytes.Clone(b); c[i] ^= 1; return c }
	cases := map[string]func(f files) files{
		"missing":        func(f files) files { f.ledger = nil; return f },
		"empty":          func(f files) files { f.ledger = []byte{}; return f },
		"header only":    func(f files) files { f.ledger = f.ledger[:frames(f.ledger)[0]]; return f },
		"header flipped": func(f files) files { f.ledger = flip(f.ledger, 20); return f },
		"other ledger": func(f files) files {
			f.ledger = bytes.Replace(f.ledger, []byte(" messenger "), []byte(" payments "), 1)
			return f
		},
		"two records short": func(f files) files { s := frames(f.ledger); f.ledger = f.ledger[:s[len(s)-3]]; return f },
		"first record cut": func(f files) files {
			s := frames(f.ledger)
			f.ledger = append(bytes.Clone(f.ledger[:s[0]]), f.ledger[s[1]:]...)
			return f
		},
		"middle record cut": func(f files) files {
			s := frames(f.ledger)
			f.ledger = append(bytes.Clone(f.ledger[:s[1]]), f.ledger[s[2]:]...)
			return f
		},
		"length flipped":   func(f files) files { f.ledger = flip(f.ledger, frames(f.ledger)[1]); return f },
		"checksum flipped": func(f files) files { f.ledger = flip(f.ledger, frames(f.ledger)[1]+4); return f },
		"leaf flipped":     func(f files) files { f.ledger = flip(f.ledger, frames(f.ledger)[1]+9); return f },
		"body flipped":     func(f files) files { f.ledger = flip(f.ledger, frames(f.ledger)[1]+70); return f },
		"records exchanged": func(f files) files {
			s := frames(f.ledger)
			f.ledger = bytes.Join([][]byte{f.ledger[:s[0]], f.ledger[s[1]:s[2]], f.ledger[s[0]:s[1]], f.ledger[s[2]:]}, nil)
			return f
		},
		"record repeated": func(f files) files {
			s := frames(f.ledger)
			f.ledger = append(bytes.Clone(f.ledger), f.ledger[s[len(s)-2]:]...)
			return f
		},
		// With a checksum that is right, so that only the tree and the seal can tell.
		"leaf changed, checksum right": func(f files) files {
			f.ledger = recheck(flip(f.ledger, frames(f.ledger)[1]+9), frames(f.ledger)[1])
			return f
		},
		"body changed, checksum right": func(f files) files {
			f.ledger = recheck(flip(f.ledger, frames(f.ledger)[1]+70), frames(f.ledger)[1])
			return f
		},
		"last body changed, checksum right": func(f files) files {
			s := frames(f.ledger)
			f.ledger = recheck(flip(f.ledger, s[len(s)-1]-1), s[len(s)-2])
			return f
		},
		"a record in another's place": func(f files) files {
			s := frames(f.ledger)
			f.ledger = bytes.Join([][]byte{f.ledger[:s[1]], f.ledger[s[0]:s[1]], f.ledger[s[2]:]}, nil)
			return f
		},
		"length beyond the file": func(f files) files {
			f.ledger = bytes.Clone(f.ledger)
			binary.LittleEndian.PutUint32(f.ledger[frames(f.ledger)[0]:], 1<<16)
			return f
		},
		"length of nothing": func(f files) files {
			f.ledger = bytes.Clone(f.ledger)
			binary.LittleEndian.PutUint32(f.ledger[frames(f.ledger)[0]:], 0)
			return f
		},
		"zeros": func(f files) files {
			s := frames(f.ledger)
			f.ledger = append(bytes.Clone(f.ledger[:s[0]]), make([]byte, len(f.ledger)-s[0])...)
			return f
		},
		"a byte put in": func(f files) files {
			s := frames(f.ledger)
			f.ledger = bytes.Join([][]byte{f.ledger[:s[1]], {0}, f.ledger[s[1]:]}, nil)
			return f
		},
		"the first line twice": func(f files) files {
			f.ledger = append(bytes.Clone(f.ledger[:frames(f.ledger)[0]]), f.ledger...)
			return f
		},
		"another generation": func(f files) files {
			f.ledger = bytes.Replace(f.ledger, []byte(" messenger 1 "), []byte(" messenger 2 "), 1)
			return f
		},
		"another key": func(f files) files { f.ledger = flip(f.ledger, frames(f.ledger)[0]-2); return f },
		"line ends of another system": func(f files) files {
			f.ledger = bytes.Replace(f.ledger, []byte("\n"), []byte("\r\n"), 1)
			return f
		},
		"older file":       func(f files) files { s := frames(f.ledger); f.ledger = f.ledger[:s[1]]; return f },
		"older ring":       func(f files) files { f.ring = f.oldRing; return f },
		"no ring any more": func(f files) files { f.ring = nil; return f },
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tu, other := b.tuple("device/service"), b.tuple("payment/pay")
			id := b.give(tu)
			oldRing, err := os.ReadFile(filepath.Join(b.Dir, "ring"))
			b.ok(err)
			b.give(b.tuple("steps/compare"))
			otherID := b.give(other)
			b.Close()
			f := files{oldRing: oldRing}
			f.ledger, err = os.ReadFile(b.ledger("messenger"))
			b.ok(err)
			f.ring, err = os.ReadFile(filepath.Join(b.Dir, "ring"))
			b.ok(err)
			g := damage(f)
			for path, content := range map[string][]byte{b.ledger("messenger"): g.ledger, filepath.Join(b.Dir, "ring"): g.ring} {
				b.ok(os.Remove(path))
				if content != nil {
					b.ok(os.WriteFile(path, content, 0o600))
				}
			}
			b.start()
			s := b.Register.State(tu)
			if !errors.Is(s.Err, consent.ErrDamaged) || s.InForce || s.Reason == "" {
				t.Errorf("state %+v", s)
			}
			if g.ring != nil && s.Status != consent.Invalidated {
				t.Errorf("status %q", s.Status)
			}
			if _, err := b.Register.Permit(tu); !errors.Is(err, consent.ErrNotInForce) {
				t.Errorf("permit: %v", err)
			}
			if err := b.Register.InForce(id); !errors.Is(err, consent.ErrNotInForce) {
				t.Errorf("in force: %v", err)
			}
			if b.Register.Problems()["messenger"] == nil {
				t.Error("no problem is shown")
			}
			if _, err := b.Register.Records("messenger"); !errors.Is(err, consent.ErrDamaged) {
				t.Errorf("records: %v", err)
			}
			if left, _ := os.ReadFile(b.ledger("messenger")); !bytes.Equal(left, g.ledger) {
				t.Error("the damaged file was changed")
			}
			ringKept := bytes.Equal(g.ring, f.ring)
			if err := b.Register.InForce(otherID); ringKept && err != nil {
				t.Errorf("the other ledger: %v", err)
			}

			// The way out: the person withdraws, which tells the controller, and can agree anew.
			b.ok(b.Register.Withdraw(tu, true, person))
			if _, err := b.Ring.DataKey(id); err == nil {
				t.Error("the data key outlived the withdrawal")
			}
			told := 0
			for _, m := range b.Register.Outbox("messenger") {
				if w, _, err := wire.Open[wire.Withdrawal](m.Body); err == nil && w.Consent == id && w.Clear {
					told++
				}
			}
			if g.ring != nil && told != 1 {
				t.Errorf("the controller is told %d times", told)
			}
			again := b.give(tu)
			b.restart()
			if err := b.Register.InForce(again); err != nil {
				t.Errorf("agreed anew: %v", err)
			}
		})
	}
}

// On a full disk consent can be withdrawn, though not given.
func TestFullDisk(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	steps := durabletest.Watch(t, b.Dir)
	steps.FillUntilRemoved(filepath.Join(b.Dir, "reserve"))
	if _, err := b.Register.Show(b.tuple("steps/compare"), policy.LangEN, person); !durable.IsFull(err) || !b.Ring.Reserve().Held() {
		t.Errorf("asked on a full disk: %v, the reserve is held: %v", err, b.Ring.Reserve().Held())
	}
	b.ok(b.Register.Withdraw(tu, true, person))
	if _, err := b.Ring.DataKey(id); err == nil {
		t.Error("the data key is still there")
	}
	if p := b.Register.Problems(); len(p) != 0 {
		t.Errorf("problems %v", p)
	}
	steps.Restart()
	b.ok(b.Register.Sweep(b.clock.Now()))
	if !b.Ring.Reserve().Held() {
		t.Error("the reserve was not made again")
	}
}

// A disk that fills in the middle of a withdrawal: without room for the ring, not even the reserve's, the withdrawal
// fails, says so, and everything is closed; with room for the ring alone it stands, its message waits, and the file
// follows when there is room.
func TestDiskFillsDuringWithdrawal(t *testing.T) {
	for name, full := range map[string]func(*bench) *durabletest.Steps{
		"before the ring": func(b *bench) *durabletest.Steps { s := durabletest.Watch(t, b.Dir); s.Fill(); return s },
		"after the ring": func(b *bench) *durabletest.Steps {
			s := durabletest.Watch(t, filepath.Join(b.Dir, "ledger"))
			s.Fill()
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			tu := b.tuple("contacts/find")
			id := b.give(tu)
			p, err := b.Register.Permit(tu)
			b.ok(err)
			steps := full(b)
			err = b.Register.Withdraw(tu, true, person)
			if p.Check() == nil || b.Register.InForce(id) == nil || b.Register.State(tu).InForce {
				t.Error("in force after the call")
			}
			if name == "before the ring" {
				if err == nil {
					t.Fatal("said to be done")
				}
				if s := b.Register.State(tu); !errors.Is(s.Err, consent.ErrUnfinished) || s.Reason == "" {
					t.Errorf("state %+v", s)
				}
				if err := b.Register.Withdraw(tu, true, person); err == nil {
					t.Error("said to be done, still full")
				}
				steps.Restart()
				b.ok(b.Register.Withdraw(tu, true, person))
			} else {
				b.ok(err)
				if a := b.Register.Audit()[0]; a.Waiting != 1 || a.Unsent != 1 || a.Problem == nil {
					t.Errorf("audit %+v", a)
				}
				b.restart() // the disk is still full
				if _, err := b.Ring.DataKey(id); err == nil || b.Register.State(tu).Status != consent.Withdrawn {
					t.Error("the withdrawal did not outlive the restart")
				}
				steps.Restart()
				b.ok(b.Register.Sweep(b.clock.Now()))
			}
			a := b.Register.Audit()[0]
			if a.Problem != nil || a.Waiting != 0 || a.Size != 3 || kinds(b.Register.Outbox("messenger")) != "withdrawal+clear" {
				t.Errorf("audit %+v, outbox %q", a, kinds(b.Register.Outbox("messenger")))
			}
			if _, err := b.Ring.DataKey(id); err == nil {
				t.Error("the data key is still there")
			}
		})
	}
}

// While the ledger's file cannot be written the ring keeps its records, and the file is completed later.
func TestLedgerFileFails(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	b.give(tu)
	steps := durabletest.Watch(t, b.ledger("messenger"))
	steps.FailSync()
	b.ok(b.Register.Withdraw(tu, false, person))
	b.ok(b.Register.Request(b.tuple("steps/compare"), app))
	if b.Register.Problems()["messenger"] == nil {
		t.Error("the failure does not show")
	}
	records, err := b.Register.Records("messenger")
	b.ok(err)
	if len(records) != 4 {
		t.Errorf("%d records", len(records))
	}
	b.restart() // still failing
	if s := b.Register.State(tu); s.Status != consent.Withdrawn {
		t.Errorf("after a restart: %+v", s)
	}
	steps.Restart()
	b.ok(b.Register.Sweep(b.clock.Now()))
	if p := b.Register.Problems(); len(p) != 0 {
		t.Errorf("problems %v", p)
	}
	b.restart()
	if again, err := b.Register.Records("messenger"); err != nil || fmt.Sprint(len(again)) != "4" {
		t.Errorf("%d records, %v", len(again), err)
	}
}

// A withdrawal that cannot be written stops everything, stays visible, and is finished by the next try.
func TestWithdrawalThatCannotBeWritten(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	p, err := b.Register.Permit(tu)
	b.ok(err)
	ctx, cancel := b.Register.Context(t.Context(), id)
	defer cancel()
	steps := durabletest.Watch(t, b.Dir)
	steps.StopAt(1, 0)
	if err := b.Register.Withdraw(tu, true, person); err == nil {
		t.Fatal("said nothing")
	}
	<-p.Done()
	<-ctx.Done()
	if err := p.Check(); !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("permit: %v", err)
	}
	if s := b.Register.State(tu); !errors.Is(s.Err, consent.ErrUnfinished) {
		t.Errorf("state %+v", s)
	}
	if _, err := b.Register.Permit(tu); !errors.Is(err, consent.ErrUnfinished) {
		t.Errorf("new permit: %v", err)
	}
	b.ok(b.Register.SetPolicy(b.doc))
	if err := b.Register.InForce(id); !errors.Is(err, consent.ErrUnfinished) {
		t.Errorf("in force: %v", err)
	}
	steps.Restart()
	b.ok(b.Register.Withdraw(tu, true, person))
	if s := b.Register.State(tu); s.Status != consent.Withdrawn {
		t.Errorf("state %+v", s)
	}
}

// Permits end when Withdraw is called, not when the disk has time for it.
func TestWithdrawalDoesNotWaitToStop(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	b.give(tu)
	p, err := b.Register.Permit(tu)
	b.ok(err)
	steps := durabletest.Watch(t, b.Dir)
	entered, release := steps.Hold()
	defer release()
	other := make(chan error, 1)
	go func() { other <- b.Register.Request(b.tuple("steps/compare"), app) }()
	<-entered
	withdrawn := make(chan error, 1)
	go func() { withdrawn <- b.Register.Withdraw(tu, false, person) }()
	<-p.Done()
	if err := p.Check(); !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("permit: %v", err)
	}
	release()
	b.ok(<-other)
	b.ok(<-withdrawn)
}

// A withdrawal whose survival is unknown is reported as such, and the next one makes sure of it.
func TestWithdrawalOfUnknownOutcome(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	steps := durabletest.Watch(t, b.Dir)
	steps.StopAt(5, 0) // the fsync of the ring's folder
	if err := b.Register.Withdraw(tu, false, person); err == nil {
		t.Fatal("said nothing")
	}
	if err := b.Register.InForce(id); !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("in force: %v", err)
	}
	if err := b.Register.Withdraw(tu, false, person); err == nil {
		t.Error("said to be durable on a stopped disk")
	}
	steps.Restart()
	b.ok(b.Register.Withdraw(tu, false, person))
	if got := steps.Trace(); len(got) != 1 || got[0] != "fsync-dir "+b.Dir {
		t.Errorf("steps %q", got)
	}
}

// An erasure that was asked for is not forgotten with a damaged ledger.
func TestRestartRemembersErasures(t *testing.T) {
	b := setup(t)
	tu, kept := b.tuple("contacts/find"), b.tuple("steps/compare")
	id := b.give(tu)
	b.give(kept)
	b.ok(b.Register.Withdraw(tu, true, person))
	b.Close()
	b.ok(os.Remove(b.ledger("messenger")))
	b.start()
	b.ok(b.Register.Restart("messenger", person))
	b.ok(b.Register.Restart("messenger", person))
	asked := map[wire.UUID]bool{}
	for _, m := range b.Register.Outbox("messenger") {
		w, _, err := wire.Open[wire.Withdrawal](m.Body)
		b.ok(err)
		asked[w.Consent] = w.Clear
	}
	if len(asked) != 2 || !asked[id] {
		t.Errorf("asked %v", asked)
	}
	if s := b.Register.State(kept); s.Status != consent.Invalidated || s.InForce {
		t.Errorf("state %+v", s)
	}
}

// The body of a record is erased with its key; the ledger stays in order around it.
func TestErasedBody(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	b.give(tu)
	b.ok(b.Register.Withdraw(tu, true, person))
	id := b.give(tu)
	b.ok(b.Ring.Update(func(s *keyring.State) error {
		delete(s.Ledgers["messenger"].RecordKeys, 0)
		delete(s.Ledgers["messenger"].RecordKeys, 1)
		delete(s.Ledgers["messenger"].RecordKeys, 2)
		return nil
	}))
	b.restart()
	records, err := b.Register.Records("messenger")
	b.ok(err)
	if len(records) != 5 || !records[0].Erased || !records[2].Erased || records[4].Erased {
		t.Errorf("records %+v", records)
	}
	if err := b.Register.InForce(id); err != nil {
		t.Error(err)
	}
	// The tree still holds the leaf of an erased body: another one is noticed.
	b.Close()
	file, err := os.ReadFile(b.ledger("messenger"))
	b.ok(err)
	first := file[bytes.IndexByte(file, '\n')+1:]
	first[8] ^= 1
	recheck(first, 0)
	b.ok(os.WriteFile(b.ledger("messenger"), file, 0o600))
	b.start()
	if err := b.Register.Problems()["messenger"]; !errors.Is(err, consent.ErrDamaged) {
		t.Errorf("another leaf: %v", err)
	}
}

// The file that somebody shortens under the running agent is damage at once.
func TestShortenedWhileRunning(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	steps := durabletest.Watch(t, b.ledger("messenger"))
	steps.FailSync()
	b.ok(b.Register.Request(b.tuple("steps/compare"), app))
	steps.Restart()
	b.ok(os.Truncate(b.ledger("messenger"), 10))
	_ = b.Register.Sweep(b.clock.Now())
	if err := b.Register.InForce(id); !errors.Is(err, consent.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestCopyOfAFolderOpens(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	id := b.give(tu)
	dir := t.TempDir()
	copyDir(t, b.Dir, dir) // while the first is open
	b.Close()
	b.Dir = dir
	b.start()
	if err := b.Register.InForce(id); err != nil {
		t.Error(err)
	}
	b.clock.Add(time.Hour)
}
