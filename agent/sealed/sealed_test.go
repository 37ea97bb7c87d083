package sealed

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var (
	kind   = Kind{Magic: "scruple-test/1\n", Max: 256}
	secret = bytes.Repeat([]byte{1}, 32)
	place  = []byte("place")
)

// TestKind: a file opens with its key, at its place, as its kind, and only whole.
func TestKind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := kind.Read(path, secret, place); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := kind.Write(path, secret, place, []byte("canary")); err != nil {
		t.Fatal(err)
	}
	if plain, err := kind.Read(path, secret, place); err != nil || string(plain) != "canary" {
		t.Errorf("%q, %v", plain, err)
	}
	good, err := os.ReadFile(path)
	if err != nil || bytes.Contains(good, []byte("canary")) {
		t.Errorf("the file shows what is in it (%v)", err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	other := Kind{Magic: "scruple-text/1\n", Max: kind.Max}
	for name, open := range map[string]func() ([]byte, error){
		"another key":   func() ([]byte, error) { return kind.Open(make([]byte, 32), place, good) },
		"another place": func() ([]byte, error) { return kind.Open(secret, []byte("palace"), good) },
		"another kind":  func() ([]byte, error) { return other.Open(secret, place, good) },
		"renamed kind": func() ([]byte, error) {
			return other.Open(secret, place, append([]byte(other.Magic), good[len(kind.Magic):]...))
		},
		"flipped":  func() ([]byte, error) { return kind.Open(secret, place, flipped) },
		"cut":      func() ([]byte, error) { return kind.Open(secret, place, good[:len(good)-1]) },
		"longer":   func() ([]byte, error) { return kind.Open(secret, place, append(bytes.Clone(good), 0)) },
		"magic":    func() ([]byte, error) { return kind.Open(secret, place, []byte(kind.Magic)) },
		"empty":    func() ([]byte, error) { return kind.Open(secret, place, nil) },
		"too long": func() ([]byte, error) { return kind.Open(secret, place, append(good, make([]byte, kind.Max)...)) },
	} {
		if plain, err := open(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
}

// TestMax: what would not be read again is not written, to the byte.
func TestMax(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	most := kind.Max - len(kind.Magic) - 12 - 16
	if err := kind.Write(path, secret, place, make([]byte, most+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one more: %v", err)
	}
	if err := kind.Write(path, secret, place, make([]byte, most)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != int64(kind.Max) {
		t.Errorf("%v, %v", info.Size(), err)
	}
	if plain, err := kind.Read(path, secret, place); err != nil || len(plain) != most {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
}

// TestFolder: the files of consents are apart, and erasing one takes along what a crash left of it.
func TestFolder(t *testing.T) {
	one, two := wire.NewUUID(), wire.NewUUID()
	gone := errors.New("no key")
	keys := map[wire.UUID][]byte{one: bytes.Repeat([]byte{1}, 32), two: bytes.Repeat([]byte{1}, 32)}
	f := Folder{Dir: t.TempDir(), Suffix: ".test", Kind: kind, Key: func(id wire.UUID) ([]byte, error) {
		if keys[id] == nil {
			return nil, gone
		}
		return bytes.Clone(keys[id]), nil
	}}
	for _, id := range []wire.UUID{one, two} {
		if err := f.Save(id, []byte(id.String())); err != nil {
			t.Fatal(err)
		}
	}
	if plain, err := f.Load(one); err != nil || string(plain) != one.String() {
		t.Errorf("%q, %v", plain, err)
	}
	if len(f.Consents()) != 2 {
		t.Errorf("consents %v", f.Consents())
	}
	if err := os.Rename(f.Path(two), f.Path(one)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(one); !errors.Is(err, ErrDamaged) {
		t.Errorf("another's file: %v", err)
	}
	if _, err := f.Load(two); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	disk := durabletest.Watch(t, f.Dir)
	disk.StopAt(2, 1)
	if err := f.Save(two, []byte("half")); err == nil {
		t.Fatal("it was not interrupted")
	}
	disk.Restart()
	if list := f.Consents(); len(list) != 2 {
		t.Errorf("after a crash: %v", list)
	}
	delete(keys, two)
	if _, err := f.Load(two); !errors.Is(err, gone) {
		t.Errorf("without a key: %v", err)
	}
	for _, id := range []wire.UUID{one, two, two} {
		if err := f.Erase(id); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(f.Dir); err != nil || len(entries) != 0 {
		t.Errorf("%v is left, %v", entries, err)
	}
}

func FuzzOpen(f *testing.F) {
	good, err := kind.Seal(secret, place, []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(kind.Magic))
	f.Fuzz(func(t *testing.T, file []byte) {
		if plain, err := kind.Open(secret, place, file); err == nil && string(plain) != "plain" {
			t.Fatal("a text that was never sealed")
		}
	})
}
