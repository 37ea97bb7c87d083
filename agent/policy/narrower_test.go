package policy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scruple-agent/scruple/agent/policy"
)

// wide is a (category, purpose) in which every value can be moved both ways.
func wide(t testing.TB) policy.Effective {
	t.Helper()
	d := example(t)
	e, err := d.Effective("location", "nearby")
	if err != nil {
		t.Fatal(err)
	}
	e.Purpose.Minimiser = policy.Minimiser{
		Name: policy.MinimiseLocation, Level: 12, DailyCap: 24, Window: time.Hour, Round: 500, Buckets: 8, Mode: "keyed", PadFrom: 64, FoldEmail: true,
		Ranges: "1,10", Epsilon: 100, Budget: 200, Delay: policy.Day,
	}
	e.Purpose.Collect = policy.Collect{Mode: policy.ModeBackground, Every: time.Hour, MaxSession: time.Hour}
	e.Purpose.Recipients = []string{"A", "B"}
	e.Purpose.Device, e.Purpose.Kept = policy.Retention{For: 10 * policy.Day}, policy.Retention{For: 10 * policy.Day}
	e.Purpose.Quiet, e.Purpose.Expiry = 30*policy.Day, 100*policy.Day
	e.Purpose.Fields = nil
	e.Category.Residency = ""
	text := policy.Text{policy.LangEN: "x", policy.LangZH: "x"}
	e.Category.Fields = []policy.Field{
		{Name: "text", Type: policy.FieldText, Rule: policy.RuleKeep, Label: text},
		{Name: "cut", Type: policy.FieldText, Rule: policy.RuleTruncate, Limit: 20, Label: text},
		{Name: "rounded", Type: policy.FieldInteger, Rule: policy.RuleRound, Limit: 10, Label: text, Required: true, Immutable: true},
		{Name: "choice", Type: policy.FieldChoice, Choices: []string{"a", "b", "c"}, Rule: policy.RuleKeep, Default: "a", Label: text},
	}
	return e
}

// address is what the policy says of the connection's address: to this controller, or, when a move has put another in its
// place, to the first one.
func address(e policy.Effective) *policy.Purpose {
	var first *policy.Purpose
	for i := range e.Document.Categories {
		c := &e.Document.Categories[i]
		for j := range c.Purposes {
			switch {
			case c.Source != policy.SourceConnection:
			case c.Purposes[j].Controller == e.Controller.ID:
				return &c.Purposes[j]
			case first == nil:
				first = &c.Purposes[j]
			}
		}
	}
	if first == nil {
		panic("the example says nothing about addresses")
	}
	return first
}

