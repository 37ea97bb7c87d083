package agent

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/rights"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// closureLooks is how often an account that is being closed is looked at, beside every answer that comes.
const closureLooks = 15 * time.Minute

// closedKept is how long after its closing is confirmed the records of an account can still be read and exported as receipts. Then their
// bodies are erased, and tombstones are left.
const closedKept = 30 * policy.Day

// controllerNamed returns the controller of that id, or the policy's first where it is "": the service itself.
func (a *Agent) controllerNamed(id policy.ControllerID) (policy.ControllerID, error) {
	list := a.document().Controllers
	if id == "" && len(list) > 0 {
		return list[0].ID, nil
	}
	if _, err := a.register.Controller(id); err != nil {
		p := control.NewProblem(control.KindBadRequest, "", "controller: the policy has none of this name")
		for _, c := range list {
			p.Near = append(p.Near, string(c.ID))
		}
		return "", p
	}
	return id, nil
}

// tuplesOf returns the tuples of a controller, those that it had before included.
func (a *Agent) tuplesOf(controller policy.ControllerID) (out []policy.Tuple) {
	for _, t := range a.Tuples() {
		for _, one := range append([]policy.Tuple{t}, a.register.Departed(t.Category, t.Purpose)...) {
			if one.Controller == controller && !slices.Contains(out, one) {
				out = append(out, one)
			}
		}
	}
	return out
}

// chosenAccounts returns the controllers that a request about accounts is about.
func (a *Agent) chosenAccounts(r control.AccountRequest) (out []policy.ControllerID, err error) {
	if r.All {
		if r.Controller != "" {
			return nil, control.NewProblem(control.KindBadRequest, "", "controller: either one or all")
		}
		for _, c := range a.document().Controllers {
			out = append(out, c.ID)
		}
		return out, nil
	}
	id, err := a.controllerNamed(policy.ControllerID(r.Controller))
	return []policy.ControllerID{id}, err
}

// CloseAccount implements server.Backend. One write marks the account as closed and files a request for every consent; from then on
// nothing is agreed to at this controller, and the withdrawals that follow are repeated after a crash.
func (a *Agent) CloseAccount(ctx context.Context, by server.Actor, r control.AccountRequest) ([]control.Account, error) {
	if !by.Person {
		return nil, consent.ErrNotPerson
	}
	controllers, err := a.chosenAccounts(r)
	if err != nil {
		return nil, err
	}
	a.closing.Lock()
	defer a.closing.Unlock()
	for _, id := range controllers {
		if _, closed := a.cases.Closed(id); closed {
			if r.All {
				continue
			}
			return nil, control.NewProblem(control.KindClosed, "", string(id))
		}
		var requests []rights.Request
		for _, t := range a.tuplesOf(id) {
			for _, h := range a.everHeld(t) {
				if h.tuple.Controller == id && !slices.ContainsFunc(requests, func(r rights.Request) bool { return r.Consent == h.consent }) {
					requests = append(requests, rights.Request{Kind: wire.CaseClosure, Tuple: h.tuple, Consent: h.consent})
				}
			}
		}
		if _, err := a.cases.CloseAccount(id, requests); err != nil {
			return nil, a.caseProblem(policy.Tuple{Controller: id}, err)
		}
		if err := a.withdrawAll(id, actor(by)); err != nil {
			a.wake()
			return nil, err
		}
	}
	a.uploader.Kick()
	a.wake()
	return a.accounts(controllers), nil
}

// withdrawAll ends every consent at a controller, with erasure of what it has.
func (a *Agent) withdrawAll(id policy.ControllerID, who consent.Actor) error {
	for _, t := range a.tuplesOf(id) {
		if err := a.register.Withdraw(t, true, who); err != nil {
			return err
		}
	}
	return nil
}

