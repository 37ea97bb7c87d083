package consent

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Message waits for its controller: it is the part of a record that has to arrive. It is sent on the
// consent's own connection until Acknowledge has its receipt; no answer but a receipt ends that.
type Message struct {
	Seq      uint64 // of the record that holds it
	Kind     wire.MessageKind
	Consent  wire.UUID
	Tuple    policy.Tuple
	Path     string // of the PUT request
	Body     []byte // signed; the same bytes each time
	Since    time.Time
	Attempts int // since the start, as told by Tried
}

// Outbox returns the messages that wait for a controller, oldest first. They are sent whatever the clock says. What a
// later message says as well is not among them: the introduction of a consent that has ended, an erasure before a
// withdrawal that clears everything.
func (r *Register) Outbox(controller policy.ControllerID) []Message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []Message
	for key, w := range r.outbox {
		if key.controller != controller {
			continue
		}
		m := Message{
			Seq: w.seq, Kind: w.kind, Consent: w.consent, Body: slices.Clone(w.body), Since: instant(w.since), Attempts: w.tries,
		}
		if g := r.grants[w.consent]; g != nil {
			m.Tuple = g.tuple
		}
		switch w.kind {
		case wire.MsgConsent:
			m.Path = "/v1/consents/" + w.consent.String()
		case wire.MsgWithdrawal:
			m.Path = "/v1/consents/" + w.consent.String() + "/withdrawal"
		case wire.MsgErasure:
			m.Path = "/v1/erasures/" + w.erasure.String()
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Message) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

// Tried counts an attempt to send a message.
func (r *Register) Tried(controller policy.ControllerID, seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.outbox[outboxKey{controller, seq}]; w != nil {
		w.tries++
	}
}

// Controllers returns every controller that has a ledger or is in the policy, sorted.
func (r *Register) Controllers() []policy.ControllerID {
	r.commit.Lock()
	defer r.commit.Unlock()
	var out []policy.ControllerID
	for id := range r.ledgers {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// Acknowledge records the controller's signed receipt for a message, which ends its sending. It is durable when it returns,
// and idempotent. ErrReceipt when the receipt is not signed by the controller's key, or answers something else;
// ErrNoMessage when there is no such message (it was answered, or a later message took its place).
func (r *Register) Acknowledge(controller policy.ControllerID, seq uint64, receipt []byte) error {
	if err := r.acknowledge(controller, seq, receipt); err != nil {
		return fmt.Errorf("acknowledge message %d of %s: %w", seq, controller, err)
	}
	return nil
}

func (r *Register) acknowledge(controller policy.ControllerID, seq uint64, receipt []byte) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	r.mu.RLock()
	w := r.outbox[outboxKey{controller, seq}]
	var g *grant
	if w != nil {
		g = r.grants[w.consent]
	}
	r.mu.RUnlock()
	c, err := r.Controller(controller)
	switch {
	case w == nil || g == nil:
		return ErrNoMessage
	case err != nil:
		return err
	case len(receipt) > maxMessage:
		return ErrReceipt
	}
	got, err := wire.OpenReceipt(receipt, c.Key)
	if err != nil {
		return err
	}
	want := map[wire.MessageKind]wire.ReceiptKind{
		wire.MsgConsent: wire.ReceiptConsent, wire.MsgWithdrawal: wire.ReceiptWithdrawal, wire.MsgErasure: wire.ReceiptErasure,
	}[w.kind]
	if w.clear {
		want = wire.ReceiptErasure
	}
	if err := got.Answers(string(controller), want, w.consent, wire.HashOf(w.body)); err != nil {
		return err
	}
	now, _ := r.now()
	rec := r.record(g.tuple, EventAcknowledged, agentItself, now)
	rec.Consent, rec.RefersTo, rec.Receipt = w.consent, seq, receipt
	last := w.kind == wire.MsgWithdrawal && r.last(g, w)
	err = r.put(controller, now, &change{records: []*Record{rec}, keys: func(s *keyring.State) error {
		if last {
			delete(s.Grants, g.id)
		}
		return nil
	}})
	if last && err == nil {
		r.mu.Lock()
		delete(r.grants, g.id)
		r.mu.Unlock()
	}
	return err
}

// last reports whether the receipt for w leaves nothing to ask of the controller, so that the identity goes with it.
func (r *Register) last(g *grant, w *waiting) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, other := range r.outbox {
		if other.consent == g.id && other != w {
			return false
		}
	}
	if g.cleared {
		return w.clear
	}
	kept, ok := r.kept(g)
	return ok && !g.parked && kept.Until == policy.UntilWithdrawn
}

// Records returns the readable records of a controller's ledger, oldest first. One whose body is erased has only its
// number.
func (r *Register) Records(controller policy.ControllerID) ([]*Record, error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	l := r.ledgers[controller]
	if l == nil {
		return nil, nil
	}
	if l.damage != nil {
		return nil, fmt.Errorf("read ledger: %w", l.damage)
	}
	var (
		out []*Record
		err error
	)
	r.ring.View(func(s *keyring.State) {
		if ls := s.Ledgers[controller]; ls != nil {
			out, err = l.read(ls.RecordKeys)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	return out, nil
}

// Receipt is a controller's signed answer to a message, with what it answers.
type Receipt struct {
	Record  *Record      `json:"record"`  // that holds the message
	Receipt wire.Receipt `json:"receipt"` // as it was signed
	Note    []byte       `json:"note"`    // the signed note itself
}

// Receipts returns the receipts of a controller, oldest first. One that the controller's present key does not verify
// has only its note.
func (r *Register) Receipts(controller policy.ControllerID) ([]Receipt, error) {
	records, err := r.Records(controller)
	if err != nil {
		return nil, err
	}
	key := ""
	if c, err := r.Controller(controller); err == nil {
		key = c.Key
	}
	var out []Receipt
	for _, rec := range records {
		if rec.Event != EventAcknowledged {
			continue
		}
		one := Receipt{Record: records[rec.RefersTo], Note: rec.Receipt}
		if got, err := wire.OpenReceipt(rec.Receipt, key); err == nil {
			one.Receipt = got
		}
		out = append(out, one)
	}
	return out, nil
}
