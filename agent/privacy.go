package agent

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/items"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// settingsTuple returns the tuple whose fields are the privacy settings: the first that declares defaults.
func (a *Agent) settingsTuple() (policy.Tuple, policy.Effective, error) {
	for _, t := range a.Tuples() {
		rules := a.collection(t).rules()
		if rules.Category.Source == policy.SourceApplication && slices.ContainsFunc(rules.Fields(), func(f policy.Field) bool { return f.Default != "" }) {
			return t, rules, nil
		}
	}
	return policy.Tuple{}, policy.Effective{}, control.NewProblem(control.KindPolicy, "", "the policy declares no privacy settings")
}

// preset returns the value of a setting that nobody has set: its declared default, an empty list, or nil.
func preset(f policy.Field) any {
	switch f.Type {
	case policy.FieldBoolean:
		return f.Default == "true"
	case policy.FieldInteger:
		n, err := strconv.ParseInt(f.Default, 10, 64)
		if err != nil {
			return nil
		}
		return n
	case policy.FieldTexts:
		return []string{}
	}
	if f.Default == "" {
		return nil
	}
	return f.Default
}

// chosen returns what has been set, by name.
func (a *Agent) chosen(t policy.Tuple) (map[string]any, error) {
	id := a.register.State(t).Consent
	if id.IsZero() {
		return map[string]any{}, nil
	}
	list, err := a.items.List(id)
	if err != nil && !errors.Is(err, keyring.ErrNoKey) { // of a former consent
		return nil, problem(t, err)
	}
	for _, it := range list {
		if it.Name == items.Only {
			return it.Fields, nil
		}
	}
	return map[string]any{}, nil
}

// Settings implements server.Backend.
func (a *Agent) Settings(context.Context) (control.Settings, error) {
	t, rules, err := a.settingsTuple()
	if err != nil {
		return control.Settings{}, err
	}
	set, err := a.chosen(t)
	if err != nil {
		return control.Settings{}, err
	}
	out := control.Settings{Tuple: t.String(), Status: string(a.register.State(t).Status), Settings: []control.Setting{}}
	for _, f := range rules.Fields() {
		s := control.Setting{
			Name: f.Name, Label: text(f.Label), Type: string(f.Type), Choices: f.Choices, Default: preset(f), Value: preset(f),
		}
		if v, ok := set[f.Name]; ok {
			s.Value, s.Set = v, !reflect.DeepEqual(v, s.Default)
		}
		out.Settings = append(out.Settings, s)
	}
	return out, nil
}

// settingsDelivery is how long a change waits for the controller's answer; without one it is sent like anything else.
const settingsDelivery = 10 * time.Second

// ChangeSetting implements server.Backend. The controller is told all settings, those that were not set with their defaults.
func (a *Agent) ChangeSetting(ctx context.Context, by server.Actor, r control.SettingRequest) (control.Settings, error) {
	t, rules, err := a.settingsTuple()
	if err != nil {
		return control.Settings{}, err
	}
	f, err := rules.Field(r.Name)
	if err != nil {
		p := control.NewProblem(control.KindBadRequest, "", policy.Shown(r.Name)+": the policy has no such setting")
		p.Hint = "scruple settings list"
		return control.Settings{}, p
	}
	permit, err := a.register.Permit(t)
	if errors.Is(err, consent.ErrNotGiven) { // the request does not name it
		return control.Settings{}, control.NewProblem(control.KindNotGiven, t.String(), "")
	}
	if err != nil {
		return control.Settings{}, err
	}
	a.settling.Lock() // one change at a time: each begins with what the last left
	defer a.settling.Unlock()
	set, err := a.chosen(t)
	if err != nil {
		return control.Settings{}, err
	}
	now := map[string]any{}
	for _, field := range rules.Fields() {
		v, ok := set[field.Name]
		if !ok {
			v = preset(field)
		}
		if v != nil {
			now[field.Name] = v
		}
	}
	v, err := changed(f, now[f.Name], r)
	if err != nil {
		return control.Settings{}, err
	}
	now[f.Name] = v
	if v == nil {
		delete(now, f.Name)
	}
	if err := items.Check(rules, now); err != nil {
		return control.Settings{}, submission(t, err)
	}
	if _, err := a.store(permit, items.Submission{Records: []map[string]any{now}}, "", by.Person); err != nil {
		return control.Settings{}, err
	}
	delivered := a.deliverNow(ctx, permit.Consent())
	out, err := a.Settings(ctx)
	out.Delivered = delivered
	return out, err
}

// deliverNow sends what waits under a consent, because the person asks, and reports whether all of it arrived.
func (a *Agent) deliverNow(ctx context.Context, id wire.UUID) bool {
	ctx, cancel := context.WithTimeout(ctx, settingsDelivery)
	defer cancel()
	sent, err := a.uploader.Flush(ctx, id)
	return err == nil && sent.Waiting == 0
}

// changed returns the new value of a setting.
func changed(f policy.Field, old any, r control.SettingRequest) (any, error) {
	refuse := func(what string) error {
		return control.NewProblem(control.KindBadRequest, "", f.Name+": "+what)
	}
	ways := 0
	for _, way := range []bool{r.Value != nil, r.Add != nil, r.Remove != nil, r.Reset} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		return nil, refuse("one of value, add, remove and reset")
	}
	if r.Reset {
		return preset(f), nil
	}
	if f.Type == policy.FieldTexts {
		list, _ := old.([]string)
		switch {
		case r.Value != nil:
			return nil, refuse("it is a list: add and remove entries")
		case r.Remove != nil:
			return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == *r.Remove }), nil
		case *r.Add == "" || len(*r.Add) > items.MaxEntry || len(list) >= items.MaxTexts:
			return nil, refuse("an entry is empty or too long, or there are too many")
		case slices.Contains(list, *r.Add):
			return list, nil
		}
		return append(slices.Clone(list), *r.Add), nil
	}
	if r.Value == nil {
		return nil, refuse("it is no list")
	}
	switch f.Type {
	case policy.FieldBoolean:
		if *r.Value != "true" && *r.Value != "false" {
			return nil, refuse("it is true or false")
		}
		return *r.Value == "true", nil
	case policy.FieldInteger:
		n, err := strconv.ParseInt(*r.Value, 10, 64)
		if err != nil {
			return nil, refuse("it is a whole number")
		}
		return n, nil
	case policy.FieldChoice:
		if !slices.Contains(f.Choices, *r.Value) {
			return nil, refuse("it is one of its choices")
		}
	}
	return *r.Value, nil
}
