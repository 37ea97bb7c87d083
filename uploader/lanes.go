package uploader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/spool"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// ErrNotIntroduced says that the controller has not confirmed yet that it knows the consent, which every batch needs.
var ErrNotIntroduced = errors.New("the controller does not know the consent yet")

// ErrBehind says that something the person has asked to be erased or corrected has not reached the controller yet. What was
// stored later is sent behind it, since it would be taken out with the rest.
var ErrBehind = errors.New("an earlier erasure or correction has to reach the controller first")

// behind returns why no batch of a consent may be sent yet, nil when it may: what lane A has of it comes first.
func (u *Uploader) behind(id wire.UUID, controller policy.ControllerID) error {
	if !u.o.Register.Introduced(id) {
		return ErrNotIntroduced
	}
	for _, m := range u.o.Register.Outbox(controller) {
		if m.Consent == id && m.Kind == wire.MsgErasure {
			return ErrBehind
		}
	}
	if u.o.Cases != nil {
		for _, m := range u.o.Cases.Waiting() {
			if m.Consent == id && m.Changes {
				return ErrBehind
			}
		}
	}
	return nil
}

// sendFirst sends now what the batches of a consent have to wait for.
func (u *Uploader) sendFirst(ctx context.Context, id wire.UUID, tuple policy.Tuple) error {
	if u.behind(id, tuple.Controller) == nil {
		return nil
	}
	if err := u.introduce(ctx, id, tuple.Controller, tuple); err != nil {
		return err
	}
	why := u.behind(id, tuple.Controller)
	if why == nil {
		return nil
	}
	err := u.DeliverCases(ctx, id, tuple.Controller, tuple)
	if why = u.behind(id, tuple.Controller); why != nil && err != nil {
		return fmt.Errorf("%w: %w", why, err)
	}
	return why
}

// Result is what a Flush has sent.
type Result struct {
	Batches, Reports int
	Bytes            int64 // of the bodies
	Matches          int   // registered users found, as the receipts say
	Waiting          int   // reports that are left
}

// Deliver sends the waiting lane A messages of a controller now, whatever their retry times. It returns nil when none is left,
// and otherwise the errors.
func (u *Uploader) Deliver(ctx context.Context, controller policy.ControllerID) error {
	var errs []error
	seen := map[wire.UUID]bool{}
	for _, m := range u.o.Register.Outbox(controller) {
		if !seen[m.Consent] {
			seen[m.Consent] = true
			if err := u.introduce(ctx, m.Consent, controller, m.Tuple); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", m.Tuple, err))
			}
		}
	}
	u.Kick()
	if len(errs) > 1 {
		return fmt.Errorf("%w; and %d more", errs[0], len(errs)-1)
	}
	return errors.Join(errs...)
}

// introduce sends the waiting lane A messages of a consent now.
func (u *Uploader) introduce(ctx context.Context, id wire.UUID, controller policy.ControllerID, tuple policy.Tuple) error {
	u.mu.Lock()
	t := u.task(taskID{LaneA, id}, controller, tuple)
	u.mu.Unlock()
	return u.work(ctx, t, u.sendMessages) // not its cases: what is to be sent next waits for this
}

// sendMessages sends the messages of one consent in order until none is left. No answer but the controller's receipt
// takes a message out of the outbox.
func (u *Uploader) sendMessages(ctx context.Context, t *task) error {
	messages := u.messages(t)
	if len(messages) == 0 {
		return nil
	}
	c, err := u.client(t.controller, t.id.consent)
	if err != nil {
		return err
	}
	defer c.close()
	for ; len(messages) > 0; messages = u.messages(t) {
		m := messages[0]
		u.o.Register.Tried(t.controller, m.Seq)
		receipt, err := u.sendMessage(ctx, c, m.Consent, m.Kind, m.Path, m.Body)
		if withdrawnThere(err) {
			err = errors.Join(u.compareNow(ctx, c, m.Consent), err)
		}
		if err != nil {
			return fmt.Errorf("%s message: %w", m.Kind, err)
		}
		err = u.o.Register.Acknowledge(t.controller, m.Seq, receipt)
		if err != nil && !errors.Is(err, consent.ErrNoMessage) {
			return err
		}
		u.sent(t)
		u.o.Log.Info("the controller has confirmed", zap.String("kind", string(m.Kind)), zap.Stringer("tuple", t.tuple),
			zap.String("controller", string(t.controller)))
	}
	u.rideNotices(ctx, c)
	return nil
}

func (u *Uploader) messages(t *task) []consent.Message {
	var own []consent.Message
	for _, m := range u.o.Register.Outbox(t.controller) {
		if m.Consent == t.id.consent {
			own = append(own, m)
		}
	}
	return own
}

// sendMessage sends one signed message and returns the receipt for it.
func (u *Uploader) sendMessage(ctx context.Context, c *client, id wire.UUID, kind wire.MessageKind, path string, body []byte) ([]byte, error) {
	want, err := answerTo(kind, body)
	if err != nil {
		return nil, err
	}
	entry, err := u.o.Journal.Begin(LaneA, id, http.MethodPut, path, body)
	if err != nil {
		// Not even a full disk keeps a withdrawal from leaving; its bytes are in the consent ledger.
		u.o.Log.Error("a consent message leaves without an entry in the egress journal", zap.Error(err))
	}
	_, receipt, status, err := c.confirm(ctx, path, body, "", want, id)
	u.ended(entry, status, err)
	return receipt, err
}

