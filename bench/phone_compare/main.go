// Command phone_compare measures canonical.AppendPhone beside nyaruka/phonenumbers
// on the same inputs in alternating rounds, and counts where both differ from the
// answers of Google's C++ library if the reference file is there.
//
//	go run ./phone_compare [-data FOLDER] [-rounds 11] [-inputs 20000]
//
// The inputs are a sample of the reference file, else examples of every region
// in several spellings.
package main

import (
	"bufio"
	"compress/gzip"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/nyaruka/phonenumbers"

	"github.com/scruple-agent/scruple/hasher/canonical"
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
	flag.Parse()
	if *data == "" {
		*data = filepath.Join("..", "..", "shared", "data")
	}
	runtime.GOMAXPROCS(1)

	inputs, err := readReference(filepath.Join(*data, "phones", "libphonenumber-9.0.32.tsv.gz"))
	if err != nil {
		fmt.Println("MISSING: reference answers of libphonenumber (-data or SCRUPLE_DATA); measuring on examples of every region")
		inputs = examples()
	} else {
		countDifferences(inputs)
	}
	r := rand.New(rand.NewPCG(1, 1))
	r.Shuffle(len(inputs), func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })
	if len(inputs) > *n {
		inputs = inputs[:*n]
	}
	compare(inputs, *rounds)
}

// compare prints the median processor time per input of each library and of their ratios,
// round by round, since the machine's speed changes more than the libraries do.
func compare(inputs []input, rounds int) {
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
	ours()
	theirs() // fills the cache of compiled expressions
	var a, b, ratio []float64
	for range rounds {
		t, u := perInput(theirs, len(inputs)), perInput(ours, len(inputs))
		a, b, ratio = append(a, t), append(b, u), append(ratio, t/u)
	}
	fmt.Printf("%d inputs, %d rounds, medians\n", len(inputs), rounds)
	fmt.Printf("nyaruka/phonenumbers Parse+Format  %9.1f ns/input\n", median(a))
	fmt.Printf("canonical.AppendPhone              %9.1f ns/input\n", median(b))
	fmt.Printf("ratio                              %9.1f (%.1f to %.1f)\n", median(ratio), slices.Min(ratio), slices.Max(ratio))
}

// started is what wall times count from.
var started = time.Now()

// perInput is the mean processor time of f per input in nanoseconds; f is
// repeated until the clock's grain does not matter.
func perInput(f func(), n int) float64 {
	start, times := cpuTime(), 0
	for cpuTime()-start < 50*time.Millisecond {
		f()
		times++
	}
	return float64((cpuTime() - start).Nanoseconds()) / float64(n*times)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func countDifferences(inputs []input) {
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
	fmt.Printf("%d reference inputs: canonical differs on %d (errors compared by kind), nyaruka/phonenumbers on %d (errors not told apart)\n", len(inputs), ours, theirs)
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
