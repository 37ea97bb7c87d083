package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/answers"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Periods are the same for everybody: they end at multiples of their length, counted from a Monday in UTC. When a device
// agreed or was started shows in none of them.
const periodsFrom = 4 * 86400 // 5 January 1970

// periodBegin returns when the period began that t is in.
func periodBegin(t time.Time, length time.Duration) time.Time {
	seconds := max(1, int64(length/time.Second))
	since := (t.Unix() - periodsFrom) % seconds
	if since < 0 {
		since += seconds
	}
	return time.Unix(t.Unix()-since, 0)
}

// end is when the period ends that a counting which began then is in.
func (c *collection) end(begin time.Time) time.Time {
	return periodBegin(begin, c.period()).Add(c.period())
}

// periodOfCounts is how long counts are gathered that no schedule of the policy is about: those that an application submits.
const periodOfCounts = 7 * policy.Day

// The agent's own counts: the fields that a category with the source "agent" can declare.
const (
	countStarts      = "starts"
	countCollections = "collections"
	countUploads     = "uploads"
	countFailures    = "upload-failures"
	countRefusals    = "refusals"
)

var (
	errNotCounts = errors.New("no counts are taken for this purpose")
	errCount     = errors.New("not a count: it has to be an integer, 0 or more")
)

// analytics reports whether the tuple belongs to the analytics lane.
func (c *collection) analytics() bool { return c.rules().Purpose.Lane == policy.LaneAnalytics }

// period is how long counts are gathered before answers are made of them.
func (c *collection) period() time.Duration {
	if collect := c.rules().Purpose.Collect; collect.Mode == policy.ModeBackground {
		return collect.Every
	}
	return periodOfCounts
}

// submitCounts takes over counts of a purpose of the analytics lane that an application counts itself. They add up here until their
// period is over; no count leaves. Without an error all of them are on the disk, otherwise none was taken.
func (a *Agent) submitCounts(_ context.Context, p consent.Permit, records []map[string]any) (control.Submitted, error) {
	t := p.Tuple()
	if len(p.Effective().Questions()) == 0 {
		return control.Submitted{}, control.NewProblem(control.KindPolicy, t.String(), errNotCounts.Error())
	}
	add := map[string]int64{}
	for i, record := range records {
		for name, value := range record {
			n, ok := value.(int64)
			if !ok || n < 0 {
				return control.Submitted{}, control.NewProblem(control.KindSubmission, t.String(),
					fmt.Sprintf("record %d: %s: %v", i+1, name, errCount))
			}
			add[name] = min(add[name]+min(n, answers.MaxCount), answers.MaxCount)
		}
	}
	if err := a.answers.Add(p, add, time.Now()); err != nil {
		return control.Submitted{}, problem(t, err)
	}
	return control.Submitted{Tuple: t.String(), Items: []string{}}, nil
}

// operation counts something that this program did, for every purpose that asks for it under a consent in force. It costs no
// disk: gather stores it.
func (a *Agent) operation(name string) {
	for t, c := range a.current.Load().tuples {
		if c.rules().Category.Source != policy.SourceAgent || !c.analytics() {
			continue
		}
		permit, err := a.register.Permit(t)
		if err != nil {
			continue
		}
		if _, err := permit.Effective().Field(name); err != nil {
			continue // not declared, or not of this purpose
		}
		c.mu.Lock()
		if c.operations == nil {
			c.operations = map[string]int64{}
		}
		c.operations[name]++
		c.mu.Unlock()
	}
}

// refusal counts that something was refused for want of a consent.
func (a *Agent) refusal(err error) {
	if errors.Is(err, consent.ErrNotInForce) {
		a.operation(countRefusals)
	}
}

// uploaded counts what came of an attempt to send.
func (a *Agent) uploaded(ok bool) {
	if ok {
		a.operation(countUploads)
	} else {
		a.operation(countFailures)
	}
}

// gather stores what is only in memory: this program's own counts, or the range of the last whole day.
func (c *collection) gather(p consent.Permit, now time.Time, asked bool) error {
	switch c.rules().Category.Source {
	case policy.SourceAgent:
		c.mu.Lock()
		counts := c.operations
		c.operations = nil
		c.mu.Unlock()
		if len(counts) > 0 {
			return c.agent.answers.Add(p, counts, now)
		}
	case policy.SourceSteps:
		return c.gatherSteps(p, now, asked)
	}
	return nil
}

