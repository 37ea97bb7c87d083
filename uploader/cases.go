package uploader

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// CaseMessage is a case that has to be sent to its controller, or asked about.
type CaseMessage struct {
	ID         wire.UUID
	Consent    wire.UUID
	Controller policy.ControllerID
	Tuple      policy.Tuple
	Body       []byte // signed; nil where the controller is only asked how far it has come
	Since      time.Time
	// Changes says that it changes what the controller holds, and has not arrived: batches of the consent wait for it.
	Changes bool
}

// Outbox is a source of messages of lane A beside the consent register. It gives up none of them: whatever a server answers, a message
// goes on waiting until Confirm and Answer have taken what the controller has signed.
type Outbox interface {
	// Waiting returns what is to be sent now, oldest first.
	Waiting() []CaseMessage
	// Identity returns the key of a consent that may be over; keyring.ErrNoKey.
	Identity(consent wire.UUID) (ed25519.PrivateKey, error)
	// Confirm takes the receipt, Answer the signed answer; both check them and refuse what is not about this case.
	Confirm(id wire.UUID, receipt []byte) error
	Answer(id wire.UUID, signed []byte) error
	// Unknown says that the controller does not know a case that it has confirmed.
	Unknown(id wire.UUID) error
}

// refreshCases adds the cases that wait to the tasks of lane A.
func (u *Uploader) refreshCases(waiting map[taskID]*task) {
	if u.o.Cases == nil {
		return
	}
	for _, m := range u.o.Cases.Waiting() {
		id := taskID{LaneA, m.Consent}
		t := waiting[id]
		if t == nil {
			t = &task{controller: m.Controller, tuple: m.Tuple, since: m.Since}
			waiting[id] = t
		}
		t.waiting++
		t.filed = max(t.filed, m.Since.UnixNano())
	}
}

// identity returns the key that a consent is known by: its own, or the copy that its cases keep.
func (u *Uploader) identity(consent wire.UUID) (ed25519.PrivateKey, error) {
	key, err := u.o.Ring.Identity(consent)
	if errors.Is(err, keyring.ErrNoKey) && u.o.Cases != nil {
		return u.o.Cases.Identity(consent)
	}
	return key, err
}

// sendLaneA sends the consent messages of a queue, then its cases. A refusal of the former does not keep the latter back: what a
// person asks for is heard even where a controller does not take the message before it.
func (u *Uploader) sendLaneA(ctx context.Context, t *task) error {
	err := u.sendMessages(ctx, t)
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		return err
	}
	return errors.Join(err, u.sendCases(ctx, t.id.consent))
}

// DeliverCases sends the cases of a consent now, or asks about them, whatever their retry times.
func (u *Uploader) DeliverCases(ctx context.Context, consent wire.UUID, controller policy.ControllerID, tuple policy.Tuple) error {
	u.mu.Lock()
	t := u.task(taskID{LaneA, consent}, controller, tuple)
	u.mu.Unlock()
	err := u.work(ctx, t, u.sendLaneA)
	u.Kick()
	return err
}

func (u *Uploader) sendCases(ctx context.Context, consent wire.UUID) error {
	if u.o.Cases == nil {
		return nil
	}
	var (
		c    *client
		errs []error
	)
	for _, m := range u.o.Cases.Waiting() {
		if m.Consent != consent {
			continue
		}
		if c == nil {
			var err error
			if c, err = u.client(m.Controller, consent); err != nil {
				return err
			}
			defer c.close()
		}
		err := u.sendCase(ctx, c, m)
		var refusal *Refusal
		if err != nil {
			errs = append(errs, fmt.Errorf("case: %w", err))
			if !errors.As(err, &refusal) { // nobody there: the others would fare no better
				break
			}
		}
	}
	return errors.Join(errs...)
}

// sendCase sends one case where it has not been confirmed, and fetches the answer.
func (u *Uploader) sendCase(ctx context.Context, c *client, m CaseMessage) error {
	path := "/v1/cases/" + m.ID.String()
	if m.Body != nil {
		entry, err := u.o.Journal.Begin(LaneA, m.Consent, http.MethodPut, path, m.Body)
		if err != nil {
			u.o.Log.Error("a case leaves without an entry in the egress journal", zap.Error(err))
		}
		_, receipt, status, err := c.confirm(ctx, path, m.Body, "", wire.ReceiptCase, m.Consent)
		if forgotten(err) && u.o.Register.InForce(m.Consent) == nil {
			t := &task{id: taskID{LaneA, m.Consent}, controller: m.Controller, tuple: m.Tuple}
			if err := u.introduceAgain(ctx, c, t); err != nil {
				return fmt.Errorf("introduce the consent again: %w", err)
			}
			_, receipt, status, err = c.confirm(ctx, path, m.Body, "", wire.ReceiptCase, m.Consent)
		}
		u.ended(entry, status, err)
		if err != nil {
			return err
		}
		if err := u.o.Cases.Confirm(m.ID, receipt); err != nil {
			return err
		}
	}
	a, err := c.do(ctx, http.MethodGet, path, nil, "", wire.MaxCaseAnswer)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Kind == wire.ProblemCaseUnknown {
		return errors.Join(err, u.o.Cases.Unknown(m.ID))
	}
	if err != nil {
		return err
	}
	if err := u.o.Cases.Answer(m.ID, a.body); err != nil {
		return fmt.Errorf("%w: %w", ErrNoReceipt, err)
	}
	u.o.Log.Info("the controller has answered a case", zap.Stringer("tuple", m.Tuple), zap.String("controller", string(m.Controller)))
	return nil
}

// forgotten reports whether a controller does not know a consent that it has confirmed.
func forgotten(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal) && refusal.Kind == wire.ProblemConsentUnknown
}
