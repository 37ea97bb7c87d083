package consent_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
)

// A forged Permit does not compile: the type checker refuses every line of testdata/forge that carries an ERROR comment, with the
// error it names, and refuses nothing else there.
func TestForgedPermitDoesNotCompile(t *testing.T) {
	exports := exportData(t)
	fset := token.NewFileSet()
	names, err := filepath.Glob("testdata/forge/*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("no forgeries: %v", err)
	}
	wanted := regexp.MustCompile(`// ERROR "(.*)"`)
	type line struct {
		file string
		n    int
	}
	want := map[line]*regexp.Regexp{}
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		before := len(want)
		for _, group := range f.Comments {
			for _, c := range group.List {
				if m := wanted.FindStringSubmatch(c.Text); m != nil {
					want[line{name, fset.Position(c.Pos()).Line}] = regexp.MustCompile(m[1])
				}
			}
		}
		if len(want) == before {
			t.Errorf("%s: forges nothing", name)
		}
	}
	got := map[line]bool{}
	config := types.Config{
		Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
			return os.Open(exports[path])
		}),
		Error: func(err error) {
			var e types.Error
			if !errors.As(err, &e) {
				t.Errorf("unexpected: %v", err)
				return
			}
			at := line{fset.Position(e.Pos).Filename, fset.Position(e.Pos).Line}
			if re := want[at]; re == nil || !re.MatchString(e.Msg) {
				t.Errorf("%s:%d: %s; want %v", at.file, at.n, e.Msg, re)
			}
			got[at] = true
		},
	}
	_, _ = config.Check("forge", fset, files, nil)
	for at := range want {
		if !got[at] {
			t.Errorf("%s:%d: compiles", at.file, at.n)
		}
	}
}

// exportData returns where the compiler keeps what it knows of package consent and all that it imports.
func exportData(t *testing.T) map[string]string {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("MISSING: the go command, to compile package consent")
	}
	cmd := exec.Command(goTool, "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "github.com/scruple-agent/scruple/agent/consent")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	exports := map[string]string{}
	for l := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(l), "\t")
		exports[path] = file
	}
	return exports
}

// What does compile, the zero Permit, is refused everywhere.
func TestZeroPermit(t *testing.T) {
	var p consent.Permit
	if err := p.Check(); !errors.Is(err, consent.ErrNoPermit) || !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("Check: %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("Done is open")
	}
	if !p.Consent().IsZero() || !p.Subtree().IsZero() || p.Tuple().Category != "" || p.Effective().Purpose != nil {
		t.Error("a zero permit is for something")
	}
}
