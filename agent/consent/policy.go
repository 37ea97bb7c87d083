package consent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// A policy can change under a consent. What the person agreed to is in the ledger, as terms whose hash the consent
// carries; the register compares them with what the policy in force says:
//
//   - the same, or provably narrower: the consent goes on, and what is enforced is the narrower of the two;
//   - anything else: nothing is collected or sent until the person has agreed again, and what was stored waits, unsent,
//     for its retention;
//   - another controller, or no such purpose any more: the consent ends, its controller is told, what was stored waits
//     in the same way. The new controller has nothing before the person agrees to it.

// SetPolicy puts another version of the policy into force. What is unchanged, by the subtree hash, goes
// on; what is provably narrower goes on under the narrower rules, with new permits; permits of what differs otherwise
// end at once. A consent whose controller or purpose is gone ends, with a message to its controller; where that cannot
// be written the error says so, nothing is collected all the same, and Sweep repeats it. The caller has checked the
// signature and the version.
func (r *Register) SetPolicy(doc *policy.Document) error {
	for _, c := range doc.Controllers {
		if !safeName(c.ID) {
			return fmt.Errorf("set policy: %w: controller id", ErrUndeclared)
		}
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	if r.closed {
		return fmt.Errorf("set policy: %w", ErrClosed)
	}
	r.mu.Lock()
	for _, c := range doc.Controllers {
		if r.ledgers[c.ID] == nil {
			l := r.ledger(c.ID)
			l.damage = l.orphan()
		}
	}
	r.doc = doc
	r.renewLeases()
	r.mu.Unlock()
	if err := errors.Join(r.rememberAll(), r.depart()); err != nil {
		return fmt.Errorf("set policy: %w", err)
	}
	return nil
}

// renewLeases closes the leases of what is no longer in force, and opens one for what is; one of terms that have become
// narrower since is replaced. The caller holds mu.
func (r *Register) renewLeases() {
	for _, g := range r.grants {
		if !g.live {
			r.shut(g, g.end)
			continue
		}
		if g.closing != nil || g.keyless || r.ledgers[g.tuple.Controller].damage != nil {
			continue
		}
		eff, err := r.agreed(g)
		if err == nil && r.minor && !g.guarded {
			err = ErrGuardian
		}
		g.until = g.expiry
		if err != nil {
			r.shut(g, err)
			continue
		}
		if life := eff.Purpose.Expiry; life > 0 {
			g.until = min(g.expiry, g.given+max(int64(life/time.Second), 1))
		}
		if g.lease != nil && g.lease.ended() == nil && g.lease.subtree != wire.Hash(eff.SubtreeHash()) {
			r.shut(g, ErrPolicyChanged)
		}
		if g.lease == nil || g.lease.ended() != nil {
			g.lease = r.newLease(g, eff)
		}
	}
}

// over is when a consent ends by itself, in unix seconds: as the person was told, or earlier where the policy has become
// narrower.
func (g *grant) over() int64 {
	if g.until != 0 {
		return g.until
	}
	return g.expiry
}

// declared returns what the policy says about a tuple of this subject; ErrUndeclared when it says nothing. The caller holds mu.
func (r *Register) declared(t policy.Tuple) (policy.Effective, error) {
	eff, err := r.doc.Effective(t.Category, t.Purpose)
	if err != nil || t.Subject != r.subject || eff.Controller.ID != t.Controller || !eff.Category.Asked() {
		return policy.Effective{}, fmt.Errorf("%s: %w", t, ErrUndeclared)
	}
	return eff, nil
}

// agreed returns what the policy says about a consent, if the person agreed to that or to more. The caller holds mu.
func (r *Register) agreed(g *grant) (policy.Effective, error) {
	eff, err := r.declared(g.tuple)
	if err != nil {
		return eff, err
	}
	if wire.Hash(eff.SubtreeHash()) == g.subtree {
		return eff, nil
	}
	if g.terms != nil {
		if narrower, _ := eff.Terms().Within(g.terms); narrower {
			return eff, nil
		}
	}
	return policy.Effective{}, ErrPolicyChanged
}

// termsOf reads the terms that a record holds; nil where it has none.
func termsOf(rec *Record) policy.Terms {
	t, err := policy.DecodeTerms(rec.Terms)
	if err != nil {
		return nil
	}
	return t
}

// MayLeave returns nil while what was made under the terms with this hash may be sent under a consent: the terms in force,
// or those that were agreed to where the ones in force are narrower in other things than the content of a report. The error
// is an ErrNotInForce; ErrPolicyChanged says that the consent goes on without these reports, which then wait for their
// retention.
func (r *Register) MayLeave(consent wire.UUID, subtree wire.Hash) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.grants[consent]
	if g == nil {
		return fmt.Errorf("consent %s: %w", consent, ErrNotGiven)
	}
	if err := r.force(g); err != nil {
		return fmt.Errorf("consent %s: %w", consent, err)
	}
	eff, err := r.agreed(g)
	if err != nil {
		return fmt.Errorf("consent %s: %w", consent, err)
	}
	switch terms := eff.Terms(); {
	case subtree == wire.Hash(terms.Hash()):
		return nil
	case subtree == g.subtree && g.terms != nil && terms.SameContent(g.terms):
		return nil
	}
	return fmt.Errorf("consent %s: %w", consent, ErrPolicyChanged)
}

