package consent

import (
	"fmt"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Permit is the right to read one tuple's source, to make reports of what is read, and to store them.
//
// The guarantee: a Permit whose Check returns nil was made by this package for a consent that the person
// gave to exactly the policy that Effective returns, or to one that provably allows more, and that is in force at this
// moment. Only this package can make one, since its field is unexported; the zero value is refused everywhere (ErrNoPermit). A Permit is a
// handle: copies end together with their consent, and holding one keeps nothing alive.
//
// Whoever takes a Permit calls Check before each read and each write, and stops at Done.
type Permit struct {
	lease *lease
}

// lease is what a Permit points at: one per consent, one per use session, and, when the processes are
// split, one per consent that a keeper granted over a pipe; ask is then the question to that keeper.
type lease struct {
	tuple     policy.Tuple
	consent   wire.UUID
	subtree   wire.Hash
	effective policy.Effective
	ask       func() error
	done      chan struct{}

	mu  sync.Mutex
	why error
}

// close ends the lease; the first reason stays.
func (l *lease) close(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why == nil {
		l.why = why
		close(l.done)
	}
}

// ended returns why the lease is over, nil while it is not.
func (l *lease) ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// never is closed: the Done of a zero Permit.
var never = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Check returns nil while the consent is in force, and otherwise why it is not (an ErrNotInForce). It is cheap
// and never waits for the disk.
func (p Permit) Check() error {
	if p.lease == nil {
		return ErrNoPermit
	}
	if err := p.lease.ended(); err != nil {
		return fmt.Errorf("%s: %w", p.lease.tuple, err)
	}
	if err := p.lease.ask(); err != nil {
		return fmt.Errorf("%s: %w", p.lease.tuple, err)
	}
	return nil
}

// Done is closed when the consent ends: withdrawn, expired, changed terms, end of the use session. A clock that is
// set back shows in Check alone, since that can pass.
func (p Permit) Done() <-chan struct{} {
	if p.lease == nil {
		return never
	}
	return p.lease.done
}

// Tuple returns what the permit is for.
func (p Permit) Tuple() policy.Tuple {
	if p.lease == nil {
		return policy.Tuple{}
	}
	return p.lease.tuple
}

// Consent returns the id of the consent that every report carries.
func (p Permit) Consent() wire.UUID {
	if p.lease == nil {
		return wire.UUID{}
	}
	return p.lease.consent
}

// Subtree returns the hash of what Effective returns, which every report carries.
func (p Permit) Subtree() wire.Hash {
	if p.lease == nil {
		return wire.Hash{}
	}
	return p.lease.subtree
}

// Effective returns the policy that is enforced: what was agreed to, or what has become narrower since. Its parts must
// not be changed; that of a zero Permit is zero.
func (p Permit) Effective() policy.Effective {
	if p.lease == nil {
		return policy.Effective{}
	}
	return p.lease.effective
}

// newLease opens the lease of a consent. The caller holds mu.
func (r *Register) newLease(g *grant, eff policy.Effective) *lease {
	return &lease{
		tuple: g.tuple, consent: g.id, subtree: wire.Hash(eff.SubtreeHash()), effective: eff, done: make(chan struct{}),
		ask: func() error {
			r.mu.RLock()
			defer r.mu.RUnlock()
			return r.force(g)
		},
	}
}

// current returns the consent of a tuple that is in force. The caller holds mu.
func (r *Register) current(t policy.Tuple) (*grant, policy.Effective, error) {
	eff, err := r.declared(t)
	if err != nil {
		return nil, eff, err
	}
	if l := r.ledgers[t.Controller]; l.damage != nil {
		return nil, eff, l.damage
	}
	p := r.tuples[t]
	if p == nil || p.status != Given {
		return nil, eff, fmt.Errorf("%s: %w", t, ErrNotGiven)
	}
	g := r.grants[p.consent]
	if err := r.force(g); err != nil {
		return nil, eff, fmt.Errorf("%s: %w", t, err)
	}
	return g, g.lease.effective, nil
}

// Permit returns the right to collect for a tuple whose purpose is read in the background or submitted by the
// application. The error is an ErrNotInForce: ErrSessionOnly for a purpose of use sessions, ErrUndeclared, ErrNotGiven,
// ErrExpired, ErrPolicyChanged, ErrClock, ErrDamaged.
func (r *Register) Permit(t policy.Tuple) (Permit, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g, eff, err := r.current(t)
	if err != nil {
		return Permit{}, err
	}
	if eff.Purpose.Collect.Mode == policy.ModeSession {
		return Permit{}, fmt.Errorf("%s: %w", t, ErrSessionOnly)
	}
	return Permit{g.lease}, nil
}

// MaxSessions is the largest number of open use sessions: an application needs one per feature on the screen.
const MaxSessions = 64

// Session is a use session: the time in which a purpose such as "people nearby" may be collected, because the person uses
// it. It ends by itself.
type Session struct {
	register *Register
	grant    *grant
	lease    *lease
	until    time.Time
	timer    *time.Timer
}

// OpenSession opens a use session of length d, or of the longest that the policy allows if that is shorter or d is not
// positive. The errors are those of Permit, ErrNoSession for a purpose without sessions, and ErrTooMany.
func (r *Register) OpenSession(t policy.Tuple, d time.Duration, who Actor) (*Session, error) {
	if err := who.known(); err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g, eff, err := r.current(t)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	collect := eff.Purpose.Collect
	if collect.Mode != policy.ModeSession || collect.MaxSession <= 0 {
		return nil, fmt.Errorf("open session: %s: %w", t, ErrNoSession)
	}
	open := 0
	for _, other := range r.grants {
		open += len(other.sessions)
	}
	if open >= MaxSessions {
		return nil, fmt.Errorf("open session: %w", ErrTooMany)
	}
	if d <= 0 || d > collect.MaxSession {
		d = collect.MaxSession
	}
	s := &Session{register: r, grant: g, until: r.clock().Add(d)}
	s.lease = r.newLease(g, eff)
	consent := s.lease.ask
	s.lease.ask = func() error {
		// A suspended machine stops the timer, not the wall clock.
		if !r.clock().Before(s.until) {
			s.Close()
			return ErrSessionEnded
		}
		return consent()
	}
	if g.sessions == nil {
		g.sessions = map[*Session]struct{}{}
	}
	g.sessions[s] = struct{}{}
	s.timer = time.AfterFunc(d, s.Close)
	return s, nil
}

// Permit returns the right to collect during the session.
func (s *Session) Permit() Permit { return Permit{s.lease} }

// Until returns when the session ends by itself.
func (s *Session) Until() time.Time { return s.until }

// Close ends the session and its permits. It is idempotent.
func (s *Session) Close() {
	s.register.mu.Lock()
	defer s.register.mu.Unlock()
	s.end(ErrSessionEnded)
	delete(s.grant.sessions, s)
}

// end ends the session. The caller holds the register's mu.
func (s *Session) end(why error) {
	s.lease.close(why)
	s.timer.Stop()
}
