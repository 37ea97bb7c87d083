package policy

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with a document. It names the place, never the value found there:
// what does not belong in a policy may be a secret or somebody's personal data.
type Fault struct {
	File    string `json:"file"`
	Line    int    `json:"line"`  // from 1; 0 where the fault belongs to no line
	Field   string `json:"field"` // path such as "categories[location].purposes[nearby].retention", may be empty
	Problem string `json:"problem"`
}

// Error returns "FILE:LINE: path.to.field: what is wrong".
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	if f.Field != "" {
		b.WriteString(": " + f.Field)
	}
	b.WriteString(": " + f.Problem)
	return b.String()
}

// Faults are all that is wrong with a document, in the order of its lines.
type Faults []Fault

// Error returns one fault per line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single Fault.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}
