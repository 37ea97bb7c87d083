package agent

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/items"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Submit implements server.Backend: what an application submits is checked against the policy, made small by it, kept for the
// person to see, and stored to be sent; all of it is on the disk before the answer.
func (a *Agent) Submit(ctx context.Context, by server.Actor, t policy.Tuple, body []byte) (control.Submitted, error) {
	client, err := a.mayUse(by, t)
	if err != nil {
		return control.Submitted{}, err
	}
	rules := a.collection(t).rules()
	if rules.Category.Source != policy.SourceApplication || rules.Purpose.Collect.Mode != policy.ModeSubmitted {
		return control.Submitted{}, control.NewProblem(control.KindPolicy, t.String(), "nothing is submitted for this purpose")
	}
	permit, err := a.register.Permit(t)
	if err != nil {
		a.refusal(err)
		return control.Submitted{}, err
	}
	rules = permit.Effective() // what was agreed to, should the policy be changing
	in, err := items.Decode(rules, body)
	if err != nil {
		return control.Submitted{}, submission(t, err)
	}
	if err := checkOrigin(rules, in.Origin); err != nil {
		return control.Submitted{}, err
	}
	if rules.Purpose.Minimiser.Name == policy.MinimiseCounts {
		return a.submitCounts(ctx, permit, in.Records)
	}
	return a.store(permit, in, client, by.Person)
}

// submission gives an error of what was submitted its kind. It names fields, and holds no value.
func submission(t policy.Tuple, err error) error {
	switch {
	case errors.Is(err, items.ErrSubmission), errors.Is(err, items.ErrMissing), errors.Is(err, policy.ErrUndeclaredField),
		errors.Is(err, policy.ErrFieldValue):
		return control.NewProblem(control.KindSubmission, t.String(), err.Error())
	case errors.Is(err, items.ErrOther):
		return control.NewProblem(control.KindNoAccess, t.String(), err.Error())
	}
	return problem(t, err)
}

// checkOrigin holds what is submitted to the origin that the person was shown.
func checkOrigin(rules policy.Effective, origin string) error {
	declared := rules.Category.Origin
	if declared == policy.OriginPerson || declared == policy.OriginDevice {
		declared = ""
	}
	if origin == declared {
		return nil
	}
	detail := "origin: the policy declares none"
	if declared != "" {
		detail = "origin: it has to be the one that the policy declares: " + declared
	}
	return control.NewProblem(control.KindSubmission, string(rules.Category.ID)+"/"+string(rules.Purpose.ID), detail)
}

// store minimises records, keeps them as items, and spools them. The checks come first, so that all are stored or none,
// but for a disk that fails in between: then the application has no answer and submits again, which replaces.
func (a *Agent) store(p consent.Permit, in items.Submission, client string, person bool) (control.Submitted, error) {
	t := p.Tuple()
	digestKey, err := a.digestKey(p.Consent())
	if err != nil {
		return control.Submitted{}, problem(t, err)
	}
	defer clear(digestKey)
	answer := control.Submitted{Tuple: t.String(), Items: []string{}}
	now := time.Now()
	var (
		made  []minimise.Report
		state []items.Item
	)
	for i, record := range in.Records {
		r, err := minimise.Fields(p, record, digestKey, now)
		if err != nil {
			return control.Submitted{}, submission(t, fmt.Errorf("record %d: %w", i+1, err))
		}
		small, err := wire.DecodeReport(r.Encode())
		if err != nil {
			return control.Submitted{}, err
		}
		name := items.NameOf(small.Item.Fields)
		if owner, ok, err := a.items.Owner(p.Consent(), name); err != nil {
			return control.Submitted{}, submission(t, err)
		} else if ok && owner != client && !person {
			return control.Submitted{}, submission(t, fmt.Errorf("record %d: %w", i+1, items.ErrOther))
		}
		if slices.Contains(answer.Items, name) {
			return control.Submitted{}, submission(t, fmt.Errorf("record %d: names an item that stands twice: %w", i+1, items.ErrSubmission))
		}
		made = append(made, r)
		state = append(state, items.Item{Name: name, Stored: now.Unix(), Client: client, Origin: in.Origin, Fields: small.Item.Fields})
		answer.Items = append(answer.Items, name)
	}
	for _, it := range state {
		if err := a.items.Put(p, it, person); err != nil {
			return control.Submitted{}, submission(t, err)
		}
	}
	if err := a.collection(t).store(p, made); err != nil {
		return control.Submitted{}, problem(t, err)
	}
	return answer, nil
}

