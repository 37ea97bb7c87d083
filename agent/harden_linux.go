package agent

import (
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// harden keeps the memory of the process out of core dumps and away from other processes of the same user: it holds keys and,
// for moments, raw values.
func harden(log *zap.Logger) {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		log.Warn("core dumps could not be switched off", zap.Error(err))
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Warn("the process could not be made undumpable", zap.Error(err))
	}
}
