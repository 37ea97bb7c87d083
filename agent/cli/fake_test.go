package cli

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// fake is a daemon without disk, sensor or network: it answers as the real one does, at a fixed time, so that the
// command line can be tested on its own.
type fake struct {
	mu       sync.Mutex
	document *policy.Document
	tuples   []policy.Tuple
	status   map[policy.Tuple]string
	shown    map[policy.Tuple]string
	session  map[policy.Tuple]time.Time
	receipts []control.Receipt
}

var (
	fakeNow     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fakeConsent = "8b9c5a52-2f0c-4f4e-9b1e-6d1d5d3b7a10"
)

// fakeDaemon is a Daemon: the real server on a real socket in front of a fake.
func fakeDaemon(ctx context.Context, s settings.Settings, log *zap.Logger, ready func(string)) error {
	f := &fake{status: map[policy.Tuple]string{}, shown: map[policy.Tuple]string{}, session: map[policy.Tuple]time.Time{}}
	var err error
	if f.document, err = policy.Parse("built in", configs.PolicyYAML); err != nil {
		return err
	}
	for _, name := range []string{"device/service", "location/nearby", "steps/compare", "contacts/find-friends"} {
		t, err := f.document.Tuple("1000", name)
		if err != nil {
			return err
		}
		f.tuples = append(f.tuples, t)
	}
	l, err := server.Listen(s.Socket)
	if err != nil {
		return err
	}
	srv := server.New(f, server.Owner{UID: os.Geteuid()}, log)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	log.Info("serving")
	ready(s.Socket)
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		return err
	}
	return <-done
}

func (f *fake) Tuples() []policy.Tuple { return f.tuples }

func (f *fake) state(t policy.Tuple) control.ConsentState {
	e, err := f.document.Effective(t.Category, t.Purpose)
	if err != nil {
		panic(err)
	}
	text := func(in policy.Text) control.Text {
		out := control.Text{}
		for lang, s := range in {
			out[string(lang)] = s
		}
		return out
	}
	s := control.ConsentState{
		Tuple: t.String(), Controller: string(t.Controller), Category: text(e.Category.Name), Purpose: text(e.Purpose.Text),
		Sensitive: e.Category.Sensitivity == policy.Sensitive, Status: f.status[t],
	}
	if s.Status != "" {
		s.Since = fakeNow
	}
	if s.Status == control.StatusGiven {
		s.Consent, s.Expiry = fakeConsent, fakeNow.AddDate(1, 0, 0)
	}
	return s
}

func (f *fake) Status(context.Context) (control.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := control.Status{
		Age:   control.Age{Band: "18+"},
		State: "running", Version: "1.0", PID: 42, Started: fakeNow, Subject: "uid:1000", StateDir: "/var/lib/scruple",
		Policy:      control.PolicyInfo{ID: f.document.ID, Version: f.document.Version, File: "built in"},
		Enforcement: control.Enforcement{Kernel: control.KernelNotEnforced},
		Clock:       control.Clock{Now: fakeNow, HighWater: fakeNow},
	}
	for _, t := range f.tuples {
		e, _ := f.document.Effective(t.Category, t.Purpose)
		row := control.Tuple{ConsentState: f.state(t), Mode: string(e.Purpose.Collect.Mode), Feature: string(e.Purpose.Feature)}
		row.FeatureName = control.Text{}
		for lang, name := range f.document.Feature(e.Purpose.Feature).Name {
			row.FeatureName[string(lang)] = name
		}
		row.Source = control.Source{Name: string(e.Category.Source), Present: true}
		switch {
		case row.Status == "":
			row.Reason = control.ReasonNotAsked
		case row.Status != control.StatusGiven:
			row.Reason = control.Reason(row.Status)
		case row.Mode == string(policy.ModeSession) && f.session[t].IsZero():
			row.Reason = control.ReasonNoSession
		default:
			row.Collecting, row.Due, row.Session = true, fakeNow.Add(time.Hour), f.session[t]
			row.Spool = control.Spool{Reports: 3, Bytes: 12_345}
		}
		s.Tuples = append(s.Tuples, row)
	}
	return s, nil
}

