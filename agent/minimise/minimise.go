// Package minimise makes raw values small: a Sample, Fix or Entry goes in, a Report comes out, and only this package
// can make one. There is one function or accumulator per category of design; the policy's parameters set
// how small. A Report holds declared fields only, is bound to the consent and the policy subtree it was made
// under, and is what may be stored and may leave. Raw values end here.
//
// The package stores nothing and sends nothing.
package minimise

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// ErrWrongMinimiser says that the policy names another minimiser for the purpose.
var ErrWrongMinimiser = errors.New("the policy names another minimiser for this purpose")

// Report is minimised data of one tuple. Its zero value holds nothing and is refused by the spool. Because its
// field is not exported and this package's functions are the only ones to set it, whoever holds a Report holds
// something that went through a minimiser under a permit.
type Report struct {
	report  wire.Report
	encoded []byte
}

// Consent returns the consent the report was made under.
func (r Report) Consent() wire.UUID { return r.report.Consent }

// Empty reports whether r is the zero value.
func (r Report) Empty() bool { return len(r.encoded) == 0 }

// Encode returns the report's deterministic encoding. The caller must not change it.
func (r Report) Encode() []byte { return r.encoded }

// Decode is the second constructor: it reads a report that this package encoded in another process, against a
// permit that must hold for the very consent and policy subtree it names.
func Decode(p consent.Permit, b []byte) (Report, error) {
	if err := p.Check(); err != nil {
		return Report{}, fmt.Errorf("decode report: %w", err)
	}
	r, err := wire.DecodeReport(b)
	if err != nil {
		return Report{}, fmt.Errorf("decode report: %w", err)
	}
	if r.Consent != p.Consent() || r.Subtree != p.Subtree() {
		return Report{}, fmt.Errorf("decode report: %w", errOtherConsent)
	}
	if err := p.Effective().CheckReport(r.Item.Fields); err != nil {
		return Report{}, fmt.Errorf("decode report: %w", err)
	}
	return Report{report: r, encoded: slices.Clone(b)}, nil
}

var errOtherConsent = errors.New("the report was made under another consent")

// begin is where every function of this package starts: the permit holds and the policy wants this minimiser.
func begin(p consent.Permit, name policy.MinimiserName) (policy.Effective, error) {
	if err := p.Check(); err != nil {
		return policy.Effective{}, fmt.Errorf("minimise: %w", err)
	}
	e := p.Effective()
	if e.Purpose.Minimiser.Name != name {
		return policy.Effective{}, fmt.Errorf("minimise %s: %w", p.Tuple(), ErrWrongMinimiser)
	}
	return e, nil
}

// finish is where every function ends: fields that the purpose does not declare or use are dropped, what is left must
// be as declared, and the permit is asked once more.
func finish(p consent.Permit, e policy.Effective, when time.Time, fields map[string]any) (Report, error) {
	for name := range fields {
		if _, err := e.Field(name); err != nil { // also one that a later policy no longer declares
			delete(fields, name)
		}
	}
	if err := e.CheckReport(fields); err != nil {
		return Report{}, fmt.Errorf("minimise %s: %w", p.Tuple(), err)
	}
	r := wire.Report{
		Consent: p.Consent(), Subtree: p.Subtree(),
		Item: wire.Item{Time: when.Unix(), Fields: fields},
	}
	encoded, err := wire.EncodeReport(r)
	if err != nil {
		return Report{}, fmt.Errorf("minimise %s: %w", p.Tuple(), err)
	}
	if err := p.Check(); err != nil {
		return Report{}, fmt.Errorf("minimise: %w", err)
	}
	return Report{report: r, encoded: encoded}, nil
}

// hour rounds down to the hour: no report tells a finer time.
func hour(t time.Time) time.Time { return t.Truncate(time.Hour) }

// day returns the start, in UTC terms, of the local calendar day that t falls in: the same instant for every
// moment of that day.
func day(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, t.Location())
}
