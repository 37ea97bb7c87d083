package minimise

import (
	"fmt"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/steps"
)

// Steps turns counter readings into a total per local calendar day. Steps taken before its first reading are never
// counted: they were taken before the consent, or while nothing was allowed to read. The zero value is ready.
//
// Totals of the same day add up: a day is reported when it is over, and what there is of it when the agent
// stops or the person asks.
type Steps struct {
	sensors.Raw
	begun bool
	last  uint64
	day   time.Time
	total uint64
}

// Add takes in one reading and returns a report of the day before when a new day has begun. Where the consent ended while
// the reading was under way nothing of it stays, not even where the counter stood: what is walked until the next consent
// would be counted from there.
func (s *Steps) Add(p consent.Permit, reading steps.Sample) (r Report, done bool, err error) {
	if err := p.Check(); err != nil {
		return Report{}, false, fmt.Errorf("minimise steps: %w", err)
	}
	today := day(reading.Time)
	if s.begun && today.After(s.day) && s.total > 0 {
		if r, err = s.Report(p); err != nil {
			return Report{}, false, err
		}
		done = true
	}
	switch {
	case !s.begun:
		s.begun = true
	case reading.Counter >= s.last:
		s.total += reading.Counter - s.last
	default: // the counter began again at 0: a reboot, or somebody reset it
		s.total += reading.Counter
	}
	s.last, s.day = reading.Counter, today
	return r, done, nil
}

// Pending reports whether steps were counted that no report tells of.
func (s *Steps) Pending() bool { return s.total > 0 }

// Report tells the steps counted since the last report, rounded down as the policy says (1 is exact; what
// rounding cuts off stays for the day's next report). Time is the day.
func (s *Steps) Report(p consent.Permit) (Report, error) {
	e, err := begin(p, policy.MinimiseSteps)
	if err != nil {
		return Report{}, err
	}
	unit := uint64(max(1, e.Purpose.Minimiser.Round))
	told := s.total - s.total%unit
	r, err := finish(p, e, s.day, map[string]any{"total": int64(told)})
	if err != nil {
		return Report{}, err
	}
	s.total -= told
	return r, nil
}