var moves = []struct {
	name     string
	narrower bool
	move     func(policy.Effective)
}{
	{"nothing", true, func(policy.Effective) {}},
	{"the controller's contact", true, func(e policy.Effective) { e.Controller.Contact = "other@example.com" }},
	{"the controller's key", true, func(e policy.Effective) { e.Controller.Key = "other" }},
	{"the controller's pins", true, func(e policy.Effective) { e.Controller.Pins = nil }},
	{"the controller's name", false, func(e policy.Effective) { e.Controller.Name = policy.Text{policy.LangEN: "Heir Ltd."} }},
	{"the endpoint", false, func(e policy.Effective) { e.Controller.Endpoint = "https://other.example.com" }},
	{"the region", false, func(e policy.Effective) { e.Controller.Region = "US" }},
	{"the controller", false, func(e policy.Effective) { e.Controller.ID, e.Purpose.Controller = "heir", "heir" }},

	{"the clause", false, func(e policy.Effective) { e.Category.Clause = "4" }},
	{"the category's name", false, func(e policy.Effective) { e.Category.Name = nil }},
	{"the description", false, func(e policy.Effective) { e.Category.Description = nil }},
	{"less sensitive", false, func(e policy.Effective) { e.Category.Sensitivity = policy.Basic }},
	{"other people's data", false, func(e policy.Effective) { e.Category.Subject = policy.OtherPeople }},
	{"another origin", false, func(e policy.Effective) { e.Category.Origin = "A Third Party" }},
	{"another source", false, func(e policy.Effective) { e.Category.Source = policy.SourceApplication }},
	{"a region promised", true, func(e policy.Effective) { e.Category.Residency = "CN" }},

	{"the text", false, func(e policy.Effective) { e.Purpose.Text = nil }},
	{"the necessity", false, func(e policy.Effective) { e.Purpose.Necessity = nil }},
	{"the effect", false, func(e policy.Effective) { e.Purpose.Effect = nil }},
	{"another feature", false, func(e policy.Effective) { e.Purpose.Feature = "account" }},
	{"a recipient less", true, func(e policy.Effective) { e.Purpose.Recipients = []string{"B"} }},
	{"no recipient", true, func(e policy.Effective) { e.Purpose.Recipients = nil }},
	{"a recipient more", false, func(e policy.Effective) { e.Purpose.Recipients = []string{"A", "B", "C"} }},
	{"another recipient", false, func(e policy.Effective) { e.Purpose.Recipients = []string{"C"} }},
	{"the basis", false, func(e policy.Effective) { e.Purpose.Basis = policy.BasisContract }},
	{"not asked alone", false, func(e policy.Effective) { e.Purpose.Separate = false }},
	{"the lane", false, func(e policy.Effective) { e.Purpose.Lane = policy.LaneAnalytics }},
	{"the use", false, func(e policy.Effective) { e.Purpose.DataUse = "marketing" }},
	{"the DPV purpose", false, func(e policy.Effective) { e.Purpose.DPV = "dpv:Marketing" }},
	{"the mode", false, func(e policy.Effective) { e.Purpose.Collect.Mode = policy.ModeSession }},
	{"less often", true, func(e policy.Effective) { e.Purpose.Collect.Every = 2 * time.Hour }},
	{"more often", false, func(e policy.Effective) { e.Purpose.Collect.Every = time.Minute }},
	{"shorter sessions", true, func(e policy.Effective) { e.Purpose.Collect.MaxSession = time.Minute }},
	{"longer sessions", false, func(e policy.Effective) { e.Purpose.Collect.MaxSession = 2 * time.Hour }},
	{"endless sessions", false, func(e policy.Effective) { e.Purpose.Collect.MaxSession = 0 }},

	{"another minimiser", false, func(e policy.Effective) { e.Purpose.Minimiser.Name = policy.MinimiseFields }},
	{"a coarser level", true, func(e policy.Effective) { e.Purpose.Minimiser.Level = 10 }},
	{"the coarsest level", true, func(e policy.Effective) { e.Purpose.Minimiser.Level = 0 }},
	{"a finer level", false, func(e policy.Effective) { e.Purpose.Minimiser.Level = 13 }},
	{"a lower cap", true, func(e policy.Effective) { e.Purpose.Minimiser.DailyCap = 1 }},
	{"a higher cap", false, func(e policy.Effective) { e.Purpose.Minimiser.DailyCap = 25 }},
	{"no cap", false, func(e policy.Effective) { e.Purpose.Minimiser.DailyCap = 0 }},
	{"a longer window", true, func(e policy.Effective) { e.Purpose.Minimiser.Window = 2 * time.Hour }},
	{"an overlapping window", false, func(e policy.Effective) { e.Purpose.Minimiser.Window = 90 * time.Minute }},
	{"a shorter window", false, func(e policy.Effective) { e.Purpose.Minimiser.Window = time.Minute }},
	{"a larger step", true, func(e policy.Effective) { e.Purpose.Minimiser.Round = 1000 }},
	{"a larger step that is no multiple", false, func(e policy.Effective) { e.Purpose.Minimiser.Round = 750 }},
	{"a smaller step", false, func(e policy.Effective) { e.Purpose.Minimiser.Round = 100 }},
	{"no step", false, func(e policy.Effective) { e.Purpose.Minimiser.Round = 0 }},
	{"fewer buckets", false, func(e policy.Effective) { e.Purpose.Minimiser.Buckets = 4 }},
	{"other ranges", false, func(e policy.Effective) { e.Purpose.Minimiser.Ranges = "1" }},
	{"a smaller epsilon", false, func(e policy.Effective) { e.Purpose.Minimiser.Epsilon = 50 }},
	{"a larger epsilon", false, func(e policy.Effective) { e.Purpose.Minimiser.Epsilon = 150 }},
	{"a smaller budget", true, func(e policy.Effective) { e.Purpose.Minimiser.Budget = 125 }},
	{"a larger budget", false, func(e policy.Effective) { e.Purpose.Minimiser.Budget = 225 }},
	{"no budget", false, func(e policy.Effective) { e.Purpose.Minimiser.Budget = 0 }},
	{"another delay", false, func(e policy.Effective) { e.Purpose.Minimiser.Delay = 2 * policy.Day }},
	{"another mode of the digests", false, func(e policy.Effective) { e.Purpose.Minimiser.Mode = "oprf" }},
	{"more padding", true, func(e policy.Effective) { e.Purpose.Minimiser.PadFrom = 128 }},
	{"less padding", false, func(e policy.Effective) { e.Purpose.Minimiser.PadFrom = 32 }},
	{"no folded address", true, func(e policy.Effective) { e.Purpose.Minimiser.FoldEmail = false }},

	{"kept for less time here", true, func(e policy.Effective) { e.Purpose.Device.For = policy.Day }},
	{"kept for longer here", false, func(e policy.Effective) { e.Purpose.Device.For = 11 * policy.Day }},
	{"kept for less time there", true, func(e policy.Effective) { e.Purpose.Kept.For = policy.Day }},
	{"kept for longer there", false, func(e policy.Effective) { e.Purpose.Kept.For = 11 * policy.Day }},
	{"kept until an event", false, func(e policy.Effective) { e.Purpose.Kept = policy.Retention{Until: policy.UntilWithdrawn} }},
	{"asked again later", true, func(e policy.Effective) { e.Purpose.Quiet = 60 * policy.Day }},
	{"asked again earlier", false, func(e policy.Effective) { e.Purpose.Quiet = policy.Day }},
	{"an earlier end", true, func(e policy.Effective) { e.Purpose.Expiry = policy.Day }},
	{"a later end", false, func(e policy.Effective) { e.Purpose.Expiry = 200 * policy.Day }},
	{"the address kept", false, func(e policy.Effective) { address(e).Kept = policy.Retention{For: policy.Day} }},
	{"the address's text", false, func(e policy.Effective) { address(e).Text = nil }},

	{"a field less", true, func(e policy.Effective) { e.Category.Fields = e.Category.Fields[1:] }},
	{"a field less by the purpose", true, func(e policy.Effective) { e.Purpose.Fields = []string{"text", "cut"} }},
	{"a field more", false, func(e policy.Effective) {
		e.Category.Fields = append(e.Category.Fields, policy.Field{Name: "more", Type: policy.FieldText})
	}},
	{"a field's type", false, func(e policy.Effective) { e.Category.Fields[0].Type = policy.FieldBytes }},
	{"a choice less", true, func(e policy.Effective) { e.Category.Fields[3].Choices = []string{"a", "c"} }},
	{"a choice more", false, func(e policy.Effective) { e.Category.Fields[3].Choices = []string{"a", "b", "c", "d"} }},
	{"no choices", false, func(e policy.Effective) { e.Category.Fields[3].Choices = nil }},
	{"a default", false, func(e policy.Effective) { e.Category.Fields[3].Default = "b" }},
	{"dropped", true, func(e policy.Effective) { e.Category.Fields[0].Rule = policy.RuleDrop }},
	{"cut short", true, func(e policy.Effective) {
		e.Category.Fields[0].Rule, e.Category.Fields[0].Limit = policy.RuleTruncate, 5
	}},
	{"a digest instead", false, func(e policy.Effective) { e.Category.Fields[0].Rule = policy.RuleDigest }},
	{"cut shorter", true, func(e policy.Effective) { e.Category.Fields[1].Limit = 10 }},
	{"cut longer", false, func(e policy.Effective) { e.Category.Fields[1].Limit = 30 }},
	{"not cut", false, func(e policy.Effective) { e.Category.Fields[1].Rule, e.Category.Fields[1].Limit = policy.RuleKeep, 0 }},
	{"rounded more", true, func(e policy.Effective) { e.Category.Fields[2].Limit = 20 }},
	{"rounded otherwise", false, func(e policy.Effective) { e.Category.Fields[2].Limit = 15 }},
	{"rounded less", false, func(e policy.Effective) { e.Category.Fields[2].Limit = 5 }},
	{"no longer required", true, func(e policy.Effective) { e.Category.Fields[2].Required = false }},
	{"required", false, func(e policy.Effective) { e.Category.Fields[0].Required = true }},
	{"can be corrected", true, func(e policy.Effective) { e.Category.Fields[2].Immutable = false }},
	{"cannot be corrected", false, func(e policy.Effective) { e.Category.Fields[0].Immutable = true }},
	{"a label", false, func(e policy.Effective) { e.Category.Fields[0].Label = nil }},
	{"a data category", false, func(e policy.Effective) { e.Category.Fields[0].Fideslang = "user.name" }},
	{"a DPV term", false, func(e policy.Effective) { e.Category.Fields[0].DPV = "pd:Name" }},
}

