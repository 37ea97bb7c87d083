package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
)

// AnalyticsBackend is the part of Backend that is about the analytics lane.
type AnalyticsBackend interface {
	// Analytics lists the purposes of the lane in the policy's order.
	Analytics(ctx context.Context) ([]control.Analytics, error)
}

func getAnalytics(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.Analytics(ctx))
}
