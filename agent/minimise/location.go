package minimise

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/golang/geo/s2"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/location"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Location turns fixes into S2 cells of the granted level, told on change only and at most so often a day as the policy
// says. Coordinates are gone when Add returns; what stays, in memory, are the last few cells that were told.
//
// One from NewLocation displaces every position by a secret offset before it takes the cell (kind "offset"); that of the
// zero value tells the cell the position lies in (kind "true").
type Location struct {
	sensors.Raw
	offset  *offset
	consent wire.UUID
	here    s2.CellID   // where the person was when something was last told under consent; 0 before
	told    s2.CellID   // what was told: here, or with noise what was drawn for it
	known   []s2.CellID // every here of late, under any consent, in the order of first times
	used    []int       // clock of the last time of each
	clock   int         // counts reports
	day     time.Time
	count   int // told on day
	current bool
	noise   noise
}

const (
	// coarsestLevel is the coarsest cell that is of any use (edge about 36 km); a fix that is worse is not told.
	coarsestLevel = 8
	earthRadius   = 6371010.0 // metres, mean
	// assumedAccuracy stands for an accuracy that a source does not know, in metres: the worst of a satellite fix in
	// a street between high houses.
	assumedAccuracy = 100
	// remembered is how many cells a person comes back to without seeing their neighbours told.
	remembered = 32
)

// Mistakes of a caller.
var (
	errSecret   = errors.New("minimise location: the secret has to have 32 bytes")
	errNoSecret = errors.New("minimise location: the policy wants noise, and there is no secret to draw it from")
)

// SecretSize is the length in bytes of the secret that NewLocation takes.
const SecretSize = 32

// NewLocation returns a Location with a secret offset per place. The secret is random and belongs to one person and one
// controller. It has to outlive consents: while the controller may still hold what it was told, a new secret would give
// each place a second, independent cell, and the mean of the two is nearer to the place than either.
func NewLocation(secret []byte) (*Location, error) {
	if len(secret) != SecretSize {
		return nil, errSecret
	}
	o, err := newOffset(secret)
	if err != nil {
		return nil, err
	}
	n, err := newNoise(secret)
	if err != nil {
		return nil, err
	}
	return &Location{offset: o, noise: n}, nil
}

// edge returns the typical edge of a cell, in metres.
func edge(c s2.CellID) float64 {
	return math.Sqrt(s2.CellFromCellID(c).ApproxArea()) * earthRadius
}

// Add takes in one fix. It returns a report when the cell changed and the day's cap is not reached. A fix that is
// too inaccurate for the granted cell gives a coarser cell, or none; never a finer one. The report's accuracy is
// never better than the cell's edge, and its time is to the hour.
//
// A cell is left only when the position is clearly outside it, and one told lately is entered again in preference to its
// neighbours: someone who stays near a border, or comes back to it, shows one cell. The calls of Add may not overlap.
func (l *Location) Add(p consent.Permit, fix location.Fix, now time.Time) (r Report, changed bool, err error) {
	e, err := begin(p, policy.MinimiseLocation)
	if err != nil {
		return Report{}, false, err
	}
	rule := e.Purpose.Minimiser
	l.current = false
	accuracy, ok := usable(fix)
	if !ok {
		return Report{}, false, nil
	}
	point := s2.PointFromLatLng(s2.LatLngFromDegrees(fix.Lat, fix.Lon))
	kind := "true"
	if l.offset != nil {
		point, kind = l.offset.displace(point, rule.Level), "offset"
	}
	if today := day(now); !today.Equal(l.day) {
		l.day, l.count = today, 0
	}
	if l.consent != p.Consent() {
		l.consent, l.here, l.told = p.Consent(), 0, 0
	}
	cell, ok := l.choose(point, rule.Level, accuracy)
	l.current = ok && cell == l.here
	if !ok || cell == l.here || l.count >= rule.DailyCap {
		return Report{}, false, nil
	}
	out := cell
	if rule.LaplaceRadius > 0 {
		if l.offset == nil {
			return Report{}, false, errNoSecret
		}
		if out, ok = l.noise.draw(cell, rule); !ok {
			return Report{}, false, nil
		}
		if out == l.told { // another cell, for which the same one was drawn
			l.here, l.current = cell, true
			return Report{}, false, nil
		}
	}
	r, err = finish(p, e, hour(now), map[string]any{
		"cell":     out.ToToken(),
		"level":    int64(out.Level()),
		"accuracy": accuracyOf(out, kind, rule.LaplaceRadius),
		"kind":     kind,
	})
	if err != nil {
		return Report{}, false, err
	}
	l.here, l.told, l.count, l.current = cell, out, l.count+1, true
	l.remember(cell)
	return r, true, nil
}

