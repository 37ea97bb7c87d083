package agent

import (
	"context"
	"errors"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/ledger"
	"github.com/scruple-agent/scruple/agent/policy"
)

// Ledgers implements server.Backend.
func (a *Agent) Ledgers(context.Context) ([]control.Ledger, error) {
	var list []control.Ledger
	for _, l := range a.register.Audit() {
		out := control.Ledger{
			Controller: string(l.Controller), Generation: l.Generation, Origin: l.Origin, Key: l.Key, Size: l.Size,
			Readable: l.Readable, Erased: l.Erased, Waiting: l.Waiting, Unsent: l.Unsent, Tombstones: l.Tombstones,
			Checkpoint: string(l.Checkpoint),
		}
		if !l.Root.IsZero() {
			out.Root = l.Root.String()
		}
		if l.Problem != nil {
			out.Problem = l.Problem.Error()
		}
		list = append(list, out)
	}
	return list, nil
}

// LedgerProof implements server.Backend.
func (a *Agent) LedgerProof(_ context.Context, controller policy.ControllerID, record uint64) (control.LedgerProof, error) {
	in, err := a.register.InclusionProof(controller, record)
	if err != nil {
		return control.LedgerProof{}, err
	}
	p, err := ledger.ParseProof(in.Proof)
	if err != nil {
		return control.LedgerProof{}, err
	}
	if in.Record != nil {
		p.Extra = ledger.ExtraOf(in.Salt, in.Statement)
	}
	return a.ledgerProof(controller, p.Encode(), in.Record != nil)
}

// LedgerGrowth implements server.Backend.
func (a *Agent) LedgerGrowth(_ context.Context, controller policy.ControllerID, old uint64) (control.LedgerProof, error) {
	growth, err := a.register.ConsistencyProof(controller, old, 0)
	if err != nil {
		return control.LedgerProof{}, err
	}
	return a.ledgerProof(controller, growth, false)
}

func (a *Agent) ledgerProof(controller policy.ControllerID, proof []byte, readable bool) (control.LedgerProof, error) {
	key, err := a.register.LedgerKey(controller)
	return control.LedgerProof{Controller: string(controller), Key: key, Proof: string(proof), Readable: readable}, err
}

// LedgerCompare implements server.Backend.
func (a *Agent) LedgerCompare(_ context.Context, kept []byte) (control.LedgerCompared, error) {
	held, err := a.register.Compare(kept)
	out := control.LedgerCompared{
		Controller: string(held.Controller), Origin: held.Kept.Origin, KeptSize: held.Kept.Size, Size: held.Now.Size, Restarted: held.Restarted,
	}
	if errors.Is(err, consent.ErrRolledBack) {
		a.uploader.Kick()
		out.RolledBack, out.Problem = true, err.Error()
		return out, nil
	}
	return out, err
}
