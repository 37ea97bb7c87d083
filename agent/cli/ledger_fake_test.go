package cli

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

// The scripts about ledgers use the real daemon.

func (f *fake) Ledgers(context.Context) ([]control.Ledger, error) {
	return []control.Ledger{{Controller: "messenger", Size: 7, Problem: "the file is missing"}, {Controller: "payments"}}, nil
}

func (f *fake) LedgerProof(context.Context, policy.ControllerID, uint64) (control.LedgerProof, error) {
	return control.LedgerProof{}, control.NewProblem(control.KindFailed, "", "damaged")
}

func (f *fake) LedgerGrowth(context.Context, policy.ControllerID, uint64) (control.LedgerProof, error) {
	return control.LedgerProof{}, control.NewProblem(control.KindFailed, "", "damaged")
}

func (f *fake) LedgerCompare(context.Context, []byte) (control.LedgerCompared, error) {
	return control.LedgerCompared{Controller: "messenger", KeptSize: 9, Size: 7, RolledBack: true, Problem: "older"}, nil
}
