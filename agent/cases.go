package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/items"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/rights"
	"github.com/scruple-agent/scruple/uploader"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// openCases opens the store of cases.
func (a *Agent) openCases() (err error) {
	a.cases, err = rights.Open(filepath.Join(a.settings.StateDir, "cases"), a.ring, rights.Options{
		Key: func(id policy.ControllerID) (string, error) {
			c, err := a.register.Controller(id)
			if err != nil {
				return "", err
			}
			return c.Key, nil
		},
	})
	return err
}

// outbox gives the uploader the cases.
type outbox struct{ a *Agent }

// Waiting implements uploader.Outbox.
func (o outbox) Waiting() (out []uploader.CaseMessage) {
	waiting, _ := o.a.cases.Waiting()
	for _, w := range waiting {
		m := uploader.CaseMessage{
			ID: w.ID, Consent: w.Consent, Controller: w.Tuple.Controller, Tuple: w.Tuple, Body: w.Message, Since: time.Unix(w.Created, 0),
			Changes: w.Kind == wire.CaseErasure || w.Kind == wire.CaseCorrection,
		}
		if w.Ask {
			m.Body, m.Changes = nil, false
		}
		out = append(out, m)
	}
	return out
}

// Identity implements uploader.Outbox.
func (o outbox) Identity(id wire.UUID) (ed25519.PrivateKey, error) { return o.a.cases.Identity(id) }

// Confirm implements uploader.Outbox.
func (o outbox) Confirm(id wire.UUID, receipt []byte) error { return o.a.cases.Confirm(id, receipt) }

// Unknown implements uploader.Outbox.
func (o outbox) Unknown(id wire.UUID) error { return o.a.cases.Unknown(id) }

// Answer implements uploader.Outbox. A final answer may be the last one of an account that is being closed.
func (o outbox) Answer(id wire.UUID, signed []byte) error {
	defer o.a.wake()
	return o.a.cases.Answer(id, signed)
}

// sweepCases repeats what a crash or a full disk left undone of cases, and returns when a controller is to be asked next.
func (a *Agent) sweepCases() (next time.Time) {
	if err := a.cases.Sweep(); err != nil {
		a.log.Warn("old cases could not be removed", zap.Error(err))
	}
	for _, c := range a.cases.Undone() {
		if _, err := a.local(context.Background(), c); err != nil {
			a.log.Warn("a case waits for what has to be done on this device", zap.String("kind", string(c.Kind)), zap.Stringer("tuple", c.Tuple), zap.Error(err))
			next = time.Now().Add(retryUnfinished)
		}
	}
	waiting, ask := a.cases.Waiting()
	if len(waiting) > 0 {
		a.uploader.Kick()
	}
	if !ask.IsZero() && (next.IsZero() || ask.Before(next)) {
		next = ask
	}
	if later := a.settleClosures(); !later.IsZero() && (next.IsZero() || later.Before(next)) {
		next = later
	}
	return next
}

// caseProblem gives an error of a case its kind in the API.
func (a *Agent) caseProblem(t policy.Tuple, err error) error {
	switch {
	case errors.Is(err, rights.ErrClosed):
		return control.NewProblem(control.KindClosed, t.String(), "")
	case errors.Is(err, rights.ErrNoIdentity):
		contact := ""
		if c, err := a.register.Controller(t.Controller); err == nil && c.Contact != "" {
			contact = "write to " + c.Contact
		}
		return control.NewProblem(control.KindNoIdentity, t.String(), contact)
	case errors.Is(err, rights.ErrUnknown):
		return control.NewProblem(control.KindNotFound, "", "no case with this id")
	case errors.Is(err, wire.ErrMalformed), errors.Is(err, wire.ErrTooLarge):
		return control.NewProblem(control.KindBadRequest, t.String(), "more or other than a case can hold")
	}
	return problem(t, err)
}

// held under one consent, of a tuple that the policy names now or named before.
type heldUnder struct {
	consent wire.UUID
	tuple   policy.Tuple
}

// everHeld returns the consents of a tuple under which something may be held here or at a controller, the one in force first.
func (a *Agent) everHeld(t policy.Tuple) (out []heldUnder) {
	add := func(t policy.Tuple, ids ...wire.UUID) {
		for _, id := range ids {
			if h := (heldUnder{id, t}); !id.IsZero() && !slices.ContainsFunc(out, func(o heldUnder) bool { return o.consent == id }) {
				out = append(out, h)
			}
		}
	}
	state := a.register.State(t)
	add(t, state.Consent)
	for _, former := range append([]policy.Tuple{t}, a.register.Departed(t.Category, t.Purpose)...) {
		add(former, a.register.State(former).Ended...)
	}
	add(t, a.register.Parked(t.Category, t.Purpose)...)
	for i := range out {
		if known, ok := a.tupleOf(out[i].consent); ok {
			out[i].tuple = known
		}
	}
	return out
}

