package minimise

import (
	"errors"
	"math"
	"time"

	"github.com/golang/geo/s2"
)

// Current reports whether the last fix lay where the last report says: whether that report still tells where the person is.
func (l *Location) Current() bool { return l.current }

// Area is what a report of a location says, for somebody who may be told less than the report.
type Area struct {
	Cell     string // S2 token
	Level    int
	Accuracy int64 // metres
	Kind     string
	Time     time.Time // to the hour
}

var errNoArea = errors.New("minimise: not a report of a location")

// Area returns what a report of a location says in a cell of the given level, or in the report's own where that is
// coarser: never in a finer one.
func (r Report) Area(level int) (Area, error) {
	f := r.report.Item.Fields
	token, _ := f["cell"].(string)
	accuracy, ok := f["accuracy"].(int64)
	kind, _ := f["kind"].(string)
	cell := s2.CellIDFromToken(token)
	if !ok || !cell.IsValid() || level < 0 {
		return Area{}, errNoArea
	}
	if cell.Level() > level {
		cell = cell.Parent(level)
		accuracy += int64(math.Ceil(edge(cell)))
	}
	return Area{
		Cell: cell.ToToken(), Level: cell.Level(), Accuracy: accuracy, Kind: kind, Time: time.Unix(r.report.Item.Time, 0).UTC(),
	}, nil
}
