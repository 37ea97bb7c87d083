// Command testrun runs the tests as "make test" promises it: natively, then the parts that must also hold on other
// processors under qemu-user. It shows what go test shows, and ends with what this machine lacked, one line each:
// a test that skips because something is missing says so with a message that begins with "MISSING: ".
//
// A run of the whole tree also leaves what the tests of the guideline's clauses came to (package conformance), and
// fails when that is not what the recorded copy says, which is built into the command line.
//
//	go run ./agent/internal/testrun [-short] [-race] [-events FILE] [-results FILE] [packages]
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/scruple-agent/scruple/agent/conformance"
)

// foreign are the processors whose unit tests run under emulation, and portable the packages they run.
var (
	foreign = []struct{ name, goarch, goarm, qemu string }{
		{"arm64", "arm64", "", "qemu-aarch64-static"},
		{"armv7", "arm", "7", "qemu-arm-static"},
	}
	portable = []string{"./hasher/...", "./sensors/...", "./agent/minimise/...", "./uploader/spool/..."}
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// tally is what one or several runs of go test came to.
type tally struct {
	passed, failed, skipped int
	missing                 []string
	clauses                 conformance.Reducer // of the native run
}

// missingLine is a line of a skip message, as package testing prints it.
var missingLine = regexp.MustCompile(`^\s+\S+\.go:\d+: MISSING: (.*)`)

func main() {
	short := flag.Bool("short", false, "pass -short to go test")
	race := flag.Bool("race", false, "pass -race to go test (needs cgo)")
	events := flag.String("events", "", "also write go test's JSON events to this `file`")
	results := flag.String("results", "", "write what the tests of the guideline's clauses came to to this `file`; a run of the whole tree writes "+conformance.File)
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	var record io.Writer = io.Discard
	if *events != "" {
		f, err := os.Create(*events)
		if err != nil {
			fmt.Fprintln(os.Stderr, "testrun:", err)
			os.Exit(1)
		}
		defer f.Close()
		record = f
	}
	var args []string
	if *short {
		args = append(args, "-short")
	}
	if *race {
		args = append(args, "-race")
	}
	var t tally
	ok := t.run(append(args, packages...), nil, record, &t.clauses)
	for _, f := range foreign {
		qemu, err := exec.LookPath(f.qemu)
		if err != nil {
			t.missing = append(t.missing, fmt.Sprintf("%s (Debian package qemu-user-static): the %s tests did not run", f.qemu, f.name))
			continue
		}
		fmt.Printf("# %s under %s\n", f.name, f.qemu)
		env := []string{"CGO_ENABLED=0", "GOARCH=" + f.goarch}
		if f.goarm != "" {
			env = append(env, "GOARM="+f.goarm)
		}
		if !t.run(append([]string{"-short", "-exec", qemu}, portable...), env, io.Discard, nil) {
			ok = false
		}
	}
	whole := slices.Equal(packages, []string{"./..."}) && !*short && !*race
	if *results != "" || whole {
		if err := t.record(*results, whole); err != nil {
			fmt.Println("testrun:", err)
			ok = false
		}
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	slices.Sort(t.missing)
	for _, m := range slices.Compact(t.missing) {
		fmt.Println("missing on this machine:", m)
	}
	if !ok {
		os.Exit(1)
	}
}

// record writes what the clauses' tests came to, and compares it with the recorded copy when they all ran.
func (t *tally) record(file string, whole bool) error {
	r, err := t.clauses.Results()
	if err != nil {
		return err
	}
	if file == "" {
		file = conformance.File
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, r.Encode(), 0o644); err != nil {
		return err
	}
	if !whole || t.failed > 0 { // a failed test speaks for itself
		return nil
	}
	recorded, err := os.ReadFile(conformance.RecordedFile)
	if err != nil {
		return err
	}
	if string(recorded) != string(r.Encode()) {
		return fmt.Errorf("%s is not what this run has shown; if the run is right: cp %s %s", conformance.RecordedFile, file, conformance.RecordedFile)
	}
	return nil
}

// run calls go test -json, prints package lines and whatever belongs to a failure, and counts. clauses, which may be
// nil, takes in the events.
func (t *tally) run(args, env []string, record io.Writer, clauses *conformance.Reducer) bool {
	// A package may take longer than go test's ten minutes where everything shares two slow processors.
	cmd := exec.Command("go", append([]string{"test", "-json", "-timeout", "20m"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		return false
	}
	output := map[string][]string{} // of a test, until it is known whether it failed
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fmt.Fprintln(record, lines.Text())
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		if clauses != nil {
			clauses.Take(conformance.Event{Action: e.Action, Package: e.Package, Test: e.Test})
		}
		t.take(e, output)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "testrun: read the events:", err)
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		return false
	}
	return cmd.Wait() == nil
}

func (t *tally) take(e event, output map[string][]string) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Print(e.Output)
	case "output":
		output[key] = append(output[key], e.Output)
	case "pass", "fail", "skip":
		lines := output[key]
		delete(output, key)
		if e.Test == "" { // a package: its closing line
			for _, l := range lines {
				if e.Action == "fail" || strings.HasPrefix(l, "ok ") || strings.HasPrefix(l, "?") {
					fmt.Print(l)
				}
			}
			return
		}
		switch e.Action {
		case "pass":
			t.passed++
		case "skip":
			t.skipped++
			for _, l := range lines {
				if m := missingLine.FindStringSubmatch(l); m != nil {
					t.missing = append(t.missing, strings.TrimSpace(m[1]))
				}
			}
		case "fail":
			t.failed++
			fmt.Print(strings.Join(lines, ""))
		}
	}
}
