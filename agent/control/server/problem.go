package server

import (
	"context"
	"errors"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
)

// consentKinds gives the errors of package consent their place in the closed list, the more particular first.
// Where told is set, the kind does not say it all and the error's own words go along.
var consentKinds = []struct {
	err  error
	kind control.Kind
	told bool
}{
	{consent.ErrNotPerson, control.KindNotPerson, false},
	{consent.ErrNotShown, control.KindNotShown, false},
	{consent.ErrNoticeDiffers, control.KindNoticeDiffers, false},
	{consent.ErrQuiet, control.KindQuiet, false},
	{consent.ErrGiven, control.KindGiven, false},
	{consent.ErrSessionOnly, control.KindNoSession, false},
	{consent.ErrSessionEnded, control.KindNoSession, false},
	{consent.ErrNoSession, control.KindPolicy, true},
	{consent.ErrUndeclared, control.KindPolicy, true},
	{consent.ErrGuardian, control.KindGuardian, true},
	{consent.ErrClosed, control.KindStopping, false},
	{consent.ErrDamaged, control.KindLedger, true},
	{consent.ErrClock, control.KindClock, false},
	{consent.ErrNotGiven, control.KindNotGiven, false},
	{consent.ErrNotInForce, control.KindNotGiven, true},
}

// problem gives every error its place in the closed list. A problem that a backend made stays as it is.
func problem(err error, tuple string) *control.Problem {
	var p *control.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return control.NewProblem(control.KindFailed, tuple, "it took too long")
	case errors.Is(err, context.Canceled):
		return control.NewProblem(control.KindStopping, tuple, "")
	}
	for _, k := range consentKinds {
		if !errors.Is(err, k.err) {
			continue
		}
		detail := ""
		if k.told {
			detail = err.Error()
		}
		return control.NewProblem(k.kind, tuple, detail)
	}
	return control.NewProblem(control.KindFailed, tuple, err.Error())
}
