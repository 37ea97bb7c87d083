package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// guardianProblem gives an error about age or guardian its kind in the API.
func guardianProblem(err error) error {
	for _, known := range []struct {
		err  error
		kind control.Kind
	}{
		{consent.ErrLessProtected, control.KindGuardian},
		{consent.ErrNoGuardian, control.KindGuardian},
		{consent.ErrApproval, control.KindApproval},
		{consent.ErrAsked, control.KindApproval},
		{consent.ErrEnrolled, control.KindEnrolled},
		{consent.ErrBand, control.KindBadRequest},
		{wire.ErrMalformed, control.KindApproval},
	} {
		if errors.Is(err, known.err) {
			return control.NewProblem(known.kind, "", err.Error())
		}
	}
	return err
}

// Age implements server.Backend.
func (a *Agent) Age(context.Context) (control.Age, error) {
	s := a.register.Age()
	out := control.Age{Band: string(s.Band), Minor: s.Band.Minor(), PolicyAccepted: s.PolicyAccepted}
	if s.Since != 0 {
		out.Since = time.Unix(s.Since, 0).UTC()
	}
	if len(s.Guardian) > 0 {
		out.Guardian, out.GuardianSince = wire.FormatGuardianKey(s.Guardian), time.Unix(s.GuardianSince, 0).UTC()
		out.Device = hex.EncodeToString(s.Device[:])
	}
	for _, q := range s.Questions {
		out.Questions = append(out.Questions, guardianQuestion(q))
	}
	for _, q := range s.Approved {
		out.Approved = append(out.Approved, guardianQuestion(q))
	}
	return out, nil
}

func guardianQuestion(q wire.Question) control.GuardianQuestion {
	out := control.GuardianQuestion{Kind: string(q.Kind), Policy: q.PolicyVersion, Band: q.Band, Expires: time.Unix(q.Expiry, 0).UTC()}
	if q.Category != "" {
		out.Tuple = q.Category + "/" + q.Purpose
	}
	if !q.Notice.IsZero() {
		out.Notice = q.Notice.String()
	}
	return out
}

// DeclareAge implements server.Backend.
func (a *Agent) DeclareAge(ctx context.Context, by server.Actor, band consent.Band) (control.Age, error) {
	if err := a.register.DeclareAge(band, actor(by)); err != nil {
		return control.Age{}, guardianProblem(err)
	}
	a.log.Info("age band declared")
	a.wake()
	a.uploader.Kick()
	return a.Age(ctx)
}

// EnrolGuardian implements server.Backend.
func (a *Agent) EnrolGuardian(ctx context.Context, by server.Actor, text string) (control.Age, error) {
	key, err := wire.ParseGuardianKey(text)
	if err != nil {
		return control.Age{}, control.NewProblem(control.KindBadRequest, "", err.Error())
	}
	if err := a.register.EnrolGuardian(key, actor(by)); err != nil {
		return control.Age{}, guardianProblem(err)
	}
	a.log.Info("guardian key enrolled")
	return a.Age(ctx)
}

// AskGuardian implements server.Backend.
func (a *Agent) AskGuardian(_ context.Context, by server.Actor, r control.GuardianRequest) (out control.GuardianRequested, err error) {
	ask := consent.Ask{Kind: wire.ApprovalKind(r.Kind), Lang: policy.Lang(r.Lang), Band: consent.Band(r.Band)}
	if ask.Lang == "" {
		ask.Lang = policy.Lang(a.settings.Language)
	}
	switch ask.Kind {
	case wire.ApproveGrant:
		if ask.Tuple, err = a.document().Tuple(a.subject, r.Tuple); err != nil {
			return out, control.NewProblem(control.KindUnknownTuple, policy.Shown(r.Tuple), "")
		}
	case wire.ApproveKey:
		var key ed25519.PublicKey
		if key, err = wire.ParseGuardianKey(r.Key); err != nil {
			return out, control.NewProblem(control.KindBadRequest, "", err.Error())
		}
		ask.NewKey = key
	case wire.ApprovePolicy, wire.ApproveAge:
	default:
		return out, control.NewProblem(control.KindBadRequest, "", "kind: grant, policy, age or key")
	}
	request, err := a.register.AskGuardian(ask, actor(by))
	if err != nil {
		return out, guardianProblem(err)
	}
	q, err := wire.DecodeQuestion(request.Question)
	if err != nil {
		return out, err
	}
	out.GuardianQuestion = guardianQuestion(q)
	if q.Kind == wire.ApprovePolicy {
		request.Policy = a.current.Load().info.YAML
	}
	if out.Text, err = wire.EncodeRequest(request); err != nil {
		return out, err
	}
	request.Notice, request.Policy = "", ""
	out.Code, err = wire.EncodeRequest(request)
	return out, err
}

// Approve implements server.Backend.
func (a *Agent) Approve(_ context.Context, text string) (control.GuardianQuestion, error) {
	approval, err := wire.DecodeApproval(text)
	if err != nil {
		return control.GuardianQuestion{}, guardianProblem(err)
	}
	q, err := a.register.Approve(approval)
	if err != nil {
		return control.GuardianQuestion{}, guardianProblem(err)
	}
	a.log.Info("the guardian has answered", zap.String("kind", string(q.Kind)))
	a.wake()
	a.uploader.Kick()
	return guardianQuestion(q), nil
}

// GuardianReport implements server.Backend: kinds and amounts, and no content.
func (a *Agent) GuardianReport(ctx context.Context) (out control.GuardianReport, err error) {
	age, err := a.Age(ctx)
	if err != nil {
		return out, err
	}
	out.Band, out.Device, out.Made = age.Band, age.Device, time.Now().UTC()
	status, err := a.Status(ctx)
	if err != nil {
		return out, err
	}
	sent, err := a.sentAmounts()
	if err != nil {
		return out, err
	}
	for _, t := range status.Tuples {
		row := control.GuardianReportRow{
			Tuple: t.Tuple, Controller: t.Controller, Category: t.Category, Purpose: t.Purpose, Status: t.Status, Since: t.Since, Stored: t.Spool.Reports,
		}
		if s := sent[t.Tuple]; s != nil {
			row.Sent, row.Bytes, row.LastSent = s.Sent, s.Bytes, s.LastSent
		}
		out.Tuples = append(out.Tuples, row)
	}
	for _, k := range a.notices.List() {
		if k.Kind == wire.NoticeBreach && !k.Before {
			one := a.announcement(k)
			one.Note = string(k.Signed)
			out.Breaches = append(out.Breaches, one)
		}
	}
	return out, nil
}

// sentAmounts counts the batches that were confirmed, by tuple.
func (a *Agent) sentAmounts() (map[string]*control.GuardianReportRow, error) {
	entries, err := a.journal.List()
	if err != nil {
		return nil, err
	}
	sent := map[string]*control.GuardianReportRow{}
	for _, e := range entries {
		if e.Lane != journal.LaneB || e.Status/100 != 2 || e.Outcome != "" {
			continue
		}
		t, ok := a.tupleOf(e.Consent)
		if !ok {
			continue
		}
		row := sent[t.String()]
		if row == nil {
			row = &control.GuardianReportRow{}
			sent[t.String()] = row
		}
		row.Sent++
		row.Bytes += int64(e.Size)
		if e.Time.After(row.LastSent) {
			row.LastSent = e.Time.UTC()
		}
	}
	return sent, nil
}
