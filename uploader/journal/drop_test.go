package journal

import (
	"errors"
	"testing"

	"github.com/scruple-agent/scruple/uploader/wire"
)

func TestDrop(t *testing.T) {
	f := newFixture(t)
	gone, kept := f.begin(t, "one"), f.begin(t, "two")
	n, err := f.Drop(f.consent, func(_ string, body []byte) bool { return string(body) == "one" })
	if err != nil || n != 1 {
		t.Errorf("%d dropped, %v", n, err)
	}
	f.reopen(t)
	if _, err := f.Body(gone); !errors.Is(err, ErrNoBody) {
		t.Errorf("the dropped body: %v", err)
	}
	if b, err := f.Body(kept); err != nil || string(b) != "two" {
		t.Errorf("the other body: %q, %v", b, err)
	}
	if list, err := f.List(); err != nil || len(list) != 2 {
		t.Errorf("%d entries, %v: want both", len(list), err)
	}
	if n, err := f.Drop(wire.NewUUID(), func(string, []byte) bool { return true }); n != 0 || err != nil {
		t.Errorf("another consent: %d, %v", n, err)
	}
}
