package policy_test

import (
	"math"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
)

// exp returns e^x to 200 bits, from its series.
func exp(x *big.Rat) *big.Float {
	sum, term := new(big.Float).SetPrec(200).SetInt64(1), new(big.Float).SetPrec(200).SetInt64(1)
	f := new(big.Float).SetPrec(200).SetRat(x)
	for i := int64(1); i < 120; i++ {
		term.Mul(term, f)
		term.Quo(term, new(big.Float).SetPrec(200).SetInt64(i))
		sum.Add(sum, term)
	}
	return sum
}

// TestChannelSatisfiesEpsilon compares the probabilities themselves, not samples of them: no answer is more than e^epsilon times as
// likely for one truth as for another. All others have the same probability, so the true range against one of them is the
// worst case.
func TestChannelSatisfiesEpsilon(t *testing.T) {
	for epsilon := policy.MinEpsilon; epsilon <= policy.MaxEpsilon; epsilon++ {
		bound := exp(big.NewRat(int64(epsilon), 100))
		for _, k := range []int{2, 3, 4, 5, 8, 16, 64} {
			q := policy.Question{Epsilon: epsilon, Bounds: make([]int64, k-1)}
			keep := q.Keep()
			// ratio = keep / ((scale - keep) / (k - 1))
			ratio := new(big.Float).SetPrec(200).SetRat(new(big.Rat).SetFrac(
				new(big.Int).Mul(new(big.Int).SetUint64(keep), big.NewInt(int64(k-1))), new(big.Int).SetUint64(policy.KeepScale-keep)))
			if ratio.Cmp(bound) > 0 {
				t.Errorf("epsilon %s, %d ranges: the ratio %v is above %v", epsilon, k, ratio, bound)
			}
			if r, _ := ratio.Float64(); r < 1 || r < math.Exp(epsilon.Float())*(1-1e-9) {
				t.Errorf("epsilon %s, %d ranges: the ratio is %v, far from the bound", epsilon, k, r)
			}
		}
	}
}

func TestRange(t *testing.T) {
	q := policy.Question{Bounds: policy.Ranges("1,10,100").Bounds()}
	for count, want := range map[int64]int{-3: 0, 0: 0, 1: 1, 9: 1, 10: 2, 99: 2, 100: 3, math.MaxInt64: 3} {
		if got := q.Range(count); got != want {
			t.Errorf("Range(%d) = %d, want %d", count, got, want)
		}
	}
	e, err := example(t).Effective("steps", "statistics")
	if err != nil {
		t.Fatal(err)
	}
	questions := e.Questions()
	if len(questions) != 1 || questions[0].Ranges() != 8 || questions[0].Range(2499) != 0 || questions[0].Range(2500) != 1 ||
		questions[0].Range(17_500) != 7 || questions[0].Range(90_000) != 7 {
		t.Errorf("steps: %+v", questions)
	}
}

