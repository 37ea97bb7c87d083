package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var device = bytes.Repeat([]byte{7}, KeySize)

func open(t *testing.T, dir string) *Ring {
	t.Helper()
	r, err := Open(dir, device)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func grant() *Grant {
	return &Grant{Tuple: policy.Tuple{Subject: "1000", Controller: "messenger", Category: "device", Purpose: "service"}, DataKey: NewKey(), Identity: NewKey()}
}

func add(t *testing.T, r *Ring) wire.UUID {
	t.Helper()
	id := wire.NewUUID()
	if err := r.Update(func(s *State) error { s.Grants[id] = grant(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	id := add(t, r)
	if err := r.SetEpoch(id, []byte("epoch")); err != nil {
		t.Fatal(err)
	}
	if err := r.Update(func(s *State) error {
		s.Ledgers["messenger"] = &LedgerState{
			Generation: 2, Seed: NewKey(), Size: 3, Root: make([]byte, 32), RecordKeys: map[uint64]Secret{1: NewKey(), 2: NewKey()},
			Pending: [][]byte{{1}, {2}}, Retired: []*LedgerState{{Generation: 1, Seed: NewKey(), RecordKeys: map[uint64]Secret{}}},
		}
		s.HighWater, s.PolicyKey, s.PolicyVersion = 12345, "key", 3
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var want, got *State
	r.View(func(s *State) { want = s.clone() })
	r.Close()
	r = open(t, dir)
	r.View(func(s *State) { got = s.clone() })
	if a, _ := want.encode(); true {
		if b, _ := got.encode(); !bytes.Equal(a, b) {
			t.Error("the state after a restart differs")
		}
	}
	if got.Counter != 3 {
		t.Errorf("counter %d after 3 updates", got.Counter)
	}
}

func TestDestroy(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	id := add(t, r)
	if err := r.SetEpoch(id, []byte("epoch")); err != nil {
		t.Fatal(err)
	}
	key, err := r.DataKey(id)
	if err != nil || len(key) != KeySize {
		t.Fatalf("%d bytes, %v", len(key), err)
	}
	for range 2 {
		if err := r.Destroy(id); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		if _, err := r.DataKey(id); !errors.Is(err, ErrNoKey) {
			t.Errorf("data key: %v", err)
		}
		if _, err := r.Epoch(id); !errors.Is(err, ErrNoKey) {
			t.Errorf("epoch: %v", err)
		}
		if err := r.SetEpoch(id, []byte("late")); !errors.Is(err, ErrNoKey) {
			t.Errorf("set epoch: %v", err)
		}
		if _, err := r.Identity(id); err != nil {
			t.Errorf("identity: %v", err)
		}
	}
	check()
	r.Close()
	r = open(t, dir)
	check()
	if err := r.Destroy(wire.NewUUID()); err != nil {
		t.Errorf("unknown consent: %v", err)
	}
}

// Stopped before any step, an update has happened or not; nothing in between, and never after it was reported to have failed cleanly.
func TestUpdateIsAtomic(t *testing.T) {
	for n := 1; ; n++ {
		dir := t.TempDir()
		r := open(t, dir)
		id := add(t, r)
		steps := durabletest.Watch(t, dir)
		steps.StopAt(n, 40)
		err := r.Destroy(id)
		_, inMemory := r.DataKey(id)
		r.Close()
		stopped := steps.Stopped()
		steps.Restart()
		r = open(t, dir)
		_, onDisk := r.DataKey(id)
		r.Close()
		switch {
		case err == nil && onDisk == nil:
			t.Fatalf("step %d: destroyed, and back after a restart", n)
		case (inMemory == nil) != (onDisk == nil):
			t.Errorf("step %d: memory %v, disk %v", n, inMemory, onDisk)
		case err != nil && !durable.Replaced(err) && onDisk != nil:
			t.Errorf("step %d: failed with %v, yet the key is gone", n, err)
		}
		if !stopped {
			return
		}
	}
}

func TestFlushAfterUnknownOutcome(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	id := add(t, r)
	steps := durabletest.Watch(t, dir)
	steps.StopAt(5, 0) // the fsync of the folder
	if err := r.Destroy(id); !durable.Replaced(err) {
		t.Fatalf("got %v", err)
	}
	if err := r.Flush(); err == nil {
		t.Error("flushed on a stopped machine")
	}
	steps.Restart()
	if err := r.Flush(); err != nil {
		t.Error(err)
	}
	if got := steps.Trace(); !reflect.DeepEqual(got, []string{"fsync-dir " + dir}) {
		t.Errorf("steps %q", got)
	}
}

func TestFailedUpdateChangesNothing(t *testing.T) {
	r := open(t, t.TempDir())
	id := add(t, r)
	stop := errors.New("no")
	if err := r.Update(func(s *State) error { delete(s.Grants, id); return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if _, err := r.DataKey(id); err != nil {
		t.Error(err)
	}
}

func TestCannotBeOpened(t *testing.T) {
	base := t.TempDir()
	r := open(t, base)
	add(t, r)
	r.Close()
	good, err := os.ReadFile(filepath.Join(base, "ring"))
	if err != nil {
		t.Fatal(err)
	}
	flip := func(i int) []byte { b := bytes.Clone(good); b[i] ^= 1; return b }
	cases := map[string][]byte{
		"empty": {}, "magic": flip(3), "nonce": flip(len(magic)), "sealed": flip(len(magic) + 30), "tag": flip(len(good) - 1),
		"longer": append(bytes.Clone(good), 0),
	}
	for n := 1; n < len(good); n += 7 {
		cases[fmt.Sprintf("cut to %d", n)] = good[:n]
	}
	for name, b := range cases {
		dir := t.TempDir()
		path := filepath.Join(dir, "ring")
		os.WriteFile(path, b, 0o600)
		_, err := Open(dir, device)
		if !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(err.Error(), "start anew") {
			t.Errorf("%s: does not say what to do: %v", name, err)
		}
		if left, _ := os.ReadFile(path); !bytes.Equal(left, b) {
			t.Errorf("%s: the ring was changed", name)
		}
	}
	if _, err := Open(base, bytes.Repeat([]byte{8}, KeySize)); !errors.Is(err, ErrSealed) {
		t.Errorf("other device key: %v", err)
	}
	if _, err := Open(base, device[:31]); err == nil {
		t.Error("short device key")
	}
	os.Truncate(filepath.Join(base, "ring"), MaxSize+1)
	if _, err := Open(base, device); !errors.Is(err, ErrSealed) {
		t.Errorf("huge: %v", err)
	}
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	if _, err := Open(dir, device); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("got %v", err)
	}
	r.Close()
	open(t, dir)
	if err := r.Update(func(*State) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("closed ring: %v", err)
	}
	if _, err := r.DataKey(wire.NewUUID()); !errors.Is(err, ErrClosed) {
		t.Errorf("closed ring: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	id := add(t, r)
	steps := durabletest.Watch(t, dir)
	steps.FillUntilRemoved(filepath.Join(dir, "reserve"))
	if err := r.Destroy(id); err != nil {
		t.Fatalf("a withdrawal on a full disk: %v", err)
	}
	if r.Reserve().Held() {
		t.Error("the reserve is said to be held on a full disk")
	}
	steps.Restart()
	add(t, r)
	if !r.Reserve().Held() {
		t.Error("the reserve was not made again")
	}
}

func TestDeviceKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	key, err := DeviceKey(dir)
	if err != nil || len(key) != KeySize {
		t.Fatalf("%d bytes, %v", len(key), err)
	}
	again, err := DeviceKey(dir)
	if err != nil || !bytes.Equal(key, again) {
		t.Errorf("second start: %v", err)
	}
	if info, _ := os.Stat(filepath.Join(dir, "device.key")); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	r, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	add(t, r)
	r.Close()
	os.Remove(filepath.Join(dir, "device.key"))
	if _, err := DeviceKey(dir); !errors.Is(err, ErrSealed) {
		t.Errorf("lost beside a ring: %v", err)
	}
	short := filepath.Join(dir, "short")
	os.WriteFile(short, key[:31], 0o600)
	if _, err := ReadDeviceKey(short); !errors.Is(err, ErrSealed) {
		t.Errorf("short: %v", err)
	}
	os.WriteFile(short, append(key, 1), 0o600)
	if _, err := ReadDeviceKey(short); !errors.Is(err, ErrSealed) {
		t.Errorf("long: %v", err)
	}
	os.Chmod(short, 0o644)
	if _, err := ReadDeviceKey(short); !errors.Is(err, durable.ErrForeign) {
		t.Errorf("readable by all: %v", err)
	}
	if _, err := ReadDeviceKey(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestSecretsRedactThemselves(t *testing.T) {
	canary := []byte("CANARY-CANARY-CANARY-CANARY-1234")
	s := newState()
	s.Grants[wire.NewUUID()] = &Grant{DataKey: canary, Identity: canary, Epoch: canary}
	l := &LedgerState{Seed: canary, RecordKeys: map[uint64]Secret{0: canary}}
	s.Ledgers["c"] = l
	g := Grant{DataKey: canary, Identity: canary, Epoch: canary}
	for _, v := range []any{s, l, *l, g, &g, Secret(canary), []Secret{canary}} {
		var out []string
		for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			out = append(out, fmt.Sprintf(f, v))
		}
		if b, err := json.Marshal(v); err == nil {
			out = append(out, string(b))
		}
		for _, o := range out {
			if strings.Contains(o, "CANARY") || strings.Contains(strings.ToLower(o), fmt.Sprintf("%x", canary)) ||
				strings.Contains(o, "67 65 78") || strings.Contains(o, "Q0FOQVJZ") {
				t.Errorf("%T shows a secret: %s", v, o)
			}
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	s := newState()
	f.Add(must(s.encode()))
	s.Grants[wire.NewUUID()] = grant()
	s.Ledgers["messenger"] = &LedgerState{Generation: 1, Seed: NewKey(), Size: 1, Root: make([]byte, 32), RecordKeys: map[uint64]Secret{0: NewKey()}, Pending: [][]byte{{1}}}
	f.Add(must(s.encode()))
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b)
		if err != nil {
			return
		}
		c := s.clone()
		again, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(again); err != nil {
			t.Fatalf("does not read what it wrote: %v", err)
		}
		c.wipe()
	})
}
