package agent

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is a clock that goes on while the machine sleeps and that nobody can set.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Since(processStart)
	}
	return time.Duration(ts.Nano())
}

var processStart = time.Now()

// watchClock calls jumped whenever the wall clock was set, and when the machine wakes from sleep, since timers do not
// count that time. It costs nothing while neither happens, and ends with ctx.
func watchClock(ctx context.Context, jumped func()) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return // the wheel turns hourly all the same
	}
	file := os.NewFile(uintptr(fd), "clock")
	defer file.Close()
	defer context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })()
	raw, err := file.SyscallConn()
	if err != nil {
		return
	}
	var expired [8]byte
	for ctx.Err() == nil {
		far := unix.ItimerSpec{Value: unix.NsecToTimespec(time.Now().AddDate(10, 0, 0).UnixNano())}
		var armed error
		if err := raw.Control(func(fd uintptr) {
			armed = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &far, nil)
		}); err != nil || armed != nil && !errors.Is(armed, unix.ECANCELED) {
			return
		}
		if _, err := file.Read(expired[:]); err != nil && !errors.Is(err, unix.ECANCELED) {
			return
		}
		jumped()
	}
}
