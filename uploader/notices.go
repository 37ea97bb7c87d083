package uploader

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// What a controller announces is asked for on connections that are there anyway, behind an upload or a message, and besides
// in a rare slot: about once a day while a consent is in force, about once a week after everything was withdrawn, for as
// long as the controller may still hold something and the pseudonym is kept for that. Each time is drawn anew, so the
// request says nothing but that the device is on. No other timer exists for it.

// Notices keeps what controllers announce. Package notices has one behind the agent.
type Notices interface {
	// After is the number behind which to ask.
	After(policy.ControllerID) uint64
	// Take verifies and keeps an answer.
	Take(policy.Controller, []wire.NoticeBundle) error
	// Next is when to ask by itself, the zero time when that is not settled; SetNext settles it.
	Next(policy.ControllerID) time.Time
	SetNext(policy.ControllerID, time.Time) error
	// Stopped returns an error while nothing of lanes B and C may go to a controller.
	Stopped(policy.ControllerID) error
}

// The slots: half to one and a half of each is waited.
const (
	noticeSlot       = 24 * time.Hour
	noticeSlotAfter  = 7 * 24 * time.Hour // when everything was withdrawn
	noticeRide       = time.Hour          // not more often behind uploads
	noticeStartDelay = time.Hour          // a slot that passed while the device was off does not tell when it started
	noticeRounds     = 64                 // answers in a row: a controller with more has something else in mind
)

// noticeState is what is known about asking one controller, in memory. The uploader's mu guards it.
type noticeState struct {
	next     time.Time
	failures int
	running  bool
}

// noticeSource is a consent on whose connection a controller can be asked.
type noticeSource struct {
	consent wire.UUID
	over    bool // the consent has ended, the controller may still hold something
}

// noticeSources returns, for every controller that can be asked, on whose connection. A consent that the controller does
// not know yet is none: it hears of it from lane A first.
func (u *Uploader) noticeSources() map[policy.ControllerID]noticeSource {
	type candidate struct {
		id   wire.UUID
		to   policy.ControllerID
		over bool
	}
	var all []candidate
	u.o.Ring.View(func(s *keyring.State) {
		for id, g := range s.Grants {
			if len(g.Identity) > 0 {
				all = append(all, candidate{id, g.Tuple.Controller, len(g.DataKey) == 0})
			}
		}
	})
	out := map[policy.ControllerID]noticeSource{}
	for _, c := range all {
		have, ok := out[c.to]
		if !u.o.Register.Introduced(c.id) || ok && !(have.over && !c.over) {
			continue
		}
		out[c.to] = noticeSource{c.id, c.over}
	}
	return out
}

// planNotices starts what is due and returns when the next slot is, zero when there is none.
func (u *Uploader) planNotices(now time.Time, start func(func(context.Context))) (next time.Time) {
	if u.o.Notices == nil {
		return next
	}
	sources := u.noticeSources()
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := range u.announced {
		if _, ok := sources[id]; !ok && !u.announced[id].running {
			delete(u.announced, id)
		}
	}
	for id, from := range sources {
		s := u.announced[id]
		if s == nil {
			s = &noticeState{next: u.o.Notices.Next(id)}
			u.announced[id] = s
			switch {
			case s.next.IsZero():
				s.next = now.Add(between(0, slotOf(from)))
			case !s.next.After(now):
				s.next = now.Add(between(0, noticeStartDelay))
			}
		}
		switch {
		case s.running:
		case !s.next.After(now):
			s.running = true
			start(func(ctx context.Context) { u.noticeTurn(ctx, id, from) })
		case next.IsZero() || s.next.Before(next):
			next = s.next
		}
	}
	return next
}

func slotOf(s noticeSource) time.Duration {
	if s.over {
		return noticeSlotAfter
	}
	return noticeSlot
}

// noticeTurn asks because a slot has come, unless an upload has asked lately.
func (u *Uploader) noticeTurn(ctx context.Context, id policy.ControllerID, from noticeSource) {
	slot := slotOf(from)
	u.mu.Lock()
	lately := time.Since(u.asked[id]) < slot/2
	u.mu.Unlock()
	var err error
	if !lately {
		err = u.askNotices(ctx, id, from.consent)
	}
	now := time.Now()
	u.mu.Lock()
	s := u.announced[id]
	s.running = false
	if err == nil {
		s.failures = 0
		s.next = now.Add(between(slot/2, slot+slot/2))
	} else {
		s.failures++
		s.next = now.Add(between(slot/24, min(slot/2, time.Duration(s.failures)*slot/8)))
	}
	next := s.next
	u.mu.Unlock()
	if ctx.Err() == nil {
		if err != nil {
			u.o.Log.Warn("cannot ask for notices", zap.String("controller", string(id)), zap.Error(err))
		}
		if err := u.o.Notices.SetNext(id, next); err != nil {
			u.o.Log.Warn("cannot keep when to ask for notices", zap.Error(err))
		}
	}
	u.Kick()
}

