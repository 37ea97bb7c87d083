// Command vcard_compare measures vcard.Reader beside emersion/go-vcard on the
// same invented address book in alternating rounds on one core, in processor
// time, and counts the values that each of them finds.
//
//	go run ./vcard_compare [-people 100000] [-photo-people 20000] [-rounds 10] [-photos 0.1] [-out results/vcard.txt]
//
// Each round reads the book with both in three ways. From memory both are given
// the same bytes, each by the shortest way that its API has: ResetBytes here,
// a bytes.Reader there, since go-vcard knows nothing else. From a stream both
// read through an io.Reader over these bytes. From a file both read an open file
// that the page cache holds, so that the system's copying, which is the same
// for both, is in the figures of both. The bars are for books in memory.
//
// Our reader reads the book several times in a round. go-vcard takes time
// quadratic in the size of a photo, so that the ratio with photos depends on
// their sizes, and not on how many there are; package booktest says what they are.
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
	people := flag.Int("people", 100_000, "people in the book without photos")
	photoPeople := flag.Int("photo-people", 20_000, "people in the book with photos, which go-vcard takes long for")
	rounds := flag.Int("rounds", 10, "alternating rounds")
	photos := flag.Float64("photos", 0.1, "share of people with a photo in the second book")
	out := flag.String("out", "", "file to write the report to as well")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	dir, err := os.MkdirTemp("", "vcard_compare")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var report bytes.Buffer
	w := io.MultiWriter(os.Stdout, &report)
	measure.Header(w)
	fmt.Fprintf(w, "medians of %d rounds in turns, processor time; the bars are for books in memory\n", *rounds)
	for _, c := range []struct {
		people int
		photos float64
		bar    float64
	}{{*people, 0, 20}, {*photoPeople, *photos, 250}} {
		name := filepath.Join(dir, "book.vcf")
		book := booktest.Generate(1, c.people, booktest.Options{Photos: c.photos})
		if err := book.WriteFile(name); err != nil {
			log.Fatal(err)
		}
		truth := len(book.Phones()) + len(book.Emails())
		book = booktest.Book{}
		fmt.Fprintf(w, "\n%d people, photos in %.0f %%: %d values and some repeated", c.people, 100*c.photos, truth)
		if err := compare(w, name, c.people, *rounds, c.bar); err != nil {
			log.Fatal(err)
		}
	}
	if *out != "" {
		if err := os.WriteFile(*out, report.Bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// repeats is how often our reader reads the book in a round: the clock of
// processor time is coarse.
const repeats = 5

func compare(w io.Writer, name string, people, rounds int, bar float64) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	fmt.Fprintf(w, ", %.1f MB\n", float64(len(data))/1e6)

	var reader vcard.Reader
	stream := func() io.Reader { return bytes.NewReader(data) }
	start := func() io.Reader { _, _ = file.Seek(0, io.SeekStart); return file }
	ways := []struct {
		name string
		ours func()
		peer func() io.Reader
	}{
		{"memory", func() { reader.ResetBytes(data) }, stream},
		{"stream", func() { reader.Reset(stream()) }, stream},
		{"file", func() { reader.Reset(start()) }, start},
	}
	ours, theirs := make([][]float64, len(ways)), make([][]float64, len(ways)) // ns
	var ourValues, theirValues, theirErrors int
	for i := range rounds {
		fmt.Fprintf(os.Stderr, "\rround %d of %d ", i+1, rounds)
		for k, way := range ways {
			runtime.GC()
			used := measure.CPU(func() {
				for range repeats {
					way.ours()
					if ourValues, err = readOurs(&reader); err != nil {
						return
					}
				}
			})
			if err != nil {
				return err
			}
			ours[k] = append(ours[k], float64(used)/repeats)
			runtime.GC()
			used = measure.CPU(func() { theirValues, theirErrors = readTheirs(way.peer()) })
			theirs[k] = append(theirs[k], float64(used))
		}
	}
	fmt.Fprint(os.Stderr, "\r                    \r")
	for k, way := range ways {
		a, b := measure.Median(ours[k]), measure.Median(theirs[k])
		fmt.Fprintf(w, "  from %s\n", way.name)
		fmt.Fprintf(w, "    vcard.Reader %9.2f ms %7.0f ns/card %6.0f MB/s\n", a/1e6, a/float64(people), float64(len(data))/a*1e3)
		fmt.Fprintf(w, "    go-vcard     %9.2f ms %7.0f ns/card %6.1f MB/s\n", b/1e6, b/float64(people), float64(len(data))/b*1e3)
		ratios := measure.Ratios(theirs[k], ours[k])
		if k == 0 {
			measure.Verdict(w, "    ratio", ratios, "%.1f", bar, false)
		} else {
			fmt.Fprintf(w, "    ratio %.1f (%.1f to %.1f)\n", measure.Median(ratios), slices.Min(ratios), slices.Max(ratios))
		}
	}
	fmt.Fprintf(w, "  values found: vcard.Reader %d, go-vcard %d and %d errors\n", ourValues, theirValues, theirErrors)
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
