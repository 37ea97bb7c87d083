package server

import (
	"context"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// backend answers every call and remembers the last one.
type backend struct {
	called string
	actor  Actor
	err    error
	barred bool // applications have no access to anything
}

func (b *backend) call(name string, a Actor, t policy.Tuple) error {
	b.called, b.actor = strings.TrimSpace(name+" "+strings.Trim(t.String(), "/")), a
	return b.err
}

func (b *backend) Tuples() []policy.Tuple {
	var list []policy.Tuple
	for _, name := range []string{"device/service", "contacts/find-friends", "location/nearby"} {
		category, purpose, _ := strings.Cut(name, "/")
		list = append(list, policy.Tuple{
			Subject: "1000", Controller: "messenger", Category: policy.CategoryID(category), Purpose: policy.PurposeID(purpose),
		})
	}
	return list
}

func (b *backend) Status(context.Context) (control.Status, error) {
	s := control.Status{State: "running", Version: "1", StateDir: "/secret"}
	for _, t := range b.Tuples() {
		s.Tuples = append(s.Tuples, control.Tuple{
			ConsentState: control.ConsentState{Tuple: t.String(), Status: "requested", Consent: "id"}, Feature: string(t.Purpose),
		})
	}
	return s, b.call("status", Actor{}, policy.Tuple{})
}

func (b *backend) Policy(context.Context) (control.Policy, error) {
	return control.Policy{}, b.call("policy", Actor{}, policy.Tuple{})
}

func (b *backend) UpdatePolicy(_ context.Context, a Actor, _ []byte) (control.PolicyUpdate, error) {
	return control.PolicyUpdate{}, b.call("update", a, policy.Tuple{})
}

func (b *backend) PolicyChanges(context.Context) ([]control.PolicyChange, error) {
	return nil, b.call("changes", Actor{}, policy.Tuple{})
}

func (b *backend) Consents(context.Context) ([]control.ConsentState, error) {
	return nil, b.call("consents", Actor{}, policy.Tuple{})
}

func (b *backend) Show(_ context.Context, a Actor, t policy.Tuple, _ policy.Lang) (control.Notice, error) {
	return control.Notice{}, b.call("show", a, t)
}

func (b *backend) Request(_ context.Context, a Actor, t policy.Tuple) (control.ConsentState, error) {
	return control.ConsentState{Tuple: t.String(), Status: "requested", Consent: "id"}, b.call("request", a, t)
}

func (b *backend) Give(_ context.Context, a Actor, t policy.Tuple, _ policy.Lang, _ wire.Hash) (control.ConsentState, error) {
	return control.ConsentState{}, b.call("give", a, t)
}

func (b *backend) Refuse(_ context.Context, a Actor, t policy.Tuple) (control.ConsentState, error) {
	return control.ConsentState{}, b.call("refuse", a, t)
}

func (b *backend) Defer(_ context.Context, a Actor, t policy.Tuple) (control.ConsentState, error) {
	return control.ConsentState{}, b.call("defer", a, t)
}

func (b *backend) Withdraw(_ context.Context, a Actor, t policy.Tuple, erase bool) (control.Withdrawal, error) {
	return control.Withdrawal{Clear: erase}, b.call("withdraw", a, t)
}

func (b *backend) OpenSession(_ context.Context, a Actor, t policy.Tuple, seconds int) (control.Session, error) {
	return control.Session{Until: time.Unix(int64(seconds), 0)}, b.call("open", a, t)
}

func (b *backend) CloseSession(_ context.Context, a Actor, t policy.Tuple) error {
	return b.call("close", a, t)
}

func (b *backend) Collect(_ context.Context, a Actor, t policy.Tuple) (control.Collected, error) {
	return control.Collected{}, b.call("collect", a, t)
}

func (b *backend) Flush(_ context.Context, t policy.Tuple) (control.Sent, error) {
	return control.Sent{}, b.call("flush", Actor{}, t)
}

func (b *backend) EgressList(context.Context) ([]control.Egress, error) {
	return nil, b.call("entries", Actor{}, policy.Tuple{})
}

func (b *backend) EgressBody(_ context.Context, id string) (control.EgressBody, error) {
	return control.EgressBody{Egress: control.Egress{ID: id}}, b.call("entry", Actor{}, policy.Tuple{})
}

func (b *backend) EgressPreview(_ context.Context, t policy.Tuple) (control.EgressBody, error) {
	return control.EgressBody{}, b.call("preview", Actor{}, t)
}

func (b *backend) Data(context.Context, []policy.Tuple, bool) (control.Data, error) {
	return control.Data{}, b.call("data", Actor{}, policy.Tuple{})
}

func (b *backend) Erase(_ context.Context, a Actor, t policy.Tuple) (control.Erasure, error) {
	return control.Erasure{}, b.call("erase", a, t)
}

func (b *backend) Receipts(context.Context) ([]control.Receipt, error) {
	return nil, b.call("receipts", Actor{}, policy.Tuple{})
}
