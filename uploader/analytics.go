package uploader

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/answers"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Lane C. Every answer leaves by itself, at the random time that it was given when it was made: on a connection of its own, without
// a client certificate, session ticket or cookie, with the same headers and the same size for everybody. It shares nothing with the
// other lanes but the address that the connection comes from. Nobody can ask for it to be sent now: an answer that leaves
// together with something else of this device would be told from those of others by its moment. For the same reason what is due
// at a start, or after a failure, gets another random time instead of being caught up.

// LaneC is the lane of statistics.
const LaneC = journal.LaneC

// ErrAtRandom says that what a purpose of the analytics lane has to say is sent at random times only.
var ErrAtRandom = errors.New("statistics are sent one by one at random times, never on demand")

const (
	// lateAfter is how late an answer may leave: what is later was held up by something that others could see as well.
	lateAfter = time.Minute
	// The span of another random time, where the policy's is not shorter, and its least.
	againSpan, againLeast = 6 * time.Hour, 30 * time.Second
	// maxNoAnswer is how much of the answer to an answer is read: an honest receiver sends nothing, or a problem.
	maxNoAnswer = 64 << 10
)

// answerState is what is known about the answers of one consent. The uploader's mu guards it.
type answerState struct {
	failures          int
	err               error
	lastTry, lastSent time.Time
}

