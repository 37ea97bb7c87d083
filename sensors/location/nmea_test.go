package location_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scruple-agent/scruple/sensors/location"
)

const (
	rmc = "GPRMC,100000.00,A,3954.2500,N,11623.0000,E,0.5,0.0,231126,,,A"
	gga = "GPGGA,100000.00,3954.2500,N,11623.0000,E,1,08,0.9,45.0,M,0.0,M,,"
	gsa = "GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.5,0.9,1.2"
)

// last feeds sentences and returns what the last one was.
func last(bodies ...string) (fix location.Fix, kind location.Kind) {
	var n location.NMEA
	for _, b := range bodies {
		fix, kind = n.Parse([]byte(sentence(b)))
	}
	return fix, kind
}

func TestNMEA(t *testing.T) {
	when := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		sentences []string
		time      time.Time
		lat, lon  float64
		accuracy  float64
	}{
		"RMC alone":        {[]string{rmc}, when, 39.904166667, 116.383333333, 0},
		"GGA after RMC":    {[]string{rmc, gga}, when, 39.904166667, 116.383333333, 9},
		"RMC after GGA":    {[]string{gga, rmc}, when, 39.904166667, 116.383333333, 9},
		"HDOP of GSA":      {[]string{strings.Replace(gsa, "0.9", "2.5", 1), rmc}, when, 39.904166667, 116.383333333, 25},
		"south, west":      {[]string{"GNRMC,100000.5,A,0030.0000,S,00015.0000,W,,,231126,,"}, when.Add(500 * time.Millisecond), -0.5, -0.25, 0},
		"past midnight":    {[]string{"GPRMC,235959,A,3954.2500,N,11623.0000,E,,,231126,,,A", strings.Replace(gga, "100000", "000000", 1)}, when.Add(14 * time.Hour), 39.904166667, 116.383333333, 9},
		"before midnight":  {[]string{"GPRMC,000001,A,3954.2500,N,11623.0000,E,,,241126,,,A", strings.Replace(gga, "100000", "235959", 1)}, when.Add(14*time.Hour - time.Second), 39.904166667, 116.383333333, 9},
		"unknown HDOP":     {[]string{rmc, strings.Replace(gga, "0.9", "99.9", 1)}, when, 39.904166667, 116.383333333, 0},
		"in the last year": {[]string{strings.Replace(rmc, "231126", "311299", 1)}, time.Date(1999, 12, 31, 10, 0, 0, 0, time.UTC), 39.904166667, 116.383333333, 0},
	} {
		fix, kind := last(tc.sentences...)
		if kind != location.Position || !fix.Time.Equal(tc.time) || math.Abs(fix.Lat-tc.lat) > 1e-8 || math.Abs(fix.Lon-tc.lon) > 1e-8 || math.Abs(fix.Accuracy-tc.accuracy) > 1e-9 {
			t.Errorf("%s: kind %d, time %v, accuracy %v", name, kind, fix.Time, fix.Accuracy)
		}
	}
}

func TestNMEAWithoutFix(t *testing.T) {
	for name, sentences := range map[string][]string{
		"void":                  {strings.Replace(rmc, ",A,", ",V,", 1)},
		"not valid":             {strings.TrimSuffix(rmc, "A") + "N"},
		"simulated":             {strings.TrimSuffix(rmc, "A") + "S"},
		"estimated":             {strings.TrimSuffix(rmc, "A") + "E"},
		"typed in":              {strings.TrimSuffix(rmc, "A") + "M"},
		"no date":               {strings.Replace(rmc, "231126", "", 1)},
		"no such date":          {strings.Replace(rmc, "231126", "310226", 1)},
		"no place":              {"GPRMC,100000,A,,,,,,,231126,,,A"},
		"GGA without a date":    {gga},
		"GGA without a fix":     {rmc, strings.Replace(gga, "E,1,", "E,0,", 1)},
		"GGA simulated":         {rmc, strings.Replace(gga, "E,1,", "E,8,", 1)},
		"GSA says there's none": {strings.Replace(gsa, "A,3", "A,1", 1), rmc},
		"another sentence":      {"GPGSV,3,1,11,01,02,03,04"},
		"proprietary":           {"PFST,FOM,1"},
	} {
		if _, kind := last(sentences...); kind != location.NoFix {
			t.Errorf("%s: kind %d, want no fix", name, kind)
		}
	}
}

