package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

// LedgerBackend is the part of Backend that is about the consent ledgers.
type LedgerBackend interface {
	// Ledgers reads every ledger anew from the disk and checks it; a damaged one is a Problem in its entry.
	Ledgers(ctx context.Context) ([]control.Ledger, error)
	LedgerProof(ctx context.Context, controller policy.ControllerID, record uint64) (control.LedgerProof, error)
	LedgerGrowth(ctx context.Context, controller policy.ControllerID, old uint64) (control.LedgerProof, error)
	// LedgerCompare compares what was kept with the ledger it is about. Proof that the ledger was put back to an older state
	// invalidates every consent, which is an answer and no error.
	LedgerCompare(ctx context.Context, kept []byte) (control.LedgerCompared, error)
}

func getLedgers(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.Ledgers(ctx))
}

func postLedgerProof(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.LedgerProofRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return s.backend.LedgerProof(ctx, policy.ControllerID(body.Controller), body.Record)
}

func postLedgerGrowth(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.LedgerGrowthRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return s.backend.LedgerGrowth(ctx, policy.ControllerID(body.Controller), body.Old)
}

func postLedgerCompare(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.LedgerCompareRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return s.backend.LedgerCompare(ctx, []byte(body.Kept))
}
