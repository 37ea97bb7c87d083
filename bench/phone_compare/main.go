// Command phone_compare measures the canonical forms of package canonical beside
// what else makes them, on the same inputs in alternating rounds, on one core and
// in processor time: AppendPhone beside nyaruka/phonenumbers, AppendEmail beside
// strings.TrimSpace, strings.ToLower and idna.Lookup. It also counts where both
// phone libraries differ from the answers of Google's C++ library if the reference
// file is there.
//
//	go run ./phone_compare [-data FOLDER] [-rounds 11] [-inputs 20000] [-out results/phone.txt]
//
// The phone numbers are a sample of the reference file, else examples of every
// region in several spellings; the addresses are invented ones in ASCII
// without labels of IDNA.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"

	"github.com/scruple-agent/scruple/bench/internal/measure"
	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
)

type input struct {
	text, region string
	answer       string // "" if unknown
}

func main() {
	log.SetFlags(0)
	data := flag.String("data", os.Getenv("SCRUPLE_DATA"), "folder that has phones/libphonenumber-9.0.32.tsv.gz")
	rounds := flag.Int("rounds", 11, "alternating rounds")
	n := flag.Int("inputs", 20_000, "inputs per round")
	out := flag.String("out", "", "file to write the report to as well")
	flag.Parse()
	if *data == "" {
		*data = filepath.Join("..", "..", "shared", "data")
	}
	runtime.GOMAXPROCS(1)
	var report bytes.Buffer
	w := io.MultiWriter(os.Stdout, &report)
	measure.Header(w)

	inputs, err := readReference(filepath.Join(*data, "phones", "libphonenumber-9.0.32.tsv.gz"))
	if err != nil {
		fmt.Fprintln(w, "MISSING: reference answers of libphonenumber (-data or SCRUPLE_DATA); measuring on examples of every region")
		inputs = examples()
	} else {
		countDifferences(w, inputs)
	}
	r := rand.New(rand.NewPCG(1, 1))
	r.Shuffle(len(inputs), func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })
	if len(inputs) > *n {
		inputs = inputs[:*n]
	}
	comparePhones(w, inputs, *rounds)
	compareEmails(w, *n, *rounds)
	if *out != "" {
		if err := os.WriteFile(*out, report.Bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

func comparePhones(w io.Writer, inputs []input, rounds int) {
	// Inputs lie one after the other, as a reader of address books has them.
	raw := make([][]byte, len(inputs))
	var arena []byte
	for i := range inputs {
		in := &inputs[i]
		start := len(arena)
		arena = append(arena, in.text...)
		raw[i] = arena[start:len(arena):len(arena)]
	}
	dst := make([]byte, 0, 32)
	ours := func() {
		for i := range inputs {
			dst, _ = canonical.AppendPhone(dst[:0], raw[i], inputs[i].region)
		}
	}
	theirs := func() {
		for i := range inputs {
			if num, err := phonenumbers.Parse(inputs[i].text, inputs[i].region); err == nil {
				dst = append(dst[:0], phonenumbers.Format(num, phonenumbers.E164)...)
			}
		}
	}
	fmt.Fprintf(w, "\ntelephone numbers: %d inputs, %d rounds, medians\n", len(inputs), rounds)
	compare(w, len(inputs), rounds, "canonical.AppendPhone", ours, "nyaruka/phonenumbers", theirs, 300, 35)
}

// compareEmails measures n addresses, written as people do: a capital here and there,
// a blank behind.
func compareEmails(w io.Writer, n, rounds int) {
	var texts []string
	var raw [][]byte
	size := 0
	for _, p := range booktest.Generate(1, n, booktest.Options{}).People {
		for i, a := range p.Emails {
			if strings.Contains(a, "xn--") {
				continue // asks IDNA, which takes 3 us
			}
			switch (len(texts) + i) % 6 {
			case 0:
				a = strings.ToUpper(a[:1]) + a[1:]
			case 1:
				a += " "
			}
			texts, raw = append(texts, a), append(raw, []byte(a))
			size += len(a)
		}
	}
	dst := make([]byte, 0, 320)
	ours := func() {
		for _, a := range raw {
			dst, _ = canonical.AppendEmail(dst[:0], a)
		}
	}
	theirs := func() {
		for _, a := range texts {
			local, domain, _ := strings.Cut(strings.TrimSpace(a), "@")
			if host, err := idna.Lookup.ToASCII(domain); err == nil {
				dst = append(append(append(dst[:0], strings.ToLower(local)...), '@'), host...)
			}
		}
	}
	fmt.Fprintf(w, "\ne-mail addresses: %d in ASCII, none with an A-label, %.1f bytes on average, %d rounds, medians\n", len(raw), float64(size)/float64(len(raw)), rounds)
	compare(w, len(raw), rounds, "canonical.AppendEmail", ours, "strings and x/net/idna", theirs, 60, 0)
}

// compare prints the median processor time per input of both and of their ratios,
// round by round, since the machine's speed changes more than the libraries do. The
// bars are for our time in ns and for the ratio, 0 for none.
func compare(w io.Writer, n, rounds int, name string, ours func(), peer string, theirs func(), ns, ratio float64) {
	ours()
	theirs() // fills the cache of compiled expressions
	allocs := testing.AllocsPerRun(1, ours)
	var a, b []float64
	for range rounds {
		a, b = append(a, perInput(theirs, n)), append(b, perInput(ours, n))
	}
	fmt.Fprintf(w, "%-28s %10.1f ns/input\n", peer, measure.Median(a))
	measure.Verdict(w, name+", ns", b, "%.1f", ns, true)
	fmt.Fprintf(w, "%-28s %10.4f an input\n", "allocations of ours", allocs/float64(n))
	ratios := measure.Ratios(a, b)
	if ratio > 0 {
		measure.Verdict(w, "ratio", ratios, "%.1f", ratio, false)
		return
	}
	fmt.Fprintf(w, "%-28s %10.1f (%.1f to %.1f)\n", "ratio", measure.Median(ratios), slices.Min(ratios), slices.Max(ratios))
}

// perInput is the mean processor time of f per input in nanoseconds; f is
// repeated until the clock's grain does not matter.
func perInput(f func(), n int) float64 {
	took, times := time.Duration(0), 0
	for took < 50*time.Millisecond {
		took += measure.CPU(f)
		times++
	}
	return float64(took.Nanoseconds()) / float64(n*times)
}

func countDifferences(w io.Writer, inputs []input) {
	words := map[string]string{"ERR1": "country-code", "ERR2": "not-a-number", "ERR3": "too-short-after-idd", "ERR4": "too-short", "ERR5": "too-long"}
	ours, theirs := 0, 0
	for _, in := range inputs {
		got, err := canonical.AppendPhone(nil, []byte(in.text), in.region)
		if want, isError := words[in.answer]; isError && canonical.Word(err) != want || !isError && string(got) != in.answer {
			ours++
		}
		form := ""
		if num, err := phonenumbers.Parse(in.text, in.region); err == nil {
			form = phonenumbers.Format(num, phonenumbers.E164)
		}
		if _, isError := words[in.answer]; isError && form != "" || !isError && form != in.answer {
			theirs++
		}
	}
	fmt.Fprintf(w, "%d reference inputs: canonical differs on %d (errors compared by kind), nyaruka/phonenumbers on %d (errors not told apart)\n", len(inputs), ours, theirs)
}

func readReference(name string) ([]input, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	var list []input
	in := bufio.NewScanner(z)
	for in.Scan() {
		if f := strings.Split(in.Text(), "\t"); len(f) == 5 && f[0][0] != '#' {
			// One copy of each region's name, as settings would hold it.
			list = append(list, input{text: f[2], region: unique.Make(f[1]).Value(), answer: f[3]})
		}
	}
	return list, in.Err()
}

// examples writes the example number of every type and region in four spellings.
func examples() []input {
	var list []input
	for _, region := range canonical.Regions() {
		for kind := phonenumbers.FIXED_LINE; kind <= phonenumbers.VOICEMAIL; kind++ {
			num := phonenumbers.GetExampleNumberForType(region, kind)
			if num == nil || num.GetNationalNumber() == 0 {
				continue
			}
			for _, form := range []phonenumbers.PhoneNumberFormat{phonenumbers.E164, phonenumbers.INTERNATIONAL, phonenumbers.NATIONAL, phonenumbers.RFC3966} {
				list = append(list, input{text: phonenumbers.Format(num, form), region: region})
			}
		}
	}
	return list
}
