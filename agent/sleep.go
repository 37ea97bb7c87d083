package agent

import (
	"context"
	"time"

	"github.com/scruple-agent/scruple/agent/internal/logind"
)

// fallingAsleep is how long the machine's sleep is put off at most for what is being closed; logind waits 5 s.
const fallingAsleep = 3 * time.Second

// watchSleep stops what senses when the machine is about to sleep, and looks again when it woke up.
func (a *Agent) watchSleep(ctx context.Context) {
	logind.Watch(ctx, func(asleep bool) {
		if asleep {
			a.fallAsleep()
		} else {
			a.wakeUp()
		}
	})
}

// fallAsleep ends all use sessions, since a sleeping machine is not used, and switches the accelerometer off. A hardware step
// counter goes on counting. It returns when everything is closed, or soon after.
func (a *Agent) fallAsleep() {
	a.mu.Lock()
	a.asleep = true
	a.mu.Unlock()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		followed := a.endSessions()
		a.sources.hub.Pause()
		for _, ended := range followed {
			<-ended
		}
	}()
	select {
	case <-closed:
	case <-time.After(fallingAsleep):
		a.log.Warn("the machine goes to sleep before everything is closed")
	}
}

// wakeUp goes on where consents still hold: time has passed that timers have not counted.
func (a *Agent) wakeUp() {
	a.mu.Lock()
	a.asleep = false
	a.mu.Unlock()
	a.sources.hub.Resume()
	a.wake()
	a.uploader.Kick()
}
