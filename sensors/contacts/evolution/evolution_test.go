package evolution

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/contacts"
)

// makeBook runs Python's sqlite3, the real library, and leaves a book at the path that it is given. The schema is that of
// Evolution Data Server 3.46.
const makeBook = `
import sqlite3, sys
path, people, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
db = sqlite3.connect(path, isolation_level=None)
db.execute("PRAGMA page_size=%d" % (512 if mode == "small-pages" else 65536 if mode == "large-pages" else 4096))
db.execute("PRAGMA journal_mode=" + ("wal" if mode == "wal" else "delete"))
db.execute("CREATE TABLE IF NOT EXISTS folders  ( folder_id  TEXT PRIMARY KEY, version INTEGER, multivalues TEXT,  lc_collate TEXT,  countrycode VARCHAR(2))")
db.execute("CREATE TABLE IF NOT EXISTS 'folder_id' ( uid TEXT PRIMARY KEY, 'full_name' TEXT, [rev,ision] NUMERIC(10,2) DEFAULT (1), is_list INTEGER, vcard TEXT)")
db.execute("CREATE TABLE folder_id_phone_list (uid TEXT NOT NULL REFERENCES folder_id(uid), value TEXT)")
db.execute("ALTER TABLE folder_id ADD COLUMN bdata TEXT")
db.execute("BEGIN")
for i in range(people):
    card = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Invented %d\r\nX-EVOLUTION-E164=3619398112,:x\r\nTEL;TYPE=CELL:+44 7700 900%03d\r\n" % (i, i % 1000)
    if i % 10 == 3:
        card += "PHOTO;ENCODING=b:" + "A" * (i * 97 % 50000) + "\r\n"
    card += "EMAIL:person%d@example.com\r\nEND:VCARD" % i
    db.execute("INSERT INTO folder_id (uid, full_name, [rev,ision], is_list, vcard) VALUES (?, ?, ?, ?, ?)", ("pas-id-%d" % i, "n" * (i % 300), [None, 1, 300, 70000, 1 << 40, 1.5][i % 6], i % 2, card))
db.execute("INSERT INTO folder_id (uid, vcard) VALUES ('empty', NULL)")
db.execute("INSERT INTO folder_id (uid, vcard) VALUES ('blob', x'00ff')")
db.execute("COMMIT")
db.execute("DELETE FROM folder_id WHERE uid = 'pas-id-0'")
if mode == "wal":
    print("ready", flush=True)
    sys.stdin.read()
if mode == "locked":
    db.execute("BEGIN EXCLUSIVE")
    print("ready", flush=True)
    sys.stdin.read()
if mode == "reserved":
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE folder_id SET vcard = 'changed' WHERE uid = 'pas-id-1'")
    print("ready", flush=True)
    sys.stdin.read()
`

// book makes a book of invented people. In the modes that hold it open the other program lives until the test ends.
func book(t testing.TB, people int, mode string) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import sqlite3").Run() != nil {
		t.Skip("MISSING: python3 with sqlite3")
	}
	path := filepath.Join(t.TempDir(), bookName)
	cmd := exec.Command(python, "-c", makeBook, path, fmt.Sprint(people), mode)
	cmd.Stderr = os.Stderr
	if mode != "wal" && mode != "locked" && mode != "reserved" {
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	return path
}

func permit(t testing.TB) consent.Permit {
	t.Helper()
	return consenttest.Permit(t, consenttest.Document(t), "contacts", "find")
}

// values reads to the end.
func values(t testing.TB, paths ...string) ([]string, contacts.Stats, error) {
	t.Helper()
	s, err := Open(permit(t), paths...)
	if err != nil {
		return nil, contacts.Stats{}, err
	}
	defer s.Close()
	var list []string
	for {
		e, err := s.Next(t.Context())
		if err == io.EOF {
			return list, s.Stats(), nil
		}
		if err != nil {
			return list, s.Stats(), err
		}
		list = append(list, string(e.Raw()))
	}
}

// invented is a book of five invented people, for the fuzzer and for where there is no Python.
// "go test ./sensors/contacts/evolution -run TestStoredBook -update" makes it anew.
const invented = "testdata/invented.db"

var update = flag.Bool("update", false, "write the stored book anew")

