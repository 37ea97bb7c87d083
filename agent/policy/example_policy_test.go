package policy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
)

// example is the policy that the product ships. The tests of this file say what it must declare.
func example(t testing.TB) *policy.Document {
	t.Helper()
	d, err := policy.Parse("configs/policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatalf("the example policy is faulty:\n%v", err)
	}
	return d
}

// TestExampleDeclaresTheGuideline finds, for each clause that is about data, the tuples that carry it out.
func TestExampleDeclaresTheGuideline(t *testing.T) {
	got := make(map[string][]string)
	d := example(t)
	for i := range d.Categories {
		for j := range d.Categories[i].Purposes {
			e, err := d.Effective(d.Categories[i].ID, d.Categories[i].Purposes[j].ID)
			if err != nil {
				t.Fatal(err)
			}
			name := string(e.Category.ID) + "/" + string(e.Purpose.ID)
			got[e.Clause()] = append(got[e.Clause()], name)
		}
	}
	want := map[string][]string{
		"1.1": {"profile/account", "profile/details", "voiceprint/voice-lock"},
		"1.2": {
			"device/service", "accelerometer/gravity", "network-address/service", "network-address/payment-service",
			"operation-logs/service",
		},
		"1.3": {"posts/moments"},
		"1.4": {"mini-programs/puzzle"},
		"1.5": {"location/nearby", "location/shake", "location/face-to-face"},
		"1.6": {"steps/compare"},
		"1.7": {"contacts/find-friends"},
		"1.8": {"payment/pay", "bank-card/binding"},
		"1.9": {"location/third-party"},
		"4": {
			"profile/advertising", "profile/other-service", "steps/statistics", "usage/statistics",
			"crash/statistics", "performance/statistics",
		},
		"iv":  {"linked-account/sign-in"},
		"6.1": {"blacklist/blocking", "game-display/friends"},
		"6.2": {"chat-records/backup"},
		"6.3": {"emergency-contact/account-recovery"},
		"6.7": {"privacy-settings/settings"},
	}
	for _, clause := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(got[clause], want[clause]) {
			t.Errorf("clause %s: got %v, want %v", clause, got[clause], want[clause])
		}
	}
	for clause := range got {
		if want[clause] == nil {
			t.Errorf("clause %s: %v is unexpected", clause, got[clause])
		}
	}
}

func TestExampleFields(t *testing.T) {
	d := example(t)
	for _, tt := range []struct {
		tuple  string
		fields string // "!" required, "=" immutable
	}{
		{"device/service", "model os os-version agent-version network address-family sensors"},
		{"accelerometer/gravity", "orientation still moving"},
		{"steps/compare", "total"},
		{"steps/statistics", "bucket"},
		{"location/nearby", "cell level accuracy kind"},
		{"contacts/find-friends", "digests epoch form metadata"},
		{"profile/account", "nickname! avatar! phone! account-id= qr-code="},
		{"profile/details", "sex region signature addresses qq-number email"},
	} {
		tuple, err := d.Tuple("person", tt.tuple)
		if err != nil {
			t.Error(err)
			continue
		}
		e, _ := d.Effective(tuple.Category, tuple.Purpose)
		var got []string
		for _, f := range e.Fields() {
			name := f.Name
			if f.Required {
				name += "!"
			}
			if f.Immutable {
				name += "="
			}
			got = append(got, name)
		}
		if s := strings.Join(got, " "); s != tt.fields {
			t.Errorf("%s: got %s, want %s", tt.tuple, s, tt.fields)
		}
	}
}

