//go:build unix

package contacts_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/sensors/contacts"
)

// forgetful is a Memory that remembers nothing.
type forgetful struct{ keyer *contacts.Keyer }

func (m forgetful) Keyer() *contacts.Keyer                             { return m.keyer }
func (forgetful) Has(contacts.Key) bool                                { return false }
func (forgetful) Known(contacts.Item) (o contacts.Outcome, known bool) { return o, false }
func (forgetful) Begin(contacts.Item)                                  {}
func (forgetful) Done(contacts.Outcome, bool)                          {}
func (forgetful) Group(contacts.Key) []byte                            { return nil }
func (forgetful) Stay(map[contacts.Key]bool) (o contacts.Outcome)      { return o }
func (forgetful) State([]byte)                                         {}

// TestMoved: a pass notices whatever changes while it runs.
func TestMoved(t *testing.T) {
	const card = "BEGIN:VCARD\nTEL:+44 7700 900123\nTEL:+44 7700 900124\nEND:VCARD\n"
	p := permit(t)
	keyer, err := contacts.NewKeyer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(dir string) error
		moved  bool
	}{
		"nothing":              {func(string) error { return nil }, false},
		"the-file-being-read":  {func(dir string) error { return os.WriteFile(filepath.Join(dir, "a.vcf"), []byte(card), 0o600) }, true},
		"one-still-to-be-read": {func(dir string) error { return os.Truncate(filepath.Join(dir, "b.vcf"), 10) }, true},
		"one-that-goes":        {func(dir string) error { return os.Remove(filepath.Join(dir, "b.vcf")) }, true},
		"one-that-comes":       {func(dir string) error { return os.WriteFile(filepath.Join(dir, "c.vcf"), []byte(card), 0o600) }, true},
		"another-name":         {func(dir string) error { return os.Rename(filepath.Join(dir, "b.vcf"), filepath.Join(dir, "d.vcf")) }, true},
		"a-folder-that-goes":   {func(dir string) error { return os.Remove(filepath.Join(dir, "sub")) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, f := range []string{"a.vcf", "b.vcf"} {
				if err := os.WriteFile(filepath.Join(dir, f), []byte(card), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			time.Sleep(150 * time.Millisecond) // what has just been written counts as changed
			s, err := contacts.Open(p, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.Remember(forgetful{keyer}, time.Now())
			_, err = s.Next(t.Context())
			if err == nil {
				err = c.change(dir)
			}
			for err == nil {
				_, err = s.Next(t.Context())
			}
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if (s.Moved() > 0) != c.moved {
				t.Errorf("%d changes were noticed", s.Moved())
			}
		})
	}
}
