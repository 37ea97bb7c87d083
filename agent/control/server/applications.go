package server

import (
	"context"
	"strings"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

// ApplicationBackend is the part of Backend that is about applications and what they submit.
type ApplicationBackend interface {
	// Identify returns the name under which the person has registered a process: name where it is that application, or the
	// only application that it is where name is "".
	Identify(name string, p Peer) (registered string, ok bool)

	// MayUse reports whether the person lets a caller use a tuple.
	MayUse(a Actor, t policy.Tuple) bool

	// Submit stores records of declared fields, given as the JSON of a control.Submission. Its errors name fields and
	// never hold a value.
	Submit(ctx context.Context, a Actor, t policy.Tuple, body []byte) (control.Submitted, error)
	DeleteItem(ctx context.Context, a Actor, t policy.Tuple, item string) (control.ItemDeleted, error)
	// Location tells a registered application the area; it is recorded first.
	Location(ctx context.Context, a Actor, t policy.Tuple) (control.Location, error)

	Settings(ctx context.Context) (control.Settings, error)
	ChangeSetting(ctx context.Context, a Actor, r control.SettingRequest) (control.Settings, error)

	Clients(ctx context.Context) ([]control.Registered, error)
	ClientUses(ctx context.Context) ([]control.ClientUse, error)
	RegisterClient(ctx context.Context, a Actor, r control.ClientRequest) (control.Registered, error)
	RemoveClient(ctx context.Context, a Actor, name string) error
	AllowClient(ctx context.Context, a Actor, name string, t policy.Tuple, r control.AccessRequest) (control.Registered, error)
	DenyClient(ctx context.Context, a Actor, name string, t policy.Tuple) error
}

func postSubmission(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.Submit(ctx, r.actor, r.tuple, r.body)
}

func deleteItem(s *Server, ctx context.Context, r *request) (any, error) {
	return s.backend.DeleteItem(ctx, r.actor, r.tuple, r.id)
}

func postLocation(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.LocationRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	t, err := s.named(body.Tuple)
	if err != nil {
		return nil, err
	}
	return s.backend.Location(ctx, r.actor, t)
}

func getSettings(s *Server, ctx context.Context, _ *request) (any, error) {
	return s.backend.Settings(ctx)
}

func postSetting(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.SettingRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return s.backend.ChangeSetting(ctx, r.actor, body)
}

func getClients(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.Clients(ctx))
}

func getClientUses(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.ClientUses(ctx))
}

func postClient(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.ClientRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return s.backend.RegisterClient(ctx, r.actor, body)
}

func deleteClient(s *Server, ctx context.Context, r *request) (any, error) {
	return nil, s.backend.RemoveClient(ctx, r.actor, r.id)
}

func postClientAccess(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.AccessRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	t, err := s.named(body.Tuple)
	if err != nil {
		return nil, err
	}
	return s.backend.AllowClient(ctx, r.actor, r.id, t, body)
}

func deleteClientAccess(s *Server, ctx context.Context, r *request) (any, error) {
	return nil, s.backend.DenyClient(ctx, r.actor, r.id, r.tuple)
}

// named finds the tuple of a name in a body.
func (s *Server) named(name string) (policy.Tuple, error) {
	category, purpose, ok := strings.Cut(name, "/")
	if !ok {
		purpose = "-"
	}
	return s.tuple(category, purpose)
}
