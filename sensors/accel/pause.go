package accel

import "time"

// Pause switches the device off until Resume, whoever follows: the machine goes to sleep. It returns when it is off, or after the
// time in which a device has to answer.
func (h *Hub) Pause() {
	h.mu.Lock()
	if h.paused == nil {
		h.paused = make(chan struct{})
		if !h.running {
			close(h.paused)
		}
	}
	off := h.paused
	h.mu.Unlock()
	h.wake()
	select {
	case <-off:
	case <-time.After(answer):
	}
}

// Resume ends a Pause. What is followed is captured again.
func (h *Hub) Resume() {
	h.mu.Lock()
	h.paused = nil
	h.mu.Unlock()
	h.wake()
}

// off is what follows when the device is closed. stopped says that it is off. over says that nobody follows any more, so that the
// goroutine of run ends; wait, that there is nothing to do before the next kick.
func (h *Hub) off(stopped bool) (over, wait bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.paused != nil && stopped {
		select {
		case <-h.paused:
		default:
			close(h.paused)
		}
	}
	if len(h.feeds) == 0 && (stopped || h.paused == nil) {
		h.running = false
		return true, false
	}
	return false, h.paused != nil
}
