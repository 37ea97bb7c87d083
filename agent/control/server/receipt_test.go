package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

func (b *backend) ConsentReceipts(_ context.Context, t policy.Tuple) ([]control.ConsentReceipt, error) {
	return nil, b.call("consent receipts", Actor{}, t)
}
