package steps

import "time"

// track follows a hardware counter, which may begin again, overflow, or answer nonsense, with a total that never goes
// down.
//
// A sensor hub that does not answer reads as 0 without an error, so 0 after something else says nothing: a
// counter that did begin again is seen at its first step.
type track struct {
	begun bool
	last  uint64 // value that was believed
	at    time.Time
	total uint64
}

const (
	// fastest is the most steps a second anybody takes for long, and slack what a counter may be ahead of it, since
	// hubs deliver late.
	fastest = 5
	slack   = 250
)

// widths are the sizes of counters in bits: they go from all ones to 0.
var widths = [...]int{16, 24, 32}

func (t *track) follow(v uint64, now time.Time) (total uint64) {
	if !t.begun {
		*t = track{begun: true, last: v, at: now, total: v}
		return v
	}
	if v == 0 {
		return t.total
	}
	// The wall clock counts the time asleep, the other cannot be set.
	elapsed := max(now.Sub(t.at), now.Round(0).Sub(t.at.Round(0)), 0)
	plausible := slack + uint64(elapsed.Seconds()*fastest)
	if d := t.since(v, plausible); d <= plausible {
		t.total += d
	}
	t.last, t.at = v, now
	return t.total
}

// since returns the steps from the last value to v.
func (t *track) since(v, plausible uint64) uint64 {
	if v >= t.last {
		return v - t.last
	}
	for _, bits := range widths {
		if end := uint64(1) << bits; t.last < end && end-t.last+v <= plausible {
			return end - t.last + v
		}
	}
	return v
}
