// Command vcard_compare measures vcard.Reader beside emersion/go-vcard on the
// same invented address book in alternating rounds on one core, in processor
// time, and counts the values that each of them finds.
//
//	go run ./vcard_compare [-people 100000] [-rounds 11] [-photos 0.1]
//
// Each round reads the book once with go-vcard and several times with our
// reader, from memory through io.Reader and from a file. go-vcard takes time
// quadratic in the size of a photo, so that the ratio with photos depends on
// their sizes; package booktest says what they are.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	peer "github.com/emersion/go-vcard"

	"github.com/scruple-agent/scruple/bench/internal/measure"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

func main() {
	log.SetFlags(0)
	people := flag.Int("people", 100_000, "people in the book")
	rounds := flag.Int("rounds", 11, "alternating rounds")
	photos := flag.Float64("photos", 0.1, "share of people with a photo in the second book")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	measure.Header(os.Stdout)
	dir, err := os.MkdirTemp("", "vcard_compare")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, share := range []float64{0, *photos} {
		name := filepath.Join(dir, "book.vcf")
		book := booktest.Generate(1, *people, booktest.Options{Photos: share})
		if err := book.WriteFile(name); err != nil {
			log.Fatal(err)
		}
		truth := len(book.Phones()) + len(book.Emails())
		book = booktest.Book{}
		if err := compare(name, *people, truth, share, *rounds); err != nil {
			log.Fatal(err)
		}
	}
}

// repeats is how often our reader reads the book in a round: the clock of
// processor time is coarse.
const repeats = 5

func compare(name string, people, truth int, photos float64, rounds int) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	fmt.Printf("%d people, photos in %.0f %%: %.1f MB; %d values and some repeated\n", people, 100*photos, float64(len(data))/1e6, truth)

	var reader vcard.Reader
	var ours, theirs [2][]float64 // ns, from memory and from the file
	var ourValues, theirValues, theirErrors int
	for range rounds {
		for i, source := range []func() io.Reader{
			func() io.Reader { return bytes.NewReader(data) },
			func() io.Reader { _, _ = file.Seek(0, io.SeekStart); return file },
		} {
			runtime.GC()
			used := measure.CPU(func() {
				for range repeats {
					reader.Reset(source())
					if ourValues, err = readOurs(&reader); err != nil {
						return
					}
				}
			})
			if err != nil {
				return err
			}
			ours[i] = append(ours[i], float64(used)/repeats)
			used = measure.CPU(func() { theirValues, theirErrors = readTheirs(source()) })
			theirs[i] = append(theirs[i], float64(used))
		}
	}
	for i, from := range []string{"memory", "file"} {
		ratios := measure.Ratios(theirs[i], ours[i])
		a, b := measure.Median(ours[i]), measure.Median(theirs[i])
		fmt.Printf("  from %s\n", from)
		fmt.Printf("    vcard.Reader %9.2f ms %7.0f ns/card %6.0f MB/s\n", a/1e6, a/float64(people), float64(len(data))/a*1e3)
		fmt.Printf("    go-vcard     %9.2f ms %7.0f ns/card %6.1f MB/s\n", b/1e6, b/float64(people), float64(len(data))/b*1e3)
		fmt.Printf("    ratio %.1f (%.1f to %.1f in %d rounds)\n", measure.Median(ratios), slices.Min(ratios), slices.Max(ratios), rounds)
	}
	fmt.Printf("  values found: vcard.Reader %d, go-vcard %d and %d errors\n", ourValues, theirValues, theirErrors)
	return nil
}

func readOurs(r *vcard.Reader) (values int, err error) {
	for {
		v, err := r.Next()
		if err == io.EOF {
			return values, nil
		}
		if err != nil {
			return values, err
		}
		if len(v.Bytes()) > 0 {
			values++
		}
	}
}

func readTheirs(src io.Reader) (values, faults int) {
	d := peer.NewDecoder(src)
	for {
		card, err := d.Decode()
		if errors.Is(err, io.EOF) {
			return values, faults
		}
		if err != nil {
			faults++
			continue
		}
		for _, name := range []string{peer.FieldTelephone, peer.FieldEmail} {
			for _, v := range card.Values(name) {
				if v != "" {
					values++
				}
			}
		}
	}
}
