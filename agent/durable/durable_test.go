package durable_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
)

// Stopped before any of its steps, a replacement leaves the old file or the new one, whole.
func TestWriteFileIsAtomic(t *testing.T) {
	before, after := []byte("the old content"), []byte("something new and longer than before")
	for n := 1; ; n++ {
		for _, torn := range []int{0, 1, len(after) - 1} {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if err := durable.WriteFile(path, before, 0o600); err != nil {
				t.Fatal(err)
			}
			steps := durabletest.Watch(t, dir)
			steps.StopAt(n, torn)
			err := durable.WriteFile(path, after, 0o600)
			if err == nil {
				if steps.Stopped() {
					t.Fatalf("step %d was stopped, and WriteFile said nothing", n)
				}
				if n < 5 {
					t.Fatalf("WriteFile took %d steps: %v", n-1, steps.Trace())
				}
				return
			}
			got, readErr := os.ReadFile(path)
			if readErr != nil {
				t.Fatal(readErr)
			}
			switch {
			case durable.Replaced(err) && !bytes.Equal(got, after):
				t.Errorf("step %d: said to be replaced, holds %q", n, got)
			case !durable.Replaced(err) && !bytes.Equal(got, before):
				t.Errorf("step %d: holds %q after %v", n, got, err)
			}
			steps.Restart()
			if err := durable.WriteFile(path, after, 0o600); err != nil {
				t.Errorf("step %d: again: %v", n, err)
			}
			if got, _ := os.ReadFile(path); !bytes.Equal(got, after) {
				t.Errorf("step %d: again: holds %q", n, got)
			}
		}
	}
}

func TestWriteFileSteps(t *testing.T) {
	dir := t.TempDir()
	steps := durabletest.Watch(t, dir)
	path := filepath.Join(dir, "file")
	if err := durable.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"create " + path + ".tmp", "write " + path + ".tmp", "fsync " + path + ".tmp", "rename " + path, "fsync-dir " + dir}
	if got := steps.Trace(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriteFileLeavesNothingOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	steps := durabletest.Watch(t, dir)
	steps.Fill()
	err := durable.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600)
	if !durable.IsFull(err) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestAppend(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	f, err := durable.OpenAppend(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"one", "two"} {
		if err := f.Append([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	steps := durabletest.Watch(t, dir)
	steps.StopAt(1, 2)
	if err := f.Append([]byte("three")); err == nil {
		t.Fatal("a torn append said nothing")
	}
	steps.Restart()
	if err := f.Append([]byte("four")); !errors.Is(err, durable.ErrBroken) {
		t.Errorf("the handle was used again: %v", err)
	}
	if f.Size() != 6 {
		t.Errorf("size %d counts what is not known to be there", f.Size())
	}
	f.Close()
	if f, err = durable.OpenAppend(path); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Size() != 8 {
		t.Errorf("size %d, want the torn tail too", f.Size())
	}
	if err := f.Truncate(6); err != nil {
		t.Fatal(err)
	}
	if err := f.Append([]byte("3")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "onetwo3" {
		t.Errorf("holds %q", got)
	}
	if err := f.Truncate(100); err == nil {
		t.Error("truncated beyond the end")
	}
}

func TestAppendAfterFailedSync(t *testing.T) {
	dir := t.TempDir()
	f, err := durable.OpenAppend(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	steps := durabletest.Watch(t, dir)
	steps.FailSync()
	if err := f.Append([]byte("x")); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	steps.Restart()
	if err := f.Append([]byte("y")); !errors.Is(err, durable.ErrBroken) {
		t.Errorf("got %v: a second fsync proves nothing", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	l, err := durable.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.LockDir(dir); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	l.Close()
	if l, err = durable.LockDir(dir); err != nil {
		t.Errorf("after Close: %v", err)
	} else {
		l.Close()
	}
}

func TestReserveMakesRoom(t *testing.T) {
	dir := t.TempDir()
	r := durable.OpenReserve(dir)
	if !r.Held() {
		t.Fatal("no reserve on an empty disk")
	}
	tries := 0
	full := func() error {
		tries++
		if r.Held() {
			return syscall.ENOSPC
		}
		return nil
	}
	if err := r.Do(full); err != nil || tries != 2 {
		t.Errorf("%d tries, %v", tries, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "reserve")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the reserve still takes its space: %v", err)
	}
	steps := durabletest.Watch(t, dir)
	steps.Fill()
	if err := r.Refill(); !durable.IsFull(err) || r.Held() {
		t.Errorf("refill on a full disk: %v", err)
	}
	steps.Restart()
	if err := r.Refill(); err != nil || !r.Held() {
		t.Errorf("refill: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "reserve")); err != nil || info.Size() != durable.ReserveSize {
		t.Errorf("reserve of %v, %v", info, err)
	}
	other := errors.New("something else")
	if err := r.Do(func() error { return other }); !errors.Is(err, other) || !r.Held() {
		t.Errorf("gave the reserve up for %v", err)
	}
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("MISSING: file modes on windows")
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := durable.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, _ := os.Stat(d); info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", d, info.Mode())
		}
	}
	os.Chmod(dir, 0o755)
	if err := durable.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("left open with mode %v", info.Mode())
	}
	path := filepath.Join(dir, "file")
	if err := durable.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.CheckPrivate(path); err != nil {
		t.Error(err)
	}
	os.Chmod(path, 0o640)
	if err := durable.CheckPrivate(path); !errors.Is(err, durable.ErrForeign) {
		t.Errorf("mode 0640: %v", err)
	}
	if _, err := durable.OpenAppend(path); !errors.Is(err, durable.ErrForeign) {
		t.Errorf("append to mode 0640: %v", err)
	}
	if err := durable.MkdirAll(path); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a file in the place of a folder: %v", err)
	}
}

func TestForeignOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("MISSING: root, to make a folder of another user")
	}
	dir := filepath.Join(t.TempDir(), "theirs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Skip("MISSING: the right to give a folder away")
	}
	if err := durable.MkdirAll(dir); !errors.Is(err, durable.ErrForeign) {
		t.Errorf("got %v", err)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := durable.Remove(path); err != nil {
		t.Errorf("what is not there: %v", err)
	}
	durable.WriteFile(path, nil, 0o600)
	steps := durabletest.Watch(t, dir)
	steps.Fill()
	if err := durable.Remove(path); err != nil {
		t.Errorf("on a full disk: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("still there")
	}
}