// immutables returns the fields of a tuple that the policy declares immutable.
func (a *Agent) immutables(t policy.Tuple) (names []string) {
	e, err := a.document().Effective(t.Category, t.Purpose)
	if err != nil {
		return nil
	}
	for _, f := range e.Fields() {
		if f.Immutable {
			names = append(names, f.Name)
		}
	}
	return names
}

// everDeclared reports whether a field of this name was declared for a purpose, now or when the person agreed: what was collected
// then can be erased still.
func (a *Agent) everDeclared(t policy.Tuple, name string) bool {
	if e, err := a.document().Effective(t.Category, t.Purpose); err == nil {
		if _, err := e.Field(name); err == nil {
			return true
		}
	}
	return slices.ContainsFunc(a.everHeld(t), func(h heldUnder) bool { return a.register.Named(h.consent, name) })
}

// undeclared refuses a field by its name.
func undeclared(tuple, name string) error {
	return control.NewProblem(control.KindSubmission, tuple, policy.Shown(name)+" is not a field that the policy declares")
}

// unsendWait is how long a change of what is held here waits for a batch that is on its way, so that the request to the controller
// comes after that. Deleting must never be hard: a slow network does not stop it.
const unsendWait = 5 * time.Second

// editHere changes what is held of a consent on this device: what waits to be sent, while nothing of it is on its way, and the items.
// It returns how many of each it changed; of a consent without a key there is nothing left.
func (a *Agent) editHere(ctx context.Context, id wire.UUID, edit func(wire.Item) (map[string]any, bool)) (waiting, kept int, err error) {
	inSpool := func() (err error) {
		waiting, err = a.spool.Edit(id, edit)
		return err
	}
	soon, cancel := context.WithTimeout(ctx, unsendWait)
	defer cancel()
	if err = a.uploader.Pause(soon, id, inSpool); errors.Is(err, context.DeadlineExceeded) {
		err = inSpool()
	}
	if err == nil {
		kept, err = a.items.Edit(id, func(it items.Item) (map[string]any, bool) { return edit(wire.Item{Time: it.Stored, Fields: it.Fields}) })
	}
	if errors.Is(err, keyring.ErrNoKey) {
		err = nil
	}
	return waiting, kept, err
}

// local does on this device what a case asks for, and records that it is done: only then the case is sent, so that nothing it takes
// out can arrive after it. It returns how many reports were changed that had not left.
func (a *Agent) local(ctx context.Context, c rights.Case) (unsent int, err error) {
	m, err := c.Request()
	if err != nil {
		return 0, err
	}
	immutable := a.immutables(c.Tuple)
	edit := func(it wire.Item) (map[string]any, bool) { return m.Apply(it, immutable) }
	unsent, kept, err := a.editHere(ctx, c.Consent, edit)
	if err == nil && c.Kind == wire.CaseErasure {
		_, err = a.journal.Drop(c.Consent, func(_ string, body []byte) bool { return holds(body, edit) })
	}
	if err != nil {
		return 0, err
	}
	return unsent, a.cases.LocalDone(c.ID, max(unsent, kept)) // an item that waits stands in both
}

// holds reports whether a body that left is a batch with something that an edit would change.
func holds(body []byte, edit func(wire.Item) (map[string]any, bool)) bool {
	plain, err := wire.Decompress(body)
	if err != nil {
		return false
	}
	b, err := wire.DecodeBatch(plain)
	if err != nil {
		return false
	}
	return b.Edit(edit) > 0
}

// deliverWait is how long the person waits for a controller's first answer; what is later comes by itself.
const deliverWait = 8 * time.Second

// file makes a case, does its part here, and tries to bring it to its controller at once.
func (a *Agent) file(ctx context.Context, r rights.Request) (rights.Case, error) {
	c, err := a.fileHere(ctx, r)
	if err != nil {
		return c, err
	}
	return a.deliver(ctx, c), nil
}