func (f *fake) Policy(context.Context) (control.Policy, error) {
	return control.Policy{
		PolicyInfo: control.PolicyInfo{ID: f.document.ID, Version: f.document.Version, File: "built in"},
		YAML:       string(configs.PolicyYAML),
	}, nil
}

func (f *fake) UpdatePolicy(_ context.Context, _ server.Actor, note []byte) (control.PolicyUpdate, error) {
	d, err := policy.Load("policy", note, policy.LoadOptions{Dev: true})
	if err != nil {
		return control.PolicyUpdate{}, control.NewProblem(control.KindBadRequest, "", err.Error())
	}
	if d.Version < f.document.Version {
		return control.PolicyUpdate{}, control.NewProblem(control.KindPolicy, "", "the policy is older")
	}
	u := control.PolicyUpdate{PolicyInfo: control.PolicyInfo{ID: d.ID, Version: d.Version}, Before: f.document.Version}
	for _, c := range policy.Diff(f.document, d) {
		one := control.PolicyChange{Kind: string(c.Kind), Subject: c.Subject(), Narrower: c.Narrower, GoesOn: c.Narrower}
		if c.Category != "" {
			one.Tuple = c.Subject()
		}
		for _, detail := range c.Details {
			one.Details = append(one.Details, control.PolicyDetail(detail))
		}
		u.Changes = append(u.Changes, one)
	}
	return u, nil
}

func (f *fake) PolicyChanges(context.Context) ([]control.PolicyChange, error) {
	return []control.PolicyChange{{
		Kind: "changed", Subject: "location/nearby", Tuple: "location/nearby",
		Details: []control.PolicyDetail{{Field: "minimiser.level", Old: "12", New: "14"}},
	}}, nil
}

func (f *fake) Consents(context.Context) ([]control.ConsentState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []control.ConsentState
	for _, t := range f.tuples {
		list = append(list, f.state(t))
	}
	return list, nil
}

func (f *fake) Show(_ context.Context, _ server.Actor, t policy.Tuple, lang policy.Lang) (control.Notice, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, err := f.document.Effective(t.Category, t.Purpose)
	if err != nil {
		return control.Notice{}, err
	}
	n := e.Notice(lang)
	f.shown[t] = wire.Hash(n.SHA256).String()
	return control.Notice{Tuple: t.String(), Lang: string(lang), Text: n.Text, SHA256: f.shown[t]}, nil
}

// set changes the state of a tuple, after an optional check of the present one.
func (f *fake) set(t policy.Tuple, status string) (control.ConsentState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status[t] = status
	return f.state(t), nil
}

func (f *fake) Request(_ context.Context, a server.Actor, t policy.Tuple) (control.ConsentState, error) {
	if f.status[t] == control.StatusRefused && !a.Person {
		return control.ConsentState{}, control.NewProblem(control.KindQuiet, t.String(), "")
	}
	return f.set(t, control.StatusRequested)
}

func (f *fake) Give(_ context.Context, _ server.Actor, t policy.Tuple, _ policy.Lang, notice wire.Hash) (control.ConsentState, error) {
	switch f.shown[t] {
	case "":
		return control.ConsentState{}, control.NewProblem(control.KindNotShown, t.String(), "")
	case notice.String():
		return f.set(t, control.StatusGiven)
	}
	return control.ConsentState{}, control.NewProblem(control.KindNoticeDiffers, t.String(), "")
}

func (f *fake) Refuse(_ context.Context, _ server.Actor, t policy.Tuple) (control.ConsentState, error) {
	return f.set(t, control.StatusRefused)
}

func (f *fake) Defer(_ context.Context, _ server.Actor, t policy.Tuple) (control.ConsentState, error) {
	return f.set(t, control.StatusDeferred)
}

func (f *fake) Withdraw(_ context.Context, _ server.Actor, t policy.Tuple, erase bool) (control.Withdrawal, error) {
	given := f.status[t] == control.StatusGiven
	if !given {
		_, err := f.set(t, control.StatusRefused)
		return control.Withdrawal{Tuple: t.String(), Status: control.StatusRefused}, err
	}
	_, err := f.set(t, control.StatusWithdrawn)
	f.receipts = append(f.receipts, control.Receipt{
		Controller: "messenger", Kind: "erasure", Consent: fakeConsent, Tuple: t.String(), Time: fakeNow, Erased: 2, Note: "signed",
	})
	return control.Withdrawal{Tuple: t.String(), Status: control.StatusWithdrawn, Consent: fakeConsent, Clear: erase}, err
}

