package cli

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

// ConsentReceipts of the fake daemon are none: the scripts about receipts run the real one.
func (f *fake) ConsentReceipts(context.Context, policy.Tuple) ([]control.ConsentReceipt, error) {
	return nil, nil
}
