package conformance

import (
	"bufio"
	"bytes"
	_ "embed" // the recorded results
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Outcome is what a test came to.
type Outcome string

// The outcomes. What began and never ended has failed.
const (
	Pass Outcome = "pass"
	Skip Outcome = "skip" // or one of its subtests was
	Fail Outcome = "fail"
)

// Result is the outcome of one test that speaks for a clause.
type Result struct {
	Outcome Outcome
	Package string // within the module, as "agent/consent"
	Test    string
}

// String returns the test's name with its package, as "agent/consent.TestClause_ii_...".
func (r Result) String() string { return r.Package + "." + r.Test }

// Results are the outcomes of the clauses' tests in one run, sorted by package and name.
type Results []Result

const (
	// File is where a full run leaves its results, from the root of the source tree.
	File = "bin/conformance.txt"
	// RecordedFile is the copy that is built in, from the root of the source tree.
	RecordedFile = "agent/conformance/results.txt"

	module = "github.com/scruple-agent/scruple/"
	// maxResults bounds a results file in bytes; a line has about 80.
	maxResults = 1 << 20
	firstLine  = "scruple clause tests 1"
)

//go:embed results.txt
var recorded []byte

// Recorded returns the results that were built in: those of the last full run before the build.
func Recorded() (Results, error) { return Read(RecordedFile, bytes.NewReader(recorded)) }

// Encode returns the results as a file: a first line that names the form, then one line a test.
func (r Results) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, firstLine)
	for _, one := range r {
		fmt.Fprintln(&b, one.Outcome, one.Package, one.Test)
	}
	return b.Bytes()
}

// Read reads what Encode has written. Errors name the file and the line. A test of an unknown clause, a test that
// stands there twice and an outcome that is none are errors.
func Read(file string, from io.Reader) (Results, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxResults+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(text) > maxResults {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, maxResults)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if lines[0] != firstLine {
		return nil, fmt.Errorf("%s:1: not results of clause tests", file)
	}
	var r Results
	for i, line := range lines[1:] {
		at := func(problem string) error { return fmt.Errorf("%s:%d: %s", file, i+2, problem) }
		words := strings.Split(line, " ")
		if len(words) != 3 || words[1] == "" {
			return nil, at("not an outcome, a package and a test")
		}
		one := Result{Outcome(words[0]), words[1], words[2]}
		if one.Outcome != Pass && one.Outcome != Skip && one.Outcome != Fail {
			return nil, at("the outcome is not pass, skip or fail")
		}
		if id, err := ClauseOf(one.Test); err != nil || id == "" {
			return nil, at("the test names no clause")
		}
		r = append(r, one)
	}
	r.sort()
	for i := range r[:max(0, len(r)-1)] {
		if r[i].String() == r[i+1].String() {
			return nil, fmt.Errorf("%s: a test stands there twice", file)
		}
	}
	return r, nil
}

func (r Results) sort() {
	slices.SortFunc(r, func(a, b Result) int { return strings.Compare(a.String(), b.String()) })
}

// Reducer reduces the events of go test -json to the outcomes of the clauses' tests. The zero value is ready.
type Reducer struct {
	outcomes map[[2]string]Outcome // by package and test
	running  map[[2]string]bool
	unknown  map[string]error
}

// Event is a line of go test -json, as far as the reducer looks at it (go doc test2json).
type Event struct{ Action, Package, Test string }

// Take takes in one event. A test that ran several times has its worst outcome.
func (d *Reducer) Take(e Event) {
	top, _, isSub := strings.Cut(e.Test, "/")
	if id, err := ClauseOf(top); id == "" {
		if err != nil {
			if d.unknown == nil {
				d.unknown = map[string]error{}
			}
			d.unknown[top] = err
		}
		return
	}
	if d.outcomes == nil {
		d.outcomes, d.running = map[[2]string]Outcome{}, map[[2]string]bool{}
	}
	key := [2]string{strings.TrimPrefix(e.Package, module), top}
	switch outcome := Outcome(e.Action); {
	case e.Action == "run" && !isSub:
		d.running[key] = true
	case outcome == Pass && isSub:
		// The test itself says so when all of it has passed.
	case outcome == Pass, outcome == Skip, outcome == Fail:
		if severity(outcome) > severity(d.outcomes[key]) {
			d.outcomes[key] = outcome
		}
		if !isSub {
			delete(d.running, key)
		}
	}
}

func severity(o Outcome) int { return slices.Index([]Outcome{"", Pass, Skip, Fail}, o) }

// Results returns the outcomes. A test that began and never ended has failed. A test that names no clause of the
// guideline is an error.
func (d *Reducer) Results() (Results, error) {
	for _, err := range d.unknown {
		return nil, err
	}
	for key := range d.running {
		d.outcomes[key] = Fail
	}
	var r Results
	for key, outcome := range d.outcomes {
		r = append(r, Result{outcome, key[0], key[1]})
	}
	r.sort()
	return r, nil
}

// Reduce reduces a file of events.
func Reduce(events io.Reader) (Results, error) {
	var d Reducer
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) == nil { // go test also prints lines that are no events
			d.Take(e)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the events: %w", err)
	}
	return d.Results()
}
