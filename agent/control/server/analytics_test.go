package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

func (b *backend) Analytics(context.Context) ([]control.Analytics, error) {
	return nil, b.call("analytics", Actor{}, policy.Tuple{})
}
