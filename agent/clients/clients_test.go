package clients

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/keyring"
)

// TestIdentify: a process is the application that the person registered for its program or account, whatever it calls itself.
func TestIdentify(t *testing.T) {
	s := &keyring.State{}
	now := time.Unix(1000, 0)
	for _, err := range []error{
		Register(s, "chat", "/opt/chat", -1, now), Register(s, "rides", "/opt/rides", 1001, now), Register(s, "box", "", 2000, now),
		Register(s, "chat", "/opt/chat", -1, now),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		p    Process
		want string
		ok   bool
	}{
		{"chat", Process{1000, "/opt/chat"}, "chat", true},
		{"chat", Process{1000, "/opt/chat (deleted)"}, "", false},
		{"chat", Process{1000, "/opt/other"}, "", false},
		{"chat", Process{1000, ""}, "", false},
		{"rides", Process{1001, "/opt/rides"}, "rides", true},
		{"rides", Process{1000, "/opt/rides"}, "", false},
		{"box", Process{2000, ""}, "box", true},
		{"", Process{2000, "/any"}, "box", true},
		{"", Process{1000, "/opt/chat"}, "chat", true},
		{"", Process{2000, "/opt/chat"}, "", false}, // two fit
		{"none", Process{1000, "/opt/chat"}, "", false},
	} {
		if got, ok := Identify(s.Clients, c.name, c.p); ok != c.ok || ok && got != c.want {
			t.Errorf("%q %+v: %q %v, want %q %v", c.name, c.p, got, ok, c.want, c.ok)
		}
	}
	for name, err := range map[string]error{
		"no name":  Register(s, "", "/x", -1, now),
		"reserved": Register(s, Reserved, "/x", -1, now),
		"capital":  Register(s, "Chat", "/x", -1, now),
		"relative": Register(s, "new", "x", -1, now),
		"dots":     Register(s, "new", "/x/../y", -1, now),
		"nothing":  Register(s, "new", "", -1, now),
		"taken":    Register(s, "chat", "/opt/evil", -1, now),
		"unknown":  Allow(s, "new", "a/b", keyring.ClientAccess{}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestAccess: none by default, and none when its time is up.
func TestAccess(t *testing.T) {
	s := &keyring.State{}
	if err := Register(s, "chat", "/opt/chat", -1, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := Access(s.Clients, "chat", "a/b", time.Unix(5, 0)); !errors.Is(err, ErrNoAccess) {
		t.Errorf("by default: %v", err)
	}
	if err := Allow(s, "chat", "a/b", keyring.ClientAccess{Since: 5, Until: 10, Level: 9}); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[int64]error{5: nil, 9: nil, 10: ErrEnded} {
		if _, err := Access(s.Clients, "chat", "a/b", time.Unix(at, 0)); !errors.Is(err, want) {
			t.Errorf("at %d: %v, want %v", at, err, want)
		}
	}
	if _, err := Access(s.Clients, "other", "a/b", time.Unix(5, 0)); !errors.Is(err, ErrUnknown) {
		t.Errorf("another: %v", err)
	}
}

func ring(t *testing.T, dir string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(dir, make([]byte, keyring.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// TestLog: every use survives a restart, one application cannot push out another's, and a record that cannot be read is
// no empty one.
func TestLog(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	path := filepath.Join(dir, "uses")
	l := NewLog(path, r)
	if list, err := l.List(); len(list) != 0 || err != nil {
		t.Fatalf("at first: %v, %v", list, err)
	}
	first := Use{Time: 1, Client: "canary-one", Tuple: "location/third-party", Level: 10, Recipients: []string{"Example"}}
	if err := l.Add(first); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = ring(t, dir)
	l = NewLog(path, r)
	if err := l.Add(Use{Time: 2, Client: "two"}); err != nil {
		t.Fatal(err)
	}
	list, err := l.List()
	if err != nil || len(list) != 2 || !reflect.DeepEqual(list[0], first) {
		t.Fatalf("%+v, %v", list, err)
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte("canary")) {
		t.Errorf("the file shows what is in it (%v)", err)
	}
	many := make([]Use, MaxUses)
	for i := range many {
		many[i] = Use{Time: int64(i), Client: "two"}
	}
	many = trim(append([]Use{first}, append(many, Use{Time: -1, Client: "two"})...), "two")
	if len(many) != MaxUses+1 || many[0].Client != first.Client || many[1].Time != 1 || many[MaxUses].Time != -1 {
		t.Errorf("%d uses are kept", len(many))
	}
	if err := os.WriteFile(path, b[:len(b)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.List(); !errors.Is(err, ErrLog) {
		t.Errorf("damaged: %v", err)
	}
	if err := l.Add(Use{Client: "two"}); !errors.Is(err, ErrLog) {
		t.Errorf("a damaged record was begun anew: %v", err)
	}
}

// FuzzUses: damage gives an error only.
func FuzzUses(f *testing.F) {
	seed, err := encMode.Marshal([]Use{{Time: 1, Client: "a", Tuple: "b/c", Level: 3, Recipients: []string{"d"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0x9f})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeUses(b)
		if err != nil {
			return
		}
		if _, err := encMode.Marshal(list); err != nil {
			t.Error(err)
		}
	})
}
