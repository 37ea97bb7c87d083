package server

import (
	"context"
	"strings"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// RightsBackend is the part of Backend that is about the person's rights.
type RightsBackend interface {
	Rights(ctx context.Context) ([]control.Right, error)
	Cases(ctx context.Context) ([]control.Case, error)
	// Case asks the controller first, as long as there is no final answer; one that does not answer is no error.
	Case(ctx context.Context, id string) (control.Case, error)
	// Complain files a complaint about a tuple, or to a controller.
	Complain(ctx context.Context, a Actor, t policy.Tuple, controller policy.ControllerID, text string) (control.Case, error)
	Correct(ctx context.Context, a Actor, t policy.Tuple, r control.CorrectRequest) (control.Case, error)
	// EraseParts erases what r selects of the tuples.
	EraseParts(ctx context.Context, a Actor, tuples []policy.Tuple, r control.EraseRequest) (control.Erased, error)
	Accounts(ctx context.Context) ([]control.Account, error)
	CloseAccount(ctx context.Context, a Actor, r control.AccountRequest) ([]control.Account, error)
	ReopenAccount(ctx context.Context, a Actor, r control.AccountRequest) ([]control.Account, error)
	ExplainTuple(ctx context.Context, t policy.Tuple) (control.Explanation, error)
	ExplainBatch(ctx context.Context, id string) (control.Explanation, error)
	// Export asks the receivers too; what could not be had is named in Missing.
	Export(ctx context.Context, a Actor, tuples []policy.Tuple) (control.Export, error)
}

func getRights(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.Rights(ctx))
}

func getCases(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.Cases(ctx))
}

func getCase(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.Case(ctx, r.id)
}

func postComplaint(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.ComplaintRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	if !wire.ValidCaseText(body.Text) {
		return nil, control.NewProblem(control.KindBadRequest, "", "text: empty, longer than 8192 bytes, or not plain text")
	}
	var (
		t          policy.Tuple
		controller policy.ControllerID
		err        error
	)
	if strings.Contains(body.Subject, "/") {
		if t, err = s.named(body.Subject); err != nil {
			return nil, err
		}
	} else {
		controller = policy.ControllerID(body.Subject)
	}
	return s.backend.Complain(ctx, r.actor, t, controller, body.Text)
}

func postCorrect(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.CorrectRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	if len(body.Fields) == 0 {
		return nil, control.NewProblem(control.KindBadRequest, r.tuple.String(), "fields: none")
	}
	return s.backend.Correct(ctx, r.actor, r.tuple, body)
}

func postErasure(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.EraseRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	tuples, err := s.selected(body)
	if err != nil {
		return nil, err
	}
	return s.backend.EraseParts(ctx, r.actor, tuples, body)
}

// selected returns the tuples that an erasure is about.
func (s *Server) selected(r control.EraseRequest) ([]policy.Tuple, error) {
	all := s.backend.Tuples()
	switch {
	case r.All != (r.Subject == ""):
		return nil, control.NewProblem(control.KindBadRequest, "", "subject: either it or all")
	case !r.From.IsZero() && !r.Until.IsZero() && !r.From.Before(r.Until):
		return nil, control.NewProblem(control.KindBadRequest, "", "until: not after from")
	case r.All:
		return all, nil
	case strings.Contains(r.Subject, "/"):
		t, err := s.named(r.Subject)
		return []policy.Tuple{t}, err
	}
	var out []policy.Tuple
	for _, t := range all {
		if string(t.Category) == r.Subject {
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		_, err := s.named(r.Subject)
		return nil, err
	}
	return out, nil
}

func getAccounts(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.Accounts(ctx))
}

func postAccountClose(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.AccountRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return list(s.backend.CloseAccount(ctx, r.actor, body))
}

func postAccountReopen(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.AccountRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return list(s.backend.ReopenAccount(ctx, r.actor, body))
}

func getExplainTuple(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.ExplainTuple(ctx, r.tuple)
}

func getExplainBatch(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.ExplainBatch(ctx, r.id)
}

func getExport(s *Server, ctx context.Context, r *request) (any, error) {
	tuples := s.backend.Tuples()
	if r.tuple != (policy.Tuple{}) {
		tuples = []policy.Tuple{r.tuple}
	}
	return s.backend.Export(ctx, r.actor, tuples)
}
