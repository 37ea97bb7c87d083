package consent_test

import (
	"errors"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
)

// TestSetBackAgainAndAgain: a clock that is set back by less than the tolerance, over and over, prolongs nothing, nor does one
// that stands still while the machine sleeps.
func TestSetBackAgainAndAgain(t *testing.T) {
	b := setup(t)
	var elapsed time.Duration
	b.Close()
	b.Open(t, b.doc, consent.Options{Now: b.clock.Now, Elapsed: func() time.Duration { return elapsed }})
	tu := b.tuple("contacts/find")
	b.give(tu)
	p, err := b.Register.Permit(tu)
	b.ok(err)
	step := consent.ClockTolerance - time.Second
	for elapsed = 0; elapsed < 365*day-step; elapsed += step {
		if elapsed%(100*step) == 0 {
			if err := p.Check(); err != nil {
				t.Fatalf("after %v: %v", elapsed, err)
			}
		}
		b.clock.Add(step)
		_ = p.Check()
		b.clock.Add(-step)
	}
	elapsed = 365*day + time.Second
	if err := p.Check(); !errors.Is(err, consent.ErrExpired) {
		t.Errorf("after its time: %v", err)
	}
}
