package policy_test

import (
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
)

// BenchmarkParse reads the whole example policy: it is part of every start.
func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(configs.PolicyYAML)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Parse("policy.yaml", configs.PolicyYAML); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSubtreeHash(b *testing.B) {
	d := example(b)
	e, err := d.Effective("location", "nearby")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.SubtreeHash()
	}
}

func BenchmarkNotice(b *testing.B) {
	d := example(b)
	e, err := d.Effective("contacts", "find-friends")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Notice(policy.LangZH)
	}
}