// digestKey is the key of digests of one consent's fields.
func (a *Agent) digestKey(id wire.UUID) ([]byte, error) {
	dataKey, err := a.ring.DataKey(id)
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	return hkdf.Key(sha256.New, dataKey, nil, "scruple/fields/digest/1", 32)
}

// DeleteItem implements server.Backend: the item goes from this device, also from what has not left yet, and the controller is asked
// to erase it.
func (a *Agent) DeleteItem(ctx context.Context, by server.Actor, t policy.Tuple, name string) (control.ItemDeleted, error) {
	client, err := a.mayUse(by, t)
	if err != nil {
		return control.ItemDeleted{}, err
	}
	rules := a.collection(t).rules()
	if name == "" || len(name) > items.MaxName || rules.Category.Source != policy.SourceApplication || rules.Purpose.Lane != policy.LaneFeatures {
		return control.ItemDeleted{}, control.NewProblem(control.KindNotFound, t.String(), "no item of that name")
	}
	if _, err := rules.Field(items.FieldName); err == nil && name == items.Only { // that would be all of them
		return control.ItemDeleted{}, control.NewProblem(control.KindNotFound, t.String(), "no item of that name")
	}
	if field, held := immutable(rules); held && name == items.Only {
		return control.ItemDeleted{}, control.NewProblem(control.KindPolicy, t.String(),
			field+" cannot be deleted while the account exists: it goes when the account is closed")
	}
	answer := control.ItemDeleted{Tuple: t.String(), Item: name}
	known := by.Person // an application has to name what is its own; the person may ask the controller in any case
	ids := a.held(t)
	for _, id := range ids {
		owner, ok, err := a.items.Owner(id, name)
		switch {
		case err != nil:
			return control.ItemDeleted{}, problem(t, err)
		case ok && owner != client && !by.Person:
			return control.ItemDeleted{}, submission(t, items.ErrOther)
		}
		known, answer.Here = known || ok, answer.Here || ok
	}
	if !known || len(ids) == 0 {
		return control.ItemDeleted{}, control.NewProblem(control.KindNotFound, t.String(), "no item of that name")
	}
	if answer.Unsent, answer.Request, err = a.eraseItem(ctx, t, name); err != nil {
		return control.ItemDeleted{}, err
	}
	return answer, nil
}

// immutable returns a field of the purpose that cannot change, if it has one.
func immutable(rules policy.Effective) (string, bool) {
	for _, f := range rules.Fields() {
		if f.Immutable {
			return f.Name, true
		}
	}
	return "", false
}

// held returns the consents of a tuple under which something may be kept here: the one that is given, and former ones.
func (a *Agent) held(t policy.Tuple) []wire.UUID {
	ids := a.register.Parked(t.Category, t.Purpose)
	if id := a.register.State(t).Consent; !id.IsZero() {
		if _, err := a.ring.DataKey(id); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// itemData adds what is kept of the items of a consent, for the person.
func (a *Agent) itemData(id wire.UUID, to []control.Item) ([]control.Item, error) {
	list, err := a.items.List(id)
	if errors.Is(err, keyring.ErrNoKey) {
		return to, nil
	}
	if err != nil {
		return nil, err
	}
	for _, it := range list {
		shown := record(wire.Report{Consent: id, Item: wire.Item{Time: it.Stored, Fields: it.Fields}})
		to = append(to, control.Item{
			Item: it.Name, Time: shown.Time, Consent: shown.Consent, Client: it.Client, Origin: it.Origin, Fields: shown.Fields,
		})
	}
	return to, nil
}