// answerTo returns the kind of receipt that answers a message.
func answerTo(kind wire.MessageKind, body []byte) (wire.ReceiptKind, error) {
	switch kind {
	case wire.MsgConsent:
		return wire.ReceiptConsent, nil
	case wire.MsgErasure:
		return wire.ReceiptErasure, nil
	}
	w, _, err := wire.Open[wire.Withdrawal](body)
	if w.Clear {
		return wire.ReceiptErasure, err
	}
	return wire.ReceiptWithdrawal, err
}

// ended completes the journal entry of a request, if there is one.
func (u *Uploader) ended(entry wire.UUID, status int, err error) {
	outcome := ""
	if err != nil {
		outcome = err.Error()
	}
	if entry.IsZero() {
		return
	}
	if err := u.o.Journal.End(entry, status, outcome); err != nil {
		u.o.Log.Warn("the egress journal does not have what came of a request", zap.Error(err))
	}
}

// Flush sends what waits for a consent now: its introduction if the controller does not know it yet, what the person has asked to
// be erased or corrected, then batches until the spool is empty. spool.ErrEmpty when there was nothing. Retry times and slots do not count; the consent does.
func (u *Uploader) Flush(ctx context.Context, id wire.UUID) (Result, error) {
	if err := u.o.Register.InForce(id); err != nil {
		return Result{}, err
	}
	tuple, ok := u.tupleOf(id)
	if !ok {
		return Result{}, fmt.Errorf("consent %s: %w", id, keyring.ErrNoKey)
	}
	if u.laneOf(tuple) != policy.LaneFeatures {
		return Result{}, fmt.Errorf("%s: %w", tuple, ErrAtRandom)
	}
	if err := u.sendFirst(ctx, id, tuple); err != nil {
		return Result{}, err
	}
	u.mu.Lock()
	t := u.task(taskID{LaneB, id}, tuple.Controller, tuple)
	u.mu.Unlock()
	var result Result
	err := u.work(ctx, t, func(ctx context.Context, t *task) (err error) {
		result, err = u.sendBatches(ctx, t)
		return err
	})
	for _, s := range u.o.Spool.Stats() {
		if s.Consent == id {
			result.Waiting = s.Reports
		}
	}
	u.Kick()
	if err == nil && result.Batches == 0 {
		err = spool.ErrEmpty
	}
	return result, err
}

// sendBatches sends the batches of one consent until the spool has no more.
func (u *Uploader) sendBatches(ctx context.Context, t *task) (Result, error) {
	var result Result
	id := t.id.consent
	if err := u.o.Register.InForce(id); err != nil {
		return result, err
	}
	if err := u.behind(id, t.controller); err != nil {
		return result, err
	}
	c, err := u.client(t.controller, id)
	if err != nil {
		return result, err
	}
	defer c.close()
	if err := u.compare(ctx, c, id); err != nil {
		return result, err
	}
	u.rideNotices(ctx, c) // first: a breach stops what would follow
	again := false        // the controller was told about the consent once more
	renumbered := false
	for {
		if err := u.behind(id, t.controller); err != nil {
			return result, err
		}
		changes := u.changesOf(id) // before the batch is read: a batch of before a change never names it
		batch, err := u.o.Spool.Next(id)
		if errors.Is(err, spool.ErrEmpty) {
			return result, nil
		}
		if err != nil {
			return result, err
		}
		receipt, err := u.sendBatch(ctx, c, id, batch, changes)
		var refusal *Refusal
		switch {
		case errors.Is(err, errOutdated):
			if err := u.keepBack(t, batch); err != nil {
				return result, err
			}
			continue
		case err == nil:
			result.Batches++
			result.Reports += batch.Items
			result.Bytes += int64(len(batch.Body))
			result.Matches += receipt.Matches
			u.sent(t)
			renumbered = false
			continue
		case !errors.As(err, &refusal):
			return result, err
		case refusal.Kind == wire.ProblemConsentUnknown && !again:
			again = true
			if err := u.introduceAgain(ctx, c, t); err != nil {
				return result, fmt.Errorf("introduce the consent again: %w", err)
			}
			continue
		case refusal.Kind == wire.ProblemChanged && !renumbered:
			renumbered = true
			u.mu.Lock()
			u.changes[id] = refusal.Changes
			u.mu.Unlock()
			continue
		case withdrawnThere(err):
			err = errors.Join(u.compareNow(ctx, c, id), err)
		case spoilt(refusal.Kind):
			if err := u.park(ctx, c, t, batch, refusal); err != nil {
				return result, err
			}
		}
		return result, err
	}
}

// changesOf returns how many changes of a consent its controller has taken, as it said last; 0 after a start. A number above 0 is known only
// after the controller has taken a change, which is sent when it has been made here; so what is read of the spool afterwards is changed.
func (u *Uploader) changesOf(id wire.UUID) uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changes[id]
}