func TestStoredBook(t *testing.T) {
	onlyUnix(t)
	if *update {
		b, err := os.ReadFile(book(t, 6, "small-pages"))
		if err == nil {
			err = os.WriteFile(invented, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got, st, err := values(t, invented)
	if err != nil || len(got) != 10 || st.Cards != 5 || got[0] != "+44 7700 900001" || got[9] != "person5@example.com" {
		t.Errorf("read %q, %+v, %v", got, st, err)
	}
}

func onlyUnix(t testing.TB) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("MISSING: the locks of POSIX")
	}
}

func TestBook(t *testing.T) {
	onlyUnix(t)
	for mode, people := range map[string]int{"plain": 2000, "small-pages": 700, "large-pages": 400, "reserved": 100} {
		path := book(t, people, mode)
		got, st, err := values(t, path)
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		var want []string
		for i := 1; i < people; i++ {
			want = append(want, fmt.Sprintf("+44 7700 900%03d", i%1000), fmt.Sprintf("person%d@example.com", i))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d values of %d", mode, len(got), len(want))
		}
		if st.Cards != people-1 || len(st.Skipped) != 0 {
			t.Errorf("%s: %+v", mode, st)
		}
	}
}

// TestFolderOfBooks has the layout of the data folder: system/contacts.db and one folder a source.
func TestFolderOfBooks(t *testing.T) {
	onlyUnix(t)
	one, err := os.ReadFile(book(t, 5, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"system", "1234"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, bookName), one, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, st, err := values(t, dir)
	if err != nil || len(got) != 2*2*4 || st.Files != 2 {
		t.Errorf("%d values, %+v, %v", len(got), st, err)
	}
	if _, _, err := values(t, filepath.Join(dir, "nowhere")); !errors.Is(err, sensors.ErrAbsent) {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := Open(consent.Permit{}, dir); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("Open with the zero permit: %v", err)
	}
}

// TestNotRead: what could be stale, half written or something else is refused in words, without the path.
func TestNotRead(t *testing.T) {
	onlyUnix(t)
	plain := book(t, 50, "plain")
	whole, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		path := filepath.Join(t.TempDir(), "canary.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	journal := write("journal", whole)
	if err := os.WriteFile(journal+"-journal", append([]byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7}, make([]byte, 1024)...), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"write-ahead":  {book(t, 50, "wal"), ErrWAL},
		"locked":       {book(t, 50, "locked"), ErrBusy},
		"hot journal":  {journal, ErrJournal},
		"empty":        {write("empty", nil), ErrNoBook},
		"text":         {write("text", bytes.Repeat([]byte("canary"), 1000)), ErrNoBook},
		"other tables": {write("other", bytes.ReplaceAll(whole, []byte("folder_id"), []byte("folder_xx"))), ErrNoBook},
		"no column":    {write("column", bytes.ReplaceAll(whole, []byte("vcard TEXT"), []byte("vcurd TEXT"))), ErrNoBook},
		"a folder":     {t.TempDir() + "/x", sensors.ErrAbsent},
		"root damaged": {write("root", slices.Concat(whole[:100], make([]byte, len(whole)-100))), ErrDamaged},
	} {
		_, _, err := values(t, c.path)
		if !errors.Is(err, c.want) || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// A journal that ended is nothing.
	for _, left := range [][]byte{nil, make([]byte, 2048)} {
		path := write("ended", whole)
		if err := os.WriteFile(path+"-journal", left, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _, err := values(t, path); err != nil || len(got) != 98 {
			t.Errorf("with an ended journal of %d bytes: %d values, %v", len(left), len(got), err)
		}
	}
}

// TestDamage flips and cuts at random: whatever is found, reading ends, and never hands out more than the file holds.
func TestDamage(t *testing.T) {
	whole, err := os.ReadFile(book(t, 300, "small-pages"))
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		b := bytes.Clone(whole)
		for range 1 + rnd.IntN(20) {
			b[rnd.IntN(len(b))] = byte(rnd.Uint32())
		}
		if rnd.IntN(4) == 0 {
			b = b[:rnd.IntN(len(b))]
		}
		drain(t, b)
	}
}

// TestOverlap has a page whose cells all point at the same record: a small file must not become an endless book.
func TestOverlap(t *testing.T) {
	whole, err := os.ReadFile(book(t, 300, "large-pages"))
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 16
	for at := size; at < len(whole); at += size {
		page := whole[at : at+size]
		if page[0] != leafTable {
			continue
		}
		first := slices.Clone(page[8:10])
		const cells = 20_000
		page[3], page[4] = cells>>8, cells&0xff
		for i := range cells {
			copy(page[8+2*i:], first)
		}
	}
	drain(t, whole)
}

func drain(t *testing.T, b []byte) {
	t.Helper()
	r, err := cards(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return
	}
	n, _ := io.Copy(io.Discard, r)
	if n > 2*int64(len(b))+4096 {
		t.Errorf("%d bytes of cards from a file of %d", n, len(b))
	}
}

func FuzzBook(f *testing.F) {
	b, err := os.ReadFile(invented)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(sqliteMagic))
	f.Fuzz(drain)
}

func TestColumns(t *testing.T) {
	for sql, want := range map[string][]string{
		"CREATE TABLE x (a, b TEXT)":                                       {"a", "b"},
		`CREATE TABLE 'x' ( "a,b" T, [c)d] N(1,2) DEFAULT (1), ` + "`e` )": {"a,b", "c)d", "e"},
		"CREATE TABLE x": nil,
		"CREATE TABLE x (a DEFAULT 'it''s, (fine', b)": {"a", "b"},
	} {
		if got := columns(sql); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}
