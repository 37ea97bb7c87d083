package consent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Options of a register. The zero value is ready.
type Options struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Elapsed is a clock that nobody can set and that goes on while the machine sleeps, from any start. Consents end
	// by it too, so that a wall clock which is set back again and again prolongs none. nil is none.
	Elapsed func() time.Duration
}

// Register holds all ledgers of one data subject. It is safe for concurrent use; State, InForce and Permit.Check
// answer from memory and never wait for the disk.
type Register struct {
	dir     string
	ring    *keyring.Ring
	subject policy.Subject
	clock   func() time.Time
	elapsed func() time.Duration // nil: none

	// commit serialises changes and is held while the disk works; mu guards memory and is held briefly.
	commit  sync.Mutex
	ledgers map[policy.ControllerID]*ledger
	saved   int64 // high-water time in the ring

	mu     sync.RWMutex
	doc    *policy.Document
	tuples map[policy.Tuple]*tuple
	grants map[wire.UUID]*grant
	outbox map[outboxKey]*waiting
	closed bool
	minor  bool // the declared age band is not that of an adult

	time struct {
		sync.Mutex
		high int64 // latest time seen
		// Since the wall clock showed anchor, at elapsed, that much time has gone by at least.
		anchor int64
		at     time.Duration
	}
	hooks struct {
		sync.Mutex
		withdrawn, erased []func(wire.UUID, policy.Tuple)
	}
}

// Open opens the ledgers of subject in the folder dir, which it makes if it is not there. It finishes what a crash left
// unfinished, cuts torn tails, and checks every ledger against the ring. A ledger that does not pass is no
// error of Open: its consents do not count, State says why, and all others go on. The ring stays the caller's to close,
// after the register.
func Open(dir string, ring *keyring.Ring, doc *policy.Document, subject policy.Subject, o Options) (*Register, error) {
	if subject == "" || doc == nil {
		return nil, fmt.Errorf("open consent register: %w: subject or policy", ErrUndeclared)
	}
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open consent register: %w; put back the whole folder from one backup, or move it away (every consent of it then counts as lost)", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Register{
		dir: dir, ring: ring, subject: subject, clock: o.Now, elapsed: o.Elapsed, doc: doc,
		ledgers: map[policy.ControllerID]*ledger{}, tuples: map[policy.Tuple]*tuple{},
		grants: map[wire.UUID]*grant{}, outbox: map[outboxKey]*waiting{},
	}
	for _, c := range doc.Controllers {
		if !safeName(c.ID) {
			return nil, fmt.Errorf("open consent register: %w: controller id", ErrUndeclared)
		}
		r.ledger(c.ID)
	}
	ring.View(func(s *keyring.State) {
		r.saved, r.time.high = s.HighWater, s.HighWater
		r.minor = s.Age == nil || Band(s.Age.Band).Minor()
		for id := range s.Ledgers {
			r.ledger(id)
		}
		for id, l := range r.ledgers {
			l.recover(s.Ledgers[id], s.Counter, r.apply)
		}
	})
	if err := r.reconcile(); err != nil {
		r.Close()
		return nil, fmt.Errorf("open consent register: %w", err)
	}
	r.mu.Lock()
	r.renewLeases()
	r.mu.Unlock()
	r.commit.Lock()
	defer r.commit.Unlock()
	_ = r.rememberAll() // with the next change, and Sweep repeats the departures
	_ = r.depart()
	return r, nil
}

func (r *Register) ledger(id policy.ControllerID) *ledger {
	l := r.ledgers[id]
	if l == nil {
		l = &ledger{dir: r.dir, controller: id, generation: 1}
		r.ledgers[id] = l
	}
	return l
}

// recover opens the ledger, or notes why its consents cannot count: damage, or a file that cannot be read.
func (l *ledger) recover(ls *keyring.LedgerState, counter uint64, each func(*Record)) {
	if ls == nil {
		l.damage = l.orphan()
		return
	}
	if err := l.open(ls, counter, each); err != nil {
		if !errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		l.damage = err
		l.close()
	}
}

// orphan returns the damage of a ledger that has files although the ring knows nothing of it.
func (l *ledger) orphan() error {
	if len(l.files()) > 0 {
		return fmt.Errorf("%s: %w: the key ring does not know it", l.path(), ErrDamaged)
	}
	return nil
}

// files returns the files of every generation of the ledger.
func (l *ledger) files() []string {
	names, _ := filepath.Glob(filepath.Join(l.dir, string(l.controller)+"-*.ledger"))
	return slices.DeleteFunc(names, func(name string) bool {
		n := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), string(l.controller)+"-"), ".ledger")
		return n == "" || strings.Trim(n, "0123456789") != ""
	})
}

