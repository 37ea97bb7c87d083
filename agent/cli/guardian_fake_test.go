package cli

import (
	"context"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
)

// The fake's person is an adult; the scripts about guardians use the real daemon.

func (f *fake) Age(context.Context) (control.Age, error) { return control.Age{Band: "18+"}, nil }

func (f *fake) DeclareAge(_ context.Context, _ server.Actor, band consent.Band) (control.Age, error) {
	return control.Age{Band: string(band)}, nil
}

func (f *fake) EnrolGuardian(context.Context, server.Actor, string) (control.Age, error) {
	return control.Age{}, nil
}

func (f *fake) AskGuardian(context.Context, server.Actor, control.GuardianRequest) (control.GuardianRequested, error) {
	return control.GuardianRequested{}, nil
}

func (f *fake) Approve(context.Context, string) (control.GuardianQuestion, error) {
	return control.GuardianQuestion{}, nil
}

func (f *fake) GuardianReport(context.Context) (control.GuardianReport, error) {
	return control.GuardianReport{}, nil
}