// settleClosures finishes the closing of accounts: what a crash interrupted is withdrawn, and where every signed answer is there, that is
// recorded. It returns when to look again, zero when nothing is being closed.
func (a *Agent) settleClosures() (next time.Time) {
	sooner := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, id := range a.register.Controllers() {
		closed, ok := a.cases.Closed(id)
		if !ok {
			continue
		}
		if closed.Done != 0 {
			sooner(a.eraseRecords(id, time.Unix(closed.Done, 0)))
			continue
		}
		// The person has said so, before a crash came between.
		if err := a.withdrawAll(id, consent.Actor{UID: os.Getuid(), Channel: control.ChannelCLI, Person: true}); err != nil {
			a.log.Warn("an account is not closed yet", zap.String("controller", string(id)), zap.Error(err))
		} else if a.awaited(id) == 0 {
			if err := a.cases.FinishClosure(id); err != nil {
				a.log.Warn("an account is closed, which could not be recorded", zap.String("controller", string(id)), zap.Error(err))
			} else {
				a.log.Info("an account is closed", zap.String("controller", string(id)))
				sooner(time.Now().Add(closedKept))
				continue
			}
		}
		sooner(time.Now().Add(closureLooks))
	}
	return next
}

// eraseRecords erases the bodies of the records of a closed account when their time is over, and returns when to try again, zero when
// nothing is left of them.
func (a *Agent) eraseRecords(id policy.ControllerID, closed time.Time) (next time.Time) {
	now := time.Now()
	if due := closed.Add(closedKept); now.Before(due) {
		return due
	}
	if err := a.register.EraseAll(id); err != nil {
		if !errors.Is(err, consent.ErrNeeded) { // a quiet period, for example
			a.log.Warn("the records of a closed account are not erased yet", zap.String("controller", string(id)), zap.Error(err))
		}
		return now.Add(policy.Day)
	}
	return time.Time{}
}

// awaited counts the signed answers of a controller that are not there yet.
func (a *Agent) awaited(id policy.ControllerID) int {
	n := len(a.register.Outbox(id))
	for _, c := range a.cases.List() {
		if c.Tuple.Controller == id && c.Kind == wire.CaseClosure && !c.State.Final() {
			n++
		}
	}
	return n
}

// ReopenAccount implements server.Backend.
func (a *Agent) ReopenAccount(_ context.Context, by server.Actor, r control.AccountRequest) ([]control.Account, error) {
	if !by.Person {
		return nil, consent.ErrNotPerson
	}
	controllers, err := a.chosenAccounts(r)
	if err != nil {
		return nil, err
	}
	a.settleClosures()
	for _, id := range controllers {
		switch c, closed := a.cases.Closed(id); {
		case closed && c.Done == 0:
			return nil, control.NewProblem(control.KindClosed, "", "it is still being closed: signed answers of "+string(id)+" are missing")
		case closed:
			if err := a.cases.Reopen(id); err != nil {
				return nil, err
			}
		}
	}
	return a.accounts(controllers), nil
}

// Accounts implements server.Backend.
func (a *Agent) Accounts(context.Context) ([]control.Account, error) {
	a.settleClosures()
	var ids []policy.ControllerID
	for _, c := range a.document().Controllers {
		ids = append(ids, c.ID)
	}
	for _, id := range a.register.Controllers() { // of an earlier policy
		if _, closed := a.cases.Closed(id); closed && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return a.accounts(ids), nil
}

func (a *Agent) accounts(ids []policy.ControllerID) []control.Account {
	out := []control.Account{}
	for _, id := range ids {
		one := control.Account{Controller: string(id), State: "open"}
		if c, err := a.register.Controller(id); err == nil {
			one.Name, one.Contact = text(c.Name), c.Contact
		}
		for _, t := range a.tuplesOf(id) {
			if a.register.State(t).InForce {
				one.Consents++
			}
		}
		if c, closed := a.cases.Closed(id); closed {
			one.State, one.Since, one.Waiting = "closing", time.Unix(c.Since, 0).UTC(), a.awaited(id)
			if c.Done != 0 {
				one.State, one.Done, one.Waiting = "closed", time.Unix(c.Done, 0).UTC(), 0
			}
		}
		out = append(out, one)
	}
	return out
}

// accountOpen refuses what would begin anew at a controller whose account was closed.
func (a *Agent) accountOpen(t policy.Tuple) error {
	if _, closed := a.cases.Closed(t.Controller); closed {
		return control.NewProblem(control.KindClosed, t.String(), "")
	}
	return nil
}
