// Package conformance is the table that says how each clause of the privacy guideline is kept: what it promises, what
// enforces it, and which tests have shown it. A row can claim no more than the tests of a run have shown: a test speaks
// for a clause by its name (TestClause_1_5_...), and its outcome comes from the events of go test -json.
//
// The command "scruple policy conformance" prints the table. The package runs no test: command testrun does, and
// reduces the events with Reducer.
package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Text is one text in the languages of the table.
type Text struct{ EN, ZH string }

// In returns the text in a language, by tag: Chinese for "zh-CN", English for anything else.
func (t Text) In(lang string) string {
	if lang == "zh-CN" {
		return t.ZH
	}
	return t.EN
}

// Clause is what the table says of one clause before any test has run.
type Clause struct {
	// ID is the clause's name in the guideline.
	ID string
	// With is another clause that the guideline puts into the same row: a test for either speaks for both.
	With string
	// Promise is what the guideline promises.
	Promise Text
	// Enforced is the code that keeps it, as far as it is kept; empty where nothing does.
	Enforced Text
	// Missing is what the code does not do. Where it is not empty the row is never more than Partly.
	Missing Text
}

// Status is how much of a clause the tests have shown.
type Status string

// The statuses. They are words of the JSON form and stay as they are.
const (
	// Kept: every test of the clause has passed, and nothing of it is missing.
	Kept Status = "kept"
	// Partly: tests have passed, but one was skipped or the clause has a part that no code keeps.
	Partly Status = "partly"
	// NotShown: no test has passed, or one has failed.
	NotShown Status = "not shown"
)

// Row is a row of the table. The field names of the JSON form stay as they are.
type Row struct {
	Clause     string   `json:"clause"`
	Promise    string   `json:"promise"`
	EnforcedBy string   `json:"enforced_by"`
	Tests      []string `json:"tests"` // "agent.TestClause_1_5_...", with " (failed)" or " (skipped)" where it was
	Status     Status   `json:"status"`
}

// Clauses returns every clause in the order of the guideline. The caller may change the slice.
func Clauses() []Clause { return slices.Clone(clauses) }

// ByID returns the clause of that name.
func ByID(id string) (Clause, bool) {
	i := slices.IndexFunc(clauses, func(c Clause) bool { return c.ID == id })
	if i < 0 {
		return Clause{}, false
	}
	return clauses[i], true
}

// Prefix is how the name of a test that speaks for a clause begins.
const Prefix = "TestClause_"

// ClauseOf returns the clause that a test speaks for by its name: "1.5" for TestClause_1_5_OnlyInASession, "iii" for
// TestClause_iii_OneRecipient. It returns "" for a name that begins otherwise, and an error for one that names no
// clause of the guideline or says nothing after it.
func ClauseOf(test string) (string, error) {
	rest, ok := strings.CutPrefix(test, Prefix)
	if !ok {
		return "", nil
	}
	parts := strings.Split(rest, "_")
	n := 1
	if number(parts[0]) {
		for n < len(parts) && number(parts[n]) {
			n++
		}
	}
	id := strings.Join(parts[:n], ".")
	if _, ok := ByID(id); !ok {
		return "", fmt.Errorf("%s: the guideline has no clause %q", test, id)
	}
	if strings.Join(parts[n:], "") == "" {
		return "", fmt.Errorf("%s: the name does not say what it shows", test)
	}
	return id, nil
}

func number(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Table returns one row for each clause, in the order of the guideline, with the texts in a language.
func Table(r Results, lang string) []Row {
	outcomes := map[string][]Result{}
	for _, one := range r {
		// Results refuses tests of unknown clauses.
		id, _ := ClauseOf(one.Test)
		outcomes[id] = append(outcomes[id], one)
	}
	rows := make([]Row, 0, len(clauses))
	for _, c := range clauses {
		shown := outcomes[c.ID]
		if c.With != "" {
			shown = append(slices.Clone(shown), outcomes[c.With]...)
		}
		rows = append(rows, row(c, shown, lang))
	}
	return rows
}

func row(c Clause, shown []Result, lang string) Row {
	r := Row{Clause: c.ID, Promise: c.Promise.In(lang), EnforcedBy: c.Enforced.In(lang), Tests: []string{}}
	missing := c.Missing.In(lang)
	if r.EnforcedBy == "" {
		r.EnforcedBy = Text{"nothing yet", "尚无"}.In(lang)
	}
	if missing != "" {
		r.EnforcedBy += Text{"; missing: ", "；尚缺："}.In(lang) + missing
	}
	passed, failed, skipped := 0, 0, 0
	for _, one := range shown {
		name := one.String()
		switch one.Outcome {
		case Pass:
			passed++
		case Skip:
			skipped++
			name += " (skipped)"
		default:
			failed++
			name += " (failed)"
		}
		r.Tests = append(r.Tests, name)
	}
	slices.Sort(r.Tests)
	switch {
	case passed == 0 || failed > 0 || c.Enforced.EN == "":
		r.Status = NotShown
	case skipped > 0 || missing != "":
		r.Status = Partly
	default:
		r.Status = Kept
	}
	return r
}
