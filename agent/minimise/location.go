package minimise

import (
	"math"
	"time"

	"github.com/golang/geo/s2"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/location"
)

// Location turns fixes into S2 cells of the granted level, told on change only and at most so often a day as the policy
// says. Coordinates are gone when Add returns. The zero value is ready.
type Location struct {
	sensors.Raw
	cell s2.CellID
	day  time.Time
	told int
}

const (
	// coarsestLevel is the coarsest cell that is of any use (edge about 36 km); a fix that is worse is not told.
	coarsestLevel = 8
	earthRadius   = 6371010.0 // metres, mean
)

// edge returns the typical edge of a cell, in metres.
func edge(c s2.CellID) float64 {
	return math.Sqrt(s2.CellFromCellID(c).ApproxArea()) * earthRadius
}

// Add takes in one fix. It returns a report when the cell changed and the day's cap is not reached. A fix that is
// less accurate than the granted cell gives a coarser cell, or none; never a finer one. The report's accuracy is
// never better than the cell's edge, and its time is to the hour.
func (l *Location) Add(p consent.Permit, fix location.Fix, now time.Time) (r Report, changed bool, err error) {
	e, err := begin(p, policy.MinimiseLocation)
	if err != nil {
		return Report{}, false, err
	}
	rule := e.Purpose.Minimiser
	cell := s2.CellIDFromLatLng(s2.LatLngFromDegrees(fix.Lat, fix.Lon)).Parent(rule.Level)
	for fix.Accuracy > edge(cell) {
		if cell.Level() <= coarsestLevel {
			return Report{}, false, nil
		}
		cell = cell.Parent(cell.Level() - 1)
	}
	if today := day(now); !today.Equal(l.day) {
		l.day, l.told = today, 0
	}
	if cell == l.cell || l.told >= rule.DailyCap {
		return Report{}, false, nil
	}
	r, err = finish(p, e, hour(now), map[string]any{
		"cell":     cell.ToToken(),
		"level":    int64(cell.Level()),
		"accuracy": int64(math.Ceil(max(edge(cell), fix.Accuracy))),
		"kind":     "true",
	})
	if err != nil {
		return Report{}, false, err
	}
	l.cell, l.told = cell, l.told+1
	return r, true, nil
}