// AskNotices asks every controller that can be asked now. The errors are by controller.
func (u *Uploader) AskNotices(ctx context.Context) (asked []policy.ControllerID, errs map[policy.ControllerID]error) {
	errs = map[policy.ControllerID]error{}
	if u.o.Notices == nil {
		return nil, errs
	}
	for id, from := range u.noticeSources() {
		asked = append(asked, id)
		if err := u.askNotices(ctx, id, from.consent); err != nil {
			errs[id] = err
		}
	}
	return asked, errs
}

func (u *Uploader) askNotices(ctx context.Context, id policy.ControllerID, consent wire.UUID) error {
	c, err := u.client(id, consent)
	if err != nil {
		return err
	}
	defer c.close()
	return u.readNotices(ctx, c)
}

// rideNotices asks behind something else that was sent, on its connection. What comes of it does not concern that.
func (u *Uploader) rideNotices(ctx context.Context, c *client) {
	if u.o.Notices == nil || ctx.Err() != nil {
		return
	}
	u.mu.Lock()
	lately := time.Since(u.asked[c.controller.ID]) < noticeRide
	u.mu.Unlock()
	if lately {
		return
	}
	if err := u.readNotices(ctx, c); err != nil && ctx.Err() == nil {
		u.o.Log.Warn("cannot ask for notices", zap.String("controller", string(c.controller.ID)), zap.Error(err))
	}
}

// readNotices asks until there is nothing more, and hands over what comes.
func (u *Uploader) readNotices(ctx context.Context, c *client) error {
	for range noticeRounds {
		after := u.o.Notices.After(c.controller.ID)
		a, err := c.do(ctx, http.MethodGet, "/v1/notices?after="+strconv.FormatUint(after, 10), nil, "", wire.MaxNoticeList)
		if err != nil {
			return err
		}
		list, err := wire.DecodeNotices(a.body)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrGarbage, err)
		}
		if len(list) > 0 {
			err = u.o.Notices.Take(c.controller, list)
		}
		if u.o.Notices.Stopped(c.controller.ID) != nil {
			u.stop(c.controller.ID)
		}
		if err != nil {
			return err
		}
		if len(list) == 0 || u.o.Notices.After(c.controller.ID) == after {
			break
		}
	}
	u.mu.Lock()
	u.asked[c.controller.ID] = time.Now()
	u.mu.Unlock()
	return nil
}

// stopped returns why nothing of lanes B and C may go to a controller, nil when it may.
func (u *Uploader) stopped(id policy.ControllerID) error {
	if u.o.Notices == nil {
		return nil
	}
	return u.o.Notices.Stopped(id)
}

// whileAllowed returns a context that is cancelled when a breach notice stops what goes to a controller.
func (u *Uploader) whileAllowed(ctx context.Context, id policy.ControllerID) (context.Context, context.CancelFunc) {
	ctx, cause := context.WithCancelCause(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.flights[id] == nil {
		u.flights[id] = map[*context.CancelCauseFunc]struct{}{}
	}
	u.flights[id][&cause] = struct{}{}
	return ctx, func() {
		u.mu.Lock()
		delete(u.flights[id], &cause)
		u.mu.Unlock()
		cause(context.Canceled)
	}
}

// stop cancels what of lane B is under way to a controller.
func (u *Uploader) stop(id policy.ControllerID) {
	why := u.stopped(id)
	u.mu.Lock()
	defer u.mu.Unlock()
	for cause := range u.flights[id] {
		(*cause)(why)
	}
}

// Resume lets lane B to a controller go on after the person has decided.
func (u *Uploader) Resume(id policy.ControllerID) {
	u.mu.Lock()
	for _, t := range u.tasks {
		if t.controller == id && t.id.lane != LaneA && !t.running {
			t.err, t.failures, t.next = nil, 0, u.instant(t.id.consent, time.Now())
		}
	}
	u.mu.Unlock()
	u.Kick()
}