// sendBatch sends one batch and takes it out of the spool when the controller has confirmed it. The consent is asked for
// right before the send, and the request ends when the consent does.
func (u *Uploader) sendBatch(ctx context.Context, c *client, id wire.UUID, batch spool.Sending, changes uint64) (wire.Receipt, error) {
	ctx, cancel := u.o.Register.Context(ctx, id)
	defer cancel()
	ctx, land := u.whileAllowed(ctx, c.controller.ID)
	defer land()
	if err := u.stopped(c.controller.ID); err != nil {
		return wire.Receipt{}, err
	}
	if t, ok := u.tupleOf(id); ok {
		if err := u.resident(t); err != nil {
			return wire.Receipt{}, err
		}
	}
	since, err := u.mayLeave(id, batch)
	if err != nil {
		return wire.Receipt{}, err
	}
	path := "/v1/batches/" + batch.ID.String()
	entry, err := u.o.Journal.BeginSince(LaneB, id, http.MethodPut, path, batch.Body, since)
	if err != nil {
		return wire.Receipt{}, err // what cannot be recorded does not leave
	}
	if err := u.o.Register.InForce(id); err != nil {
		u.ended(entry, 0, fmt.Errorf("not sent: %w", err))
		return wire.Receipt{}, err
	}
	if changes > 0 { // not in the journal, which keeps a body once, however often it is sent
		path += "?" + wire.ChangesParameter + "=" + strconv.FormatUint(changes, 10)
	}
	receipt, _, status, err := c.confirm(ctx, path, batch.Body, "zstd", wire.ReceiptBatch, id)
	u.ended(entry, status, err)
	if err != nil {
		return wire.Receipt{}, err
	}
	err = u.o.Spool.Acked(id, batch.ID)
	if errors.Is(err, spool.ErrNotPending) {
		err = nil // dropped in the meantime, which is counted
	}
	return receipt, err
}

// errOutdated says that a batch was made under terms that the policy in force no longer allows, while the consent goes on.
var errOutdated = errors.New("made under terms that no longer hold")

// mayLeave asks whether a batch may be sent under the terms it was made under, and returns from when its oldest report is.
func (u *Uploader) mayLeave(id wire.UUID, batch spool.Sending) (since time.Time, err error) {
	since = time.Now()
	plain, err := wire.Decompress(batch.Body)
	if err != nil {
		return since, err
	}
	b, err := wire.DecodeBatch(plain)
	if err != nil {
		return since, err
	}
	for _, item := range b.Items {
		if at := time.Unix(item.Time, 0); at.Before(since) {
			since = at
		}
	}
	err = u.o.Register.MayLeave(id, b.Subtree)
	if errors.Is(err, consent.ErrPolicyChanged) && u.o.Register.InForce(id) == nil {
		return since, errOutdated
	}
	return since, err
}

// keepBack sets a batch aside whose terms no longer hold: it does not leave, and stays for its retention.
func (u *Uploader) keepBack(t *task, batch spool.Sending) error {
	err := u.o.Spool.Rejected(t.id.consent, batch.ID, "policy-changed")
	if err != nil && !errors.Is(err, spool.ErrNotPending) {
		return err
	}
	u.o.Log.Info("a batch made under wider terms is kept back", zap.Stringer("tuple", t.tuple), zap.Int("reports", batch.Items))
	return nil
}

// park sets a batch aside that the controller refuses for good.
func (u *Uploader) park(ctx context.Context, c *client, t *task, batch spool.Sending, refusal *Refusal) error {
	err := u.o.Spool.Rejected(t.id.consent, batch.ID, string(refusal.Kind))
	if err != nil && !errors.Is(err, spool.ErrNotPending) {
		return err
	}
	u.o.Log.Error("the controller refuses a batch, which is kept and not sent again", zap.Stringer("tuple", t.tuple),
		zap.String("problem", string(refusal.Kind)), zap.Int("reports", batch.Items))
	if refusal.Kind == wire.ProblemWrongEpoch {
		// The next set of digests is made under the new epoch.
		if _, err := u.fetchEpoch(ctx, c, t.id.consent); err != nil {
			u.o.Log.Warn("cannot fetch the contacts epoch", zap.Error(err))
		}
	}
	return nil
}

// introduceAgain sends the signed consent once more to a controller that has forgotten it, on this consent's own connection.
func (u *Uploader) introduceAgain(ctx context.Context, c *client, t *task) error {
	records, err := u.o.Register.Records(t.controller)
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Event == consent.EventGiven && r.Consent == t.id.consent && len(r.Message) > 0 {
			_, err := u.sendMessage(ctx, c, r.Consent, wire.MsgConsent, "/v1/consents/"+r.Consent.String(), r.Message)
			return err
		}
	}
	return ErrNotIntroduced
}

// parkedBy returns the refusal for which everything of a consent waits, "" when it is not parked.
func parkedBy(lane Lane, err error) wire.ProblemType {
	var r *Refusal
	if lane == LaneB && errors.As(err, &r) && forGood(r.Kind) {
		return r.Kind
	}
	return ""
}
