package steps

import (
	"testing"
	"time"
)

func TestTrack(t *testing.T) {
	type reading struct {
		after  time.Duration
		value  uint64
		counts uint64 // since the reading before
	}
	const minute = time.Minute
	for name, readings := range map[string][]reading{
		"walks":                    {{0, 1337, 0}, {minute, 1450, 113}, {minute, 1450, 0}, {minute, 1451, 1}},
		"begins again":             {{0, 1337, 0}, {minute, 20, 20}, {minute, 130, 110}},
		"begins again, seen at 0":  {{0, 1337, 0}, {minute, 0, 0}, {minute, 20, 20}},
		"does not answer":          {{0, 1337, 0}, {minute, 0, 0}, {minute, 0, 0}, {minute, 1400, 63}},
		"overflows at 16 bits":     {{0, 65500, 0}, {minute, 64, 100}},
		"overflows at 24 bits":     {{0, 1<<24 - 10, 0}, {minute, 90, 100}},
		"overflows at 32 bits":     {{0, 1<<32 - 10, 0}, {minute, 90, 100}},
		"nonsense, then sense":     {{0, 1337, 0}, {minute, 90_000_000, 0}, {minute, 1400, 0}, {minute, 1450, 50}},
		"after a day asleep":       {{0, 1337, 0}, {24 * time.Hour, 31_337, 30_000}},
		"the clock was set back":   {{0, 1337, 0}, {-24 * time.Hour, 1437, 100}, {minute, 1537, 100}},
		"answers late":             {{0, 0, 0}, {minute, 31_337, 0}, {minute, 31_437, 100}},
		"nonsense after beginning": {{0, 0, 0}, {minute, 3_999_999_999, 0}, {minute, 5, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			var tr track
			now := time.Date(2031, 5, 1, 8, 0, 0, 0, time.UTC)
			var before uint64
			for i, r := range readings {
				now = now.Add(r.after)
				total := tr.follow(r.value, now)
				if i > 0 && total-before != r.counts {
					t.Errorf("reading %d: counted %d steps, want %d", i, total-before, r.counts)
				}
				before = total
			}
		})
	}
}

func FuzzTrack(f *testing.F) {
	f.Add(uint64(1337), uint64(0), uint64(1400), int64(60), int64(60))
	f.Add(uint64(1<<24-1), uint64(3), uint64(1<<32), int64(-60), int64(1<<40))
	f.Fuzz(func(t *testing.T, a, b, c uint64, d, e int64) {
		var tr track
		now := time.Unix(1_900_000_000, 0)
		first := tr.follow(a%MaxCounter, now)
		now = now.Add(time.Duration(d))
		second := tr.follow(b%MaxCounter, now)
		now = now.Add(time.Duration(e))
		third := tr.follow(c%MaxCounter, now)
		limit := uint64(2*slack) + uint64((max(time.Duration(d), 0)+max(time.Duration(e), 0)).Seconds()*fastest) + 2
		if second < first || third < second || d >= 0 && e >= 0 && d < 1<<61 && e < 1<<61 && third-first > limit {
			t.Errorf("from %d to %d to %d", first, second, third)
		}
	})
}
