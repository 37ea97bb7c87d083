package agent

import (
	"context"
	"testing"
)

// TestClockWatchEnds: it ends with its context, and says nothing while nobody sets the clock.
func TestClockWatchEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watchClock(ctx, func() {})
	}()
	before := sinceBoot()
	cancel()
	<-ended
	if after := sinceBoot(); before <= 0 || after < before {
		t.Errorf("since boot: %v, then %v", before, after)
	}
}