// remember notes that a cell was told, and forgets the one that was told longest ago where there are too many.
func (l *Location) remember(c s2.CellID) {
	l.clock++
	if i := slices.Index(l.known, c); i >= 0 {
		l.used[i] = l.clock
		return
	}
	if len(l.known) == remembered {
		i := slices.Index(l.used, slices.Min(l.used))
		l.known, l.used = slices.Delete(l.known, i, i+1), slices.Delete(l.used, i, i+1)
	}
	l.known, l.used = append(l.known, c), append(l.used, l.clock)
}

// usable returns the accuracy of a fix in metres. A fix that is not on the map, or claims to be anything but a number of
// metres off, is of no use.
func usable(fix location.Fix) (accuracy float64, ok bool) {
	onMap := fix.Lat >= -90 && fix.Lat <= 90 && fix.Lon >= -180 && fix.Lon <= 180
	if !onMap || !(fix.Accuracy >= 0) || math.IsInf(fix.Accuracy, 1) {
		return 0, false
	}
	if fix.Accuracy == 0 {
		return assumedAccuracy, true
	}
	return fix.Accuracy, true
}

// choose returns the cell to tell for a (displaced) point, at most as fine as level; none where the fix is too
// inaccurate for any.
func (l *Location) choose(point s2.Point, level int, accuracy float64) (s2.CellID, bool) {
	here := s2.CellFromPoint(point).ID().Parent(level)
	want := here
	for 2*accuracy > edge(want) {
		if want.Level() <= coarsestLevel {
			return 0, false
		}
		want = want.Parent(want.Level() - 1)
	}
	// A cell that was told stays while it is as fine as this fix allows and the point is not clearly outside. Where two such
	// cells meet, the one that was known first is it, from whichever side one comes: a home on a border has one cell.
	stays := l.here != 0 && l.here.Level() <= level && l.here.Level() >= want.Level() && within(point, l.here, 2*reach(l.here, accuracy))
	if stays && (l.here.Level() > want.Level() || 2*accuracy > edge(want)/16) {
		return l.here, true
	}
	for _, c := range l.known {
		if c.Level() == want.Level() && within(point, c, reach(c, accuracy)) {
			return c, true
		}
	}
	if stays {
		return l.here, true
	}
	return want, true
}

// reach is how far outside a known cell a point may lie, in metres, for that cell to be told again: a sixteenth of an edge, or
// twice the accuracy, but half an edge at most. A cell that is being told reaches twice as far. (10,000 fixes scatter
// over 1.8 times their accuracy of 95 %, and the first one may have been off to the other side.)
func reach(c s2.CellID, accuracy float64) float64 {
	e := edge(c)
	return min(e/2, max(e/16, 2*accuracy))
}

func within(point s2.Point, c s2.CellID, metres float64) bool {
	return s2.CellFromCellID(c).Distance(point).Angle().Radians()*earthRadius <= metres
}

// accuracyOf returns the accuracy that is told of a cell in metres, measured from its centre. It depends on nothing but the
// cell and the policy, so it tells nothing more. An offset adds up to an edge with 95 %, noise its own 95 %.
func accuracyOf(c s2.CellID, kind string, laplaceRadius int) int64 {
	e := edge(c)
	if kind == "offset" {
		e *= 2
	}
	return int64(math.Ceil(e + laplace95*laplaceScale(laplaceRadius)))
}
