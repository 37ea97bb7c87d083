package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestDemo plays the demo with the built programs, as "make demo" does.
func TestDemo(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), &out, &play{people: 1000}, false); code != 0 {
		t.Fatalf("exit code %d\n%s", code, out.String())
	}
	for _, promise := range []string{
		"0 records on the device, 0 at the receiver, 0 requests sent",
		"is refused (exit code 3)",
		"the receiver kept 40: those of the 40 people",
		"kind erasure",
		"Every promise held",
	} {
		if !strings.Contains(out.String(), promise) {
			t.Errorf("the demo does not show %q", promise)
		}
	}
}
