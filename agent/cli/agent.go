package cli

import (
	"context"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent"
	"github.com/scruple-agent/scruple/agent/settings"
)

// Agent is the Daemon that "scruple run" is: package agent with these settings.
func Agent(ctx context.Context, s settings.Settings, log *zap.Logger, ready func(socket string)) error {
	a, err := agent.New(s, log)
	if err != nil {
		return err
	}
	return a.Run(ctx, ready)
}
