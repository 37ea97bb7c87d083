// Command evaluate compares the two readers of the contacts path with reference
// answers over public data, which is not part of the repository:
//
//   - phones: E.164 by canonical.AppendPhone against Google's C++ libphonenumber,
//     differences by class of input;
//
//   - vcards: TEL and EMAIL values by package vcard against a slow reference
//     extractor, as multisets, file by file.
//
//     cd bench && go run ./evaluate [-data FOLDER] [-out results/evaluate.txt]
//
// The folder is the one SCRUPLE_DATA names, else ../../shared/data. Only counts
// are printed, no value. Where data is absent it says so and the exit code is 1.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

func main() {
	data := flag.String("data", os.Getenv("SCRUPLE_DATA"), "folder that has phones/ and vcards/")
	out := flag.String("out", "", "file to write the report to as well")
	flag.Parse()
	if *data == "" {
		*data = filepath.Join("..", "..", "shared", "data")
	}
	var w io.Writer = os.Stdout
	report := new(bytes.Buffer)
	if *out != "" {
		w = io.MultiWriter(os.Stdout, report)
	}
	err := errors.Join(phones(w, *data), vcards(w, *data))
	if err == nil && *out != "" {
		err = os.WriteFile(*out, report.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "evaluate:", err)
		os.Exit(1)
	}
}

// missing says what is not there; other errors stay.
func missing(err error, what string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("MISSING: %s: nothing was compared (-data or SCRUPLE_DATA names the folder)", what)
	}
	return err
}

// errorWords are the reference's errors as package canonical calls them.
var errorWords = map[string]string{
	"ERR1": "country-code", "ERR2": "not-a-number", "ERR3": "too-short-after-idd", "ERR4": "too-short", "ERR5": "too-long",
}

// tally counts the inputs of a class.
type tally struct{ inputs, differ, errors int }

func phones(w io.Writer, data string) error {
	const name = "phones/libphonenumber-9.0.32.tsv.gz"
	file, err := os.Open(filepath.Join(data, name))
	if err != nil {
		return missing(err, name)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	classes := map[string]*tally{}
	total := &tally{}
	dst := make([]byte, 0, 32)
	in := bufio.NewScanner(z)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		// class, region, input, answer, valid
		f := strings.Split(in.Text(), "\t")
		if len(f) != 5 || strings.HasPrefix(f[0], "#") {
			continue
		}
		c := classes[f[0]]
		if c == nil {
			c = new(tally)
			classes[f[0]] = c
		}
		c.inputs++
		got, err := canonical.AppendPhone(dst[:0], []byte(f[2]), f[1])
		want, isError := errorWords[f[3]]
		switch {
		case isError && err == nil, !isError && string(got) != f[3]:
			c.differ++
		case isError && canonical.Word(err) != want:
			c.errors++
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(w, "phones: canonical.AppendPhone (metadata %s) against libphonenumber's answers\n", canonical.MetadataVersion)
	fmt.Fprintf(w, "  %-18s %8s %8s %12s\n", "class", "inputs", "differ", "other error")
	for _, name := range slices.Sorted(maps.Keys(classes)) {
		c := classes[name]
		fmt.Fprintf(w, "  %-18s %8d %8d %12d\n", name, c.inputs, c.differ, c.errors)
		total.inputs, total.differ, total.errors = total.inputs+c.inputs, total.differ+c.differ, total.errors+c.errors
	}
	fmt.Fprintf(w, "  %-18s %8d %8d %12d   %.4f %% differ, ceiling 0.01 %%\n", "all", total.inputs, total.differ, total.errors,
		100*float64(total.differ)/float64(max(total.inputs, 1)))
	return nil
}

// expected is what the reference extractor found in a file.
type expected struct {
	File  string
	Cards int
	Tel   []string
	Email []string
}

func vcards(w io.Writer, data string) error {
	const name = "vcards/expected.json"
	raw, err := os.ReadFile(filepath.Join(data, name))
	if err != nil {
		return missing(err, name)
	}
	var list []expected
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	values, found, extra, cards, otherCards := 0, 0, 0, 0, 0
	skipped := vcard.Skips{}
	for _, e := range list {
		tel, email, stats, err := read(filepath.Join(data, "vcards", e.File))
		if err != nil {
			return fmt.Errorf("%s: %w", e.File, err)
		}
		lost, more := differ(e.Tel, tel)
		lost2, more2 := differ(e.Email, email)
		n := len(e.Tel) + len(e.Email)
		values, found, extra = values+n, found+n-lost-lost2, extra+more+more2
		cards += stats.Cards
		if stats.Cards != e.Cards {
			otherCards++
		}
		if lost+lost2+more+more2 > 0 {
			fmt.Fprintf(w, "  %s: %d lost or wrong, %d too many\n", e.File, lost+lost2, more+more2)
		}
		skipped.Add(stats.Skips)
	}
	fmt.Fprintf(w, "vcards: found %d of %d values, %d too many, in %d files with %d cards (%d files with another number of cards); passed over %v\n",
		found, values, extra, len(list), cards, otherCards, skipped.Words())
	return nil
}

func read(name string) (tel, email []string, stats vcard.Stats, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, stats, err
	}
	defer file.Close()
	r := vcard.NewReader(file)
	for {
		v, err := r.Next()
		if err == io.EOF {
			return tel, email, r.Stats(), nil
		}
		if err != nil {
			return nil, nil, stats, err
		}
		if v.Kind == vcard.Tel {
			tel = append(tel, string(v.Bytes()))
		} else {
			email = append(email, string(v.Bytes()))
		}
	}
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
