package agent_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
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

// davServer is a CardDAV server with one book of one card, which can be switched off.
func davServer(t *testing.T) (url string, down *atomic.Bool) {
	t.Helper()
	down = new(atomic.Bool)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusMultiStatus)
		prop := "<d:resourcetype><d:collection/><c:addressbook/></d:resourcetype>"
		href := "/canary-book/"
		switch {
		case strings.Contains(string(body), "multiget"):
			href, prop = href+"a.vcf", "<c:address-data>BEGIN:VCARD\nTEL:+44 7700 900123\nEND:VCARD</c:address-data><d:getetag>1</d:getetag>"
		case r.Header.Get("Depth") == "1":
			href, prop = href+"a.vcf", "<d:getetag>1</d:getetag>"
		}
		fmt.Fprintf(w, `<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><d:response><d:href>%s</d:href><d:propstat><d:prop>%s</d:prop></d:propstat></d:response></d:multistatus>`, href, prop)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/canary-book/", down
}

// TestReadingOfAnEndedConsent: how the reading went that a withdrawal cut says nothing about the consent that follows: its book is
// read at once, and status shows no failure.
func TestReadingOfAnEndedConsent(t *testing.T) {
	s := base(t)
	asked, held := make(chan struct{}, 64), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-held
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(slow.Close)
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	s.Contacts.CardDAV.URL = slow.URL + "/canary-book/"
	r, _ := withReceiver(t, s)
	const tuple = "contacts/find-friends"
	for range 20 { // which of the reading and the withdrawal ends first is a matter of luck
		r.give(t, tuple)
		select {
		case <-asked:
		case <-time.After(time.Minute):
			t.Fatal("the book is not read again")
		}
		if _, err := r.Withdraw(t.Context(), tuple, false); err != nil {
			t.Fatal(err)
		}
	}
	r.give(t, tuple)
	<-asked
	for _, b := range r.tuple(t, tuple).Books {
		if b.Error != "" {
			t.Errorf("status shows a failure of the former consent's: %s", b.Error)
		}
	}
	release()
}

// TestSeveralBooks: what stands in files and on a server is reported together; status names each; when one fails
// nothing is reported, and the person sees which and why.
func TestSeveralBooks(t *testing.T) {
	s := base(t)
	file := filepath.Join(filepath.Dir(s.StateDir), "canary.vcf")
	if err := os.WriteFile(file, []byte("BEGIN:VCARD\nTEL:+44 7700 900124\nEND:VCARD\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Contacts.Paths = []string{file}
	s.Contacts.Evolution = []string{filepath.Join(filepath.Dir(s.StateDir), "canary-absent")}
	var down *atomic.Bool
	s.Contacts.CardDAV.URL, down = davServer(t)
	r, _ := withReceiver(t, s)
	const tuple = "contacts/find-friends"
	r.give(t, tuple)
	eventually(t, "the books are read", func() bool { return r.tuple(t, tuple).Spool.Reports == 1 })
	books := func() map[string]control.Book {
		t.Helper()
		found := map[string]control.Book{}
		for _, b := range r.tuple(t, tuple).Books {
			found[b.Source] = b
		}
		return found
	}
	got, err := r.Collect(t.Context(), tuple)
	if err != nil || got.Counts["cards"] != 2 || got.Counts["values"] != 2 {
		t.Errorf("counts %v, %v, want two cards", got.Counts, err)
	}
	b := books()
	if b[control.BookFiles].Counts["cards"] != 1 || b[control.BookCardDAV].Counts["cards"] != 1 || b[control.BookFiles].Error != "" ||
		b[control.BookCardDAV].Read.IsZero() || b[control.BookEvolution].Error == "" {
		t.Errorf("status shows %+v", b)
	}

	before := r.tuple(t, tuple).Spool.Reports
	down.Store(true)
	if _, err := r.Collect(t.Context(), tuple); control.ExitCode(err) != control.ExitFailed {
		t.Errorf("collected without the server: %v", err)
	}
	row := r.tuple(t, tuple)
	if row.Spool.Reports != before || row.Reason != control.ReasonSourceError || !strings.Contains(row.Detail, "503") {
		t.Errorf("with the server down: %d reports, before %d, %q %q", row.Spool.Reports, before, row.Reason, row.Detail)
	}
	if wait := time.Until(row.Due); wait < time.Minute || wait > 6*time.Hour {
		t.Errorf("with the server down: tried again in %v", wait)
	}
	b = books()
	if !strings.Contains(b[control.BookCardDAV].Error, "503") || b[control.BookCardDAV].Counts["cards"] != 1 {
		t.Errorf("status shows %+v", b)
	}
	for _, b := range b {
		if strings.Contains(b.Error, "canary") || strings.Contains(b.Error, "127.0.0.1") {
			t.Errorf("status tells a path or an address: %s", b.Error)
		}
	}
	down.Store(false)
	if _, err := r.Collect(t.Context(), tuple); err != nil {
		t.Error(err)
	}
	if row := r.tuple(t, tuple); !row.Collecting || row.Books[0].Error != "" {
		t.Errorf("after the server came back: %+v", row)
	}
	r.stop()
	for _, e := range r.logs.All() {
		if text := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(text, "canary") || strings.Contains(text, "127.0.0.1") {
			t.Errorf("a path or an address is in the log: %s", e.Message)
		}
	}
}
