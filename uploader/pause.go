package uploader

import (
	"context"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// Pause runs do while no batch of a consent is on its way: it waits for the one that is, and the next waits for do. The error is
// do's, or that of ctx where the waiting took too long; do has not run then.
func (u *Uploader) Pause(ctx context.Context, consent wire.UUID, do func() error) error {
	tuple, ok := u.tupleOf(consent)
	if !ok { // no key, so nothing can be on its way
		return do()
	}
	u.mu.Lock()
	t := u.task(taskID{LaneB, consent}, tuple.Controller, tuple)
	u.mu.Unlock()
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	u.mu.Lock()
	busy := t.running // it waits for its turn, and goes on waiting
	t.running = true
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		t.running = busy
		u.mu.Unlock()
	}()
	return do()
}