func (c *collection) gatherSteps(p consent.Permit, now time.Time, asked bool) error {
	questions := p.Effective().Questions()
	if len(questions) == 0 {
		return errNotCounts
	}
	reading, err := c.readCounter(p)
	if err != nil {
		return err
	}
	c.mu.Lock()
	r, done, err := c.stepRange.Add(p, reading)
	if err == nil && !done && asked {
		r, err = c.stepRange.SoFar(p)
		done = true
	}
	if p.Check() != nil { // the consent ended meanwhile
		c.closeCounter()
	}
	c.mu.Unlock()
	if err != nil || !done {
		return err
	}
	return c.agent.answers.Put(p, questions[0].Field, int64(r), now)
}

// collectAnswers is collect for the analytics lane: it gathers, and when the period is over, or the person wants what there is now,
// makes answers of it, as many as the week's budget still holds. What the budget does not hold is forgotten.
func (c *collection) collectAnswers(p consent.Permit, now time.Time, asked bool) (made int, err error) {
	store := c.agent.answers
	if err := store.Start(p, now); err != nil {
		return 0, err
	}
	if err := c.gather(p, now, asked); err != nil {
		return 0, err
	}
	period, err := store.Period(p.Consent())
	if err != nil {
		return 0, err
	}
	if !asked && now.Before(c.end(period.Begin)) {
		return 0, nil
	}
	closed := periodBegin(now, c.period())
	if asked {
		closed = now
	}
	e := p.Effective()
	questions := e.Questions()
	if e.Purpose.Minimiser.Name == policy.MinimiseBuckets && len(period.Counts) == 0 {
		questions = nil // no whole day was counted: that is no range
	}
	if e.Purpose.Minimiser.Name == policy.MinimiseCounts && !asked && !periodBegin(period.Begin, c.period()).Equal(period.Begin) {
		questions = nil // counted since some time within the period: what is said is about whole ones
	}
	if len(questions) == 0 {
		return 0, store.Close(p, nil, closed, time.Now)
	}
	affordable, err := c.agent.ring.Spend(questions[0], e.Purpose.Minimiser.Budget, len(questions), now.Unix())
	if err != nil {
		return 0, err
	}
	memo, err := c.agent.ring.Memo()
	if err != nil {
		return 0, err
	}
	defer clear(memo)
	list, err := minimise.Answers(p, period.Counts, memo, minimise.Pick(questions, affordable))
	if err != nil {
		return 0, err
	}
	delay := e.Purpose.Minimiser.Delay
	err = store.Close(p, list, closed, func() time.Time { return closed.Add(rand.N(max(delay, 1))) })
	if err != nil {
		return 0, err
	}
	if len(list) > 0 {
		c.agent.uploader.Kick()
	}
	return len(list), nil
}

// nextAnswers is when a tuple of the analytics lane is to be looked at next.
func (c *collection) nextAnswers(id wire.UUID, now time.Time) time.Time {
	next := now.Add(c.interval())
	if period, err := c.agent.answers.Period(id); err == nil && !period.Begin.IsZero() {
		if end := c.end(period.Begin); end.Before(next) && end.After(now) {
			next = end
		}
	}
	return next
}

// gatherAll stores what is only in memory, when the agent stops.
func (a *Agent) gatherAll() {
	for t, c := range a.current.Load().tuples {
		if !c.analytics() || c.rules().Category.Source != policy.SourceAgent {
			continue
		}
		permit, err := a.register.Permit(t)
		if err != nil {
			continue
		}
		if err := c.gather(permit, time.Now(), false); err != nil {
			a.log.Warn("what was counted last could not be stored", zap.Stringer("tuple", t), zap.Error(err))
		}
	}
}

// openAnswers opens the store of the analytics lane.
func (a *Agent) openAnswers(dir string) (err error) {
	a.answers, err = answers.Open(dir, a.ring, a.register.Retention)
	return err
}
