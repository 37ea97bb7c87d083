package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// Export implements server.Backend: everything that lies on this device, and everything that the receivers hold. For every consent
// under which something may be held elsewhere a request of access is filed, so that a controller which does not answer is in arrears; what
// could not be had is in Missing.
func (a *Agent) Export(ctx context.Context, by server.Actor, tuples []policy.Tuple) (control.Export, error) {
	if !by.Person {
		return control.Export{}, consent.ErrNotPerson
	}
	out := control.Export{
		Time: time.Now().UTC().Truncate(time.Second), Subject: string(a.subject), Version: Version, Policy: a.current.Load().info.PolicyInfo,
		Missing: []string{}, Ledger: []json.RawMessage{}, Sent: []control.EgressBody{},
	}
	missing := func(what string, err error) {
		if err != nil {
			out.Missing = append(out.Missing, what+": "+err.Error())
		}
	}
	a.fileAccess(tuples)
	data, err := a.Data(ctx, tuples, true)
	if err != nil {
		return out, err
	}
	out.Tuples = data.Tuples
	for _, t := range data.Tuples {
		if t.RemoteError != "" {
			missing("the receiver of "+t.Tuple, errors.New(t.RemoteError))
		}
	}
	of := func(t string) bool {
		return slices.ContainsFunc(tuples, func(one policy.Tuple) bool { return one.String() == t })
	}
	for _, t := range tuples {
		out.Consents = append(out.Consents, a.consentState(t))
	}
	missing("what was sent", a.exportSent(ctx, &out, of))
	a.exportLedger(&out, tuples, missing)
	receipts, err := a.Receipts(ctx)
	missing("receipts", err)
	out.Receipts = slices.DeleteFunc(receipts, func(r control.Receipt) bool { return r.Tuple != "" && !of(r.Tuple) })
	cases, _ := a.Cases(ctx) // has no error
	out.Cases = slices.DeleteFunc(cases, func(c control.Case) bool { return c.Tuple != "" && !of(c.Tuple) })
	out.Accounts, _ = a.Accounts(ctx)
	if settings, err := a.Settings(ctx); err == nil && of(settings.Tuple) {
		out.Settings = &settings
	}
	out.Clients, err = a.Clients(ctx)
	missing("registered applications", err)
	out.Uses, err = a.ClientUses(ctx)
	missing("uses by applications", err)
	return out, nil
}

// fileAccess files a request of access for every consent that a controller may hold something under, one open one at a time.
func (a *Agent) fileAccess(tuples []policy.Tuple) {
	open := map[wire.UUID]bool{}
	for _, c := range a.cases.List() {
		open[c.Consent] = open[c.Consent] || c.Kind == wire.CaseAccess && !c.State.Final()
	}
	for _, t := range tuples {
		for _, h := range a.everHeld(t) {
			e, err := a.document().Effective(t.Category, t.Purpose)
			if open[h.consent] || err == nil && e.Purpose.Lane != policy.LaneFeatures {
				continue
			}
			_, err = a.cases.File(rights.Request{Kind: wire.CaseAccess, Tuple: h.tuple, Consent: h.consent})
			if err != nil && !errors.Is(err, rights.ErrNoIdentity) && !errors.Is(err, rights.ErrClosed) {
				a.log.Warn("a request of access could not be filed", zap.Stringer("tuple", t), zap.Error(err))
			}
		}
	}
	a.uploader.Kick()
}

// exportSent adds what left and is still readable.
func (a *Agent) exportSent(ctx context.Context, out *control.Export, of func(string) bool) error {
	entries, err := a.journal.List()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if entry := a.egress(e); !entry.Readable || entry.Tuple != "" && !of(entry.Tuple) {
			continue
		}
		body, err := a.EgressBody(ctx, e.ID.String())
		var p *control.Problem
		if errors.As(err, &p) {
			continue // its key is gone, and it with it
		}
		if err != nil {
			return err
		}
		out.Sent = append(out.Sent, body)
	}
	return nil
}

// exportLedger adds the records of what the person was asked and answered.
func (a *Agent) exportLedger(out *control.Export, tuples []policy.Tuple, missing func(string, error)) {
	for _, id := range a.register.Controllers() {
		records, err := a.register.Records(id)
		missing(fmt.Sprintf("ledger of %s", id), err)
		for _, r := range records {
			if r.Erased || !slices.ContainsFunc(tuples, func(t policy.Tuple) bool { return t.Category == r.Category && t.Purpose == r.Purpose }) {
				continue
			}
			b, err := json.Marshal(r)
			missing("a record of the ledger", err)
			if err == nil {
				out.Ledger = append(out.Ledger, b)
			}
		}
	}
}