// TestTags: two questions have one tag only where they ask the same.
func TestTags(t *testing.T) {
	seen := map[policy.Tag]string{}
	for _, tuple := range example(t).Tuples("person") {
		e, err := example(t).Effective(tuple.Category, tuple.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		questions := e.Questions()
		if (len(questions) > 0) != (e.Purpose.Lane == policy.LaneAnalytics) {
			t.Errorf("%s: %d questions", tuple, len(questions))
		}
		for _, q := range questions {
			for _, other := range []policy.Question{
				q,
				{q.Controller, q.Category, q.Purpose, q.Field, q.Bounds, q.Epsilon + 1},
				{q.Controller, q.Category, q.Purpose, q.Field, q.Bounds[1:], q.Epsilon},
				{"heir", q.Category, q.Purpose, q.Field, q.Bounds, q.Epsilon},
			} {
				name := tuple.String() + " " + q.Field
				if first := seen[other.Tag()]; first != "" {
					t.Errorf("%s has the tag of %s", name, first)
				}
				seen[other.Tag()] = name
			}
		}
	}
}

func TestEpsilon(t *testing.T) {
	for s, want := range map[string]policy.Epsilon{"1": 100, "0.5": 50, "0.75": 75, "2.00": 200, "12.3": 1230} {
		if got, err := policy.ParseEpsilon(s); got != want || err != nil {
			t.Errorf("ParseEpsilon(%q) = %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", ".", "1.", ".5", "-1", "+1", "1.234", "1e2", "NaN", "0x1", "1,5", "99999999"} {
		if got, err := policy.ParseEpsilon(s); err == nil {
			t.Errorf("ParseEpsilon(%q) = %d", s, got)
		}
	}
}

func TestBadQuestions(t *testing.T) {
	b, err := os.ReadFile("../../configs/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const counts, buckets = "{name: counts, ranges: [1, 10, 100], epsilon: 1, budget: 2, delay: 6d}", "{name: buckets, buckets: 8, epsilon: 2, budget: 2, delay: 6d}"
	for bad, field := range map[string]string{
		"{name: counts}": "minimiser",
		"{name: counts, ranges: [1], epsilon: 1, budget: 2}":                         "delay",
		"{name: counts, ranges: [1], epsilon: 1, delay: 6d}":                         "budget",
		"{name: counts, ranges: [1], budget: 2, delay: 6d}":                          "epsilon",
		"{name: counts, epsilon: 1, budget: 2, delay: 6d}":                           "ranges",
		"{name: counts, ranges: [0, 1], epsilon: 1, budget: 2, delay: 6d}":           "ranges",
		"{name: counts, ranges: [1, 01], epsilon: 1, budget: 2, delay: 6d}":          "ranges",
		"{name: counts, ranges: [many], epsilon: 1, budget: 2, delay: 6d}":           "ranges",
		"{name: counts, ranges: [1], epsilon: 9, budget: 20, delay: 6d}":             "epsilon",
		"{name: counts, ranges: [1], epsilon: 0.01, budget: 2, delay: 6d}":           "epsilon",
		"{name: counts, ranges: [1], epsilon: 2, budget: 1, delay: 6d}":              "budget",
		"{name: counts, ranges: [1], epsilon: 2, budget: 2, delay: 0s}":              "delay",
		"{name: counts, ranges: [1], epsilon: 2, budget: 2, delay: 8d}":              "delay",
		"{name: buckets, buckets: 8}":                                                "epsilon",
		"{name: buckets, buckets: 8, ranges: [1], epsilon: 2, budget: 2, delay: 6d}": "ranges",
	} {
		good := counts
		if strings.Contains(bad, "buckets") {
			good = buckets
		}
		_, err := policy.Parse("policy.yaml", []byte(strings.Replace(string(b), good, bad, 1)))
		if err == nil || !strings.Contains(err.Error(), "minimiser") || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want a fault of %s", bad, err, field)
		}
	}
}

// TestBadLanes: what does not go with having no identifier.
func TestBadLanes(t *testing.T) {
	b, err := os.ReadFile("../../configs/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const buckets = "minimiser: {name: buckets, buckets: 8, epsilon: 2, budget: 2, delay: 6d}\n        retention: {device: {for: 7d}, controller: {for: 90d}}"
	const mode = "collect: {mode: background, every: 7d}\n        "
	for name, tc := range map[string][3]string{
		"kept until an event": {buckets, strings.Replace(buckets, "{for: 90d}", "{until: withdrawn}", 1), "what carries no identifier"},
		"in a use session":    {mode + buckets, "collect: {mode: session, max-session: 10m}\n        " + buckets, "use session"},
		"a recipient":         {mode + buckets, "recipients: [Somebody]\n        " + mode + buckets, "to the controller alone"},
	} {
		if !strings.Contains(string(b), tc[0]) {
			t.Fatalf("%s: the example policy has no such text", name)
		}
		_, err := policy.Parse("policy.yaml", []byte(strings.Replace(string(b), tc[0], tc[1], 1)))
		if err == nil || !strings.Contains(err.Error(), tc[2]) {
			t.Errorf("%s: got %v, want %q", name, err, tc[2])
		}
	}
}

// TestNoticeSaysThatItIsRandomised in words, in both languages.
func TestNoticeSaysThatItIsRandomised(t *testing.T) {
	for _, tuple := range example(t).Tuples("person") {
		e, _ := example(t).Effective(tuple.Category, tuple.Purpose)
		for lang, words := range map[policy.Lang]string{policy.LangEN: "randomised", policy.LangZH: "随机化"} {
			text := e.Notice(lang).Text
			if lang == policy.LangZH {
				text = strings.Join(strings.Fields(text), "")
			}
			if strings.Contains(text, words) != (e.Purpose.Lane == policy.LaneAnalytics) {
				t.Errorf("%s: the notice in %s says %q: wrong", tuple, lang, words)
			}
		}
	}
}
