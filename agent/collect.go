package agent

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors/device"
	"github.com/scruple-agent/scruple/sensors/location"
	"github.com/scruple-agent/scruple/sensors/steps"
)

// collection is what the agent keeps in memory for one tuple between readings. Everything in it is small already, or
// forgotten at withdrawal.
type collection struct {
	agent *Agent
	tuple policy.Tuple
	terms atomic.Pointer[policy.Effective] // what the policy in force says

	reading sync.Mutex // one reading at a time

	mu        sync.Mutex
	due       time.Time
	collected time.Time
	window    time.Time // accelerometer: start of the open window
	problem   error     // of the last reading
	session   *consent.Session
	followed  chan struct{} // closed when the source of the last session is
	counter   *steps.Source // open while its consent holds
	counting  *counted      // where the counter is a pedometer
	live      func() error  // what is wrong with the source that is open
	counts    map[string]int
	books     []control.Book // of contacts: how the last readings went
	failures  int            // readings of contacts that failed in a row
	busy      bool           // contacts are being read in the background
	motion    minimise.Motion
	steps     minimise.Steps
	location  *minimise.Location // nil before the first session of a consent
	told      minimise.Report    // the last one of location
	here      bool               // told is where the person was at the last fix of the open session
	opener    string             // channel that opened the session
	stepRange minimise.StepRange
	// operations are this program's own counts that are not stored yet.
	operations map[string]int64
}

func (c *collection) rules() policy.Effective { return *c.terms.Load() }

// errNoReader says that nothing is read for a purpose: the application submits.
var errNoReader = errors.New("nothing is read for this purpose on the device")

// scheduled reports whether the wheel reads for this tuple.
func (c *collection) scheduled() bool {
	if c.analytics() {
		return c.rules().Purpose.Collect.Mode != policy.ModeSession
	}
	if c.rules().Purpose.Collect.Mode != policy.ModeBackground {
		return false
	}
	switch c.rules().Category.Source {
	case policy.SourceDevice, policy.SourceAccelerometer, policy.SourceSteps, policy.SourceContacts:
		return true
	}
	return false
}

// burstsPerWindow is how often within an accelerometer window the sensor is looked at.
const (
	burstsPerWindow = 12
	stepInterval    = time.Hour
)

// interval is how long the wheel waits between two readings.
func (c *collection) interval() time.Duration {
	switch c.rules().Category.Source {
	case policy.SourceAccelerometer:
		return c.rules().Purpose.Minimiser.Window / burstsPerWindow
	case policy.SourceSteps:
		return stepInterval
	}
	if c.analytics() {
		return sweepEvery
	}
	return c.rules().Purpose.Collect.Every
}

// forget drops what is kept in memory: the consent it was read under has ended.
func (c *collection) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		c.session.Close()
	}
	c.closeCounter()
	c.session, c.problem, c.counts, c.books, c.failures = nil, nil, nil, nil, 0
	c.due, c.collected, c.location = time.Time{}, time.Time{}, nil
	c.told, c.here, c.opener = minimise.Report{}, false, ""
	c.drop()
}

// drop forgets what was read and stands in no report yet. The caller holds mu.
func (c *collection) drop() {
	c.window, c.motion, c.steps = time.Time{}, minimise.Motion{}, minimise.Steps{}
	c.stepRange, c.operations = minimise.StepRange{}, nil
}

// renew follows a change of the policy. What was counted under a consent that goes on stays counted, and is reported under
// the narrower rules; anything else is forgotten.
func (c *collection) renew() {
	if !c.agent.register.State(c.tuple).InForce {
		c.forget()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		c.session.Close()
	}
	c.session, c.due = nil, time.Time{} // due is reckoned anew from the last report
}

// collect reads the source once, makes reports and stores them. asked is set when the person wants what there is
// now, rather than at the end of a window or a day.
func (c *collection) collect(ctx context.Context, asked bool) (reports int, err error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	permit, err := c.agent.register.Permit(c.tuple)
	if err != nil {
		return 0, err
	}
	if c.analytics() {
		reports, err = c.collectAnswers(permit, time.Now(), asked)
	} else {
		var made []minimise.Report
		made, err = c.read(ctx, permit, asked)
		if err == nil {
			err = c.store(permit, made)
		}
		reports = len(made)
	}
	if over := permit.Check(); over != nil { // how it went says nothing about the next consent
		if err == nil {
			err = over
		}
		return reports, err
	}
	now := time.Now()
	var due time.Time
	if c.analytics() {
		due = c.nextAnswers(permit.Consent(), now)
	}
	c.mu.Lock()
	if due.IsZero() {
		due = now.Add(c.wait(err))
	}
	c.problem = err
	c.due = due
	if reports > 0 && err == nil {
		c.collected = now
	}
	c.mu.Unlock()
	if reports > 0 && err == nil {
		c.agent.operation(countCollections)
	}
	if err != nil && !errors.Is(err, errNoReader) {
		c.agent.log.Info("reading failed", zap.Stringer("tuple", c.tuple), zap.Error(err))
	}
	return reports, err
}

func (c *collection) store(p consent.Permit, made []minimise.Report) error {
	for _, r := range made {
		if err := c.agent.spool.Append(p, r); err != nil {
			return err
		}
	}
	if len(made) > 0 {
		c.agent.uploader.Kick()
	}
	return nil
}

// read opens the source of the tuple, reads, and closes it.
func (c *collection) read(ctx context.Context, p consent.Permit, asked bool) ([]minimise.Report, error) {
	switch c.rules().Category.Source {
	case policy.SourceDevice:
		return c.readDevice(p)
	case policy.SourceAccelerometer:
		return c.readMotion(ctx, p, asked)
	case policy.SourceSteps:
		return c.readSteps(p, asked)
	case policy.SourceContacts:
		return c.readContacts(ctx, p)
	}
	return nil, errNoReader
}

