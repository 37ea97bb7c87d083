package main

import (
	"reflect"
	"testing"
)

// TestMissing: only what a test says when it skips counts, not a source line that is printed or a test that passes.
func TestMissing(t *testing.T) {
	var got tally
	output := map[string][]string{}
	for _, e := range []event{
		{"output", "p", "TestSkip", "=== RUN   TestSkip\n"},
		{"output", "p", "TestSkip", "    a_test.go:7: MISSING: gpsd (Debian package gpsd)\n"},
		{"output", "p", "TestSkip", "--- SKIP: TestSkip (0.00s)\n"},
		{"skip", "p", "TestSkip", ""},
		{"output", "p", "TestSource", "    a_test.go:9: t.Skip(\"MISSING: nothing\")\n"},
		{"output", "p", "TestSource", "t.Skip(\"MISSING: nothing\")\n"},
		{"skip", "p", "TestSource", ""},
		{"output", "p", "TestPass", "    a_test.go:8: MISSING: not said by skipping\n"},
		{"pass", "p", "TestPass", ""},
	} {
		got.take(e, output)
	}
	if want := []string{"gpsd (Debian package gpsd)"}; !reflect.DeepEqual(got.missing, want) || got.passed != 1 || got.skipped != 2 {
		t.Errorf("missing %q, want %q; %d passed, %d skipped", got.missing, want, got.passed, got.skipped)
	}
}
