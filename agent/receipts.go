package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/receipt"
)

// ConsentReceipts implements server.ReceiptBackend. Of a damaged ledger nothing can be proven, which has nothing to do with a
// consent that is missing.
func (a *Agent) ConsentReceipts(_ context.Context, t policy.Tuple) ([]control.ConsentReceipt, error) {
	receipts, err := receipt.Export(a.register, t)
	if errors.Is(err, consent.ErrDamaged) {
		return nil, control.NewProblem(control.KindFailed, t.String(), err.Error())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	list := make([]control.ConsentReceipt, 0, len(receipts))
	for _, r := range receipts {
		list = append(list, control.ConsentReceipt{
			Tuple: t.String(), Event: string(r.Event), Time: r.Time, Record: r.Seq, Receipt: r.File,
		})
	}
	return list, nil
}
