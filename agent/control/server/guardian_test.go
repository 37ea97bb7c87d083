package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

func (b *backend) Age(context.Context) (control.Age, error) {
	return control.Age{}, b.call("age", Actor{}, policy.Tuple{})
}

func (b *backend) DeclareAge(_ context.Context, a Actor, band consent.Band) (control.Age, error) {
	return control.Age{Band: string(band)}, b.call("declare", a, policy.Tuple{})
}

func (b *backend) EnrolGuardian(_ context.Context, a Actor, _ string) (control.Age, error) {
	return control.Age{}, b.call("enrol", a, policy.Tuple{})
}

func (b *backend) AskGuardian(_ context.Context, a Actor, _ control.GuardianRequest) (control.GuardianRequested, error) {
	return control.GuardianRequested{}, b.call("ask", a, policy.Tuple{})
}

func (b *backend) Approve(context.Context, string) (control.GuardianQuestion, error) {
	return control.GuardianQuestion{}, b.call("approve", Actor{}, policy.Tuple{})
}

func (b *backend) GuardianReport(context.Context) (control.GuardianReport, error) {
	return control.GuardianReport{}, b.call("report", Actor{}, policy.Tuple{})
}
