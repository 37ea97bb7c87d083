package agent

import (
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
)

// TestPeriodsAreTheSameForEverybody: they end on Mondays, whenever a device began.
func TestPeriodsAreTheSameForEverybody(t *testing.T) {
	week := 7 * policy.Day
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for _, after := range []time.Duration{0, time.Second, 3 * policy.Day, week - time.Second} {
		if got := periodBegin(monday.Add(after), week); !got.Equal(monday) {
			t.Errorf("%s after Monday: the period began at %s", after, got.UTC())
		}
	}
	if got := periodBegin(monday.Add(-time.Second), week); !got.Equal(monday.Add(-week)) {
		t.Errorf("on Sunday: %s", got.UTC())
	}
	if got := periodBegin(time.Unix(0, 0), week); !got.Equal(time.Unix(0, 0).Add(-3 * policy.Day)) {
		t.Errorf("in 1970: %s", got.UTC())
	}
	if monday.Weekday() != time.Monday {
		t.Error("not a Monday")
	}
}
