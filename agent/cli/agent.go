package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent"
	"github.com/scruple-agent/scruple/agent/settings"
)

// Agent is the Daemon that "scruple run" is: package agent with these settings. On SIGHUP it reads the policy again.
func Agent(ctx context.Context, s settings.Settings, log *zap.Logger, ready func(socket string)) error {
	a, err := agent.New(s, log)
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				if _, err := a.ReloadPolicy(); err != nil {
					log.Error("the policy stays as it was", zap.Error(err))
				}
			}
		}
	}()
	return a.Run(ctx, ready)
}