// fileHere makes a case and does its part here.
func (a *Agent) fileHere(ctx context.Context, r rights.Request) (rights.Case, error) {
	c, err := a.cases.File(r)
	if err != nil {
		return c, a.caseProblem(r.Tuple, err)
	}
	if !r.Local {
		return c, nil
	}
	if _, err = a.local(ctx, c); err == nil {
		c, err = a.cases.Get(c.ID) // with how much that was
	}
	if err != nil {
		a.wake() // it is durable and repeated
		return c, problem(r.Tuple, err)
	}
	return c, nil
}

// deliver tries to send a case now and returns how far it has come.
func (a *Agent) deliver(ctx context.Context, c rights.Case) rights.Case {
	ctx, cancel := context.WithTimeout(ctx, deliverWait)
	defer cancel()
	if err := a.uploader.DeliverCases(ctx, c.Consent, c.Tuple.Controller, c.Tuple); err != nil {
		a.log.Info("a case could not be delivered yet", zap.Stringer("tuple", c.Tuple), zap.Error(err))
	}
	if now, err := a.cases.Get(c.ID); err == nil {
		return now
	}
	return c
}

// caseView shows a case to the person.
func caseView(c rights.Case, now time.Time) control.Case {
	at := func(sec int64) time.Time {
		if sec == 0 {
			return time.Time{}
		}
		return time.Unix(sec, 0).UTC()
	}
	out := control.Case{
		ID: c.ID.String(), Kind: string(c.Kind), Controller: string(c.Tuple.Controller), Tuple: c.Tuple.String(), Consent: c.Consent.String(),
		State: string(c.State), Overdue: c.Overdue(now), Created: at(c.Created), Received: at(c.Received), Due: c.Due(), Ended: at(c.Ended),
		Reason: string(c.Reason), Text: c.Text, Answer: c.Words, Item: c.Item, Fields: c.Names, From: at(c.From), Until: at(c.Until),
		Here: c.Here, There: c.Items, Notes: []string{},
	}
	if out.State == "" {
		out.State = "open"
	}
	for _, n := range c.Answers {
		out.Notes = append(out.Notes, string(n))
	}
	return out
}

// Cases implements server.Backend.
func (a *Agent) Cases(context.Context) ([]control.Case, error) {
	out, now := []control.Case{}, time.Now()
	for _, c := range a.cases.List() {
		out = append(out, caseView(c, now))
	}
	for _, id := range a.cases.Damaged() {
		out = append(out, control.Case{ID: id.String(), State: "open", Notes: []string{}, Problem: rights.ErrDamaged.Error()})
	}
	return out, nil
}

// Case implements server.Backend.
func (a *Agent) Case(ctx context.Context, name string) (control.Case, error) {
	id, err := wire.ParseUUID(name)
	if err != nil {
		return control.Case{}, control.NewProblem(control.KindBadRequest, "", "the id of a case is a UUID")
	}
	c, err := a.cases.Get(id)
	if err != nil {
		return control.Case{}, a.caseProblem(policy.Tuple{}, err)
	}
	if !c.State.Final() {
		if err := a.cases.AskNow(id); err != nil {
			return control.Case{}, a.caseProblem(c.Tuple, err)
		}
		c = a.deliver(ctx, c)
	}
	return caseView(c, time.Now()), nil
}

// Complain implements server.Backend.
func (a *Agent) Complain(ctx context.Context, by server.Actor, t policy.Tuple, controller policy.ControllerID, words string) (control.Case, error) {
	if !by.Person {
		return control.Case{}, consent.ErrNotPerson
	}
	tuples := []policy.Tuple{t}
	if t == (policy.Tuple{}) {
		var err error
		if controller, err = a.controllerNamed(controller); err != nil {
			return control.Case{}, err
		}
		tuples = a.tuplesOf(controller)
		t.Controller = controller
	}
	for _, one := range tuples {
		for _, h := range a.everHeld(one) {
			if h.tuple.Controller != t.Controller {
				continue
			}
			if _, err := a.cases.Identity(h.consent); err == nil {
				c, err := a.file(ctx, rights.Request{Kind: wire.CaseComplaint, Tuple: h.tuple, Consent: h.consent, Text: words})
				return caseView(c, time.Now()), err
			}
		}
	}
	// A key may be left in a case that is still open.
	for _, c := range a.cases.List() {
		if c.Tuple.Controller == t.Controller && (t.Category == "" || c.Tuple == t) && !c.State.Final() {
			c, err := a.file(ctx, rights.Request{Kind: wire.CaseComplaint, Tuple: c.Tuple, Consent: c.Consent, Text: words})
			return caseView(c, time.Now()), err
		}
	}
	if _, closed := a.cases.Closed(t.Controller); closed {
		return control.Case{}, a.caseProblem(t, rights.ErrClosed)
	}
	return control.Case{}, a.caseProblem(t, rights.ErrNoIdentity)
}

