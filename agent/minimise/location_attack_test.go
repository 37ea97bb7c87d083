package minimise

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/golang/geo/s2"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/sensors/location"
)

const level = 12 // of the policy that is shipped

func dice(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 12)) }

// secretOf returns an invented secret.
func secretOf(r *rand.Rand) []byte {
	b := make([]byte, SecretSize)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func newLocation(t testing.TB, secret []byte) *Location {
	t.Helper()
	l, err := NewLocation(secret)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// anywhere returns a uniform place on the sphere.
func anywhere(r *rand.Rand) s2.Point {
	return s2.PointFromCoords(r.NormFloat64(), r.NormFloat64(), r.NormFloat64())
}

// moved returns the place that lies so many metres away along two directions of the ground.
func moved(p s2.Point, a, b float64) s2.Point {
	x := s2.Ortho(p)
	y := p.Cross(x.Vector)
	return s2.Point{Vector: p.Add(x.Mul(a / earthRadius)).Add(y.Mul(b / earthRadius)).Normalize()}
}

func fixAt(p s2.Point, accuracy float64) location.Fix {
	at := s2.LatLngFromPoint(p)
	return location.Fix{Lat: at.Lat.Degrees(), Lon: at.Lng.Degrees(), Accuracy: accuracy}
}

// apart is in metres.
func apart(a, b s2.Point) float64 { return a.Distance(b).Radians() * earthRadius }

// cellsOf feeds what a receiver says of a person who stays at a place during some grants, with n fixes each, and returns the
// cells that the controller is told, in order. A grant begins with nothing but the secret. A receiver is off by
// the same 5 metres or so during one grant and by another 8 in each fix.
func cellsOf(t testing.TB, r *rand.Rand, grant func() *Location, place s2.Point, grants, n int) (told []s2.CellID) {
	for range grants {
		l := grant()
		off := [2]float64{5 * r.NormFloat64(), 5 * r.NormFloat64()}
		first := len(told)
		for range n {
			fix := moved(place, off[0]+8*r.NormFloat64(), off[1]+8*r.NormFloat64())
			if l.offset != nil {
				fix = l.offset.displace(fix, level)
			}
			cell, ok := l.choose(fix, level, 20)
			if ok && cell != l.here {
				l.here = cell
				told = append(told, cell)
			}
		}
		if len(told) != first+1 {
			t.Errorf("someone who stays at a place showed %d cells under one grant", len(told)-first)
		}
	}
	return told
}

// estimates returns where an attacker who knows everything but the secret would look for the person: the middle of all
// that was told, of the different cells that were told, and of the border between two of them.
func estimates(told []s2.CellID) []s2.Point {
	seen := map[s2.CellID]bool{}
	var all, different, border s2.Point
	for _, c := range told {
		all.Vector = all.Add(c.Point().Vector)
		if !seen[c] {
			seen[c] = true
			different.Vector = different.Add(c.Point().Vector)
			for k := range 4 {
				v := s2.CellFromCellID(c).Vertex(k)
				shared := 0
				for other := range seen {
					if s2.CellFromCellID(other).Distance(v).Angle().Radians()*earthRadius < 1 {
						shared++
					}
				}
				if shared > 1 {
					border.Vector = border.Add(v.Vector)
				}
			}
		}
	}
	found := []s2.Point{all, different}
	if border.Norm() > 0 {
		found = append(found, border)
	}
	for i := range found {
		found[i].Vector = found[i].Normalize()
	}
	return found
}

// TestAveragingRecoversNothing is the promise about places: 1,000 random ones, 10,000 fixes each, under ten grants. In a place whose
// displaced position is far from any border all fixes have one cell, so a sample of them does.
func TestAveragingRecoversNothing(t *testing.T) {
	const places, grants, fixes = 1000, 10, 1000
	r := dice(1)
	// sums of errors in edges: with one fix, with all of them by the best of each estimator, and of an attacker who
	// was told the displaced position itself, which no number of reports can exceed
	var one, oracle float64
	best := map[int]float64{}
	second := 0
	for range places {
		secret, place := secretOf(r), anywhere(r)
		grant := func() *Location { return newLocation(t, secret) }
		l := grant()
		displaced := l.offset.displace(place, level)
		cell := s2.CellFromPoint(displaced).ID().Parent(level)
		unit := edge(s2.CellFromPoint(place).ID().Parent(level))
		n := fixes
		if s2.CellFromCellID(cell).BoundaryDistance(displaced).Angle().Radians()*earthRadius > 150 {
			n = 20
		}
		told := cellsOf(t, r, grant, place, grants, n)
		if len(told) != grants {
			t.Fatalf("%d cells under %d grants", len(told), grants)
		}
		one += apart(told[0].Point(), place) / unit
		oracle += apart(displaced, place) / unit
		found := estimates(told)
		if len(found) > 2 {
			second++
		} else {
			found = append(found, found[0])
		}
		for i, e := range found {
			best[i] += apart(e, place) / unit
		}
	}
	one, oracle = one/places, oracle/places
	t.Logf("mean error in edges: one fix %.4f, all: mean %.4f, different cells %.4f, borders %.4f, displaced position known %.4f; %d places showed a second cell over %d grants",
		one, best[0]/places, best[1]/places, best[2]/places, oracle, second, grants)
	for i, sum := range best {
		if e := sum / places; e < 0.35 || e < 0.99*one {
			t.Errorf("estimator %d: mean error %.3f edges with all fixes, %.3f with one", i, e, one)
		}
	}
	if oracle < 0.35 {
		t.Errorf("displaced positions are off by %.3f edges only", oracle)
	}
}

// TestTheAttackWorks: on what was not built, averaging does recover the place. Otherwise the test above would show nothing.
func TestTheAttackWorks(t *testing.T) {
	const places, grants = 200, 30
	r := dice(2)
	var fresh, plain, plainOne float64
	for range places {
		place := anywhere(r)
		unit := edge(s2.CellFromPoint(place).ID().Parent(level))
		told := cellsOf(t, r, func() *Location { return newLocation(t, secretOf(r)) }, place, grants, 1)
		fresh += apart(estimates(told)[0], place) / unit

		// near a border of plain cells, without an offset
		cell := s2.CellFromPoint(place).ID().Parent(level)
		corner := s2.CellFromCellID(cell).Vertex(0)
		told = cellsOf(t, r, func() *Location { return &Location{} }, corner, grants, 1)
		plain += apart(estimates(told)[1], corner) / unit
		plainOne += apart(told[0].Point(), corner) / unit
	}
	t.Logf("mean error in edges: a new secret for each of %d grants %.3f; plain cells at a corner %.3f, with one fix %.3f",
		grants, fresh/places, plain/places, plainOne/places)
	if fresh/places > 0.2 {
		t.Error("averaging does not even recover a place that had a new offset each time")
	}
	if plain/places > 0.1 {
		t.Error("the borders of plain cells do not give a place away")
	}
}

// border returns a place whose displaced position lies on a border of two cells, to within a metre.
func border(r *rand.Rand, o *offset) s2.Point {
	cellAt := func(p s2.Point) s2.CellID { return s2.CellFromPoint(o.displace(p, level)).ID().Parent(level) }
	start := anywhere(r)
	inside, outside := 0.0, 100.0
	for cellAt(moved(start, outside, 0)) == cellAt(start) {
		inside, outside = outside, outside+100
	}
	for outside-inside > 1 {
		middle := (inside + outside) / 2
		if cellAt(moved(start, middle, 0)) == cellAt(start) {
			inside = middle
		} else {
			outside = middle
		}
	}
	return moved(start, inside, 0)
}

// TestNearABorder: someone who lives on a border, walks along it and across it, and comes home from both sides shows
// one cell there, whatever the receiver makes of it.
func TestNearABorder(t *testing.T) {
	r := dice(3)
	p := permit(t, "location", "nearby")
	for i := range 20 {
		secret := secretOf(r)
		l := newLocation(t, secret)
		home := border(r, l.offset)
		told := map[string]int{}
		add := func(place s2.Point, accuracy float64) {
			t.Helper()
			report, changed, err := l.Add(p, fixAt(place, accuracy), now)
			if err != nil {
				t.Fatal(err)
			}
			if changed {
				told[decoded(t, report).Item.Fields["cell"].(string)]++
			}
		}
		for range 500 { // stays
			add(moved(home, 20*r.NormFloat64(), 20*r.NormFloat64()), 20)
		}
		for m := -100.0; m < 100; m += 2 { // walks about
			add(moved(home, m, 50), 10)
			add(moved(home, 60, m), 10)
		}
		for range 50 { // poor fixes, each as bad as its receiver says
			add(moved(home, 50*r.NormFloat64(), 50*r.NormFloat64()), 125)
		}
		if len(told) != 1 {
			t.Fatalf("place %d: showed %d cells on a border", i, len(told))
		}
		// Goes to work in either direction, and comes back, on one day each. The way shows cells; home is the one it was.
		for _, way := range []float64{1, -1} {
			at := l.here
			for m := range 60 {
				add(moved(home, way*float64(m)*100, 0), 10)
			}
			for m := range 60 {
				add(moved(home, way*float64(59-m)*100, 0), 10)
			}
			if l.here != at && l.count < p.Effective().Purpose.Minimiser.DailyCap {
				t.Errorf("place %d: another cell after coming home", i)
			}
		}
	}
}

// TestRegrants goes the whole way of consents: given, withdrawn, given again, with another Location each time.
func TestRegrants(t *testing.T) {
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	reg, tuple := consenttest.New(t, doc), consenttest.Tuple(t, doc, "location", "nearby")
	shake := consenttest.Tuple(t, doc, "location", "shake")
	r := dice(4)
	secret := secretOf(r)
	place := anywhere(r)
	told := map[string]int{}
	for range 5 {
		for _, tu := range []policy.Tuple{tuple, shake} {
			consenttest.Give(t, reg, tu)
			report, changed, err := newLocation(t, secret).Add(consenttest.PermitFrom(t, reg, tu), fixAt(place, 10), now)
			if err != nil || !changed {
				t.Fatalf("told %v, %v", changed, err)
			}
			f := decoded(t, report).Item.Fields
			if f["kind"] != "offset" {
				t.Errorf("kind %q", f["kind"])
			}
			told[f["cell"].(string)]++
			if err := reg.Withdraw(tu, false, consenttest.Person); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(told) != 1 {
		t.Errorf("one place showed %d cells over re-grants and purposes", len(told))
	}

	// One Location that goes on is told of the new consent, and tells it the cell.
	l := newLocation(t, secret)
	for range 2 {
		consenttest.Give(t, reg, tuple)
		p := consenttest.PermitFrom(t, reg, tuple)
		for i := range 2 {
			if _, changed, err := l.Add(p, fixAt(place, 10), now); err != nil || changed != (i == 0) {
				t.Errorf("fix %d of a consent: told %v, %v", i, changed, err)
			}
		}
		if err := reg.Withdraw(tuple, false, consenttest.Person); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Add(p, fixAt(place, 10), now); err == nil {
			t.Error("a fix was taken after the withdrawal")
		}
	}
}

// TestOffset is what the displacement has to be for the promise: large enough everywhere, in any direction, the same each time, of
// its own for each person, level and place far away, and without jumps.
func TestOffset(t *testing.T) {
	r := dice(5)
	for _, lv := range []int{0, 4, 8, 10, 12, 14, 16} {
		const n = 3000
		unit := meanEdge(lv) * earthRadius
		var length, cos, same, otherLevel, step float64
		for range n {
			secret, place := secretOf(r), anywhere(r)
			o, again, other := newLocation(t, secret).offset, newLocation(t, secret).offset, newLocation(t, secretOf(r)).offset
			d := o.displace(place, lv)
			if d != again.displace(place, lv) {
				t.Fatal("the same secret displaces in another way")
			}
			length += apart(place, d) / unit
			along := func(p, q s2.Point) float64 { return q.Sub(p.Vector).Dot(s2.Ortho(p).Vector) * earthRadius / unit }
			cos += along(place, d)
			same += along(place, d) * along(place, other.displace(place, lv))
			if lv > 0 {
				otherLevel += along(place, d) * along(place, o.displace(place, lv-1)) / 2
			}
			near := moved(place, unit/100, 0)
			step = max(step, math.Abs(apart(d, o.displace(near, lv))/apart(place, near)-1))
		}
		if mean := length / n; (mean < 0.40 || mean > 0.46) && lv > 2 {
			t.Errorf("level %d: mean displacement of %.3f edges", lv, mean)
		}
		for what, mean := range map[string]float64{"direction": cos / n, "persons": same / n, "levels": otherLevel / n} {
			if math.Abs(mean) > 0.03 {
				t.Errorf("level %d: %s are not independent: %.3f", lv, what, mean)
			}
		}
		if step > 0.6 && lv > 2 {
			t.Errorf("level %d: the way is bent by %.2f", lv, step)
		}
	}
	if a, b := newLocation(t, make([]byte, 32)), newLocation(t, append(make([]byte, 31), 1)); a.offset.displace(anywhere(dice(6)), level) == b.offset.displace(anywhere(dice(6)), level) {
		t.Error("two persons have one offset")
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewLocation(make([]byte, n)); err == nil {
			t.Errorf("a secret of %d bytes was taken", n)
		}
	}
}

// TestToldAccuracyHolds: at least 95 % of places lie within the accuracy that is told of their cell.
func TestToldAccuracyHolds(t *testing.T) {
	r := dice(7)
	p := permit(t, "location", "nearby")
	const n = 1000
	within := 0
	for i := range n {
		l, place := newLocation(t, secretOf(r)), anywhere(r)
		report, told, err := l.Add(p, fixAt(place, 10), now.Add(time.Duration(i)*24*time.Hour))
		if err != nil || !told {
			t.Fatalf("told %v, %v", told, err)
		}
		f := decoded(t, report).Item.Fields
		cell := s2.CellIDFromToken(f["cell"].(string))
		if apart(cell.Point(), place) <= float64(f["accuracy"].(int64)) {
			within++
		}
	}
	if within < n*95/100 {
		t.Errorf("%d of %d places lie within the told accuracy", within, n)
	}
}

func BenchmarkLocation(b *testing.B) {
	p := permit(b, "location", "nearby")
	r := dice(8)
	place := anywhere(r)
	for _, kind := range []string{"true", "offset"} {
		b.Run(fmt.Sprintf("kind=%s", kind), func(b *testing.B) {
			l := &Location{}
			if kind == "offset" {
				l = newLocation(b, make([]byte, SecretSize))
			}
			fix := fixAt(place, 10)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := l.Add(p, fix, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