func one(r minimise.Report, err error) ([]minimise.Report, error) {
	if err != nil {
		return nil, err
	}
	return []minimise.Report{r}, nil
}

func (c *collection) readDevice(p consent.Permit) ([]minimise.Report, error) {
	source, err := device.Open(p, c.agent.sources.device)
	if err != nil {
		return nil, err
	}
	sample, err := source.Read()
	if err != nil {
		return nil, err
	}
	return one(minimise.Device(p, sample, Version, time.Now()))
}

// readCounter reads the step counter, which stays open from one reading to the next: it follows resets and wraps. What is open
// holds for the terms it was opened under; where a consent goes on under narrower ones it is opened again.
func (c *collection) readCounter(p consent.Permit) (steps.Sample, error) {
	c.mu.Lock()
	source := c.counter
	c.mu.Unlock()
	if source != nil {
		reading, err := source.Read()
		if err == nil {
			return reading, nil
		}
		c.mu.Lock()
		counting := c.counting
		c.closeCounter()
		c.mu.Unlock()
		if !errors.Is(err, consent.ErrNotInForce) || p.Check() != nil {
			return reading, err
		}
		return c.firstReading(p, counting)
	}
	return c.firstReading(p, nil)
}

// firstReading opens the step counter and reads it. It stays open where that succeeds. counting is a pedometer that goes on
// counting, nil for none.
func (c *collection) firstReading(p consent.Permit, counting *counted) (steps.Sample, error) {
	source, counting, err := c.openCounter(p, counting)
	if err != nil {
		return steps.Sample{}, err
	}
	reading, err := source.Read()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counter, c.counting = source, counting
	if counting != nil {
		c.live = counting.feed.Problem
	}
	if err != nil {
		c.closeCounter()
	}
	return reading, err
}

func (c *collection) readSteps(p consent.Permit, asked bool) ([]minimise.Report, error) {
	reading, err := c.readCounter(p)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var made []minimise.Report
	report, done, err := c.steps.Add(p, reading)
	if err != nil { // the consent ended meanwhile
		c.closeCounter()
		return nil, err
	}
	if done {
		made = append(made, report)
	}
	if asked && c.steps.Pending() {
		if report, err = c.steps.Report(p); err != nil {
			return nil, err
		}
		made = append(made, report)
	}
	return made, nil
}

// closeCounter lets go of the open step counter, if there is one. The caller holds mu.
func (c *collection) closeCounter() {
	if c.counting != nil {
		c.counting.feed.Close()
		c.counting, c.live = nil, nil
	}
	if c.counter == nil {
		return
	}
	if err := c.counter.Close(); err != nil {
		c.agent.log.Warn("the step counter could not be switched off again", zap.Error(err))
	}
	c.counter = nil
}

// follow reads the location for as long as the session lasts.
func (c *collection) follow(ctx context.Context, s *consent.Session) {
	permit := s.Permit()
	err := func() error {
		source, err := location.Open(ctx, permit, c.agent.sources.location)
		if err != nil {
			return err
		}
		defer source.Close()
		c.mu.Lock()
		c.live = source.Problem
		c.mu.Unlock()
		cells, err := c.cells(permit)
		if err != nil {
			return err
		}
		for {
			fix, err := source.Read(ctx)
			if err != nil {
				return err
			}
			c.mu.Lock()
			before := cells.Spent()
			report, changed, err := cells.Add(permit, fix, time.Now())
			spent := cells.Spent()
			c.here = err == nil && cells.Current()
			if changed {
				c.told = report
			}
			c.mu.Unlock()
			if err != nil {
				return err
			}
			if spent != before { // before anything is told of it
				if err := c.agent.ring.SpendPlace(permit.Consent(), spent); err != nil {
					return err
				}
			}
			if !changed {
				continue
			}
			if err := c.store(permit, []minimise.Report{report}); err != nil {
				return err
			}
			c.mu.Lock()
			c.collected = time.Now()
			c.mu.Unlock()
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil && c.session != s {
		return // what holds now is about the session after it
	}
	if permit.Check() != nil || ctx.Err() != nil {
		err = nil // the session ended, as it should
	}
	c.live = nil
	c.problem = err
}

// cells returns what makes cells of fixes, with the secret of places that the consent shares with those before it.
func (c *collection) cells(p consent.Permit) (*minimise.Location, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.location != nil {
		return c.location, nil
	}
	secret, spent, err := c.agent.ring.PlaceSecret(p.Consent())
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	cells, err := minimise.NewLocation(secret)
	if err != nil {
		return nil, err
	}
	cells.Resume(spent)
	c.location = cells
	return cells, nil
}

// storePending stores what was counted but not yet reported, when the agent stops.
func (a *Agent) storePending() {
	for t, c := range a.current.Load().tuples {
		permit, err := a.register.Permit(t)
		if err != nil {
			continue
		}
		c.mu.Lock()
		made := c.lastSteps(permit)
		if c.steps.Pending() {
			if r, err := c.steps.Report(permit); err == nil {
				made = append(made, r)
			}
		}
		if !c.motion.Empty() {
			if r, err := c.motion.Report(permit, time.Now()); err == nil {
				made = append(made, r)
			}
		}
		c.closeCounter()
		c.mu.Unlock()
		if err := c.store(permit, made); err != nil {
			a.log.Warn("what was counted last could not be stored", zap.Stringer("tuple", t), zap.Error(err))
		}
	}
}
