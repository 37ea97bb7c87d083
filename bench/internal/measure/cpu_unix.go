//go:build unix

package measure

import (
	"syscall"
	"time"
)

// cpuTime is the processor time that this process has used. It leaves out the
// time that other processes took from it.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return time.Since(started)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