// reconcile makes the ring fit what the ledgers say: keys of consents that are over are destroyed. It repeats what one
// update has normally done already.
func (r *Register) reconcile() error {
	var stale []wire.UUID
	r.ring.View(func(s *keyring.State) {
		for id, g := range r.grants {
			key := s.Grants[id]
			switch {
			case g.live:
				g.keyless = key == nil || len(key.DataKey) == 0
			case !g.parked && key != nil && len(key.DataKey) > 0:
				stale = append(stale, id)
			}
		}
	})
	for _, id := range stale {
		if err := r.ring.Destroy(id); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every permit and session and closes the files. It changes nothing on the disk.
func (r *Register) Close() error {
	r.commit.Lock()
	defer r.commit.Unlock()
	r.mu.Lock()
	r.closed = true
	for _, g := range r.grants {
		r.shut(g, ErrClosed)
	}
	r.mu.Unlock()
	for _, l := range r.ledgers {
		l.close()
	}
	return nil
}

// Policy returns the policy in force.
func (r *Register) Policy() *policy.Document {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.doc
}

// Subject returns whose consents these are.
func (r *Register) Subject() policy.Subject { return r.subject }

// now returns the time that counts, in unix seconds: never before the latest time seen. behind says that the clock is
// more than ClockTolerance behind that.
func (r *Register) now() (now int64, behind bool) { return r.seen(r.clock()) }

func (r *Register) seen(at time.Time) (now int64, behind bool) {
	sec := max(at.Unix(), 0)
	r.time.Lock()
	defer r.time.Unlock()
	behind = sec < r.time.high-int64(ClockTolerance/time.Second)
	r.time.high = max(r.time.high, sec)
	if r.elapsed == nil {
		return r.time.high, behind
	}
	elapsed := r.elapsed()
	passed := r.time.anchor + int64(max(0, elapsed-r.time.at)/time.Second)
	if r.time.anchor == 0 || r.time.high > passed {
		r.time.anchor, r.time.at, passed = r.time.high, elapsed, r.time.high
	}
	return passed, behind
}

// AcceptClock is the way out after a clock that once ran ahead: the person says that the present time is right. What
// has expired stays expired.
func (r *Register) AcceptClock(who Actor) error {
	if err := who.person(); err != nil {
		return fmt.Errorf("accept clock: %w", err)
	}
	if err := r.Sweep(r.clock()); err != nil { // expire by the later time first
		return fmt.Errorf("accept clock: %w", err)
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	now := max(r.clock().Unix(), 0)
	if err := r.ring.Update(func(s *keyring.State) error {
		s.HighWater = now
		return nil
	}); err != nil {
		return fmt.Errorf("accept clock: %w", err)
	}
	r.time.Lock()
	r.time.high, r.time.anchor = now, 0
	r.time.Unlock()
	r.saved = now
	return nil
}

// force returns nil while data may be collected and sent under g. The caller holds mu.
func (r *Register) force(g *grant) error {
	switch {
	case r.closed:
		return ErrClosed
	case r.ledgers[g.tuple.Controller].damage != nil:
		return r.ledgers[g.tuple.Controller].damage
	case !g.live:
		return g.end
	case g.closing != nil:
		return g.closing
	case g.keyless:
		return ErrDamaged
	}
	now, behind := r.now()
	switch {
	case now >= g.over():
		return ErrExpired
	case behind:
		return ErrClock
	case r.minor && !g.guarded:
		return ErrGuardian
	}
	if g.lease != nil {
		return g.lease.ended()
	}
	_, err := r.agreed(g)
	return err
}

// State returns what holds for a tuple.
func (r *Register) State(t policy.Tuple) State {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := State{Tuple: t}
	eff, err := r.declared(t)
	s.Err = err
	if p := r.tuples[t]; p != nil {
		s.Status, s.Since, s.Asked = p.status, instant(p.since), p.asked
		if p.asked && p.shown != (Notice{}) {
			s.Notice = NoticeShown{p.shown.Lang, p.shown.SHA256}
		}
		if p.noAt != 0 && err == nil {
			s.QuietUntil = instant(p.noAt).Add(eff.Purpose.Quiet)
		}
		if g := r.grants[p.consent]; g != nil && p.status == Given {
			s.Consent, s.Expiry, s.Subtree, s.Notice = g.id, instant(g.over()), g.subtree, g.notice
			if err == nil {
				s.Err = r.force(g)
			}
			if errors.Is(s.Err, ErrExpired) && g.live {
				s.Status, s.Since = Expired, s.Expiry
			}
		} else if err == nil {
			s.Err = map[Status]error{Withdrawn: ErrWithdrawn, Expired: ErrExpired, Invalidated: p.why}[p.status]
			if s.Err == nil {
				s.Err = ErrNotGiven
			}
		}
	} else if err == nil {
		s.Err = ErrNotGiven
	}
	for _, g := range r.grantsOf(t) {
		if r.clearable(g) {
			s.Ended = append(s.Ended, g.id)
		}
	}
	if l := r.ledgers[t.Controller]; l != nil && l.damage != nil && t.Subject == r.subject {
		s.Err = l.damage
		r.ring.View(func(ks *keyring.State) {
			for _, key := range ks.Grants {
				if key.Tuple == t && len(key.DataKey) > 0 {
					s.Status = Invalidated
				}
			}
		})
	}
	if s.InForce = s.Err == nil; !s.InForce {
		s.Reason = s.Err.Error()
	}
	return s
}

// States returns the State of every tuple of the policy, in its order.
func (r *Register) States() []State {
	doc := r.Policy()
	var out []State
	for _, t := range doc.Tuples(r.subject) {
		out = append(out, r.State(t))
	}
	return out
}

// clearable reports whether erasure of what was sent under a past consent can still be asked for. The caller holds mu.
func (r *Register) clearable(g *grant) bool {
	if g.live || g.cleared {
		return false
	}
	_, err := r.ring.Identity(g.id)
	return err == nil
}

func instant(sec int64) time.Time { return time.Unix(sec, 0).UTC() }

// InForce returns nil while data may be sent under a consent: the sender asks it right before each request. The
// error says why not, and is ErrNotInForce.
func (r *Register) InForce(consent wire.UUID) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.grants[consent]
	if g == nil {
		return fmt.Errorf("consent %s: %w", consent, ErrNotGiven)
	}
	if err := r.force(g); err != nil {
		return fmt.Errorf("consent %s: %w", consent, err)
	}
	return nil
}

// Introduced reports whether the controller has confirmed that it knows the consent, which a batch needs.
func (r *Register) Introduced(consent wire.UUID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.grants[consent]
	return g != nil && g.known
}

// Context returns a context for sending under a consent: it is cancelled when the consent ends, or when what was stored
// under it is erased, so that a request in flight stops. For a consent that is not in force it is cancelled already. The
// caller calls cancel when done.
func (r *Register) Context(parent context.Context, consent wire.UUID) (ctx context.Context, cancel context.CancelFunc) {
	ctx, cause := context.WithCancelCause(parent)
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.grants[consent]
	err := error(ErrNotGiven)
	if g != nil {
		err = r.force(g)
	}
	if err != nil {
		cause(err)
		return ctx, func() {}
	}
	g.flight++
	n := g.flight
	if g.flights == nil {
		g.flights = map[int]context.CancelCauseFunc{}
	}
	g.flights[n] = cause
	return ctx, func() {
		r.mu.Lock()
		delete(g.flights, n)
		r.mu.Unlock()
		cause(context.Canceled)
	}
}

// shut ends the permits, sessions and requests in flight of a consent. The caller holds mu.
func (r *Register) shut(g *grant, why error) {
	if g.lease != nil {
		g.lease.close(why)
	}
	for s := range g.sessions {
		s.end(why)
	}
	g.sessions = nil
	r.ground(g, why)
}

// ground cancels the requests in flight of a consent. The caller holds mu.
func (r *Register) ground(g *grant, why error) {
	for _, cancel := range g.flights {
		cancel(why)
	}
	g.flights = nil
}

// OnWithdrawn registers a function that is called after the data key of a consent has been destroyed, whatever the reason. It
// must be repeatable: the consents whose data still lies about after a crash are those for which the key ring has no data key.
func (r *Register) OnWithdrawn(f func(wire.UUID, policy.Tuple)) {
	r.hooks.Lock()
	defer r.hooks.Unlock()
	r.hooks.withdrawn = append(r.hooks.withdrawn, f)
}

// OnErased registers a function that is called after a consent that goes on got a new data key.
func (r *Register) OnErased(f func(wire.UUID, policy.Tuple)) {
	r.hooks.Lock()
	defer r.hooks.Unlock()
	r.hooks.erased = append(r.hooks.erased, f)
}

// call calls hooks outside of every lock.
func (r *Register) call(hooks *[]func(wire.UUID, policy.Tuple), what []ended) {
	if len(what) == 0 {
		return
	}
	r.hooks.Lock()
	fs := slices.Clone(*hooks)
	r.hooks.Unlock()
	for _, f := range fs {
		for _, e := range what {
			f(e.consent, e.tuple)
		}
	}
}
