package consent

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Withdraw takes a consent back. The steps, each of which can be repeated:
//
//  1. Permits, sessions and requests in flight of the tuple end, in memory.
//  2. One replacement of the key ring records the withdrawal with its signed message and destroys the
//     data key and the epoch: nothing stored is readable from here on.
//  3. The ledger's file gets the record; the message waits in Outbox until it is acknowledged.
//  4. The functions of OnWithdrawn remove the files that nobody can read any more.
//
// With erase the message also asks the controller to erase what it was sent, for every past consent of the tuple of
// which that was not asked before, so that a second Withdraw can still ask. An open question is refused by
// it. It is idempotent and works whatever the clock says. If step 2 fails, the error is returned, nothing is collected or
// sent all the same (State says ErrUnfinished), and Withdraw is to be called again: after a restart the
// consent would be in force as before.
func (r *Register) Withdraw(t policy.Tuple, erase bool, who Actor) error {
	if err := who.person(); err != nil {
		return fmt.Errorf("withdraw consent: %w", err)
	}
	return r.takeBack(t, erase, who)
}

// takeBack is Withdraw for whoever may.
func (r *Register) takeBack(t policy.Tuple, erase bool, who Actor) error {
	r.mu.Lock()
	if p := r.tuples[t]; p != nil && p.status == Given {
		if g := r.grants[p.consent]; g != nil && g.live {
			g.closing = ErrUnfinished
			r.shut(g, ErrWithdrawn)
		}
	}
	r.mu.Unlock()
	over, err := r.withdraw(t, erase, who)
	r.call(&r.hooks.withdrawn, over)
	if err != nil {
		return fmt.Errorf("withdraw consent: %w", err)
	}
	return nil
}

func (r *Register) withdraw(t policy.Tuple, erase bool, who Actor) (over []ended, err error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	l := r.ledgers[t.Controller]
	if t.Subject != r.subject || l == nil {
		return nil, fmt.Errorf("%s: %w", t, ErrUndeclared)
	}
	now, _ := r.now()
	if l.damage != nil {
		return r.restart(t.Controller, now, who, &t, erase)
	}
	c := &change{}
	var cleared []wire.UUID
	r.mu.Lock()
	p := r.tuples[t]
	for _, g := range r.grantsOf(t) {
		id := g.id
		if g.live { // also one that was granted while this call waited
			g.closing = ErrUnfinished
			r.shut(g, ErrWithdrawn)
		}
		if !g.live && !g.parked && (!erase || !r.clearable(g)) {
			continue
		}
		var rec *Record
		if g.live || erase && r.clearable(g) {
			rec, err = r.farewell(t, id, EventWithdrawn, erase, now, who)
		} else { // parked: its controller has been told
			rec = r.record(t, EventWithdrawn, who, now)
			rec.Consent = id
		}
		if err != nil {
			break
		}
		c.records = append(c.records, rec)
		over = append(over, ended{id, t})
		if rec.Clear {
			cleared = append(cleared, id)
		}
	}
	if p != nil && (p.status == Requested || p.status == Deferred) {
		c.records = append(c.records, r.record(t, EventRefused, who, now))
	}
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if len(c.records) == 0 {
		return nil, r.ring.Flush()
	}
	c.keys = func(s *keyring.State) error {
		destroy(s, over)
		for _, id := range cleared {
			if g := s.Grants[id]; g != nil {
				g.Clear = true
			}
		}
		return nil
	}
	if err := r.put(t.Controller, now, c); err != nil {
		if durable.Replaced(err) {
			return over, err
		}
		return nil, err
	}
	return over, nil
}

// grantsOf returns the consents of a tuple, oldest first. The caller holds mu.
func (r *Register) grantsOf(t policy.Tuple) []*grant {
	var out []*grant
	for _, g := range r.grants {
		if g.tuple == t {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b *grant) int {
		return cmp.Or(cmp.Compare(a.given, b.given), slices.Compare(a.id[:], b.id[:]))
	})
	return out
}