// TestNarrower moves every value by itself, and shows that what can be proven is proven and nothing else.
func TestNarrower(t *testing.T) {
	for _, tt := range moves {
		t.Run(tt.name, func(t *testing.T) {
			older, newer := wide(t), wide(t)
			tt.move(newer)
			got, reasons := policy.Narrower(older, newer)
			if got != tt.narrower {
				t.Errorf("narrower = %v, want %v: %+v", got, tt.narrower, reasons)
			}
			if (older.SubtreeHash() != newer.SubtreeHash()) != (len(reasons) > 0) {
				t.Errorf("%d reasons, but the subtree says otherwise", len(reasons))
			}
		})
	}
}

// TestNarrowerHasNoWayBack: what is narrower one way is not narrower the other way, any mixture of narrower
// moves is narrower, and one move that is not spoils it.
func TestNarrowerHasNoWayBack(t *testing.T) {
	older := wide(t)
	rapid.Check(t, func(rt *rapid.T) {
		newer := wide(t)
		want := true
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(moves)-1), 1, 6).Draw(rt, "moves") {
			switch moves[i].name {
			case "a field less", "a field less by the purpose", "dropped", "cut short", "a digest instead", "not cut":
				continue // the places of other moves
			}
			before, _ := policy.Narrower(older, newer)
			moves[i].move(newer)
			after, _ := policy.Narrower(older, newer)
			if before && moves[i].narrower && !after {
				rt.Errorf("%s: narrower was spoilt by a narrower move", moves[i].name)
			}
			want = after
		}
		back, _ := policy.Narrower(newer, older)
		if want && back && older.SubtreeHash() != newer.SubtreeHash() {
			rt.Error("narrower both ways")
		}
	})
}

func TestSameContent(t *testing.T) {
	for _, tt := range []struct {
		name string
		want bool
	}{
		{"kept for less time there", true},
		{"less often", true},
		{"an earlier end", true},
		{"a coarser level", false},
		{"a larger step", false},
		{"a field less", false},
	} {
		for _, m := range moves {
			if m.name != tt.name {
				continue
			}
			older, newer := wide(t), wide(t)
			m.move(newer)
			if got := newer.Terms().SameContent(older.Terms()); got != tt.want {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			}
		}
	}
}
