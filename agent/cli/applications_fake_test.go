package cli

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/policy"
)

func (f *fake) Identify(string, server.Peer) (string, bool) { return "", false }

func (f *fake) MayUse(server.Actor, policy.Tuple) bool { return false }

func (f *fake) Submit(_ context.Context, _ server.Actor, t policy.Tuple, _ []byte) (control.Submitted, error) {
	return control.Submitted{}, control.NewProblem(control.KindPolicy, t.String(), "nothing is submitted for this purpose")
}

func (f *fake) DeleteItem(_ context.Context, _ server.Actor, t policy.Tuple, item string) (control.ItemDeleted, error) {
	return control.ItemDeleted{Tuple: t.String(), Item: item, Here: true, Unsent: 1}, nil
}

func (f *fake) Location(_ context.Context, _ server.Actor, t policy.Tuple) (control.Location, error) {
	return control.Location{}, control.NewProblem(control.KindNotRegistered, t.String(), "")
}

func (f *fake) Settings(context.Context) (control.Settings, error) {
	return control.Settings{Tuple: "privacy-settings/settings", Settings: []control.Setting{
		{Name: "found-by-phone", Label: control.Text{"en": "can be found by phone number", "zh-CN": "可通过手机号码找到我"}, Type: "boolean", Default: false, Value: false},
		{Name: "posts-hidden-from", Label: control.Text{"en": "who is kept from your posts", "zh-CN": "不让他（她）看我的朋友圈"}, Type: "texts", Default: []string{}, Value: []string{"a", "b"}, Set: true},
	}}, nil
}

func (f *fake) ChangeSetting(_ context.Context, _ server.Actor, _ control.SettingRequest) (control.Settings, error) {
	return control.Settings{}, control.NewProblem(control.KindNotGiven, "privacy-settings/settings", "")
}

func (f *fake) Clients(context.Context) ([]control.Registered, error) {
	return []control.Registered{{Name: "rides", Exe: "/opt/rides", Since: fakeNow, Access: []control.ClientAccess{{
		Tuple: "location/third-party", Since: fakeNow, Until: fakeNow.AddDate(0, 1, 0), Level: 10,
		Recipients: []string{"Example Rides Ltd."}, Controller: "messenger", InForce: true,
	}}}}, nil
}

func (f *fake) ClientUses(context.Context) ([]control.ClientUse, error) {
	return []control.ClientUse{{Time: fakeNow, Client: "rides", Tuple: "location/third-party", Level: 10, Recipients: []string{"Example Rides Ltd."}}}, nil
}

func (f *fake) RegisterClient(_ context.Context, _ server.Actor, r control.ClientRequest) (control.Registered, error) {
	return control.Registered{Name: r.Name, Exe: r.Exe, UID: r.UID, Since: fakeNow}, nil
}

func (f *fake) RemoveClient(context.Context, server.Actor, string) error { return nil }

func (f *fake) AllowClient(_ context.Context, _ server.Actor, name string, t policy.Tuple, r control.AccessRequest) (control.Registered, error) {
	return control.Registered{Name: name, Since: fakeNow, UID: new(int), Access: []control.ClientAccess{{Tuple: t.String(), Until: fakeNow, Level: r.Level}}}, nil
}

func (f *fake) DenyClient(context.Context, server.Actor, string, policy.Tuple) error { return nil }