// Correct implements server.Backend.
func (a *Agent) Correct(ctx context.Context, by server.Actor, t policy.Tuple, r control.CorrectRequest) (control.Case, error) {
	if !by.Person {
		return control.Case{}, consent.ErrNotPerson
	}
	if _, closed := a.cases.Closed(t.Controller); closed {
		return control.Case{}, a.caseProblem(t, rights.ErrClosed)
	}
	e, err := a.document().Effective(t.Category, t.Purpose)
	if err != nil {
		return control.Case{}, err
	}
	if e.Purpose.Collect.Mode != policy.ModeSubmitted || e.Purpose.Lane != policy.LaneFeatures {
		return control.Case{}, control.NewProblem(control.KindPolicy, t.String(), "what the device measured is not corrected; it can be erased")
	}
	if _, err := e.Field(items.FieldName); err == nil && r.Item == "" {
		return control.Case{}, control.NewProblem(control.KindSubmission, t.String(), items.FieldName+": which one is corrected has to be said")
	}
	fields, err := corrections(e, r.Fields)
	if err != nil {
		return control.Case{}, err
	}
	permit, err := a.register.Permit(t)
	if err != nil {
		return control.Case{}, err
	}
	key, err := a.digestKey(permit.Consent())
	if err != nil {
		return control.Case{}, problem(t, err)
	}
	defer clear(key)
	report, err := minimise.Fields(permit, fields, key, time.Now())
	if err != nil {
		return control.Case{}, control.NewProblem(control.KindSubmission, t.String(), err.Error())
	}
	small, err := wire.DecodeReport(report.Encode())
	if err != nil {
		return control.Case{}, err
	}
	c, err := a.file(ctx, rights.Request{
		Kind: wire.CaseCorrection, Tuple: t, Consent: permit.Consent(), Item: r.Item, Fields: small.Item.Fields, Local: true,
	})
	return caseView(c, time.Now()), err
}

// corrections gives texts the types that the policy declares. Its errors name fields and hold no value.
func corrections(e policy.Effective, list []control.Field) (map[string]any, error) {
	tuple := string(e.Category.ID) + "/" + string(e.Purpose.ID)
	out := map[string]any{}
	for _, one := range list {
		f, err := e.Field(one.Name)
		switch {
		case err != nil:
			return nil, undeclared(tuple, one.Name)
		case f.Immutable:
			return nil, control.NewProblem(control.KindImmutable, tuple, f.Name+" cannot be changed")
		case f.Name == items.FieldName:
			return nil, control.NewProblem(control.KindSubmission, tuple, f.Name+" cannot be changed: it names the item")
		case f.Rule == policy.RuleDrop:
			return nil, control.NewProblem(control.KindSubmission, tuple, f.Name+" is never kept")
		}
		bad := func(want string) error {
			return control.NewProblem(control.KindSubmission, tuple, fmt.Sprintf("%s: not %s", f.Name, want))
		}
		if one.Base64 && f.Type != policy.FieldBytes {
			b, err := base64.StdEncoding.DecodeString(one.Value)
			if err != nil {
				return nil, bad("base64")
			}
			one.Value = strings.TrimRight(string(b), "\r\n") // a file's last line ends
		}
		_, twice := out[f.Name]
		if twice && f.Type != policy.FieldTexts {
			return nil, bad("a list")
		}
		switch f.Type {
		case policy.FieldInteger:
			n, err := strconv.ParseInt(one.Value, 10, 64)
			if err != nil {
				return nil, bad("a whole number")
			}
			out[f.Name] = n
		case policy.FieldBoolean:
			if one.Value != "true" && one.Value != "false" {
				return nil, bad("true or false")
			}
			out[f.Name] = one.Value == "true"
		case policy.FieldBytes:
			b, err := base64.StdEncoding.DecodeString(one.Value)
			if err != nil {
				return nil, bad("base64")
			}
			out[f.Name] = b
		case policy.FieldTexts:
			had, _ := out[f.Name].([]string)
			out[f.Name] = append(had, one.Value)
		case policy.FieldChoice:
			if !slices.Contains(f.Choices, one.Value) {
				return nil, bad("one of the declared choices")
			}
			out[f.Name] = one.Value
		default:
			out[f.Name] = one.Value
		}
	}
	return out, nil
}
