package agent

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/items"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/rights"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// eraseItem takes one item out of what is held here and asks the controllers that may hold it to erase it. It returns how many
// reports of it had not left, and the id of the request; "" where nobody can be asked. Each request is durable before anything is
// changed for it, and what is interrupted then is repeated by itself.
func (a *Agent) eraseItem(ctx context.Context, t policy.Tuple, name string) (unsent int, request string, err error) {
	asked := name
	if name == items.Only {
		asked = ""
	}
	for _, h := range a.everHeld(t) {
		var n int
		c, err := a.cases.File(rights.Request{Kind: wire.CaseErasure, Tuple: h.tuple, Consent: h.consent, Item: asked, Local: true})
		switch {
		case err == nil:
			n, err = a.local(ctx, c)
			if request == "" {
				request = c.ID.String()
			}
		case errors.Is(err, rights.ErrNoIdentity):
			n, _, err = a.editHere(ctx, h.consent, func(it wire.Item) (map[string]any, bool) {
				return nil, items.NameOf(it.Fields) == name
			})
		}
		if err != nil {
			return unsent, request, a.caseProblem(t, err)
		}
		unsent += n
	}
	a.uploader.Kick()
	return unsent, request, nil
}

// EraseParts implements server.Backend. Everything is asked for, durably, before any controller is waited for, and also where the person
// does not wait or one part fails, which is the error.
func (a *Agent) EraseParts(ctx context.Context, by server.Actor, tuples []policy.Tuple, r control.EraseRequest) (control.Erased, error) {
	out := control.Erased{Parts: []control.ErasedPart{}}
	if !by.Person {
		return out, consent.ErrNotPerson
	}
	person := ctx
	ctx = context.WithoutCancel(ctx)
	defer a.uploader.Kick()
	var (
		filed  []rights.Case
		failed error
	)
	selected := r.Item != "" || len(r.Fields) > 0 || !r.From.IsZero() || !r.Until.IsZero()
	for _, t := range tuples {
		for _, name := range r.Fields {
			if slices.Contains(a.immutables(t), name) {
				return out, control.NewProblem(control.KindImmutable, t.String(), name+" cannot be deleted while the account exists")
			}
		}
	}
	for _, name := range r.Fields {
		if !slices.ContainsFunc(tuples, func(t policy.Tuple) bool { return a.everDeclared(t, name) }) {
			return out, undeclared("", name)
		}
	}
	for _, t := range tuples {
		kept := a.immutables(t)
		for _, h := range a.everHeld(t) {
			if _, closed := a.cases.Closed(h.tuple.Controller); closed {
				continue
			}
			if !selected && len(kept) == 0 && h.consent == a.register.State(t).Consent {
				e, err := a.Erase(ctx, by, t)
				if err != nil {
					failed = cmp.Or(failed, err)
					continue
				}
				out.Parts = append(out.Parts, control.ErasedPart{Tuple: t.String(), Here: e.Reports, Request: e.ID})
				continue
			}
			c, err := a.fileHere(ctx, rights.Request{
				Kind: wire.CaseErasure, Tuple: h.tuple, Consent: h.consent, Item: r.Item, Names: slices.Clone(r.Fields),
				From: seconds(r.From), Until: seconds(r.Until), Local: true,
			})
			var p *control.Problem
			if errors.As(err, &p) && p.Kind() == control.KindNoIdentity {
				continue
			}
			if err != nil {
				failed = cmp.Or(failed, err)
				continue
			}
			filed = append(filed, c)
			part := control.ErasedPart{Tuple: t.String(), Here: c.Here, Request: c.ID.String()}
			if r.Item == "" && len(r.Fields) == 0 {
				part.Kept = kept
			}
			out.Parts = append(out.Parts, part)
		}
	}
	if failed != nil {
		return out, failed
	}
	soon, cancel := context.WithTimeout(person, deliverWait) // for all together
	defer cancel()
	for _, c := range filed {
		if soon.Err() == nil {
			a.deliver(soon, c)
		}
	}
	if len(out.Parts) == 0 {
		for _, t := range tuples {
			if _, closed := a.cases.Closed(t.Controller); closed && len(tuples) == 1 {
				return out, a.caseProblem(t, rights.ErrClosed)
			}
		}
		if len(tuples) == 1 {
			return out, control.NewProblem(control.KindNothing, tuples[0].String(), "nothing of it is held here or known to be held elsewhere")
		}
	}
	return out, nil
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.Unix(), 1)
}
