//go:build !linux

package agent

import (
	"context"
	"time"
)

var processStart = time.Now()

// sinceBoot is a clock that nobody can set, from the start of the process.
func sinceBoot() time.Duration { return time.Since(processStart) }

// watchClock does nothing here: the wheel looks at the clock hourly, and every permit at every use.
func watchClock(context.Context, func()) {}
