package policy_test

import (
	"errors"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
)

// The terms are what the subtree hash covers, for every purpose of the example policy, and fit their bound.
func TestTermsAreWhatTheSubtreeHashCovers(t *testing.T) {
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	for _, tuple := range doc.Tuples("1000") {
		e, err := doc.Effective(tuple.Category, tuple.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		encoded := e.Terms().Encode()
		terms, err := policy.DecodeTerms(encoded)
		if err != nil {
			t.Fatalf("%s: %v (%d bytes)", tuple, err, len(encoded))
		}
		if terms.Hash() != e.SubtreeHash() {
			t.Errorf("%s: the terms have another hash", tuple)
		}
		terms["retention.device"] += "0"
		if terms.Hash() == e.SubtreeHash() {
			t.Errorf("%s: changed terms have the same hash", tuple)
		}
	}
}

func FuzzDecodeTerms(f *testing.F) {
	f.Add(policy.Terms{"a": "b", "c.d": "e"}.Encode())
	f.Add([]byte{0xa0})
	f.Add([]byte{0xbf, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		terms, err := policy.DecodeTerms(b)
		if err != nil {
			if !errors.Is(err, policy.ErrTerms) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		if string(terms.Encode()) != string(b) {
			t.Error("does not write what it read")
		}
	})
}
