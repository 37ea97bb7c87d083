// Package booktest makes address books of invented people for tests,
// benchmarks and the demo, together with the truth about them: which numbers
// and addresses are in the book, in their canonical spelling.
//
// The books look like those that exporters write: versions 2.1, 3.0 and 4.0
// mixed, bare parameters, quoted-printable, groups, folded lines, tel: URIs,
// numbers in many spellings, and photos if asked for. Numbers come from the
// blocks that a country reserves for fiction where it has one, and are
// otherwise plainly invented (a run of zeros or fives in the middle); e-mail
// addresses are at example.com, example.org and example.net.
//
// The same seed and options give the same bytes. Nothing here is damaged:
// damaged input belongs to the tests of the reader.
package booktest

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// DefaultRegion is the region in which nationally written numbers of a book are dialled.
const DefaultRegion = "CN"

// Options shape a book. The zero value is a book without photos in all three versions.
type Options struct {
	// Photos is the share of people with a photo, 0 to 1. A photo takes 23 kB
	// of base64 on average, most take less than half of that.
	Photos float64
	// Versions are the vCard versions to choose from: "2.1", "3.0", "4.0".
	// Empty means a fifth of 2.1 and equal shares of the others.
	Versions []string
}

// Person is the truth about one card.
type Person struct {
	Name    string
	Phones  []string // E.164, without duplicates
	Emails  []string // canonical, without duplicates
	Version string   // of the card
	Photo   bool     // the card has one

	seed uint64
}

// Book is an address book of invented people.
type Book struct {
	People []Person
}

// Generate makes a book of that many people, two million at most. No two of them
// share a number or an address.
func Generate(seed uint64, people int, opt Options) Book {
	versions := opt.Versions
	if len(versions) == 0 {
		versions = []string{"2.1", "3.0", "3.0", "4.0", "4.0"}
	}
	b := Book{People: make([]Person, people)}
	seen := make(map[string]bool)
	for i := range b.People {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		name := inventName(rng)
		p := &b.People[i]
		*p = Person{Name: name.full(), Version: pick(rng, versions), Photo: rng.Float64() < opt.Photos, seed: rng.Uint64()}
		for range pick(rng, []int{0, 1, 1, 1, 2, 2, 2, 3}) {
			n := inventPhone(rng)
			for seen[n] {
				n = inventPhone(rng)
			}
			seen[n] = true
			p.Phones = append(p.Phones, n)
		}
		for k := range pick(rng, []int{0, 0, 1, 1, 1, 2}) {
			a := inventEmail(rng, name, i, k)
			seen[a] = true
			p.Emails = append(p.Emails, a)
		}
	}
	return b
}

// WriteTo writes the book as one file and implements io.WriterTo. Memory does
// not grow with the book.
func (b Book) WriteTo(w io.Writer) (int64, error) {
	var n int64
	var card []byte
	for i := range b.People {
		card = b.People[i].AppendCard(card[:0])
		m, err := w.Write(card)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// WriteFile writes the book to the file name.
func (b Book) WriteFile(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = b.WriteTo(w)
	if err == nil {
		err = w.Flush()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// WriteFolder writes one file a person into dir, in folders of a thousand.
func (b Book) WriteFolder(dir string) error {
	var card []byte
	for i := range b.People {
		sub := filepath.Join(dir, fmt.Sprintf("%03d", i/1000))
		if i%1000 == 0 {
			if err := os.MkdirAll(sub, 0o700); err != nil {
				return err
			}
		}
		card = b.People[i].AppendCard(card[:0])
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%06d.vcf", i)), card, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Phones returns the numbers of all people, in the order of the book.
func (b Book) Phones() []string {
	var all []string
	for _, p := range b.People {
		all = append(all, p.Phones...)
	}
	return all
}

// Emails returns the addresses of all people, in the order of the book.
func (b Book) Emails() []string {
	var all []string
	for _, p := range b.People {
		all = append(all, p.Emails...)
	}
	return all
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }
