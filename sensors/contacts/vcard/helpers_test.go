package vcard_test

import (
	"io"
	"testing"

	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
)

// readAll hands every value to each and returns the counts.
func readAll(t testing.TB, r *vcard.Reader, each func(vcard.Value)) vcard.Stats {
	t.Helper()
	for {
		v, err := r.Next()
		if err == io.EOF {
			return r.Stats()
		}
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		each(v)
	}
}
