package uploader

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// The whole state folder can be put back to an older copy while the agent is down; nothing on the disk shows it. So the first
// request of lane B for each consent after a start asks its controller for the latest message that was signed about
// this consent, before anything else leaves. The controller is not asked at the start itself, which would tell it
// when the device starts, and a withdrawal never waits for it.

// maxLatest is the largest signed message that is read, in bytes; an honest one has less than 1 KiB.
const maxLatest = wire.MaxReceipt

// compare is compareNow once per consent and start, behind a look at where the controller is.
func (u *Uploader) compare(ctx context.Context, c *client, id wire.UUID) error {
	ctx, cancel := u.o.Register.Context(ctx, id)
	defer cancel()
	if err := u.checkPlace(ctx, c); err != nil {
		return err
	}
	u.mu.Lock()
	done := u.compared[id]
	u.mu.Unlock()
	if done {
		return nil
	}
	return u.compareNow(ctx, c, id)
}

// compareNow asks the controller for the latest message about a consent and lets the register compare it with what is
// recorded. consent.ErrRolledBack says that this device signed something later than it remembers: every consent has been
// invalidated. A controller that does not know the consent shows nothing, and is told about it as usual.
func (u *Uploader) compareNow(ctx context.Context, c *client, id wire.UUID) error {
	a, err := c.do(ctx, http.MethodGet, "/v1/consents/"+id.String(), nil, "", maxLatest)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Kind == wire.ProblemConsentUnknown:
		return nil
	case err != nil:
		return fmt.Errorf("compare with the controller: %w", err)
	case a.status != http.StatusNoContent:
		err = u.o.Register.Later(id, a.body)
	}
	switch {
	case errors.Is(err, consent.ErrRolledBack):
		u.o.Log.Error("the state of this device was put back to an older one: every consent is invalidated", zap.Error(err))
		u.Kick()
		return err
	case errors.Is(err, wire.ErrMalformed):
		return fmt.Errorf("compare with the controller: %w: %w", ErrGarbage, err)
	case err != nil:
		return fmt.Errorf("compare with the controller: %w", err)
	}
	u.mu.Lock()
	u.compared[id] = true
	u.mu.Unlock()
	return nil
}

// withdrawnThere reports whether a controller refuses because it says that the consent was withdrawn.
func withdrawnThere(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal) && refusal.Kind == wire.ProblemConsentWithdrawn
}
