package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

// ReceiptBackend is the part of Backend that is about the person's copies of the consent records.
type ReceiptBackend interface {
	// ConsentReceipts returns the receipts of a tuple, oldest first.
	ConsentReceipts(ctx context.Context, t policy.Tuple) ([]control.ConsentReceipt, error)
}

func getConsentReceipts(s *Server, ctx context.Context, r *request) (any, error) {
	return list(s.backend.ConsentReceipts(ctx, r.tuple))
}
