package minimise

import (
	"math"
	"testing"

	"github.com/golang/geo/s2"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors/location"
)

// noisy returns a permit of a policy with planar Laplace noise.
func noisy(t *testing.T, radius, draws int) consent.Permit {
	t.Helper()
	doc := consenttest.Document(t)
	for i, c := range doc.Categories {
		if c.ID == "location" {
			m := &doc.Categories[i].Purposes[0].Minimiser
			m.Level, m.DailyCap, m.LaplaceRadius, m.LaplaceDraws = level, 1000, radius, draws
			doc.Categories[i].Fields = permit(t, "location", "nearby").Effective().Category.Fields
		}
	}
	return consenttest.Permit(t, doc, "location", "nearby")
}

// visit returns what is told of a place.
func visit(t *testing.T, l *Location, p consent.Permit, place s2.Point) (s2.CellID, bool) {
	t.Helper()
	report, told, err := l.Add(p, fixAt(place, 10), now)
	if err != nil {
		t.Fatal(err)
	}
	if !told {
		return 0, false
	}
	f := decoded(t, report).Item.Fields
	cell := s2.CellIDFromToken(f["cell"].(string))
	if f["kind"] != "offset" || f["level"] != int64(level) || float64(f["accuracy"].(int64)) < edge(cell)+laplace95*1000 {
		t.Errorf("kind %v, level %v, accuracy %v", f["kind"], f["level"], f["accuracy"])
	}
	return cell, true
}

// TestLaplaceBudget: each new cell costs a draw, an old one costs none, and when all are spent nothing new is told.
func TestLaplaceBudget(t *testing.T) {
	p := noisy(t, 2000, 5)
	r := dice(20)
	secret := secretOf(r)
	l := newLocation(t, secret)
	first := map[int]s2.CellID{}
	places := make([]s2.Point, 8)
	for i := range places {
		places[i] = anywhere(r)
		cell, told := visit(t, l, p, places[i])
		if told != (i < 5) || l.Spent() != uint64(min(i+1, 5)) {
			t.Fatalf("place %d: told %v, spent %d", i, told, l.Spent())
		}
		first[i] = cell
	}
	for i := range 4 { // all were drawn before
		if cell, told := visit(t, l, p, places[i]); !told || cell != first[i] || l.Spent() != 5 {
			t.Errorf("place %d again: told %v, the same %v, spent %d", i, told, cell == first[i], l.Spent())
		}
	}
	again := newLocation(t, secret) // after a restart, which forgets what was drawn, not how much
	again.Resume(l.Spent() - 1)
	if cell, told := visit(t, again, p, places[0]); !told || cell != first[0] {
		t.Error("after a restart a place has another draw")
	}
	if _, told := visit(t, again, p, places[1]); told || again.Spent() != 5 {
		t.Error("a restart gave new budget")
	}
	if _, _, err := (&Location{}).Add(p, location.Fix{Lat: 1, Lon: 1, Accuracy: 1}, now); err == nil {
		t.Error("noise without a secret")
	}
}

// TestLaplaceIsWhatItSays: lengths and directions of draws, against the distribution.
func TestLaplaceIsWhatItSays(t *testing.T) {
	for p, want := range map[float64]float64{0: 0, 0.5: 1.6783469900166605, 0.95: 4.743864518390565} {
		if got := laplaceLength(p); math.Abs(got-want) > 1e-6 {
			t.Errorf("quantile %v: got %v, want %v", p, got, want)
		}
	}
	const n, scale = 4000, 50_000.0
	r := dice(21)
	var length, x float64
	beyond := 0
	for range n {
		noise := newLocation(t, secretOf(r)).noise
		c := s2.CellFromPoint(anywhere(r)).ID().Parent(16)
		d := noise.fresh(c, scale)
		if d != noise.fresh(c, scale) {
			t.Fatal("a draw is not repeated")
		}
		v := apart(c.Point(), d.Point()) / scale
		length += v
		x += d.Point().Sub(c.Point().Vector).Dot(s2.Ortho(c.Point()).Vector) * earthRadius / scale
		if v > laplace95 {
			beyond++
		}
	}
	if mean := length / n; math.Abs(mean-2) > 0.1 {
		t.Errorf("mean length %.3f/epsilon, want 2", mean)
	}
	if mean := x / n; math.Abs(mean) > 0.1 {
		t.Errorf("draws lean to one side by %.3f", mean)
	}
	if share := float64(beyond) / n; math.Abs(share-0.05) > 0.015 {
		t.Errorf("%.3f of the draws are beyond 95 %%", share)
	}
}

// TestLaplaceAcrossRegrants: one draw per place, whatever the consent.
func TestLaplaceAcrossRegrants(t *testing.T) {
	r := dice(22)
	secret, place := secretOf(r), anywhere(r)
	seen := map[s2.CellID]bool{}
	for range 5 {
		cell, told := visit(t, newLocation(t, secret), noisy(t, 2000, 5), place)
		if !told {
			t.Fatal("nothing told")
		}
		seen[cell] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d draws for one place", len(seen))
	}
}
