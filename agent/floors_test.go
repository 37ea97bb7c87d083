package agent

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/scruple-agent/scruple/"

// floors is the order of the house, ground first. A package imports from floors below its own, never beside or
// above, so data can only go one way: source, minimise, spool, uploader. Changing it is a conversation.
var floors = [][]string{
	{
		"agent/policy", "agent/ledger", "agent/durable/internal/fault", "agent/control", "uploader/wire", "hasher/internal/lanes",
		"hasher/canonical", "sensors", "configs", "agent/conformance",
	},
	{
		"agent/durable", "agent/settings", "sensors/internal/iio", "sensors/contacts/vcard", "sensors/contacts/booktest",
		"hasher/internal/contest", "agent/internal/testrun", "agent/internal/e2e", "agent/internal/e2e/guest", "agent/internal/logind",
		"sensors/steps/pedometer",
	},
	{"agent/durable/durabletest", "agent/sealed", "hasher"},
	{"agent/keyring"},
	{"agent/consent", "agent/items", "agent/clients", "agent/notices", "agent/rights", "uploader/receiver"},
	{"agent/consent/consenttest", "agent/receipt", "uploader/receiver/receivertest"},
	{"sensors/device", "sensors/accel", "sensors/steps", "sensors/location", "sensors/contacts"},
	{"sensors/sensortest", "sensors/contacts/carddav", "sensors/contacts/evolution", "agent/minimise"},
	{"uploader/spool", "uploader/journal", "uploader/answers"},
	{"uploader"},
	{"agent/control/server"},
	{"agent"},
	{"agent/cli"},
	{"agent/cmd/scruple", "uploader/cmd/scruple-receiver", "agent/cmd/demo"},
}

// rawImporters are the only packages outside sensors/ that may name a raw value or make a digest: raw values end
// at minimise. The command line may use the parsers, which need no permit, on the person's own files; the receiver
// digests its own users; the ring of tests makes books.
var rawImporters = map[string][]string{
	"sensors/": {
		"agent/minimise", "agent", "agent/cli", "agent/cmd/demo",
	},
	"hasher": {
		"agent/minimise", "agent", "agent/cli", "agent/cmd/demo", "uploader/receiver", "uploader/receiver/receivertest",
		"uploader/cmd/scruple-receiver",
	},
}

func TestFloors(t *testing.T) {
	floor := map[string]int{}
	for i, names := range floors {
		for _, n := range names {
			if _, twice := floor[n]; twice {
				t.Errorf("%s stands on two floors", n)
			}
			floor[n] = i
		}
	}
	seen := map[string]bool{}
	for pkg, imports := range packages(t) {
		at, known := floor[pkg]
		if !known {
			t.Errorf("package %s stands on no floor: add it to floors, or better, do without it", pkg)
			continue
		}
		seen[pkg] = true
		for _, imported := range imports {
			below, known := floor[imported]
			if known && below >= at {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports go down", pkg, at, imported, below)
			}
			for prefix, allowed := range rawImporters {
				same := strings.HasPrefix(pkg, strings.TrimSuffix(prefix, "/"))
				if !same && (imported == prefix || strings.HasPrefix(imported, prefix)) && !slices.Contains(allowed, pkg) {
					t.Errorf("%s imports %s: raw values and digests end at minimise", pkg, imported)
				}
			}
		}
	}
	for pkg := range floor {
		if !seen[pkg] {
			t.Errorf("floors names %s, which does not exist", pkg)
		}
	}
}

// TestAgentLinksNoServer keeps what only the receiver needs out of the agent's binary.
func TestAgentLinksNoServer(t *testing.T) {
	imports := packages(t)
	var reach func(pkg string, seen map[string]bool)
	reach = func(pkg string, seen map[string]bool) {
		if seen[pkg] {
			return
		}
		seen[pkg] = true
		for _, i := range imports[pkg] {
			reach(i, seen)
		}
	}
	linked := map[string]bool{}
	reach("agent/cmd/scruple", linked)
	if linked["uploader/receiver"] {
		t.Error("the agent links the receiver, and with it SQLite")
	}
}

// packages returns our packages by path within the module, with the paths of ours that their files import, for any
// system and processor; tests aside.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	root := ".."
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == "testdata" || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") && file != root {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil && file != root {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := path.Clean(filepath.ToSlash(rel))
		found[pkg] = append(found[pkg], "")
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if ours, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(found[pkg], ours) {
				found[pkg] = append(found[pkg], ours)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
