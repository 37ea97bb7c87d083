package consent

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// look returns what an answer about a tuple is decided on. The caller holds commit, under which nothing of it
// changes but what time does.
func (r *Register) look(t policy.Tuple) (eff policy.Effective, now tuple, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if eff, err = r.declared(t); err != nil {
		return eff, now, err
	}
	if l := r.ledgers[t.Controller]; l.damage != nil {
		return eff, now, l.damage
	}
	if p := r.tuples[t]; p != nil {
		now = *p
	}
	return eff, now, nil
}

// settled reports whether a consent is given and there is nothing to ask: it is in force, or what keeps it from that (the
// clock) passes. One that has expired, or whose terms have changed, can be asked for again.
func (r *Register) settled(t policy.Tuple) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p := r.tuples[t]
	if p == nil || p.status != Given {
		return false
	}
	err := r.force(r.grants[p.consent])
	return err == nil || errors.Is(err, ErrClock)
}

// Request notes that the question should be asked. An application gets ErrQuiet during the quiet period after
// the person said no; the person may come back to it at any time. It is no answer, and nothing is recorded when
// the question is open already or the consent is in force.
func (r *Register) Request(t policy.Tuple, who Actor) error {
	if err := who.known(); err != nil {
		return fmt.Errorf("request consent: %w", err)
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	eff, p, err := r.look(t)
	if err != nil {
		return fmt.Errorf("request consent: %w", err)
	}
	if p.asked || r.settled(t) {
		return nil
	}
	now, behind := r.now()
	if who.person() != nil {
		if behind {
			return fmt.Errorf("request consent: %w", ErrClock) // else a clock set back and forth would shorten the quiet period
		}
		if p.noAt != 0 && now < p.noAt+int64(eff.Purpose.Quiet/time.Second) {
			return fmt.Errorf("request consent: %s: %w: until %s", t, ErrQuiet,
				instant(p.noAt).Add(eff.Purpose.Quiet).Format(time.DateOnly))
		}
	}
	rec := r.record(t, EventRequested, who, now)
	rec.Subtree = eff.SubtreeHash()
	if err := r.put(t.Controller, now, &change{records: []*Record{rec}}); err != nil {
		return fmt.Errorf("request consent: %w", err)
	}
	return nil
}

// Show returns the notice in lang, for the person to read, and records that exactly this text was shown. Only then can
// Grant accept it. While the consent is in force there is nothing to accept, and nothing is recorded.
func (r *Register) Show(t policy.Tuple, lang policy.Lang, who Actor) (policy.Notice, error) {
	if err := who.person(); err != nil {
		return policy.Notice{}, fmt.Errorf("show notice: %w", err)
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	eff, p, err := r.look(t)
	if err != nil {
		return policy.Notice{}, fmt.Errorf("show notice: %w", err)
	}
	n := eff.Notice(lang)
	shown := Notice{Lang: n.Lang, Text: n.Text, SHA256: n.SHA256}
	if p.asked && p.shown == shown || r.settled(t) {
		return n, r.ring.Flush()
	}
	now, _ := r.now()
	rec := r.record(t, EventRequested, who, now)
	rec.Notice, rec.Terms = shown, eff.Terms().Encode()
	rec.Subtree = wire.HashOf(rec.Terms)
	if err := r.put(t.Controller, now, &change{records: []*Record{rec}}); err != nil {
		return policy.Notice{}, fmt.Errorf("show notice: %w", err)
	}
	return n, nil
}

// Grant records that the person agrees to the notice whose SHA-256 is notice, in the language in which it was shown, and
// returns the consent's fresh id. It is durable when it returns. ErrNotPerson, ErrNotShown, ErrNoticeDiffers,
// ErrClock, and for a minor ErrGuardian without a guardian's approval of just this. If the consent is in force already, its id is returned and nothing changes. A consent to
// terms that have changed since ends with this: its data is parked and its controller told.
func (r *Register) Grant(t policy.Tuple, lang policy.Lang, notice wire.Hash, who Actor) (wire.UUID, error) {
	id, err := r.grant(t, lang, notice, who)
	if err != nil {
		return wire.UUID{}, fmt.Errorf("grant consent: %w", err)
	}
	return id, nil
}

func (r *Register) grant(t policy.Tuple, lang policy.Lang, notice wire.Hash, who Actor) (wire.UUID, error) {
	if err := who.person(); err != nil {
		return wire.UUID{}, err
	}
	id, over, err := r.grantLocked(t, lang, notice, who)
	r.call(&r.hooks.withdrawn, over)
	return id, err
}

// grantLocked is grant inside the commit lock; over are the consents whose data key it destroyed.
func (r *Register) grantLocked(t policy.Tuple, lang policy.Lang, notice wire.Hash, who Actor) (id wire.UUID, over []ended, err error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	eff, p, err := r.look(t)
	if err != nil {
		return id, nil, err
	}
	now, behind := r.now()
	switch {
	case behind:
		return id, nil, ErrClock
	case r.settled(t):
		return p.consent, nil, r.ring.Flush()
	}
	n := eff.Notice(lang)
	switch shown := p.shown; {
	case shown == Notice{}:
		return id, nil, ErrNotShown
	case shown.SHA256 != notice || shown.Lang != n.Lang || shown.SHA256 != wire.Hash(n.SHA256) || shown.Text != n.Text:
		return id, nil, ErrNoticeDiffers
	}
	guardian, err := r.approved(t, n.Lang, notice, now)
	if err != nil {
		return id, nil, err
	}

	fresh, identity, data := wire.NewUUID(), keyring.NewKey(), keyring.NewKey()
	defer clear(identity)
	defer clear(data)
	rec := r.record(t, EventGiven, who, now)
	rec.Consent, rec.Notice, rec.Terms = fresh, p.shown, eff.Terms().Encode()
	rec.Subtree = wire.HashOf(rec.Terms)
	rec.Expiry = now + max(int64(eff.Purpose.Expiry/time.Second), 1)
	agreed := wire.Consent{
		Consent: fresh, Controller: string(t.Controller), Category: string(t.Category), Purpose: string(t.Purpose),
		PolicyVersion: rec.PolicyVersion, Subtree: rec.Subtree, Notice: rec.Notice.SHA256, Lang: string(rec.Notice.Lang),
		Time: rec.Time, Expiry: rec.Expiry, Sequence: 1,
	}
	if guardian != nil {
		rec.Guardian, agreed.Guardian = guardian.proof, guardian.evidence
	}
	if rec.Message, err = wire.Sign(ed25519.NewKeyFromSeed(identity), agreed); err != nil {
		return id, nil, err
	}
	records := []*Record{rec}
	if p.status == Given { // given, but not in force any more
		end, err := r.ending(t, p.consent, now, who)
		if err != nil {
			return id, nil, err
		}
		if end.Event != EventInvalidated {
			over = append(over, ended{p.consent, t})
		}
		records = []*Record{end, rec}
	}
	err = r.put(t.Controller, now, &change{records: records, keys: func(s *keyring.State) error {
		destroy(s, over)
		guardian.use(s)
		s.Grants[fresh] = &keyring.Grant{
			Tuple: t, DataKey: slices.Clone(data), Identity: slices.Clone(identity), Sequence: 1, Latest: wire.HashOf(rec.Message),
		}
		return nil
	}})
	if err != nil {
		return id, nil, err
	}
	return fresh, over, nil
}

// ending returns the record that ends a consent which stopped counting before the person answered again: its
// withdrawal could not be written, it has expired, or its terms have changed.
func (r *Register) ending(t policy.Tuple, consent wire.UUID, now int64, who Actor) (*Record, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g := r.grants[consent]
	event := EventInvalidated
	switch {
	case g.closing != nil:
		event = EventWithdrawn
	case now >= g.over():
		rec := r.record(t, EventExpired, agentItself, now)
		rec.Consent = consent
		return rec, nil
	}
	return r.farewell(t, consent, event, false, now, who)
}

// Refuse records the person's no. From then on an application may not ask again for the policy's quiet period. A consent
// that is given is not refused but withdrawn: ErrGiven.
func (r *Register) Refuse(t policy.Tuple, who Actor) error {
	if err := r.answer(t, EventRefused, who); err != nil {
		return fmt.Errorf("refuse consent: %w", err)
	}
	return nil
}

// Defer records that the person does not want to answer now. Without an open question it does nothing.
func (r *Register) Defer(t policy.Tuple, who Actor) error {
	if err := r.answer(t, EventDeferred, who); err != nil {
		return fmt.Errorf("defer consent: %w", err)
	}
	return nil
}

func (r *Register) answer(t policy.Tuple, e Event, who Actor) error {
	if err := who.person(); err != nil {
		return err
	}
	over, err := r.answerLocked(t, e, who)
	r.call(&r.hooks.withdrawn, over)
	return err
}

// answerLocked is answer inside the commit lock; over are the consents whose data key it destroyed.
func (r *Register) answerLocked(t policy.Tuple, e Event, who Actor) (over []ended, err error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	_, p, err := r.look(t)
	now, _ := r.now()
	switch {
	case err != nil:
		return nil, err
	case e == EventRefused && p.status == Refused && !p.asked, e == EventDeferred && !p.asked:
		return nil, r.ring.Flush()
	}
	c := &change{records: []*Record{r.record(t, e, who, now)}}
	if e == EventRefused && p.status == Given {
		end, err := r.ending(t, p.consent, now, who)
		if err != nil {
			return nil, err
		}
		if end.Event != EventExpired {
			return nil, ErrGiven
		}
		over = []ended{{p.consent, t}}
		c.records = []*Record{end, c.records[0]}
		c.keys = func(s *keyring.State) error { destroy(s, over); return nil }
	}
	if err := r.put(t.Controller, now, c); err != nil {
		return nil, err
	}
	return over, nil
}
