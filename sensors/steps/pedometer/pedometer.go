// Package pedometer counts steps from acceleration, for devices without a step counter of their own. It keeps
// nothing but counts: a Counter takes samples one by one, in bounded memory, and forgets them.
//
// How it works. Whatever the sensor's rate, the magnitude of the acceleration is averaged to 25 samples a second
// and kept between about 0.6 and 3 Hz, where steps are. Blocks of 0.64 s are then judged by their surroundings:
//
//   - Rhythm: the autocorrelation over 6 s of the signal with its amplitude levelled out. Where its period stays
//     the same for some blocks, somebody walks, and the time divided by the period is the number of steps. In a
//     back pocket one foot is hardly felt, so the period may be that of a stride; its half then still shows.
//   - Once the rhythm is found, it is held while it is blurred (a turn, an arm that does something else), and
//     carried back over the blocks before it, so that a walk is counted from its first step.
//   - Slow steps have no steady rhythm, at the wrist least of all. They are counted one by one where heel strikes,
//     short and upwards, stand over quiet for a while. Hands at work are quiet less often, or for longer.
//
// A count is final about 20 s after the step; Flush brings what waits.
//
// It leaves out how samples come about, and consent: package steps holds the permit.
package pedometer

import (
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/scruple-agent/scruple/sensors"
)

const (
	// Rate is what every input is brought to, in Hz. 25 is enough, 12.5 is not.
	Rate = 25
	// MinRate and MaxRate are the rates of input in Hz that the counting was tried with. Others are taken too.
	MinRate, MaxRate = 12.5, 400
	// LongGap is the longest time between two samples that is bridged by a straight line. What comes after a
	// longer one is counted by itself.
	LongGap = 2 * time.Second
	// Gap is from when a time between two samples is counted as a gap.
	Gap = 500 * time.Millisecond

	standardGravity = 9.80665
	period          = int64(time.Second) / Rate // of the samples inside, ns
	// maxValue is the largest magnitude taken for a measurement, in whatever unit.
	maxValue = 1e9
	// settling is how many of our samples are kept before the unit of a magnitude is known: 10 s.
	settling = 256
	// levelStep is by how much a sample moves the estimate of 1 g: at most 0.5 % a second.
	levelStep = 0.0002
)

// ErrValue says that a sample is not a number, infinite, or beyond anything a sensor measures.
var ErrValue = errors.New("no acceleration")

// Stats are what a Counter has seen.
type Stats struct {
	// Samples were used. Late came with the time of a sample before, or an earlier one, and were dropped.
	Samples, Late uint64
	// Gaps are pauses of more than Gap; Duration is the time that was observed, without the long ones.
	Gaps     uint64
	Duration time.Duration
	// Level is the mean magnitude of what Add was given, near 9.81; or what 1 g reads in the unit of what
	// AddMagnitude was given: the median of the first 10 s, followed slowly, and 0 until then.
	Level float64
	// Scaled says that the samples came by AddMagnitude.
	Scaled bool
}

// Counter counts steps. The zero value is ready. One goroutine feeds it, any may read Steps.
type Counter struct {
	sensors.Raw
	steps atomic.Uint64
	stats Stats

	// The input: a line through the samples, averaged over periods.
	begun bool
	t     int64
	m     float64
	phase int64   // ns of the period that are in area
	area  float64 // m * ns

	ours    float64 // samples that the mean is of
	waiting int     // in kept
	kept    [settling]float64

	band   band
	rhythm rhythm
}

// Steps returns the steps counted so far. It never goes down.
func (c *Counter) Steps() uint64 { return c.steps.Load() }

// Stats returns what was seen so far.
func (c *Counter) Stats() Stats { return c.stats }

// Add takes one sample: t in nanoseconds of any clock, the three axes in m/s2 with gravity. A repeated or somewhat
// older t is dropped and counted; a far older one is taken for a clock that was set. It returns ErrValue for a
// sample that cannot be one, which is then as if it had not come.
func (c *Counter) Add(t int64, x, y, z float64) error {
	return c.add(t, math.Sqrt(x*x+y*y+z*z), false)
}

