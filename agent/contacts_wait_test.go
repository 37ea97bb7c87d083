package agent

import (
	"errors"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
)

// TestFailedReadingIsRepeated: soon, then less and less often, and never later than the next reading would be.
func TestFailedReadingIsRepeated(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for _, c := range []struct {
		source policy.Source
		every  time.Duration
		want   []time.Duration
	}{
		{policy.SourceContacts, week, []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute, 160 * time.Minute, 320 * time.Minute, 6 * time.Hour, 6 * time.Hour}},
		{policy.SourceContacts, 7 * time.Minute, []time.Duration{5 * time.Minute, 7 * time.Minute, 7 * time.Minute}},
		{policy.SourceDevice, week, []time.Duration{week, week}},
	} {
		e := policy.Effective{Category: &policy.Category{}, Purpose: &policy.Purpose{}}
		e.Category.Source, e.Purpose.Collect.Every = c.source, c.every
		row := &collection{}
		row.terms.Store(&e)
		for i, want := range c.want {
			if got := row.wait(errors.New("away")); got != want {
				t.Errorf("%s every %v: after failure %d in %v, want %v", c.source, c.every, i+1, got, want)
			}
		}
		if got := row.wait(nil); got != c.every {
			t.Errorf("after a reading in %v, want %v", got, c.every)
		}
		if got := row.wait(errors.New("away")); got != c.want[0] {
			t.Errorf("after the next failure in %v, want %v", got, c.want[0])
		}
	}
}