// Retention returns how long what is stored under a consent may stay on the device: the shorter of what was agreed to and
// what the policy in force says of the same purpose; 0 where neither names a duration.
func (r *Register) Retention(consent wire.UUID) time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if g := r.grants[consent]; g != nil {
		return r.retention(g)
	}
	return 0
}

func (r *Register) retention(g *grant) time.Duration {
	keep := g.terms.Device().For
	if eff, err := r.doc.Effective(g.tuple.Category, g.tuple.Purpose); err == nil {
		if now := eff.Purpose.Device.For; now > 0 && (keep == 0 || now < keep) {
			keep = now
		}
	}
	return keep
}

// kept returns how long the controller keeps what was sent under a consent, as it was agreed to; ok is false where nobody
// knows. The caller holds mu.
func (r *Register) kept(g *grant) (keep policy.Retention, ok bool) {
	if g.terms != nil {
		return g.terms.Kept(), true
	}
	eff, err := r.doc.Effective(g.tuple.Category, g.tuple.Purpose)
	if err != nil {
		return policy.Retention{}, false
	}
	return eff.Purpose.Kept, true
}

// depart ends the consents whose tuple the policy no longer has: another controller was named for the purpose, or the purpose
// is gone. Their controllers are told; what is stored stays for its retention. The caller holds commit.
func (r *Register) depart() error {
	now, _ := r.now()
	gone := map[policy.ControllerID][]*Record{}
	var errs []error
	r.mu.RLock()
	for _, g := range r.grants {
		if !g.live || g.closing != nil || r.ledgers[g.tuple.Controller].damage != nil {
			continue
		}
		if _, err := r.declared(g.tuple); err == nil {
			continue
		}
		rec, err := r.farewell(g.tuple, g.id, EventInvalidated, false, now, agentItself)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		gone[g.tuple.Controller] = append(gone[g.tuple.Controller], rec)
	}
	r.mu.RUnlock()
	for controller, records := range gone {
		if err := r.put(controller, now, &change{records: records}); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Named reports whether the terms that a consent was given to have a field of this name, or are not known any more.
func (r *Register) Named(consent wire.UUID, field string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.grants[consent]
	return g == nil || g.terms == nil || g.terms["fields."+field+".type"] != ""
}

// Parked are the consents of a (category, purpose), under whatever controller, that ended because the policy changed and
// whose data waits on the device for its retention; oldest first.
func (r *Register) Parked(category policy.CategoryID, purpose policy.PurposeID) []wire.UUID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []*grant
	for _, g := range r.grants {
		if g.parked && g.tuple.Category == category && g.tuple.Purpose == purpose {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b *grant) int { return int(a.given - b.given) })
	var out []wire.UUID
	for _, g := range list {
		out = append(out, g.id)
	}
	return out
}

// Departed are the tuples that the policy no longer has, of a (category, purpose) that had another controller: what is
// left of them can still be withdrawn and cleared.
func (r *Register) Departed(category policy.CategoryID, purpose policy.PurposeID) []policy.Tuple {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []policy.Tuple
	for t := range r.tuples {
		if t.Category != category || t.Purpose != purpose {
			continue
		}
		if _, err := r.declared(t); err != nil {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b policy.Tuple) int { return slices.Compare([]byte(a.Controller), []byte(b.Controller)) })
	return out
}

// TuplesOf returns the tuples of a controller in their order: those of the policy, and every other that this subject has ever
// answered about.
func (r *Register) TuplesOf(controller policy.ControllerID) []policy.Tuple {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := r.doc.Tuples(r.subject)
	for t := range r.tuples {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	all = slices.DeleteFunc(all, func(t policy.Tuple) bool { return t.Controller != controller })
	slices.SortFunc(all, func(a, b policy.Tuple) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// Changed returns how the policy in force differs from what the person agreed to, for each consent that is given: those
// that go on because it is narrower, and those that wait for an answer. A purpose that has another controller now is
// among them until the person has answered.
func (r *Register) Changed() []policy.Change {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []policy.Change
	for _, t := range r.doc.Tuples(r.subject) {
		eff, err := r.declared(t)
		if err != nil {
			continue
		}
		old := r.agreedTerms(t)
		if old == nil {
			continue
		}
		narrower, reasons := eff.Terms().Within(old)
		if len(reasons) == 0 {
			continue
		}
		c := policy.Change{
			Kind: policy.Changed, Controller: t.Controller, Category: t.Category, Purpose: t.Purpose, Subtree: true, Narrower: narrower,
		}
		for _, reason := range reasons {
			c.Details = append(c.Details, reason.Detail)
		}
		out = append(out, c)
	}
	return out
}

// agreedTerms returns the terms that a person agreed to last for what a tuple is about, while that question is open. The
// caller holds mu.
func (r *Register) agreedTerms(t policy.Tuple) policy.Terms {
	p := r.tuples[t]
	if p != nil && p.status == Given {
		return r.grants[p.consent].terms
	}
	if p != nil && (p.status == Refused || p.status == Withdrawn) {
		return nil
	}
	var last *grant
	for _, g := range r.grants {
		succeeded := g.tuple.Category == t.Category && g.tuple.Purpose == t.Purpose && g.tuple.Controller != t.Controller
		if succeeded && g.parked && (last == nil || g.given > last.given) {
			last = g
		}
	}
	if last == nil {
		return nil
	}
	return last.terms
}

// Controller returns a controller as the policy in force names it, or, for one that the policy no longer has, as the last
// one did: what has to be told to it still goes there. ErrUndeclared for any other.
func (r *Register) Controller(id policy.ControllerID) (*policy.Controller, error) {
	if c, err := r.Policy().Controller(id); err == nil {
		return c, nil
	}
	var c *policy.Controller
	r.ring.View(func(s *keyring.State) {
		if k, ok := s.Controllers[id]; ok {
			c = &policy.Controller{ID: id, Endpoint: k.Endpoint, Region: k.Region, Key: k.Key, Pins: slices.Clone(k.Pins)}
		}
	})
	if c == nil {
		return nil, fmt.Errorf("controller %s: %w", id, ErrUndeclared)
	}
	return c, nil
}

// remember keeps in the ring how a controller is reached, for the time when the policy no longer says so.
func (r *Register) remember(s *keyring.State, id policy.ControllerID) {
	c, err := r.doc.Controller(id)
	if err != nil {
		return
	}
	if s.Controllers == nil {
		s.Controllers = map[policy.ControllerID]keyring.Controller{}
	}
	s.Controllers[id] = keyring.Controller{Endpoint: c.Endpoint, Region: c.Region, Key: c.Key, Pins: slices.Clone(c.Pins)}
}

// rememberAll is remember for every controller that has a ledger, where the policy says something else than the ring.
func (r *Register) rememberAll() error {
	var stale []policy.ControllerID
	r.ring.View(func(s *keyring.State) {
		for id := range s.Ledgers {
			c, err := r.doc.Controller(id)
			if k := s.Controllers[id]; err == nil && (k.Endpoint != c.Endpoint || k.Region != c.Region || k.Key != c.Key || !slices.Equal(k.Pins, c.Pins)) {
				stale = append(stale, id)
			}
		}
	})
	if len(stale) == 0 {
		return nil
	}
	return r.ring.Update(func(s *keyring.State) error {
		for _, id := range stale {
			r.remember(s, id)
		}
		return nil
	})
}
