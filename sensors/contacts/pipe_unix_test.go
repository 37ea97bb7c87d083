//go:build unix

package contacts_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/scruple-agent/scruple/sensors/contacts"
)

// TestPipe puts named pipes and a device where cards should be: nothing waits for them.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "a.vcf"), 0o600); err != nil {
		t.Skipf("MISSING: named pipes: %v", err)
	}
	if err := os.Symlink("a.vcf", filepath.Join(dir, "b.vcf")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "swap.vcf"), card("TEL:9"))
	write(t, filepath.Join(dir, "z.vcf"), card("TEL:1"))
	s, err := contacts.Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s); !slices.Equal(got, []string{"1.1.2 tel 9", "2.1.2 tel 1"}) || s.Stats().Skipped["special-file"] != 2 {
		t.Errorf("got %q, %+v", got, s.Stats())
	}

	later := filepath.Join(t.TempDir(), "book")
	write(t, filepath.Join(later, "a.vcf"), card("TEL:1"))
	write(t, filepath.Join(later, "b.vcf"), card("TEL:2"))
	if s, err = contacts.Scan(later); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(later, "b.vcf")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(later, "b.vcf"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s); len(got) != 0 || s.Stats().Skipped["special-file"] != 1 {
		t.Errorf("got %q, %+v", got, s.Stats())
	}

	for _, path := range []string{filepath.Join(dir, "a.vcf"), "/dev/zero"} {
		if _, err := contacts.Scan(path); err == nil || strings.Contains(err.Error(), path) {
			t.Errorf("Scan of a special file: %v, want an error without the path", err)
		}
	}
}
