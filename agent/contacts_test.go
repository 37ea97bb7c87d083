package agent_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestAddressBookIsRemembered: a second pass opens no file of a book that nobody touched, damage shows in the log and
// heals, nothing of the book stands in what is stored, and it goes with the consent.
func TestAddressBookIsRemembered(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("MISSING: the state of a file that an edit cannot keep")
	}
	s := base(t)
	book := filepath.Join(filepath.Dir(s.StateDir), "canary-folder")
	generated := booktest.Generate(3, 50, booktest.Options{})
	if err := generated.WriteFolder(book); err != nil {
		t.Fatal(err)
	}
	s.Contacts.Paths = []string{book}
	time.Sleep(2100 * time.Millisecond) // what has just been written is not remembered
	r, _ := withReceiver(t, s)
	const tuple = "contacts/find-friends"
	r.give(t, tuple)
	eventually(t, "the book is read", func() bool { return r.tuple(t, tuple).Spool.Reports == 1 })

	dir := filepath.Join(r.settings.StateDir, "contacts")
	stored := func() []string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	eventually(t, "it is remembered", func() bool { return len(stored()) == 1 })
	unchanged := func() int {
		t.Helper()
		got, err := r.Collect(t.Context(), tuple)
		if err != nil {
			t.Fatal(err)
		}
		if got.Counts["cards"] != 50 || got.Counts["files"] != 50 {
			t.Errorf("counts %v, want 50 cards", got.Counts)
		}
		return got.Counts["unchanged"]
	}
	if n := unchanged(); n != 50 {
		t.Errorf("%d of 50 files taken as unchanged", n)
	}
	if len(stored()) != 1 {
		t.Fatalf("%d files, want one of the one consent", len(stored()))
	}
	path := stored()[0]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(generated.Phones(), "canary", "example", ".vcf") {
		if bytes.Contains(b, []byte(text)) {
			t.Error("a name or a value stands in what is stored")
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read what is stored: %v, %v", info.Mode(), err)
	}

	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := unchanged(); n != 0 {
		t.Errorf("%d files taken from a damaged memory", n)
	}
	if n := r.logs.FilterMessage("the address book is read anew").Len(); n != 1 {
		t.Errorf("the damage is in the log %d times, want once", n)
	}
	if n := unchanged(); n != 50 {
		t.Errorf("rebuilt: %d of 50 files taken as unchanged", n)
	}

	w, err := r.Withdraw(t.Context(), tuple, false)
	if err != nil || len(w.Unfinished) != 0 {
		t.Fatalf("withdraw: %+v, %v", w, err)
	}
	if left := stored(); len(left) != 0 {
		t.Errorf("%d files are left after the withdrawal", len(left))
	}

	// What a crash between the two left is removed at the next start.
	s = r.settings
	r.stop()
	for _, name := range []string{".memory", ".memory.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, wire.NewUUID().String()+name), []byte("left"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = start(t, s)
	if left := stored(); len(left) != 0 {
		t.Errorf("%d files of ended consents are left after a start", len(left))
	}
	for _, e := range r.logs.All() {
		if strings.Contains(e.Message, "canary") {
			t.Error("a path of the person's is in the log")
		}
	}
}
