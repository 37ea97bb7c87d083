package policy

import (
	"os"
	"strings"
	"testing"
)

// withNoise returns the example policy with other parameters for the first location purpose.
func withNoise(t *testing.T, minimiser string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../configs/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const old = "minimiser: {name: location, level: 12, daily-cap: 24}"
	if !strings.Contains(string(b), old) {
		t.Fatal("the example policy has no such purpose")
	}
	return []byte(strings.Replace(string(b), old, "minimiser: {"+minimiser+"}", 1))
}

func TestNoise(t *testing.T) {
	terms := map[string][32]byte{}
	for _, parameters := range []string{"", ", laplace-radius: 2000, laplace-draws: 50", ", laplace-radius: 1000, laplace-draws: 50", ", laplace-radius: 2000, laplace-draws: 40"} {
		doc, err := Parse("policy.yaml", withNoise(t, "name: location, level: 12, daily-cap: 24"+parameters))
		if err != nil {
			t.Fatal(err)
		}
		e, err := doc.Effective("location", "nearby")
		if err != nil {
			t.Fatal(err)
		}
		for other, hash := range terms {
			if hash == e.SubtreeHash() {
				t.Errorf("%q and %q are the same terms", parameters, other)
			}
		}
		terms[parameters] = e.SubtreeHash()
		m := e.Purpose.Minimiser
		for lang, words := range map[Lang]string{LangEN: "drawn at random", LangZH: "随机抽取"} {
			text := strings.Join(strings.Fields(e.Notice(lang).Text), " ")
			if lang == LangZH {
				text = strings.ReplaceAll(text, " ", "")
			}
			if strings.Contains(text, words) != (m.LaplaceRadius > 0) {
				t.Errorf("%q: the notice in %s says %q: %v", parameters, lang, words, m.LaplaceRadius == 0)
			}
		}
	}
}

func TestBadNoise(t *testing.T) {
	for parameters, field := range map[string]string{
		"name: location, level: 12, daily-cap: 24, laplace-radius: 2000":                      "laplace-draws",
		"name: location, level: 12, daily-cap: 24, laplace-draws: 50":                         "laplace-radius",
		"name: location, level: 12, daily-cap: 24, laplace-radius: 99, laplace-draws: 50":     "laplace-radius",
		"name: location, level: 12, daily-cap: 24, laplace-radius: 100001, laplace-draws: 50": "laplace-radius",
		"name: location, level: 12, daily-cap: 24, laplace-radius: 2000, laplace-draws: 0":    "laplace-draws",
		"name: location, level: 12, daily-cap: 24, laplace-radius: 2000, laplace-draws: many": "laplace-draws",
		"name: location, laplace-radius: 2000, laplace-draws: 50":                             "level",
		"name: steps, round: 1, laplace-radius: 2000, laplace-draws: 50":                      "laplace-radius",
	} {
		_, err := Parse("policy.yaml", withNoise(t, parameters))
		if err == nil || !strings.Contains(err.Error(), "minimiser."+field) {
			t.Errorf("%s: got %v, want a fault of %s", parameters, err, field)
		}
	}
}
