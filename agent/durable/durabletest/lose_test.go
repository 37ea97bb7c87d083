package durabletest_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
)

// A replacement, an append and a removal that stop before they are flushed are lost in some of the power cuts and kept in
// others; what returned nil is never lost.
func TestLose(t *testing.T) {
	acts := map[string]func(dir string) error{
		"replace": func(dir string) error { return durable.WriteFile(filepath.Join(dir, "a"), []byte("new"), 0o600) },
		"remove":  func(dir string) error { return durable.Remove(filepath.Join(dir, "a")) },
		"append": func(dir string) error {
			f, err := durable.OpenAppend(filepath.Join(dir, "a"))
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Append([]byte(" more"))
		},
	}
	after := map[string]string{"replace": "new", "remove": "", "append": "old more"}
	for name, act := range acts {
		seen := map[string]bool{}
		for seed := range uint64(16) {
			for stop := range 8 {
				dir := t.TempDir()
				path := filepath.Join(dir, "a")
				if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
				steps := durabletest.Watch(t, dir)
				steps.Remember()
				if stop > 0 {
					steps.StopAt(stop, 0)
				}
				err := act(dir)
				if err := steps.Lose(rand.New(rand.NewPCG(seed, uint64(stop)))); err != nil {
					t.Fatal(err)
				}
				got, _ := os.ReadFile(path)
				if err == nil && string(got) != after[name] {
					t.Errorf("%s: %q after it had returned nil", name, got)
				}
				if string(got) != "old" && string(got) != after[name] {
					t.Errorf("%s, stopped at %d: %q", name, stop, got)
				}
				if err != nil {
					seen[string(got)] = true
				}
			}
		}
		if !seen["old"] || !seen[after[name]] {
			t.Errorf("%s: cut off, only %v was seen", name, seen)
		}
	}
}

// A folder whose removal is lost is there again as a folder.
func TestLoseFolder(t *testing.T) {
	back := false
	for seed := range uint64(16) {
		dir := t.TempDir()
		path := filepath.Join(dir, "folder")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		steps := durabletest.Watch(t, dir)
		steps.Remember()
		steps.StopAt(2, 0) // the flush of dir
		if err := durable.Remove(path); err == nil {
			t.Fatal("removed although the machine stopped")
		}
		if err := steps.Lose(rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err == nil {
			if back = true; !info.IsDir() {
				t.Fatal("it is a file now")
			}
		}
	}
	if !back {
		t.Error("its removal was never lost")
	}
}