// AddMagnitude takes one sample of which only the magnitude is known, gravity included, in any unit: what it reads at
// 1 g is estimated. Add says the rest.
func (c *Counter) AddMagnitude(t int64, m float64) error {
	if m < 0 {
		return ErrValue
	}
	return c.add(t, m, true)
}

func (c *Counter) add(t int64, m float64, scaled bool) error {
	if !(m <= maxValue) { // also NaN
		return ErrValue
	}
	if c.begun && scaled == c.stats.Scaled {
		switch gap := uint64(t) - uint64(c.t); {
		case t <= c.t && uint64(c.t)-uint64(t) <= uint64(LongGap):
			c.stats.Late++
			return nil
		case t > c.t && gap <= uint64(LongGap):
			if gap > uint64(Gap) {
				c.stats.Gaps++
			}
			c.stats.Samples++
			c.stats.Duration += time.Duration(gap)
			c.line(int64(gap), m)
			c.t, c.m = t, m
			return nil
		}
		c.stats.Gaps++
	}
	c.Flush()
	c.stats.Samples++
	if c.stats.Scaled != scaled {
		c.stats.Scaled, c.stats.Level, c.ours = scaled, 0, 0
	}
	c.begun, c.t, c.m = true, t, m
	return nil
}

// line goes on to m, dt later, and hands on every period that is complete.
func (c *Counter) line(dt int64, m float64) {
	slope := (m - c.m) / float64(dt)
	for left := period - c.phase; dt >= left; left = period {
		end := c.m + slope*float64(left)
		c.sample((c.area + (c.m+end)/2*float64(left)) * (1 / float64(period)))
		c.m, c.area, c.phase = end, 0, 0
		dt -= left
	}
	c.area += (c.m + m) / 2 * float64(dt)
	c.phase += dt
}

// sample takes one of our 25 samples a second, in the input's unit.
func (c *Counter) sample(m float64) {
	switch {
	case !c.stats.Scaled:
		c.ours++
		c.stats.Level += (m - c.stats.Level) / c.ours
		c.process(m)
	case c.stats.Level == 0:
		c.kept[c.waiting] = m
		if c.waiting++; c.waiting == settling {
			c.settle()
		}
	default:
		if m > c.stats.Level {
			c.stats.Level *= 1 + levelStep
		} else {
			c.stats.Level *= 1 - levelStep
		}
		c.process(m * (standardGravity / c.stats.Level))
	}
}

// settle finds out what 1 g reads and processes the samples that waited for it.
func (c *Counter) settle() {
	kept := c.kept[:c.waiting]
	c.waiting = 0
	var ordered [settling]float64
	n := copy(ordered[:], kept)
	slices.Sort(ordered[:n])
	c.stats.Level = max(ordered[n/2], math.SmallestNonzeroFloat32)
	for _, m := range kept {
		c.process(m * (standardGravity / c.stats.Level))
	}
}

// process takes one of our samples in m/s2.
func (c *Counter) process(m float64) {
	if d, ok := c.band.next(m); ok {
		c.count(c.rhythm.next(d))
	}
}

func (c *Counter) count(changed bool) {
	if changed {
		c.steps.Store(uint64(c.rhythm.total + 0.5))
	}
}

// Flush counts what was held back for its surroundings to be known. What comes after it is counted by itself, so it is
// for the end of a recording, or before a long pause.
func (c *Counter) Flush() {
	if c.waiting > 0 {
		c.settle()
	}
	if c.band.begun {
		for range bandDelay {
			c.count(c.rhythm.next(c.band.hold()))
		}
		c.count(c.rhythm.flush())
	}
	c.band = band{}
	c.begun, c.phase, c.area = false, 0, 0
}
