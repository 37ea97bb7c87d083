package uploader

import (
	"context"
	"errors"
	"testing"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestPause: while a consent is paused nothing of it is sent, by whatever way, and afterwards it is.
func TestPause(t *testing.T) {
	h := newHouse(t, Options{})
	id := h.give(t, h.tuple)
	h.store(t, h.tuple, 1)
	if err := h.Pause(t.Context(), id, func() error {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Pause(ended, id, func() error { t.Error("two pauses at once"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("a second pause: %v", err)
		}
		h.mu.Lock()
		running := h.task(taskID{LaneB, id}, h.tuple.Controller, h.tuple).running
		h.mu.Unlock()
		if !running {
			t.Error("the schedule may begin to send")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Flush(t.Context(), id); err != nil || got.Batches != 1 {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
	want := errors.New("of do")
	if err := h.Pause(t.Context(), wire.NewUUID(), func() error { return want }); !errors.Is(err, want) {
		t.Errorf("a consent without keys: %v", err)
	}
}