// Restart begins a new ledger for a controller whose ledger is damaged, by the person's word. The damaged file stays where
// it is. Every consent that was known is invalidated, and the controller is told so; what is to be collected must be
// asked for again. It does nothing for a ledger that is in order.
func (r *Register) Restart(controller policy.ControllerID, who Actor) error {
	if err := who.person(); err != nil {
		return fmt.Errorf("restart ledger: %w", err)
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	l := r.ledgers[controller]
	if l == nil {
		return fmt.Errorf("restart ledger: %w", ErrUndeclared)
	}
	if l.damage == nil {
		return nil
	}
	now, _ := r.now()
	if _, err := r.restart(controller, now, who, nil, false); err != nil {
		return fmt.Errorf("restart ledger: %w", err)
	}
	return nil
}

// restart is Restart inside the commit lock; it withdraws the consents of one tuple instead of invalidating
// them. What the ring knows of each consent is enough for it: an erasure that was asked for is asked for again.
func (r *Register) restart(controller policy.ControllerID, now int64, who Actor, withdrawn *policy.Tuple, erase bool) (over []ended, err error) {
	type key struct {
		ended
		live, erase bool
	}
	var keys []key
	r.ring.View(func(s *keyring.State) {
		for id, g := range s.Grants {
			if g.Tuple.Controller == controller {
				keys = append(keys, key{ended{id, g.Tuple}, len(g.DataKey) > 0, g.Clear})
			}
		}
	})
	c := &change{restart: true}
	var past, live []*Record
	for _, k := range keys {
		event, ask := EventInvalidated, k.erase
		switch {
		case withdrawn != nil && k.tuple == *withdrawn:
			event, ask = EventWithdrawn, ask || erase
		case !k.live:
			event = EventWithdrawn
		}
		rec, err := r.farewell(k.tuple, k.consent, event, ask, now, who)
		if err != nil {
			return nil, err
		}
		if event == EventWithdrawn {
			over = append(over, k.ended)
		}
		if k.live {
			live = append(live, rec)
		} else {
			past = append(past, rec)
		}
	}
	c.records = append(past, live...)
	if len(c.records) == 0 && withdrawn != nil {
		// Nothing is known of the tuple, so there is nothing to withdraw; the record says that it was wanted.
		c.records = append(c.records, r.record(*withdrawn, EventRefused, who, now))
	}
	c.keys = func(s *keyring.State) error {
		destroy(s, over)
		for _, rec := range c.records {
			if g := s.Grants[rec.Consent]; g != nil {
				g.Clear = rec.Clear
			}
		}
		return nil
	}
	if err := r.put(controller, now, c); err != nil {
		if durable.Replaced(err) {
			return over, err
		}
		return nil, err
	}
	return over, nil
}

// Erase asks the controller to erase what it was sent under a consent that goes on, and makes what is stored here
// unreadable: the consent gets a new data key. It returns the id of the request. A consent that is over is cleared
// with Withdraw instead: ErrNotInForce.
func (r *Register) Erase(t policy.Tuple, who Actor) (wire.UUID, error) {
	if err := who.person(); err != nil {
		return wire.UUID{}, fmt.Errorf("erase: %w", err)
	}
	request, what, err := r.erase(t, who)
	r.call(&r.hooks.erased, what)
	if err != nil {
		return wire.UUID{}, fmt.Errorf("erase: %w", err)
	}
	return request, nil
}

func (r *Register) erase(t policy.Tuple, who Actor) (request wire.UUID, what []ended, err error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	_, p, err := r.look(t)
	if err != nil {
		return request, nil, err
	}
	if p.status != Given {
		return request, nil, fmt.Errorf("%s: %w: what was sent under an earlier consent is cleared by withdrawing with clear", t, ErrNotGiven)
	}
	r.mu.Lock()
	g := r.grants[p.consent]
	closing := g.closing
	r.mu.Unlock()
	if closing != nil {
		return request, nil, closing
	}
	now, _ := r.now()
	id := wire.NewUUID()
	rec := r.record(t, EventErased, who, now)
	rec.Consent = p.consent
	rec.Message, rec.sequence, err = r.sign(p.consent, 0, func(n uint64) any {
		return wire.Erasure{ID: id, Consent: p.consent, Controller: string(t.Controller), Time: now, Sequence: n}
	})
	if err != nil {
		return request, nil, err
	}
	r.mu.Lock()
	r.ground(g, errErased)
	r.mu.Unlock()
	err = r.put(t.Controller, now, &change{records: []*Record{rec}, keys: func(s *keyring.State) error {
		key := s.Grants[p.consent]
		if key == nil {
			return fmt.Errorf("consent %s: %w", p.consent, keyring.ErrNoKey)
		}
		key.DestroyData()
		key.DataKey = keyring.NewKey()
		return nil
	}})
	if err != nil && !durable.Replaced(err) {
		return request, nil, err
	}
	// What started between the first cancellation and the new key was still the old data.
	r.mu.Lock()
	r.ground(g, errErased)
	r.mu.Unlock()
	return id, []ended{{p.consent, t}}, err
}

// errErased is the cause with which requests in flight end at an erasure.
var errErased = errors.New("what was stored has been erased")

// saveEvery is how often Sweep writes the time seen to the disk.
const saveEvery = time.Hour

// Sweep does what time brings, with at as the time: consents expire, with their data key destroyed; what was parked
// longer than its retention becomes unreadable; identities with nothing left to ask of their controller are destroyed; the
// time seen is written, at most once an hour; what a full disk left undone is tried again. Call it every few minutes.
func (r *Register) Sweep(at time.Time) error {
	over, err := r.sweep(at)
	r.call(&r.hooks.withdrawn, over)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

func (r *Register) sweep(at time.Time) (over []ended, err error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	now, _ := r.seen(at)
	var (
		errs    []error
		expired = map[policy.ControllerID][]ended{}
		parked  []ended
		retired []wire.UUID
	)
	r.mu.RLock()
	for id, g := range r.grants {
		if r.ledgers[g.tuple.Controller].damage != nil {
			continue
		}
		switch {
		case g.live && now >= g.over() && g.closing == nil:
			expired[g.tuple.Controller] = append(expired[g.tuple.Controller], ended{id, g.tuple})
		case g.parked && r.parkedLong(g, now):
			parked = append(parked, ended{id, g.tuple})
		}
		if r.done(g, now) {
			retired = append(retired, id)
		}
	}
	r.mu.RUnlock()
	for controller, list := range expired {
		c := &change{keys: func(s *keyring.State) error { destroy(s, list); return nil }}
		for _, e := range list {
			rec := r.record(e.tuple, EventExpired, agentItself, now)
			rec.Consent = e.consent
			c.records = append(c.records, rec)
		}
		if err := r.put(controller, now, c); err != nil {
			errs = append(errs, err)
		} else {
			over = append(over, list...)
		}
	}
	if len(parked)+len(retired) > 0 || now-r.saved >= int64(saveEvery/time.Second) {
		err := r.ring.Update(func(s *keyring.State) error {
			destroy(s, parked)
			for _, id := range retired {
				delete(s.Grants, id)
			}
			bury(s, now)
			s.HighWater = max(s.HighWater, now)
			return nil
		})
		if err != nil {
			errs = append(errs, err)
		} else {
			r.saved = now
			over = append(over, parked...)
			r.mu.Lock()
			for _, e := range parked {
				r.grants[e.consent].parked = false
			}
			for _, id := range retired {
				delete(r.grants, id)
			}
			r.mu.Unlock()
		}
	}
	if err := r.depart(); err != nil {
		errs = append(errs, err)
	}
	for _, l := range r.ledgers {
		if l.problem != nil {
			if r.flush(l, false); l.problem != nil {
				errs = append(errs, l.problem)
			}
		}
	}
	if !r.ring.Reserve().Held() {
		_ = r.ring.Reserve().Refill() // still full: tried again at the next sweep
	}
	return over, errors.Join(errs...)
}

// parkedLong reports whether what is stored under a parked consent has reached its retention, and still has a key. The caller holds mu.
func (r *Register) parkedLong(g *grant, now int64) bool {
	if _, err := r.ring.DataKey(g.id); err != nil {
		return false
	}
	keep := r.retention(g)
	return keep > 0 && now >= g.ended+int64(keep/time.Second)
}
