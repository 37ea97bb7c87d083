package cli

import (
	"context"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/policy"
)

const fakeCaseID = "1f0e8d7c-6b5a-4948-8736-251403f2e1d0"

func fakeCase(kind string) control.Case {
	return control.Case{
		ID: fakeCaseID, Kind: kind, Controller: "messenger", Tuple: "location/nearby", Consent: fakeConsent, State: "received",
		Created: fakeNow, Received: fakeNow, Due: fakeNow.Add(30 * 24 * time.Hour), Notes: []string{},
	}
}

func (f *fake) Rights(context.Context) ([]control.Right, error) {
	return []control.Right{{
		ID: "complain", Clause: "6.6", Name: control.Text{"en": "complain", "zh-CN": "投诉"},
		Does: control.Text{"en": "to the controller", "zh-CN": "向控制者投诉"}, Commands: []string{"scruple complaint file TEXT"}, Covers: []string{"location/nearby"},
		Contacts: []control.RightContact{{Controller: "messenger", Name: control.Text{"en": "Example Messenger Ltd.", "zh-CN": "示例信使有限公司"}, Contact: "privacy@messenger.example.com"}},
	}}, nil
}

func (f *fake) Cases(context.Context) ([]control.Case, error) {
	late := fakeCase("complaint")
	late.Overdue, late.Text = true, "they do not answer"
	done := fakeCase("correction")
	done.State, done.Reason, done.Item, done.Fields, done.Here, done.There = "done", "fulfilled", "p-1", []string{"text"}, 1, 1
	return []control.Case{late, done}, nil
}

func (f *fake) Case(_ context.Context, id string) (control.Case, error) {
	if id != fakeCaseID {
		return control.Case{}, control.NewProblem(control.KindNotFound, "", "no case with this id")
	}
	c := fakeCase("complaint")
	c.State, c.Reason, c.Text, c.Answer, c.Ended = "answered", "justified", "they do not answer", "We were wrong.", fakeNow
	c.Notes = []string{"scruple/case/1\n"}
	return c, nil
}

func (f *fake) Complain(_ context.Context, _ server.Actor, _ policy.Tuple, controller policy.ControllerID, text string) (control.Case, error) {
	if controller == "payments" {
		return control.Case{}, control.NewProblem(control.KindNoIdentity, "", "write to privacy@payments.example.com")
	}
	c := fakeCase("complaint")
	c.Text = text
	return c, nil
}

func (f *fake) Correct(_ context.Context, _ server.Actor, t policy.Tuple, r control.CorrectRequest) (control.Case, error) {
	c := fakeCase("correction")
	c.Tuple, c.State, c.Reason, c.Item, c.Here, c.There = t.String(), "done", "fulfilled", r.Item, 1, 2
	for _, one := range r.Fields {
		if one.Name == "account-id" {
			return control.Case{}, control.NewProblem(control.KindImmutable, t.String(), one.Name+" cannot be changed")
		}
		c.Fields = append(c.Fields, one.Name)
	}
	return c, nil
}

func (f *fake) EraseParts(_ context.Context, _ server.Actor, tuples []policy.Tuple, _ control.EraseRequest) (control.Erased, error) {
	out := control.Erased{}
	for _, t := range tuples {
		out.Parts = append(out.Parts, control.ErasedPart{Tuple: t.String(), Here: 3, Request: fakeCaseID})
	}
	return out, nil
}

func (f *fake) account(state string) []control.Account {
	return []control.Account{{Controller: "messenger", Name: control.Text{"en": "Example Messenger Ltd."}, Contact: "privacy@messenger.example.com", State: state, Consents: 1}}
}

func (f *fake) Accounts(context.Context) ([]control.Account, error) { return f.account("open"), nil }

func (f *fake) CloseAccount(context.Context, server.Actor, control.AccountRequest) ([]control.Account, error) {
	list := f.account("closing")
	list[0].Since, list[0].Waiting = fakeNow, 2
	return list, nil
}

func (f *fake) ReopenAccount(context.Context, server.Actor, control.AccountRequest) ([]control.Account, error) {
	return f.account("open"), nil
}

func (f *fake) ExplainTuple(_ context.Context, t policy.Tuple) (control.Explanation, error) {
	return control.Explanation{
		Tuple: t.String(), Clause: "1.5", Category: control.Text{"en": "Location"}, Purpose: control.Text{"en": "people nearby"},
		Policy: control.PolicyInfo{ID: "example", Version: 1}, Controller: control.RightContact{Controller: "messenger", Contact: "privacy@messenger.example.com"},
		Status: "given", Consents: []control.ConsentBasis{{Consent: fakeConsent, Given: fakeNow, Channel: "cli", Lang: "en", Notice: "ab", PolicyVersion: 1}},
		Sent: []control.Egress{},
	}, nil
}

func (f *fake) ExplainBatch(_ context.Context, id string) (control.Explanation, error) {
	return control.Explanation{}, control.NewProblem(control.KindNotFound, "", "no batch of this id is known here")
}

func (f *fake) Export(_ context.Context, _ server.Actor, tuples []policy.Tuple) (control.Export, error) {
	data, err := f.Data(context.Background(), tuples, true)
	cases, _ := f.Cases(context.Background())
	return control.Export{
		Time: fakeNow, Subject: "1000", Version: "1.0", Policy: control.PolicyInfo{ID: "example", Version: 1}, Tuples: data.Tuples, Cases: cases, Missing: []string{},
	}, err
}
