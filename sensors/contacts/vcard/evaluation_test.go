package vcard_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

// dataDir is where the public sample cards are: SCRUPLE_DATA, or beside the repository.
func dataDir(t *testing.T) string {
	dir := os.Getenv("SCRUPLE_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	dir = filepath.Join(dir, "vcards")
	if _, err := os.Stat(filepath.Join(dir, "expected.json")); err != nil {
		t.Skip("MISSING: vcards/expected.json under SCRUPLE_DATA or ../shared/data: public sample cards not compared")
	}
	return dir
}

// TestEvaluation compares the values found in public sample cards with those of
// a slow reference extractor. Values are not printed, only how many differ.
func TestEvaluation(t *testing.T) {
	dir := dataDir(t)
	raw, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want []struct {
		File  string
		Cards int
		Tel   []string
		Email []string
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	total, found := 0, 0
	for _, w := range want {
		book, err := os.ReadFile(filepath.Join(dir, w.File))
		if err != nil {
			t.Fatal(err)
		}
		var tel, email []string
		s := readAll(t, vcard.NewReader(bytes.NewReader(book)), func(v vcard.Value) {
			if v.Kind == vcard.Tel {
				tel = append(tel, string(v.Bytes()))
			} else {
				email = append(email, string(v.Bytes()))
			}
		})
		total += len(w.Tel) + len(w.Email)
		lost, extra := differ(w.Tel, tel)
		l2, e2 := differ(w.Email, email)
		lost, extra = lost+l2, extra+e2
		found += len(w.Tel) + len(w.Email) - lost
		if lost+extra > 0 || s.Cards != w.Cards {
			t.Errorf("%s: %d values lost or wrong, %d too many; %d cards, want %d", w.File, lost, extra, s.Cards, w.Cards)
		}
		if n := s.Skips.Total(); n > 0 {
			t.Logf("%s: passed over %v", w.File, s.First())
		}
	}
	t.Logf("%d of %d values in %d files", found, total, len(want))
}

// differ returns how many of want are not in got, and the reverse, as multisets.
func differ(want, got []string) (lost, extra int) {
	rest := slices.Clone(got)
	for _, w := range want {
		if i := slices.Index(rest, w); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			lost++
		}
	}
	return lost, len(rest)
}
