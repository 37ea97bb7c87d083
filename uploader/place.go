package uploader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Where data goes is the policy's word, which the loader checks against each category's residency. The controller's own word, signed
// with its key, is asked for before the first batch to it after a start and once a day while batches go: a controller
// that has moved, with or without a policy that says so, gets nothing more. Lane A goes on: a withdrawal has to arrive
// wherever the data is.

// ErrRegion says that a controller is not where the policy says, or the policy sends a category out of its region.
var ErrRegion = errors.New("the controller is in another region than the policy allows")

// placeEvery is how long the controller's word holds.
const placeEvery = 24 * time.Hour

// placed is what a controller has last said of its place.
type placed struct {
	at  time.Time
	err error
}

// resident returns ErrRegion when the policy in force sends a tuple out of its category's region. The loader refuses such a
// policy; this is the same question where it matters.
func (u *Uploader) resident(t policy.Tuple) error {
	eff, err := u.o.Policy().Effective(t.Category, t.Purpose)
	if err != nil || eff.Controller.ID != t.Controller {
		return nil // not in force any more, which the register says
	}
	if r := eff.Category.Residency; r != "" && eff.Controller.Region != r {
		return fmt.Errorf("%w: %s stays in %s", ErrRegion, t, r)
	}
	return nil
}

// elsewhere returns what is known of a controller's place to be wrong.
func (u *Uploader) elsewhere(id policy.ControllerID) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.places[id].err
}

// checkPlace asks a controller where it is, unless it has said so within a day.
func (u *Uploader) checkPlace(ctx context.Context, c *client) error {
	id := c.controller.ID
	u.mu.Lock()
	last := u.places[id]
	u.mu.Unlock()
	if last.err == nil && time.Since(last.at) < placeEvery && !last.at.IsZero() {
		return nil
	}
	a, err := c.do(ctx, http.MethodGet, "/v1/controller", nil, "", wire.MaxReceipt)
	if err != nil {
		return fmt.Errorf("ask the controller where it is: %w", err)
	}
	m, err := wire.OpenMetadata(a.body, c.controller.Key)
	if err != nil {
		return fmt.Errorf("ask the controller where it is: %w: %w", ErrGarbage, err)
	}
	err = nil
	switch {
	case m.Controller != string(id):
		return fmt.Errorf("ask the controller where it is: %w: it is another controller", ErrGarbage)
	case m.Region != c.controller.Region:
		err = fmt.Errorf("%w: the policy names %s", ErrRegion, c.controller.Region)
	case strings.TrimRight(m.Endpoint, "/") != c.base:
		err = fmt.Errorf("%w: it names another endpoint than the policy", ErrRegion)
	}
	u.mu.Lock()
	u.places[id] = placed{time.Now(), err}
	u.mu.Unlock()
	if err != nil {
		u.o.Log.Error("a controller is not where the policy says: nothing is sent to it", zap.String("controller", string(id)))
	}
	return err
}