// runAnswers sends until ctx ends.
func (u *Uploader) runAnswers(ctx context.Context) {
	if u.o.Answers == nil {
		return
	}
	for {
		next := u.sendAnswers(ctx)
		var (
			alarm <-chan time.Time
			timer *time.Timer
		)
		if !next.IsZero() {
			timer = time.NewTimer(max(0, time.Until(next)))
			alarm = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-u.kickAnswers:
		case <-alarm:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// sendAnswers sends what is due and returns when the next one is, zero when none waits.
func (u *Uploader) sendAnswers(ctx context.Context) (next time.Time) {
	for _, a := range u.o.Answers.All() {
		now := time.Now()
		if ctx.Err() != nil {
			return time.Time{}
		}
		if a.Due.After(now) {
			if next.IsZero() || a.Due.Before(next) {
				next = a.Due
			}
			continue
		}
		again := u.answerDue(ctx, a, now)
		if !again.IsZero() && (next.IsZero() || again.Before(next)) {
			next = again
		}
	}
	return next
}

// answerDue deals with an answer whose time has come: it is sent, dropped, or given another time, which is returned.
func (u *Uploader) answerDue(ctx context.Context, a answers.Waiting, now time.Time) time.Time {
	tuple, ok := u.tupleOf(a.Consent)
	if !ok {
		return time.Time{} // its key is gone, and with it the answer
	}
	span := againSpan
	if e, err := u.o.Policy().Effective(tuple.Category, tuple.Purpose); err == nil && e.Purpose.Minimiser.Delay > 0 {
		span = min(span, e.Purpose.Minimiser.Delay)
	}
	postpone := func(span, more time.Duration) time.Time {
		due := time.Now().Add(more + between(0, span))
		if err := u.o.Answers.Postpone(a.Consent, a.ID, due); err != nil {
			u.o.Log.Warn("an answer keeps its time", zap.Stringer("tuple", tuple), zap.Error(err))
		}
		return due
	}
	if now.Sub(a.Due) > lateAfter {
		return postpone(span, 0)
	}
	asked, err := u.sendAnswer(ctx, tuple, a)
	u.mu.Lock()
	s := u.answered[a.Consent]
	if s == nil {
		s = &answerState{}
		u.answered[a.Consent] = s
	}
	s.lastTry = now
	switch {
	case err == nil && !asked:
		s.lastSent, s.failures, s.err = now, 0, nil
	case err != nil && ctx.Err() == nil:
		s.failures, s.err = s.failures+1, err
	}
	failures := s.failures
	u.mu.Unlock()

	var refusal *Refusal
	switch {
	case err == nil && asked:
		return postpone(span, 0) // not in one go with the question
	case err == nil:
		u.outcome(true)
		u.removeAnswer(a, tuple)
	case errors.Is(err, errOutdated):
		u.removeAnswer(a, tuple)
	case errors.As(err, &refusal) && (spoilt(refusal.Kind) || refusal.Kind == wire.ProblemPolicyMismatch):
		u.outcome(false)
		u.o.Log.Error("the controller refuses an answer, which is dropped", zap.Stringer("tuple", tuple), zap.String("problem", string(refusal.Kind)))
		u.removeAnswer(a, tuple)
	case ctx.Err() != nil:
		return postpone(span, 0)
	default:
		u.outcome(false)
		u.o.Log.Warn("cannot send an answer", zap.Stringer("tuple", tuple), zap.Int("failures", failures), zap.Error(err))
		var wait time.Duration
		if refusal != nil {
			wait = min(refusal.RetryAfter, maxRetryAfterB)
		}
		return postpone(max(span, againLeast), wait)
	}
	return time.Time{}
}

func (u *Uploader) removeAnswer(a answers.Waiting, tuple policy.Tuple) {
	if err := u.o.Answers.Remove(a.Consent, a.ID); err != nil {
		u.o.Log.Warn("an answer that is done with stays", zap.Stringer("tuple", tuple), zap.Error(err))
	}
}

// sendAnswer sends one answer. asked says that it did not, because after a start the controller has to be asked first, on the
// consent's own connection, whether this device's state was put back to an older one.
func (u *Uploader) sendAnswer(ctx context.Context, tuple policy.Tuple, a answers.Waiting) (asked bool, err error) {
	if err := u.stopped(tuple.Controller); err != nil {
		return false, err
	}
	if err := errors.Join(u.resident(tuple), u.elsewhere(tuple.Controller)); err != nil {
		return false, err
	}
	if err := u.mayAnswer(a); err != nil {
		return false, err
	}
	u.mu.Lock()
	compared := u.compared[a.Consent]
	u.mu.Unlock()
	if !compared {
		c, err := u.client(tuple.Controller, a.Consent)
		if err != nil {
			return false, err
		}
		defer c.close()
		if err := u.compare(ctx, c, a.Consent); err != nil {
			return false, err
		}
		u.mu.Lock()
		u.compared[a.Consent] = true // also where the controller knows nothing that it could show
		u.mu.Unlock()
		return true, nil
	}
	c, err := u.nameless(tuple.Controller)
	if err != nil {
		return false, err
	}
	defer c.close()
	ctx, land := u.whileAllowed(ctx, tuple.Controller)
	defer land()
	ctx, cancel := u.o.Register.Context(ctx, a.Consent)
	defer cancel()
	if err := u.stopped(tuple.Controller); err != nil {
		return false, err
	}
	entry, err := u.o.Journal.Begin(LaneC, a.Consent, http.MethodPost, "/v1/analytics", a.Body)
	if err != nil {
		return false, err // what cannot be recorded does not leave
	}
	if err := u.mayAnswer(a); err != nil {
		u.ended(entry, 0, fmt.Errorf("not sent: %w", err))
		return false, err
	}
	got, err := c.do(ctx, http.MethodPost, "/v1/analytics", a.Body, "", maxNoAnswer)
	if err == nil && got.status != http.StatusNoContent {
		err = fmt.Errorf("%w: status %d", ErrGarbage, got.status)
	}
	u.ended(entry, got.status, err)
	return false, err
}

// mayAnswer asks whether an answer may leave under the terms it was made under.
func (u *Uploader) mayAnswer(a answers.Waiting) error {
	if err := u.o.Register.InForce(a.Consent); err != nil {
		return err
	}
	if err := u.o.Register.MayLeave(a.Consent, a.Subtree); err != nil {
		if u.o.Register.InForce(a.Consent) == nil {
			return errOutdated
		}
		return err
	}
	return nil
}

// nameless returns a client for one answer: no identity, and no connection that anything else is sent on.
func (u *Uploader) nameless(id policy.ControllerID) (*client, error) {
	c, err := u.clientWith(id, &tls.Certificate{})
	if err != nil {
		return nil, err
	}
	c.transport.DisableKeepAlives = true
	return c, nil
}

// answersState returns what is known about lane C, an entry for each consent with an answer that waits or was sent.
func (u *Uploader) answersState() []LaneState {
	if u.o.Answers == nil {
		return nil
	}
	stats := u.o.Answers.Stats()
	u.mu.Lock()
	defer u.mu.Unlock()
	var list []LaneState
	for _, s := range stats {
		known := u.answered[s.Consent]
		tuple, ok := u.tupleOf(s.Consent)
		if !ok || known == nil && s.Waiting == 0 {
			continue
		}
		l := LaneState{Lane: LaneC, Controller: tuple.Controller, Consent: s.Consent, Tuple: tuple, Waiting: s.Waiting, NextTry: s.Next}
		if known != nil {
			l.Failures, l.Err, l.LastTry, l.LastSent = known.failures, known.err, known.lastTry, known.lastSent
		}
		if l.Err != nil {
			l.LastError = l.Err.Error()
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b LaneState) int { return slices.Compare(a.Consent[:], b.Consent[:]) })
	return list
}

// outcome tells the owner what came of an attempt to send.
func (u *Uploader) outcome(ok bool) {
	if u.o.Outcome != nil {
		u.o.Outcome(ok)
	}
}
