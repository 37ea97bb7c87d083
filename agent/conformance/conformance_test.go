package conformance

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// ids are the guideline's clauses; a row that stands for two has two here.
var ids = strings.Fields("i ii iii 5 iv 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8 1.9 2.1 2.2 3 4 6.1 6.2 6.3 6.4 6.5 6.6 10 6.7 7 8 9 v")

// TestEveryClauseHasItsRow: one row a clause, in order, in both languages, and none that claims by its text alone.
func TestEveryClauseHasItsRow(t *testing.T) {
	var got []string
	for _, row := range Table(nil, "en") {
		got = append(got, row.Clause)
		if row.Status != NotShown || row.Promise == "" || row.EnforcedBy == "" || row.Tests == nil {
			t.Errorf("clause %s without any test: %+v", row.Clause, row)
		}
	}
	if !reflect.DeepEqual(got, ids) {
		t.Errorf("rows %v, want %v", got, ids)
	}
	for _, c := range Clauses() {
		for _, text := range []Text{c.Promise, c.Enforced, c.Missing} {
			if (text.EN == "") != (text.ZH == "") || strings.ContainsFunc(text.EN, isHan) ||
				text.ZH != "" && !strings.ContainsFunc(text.ZH, isHan) {
				t.Errorf("clause %s: a text is not in both languages", c.ID)
			}
		}
		if other, ok := ByID(c.With); c.With != "" && (!ok || other.With != c.ID) {
			t.Errorf("clause %s shares a row with %q, which does not", c.ID, c.With)
		}
	}
}

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }

// TestStatus: a row says what the tests have shown and never more.
func TestStatus(t *testing.T) {
	const a, b, keyed = "TestClause_1_5_A", "TestClause_1_5_B", "TestClause_1_7_Keyed"
	for name, c := range map[string]struct {
		results Results
		clause  string
		want    Status
		tests   []string
	}{
		"no test":                       {nil, "1.5", NotShown, []string{}},
		"all passed":                    {Results{{Pass, "agent", a}, {Pass, "x", b}}, "1.5", Kept, []string{"agent." + a, "x." + b}},
		"one failed":                    {Results{{Pass, "agent", a}, {Fail, "x", b}}, "1.5", NotShown, []string{"agent." + a, "x." + b + " (failed)"}},
		"one skipped":                   {Results{{Pass, "agent", a}, {Skip, "x", b}}, "1.5", Partly, []string{"agent." + a, "x." + b + " (skipped)"}},
		"only skipped":                  {Results{{Skip, "agent", a}}, "1.5", NotShown, []string{"agent." + a + " (skipped)"}},
		"keyed mode is partly":          {Results{{Pass, "agent", keyed}}, "1.7", Partly, []string{"agent." + keyed}},
		"keyed mode, failed":            {Results{{Fail, "agent", keyed}}, "1.7", NotShown, []string{"agent." + keyed + " (failed)"}},
		"another clause's test":         {Results{{Pass, "agent", a}}, "1.6", NotShown, []string{}},
		"the other half of one row":     {Results{{Pass, "agent", "TestClause_iii_X"}}, "5", Kept, []string{"agent.TestClause_iii_X"}},
		"the other half's test, failed": {Results{{Pass, "agent", "TestClause_iii_X"}, {Fail, "agent", "TestClause_5_X"}}, "iii", NotShown, []string{"agent.TestClause_5_X (failed)", "agent.TestClause_iii_X"}},
	} {
		for _, row := range Table(c.results, "zh-CN") {
			if row.Clause == c.clause && (row.Status != c.want || !reflect.DeepEqual(row.Tests, c.tests)) {
				t.Errorf("%s: %s, %v; want %s, %v", name, row.Status, row.Tests, c.want, c.tests)
			}
		}
	}
}

// TestNothingEnforcesIt: a test that passes does not make up for code that is not there.
func TestNothingEnforcesIt(t *testing.T) {
	if got := row(Clause{ID: "6.5"}, []Result{{Pass, "agent", "TestClause_6_5_X"}}, "en").Status; got != NotShown {
		t.Errorf("status %s, want %s", got, NotShown)
	}
}

func TestClauseOf(t *testing.T) {
	for name, want := range map[string]string{
		"TestClause_1_5_OnlyInASession": "1.5",
		"TestClause_iii_OneController":  "iii",
		"TestClause_v_Index":            "v",
		"TestClause_10_Complaint":       "10",
		"TestClause_3_12Things":         "3",
		"TestKill":                      "",
		"TestClause":                    "",
		"TestClause_":                   "error",
		"TestClause_1_5":                "error",
		"TestClause_1_5_":               "error",
		"TestClause_1_55_X":             "error",
		"TestClause_1_X":                "error",
		"TestClause_6_4_2_X":            "error",
		"TestClause_vi_X":               "error",
		"TestClause_I_X":                "error",
	} {
		got, err := ClauseOf(name)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: clause %q, want %q", name, got, want)
		}
	}
}

