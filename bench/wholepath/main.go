// Command wholepath measures the agent's whole contacts path, from the file of
// an address book to the padded set of keyed digests in a Report, beside what
// is put together for it today: emersion/go-vcard, nyaruka/phonenumbers and
// crypto/hmac.
//
//	cd bench && go run ./wholepath [-people 100000] [-photo-people N] [-files 10000] [-runs 10] [-out results/wholepath.txt]
//
// The books hold invented people, three versions of vCard and twenty regions,
// and the truth about them is known, so that it also counts how many values each
// path found. Both run in turns on one core; figures are medians of processor
// time over the runs, garbage collection included, and ratios are taken run by
// run.
//
// Then it reads a folder of small cards, and the same folder without looking at
// the cards, which is the file system's own share; and it measures the most
// memory that each path holds, in processes of their own.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/scruple-agent/scruple/bench/internal/measure"
	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
)

var (
	people = flag.Int("people", 100_000, "people in each book")
	photo  = flag.Int("photo-people", 0, "people in the book with photos, where theirs takes long (default: -people)")
	files  = flag.Int("files", 10_000, "cards in the folder")
	runs   = flag.Int("runs", 10, "runs of each path, in turns")
	out    = flag.String("out", "", "file to write the report to as well")
	alone  = flag.String("alone", "", "for its own use: run one path once over -book and exit")
	book   = flag.String("book", "", "for its own use")
)

// again is how often our path runs within a run: it is over before the clock's grain stops to matter.
const again = 3

// epochKey is the key of both paths.
var epochKey = [hasher.EpochKeySize]byte{1, 2, 3}

func main() {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "wholepath:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "wholepath")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := openDesk(filepath.Join(dir, "desk"))
	if err != nil {
		return err
	}
	defer d.close()
	s, err := newStack()
	if err != nil {
		return err
	}
	if *alone != "" {
		return once(d, s)
	}
	var w io.Writer = os.Stdout
	report := new(bytes.Buffer)
	if *out != "" {
		w = io.MultiWriter(os.Stdout, report)
	}
	measure.Header(w)
	fmt.Fprintf(w, "hasher backend %s; medians of %d runs in turns, processor time\n", hasher.Backend(), *runs)
	fmt.Fprintf(w, "ours: contacts.Open to minimise.Report.Encode behind the gate; theirs: go-vcard + nyaruka/phonenumbers + crypto/hmac\n")
	for _, c := range []struct {
		name    string
		people  int
		photos  float64
		bar, us float64
	}{
		{"no photos", *people, 0, 17, 1.3},
		{"photos in 10 %", cmp.Or(*photo, *people), 0.1, 125, 1.9},
	} {
		if err := compare(w, d, s, filepath.Join(dir, "book.vcf"), c.name, c.people, c.photos, c.bar, c.us); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if err := folder(w, d, s, filepath.Join(dir, "cards")); err != nil {
		return fmt.Errorf("folder: %w", err)
	}
	if *out != "" {
		return os.WriteFile(*out, report.Bytes(), 0o644)
	}
	return nil
}

// compare measures both paths over one book, written to path.
func compare(w io.Writer, d *desk, s *stack, path, name string, people int, photos, bar, us float64) error {
	b := booktest.Generate(1, people, booktest.Options{Photos: photos})
	if err := b.WriteFile(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	truth, err := truthOf(b)
	if err != nil {
		return err
	}
	b = booktest.Book{}
	fmt.Fprintf(w, "\n%s: %d people, %.0f MB, %d different numbers and addresses\n", name, people, float64(info.Size())/1e6, len(truth))

	if err := whole(path, people); err != nil {
		fmt.Fprintf(w, "DAMAGE where there is none: %v\n", err)
	}
	encoded, err := d.ours(path)
	if err != nil {
		return err
	}
	own, err := digestsOf(encoded)
	if err != nil {
		return err
	}
	var oursTook, theirsTook []float64
	var their []digest
	var distinct int
	for i := range *runs {
		fmt.Fprintf(os.Stderr, "\r%s: run %d of %d ", name, i+1, *runs)
		settle()
		took := measure.CPU(func() {
			for range again {
				if _, e := d.ours(path); e != nil {
					err = e
				}
			}
		})
		oursTook = append(oursTook, float64(took.Nanoseconds())/float64(again*people))
		settle()
		took = measure.CPU(func() {
			var e error
			if their, distinct, e = s.theirs(path); e != nil {
				err = e
			}
		})
		theirsTook = append(theirsTook, float64(took.Nanoseconds())/float64(people))
		if err != nil {
			return err
		}
	}
	fmt.Fprint(os.Stderr, "\r                                        \r")
	found, _ := count(own, truth)
	fmt.Fprintf(w, "%-28s %10.3f us/contact   found %d of %d values\n", "ours", measure.Median(oursTook)/1e3, found, len(truth))
	found, _ = count(their, truth)
	fmt.Fprintf(w, "%-28s %10.3f us/contact   found %d of %d values, %d wrong\n", "theirs", measure.Median(theirsTook)/1e3, found, len(truth), distinct-found)
	measure.Verdict(w, "ratio", measure.Ratios(theirsTook, oursTook), "%.1f", bar, false)
	measure.Verdict(w, "ours, us/contact", scale(oursTook, 1e-3), "%.3f", us, true)
	return peaks(w, path)
}

func scale(v []float64, by float64) []float64 {
	r := make([]float64, len(v))
	for i, x := range v {
		r[i] = x * by
	}
	return r
}

// settle makes the start of each measurement alike.
func settle() {
	runtime.GC()
	debug.FreeOSMemory()
}

// truthOf returns the digests of what is in a book, made by crypto/hmac.
func truthOf(b booktest.Book) (map[digest]bool, error) {
	s, err := newStack()
	if err != nil {
		return nil, err
	}
	truth := map[digest]bool{}
	for _, p := range b.Phones() {
		truth[sum(s.phones, p)] = true
	}
	for _, e := range b.Emails() {
		truth[sum(s.emails, e)] = true
	}
	return truth, nil
}

// count tells how many of the truth a set holds, and how many others.
func count(set []digest, truth map[digest]bool) (found, others int) {
	for _, d := range set {
		if truth[d] {
			found++
		} else {
			others++
		}
	}
	return found, others
}
