package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Kind of a Change.
type Kind string

// The kinds of change.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Change is what differs between two documents in one (category, purpose), in one controller, or, with
// neither, in the document itself.
type Change struct {
	Kind       Kind         `json:"kind"`
	Controller ControllerID `json:"controller,omitempty"` // of the old document where it was removed
	Category   CategoryID   `json:"category,omitempty"`
	Purpose    PurposeID    `json:"purpose,omitempty"`
	// Subtree says that the subtree hash differs, so that a consent given to the old document does not cover the new.
	Subtree bool `json:"subtree"`
	// Narrower says that the subtree hash differs, but that the new document provably asks for less, so that a consent
	// given to the old one goes on under the new one's narrower rules.
	Narrower bool     `json:"narrower,omitempty"`
	Details  []Detail `json:"details,omitempty"`
}

// Detail is one value that differs.
type Detail struct {
	Field string `json:"field"`         // as in the YAML, for example "retention.controller"
	Old   string `json:"old,omitempty"` // empty where it is new
	New   string `json:"new,omitempty"` // empty where it is gone
}

// Subject returns what has changed: "category/purpose", "controller ID" or "document".
func (c Change) Subject() string {
	switch {
	case c.Category != "":
		return string(c.Category) + "/" + string(c.Purpose)
	case c.Controller != "":
		return "controller " + string(c.Controller)
	}
	return "document"
}

// String returns the change in readable lines: what changed and whether it needs a new consent, then each
// value, old and new.
func (c Change) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", c.Subject(), c.Kind)
	switch {
	case c.Category == "":
	case c.Narrower:
		b.WriteString(" (narrower: a consent given before goes on, under the new rules)")
	case c.Subtree && c.Kind == Changed:
		b.WriteString(" (a consent given before does not cover this)")
	case c.Kind == Changed:
		b.WriteString(" (a consent given before goes on)")
	}
	for _, d := range c.Details {
		switch {
		case d.Old == "":
			fmt.Fprintf(&b, "\n  %s: new: %s", d.Field, oneLine(d.New))
		case d.New == "":
			fmt.Fprintf(&b, "\n  %s: no longer: %s", d.Field, oneLine(d.Old))
		default:
			fmt.Fprintf(&b, "\n  %s: %s -> %s", d.Field, oneLine(d.Old), oneLine(d.New))
		}
	}
	return b.String()
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", ", ") }

// Diff returns what differs between two documents: first the document itself, then controllers, then every
// (category, purpose) in the order of the new document, and last those that are gone. Equal documents have no
// changes. What Diff compares is what SubtreeHash hashes, so Subtree is true exactly where a detail is shown.
func Diff(older, newer *Document) []Change {
	var out []Change
	if d := details(older.own(), newer.own()); len(d) > 0 {
		out = append(out, Change{Kind: Changed, Details: d})
	}
	for i := range newer.Controllers {
		c := &newer.Controllers[i]
		before, err := older.Controller(c.ID)
		if err != nil {
			out = append(out, Change{Kind: Added, Controller: c.ID})
		} else if d := details(before.own(), c.own()); len(d) > 0 {
			out = append(out, Change{Kind: Changed, Controller: c.ID, Details: d})
		}
	}
	for i := range older.Controllers {
		if _, err := newer.Controller(older.Controllers[i].ID); err != nil {
			out = append(out, Change{Kind: Removed, Controller: older.Controllers[i].ID})
		}
	}
	newer.each(func(e Effective) {
		c := Change{Kind: Added, Controller: e.Controller.ID, Category: e.Category.ID, Purpose: e.Purpose.ID, Subtree: true}
		if before, err := older.Effective(e.Category.ID, e.Purpose.ID); err == nil {
			c.Kind, c.Details = Changed, details(before.facts(), e.facts())
			if c.Subtree = before.SubtreeHash() != e.SubtreeHash(); c.Subtree {
				c.Narrower, _ = Narrower(before, e)
			}
		}
		if c.Kind == Added || c.Subtree {
			out = append(out, c)
		}
	})
	older.each(func(e Effective) {
		if _, err := newer.Effective(e.Category.ID, e.Purpose.ID); err != nil {
			out = append(out, Change{
				Kind: Removed, Controller: e.Controller.ID, Category: e.Category.ID,
				Purpose: e.Purpose.ID, Subtree: true,
			})
		}
	})
	return out
}

// each calls f for every (category, purpose) in the order of the document.
func (d *Document) each(f func(Effective)) {
	for i := range d.Categories {
		for j := range d.Categories[i].Purposes {
			p := &d.Categories[i].Purposes[j]
			if ctl, err := d.Controller(p.Controller); err == nil {
				f(Effective{d, ctl, &d.Categories[i], p})
			}
		}
	}
}

// own are the values of the document that belong to no controller and no purpose.
func (d *Document) own() facts {
	return facts{"policy": d.ID, "version": strconv.Itoa(d.Version), "effective": d.From.Format("2006-01-02")}
}

// own are the values of a controller, also those that may change without a new consent.
func (c *Controller) own() facts {
	f := facts{"contact": c.Contact, "endpoint": c.Endpoint, "region": c.Region, "key": c.Key}
	f.text("name", c.Name)
	f.list("pins", c.Pins)
	return f
}

func details(before, after facts) []Detail {
	names := maps.Clone(before)
	maps.Copy(names, after)
	var out []Detail
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before[name] != after[name] {
			out = append(out, Detail{name, before[name], after[name]})
		}
	}
	return out
}
