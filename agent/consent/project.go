package consent

import (
	"context"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// The projection is what the ledgers say, in memory: apply is the only function that changes it for a record, at start
// and at every change, so that a restart cannot see anything else than what was in force before.

// tuple is what holds for one tuple.
type tuple struct {
	status  Status
	since   int64
	consent wire.UUID // while given
	shown   Notice    // shown and not yet answered
	terms   wire.Hash // of what the open question is about
	asked   bool
	noAt    int64 // of the last refusal or withdrawal, 0: none
	why     error // why a consent was invalidated
}

// grant is one consent that was given, until nothing is left to do for it.
type grant struct {
	id      wire.UUID
	tuple   policy.Tuple
	given   int64
	expiry  int64
	subtree wire.Hash
	terms   policy.Terms // that subtree is the hash of; nil where they are not known
	notice  NoticeShown
	until   int64 // when it ends by the policy in force, never after expiry; 0: expiry

	guarded   bool // a guardian has approved it
	live      bool
	end       error // why it is over
	ended     int64
	parked    bool // over because the terms changed: what is stored waits for its retention, unreadable to the sender
	cleared   bool // erasure of everything has been asked for
	confirmed bool // the controller knows that it is over
	known     bool // the controller knows of it

	keyless  bool   // the ring has no data key for it, although it is live
	closing  error  // a withdrawal has closed it but is not on the disk yet
	lease    *lease // open while in force
	sessions map[*Session]struct{}
	flights  map[int]context.CancelCauseFunc
	flight   int
}

// waiting is a message that no receipt has answered.
type waiting struct {
	seq     uint64
	kind    wire.MessageKind
	consent wire.UUID
	erasure wire.UUID // MsgErasure
	clear   bool      // MsgWithdrawal
	body    []byte
	since   int64
	tries   int
}

// outboxKey names a message: the ledger and the record that holds it.
type outboxKey struct {
	controller policy.ControllerID
	seq        uint64
}

// apply lets a record take effect in memory. The caller holds mu.
func (r *Register) apply(rec *Record) {
	if rec.Erased {
		return
	}
	t := r.tuples[rec.Tuple()]
	if t == nil {
		t = &tuple{}
		r.tuples[rec.Tuple()] = t
	}
	status := func(s Status) { t.status, t.since = s, rec.Time }
	answered := func() { t.asked, t.shown = false, Notice{} }
	switch rec.Event {
	case EventRequested:
		if t.status != Given {
			status(Requested)
		}
		t.asked = true
		if rec.Notice != (Notice{}) {
			t.shown = rec.Notice
		}
		t.terms = rec.Subtree
	case EventDeferred:
		if t.status != Given {
			status(Deferred)
		}
		answered()
	case EventRefused:
		status(Refused)
		t.noAt = rec.Time
		answered()
	case EventGiven:
		status(Given)
		t.consent = rec.Consent
		t.noAt = 0
		answered()
		r.grants[rec.Consent] = &grant{
			id: rec.Consent, tuple: rec.Tuple(), given: rec.Time, expiry: rec.Expiry, subtree: rec.Subtree,
			terms: termsOf(rec), notice: NoticeShown{rec.Notice.Lang, rec.Notice.SHA256}, live: true, guarded: len(rec.Guardian) > 0,
		}
	case EventWithdrawn, EventExpired, EventInvalidated:
		r.applyEnd(rec, t)
	case EventAcknowledged:
		r.applyReceipt(rec)
	}
	if len(rec.Message) > 0 {
		w := &waiting{seq: rec.Seq, consent: rec.Consent, clear: rec.Clear, body: rec.Message, since: rec.Time}
		switch rec.Event {
		case EventGiven:
			w.kind = wire.MsgConsent
		case EventErased:
			w.kind = wire.MsgErasure
			if m, _, err := wire.Open[wire.Erasure](rec.Message); err == nil {
				w.erasure = m.ID
			}
		default:
			w.kind = wire.MsgWithdrawal
		}
		r.outbox[outboxKey{rec.Controller, rec.Seq}] = w
	}
}

// applyEnd ends a consent. What waits for the controller and is now said by the end itself is dropped.
func (r *Register) applyEnd(rec *Record, t *tuple) {
	g := r.grants[rec.Consent]
	if g == nil { // known to the ring only: its ledger was restarted
		g = &grant{id: rec.Consent, tuple: rec.Tuple(), live: true}
		r.grants[rec.Consent] = g
		if t.status != Given {
			t.consent = rec.Consent
		}
	}
	for key, w := range r.outbox {
		if w.consent == rec.Consent && (w.kind == wire.MsgConsent ||
			w.kind == wire.MsgErasure && rec.Clear || w.kind == wire.MsgWithdrawal && len(rec.Message) > 0) {
			delete(r.outbox, key)
		}
	}
	current := t.consent == rec.Consent && !rec.Consent.IsZero()
	reason, status := error(ErrWithdrawn), Withdrawn
	switch {
	case rec.Event == EventExpired:
		reason, status = ErrExpired, Expired
	case rec.Cause == CauseRolledBack:
		reason, status = ErrRolledBack, Invalidated
	case rec.Event == EventInvalidated:
		reason, status = ErrNotGiven, Invalidated
	}
	if g.live {
		g.live, g.end, g.ended = false, reason, rec.Time
	}
	g.parked = rec.Event == EventInvalidated && rec.Cause == ""
	g.cleared = g.cleared || rec.Clear
	if rec.Clear {
		g.confirmed = false
	}
	if current || (t.status == Invalidated && rec.Event == EventWithdrawn) {
		t.status, t.since, t.consent, t.asked, t.shown = status, rec.Time, wire.UUID{}, false, Notice{}
		t.why = reason
		if rec.Event == EventWithdrawn {
			t.noAt = rec.Time
		}
	}
}

func (r *Register) applyReceipt(rec *Record) {
	key := outboxKey{rec.Controller, rec.RefersTo}
	w := r.outbox[key]
	delete(r.outbox, key)
	g := r.grants[rec.Consent]
	if g == nil {
		return
	}
	g.known = true
	if w != nil && w.kind == wire.MsgWithdrawal {
		g.confirmed = true
	}
}

// done reports whether nothing is left to do for a consent that is over, so that its identity can be destroyed: the
// controller has confirmed all that was asked, and keeps nothing of which erasure could still be asked.
func (r *Register) done(g *grant, now int64) bool {
	if g.live || r.waits(g.id) {
		return false
	}
	if g.cleared {
		return g.confirmed
	}
	kept, ok := r.kept(g)
	switch {
	case !ok:
		return false
	case kept.Until == policy.UntilWithdrawn:
		return g.confirmed
	case kept.Until != "":
		return false
	}
	return now >= g.ended+int64(kept.For/time.Second)
}

// waits reports whether a message about the consent is not answered yet.
func (r *Register) waits(consent wire.UUID) bool {
	for _, w := range r.outbox {
		if w.consent == consent {
			return true
		}
	}
	return false
}
