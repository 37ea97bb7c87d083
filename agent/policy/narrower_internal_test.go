package policy

import (
	"reflect"
	"testing"
)

// TestEveryFieldIsDecided: whoever adds a field to the vocabulary says whether a change of it can be narrower.
func TestEveryFieldIsDecided(t *testing.T) {
	decided := map[string]bool{}
	for _, d := range decisions {
		decided[d.field] = true
		if d.why == "" {
			t.Errorf("%s: no reason", d.field)
		}
	}
	for _, d := range fieldDecisions {
		decided[d.field] = true
		if d.why == "" {
			t.Errorf("%s: no reason", d.field)
		}
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Controller](), reflect.TypeFor[Category](), reflect.TypeFor[Purpose](), reflect.TypeFor[Collect](),
		reflect.TypeFor[Minimiser](), reflect.TypeFor[Retention](), reflect.TypeFor[Field](), reflect.TypeFor[Feature](),
	} {
		for i := range typ.NumField() {
			name := typ.Name() + "." + typ.Field(i).Name
			if !decided[name] {
				t.Errorf("%s: nobody has decided what a change of it means", name)
			}
			delete(decided, name)
		}
	}
	for name := range decided {
		t.Errorf("%s: decided, but there is no such field", name)
	}
}

// TestEveryKeyIsDecided: no key of the canonical form is without a decision, and no decision without a key in it.
func TestEveryKeyIsDecided(t *testing.T) {
	full := Field{
		Type: FieldText, Choices: []string{"a"}, Rule: RuleKeep, Limit: 1, Default: "a", Label: Text{LangEN: "l"}, Fideslang: "user", DPV: "pd:X",
	}
	f := facts{}
	f.field("fields.x", full)
	for key := range f {
		found := false
		for _, d := range fieldDecisions {
			found = found || matches("fields.x."+d.key, key)
		}
		if !found {
			t.Errorf("%s: no decision", key)
		}
	}
	text := Text{LangEN: "t", LangZH: "t"}
	doc := &Document{
		Controllers: []Controller{{ID: "c", Name: text, Endpoint: "e", Region: "CN"}},
		Features:    []Feature{{ID: "f", Name: text}},
		Categories: []Category{
			{
				ID: "a", Clause: "1", Name: text, Description: text, Sensitivity: Sensitive, Subject: DeviceUser, Origin: "o", Source: SourceApplication,
				Residency: "CN", Purposes: []Purpose{{
					ID: "p", Text: text, Necessity: text, Effect: text, Feature: "f", Controller: "c", Recipients: []string{"r"}, Basis: BasisConsent,
					Lane: LaneFeatures, Collect: Collect{ModeBackground, 1, 1}, DataUse: "u", DPV: "d", Quiet: 1, Expiry: 1,
					Minimiser: Minimiser{MinimiseLocation, 1, 1, 1, 1, 1, 1, 1, "m", 1, true, "1", 100, 100, 1},
				}},
			},
			{ID: "ip", Source: SourceConnection, Purposes: []Purpose{{ID: "ip", Text: text, Controller: "c"}}},
		},
	}
	e, err := doc.Effective("a", "p")
	if err != nil {
		t.Fatal(err)
	}
	all := e.facts()
	for key := range all {
		found := key == "form"
		for _, d := range decisions {
			found = found || matches(d.key, key)
		}
		if !found {
			t.Errorf("%s: no decision", key)
		}
	}
	for _, d := range decisions {
		found := d.key == ""
		for key := range all {
			found = found || matches(d.key, key)
		}
		if !found {
			t.Errorf("%s: the canonical form has no key %s", d.field, d.key)
		}
	}
}
