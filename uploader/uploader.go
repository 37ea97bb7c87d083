// Package uploader brings what may leave to the one controller that the policy names: consent messages on lane A,
// batches of consented features on lane B. It takes bytes from the consent register and from the spool; it cannot name a
// raw value, and it decides nothing about consent, which it asks again right before each send.
//
// Every consent has connections of its own, with its own self-signed certificate and nothing else that would link
// it to another. Lane A is never given up, whatever the answer; lane B retries, parks what the controller refuses
// for good, and shows both. Only a receipt signed by the controller's key, for exactly the bytes that were sent, counts as
// success. With nothing to send, and no consent in force or controller that may still hold something, there is no
// timer and no connection.
//
// For most uses call New, Run it once, and Kick after anything was stored or changed. Flush and Deliver do it now.
//
// Lane C, statistics, is apart from both: see analytics.go.
package uploader

import (
	"context"
	"crypto/rand"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/answers"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/spool"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Lane is the lane a request goes on.
type Lane = journal.Lane

// The lanes.
const (
	LaneA = journal.LaneA // consent messages, erasure
	LaneB = journal.LaneB // consented features
)

// At most so many requests are under way on a lane. Lane B cannot keep lane A waiting.
const (
	concurrentA = 4
	concurrentB = 2
)

// Options of an uploader. Register, Spool, Ring and Journal are required.
type Options struct {
	Register *consent.Register
	Spool    *spool.Spool
	Ring     *keyring.Ring
	Journal  *journal.Journal
	// Answers is the store of the analytics lane; nil sends nothing there.
	Answers *answers.Store
	// Outcome is told of every success and failure of sending, if it is not nil. It must not call back.
	Outcome func(ok bool)
	// Cases is a second source of messages for lane A, nil for none.
	Cases Outbox
	// Policy returns the document in force: endpoints, pins and controllers' keys. Nil means the register's.
	Policy func() *policy.Document
	// Notices keeps what controllers announce; nil asks for none.
	Notices Notices
	// Log gets one line per change of state, without values. Nil logs nothing.
	Log *zap.Logger
	// Slot is the longest random delay between a report and its sending. 0 sends at once, which tells the controller when
	// something was read: for tests and trials.
	Slot time.Duration
	// Timeout is for one request; 0 means two minutes.
	Timeout time.Duration
	// Dial makes connections; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Uploader is safe for concurrent use.
type Uploader struct {
	o      Options
	secret [32]byte // from which sending times are drawn
	kick   chan struct{}
	// kickAnswers is kick for lane C, which runs by itself.
	kickAnswers chan struct{}
	lanes       map[Lane]chan struct{} // tokens

	mu       sync.Mutex
	tasks    map[taskID]*task
	answered map[wire.UUID]*answerState
	compared map[wire.UUID]bool   // consents whose latest message the controller has shown since the start
	changes  map[wire.UUID]uint64 // what the controller said last of how many changes of a consent it has taken

	announced map[policy.ControllerID]*noticeState
	places    map[policy.ControllerID]placed                                // where each controller last said that it is
	asked     map[policy.ControllerID]time.Time                             // when a controller last answered about notices
	flights   map[policy.ControllerID]map[*context.CancelCauseFunc]struct{} // of lane B, under way
}

// taskID names a queue: each consent has one on each lane.
type taskID struct {
	lane    Lane
	consent wire.UUID
}

// task is what is known about a queue. The uploader's mu guards it.
type task struct {
	id         taskID
	controller policy.ControllerID
	tuple      policy.Tuple
	turn       chan struct{} // held by whoever sends from this queue

	waiting  int
	newest   uint64 // lane A: the newest message seen
	filed    int64  // lane A: when the newest case was filed
	since    time.Time
	blocked  error // lane B: what lane A has to bring first, nil for nothing
	running  bool
	failures int // in a row
	err      error
	lastTry  time.Time
	lastSent time.Time
	next     time.Time
}

// LaneState is the state of one queue, for people.
type LaneState struct {
	Lane       Lane                `json:"lane"`
	Controller policy.ControllerID `json:"controller"`
	Consent    wire.UUID           `json:"consent"`
	Tuple      policy.Tuple        `json:"tuple"`
	Waiting    int                 `json:"waiting"` // messages, or reports
	Since      time.Time           `json:"since"`   // of the oldest that waits
	Failures   int                 `json:"failures,omitempty"`
	LastError  string              `json:"last_error,omitempty"` // "" after a success
	Err        error               `json:"-"`                    // the same, to test
	LastTry    time.Time           `json:"last_try"`
	LastSent   time.Time           `json:"last_sent"`
	NextTry    time.Time           `json:"next_try"` // zero while sending, or when something else has to happen first
	// Parked says that the controller refuses this consent's data for good, "" when it does not.
	Parked wire.ProblemType `json:"parked,omitempty"`
}

// New returns an uploader that does nothing before Run, Flush or Deliver.
func New(o Options) *Uploader {
	if o.Policy == nil {
		o.Policy = o.Register.Policy
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Timeout <= 0 {
		o.Timeout = requestTime
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTime}).DialContext
	}
	u := &Uploader{
		o: o, kick: make(chan struct{}, 1), kickAnswers: make(chan struct{}, 1), answered: map[wire.UUID]*answerState{}, tasks: map[taskID]*task{}, compared: map[wire.UUID]bool{}, changes: map[wire.UUID]uint64{},
		announced: map[policy.ControllerID]*noticeState{}, asked: map[policy.ControllerID]time.Time{},
		places:  map[policy.ControllerID]placed{},
		flights: map[policy.ControllerID]map[*context.CancelCauseFunc]struct{}{},
		lanes:   map[Lane]chan struct{}{LaneA: make(chan struct{}, concurrentA), LaneB: make(chan struct{}, concurrentB)},
	}
	rand.Read(u.secret[:])
	return u
}

// Kick tells Run that something was stored, asked for or changed. It never waits.
func (u *Uploader) Kick() {
	select {
	case u.kick <- struct{}{}:
	default:
	}
	select {
	case u.kickAnswers <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends; then it cancels what is under way, which will be sent again, and returns nil.
func (u *Uploader) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	defer senders.Wait()
	senders.Go(func() { u.runAnswers(ctx) })
	for {
		due, next := u.plan(time.Now())
		for _, t := range due {
			senders.Go(func() { u.run(ctx, t) })
		}
		slot := u.planNotices(time.Now(), func(ask func(context.Context)) { senders.Go(func() { ask(ctx) }) })
		if next.IsZero() || !slot.IsZero() && slot.Before(next) {
			next = slot
		}
		var (
			alarm <-chan time.Time
			timer *time.Timer
		)
		if !next.IsZero() {
			timer = time.NewTimer(time.Until(next))
			alarm = timer.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-u.kick:
		case <-alarm:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// run works on a task whose time has come.
func (u *Uploader) run(ctx context.Context, t *task) {
	send := u.sendLaneA
	if t.id.lane == LaneB {
		send = func(ctx context.Context, t *task) error {
			_, err := u.sendBatches(ctx, t)
			return err
		}
	}
	_ = u.work(ctx, t, send) // the task keeps the error
	u.mu.Lock()
	t.running = false
	u.mu.Unlock()
	u.Kick()
}

// plan returns the tasks whose time has come, marked as running, and the time of the next one, zero when there is none.
func (u *Uploader) plan(now time.Time) (due []*task, next time.Time) {
	u.refresh(now)
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, t := range u.tasks {
		switch {
		case t.running || t.waiting == 0 || t.blocked != nil || t.id.lane != LaneA && u.stopped(t.controller) != nil:
		case !t.next.After(now):
			t.running = true
			due = append(due, t)
		case next.IsZero() || t.next.Before(next):
			next = t.next
		}
	}
	return due, next
}

// refresh brings the tasks up to date with the outbox and the spool.
func (u *Uploader) refresh(now time.Time) {
	waiting := map[taskID]*task{}
	for _, controller := range u.o.Register.Controllers() {
		for _, m := range u.o.Register.Outbox(controller) {
			id := taskID{LaneA, m.Consent}
			f := waiting[id]
			if f == nil {
				f = &task{controller: controller, tuple: m.Tuple, since: m.Since}
				waiting[id] = f
			}
			f.waiting++
			f.newest = m.Seq
		}
	}
	u.refreshCases(waiting)
	for _, s := range u.o.Spool.Stats() {
		tuple, ok := u.tupleOf(s.Consent)
		if !ok || s.Reports == 0 || u.laneOf(tuple) != policy.LaneFeatures {
			continue
		}
		waiting[taskID{LaneB, s.Consent}] = &task{
			controller: tuple.Controller, tuple: tuple, since: s.Oldest, waiting: s.Reports, blocked: u.behind(s.Consent, tuple.Controller),
		}
	}

	u.mu.Lock()
	defer u.mu.Unlock()
	for id, f := range waiting {
		t := u.task(id, f.controller, f.tuple)
		if t.waiting == 0 && t.err == nil && !t.running { // not after a failed Flush, which has set the next try
			t.failures, t.next = 0, now
			if id.lane == LaneB {
				t.next = u.instant(id.consent, now)
			}
		}
		if (f.newest > t.newest || f.filed > t.filed) && t.waiting > 0 {
			t.next = now // a withdrawal does not wait for the turn of what stands before it
		}
		t.waiting, t.newest, t.filed, t.since, t.blocked = f.waiting, f.newest, f.filed, f.since, f.blocked
	}
	for id, t := range u.tasks {
		if waiting[id] != nil || t.running {
			continue
		}
		if _, err := u.o.Ring.DataKey(id.consent); err != nil {
			delete(u.tasks, id) // its consent has ended and there is nothing left to say
			continue
		}
		t.waiting, t.since, t.next, t.failures, t.err = 0, time.Time{}, time.Time{}, 0, nil
	}
}

// task returns the task of a queue and makes it if needed. The caller holds mu.
func (u *Uploader) task(id taskID, controller policy.ControllerID, tuple policy.Tuple) *task {
	t := u.tasks[id]
	if t == nil {
		t = &task{id: id, controller: controller, tuple: tuple, turn: make(chan struct{}, 1)}
		u.tasks[id] = t
	}
	return t
}

// tupleOf returns what a consent is for, as long as the key ring knows it.
func (u *Uploader) tupleOf(id wire.UUID) (t policy.Tuple, ok bool) {
	u.o.Ring.View(func(s *keyring.State) {
		if g := s.Grants[id]; g != nil {
			t, ok = g.Tuple, true
		}
	})
	return t, ok
}

// laneOf returns the lane that the policy puts a tuple's data on. What it no longer declares is left to lane B, where the
// register will say why it may not be sent.
func (u *Uploader) laneOf(t policy.Tuple) policy.Lane {
	e, err := u.o.Policy().Effective(t.Category, t.Purpose)
	if err != nil {
		return policy.LaneFeatures
	}
	return e.Purpose.Lane
}

// work runs send when it is the task's turn and there is a free place on the lane, and keeps what came of it.
func (u *Uploader) work(ctx context.Context, t *task, send func(context.Context, *task) error) error {
	err := func() error {
		for _, place := range []chan struct{}{t.turn, u.lanes[t.id.lane]} {
			select {
			case place <- struct{}{}:
				defer func() { <-place }()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return send(ctx, t)
	}()
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil:
		t.failures, t.err, t.waiting = 0, nil, 0 // refresh counts anew
	case ctx.Err() != nil:
		t.next = now
	default:
		t.failures++
		t.err, t.lastTry = err, now
		t.next = now.Add(backoff(t.id.lane, t.failures, err))
		u.outcome(false)
		u.o.Log.Warn("cannot send", zap.String("lane", string(t.id.lane)), zap.Stringer("tuple", t.tuple),
			zap.String("controller", string(t.controller)), zap.Int("failures", t.failures), zap.Time("next", t.next), zap.Error(err))
	}
	return err
}

// sent notes a success.
func (u *Uploader) sent(t *task) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	t.lastTry, t.lastSent, t.failures, t.err = now, now, 0, nil
	u.outcome(true)
}

// State returns one entry per queue that has something waiting or has sent something since the start, lane A first, lane C last.
func (u *Uploader) State() []LaneState {
	u.refresh(time.Now())
	statistics := u.answersState()
	u.mu.Lock()
	defer u.mu.Unlock()
	states := make([]LaneState, 0, len(u.tasks))
	for _, t := range u.tasks {
		s := LaneState{
			Lane: t.id.lane, Controller: t.controller, Consent: t.id.consent, Tuple: t.tuple, Waiting: t.waiting, Since: t.since,
			Failures: t.failures, Err: t.err, LastTry: t.lastTry, LastSent: t.lastSent,
		}
		if t.waiting > 0 && !t.running && t.blocked == nil {
			s.NextTry = t.next
		}
		if s.Err == nil {
			s.Err = t.blocked
		}
		if why := u.stopped(t.controller); why != nil && t.id.lane != LaneA {
			s.Err, s.NextTry = why, time.Time{}
		}
		if s.Err != nil {
			s.LastError, s.Parked = s.Err.Error(), parkedBy(t.id.lane, s.Err)
		}
		states = append(states, s)
	}
	slices.SortFunc(states, func(a, b LaneState) int {
		if a.Lane != b.Lane {
			return slices.Compare([]byte(a.Lane), []byte(b.Lane))
		}
		return slices.Compare(a.Consent[:], b.Consent[:])
	})
	return append(states, statistics...)
}
