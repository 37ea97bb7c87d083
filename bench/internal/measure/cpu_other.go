//go:build !unix

package measure

import "time"

// cpuTime is wall time where the system has no getrusage.
func cpuTime() time.Duration { return time.Since(started) }
