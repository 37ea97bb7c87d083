package minimise

import (
	"math"
	"testing"
	"time"

	"github.com/golang/geo/s2"
	"pgregory.net/rapid"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors/location"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestLocationProperties walks at random, with good, bad and impossible fixes.
func TestLocationProperties(t *testing.T) {
	p := permit(t, "location", "nearby")
	rule := p.Effective().Purpose.Minimiser
	rapid.Check(t, func(t *rapid.T) {
		l := &Location{}
		kind := "true"
		if rapid.Bool().Draw(t, "offset") {
			var err error
			if l, err = NewLocation(rapid.SliceOfN(rapid.Byte(), SecretSize, SecretSize).Draw(t, "secret")); err != nil {
				t.Fatal(err)
			}
			kind = "offset"
		}
		odd := []float64{0, 1, 20, 100, 500, 1500, 1e5, 1e9, -1, math.NaN(), math.Inf(1)}
		place := s2.LatLngFromDegrees(rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon"))
		at, last := now, ""
		perDay := map[time.Time]int{}
		for range rapid.IntRange(1, 60).Draw(t, "fixes") {
			step := rapid.SampledFrom([]float64{0, 1e-5, 1e-3, 0.05, 1}).Draw(t, "step")
			lat := place.Lat.Degrees() + step*rapid.Float64Range(-1, 1).Draw(t, "north")
			lon := place.Lng.Degrees() + step*rapid.Float64Range(-1, 1).Draw(t, "east")
			if rapid.IntRange(0, 9).Draw(t, "wild") == 0 {
				lat = rapid.SampledFrom([]float64{91, -91, math.NaN(), math.Inf(1)}).Draw(t, "wildLat")
			} else {
				place = s2.LatLngFromDegrees(min(90, max(-90, lat)), min(180, max(-180, lon)))
				lat, lon = place.Lat.Degrees(), place.Lng.Degrees()
			}
			accuracy := rapid.SampledFrom(odd).Draw(t, "accuracy")
			at = at.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "hours")) * time.Hour)
			report, told, err := l.Add(p, location.Fix{Lat: lat, Lon: lon, Accuracy: accuracy}, at)
			if err != nil {
				t.Fatal(err)
			}
			if !told {
				if !report.Empty() {
					t.Fatal("a report that is not to be told")
				}
				continue
			}
			if !(math.Abs(lat) <= 90) || !(accuracy >= 0) || math.IsInf(accuracy, 1) {
				t.Fatal("an impossible fix was told")
			}
			d, err := wire.DecodeReport(report.Encode())
			if err != nil {
				t.Fatal(err)
			}
			f := d.Item.Fields
			cell := s2.CellIDFromToken(f["cell"].(string))
			lv := f["level"].(int64)
			switch {
			case !cell.IsValid() || int64(cell.Level()) != lv:
				t.Fatal("the level is not that of the cell")
			case lv > int64(rule.Level) || lv < coarsestLevel:
				t.Fatalf("level %d was told, %d was granted", lv, rule.Level)
			case float64(f["accuracy"].(int64)) < edge(cell) || float64(f["accuracy"].(int64)) < accuracy:
				t.Fatal("the told accuracy is better than the cell or the fix")
			case f["kind"] != kind:
				t.Fatalf("kind %v, want %s", f["kind"], kind)
			case f["cell"] == last:
				t.Fatal("a cell was told twice running")
			case d.Item.Time%3600 != 0:
				t.Fatal("the time is finer than the hour")
			}
			last = f["cell"].(string)
			if perDay[day(at)]++; perDay[day(at)] > rule.DailyCap {
				t.Fatal("more than the daily cap")
			}
			if len(l.known) > remembered || len(l.known) != len(l.used) {
				t.Fatal("too many cells are remembered")
			}
		}
	})
}

// TestBelowCoverage: what is told grows coarser with the fix, and ends.
func TestBelowCoverage(t *testing.T) {
	p := permit(t, "location", "nearby")
	place := anywhere(dice(9))
	last := int64(level)
	for accuracy := 1.0; accuracy < 1e7; accuracy *= 2 {
		report, told, err := newLocation(t, make([]byte, SecretSize)).Add(p, fixAt(place, accuracy), now)
		if err != nil {
			t.Fatal(err)
		}
		if !told {
			if accuracy < 5000 {
				t.Errorf("nothing was told of a fix of %v m", accuracy)
			}
			last = 0
			continue
		}
		lv := decoded(t, report).Item.Fields["level"].(int64)
		if lv > last {
			t.Errorf("a fix of %v m gave level %d, a better one level %d", accuracy, lv, last)
		}
		last = lv
	}
	if last != 0 {
		t.Error("a fix that is off by thousands of kilometres was told")
	}
}

// TestPoorFixAfterAGoodOne changes nothing while it agrees with what was told.
func TestPoorFixAfterAGoodOne(t *testing.T) {
	p := permit(t, "location", "nearby")
	l, place := newLocation(t, make([]byte, SecretSize)), anywhere(dice(10))
	for i, accuracy := range []float64{10, 1000, 300, 10, 2000} {
		if _, told, err := l.Add(p, fixAt(place, accuracy), now); err != nil || told != (i == 0) {
			t.Errorf("fix %d: told %v, %v", i, told, err)
		}
	}
}

// TestUnknownAccuracyIsNotPerfect: a source that does not know how good it is gets no finer cell than a bad street allows.
func TestUnknownAccuracyIsNotPerfect(t *testing.T) {
	doc := permit(t, "location", "nearby").Effective().Document
	fine := *doc
	fine.Categories = append([]policy.Category(nil), doc.Categories...)
	at := 0
	for i, c := range fine.Categories {
		if c.ID != "location" {
			continue
		}
		at = i
		c.Purposes = append([]policy.Purpose(nil), c.Purposes...)
		c.Purposes[0].Minimiser.Level = 16
		fine.Categories[i] = c
	}
	p := consenttest.Permit(t, &fine, "location", fine.Categories[at].Purposes[0].ID)
	report, told, err := newLocation(t, make([]byte, SecretSize)).Add(p, fixAt(anywhere(dice(11)), 0), now)
	if err != nil || !told {
		t.Fatalf("told %v, %v", told, err)
	}
	if lv := decoded(t, report).Item.Fields["level"].(int64); lv >= 16 {
		t.Errorf("level %d for an unknown accuracy", lv)
	}
}