// inForce is the answer to whatever needs a consent.
func (f *fake) inForce(t policy.Tuple) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status[t] != control.StatusGiven {
		return control.NewProblem(control.KindNotGiven, t.String(), "")
	}
	return nil
}

func (f *fake) OpenSession(_ context.Context, _ server.Actor, t policy.Tuple, seconds int) (control.Session, error) {
	until := fakeNow.Add(time.Duration(seconds) * time.Second)
	if err := f.inForce(t); err != nil {
		return control.Session{}, err
	}
	f.session[t] = until
	return control.Session{Tuple: t.String(), Until: until}, nil
}

func (f *fake) CloseSession(_ context.Context, _ server.Actor, t policy.Tuple) error {
	delete(f.session, t)
	return nil
}

func (f *fake) Collect(_ context.Context, _ server.Actor, t policy.Tuple) (control.Collected, error) {
	return control.Collected{Tuple: t.String(), Reports: 1, Counts: map[string]int{"cards": 1000, "skipped": 3}}, f.inForce(t)
}

func (f *fake) Flush(_ context.Context, t policy.Tuple) (control.Sent, error) {
	if err := f.inForce(t); err != nil {
		return control.Sent{}, err
	}
	if t.Category == "device" {
		return control.Sent{}, control.NewProblem(control.KindReceiver, t.String(), "connection refused")
	}
	return control.Sent{Tuple: t.String(), Batches: 1, Reports: 3, Bytes: 12_345, Matches: 40}, nil
}

func (f *fake) entry(id string) control.Egress {
	return control.Egress{
		ID: id, Time: fakeNow, Lane: "features", Controller: "messenger", Tuple: "device/service", Consent: fakeConsent,
		Method: "PUT", Path: "/v1/batches/" + fakeConsent, Bytes: 5, SHA256: strings.Repeat("ab", 32), Status: 200, Readable: id == "1",
	}
}

func (f *fake) EgressList(context.Context) ([]control.Egress, error) {
	return []control.Egress{f.entry("2"), f.entry("1")}, nil
}

func (f *fake) EgressBody(_ context.Context, id string) (control.EgressBody, error) {
	switch id {
	case "1":
		return control.EgressBody{Egress: f.entry(id), Body: []byte("\x01\x02<&\n"), Content: json.RawMessage(`{"items":[{"model":"x"}]}`)}, nil
	case "2":
		return control.EgressBody{}, control.NewProblem(control.KindUnreadable, "", "")
	}
	return control.EgressBody{}, control.NewProblem(control.KindNotFound, "", "")
}

func (f *fake) EgressPreview(_ context.Context, t policy.Tuple) (control.EgressBody, error) {
	e := f.entry("1")
	e.Time, e.Status, e.ID, e.Tuple = time.Time{}, 0, "", t.String()
	return control.EgressBody{Egress: e, Body: []byte("next\n"), Content: json.RawMessage(`{}`)}, f.inForce(t)
}

func (f *fake) Data(_ context.Context, tuples []policy.Tuple, remote bool) (control.Data, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data := control.Data{}
	for _, t := range tuples {
		d := control.TupleData{Tuple: t.String()}
		if f.status[t] == control.StatusGiven {
			d.Reports = []control.Record{{Time: fakeNow, Consent: fakeConsent, Fields: json.RawMessage(`{"model":"x"}`)}}
			if remote && t.Category == "device" {
				d.Remote = json.RawMessage(`{"batches":[]}`)
			} else if remote {
				d.RemoteError = "connection refused"
			}
		}
		data.Tuples = append(data.Tuples, d)
	}
	return data, nil
}

func (f *fake) Erase(_ context.Context, _ server.Actor, t policy.Tuple) (control.Erasure, error) {
	return control.Erasure{ID: fakeConsent, Tuple: t.String(), Reports: 3}, f.inForce(t)
}

func (f *fake) Receipts(context.Context) ([]control.Receipt, error) {
	return slices.Clone(f.receipts), nil
}
