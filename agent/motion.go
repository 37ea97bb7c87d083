package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/accel"
	"github.com/scruple-agent/scruple/sensors/steps"
	"github.com/scruple-agent/scruple/sensors/steps/pedometer"
)

// burstSamples is how many samples say whether the device lies still: one second of them.
const burstSamples = accel.Rate

// pedometerEvery is how often the accelerometer's buffer is emptied for steps. A count is final after 20 s anyway.
const pedometerEvery = 10 * time.Second

func (c *collection) readMotion(ctx context.Context, p consent.Permit, asked bool) ([]minimise.Report, error) {
	burst, err := c.agent.sources.hub.Burst(ctx, p, burstSamples)
	if err == nil {
		err = accel.Plausible(burst)
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := p.Check(); err != nil { // it ended meanwhile: nothing of the burst goes into the next consent's window
		clear(burst)
		return nil, err
	}
	if c.window.IsZero() {
		c.window = now
	}
	c.motion.Add(burst)
	clear(burst)
	if !asked && now.Sub(c.window) < c.rules().Purpose.Minimiser.Window {
		return nil, nil
	}
	c.window = time.Time{}
	return one(c.motion.Report(p, now))
}

// counted counts steps from the accelerometer while a permit for steps holds.
type counted struct {
	feed    *accel.Feed
	mu      sync.Mutex
	counter pedometer.Counter
}

// countSteps counts from the accelerometer, on from what c has counted if it is not nil. It fails where there is none whose
// buffer this process may read: reading it sample by sample for days would cost the battery more than steps are worth.
func countSteps(hub *accel.Hub, p consent.Permit, c *counted) (*counted, error) {
	if c == nil {
		c = &counted{}
	}
	feed, err := hub.Follow(p, pedometerEvery, false, func(samples []accel.Sample) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range samples {
			_ = c.counter.Add(s.Tick, s.X, s.Y, s.Z) // what is no acceleration is as if it had not come
		}
	})
	if err != nil {
		return nil, err
	}
	c.feed = feed
	switch err := feed.Opened(); {
	case err == nil, errors.Is(err, sensors.ErrBusy), errors.Is(err, sensors.ErrMute), errors.Is(err, accel.ErrImplausible): // waited for
	default:
		feed.Close()
		return nil, fmt.Errorf("count steps from the accelerometer: %w", err)
	}
	return c, nil
}

// Steps implements steps.Counter.
func (c *counted) Steps() uint64 { return c.counter.Steps() }

// flush counts what was held back for its surroundings to be known.
func (c *counted) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counter.Flush()
}

// openCounter opens the device's step counter, or counts from the accelerometer where there is none, on from counting if it is
// not nil.
func (c *collection) openCounter(p consent.Permit, counting *counted) (*steps.Source, *counted, error) {
	source, err := steps.Open(p, c.agent.sources.sys)
	if !errors.Is(err, sensors.ErrAbsent) {
		return source, nil, err
	}
	if counting, err = countSteps(c.agent.sources.hub, p, counting); err != nil {
		return nil, nil, err
	}
	if source, err = steps.OpenCounter(p, counting); err != nil {
		counting.feed.Close()
		return nil, nil, err
	}
	return source, counting, nil
}

// lastSteps counts what the pedometer still holds back, when the agent stops. The caller holds mu.
func (c *collection) lastSteps(p consent.Permit) (made []minimise.Report) {
	if c.counter == nil || c.counting == nil {
		return nil
	}
	c.counting.feed.Close()
	c.counting.flush()
	reading, err := c.counter.Read()
	if err != nil {
		return nil
	}
	if report, done, err := c.steps.Add(p, reading); err == nil && done {
		made = append(made, report)
	}
	return made
}

// sourceProblem is what is wrong at the moment with a source that is open, or was at the last reading. The caller holds
// mu.
func (c *collection) sourceProblem() error {
	if c.problem != nil {
		return c.problem
	}
	if c.live != nil {
		return c.live()
	}
	return nil
}