// TestNames looks at every test of the tree: one that is named after a clause names a clause there is.
func TestNames(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func (TestClause_\w*)\(`)
	found := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			found++
			if id, err := ClauseOf(string(m[1])); id == "" || err != nil {
				t.Errorf("%s: test %s: %v", path, m[1], err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 10 {
		t.Errorf("only %d tests of clauses were found: does the test still see them all?", found)
	}
}

// TestReduce: outcomes come from events, the worst counts, and what never ended has failed.
func TestReduce(t *testing.T) {
	event := func(action, pkg, test string) string {
		return `{"Action":"` + action + `","Package":"` + module + pkg + `","Test":"` + test + `","Output":"x"}` + "\n"
	}
	for name, c := range map[string]struct {
		events string
		want   string // outcome of the one test
	}{
		"passed":          {event("run", "agent", "TestClause_7_X") + event("output", "agent", "TestClause_7_X") + event("pass", "agent", "TestClause_7_X"), "pass"},
		"failed":          {event("run", "agent", "TestClause_7_X") + event("fail", "agent", "TestClause_7_X"), "fail"},
		"killed":          {event("run", "agent", "TestClause_7_X") + event("fail", "agent", ""), "fail"},
		"cut":             {event("run", "agent", "TestClause_7_X"), "fail"},
		"skipped":         {event("run", "agent", "TestClause_7_X") + event("skip", "agent", "TestClause_7_X"), "skip"},
		"skipped in part": {event("run", "agent", "TestClause_7_X") + event("skip", "agent", "TestClause_7_X/a") + event("pass", "agent", "TestClause_7_X/b") + event("pass", "agent", "TestClause_7_X"), "skip"},
		"failed in part":  {event("run", "agent", "TestClause_7_X") + event("fail", "agent", "TestClause_7_X/a") + event("pass", "agent", "TestClause_7_X"), "fail"},
		"once of twice":   {event("run", "agent", "TestClause_7_X") + event("fail", "agent", "TestClause_7_X") + event("run", "agent", "TestClause_7_X") + event("pass", "agent", "TestClause_7_X"), "fail"},
		"not JSON":        {"warning: x\n" + event("run", "agent", "TestClause_7_X") + "{\n" + event("pass", "agent", "TestClause_7_X"), "pass"},
		"another test":    {event("run", "agent", "TestKill") + event("pass", "agent", "TestKill"), ""},
		"no such clause":  {event("run", "agent", "TestClause_77_X") + event("pass", "agent", "TestClause_77_X"), "error"},
	} {
		r, err := Reduce(strings.NewReader(c.events))
		got := ""
		switch {
		case err != nil:
			got = "error"
		case len(r) == 1 && r[0].Package == "agent" && r[0].Test == "TestClause_7_X":
			got = string(r[0].Outcome)
		case len(r) > 0:
			got = "other"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q (%v)", name, got, c.want, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"another form":  "{}\n",
		"later form":    "scruple clause tests 2\n",
		"no test":       firstLine + "\npass agent\n",
		"no package":    firstLine + "\npass  TestClause_7_X\n",
		"four words":    firstLine + "\npass agent TestClause_7_X x\n",
		"no outcome":    firstLine + "\nok agent TestClause_7_X\n",
		"no clause":     firstLine + "\npass agent TestKill\n",
		"other clause":  firstLine + "\npass agent TestClause_77_X\n",
		"twice":         firstLine + "\npass agent TestClause_7_X\nfail agent TestClause_7_X\n",
		"too large":     firstLine + "\n" + strings.Repeat("pass agent TestClause_7_X\n", maxResults/20),
		"empty line":    firstLine + "\n\n",
		"Windows lines": firstLine + "\r\npass agent TestClause_7_X\r\n",
	} {
		if r, err := Read("file", strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), "file:") {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

// TestRecorded: what is built in can be read, and is as it would be written.
func TestRecorded(t *testing.T) {
	r, err := Recorded()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.Encode(), recorded) {
		t.Error("the recorded results are not in their canonical form")
	}
	for _, one := range r {
		if one.Outcome != Pass {
			t.Errorf("%s %s: recorded before the tests passed", one, one.Outcome)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(recorded)
	f.Add([]byte(firstLine + "\nfail agent/consent TestClause_ii_X\nskip x TestClause_1_5_Y\n"))
	f.Add([]byte(firstLine))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Read("file", bytes.NewReader(text))
		if err != nil {
			return
		}
		again, err := Read("file", bytes.NewReader(r.Encode()))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("read again: %v, %v", again, err)
		}
		for _, row := range Table(r, "en") {
			for _, test := range row.Tests {
				if row.Status == Kept && (strings.HasSuffix(test, " (failed)") || strings.HasSuffix(test, " (skipped)")) {
					t.Errorf("clause %s is kept by %v", row.Clause, row.Tests)
				}
			}
		}
	})
}

func FuzzReduce(f *testing.F) {
	f.Add([]byte(`{"Action":"run","Package":"p","Test":"TestClause_7_X"}` + "\n" + `{"Action":"pass","Package":"p","Test":"TestClause_7_X/s"}`))
	f.Add([]byte("not JSON\n"))
	f.Fuzz(func(t *testing.T, events []byte) {
		if r, err := Reduce(bytes.NewReader(events)); err == nil {
			Table(r, "zh-CN")
		}
	})
}
