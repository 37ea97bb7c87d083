package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

// unregistered is the program that is no application, whatever it says.
const unregistered = "/opt/unregistered"

func (b *backend) Identify(name string, p Peer) (string, bool) {
	return name, name != "" && p.Exe != unregistered
}

func (b *backend) MayUse(Actor, policy.Tuple) bool { return !b.barred }

func (b *backend) Submit(_ context.Context, a Actor, t policy.Tuple, _ []byte) (control.Submitted, error) {
	return control.Submitted{}, b.call("submit", a, t)
}

func (b *backend) DeleteItem(_ context.Context, a Actor, t policy.Tuple, item string) (control.ItemDeleted, error) {
	return control.ItemDeleted{Item: item}, b.call("delete", a, t)
}

func (b *backend) Location(_ context.Context, a Actor, t policy.Tuple) (control.Location, error) {
	return control.Location{}, b.call("location", a, t)
}

func (b *backend) Settings(context.Context) (control.Settings, error) {
	return control.Settings{}, b.call("settings", Actor{}, policy.Tuple{})
}

func (b *backend) ChangeSetting(_ context.Context, a Actor, _ control.SettingRequest) (control.Settings, error) {
	return control.Settings{}, b.call("change", a, policy.Tuple{})
}

func (b *backend) Clients(context.Context) ([]control.Registered, error) {
	return nil, b.call("clients", Actor{}, policy.Tuple{})
}

func (b *backend) ClientUses(context.Context) ([]control.ClientUse, error) {
	return nil, b.call("uses", Actor{}, policy.Tuple{})
}

func (b *backend) RegisterClient(_ context.Context, a Actor, _ control.ClientRequest) (control.Registered, error) {
	return control.Registered{}, b.call("register", a, policy.Tuple{})
}

func (b *backend) RemoveClient(_ context.Context, a Actor, _ string) error {
	return b.call("remove", a, policy.Tuple{})
}

func (b *backend) AllowClient(_ context.Context, a Actor, _ string, t policy.Tuple, _ control.AccessRequest) (control.Registered, error) {
	return control.Registered{}, b.call("allow", a, t)
}

func (b *backend) DenyClient(_ context.Context, a Actor, _ string, t policy.Tuple) error {
	return b.call("deny", a, t)
}
