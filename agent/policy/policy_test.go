package policy_test

import (
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
)

func example(t testing.TB) *policy.Document {
	t.Helper()
	d, err := policy.Parse("configs/policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatalf("the example policy is faulty:\n%v", err)
	}
	return d
}

func TestEveryTupleHasANoticeInBothLanguages(t *testing.T) {
	d := example(t)
	for _, tuple := range d.Tuples("person") {
		e, err := d.Effective(tuple.Category, tuple.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		for _, lang := range []policy.Lang{policy.LangEN, policy.LangZH} {
			if n := e.Notice(lang); n.Lang != lang || len(n.Text) == 0 {
				t.Errorf("%s: no notice in %s", tuple, lang)
			}
		}
	}
}