func TestDamagedNMEA(t *testing.T) {
	good := sentence(rmc)
	for name, line := range map[string]string{
		"empty":             "",
		"no dollar":         good[1:],
		"no checksum":       "$" + rmc + "\r\n",
		"wrong checksum":    strings.Replace(good, "3954", "3955", 1),
		"checksum not hex":  "$" + rmc + "*ZZ\r\n",
		"half":              good[:30],
		"two in one":        good[:20] + good,
		"binary":            "\xb5\x62\x01\x07\x5c\x00",
		"a control":         sentence("GPRMC,10\x0000.00"),
		"60 minutes":        sentence(strings.Replace(rmc, "3954.2500", "3960.0000", 1)),
		"91 degrees":        sentence(strings.Replace(rmc, "3954.2500", "9100.0000", 1)),
		"181 degrees":       sentence(strings.Replace(rmc, "11623.0000", "18100.0000", 1)),
		"no side":           sentence(strings.Replace(rmc, ",N,", ",,", 1)),
		"wrong side":        sentence(strings.Replace(rmc, ",N,", ",E,", 1)),
		"letters":           sentence(strings.Replace(rmc, "3954.2500", "39x4.2500", 1)),
		"an exponent":       sentence(strings.Replace(rmc, "3954.2500", "3954.2e00", 1)),
		"not a number":      sentence(strings.Replace(rmc, "3954.2500", "39NaN", 1)),
		"minus":             sentence(strings.Replace(rmc, "3954.2500", "39-4.2500", 1)),
		"too few fields":    sentence("GPRMC,100000,A"),
		"too few of GGA":    sentence("GPGGA,100000"),
		"too few of GSA":    sentence("GPGSA,A,3"),
		"nothing but stars": "$***",
	} {
		var n location.NMEA
		if _, kind := n.Parse([]byte(line)); kind != location.Nonsense {
			t.Errorf("%s: kind %d, want nonsense", name, kind)
		}
	}
}

// TestNMEADamageIsNoPosition: a sentence of which one character was changed gives no position.
func TestNMEADamageIsNoPosition(t *testing.T) {
	good := sentence(rmc)
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(good[:len(good)-2])
		at := rapid.IntRange(0, len(b)-4).Draw(t, "at")
		c := rapid.Byte().Draw(t, "byte")
		if c == b[at] {
			return
		}
		b[at] = c
		var n location.NMEA
		if _, kind := n.Parse(b); kind == location.Position {
			t.Errorf("damage at %d", at)
		}
	})
}

func FuzzNMEA(f *testing.F) {
	f.Add([]byte(sentence(rmc) + sentence(gga) + sentence(gsa)))
	f.Add([]byte(sentence(strings.Replace(gsa, "A,3", "A,1", 1)) + sentence(rmc)))
	f.Add([]byte("$*00\n$GPRMC*4B\n$PFST,*"))
	f.Add([]byte(sentence("GPRMC,235960.99,A,9000.0000,S,18000.0000,W,,,290200,,,R")))
	f.Fuzz(func(t *testing.T, log []byte) {
		var n location.NMEA
		for _, line := range strings.SplitAfter(string(log), "\n") {
			fix, kind := n.Parse([]byte(line))
			if kind != location.Position {
				continue
			}
			if !(math.Abs(fix.Lat) <= 90) || !(math.Abs(fix.Lon) <= 180) || fix.Time.Year() < 1979 || fix.Time.Year() > 2080 ||
				!(fix.Accuracy >= 0) || fix.Accuracy > 500 {
				t.Error("a position that is none")
			}
		}
	})
}

func BenchmarkNMEA(b *testing.B) {
	log := []string{sentence(gga), sentence(gsa), sentence(rmc)}
	var n location.NMEA
	line := make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range log {
			line = append(line[:0], s...)
			n.Parse(line)
		}
	}
}

func BenchmarkParseGPSD(b *testing.B) {
	line := []byte(tpv(1, 39.9, 116.4))
	b.ReportAllocs()
	for b.Loop() {
		location.Parse(line)
	}
}
