package policy_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
)

func diffSmall(t *testing.T, old, replacement string) []policy.Change {
	t.Helper()
	before, err := parseSmall(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseSmall(t, old, replacement)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Diff(before, after)
}

func TestDiff(t *testing.T) {
	near := policy.Change{Kind: policy.Changed, Controller: "shop", Category: "location", Purpose: "nearby", Subtree: true}
	with := func(details ...policy.Detail) policy.Change {
		c := near
		c.Details = details
		return c
	}
	for _, tt := range []struct {
		name, old, new string
		want           []policy.Change
	}{
		{"nothing", "", "", nil},
		{"a comment", "version: 3", "version: 3 # three", nil},
		{"a level", "level: 12", "level: 13", []policy.Change{with(policy.Detail{Field: "minimiser.level", Old: "12", New: "13"})}},
		{"a recipient", "separate: true", "separate: true\n        recipients: [B, A]", []policy.Change{
			with(policy.Detail{Field: "purpose.recipients", New: "A\nB"}),
		}},
		{"version", "version: 3", "version: 4", []policy.Change{
			{Kind: policy.Changed, Details: []policy.Detail{{Field: "version", Old: "3", New: "4"}}},
		}},
		{"contact", "privacy@shop", "dpo@shop", []policy.Change{
			{Kind: policy.Changed, Controller: "shop", Details: []policy.Detail{
				{Field: "contact", Old: "privacy@shop.example.com", New: "dpo@shop.example.com"},
			}},
		}},
		{"a renamed purpose", "id: nearby", "id: near", []policy.Change{
			{Kind: policy.Added, Controller: "shop", Category: "location", Purpose: "near", Subtree: true},
			{Kind: policy.Removed, Controller: "shop", Category: "location", Purpose: "nearby", Subtree: true},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := diffSmall(t, tt.old, tt.new); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, tt.want)
			}
		})
	}
}

func TestDiffIsReadable(t *testing.T) {
	changes := diffSmall(t, "controller: {for: 1d}", "controller: {until: withdrawn}")
	want := "location/nearby: changed (a consent given before does not cover this)\n" +
		"  retention.controller: 1d -> until withdrawn"
	if len(changes) != 1 || changes[0].String() != want {
		t.Errorf("got\n%v\nwant\n%s", changes, want)
	}
	endpoint := diffSmall(t, "collect.shop", "gather.shop")
	if len(endpoint) != 3 { // the controller, and both consents with it
		t.Errorf("got %v", endpoint)
	}
	b, err := json.Marshal(changes)
	if err != nil || !strings.Contains(string(b), `"field":"retention.controller","old":"1d","new":"until withdrawn"`) {
		t.Errorf("%s, %v", b, err)
	}
}

// TestDiffAgreesWithTheHash: a tuple is shown as changed exactly where its subtree hash differs.
func TestDiffAgreesWithTheHash(t *testing.T) {
	before := example(t)
	for _, tuple := range before.Tuples("person") {
		after := example(t)
		e, err := after.Effective(tuple.Category, tuple.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		e.Purpose.Expiry++
		h1, h2 := hashes(t, before), hashes(t, after)
		shown := make(map[string]bool)
		for _, c := range policy.Diff(before, after) {
			shown[c.Subject()] = c.Subtree
		}
		for name := range h1 {
			if (h1[name] != h2[name]) != shown[name] {
				t.Errorf("%s changed, %s: hash differs %v, shown %v", tuple, name, h1[name] != h2[name], shown[name])
			}
		}
	}
}
