package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

func (b *backend) Ledgers(context.Context) ([]control.Ledger, error) {
	return nil, b.call("ledgers", Actor{}, policy.Tuple{})
}

func (b *backend) LedgerProof(context.Context, policy.ControllerID, uint64) (control.LedgerProof, error) {
	return control.LedgerProof{}, b.call("proof", Actor{}, policy.Tuple{})
}

func (b *backend) LedgerGrowth(context.Context, policy.ControllerID, uint64) (control.LedgerProof, error) {
	return control.LedgerProof{}, b.call("growth", Actor{}, policy.Tuple{})
}

func (b *backend) LedgerCompare(context.Context, []byte) (control.LedgerCompared, error) {
	return control.LedgerCompared{}, b.call("compare", Actor{}, policy.Tuple{})
}
