package agent

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/wire"
)

const (
	// sweepEvery is how often expiry and retention are looked at while anything lies here that can be read.
	sweepEvery = time.Hour
	// sweepIdle is how often while there is only a pseudonym left, at a controller that may still hold something.
	sweepIdle = 24 * time.Hour
)

// wheel is the one timer of all periodic work. With nothing that anybody holds under a consent and nothing left to repeat
// it sleeps until it is woken.
func (a *Agent) wheel(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.kick:
		case <-timer.C:
		}
		next := a.turn(ctx, time.Now())
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(time.Until(next), time.Millisecond))
		}
	}
}

// wake makes the wheel look again: a consent was given or ended.
func (a *Agent) wake() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// turn does what is due and returns when something is due next; the zero time when nothing is.
func (a *Agent) turn(ctx context.Context, now time.Time) (next time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	a.register.Sweep(now)
	sooner(a.endServices(now))
	sooner(a.sweepCases())
	a.spool.Sweep()
	a.journal.Sweep()
	if err := a.items.Sweep(now, a.register.Retention); err != nil {
		a.log.Warn("items that are due could not be deleted", zap.Error(err))
	}
	a.answers.Sweep(now)
	for _, t := range a.document().Tuples(a.subject) {
		c := a.collection(t)
		if _, err := a.register.Permit(t); err != nil {
			continue
		}
		sooner(now.Add(sweepEvery))
		if !c.scheduled() {
			continue
		}
		if due := c.nextDue(now); due.After(now) {
			sooner(due)
			continue
		}
		if ctx.Err() != nil {
			return time.Time{}
		}
		if c.background(ctx) {
			continue
		}
		_, _ = c.collect(ctx, false) // its outcome is in the collection's state
		sooner(c.nextDue(time.Now()))
	}
	// Also what is kept back until a changed policy is answered has its time.
	switch readable, known := a.keysLeft(); {
	case readable:
		sooner(now.Add(sweepEvery))
	case known:
		sooner(now.Add(sweepIdle))
	}
	a.mu.Lock()
	repeat := map[wire.UUID]policy.Tuple{}
	for key, step := range a.unfinished {
		if step.NextTry.After(now) {
			sooner(step.NextTry)
			continue
		}
		repeat[key.consent], _ = a.document().Tuple(a.subject, step.Tuple)
	}
	a.mu.Unlock()
	for id, t := range repeat {
		a.finish(id, t)
		sooner(now.Add(retryUnfinished))
	}
	return next
}

// keysLeft reports whether any consent has a key to what lies here, and whether any is known at all.
func (a *Agent) keysLeft() (readable, known bool) {
	a.ring.View(func(s *keyring.State) {
		for _, g := range s.Grants {
			known = true
			readable = readable || len(g.DataKey) > 0
		}
	})
	return readable, known
}

// nextDue is when the tuple is to be read next. After a start it counts from the last report that was sent or is
// stored, so that restarting does not report more often than the policy says; sources that are looked at within a
// window or a day are read at once.
func (c *collection) nextDue(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due.IsZero() {
		c.due = now
		if last := c.agent.lastReport(c.tuple); c.interval() == c.rules().Purpose.Collect.Every && !last.IsZero() {
			c.due = last.Add(c.interval())
		}
	}
	return c.due
}

// lastReport is when the last report of a tuple that is known of was made: stored, or sent.
func (a *Agent) lastReport(t policy.Tuple) (last time.Time) {
	id := a.register.State(t).Consent
	if id.IsZero() {
		return last
	}
	if reports, err := a.spool.Reports(id); err == nil {
		for _, r := range reports {
			if made := time.Unix(r.Item.Time, 0); made.After(last) {
				last = made
			}
		}
	}
	if sent := a.lastSent()[id]; sent.After(last) {
		last = sent
	}
	return last
}

// lastSent is when the last batch of each consent was acknowledged.
func (a *Agent) lastSent() map[wire.UUID]time.Time {
	sent := map[wire.UUID]time.Time{}
	entries, err := a.journal.List()
	if err != nil {
		return sent
	}
	for _, e := range entries {
		if e.Lane != journal.LaneA && e.Status/100 == 2 && e.Outcome == "" && e.Time.After(sent[e.Consent]) {
			sent[e.Consent] = e.Time
		}
	}
	return sent
}
