package booktest_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

// TestReaderFindsEveryone reads the generated book back: one value for each
// number and address of the truth, in its card, whose canonical form it is, and
// no others but repetitions.
func TestReaderFindsEveryone(t *testing.T) {
	for _, opt := range []booktest.Options{{}, {Photos: 0.5}, {Versions: []string{"2.1"}}} {
		t.Run(fmt.Sprintf("photos=%v,versions=%v", opt.Photos, opt.Versions), func(t *testing.T) {
			book := booktest.Generate(7, 2000, opt)
			var buf bytes.Buffer
			if _, err := book.WriteTo(&buf); err != nil {
				t.Fatal(err)
			}
			tels, emails := make([]int, len(book.People)), make([]int, len(book.People))
			r := vcard.NewReader(&buf)
			for {
				v, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				p := &book.People[v.Card-1]
				if v.Kind == vcard.Email {
					if got, err := canonical.AppendEmail(nil, v.Bytes()); err != nil || string(got) != p.Emails[emails[v.Card-1]] {
						t.Errorf("card %d: another e-mail address than meant", v.Card)
					}
					emails[v.Card-1]++
					continue
				}
				want := p.Phones[tels[v.Card-1]%len(p.Phones)]
				if got, err := canonical.AppendPhone(nil, v.Bytes(), booktest.DefaultRegion); err != nil || string(got) != want {
					t.Errorf("card %d: another number than meant: block %s", v.Card, want[:5])
				}
				tels[v.Card-1]++
			}
			for i, p := range book.People {
				if n := tels[i] - len(p.Phones); emails[i] != len(p.Emails) || n != 0 && n != 1 {
					t.Errorf("card %d: %d numbers and %d addresses found, want %d and %d", i+1, tels[i], emails[i], len(p.Phones), len(p.Emails))
				}
			}
			s := r.Stats()
			if s.Cards != len(book.People) || s.Skips.Total() != 0 {
				t.Errorf("%d cards, passed over %v", s.Cards, s.First())
			}
		})
	}
}

func TestSameSeedSameBook(t *testing.T) {
	var a, b, c bytes.Buffer
	for buf, seed := range map[*bytes.Buffer]uint64{&a: 1, &b: 1, &c: 2} {
		if _, err := booktest.Generate(seed, 50, booktest.Options{Photos: 0.1}).WriteTo(buf); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) || bytes.Equal(a.Bytes(), c.Bytes()) {
		t.Error("a book does not depend on its seed alone")
	}
}

func TestNoTwoShareAValue(t *testing.T) {
	book := booktest.Generate(3, 20000, booktest.Options{})
	for _, all := range [][]string{book.Phones(), book.Emails()} {
		n := len(all)
		slices.Sort(all)
		if m := len(slices.Compact(all)); m != n {
			t.Errorf("%d of %d values are not unique", n-m, n)
		}
	}
}

func TestFilesHoldTheBook(t *testing.T) {
	dir := t.TempDir()
	book := booktest.Generate(5, 1200, booktest.Options{})
	if err := book.WriteFile(filepath.Join(dir, "book.vcf")); err != nil {
		t.Fatal(err)
	}
	one, err := os.ReadFile(filepath.Join(dir, "book.vcf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := book.WriteFolder(filepath.Join(dir, "folder")); err != nil {
		t.Fatal(err)
	}
	var all []byte
	err = filepath.WalkDir(filepath.Join(dir, "folder"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, all) {
		t.Error("file and folder differ")
	}
}
