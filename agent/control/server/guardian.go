package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
)

// GuardianBackend is the part of Backend that is about age and guardian.
type GuardianBackend interface {
	Age(ctx context.Context) (control.Age, error)
	DeclareAge(ctx context.Context, a Actor, band consent.Band) (control.Age, error)
	EnrolGuardian(ctx context.Context, a Actor, key string) (control.Age, error)
	AskGuardian(ctx context.Context, a Actor, r control.GuardianRequest) (control.GuardianRequested, error)
	Approve(ctx context.Context, text string) (control.GuardianQuestion, error)
	GuardianReport(ctx context.Context) (control.GuardianReport, error)
}

func ageAnswer(a control.Age, err error) (any, error) {
	a.Questions, a.Approved = notNil(a.Questions), notNil(a.Approved)
	return a, err
}

func getAge(s *Server, ctx context.Context, _ *request) (any, error) {
	return ageAnswer(s.backend.Age(ctx))
}

func postAge(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.DeclareRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return ageAnswer(s.backend.DeclareAge(ctx, r.actor, consent.Band(body.Band)))
}

func postEnrol(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.EnrolRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return ageAnswer(s.backend.EnrolGuardian(ctx, r.actor, body.Key))
}

func postGuardianRequest(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.GuardianRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	if _, err := language(body.Lang, true); err != nil {
		return nil, err
	}
	return s.backend.AskGuardian(ctx, r.actor, body)
}

func postGuardianApprove(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.ApproveRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return s.backend.Approve(ctx, body.Text)
}

func getGuardianReport(s *Server, ctx context.Context, _ *request) (any, error) {
	report, err := s.backend.GuardianReport(ctx)
	report.Tuples, report.Breaches = notNil(report.Tuples), notNil(report.Breaches)
	return report, err
}