// TestEveryFieldIsAccountedFor is the lint of the example policy: no field without a data category, a use, a
// retention at both ends, and a consent by which a person switches it off.
func TestEveryFieldIsAccountedFor(t *testing.T) {
	d := example(t)
	asked := make(map[string]bool)
	for _, tuple := range d.Tuples("person") {
		asked[tuple.String()] = true
	}
	for i := range d.Categories {
		c := &d.Categories[i]
		used := make(map[string]bool)
		for j := range c.Purposes {
			e, err := d.Effective(c.ID, c.Purposes[j].ID)
			if err != nil {
				t.Fatal(err)
			}
			p, name := e.Purpose, string(c.ID)+"/"+string(c.Purposes[j].ID)
			switch {
			case p.DataUse == "" || p.DPV == "":
				t.Errorf("%s has no declared use", name)
			case p.Device == policy.Retention{} || p.Kept == policy.Retention{}:
				t.Errorf("%s has no end of retention", name)
			case c.Asked() && !asked[name]:
				t.Errorf("%s has no consent", name)
			case p.Expiry <= 0 || p.Quiet <= 0:
				t.Errorf("%s: a consent without expiry or quiet period", name)
			case c.Sensitivity == policy.Sensitive && !p.Separate:
				t.Errorf("%s is sensitive and not asked alone", name)
			case d.Feature(p.Feature).Name == nil:
				t.Errorf("%s switches off nothing that is declared", name)
			}
			for _, f := range e.Fields() {
				used[f.Name] = true
			}
		}
		for _, f := range c.Fields {
			if f.Fideslang == "" || f.DPV == "" || !used[f.Name] {
				t.Errorf("%s.%s: no data category, or no purpose", c.ID, f.Name)
			}
		}
		if c.Residency != "CN" {
			t.Errorf("%s may leave China", c.ID)
		}
	}
}

// TestNothingSensedIsRequired holds the example to the rule on necessary personal information (2021) for instant
// messengers: the phone number, the account and its contacts inside the application. Position, steps, motion and
// the address book can never be a condition.
func TestNothingSensedIsRequired(t *testing.T) {
	d := example(t)
	for i := range d.Categories {
		c := &d.Categories[i]
		for _, f := range c.Fields {
			if f.Required && c.ID != "profile" {
				t.Errorf("%s.%s is required", c.ID, f.Name)
			}
		}
		for _, p := range c.Purposes {
			if p.Basis != policy.BasisConsent && c.ID != "profile" {
				t.Errorf("%s/%s does not rest on consent", c.ID, p.ID)
			}
			if p.Basis == policy.BasisContract && len(p.Fields) == 0 {
				t.Errorf("%s/%s requires a whole category", c.ID, p.ID)
			}
		}
	}
}

// TestRefusingDisablesOneFeature: no two consents share a feature, so refusing one switches off nothing else.
func TestRefusingDisablesOneFeature(t *testing.T) {
	d := example(t)
	by := make(map[policy.FeatureID]string)
	for _, tuple := range d.Tuples("person") {
		e, _ := d.Effective(tuple.Category, tuple.Purpose)
		if other, ok := by[e.Purpose.Feature]; ok {
			t.Errorf("%s and %s switch off the same feature", tuple, other)
		}
		by[e.Purpose.Feature] = tuple.String()
	}
}

// TestPaymentIsApart: its controller shares no endpoint, key or pin with the messenger's, and no category has both.
func TestPaymentIsApart(t *testing.T) {
	d := example(t)
	seen := make(map[string]policy.ControllerID)
	for _, c := range d.Controllers {
		for _, s := range append([]string{c.Endpoint, c.Key, c.Contact}, c.Pins...) {
			if other, ok := seen[s]; ok {
				t.Errorf("%s and %s share something", c.ID, other)
			}
			seen[s] = c.ID
		}
	}
	for i := range d.Categories {
		c := &d.Categories[i]
		for _, p := range c.Purposes {
			if c.Asked() && p.Controller != c.Purposes[0].Controller {
				t.Errorf("%s goes to two controllers", c.ID)
			}
		}
	}
}

func TestLocationOnlyInSessions(t *testing.T) {
	for _, tuple := range example(t).Tuples("person") {
		if tuple.Category != "location" {
			continue
		}
		e, _ := example(t).Effective(tuple.Category, tuple.Purpose)
		if e.Purpose.Collect.Mode != policy.ModeSession || e.Purpose.Minimiser.Level > 12 {
			t.Errorf("%s: %+v %+v", tuple, e.Purpose.Collect, e.Purpose.Minimiser)
		}
	}
}

// TestStatisticsAreApart: what clause 4 names goes through the analytics lane, and nothing else does but the
// operation logs.
func TestStatisticsAreApart(t *testing.T) {
	d := example(t)
	want := []string{"operation-logs/service", "steps/statistics", "usage/statistics", "crash/statistics", "performance/statistics"}
	var got []string
	for _, tuple := range d.Tuples("person") {
		e, _ := d.Effective(tuple.Category, tuple.Purpose)
		if e.Purpose.Lane == policy.LaneAnalytics {
			got = append(got, tuple.String())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
