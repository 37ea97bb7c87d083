package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/notices"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/uploader"
	"github.com/scruple-agent/scruple/uploader/answers"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/spool"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var _ server.Backend = (*Agent)(nil)

func actor(a server.Actor) consent.Actor {
	return consent.Actor{UID: a.UID, Channel: a.Channel, Person: a.Person}
}

// problem gives an error of a part its kind in the API. What has none yet stays as it is: the server knows the
// consent package's.
func problem(t policy.Tuple, err error) error {
	for _, known := range []struct {
		err  error
		kind control.Kind
	}{
		{sensors.ErrAbsent, control.KindSourceAbsent},
		{keyring.ErrNoKey, control.KindUnreadable},
		{spool.ErrEmpty, control.KindNothing},
		{answers.ErrNone, control.KindNothing},
		{errNoReader, control.KindPolicy},
		{uploader.ErrAtRandom, control.KindPolicy},
		{notices.ErrStopped, control.KindStopped},
		{uploader.ErrRegion, control.KindPolicy},
		{uploader.ErrUnreachable, control.KindReceiver},
		{uploader.ErrTimeout, control.KindReceiver},
		{uploader.ErrCut, control.KindReceiver},
		{uploader.ErrGarbage, control.KindReceiver},
		{uploader.ErrRedirect, control.KindReceiver},
		{uploader.ErrNoReceipt, control.KindReceiver},
		{uploader.ErrNotIntroduced, control.KindReceiver},
		{uploader.ErrBehind, control.KindReceiver},
		{uploader.ErrWrongPin, control.KindReceiver},
		{uploader.ErrCertificate, control.KindReceiver},
		{uploader.ErrExpired, control.KindReceiver},
		{uploader.ErrWrongHost, control.KindReceiver},
		{uploader.ErrOldTLS, control.KindReceiver},
	} {
		if errors.Is(err, known.err) {
			return control.NewProblem(known.kind, t.String(), err.Error())
		}
	}
	var refused *uploader.Refusal
	if errors.As(err, &refused) {
		return control.NewProblem(control.KindReceiver, t.String(), err.Error())
	}
	return err
}

// Tuples implements server.Backend.
func (a *Agent) Tuples() []policy.Tuple { return a.document().Tuples(a.subject) }

// Policy implements server.Backend.
func (a *Agent) Policy(context.Context) (control.Policy, error) { return a.current.Load().info, nil }

// Status implements server.Backend.
func (a *Agent) Status(ctx context.Context) (control.Status, error) {
	now := time.Now()
	var highWater int64
	a.ring.View(func(s *keyring.State) { highWater = s.HighWater })
	status := control.Status{
		State: "running", Version: Version, PID: os.Getpid(), Started: a.started.UTC(), Subject: string(a.subject),
		StateDir: a.settings.StateDir, Policy: a.current.Load().info.PolicyInfo,
		Enforcement: control.Enforcement{
			Kernel: control.KernelNotEnforced,
			Detail: "sources, keeper and sender share one process; the gate is this program's own",
		},
		Clock:      control.Clock{Now: now.UTC(), HighWater: time.Unix(highWater, 0).UTC()},
		Unfinished: []control.Step{},
		Notices:    a.announcementStatus(),
	}
	var err error
	if status.Age, err = a.Age(ctx); err != nil {
		return status, err
	}
	if why := a.refused.Load(); why != nil {
		status.PolicyRefused = *why
	}
	status.Clock.Trouble = now.Before(status.Clock.HighWater.Add(-consent.ClockTolerance))
	spooled := map[wire.UUID]spool.Stat{}
	for _, s := range a.spool.Stats() {
		spooled[s.Consent] = s
	}
	status.Analytics = a.analyticsAt(now)
	lanes := a.lanes(&status)
	sent := a.lastSent()
	for _, t := range a.Tuples() {
		row := a.tupleStatus(t, spooled, lanes)
		row.Sent = sent[a.register.State(t).Consent]
		status.Tuples = append(status.Tuples, row)
	}
	a.mu.Lock()
	if a.stopping {
		status.State = "stopping"
	}
	for _, step := range a.unfinished {
		status.Unfinished = append(status.Unfinished, step)
	}
	a.mu.Unlock()
	return status, nil
}

func (a *Agent) tupleStatus(t policy.Tuple, spooled map[wire.UUID]spool.Stat, lanes map[wire.UUID]control.Lane) control.Tuple {
	c := a.collection(t)
	row := control.Tuple{ConsentState: a.consentState(t), Mode: string(c.rules().Purpose.Collect.Mode)}
	if f := c.rules().Purpose.Feature; f != "" {
		row.Feature = string(f)
		for _, feature := range a.document().Features {
			if feature.ID == f {
				row.FeatureName = text(feature.Name)
			}
		}
	}
	state := a.register.State(t)
	c.mu.Lock()
	problem := c.sourceProblem()
	row.Collected, row.Due = c.collected.UTC(), c.due.UTC()
	if c.rules().Category.Source == policy.SourceContacts && state.InForce {
		row.Books = c.bookStates()
	}
	var until time.Time
	if c.session != nil {
		until = c.session.Until()
	}
	c.mu.Unlock()
	if until.After(time.Now()) {
		row.Session = until.UTC()
	}
	row.Source = control.Source{Name: string(c.rules().Category.Source), Present: true}
	if errors.Is(problem, sensors.ErrAbsent) {
		row.Source.Present, row.Source.Reason = false, problem.Error()
	}
	row.Reason, row.Detail = a.reason(c, state, problem, row.Session)
	row.Collecting = row.Reason == ""
	if !row.Collecting && (problem == nil || !state.InForce || !c.scheduled()) {
		row.Due = time.Time{} // but a reading that failed is repeated
	}
	if s, ok := spooled[state.Consent]; ok && !state.Consent.IsZero() {
		row.Spool = control.Spool{Reports: s.Reports, Bytes: s.Bytes, Oldest: s.Oldest, Dropped: s.Dropped, Parked: parked(s)}
	}
	if s, ok := answersSpool(a.answers.Stats(), state.Consent); ok && !state.Consent.IsZero() {
		row.Spool = s
	}
	for _, id := range a.register.Parked(t.Category, t.Purpose) {
		row.Spool.Parked += spooled[id].Reports + parked(spooled[id])
	}
	if !state.Consent.IsZero() {
		row.Lane = lanes[state.Consent]
	}
	return row
}

// parked counts the reports that a controller refused and that are kept.
func parked(s spool.Stat) (n int) {
	for _, count := range s.Parked {
		n += count
	}
	return n
}

// reason says why a tuple is not collecting, "" when it is.
func (a *Agent) reason(c *collection, s consent.State, problem error, session time.Time) (control.Reason, string) {
	if !s.InForce {
		detail := s.Reason
		for _, said := range []error{consent.ErrWithdrawn, consent.ErrExpired, consent.ErrNotGiven, consent.ErrGuardian, consent.ErrPolicyChanged} {
			if s.Err == said {
				detail = "" // the reason says it all
			}
		}
		why := notCounting(s)
		switch {
		case why != "":
			return why, detail
		case s.Status != consent.NeverAsked:
			return control.Reason(s.Status), detail
		case len(a.register.Departed(c.tuple.Category, c.tuple.Purpose)) > 0:
			return control.ReasonPolicyChanged, "another controller is named for it: " + string(c.tuple.Controller)
		}
		return control.ReasonNotAsked, ""
	}
	mode := c.rules().Purpose.Collect.Mode
	switch {
	case mode == policy.ModeSubmitted, !c.scheduled() && mode == policy.ModeBackground:
		return control.ReasonSubmitted, ""
	case errors.Is(problem, sensors.ErrAbsent):
		return control.ReasonSourceAbsent, problem.Error()
	case problem != nil && c.rules().Category.Source == policy.SourceContacts && errors.Is(problem, errEpoch):
		return control.ReasonNoEpoch, problem.Error()
	case problem != nil:
		return control.ReasonSourceError, problem.Error()
	case mode == policy.ModeSession && session.IsZero():
		return control.ReasonNoSession, ""
	}
	return "", ""
}

// notCounting says why a consent does not count although it was given, or whatever its ledger says; "" otherwise.
func notCounting(s consent.State) control.Reason {
	switch {
	case s.InForce:
		return ""
	case errors.Is(s.Err, consent.ErrClock):
		return control.ReasonClock
	case errors.Is(s.Err, consent.ErrDamaged):
		return control.ReasonInvalidated
	case errors.Is(s.Err, consent.ErrGuardian):
		return control.ReasonGuardian
	case errors.Is(s.Err, consent.ErrPolicyChanged):
		return control.ReasonPolicyChanged
	case s.Status == consent.Given:
		return control.ReasonInvalidated
	}
	return ""
}

// lanes fills in lane A, one line a controller, and returns the line of each consent: lane B, or lane A where that is what
// holds lane B up.
func (a *Agent) lanes(status *control.Status) map[wire.UUID]control.Lane {
	byConsent := map[wire.UUID]control.Lane{}
	at := map[policy.ControllerID]int{}
	for _, l := range a.uploader.State() { // lane A comes first
		lane := laneState(l)
		if l.Lane != uploader.LaneA {
			if lane.LastError == "" && byConsent[l.Consent].LastError != "" {
				continue
			}
			byConsent[l.Consent] = lane
			continue
		}
		byConsent[l.Consent] = lane
		i, ok := at[l.Controller]
		if !ok {
			at[l.Controller] = len(status.Lanes)
			status.Lanes = append(status.Lanes, lane)
			continue
		}
		sum := &status.Lanes[i]
		sum.Waiting += lane.Waiting
		if lane.LastError != "" && lane.LastTry.After(sum.LastTry) {
			sum.LastError, sum.LastTry = lane.LastError, lane.LastTry
		}
		if sum.NextTry.IsZero() || !lane.NextTry.IsZero() && lane.NextTry.Before(sum.NextTry) {
			sum.NextTry = lane.NextTry
		}
		if lane.LastSent.After(sum.LastSent) {
			sum.LastSent = lane.LastSent
		}
	}
	return byConsent
}

func laneState(l uploader.LaneState) control.Lane {
	name := map[uploader.Lane]string{uploader.LaneA: "consent", uploader.LaneB: "features", uploader.LaneC: "analytics"}[l.Lane]
	return control.Lane{
		Lane: name, Controller: string(l.Controller), Waiting: l.Waiting, LastError: l.LastError,
		LastTry: l.LastTry, NextTry: l.NextTry, LastSent: l.LastSent,
	}
}

// Consents implements server.Backend.
func (a *Agent) Consents(context.Context) ([]control.ConsentState, error) {
	var list []control.ConsentState
	for _, t := range a.Tuples() {
		list = append(list, a.consentState(t))
	}
	return list, nil
}

func (a *Agent) consentState(t policy.Tuple) control.ConsentState {
	rules, s := a.collection(t).rules(), a.register.State(t)
	state := control.ConsentState{
		Tuple: t.String(), Controller: string(t.Controller), Category: text(rules.Category.Name),
		Purpose: text(rules.Purpose.Text), Sensitive: rules.Category.Sensitivity == policy.Sensitive,
		Clause: rules.Category.Clause, Status: string(s.Status), Since: s.Since, Expiry: s.Expiry, QuietUntil: s.QuietUntil,
		Lang: string(s.Notice.Lang),
	}
	if s.Status == consent.Given {
		state.NotInForce = notCounting(s)
	}
	if !s.Consent.IsZero() {
		state.Consent = s.Consent.String()
	}
	if !s.Notice.SHA256.IsZero() {
		state.Notice = s.Notice.SHA256.String()
	}
	return state
}

func text(t policy.Text) control.Text {
	out := control.Text{}
	for lang, s := range t {
		out[string(lang)] = s
	}
	return out
}

// Show implements server.Backend.
func (a *Agent) Show(_ context.Context, by server.Actor, t policy.Tuple, lang policy.Lang) (control.Notice, error) {
	if lang == "" {
		lang = policy.Lang(a.settings.Language)
	}
	n, err := a.register.Show(t, lang, actor(by))
	if err != nil {
		return control.Notice{}, err
	}
	return control.Notice{
		Tuple: t.String(), Lang: string(n.Lang), Text: n.Text, SHA256: wire.Hash(n.SHA256).String(),
		Sensitive: a.collection(t).rules().Category.Sensitivity == policy.Sensitive,
	}, nil
}

// Request implements server.Backend.
func (a *Agent) Request(_ context.Context, by server.Actor, t policy.Tuple) (control.ConsentState, error) {
	if asked, err := a.mayAsk(by, t); err != nil || asked {
		return control.ConsentState{Tuple: t.String(), Status: control.StatusRequested}, err
	}
	err := a.register.Request(t, actor(by))
	return a.consentState(t), err
}

// Give implements server.Backend.
func (a *Agent) Give(_ context.Context, by server.Actor, t policy.Tuple, lang policy.Lang, notice wire.Hash) (control.ConsentState, error) {
	a.closing.RLock()
	defer a.closing.RUnlock()
	if err := a.accountOpen(t); err != nil {
		return control.ConsentState{}, err
	}
	if _, err := a.register.Grant(t, lang, notice, actor(by)); err != nil {
		return control.ConsentState{}, err
	}
	a.wake()
	a.uploader.Kick()
	return a.consentState(t), nil
}

// Refuse implements server.Backend.
func (a *Agent) Refuse(_ context.Context, by server.Actor, t policy.Tuple) (control.ConsentState, error) {
	err := a.register.Refuse(t, actor(by))
	return a.consentState(t), err
}

// Defer implements server.Backend.
func (a *Agent) Defer(_ context.Context, by server.Actor, t policy.Tuple) (control.ConsentState, error) {
	err := a.register.Defer(t, actor(by))
	return a.consentState(t), err
}

// Withdraw implements server.Backend. The register calls withdrawn, which unlinks what lies on disk, before it returns.
func (a *Agent) Withdraw(_ context.Context, by server.Actor, t policy.Tuple, erase bool) (control.Withdrawal, error) {
	before := a.register.State(t).Consent
	if err := a.register.Withdraw(t, erase, actor(by)); err != nil {
		return control.Withdrawal{}, err
	}
	for _, former := range a.register.Departed(t.Category, t.Purpose) { // what an earlier controller had of it
		if err := a.register.Withdraw(former, erase, actor(by)); err != nil {
			return control.Withdrawal{}, err
		}
	}
	a.uploader.Kick()
	answer := control.Withdrawal{
		Tuple: t.String(), Status: string(a.register.State(t).Status), Clear: erase, Unfinished: []control.Step{},
	}
	if before.IsZero() { // of a damaged ledger the state knows none, but the ring did
		for _, m := range a.register.Outbox(t.Controller) {
			if m.Tuple == t {
				before = m.Consent
			}
		}
	}
	if !before.IsZero() {
		answer.Consent = before.String()
	}
	a.mu.Lock()
	for key, step := range a.unfinished {
		if key.consent == before {
			answer.Unfinished = append(answer.Unfinished, step)
		}
	}
	a.mu.Unlock()
	return answer, nil
}

// OpenSession implements server.Backend.
func (a *Agent) OpenSession(_ context.Context, by server.Actor, t policy.Tuple, seconds int) (control.Session, error) {
	if _, err := a.mayUse(by, t); err != nil {
		return control.Session{}, err
	}
	session, err := a.register.OpenSession(t, time.Duration(seconds)*time.Second, actor(by))
	if err != nil {
		a.refusal(err)
		return control.Session{}, err
	}
	c := a.collection(t)
	a.mu.Lock()
	if a.stopping {
		a.mu.Unlock()
		session.Close()
		return control.Session{}, control.NewProblem(control.KindStopping, t.String(), "")
	}
	if a.asleep {
		a.mu.Unlock()
		session.Close()
		return control.Session{}, control.NewProblem(control.KindNoSession, t.String(), "the device is about to sleep")
	}
	followed := make(chan struct{})
	c.mu.Lock()
	if c.session != nil {
		c.session.Close()
	}
	c.session, c.problem, c.here, c.opener, c.followed = session, nil, false, by.Channel, followed
	c.mu.Unlock()
	ctx, cancel := context.WithDeadline(context.Background(), session.Until())
	a.sessions.Go(func() {
		defer cancel()
		defer close(followed)
		if c.rules().Category.Source == policy.SourceLocation {
			c.follow(ctx, session)
		}
	})
	a.mu.Unlock()
	return control.Session{Tuple: t.String(), Until: session.Until().UTC()}, nil
}

// CloseSession implements server.Backend.
func (a *Agent) CloseSession(_ context.Context, _ server.Actor, t policy.Tuple) error {
	c := a.collection(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return control.NewProblem(control.KindNoSession, t.String(), "no session is open")
	}
	c.session.Close()
	c.session = nil
	return nil
}

// Collect implements server.Backend.
func (a *Agent) Collect(ctx context.Context, _ server.Actor, t policy.Tuple) (control.Collected, error) {
	c := a.collection(t)
	n, err := c.collect(ctx, true)
	if err != nil {
		a.refusal(err)
		return control.Collected{}, problem(t, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return control.Collected{Tuple: t.String(), Reports: n, Counts: c.counts}, nil
}

// Flush implements server.Backend.
func (a *Agent) Flush(ctx context.Context, t policy.Tuple) (control.Sent, error) {
	if _, err := a.register.Permit(t); err != nil && !errors.Is(err, consent.ErrSessionOnly) {
		return control.Sent{}, err
	}
	r, err := a.uploader.Flush(ctx, a.register.State(t).Consent)
	if err != nil {
		return control.Sent{}, problem(t, fmt.Errorf("send: %w", err))
	}
	return control.Sent{
		Tuple: t.String(), Batches: r.Batches, Reports: r.Reports, Bytes: r.Bytes, Matches: r.Matches, Waiting: r.Waiting,
	}, nil
}

// EgressList implements server.Backend: newest first.
func (a *Agent) EgressList(context.Context) ([]control.Egress, error) {
	entries, err := a.journal.List()
	if err != nil {
		return nil, err
	}
	list := make([]control.Egress, 0, len(entries))
	for _, e := range entries {
		list = append(list, a.egress(e))
	}
	slices.Reverse(list)
	return list, nil
}

func (a *Agent) egress(e journal.Entry) control.Egress {
	out := control.Egress{
		ID: e.ID.String(), Time: e.Time, Lane: string(e.Lane), Consent: e.Consent.String(), Method: e.Method, Path: e.Path,
		Bytes: int64(e.Size), SHA256: e.Hash.String(), Status: e.Status, Error: e.Outcome, Readable: e.Kept,
	}
	if t, ok := a.tupleOf(e.Consent); ok {
		out.Tuple, out.Controller = t.String(), string(t.Controller)
	}
	return out
}

// tupleOf tells which tuple a consent was for, as long as the ring remembers it.
func (a *Agent) tupleOf(id wire.UUID) (t policy.Tuple, ok bool) {
	a.ring.View(func(s *keyring.State) {
		if g := s.Grants[id]; g != nil {
			t, ok = g.Tuple, true
		}
	})
	return t, ok
}

// EgressBody implements server.Backend.
func (a *Agent) EgressBody(_ context.Context, id string) (control.EgressBody, error) {
	entries, err := a.journal.List()
	if err != nil {
		return control.EgressBody{}, err
	}
	for _, e := range entries {
		if e.ID.String() != id {
			continue
		}
		body, err := a.journal.Body(e.ID)
		switch {
		case errors.Is(err, journal.ErrNoBody), errors.Is(err, keyring.ErrNoKey):
			return control.EgressBody{}, control.NewProblem(control.KindUnreadable, "", err.Error())
		case err != nil:
			return control.EgressBody{}, err
		}
		return control.EgressBody{Egress: a.egress(e), Body: body, Content: content(body)}, nil
	}
	return control.EgressBody{}, control.NewProblem(control.KindNotFound, "", "no entry of that id in the egress journal")
}

// EgressPreview implements server.Backend.
func (a *Agent) EgressPreview(_ context.Context, t policy.Tuple) (control.EgressBody, error) {
	state := a.register.State(t)
	if state.Consent.IsZero() {
		return control.EgressBody{}, control.NewProblem(control.KindNothing, t.String(), "no consent, so nothing can be sent")
	}
	if a.collection(t).analytics() {
		return a.previewAnswer(t, state)
	}
	batch, body, err := a.spool.Preview(state.Consent)
	if err != nil {
		return control.EgressBody{}, problem(t, err)
	}
	return control.EgressBody{
		Egress: control.Egress{
			ID: batch.ID.String(), Time: time.Now().UTC(), Lane: string(journal.LaneB), Controller: string(t.Controller),
			Tuple: t.String(), Consent: state.Consent.String(), Method: "PUT", Path: "/v1/batches/" + batch.ID.String(),
			Bytes: int64(len(body)), SHA256: wire.HashOf(body).String(), Readable: true,
		},
		Body: body, Content: content(body),
	}, nil
}

// Data implements server.Backend.
func (a *Agent) Data(ctx context.Context, tuples []policy.Tuple, remote bool) (control.Data, error) {
	data := control.Data{Tuples: []control.TupleData{}}
	for _, t := range tuples {
		entry := control.TupleData{Tuple: t.String(), Reports: []control.Record{}, Items: []control.Item{}}
		here := a.register.Parked(t.Category, t.Purpose)
		if state := a.register.State(t); !state.Consent.IsZero() {
			here = append(here, state.Consent)
		}
		for _, id := range here {
			reports, err := a.spool.Reports(id)
			if err != nil {
				return control.Data{}, fmt.Errorf("%s: %w", t, err)
			}
			for _, r := range reports {
				entry.Reports = append(entry.Reports, record(r))
			}
			counted, err := a.counted(id)
			if err != nil {
				return control.Data{}, fmt.Errorf("%s: %w", t, err)
			}
			entry.Reports = append(entry.Reports, counted...)
			if entry.Items, err = a.itemData(id, entry.Items); err != nil {
				return control.Data{}, fmt.Errorf("%s: %w", t, err)
			}
		}
		if remote {
			a.remoteData(ctx, a.everHeld(t), &entry)
		}
		if len(entry.Reports) > 0 || len(entry.Items) > 0 || entry.Remote != nil || entry.RemoteError != "" || len(tuples) == 1 {
			data.Tuples = append(data.Tuples, entry)
		}
	}
	return data, nil
}

// remoteData asks the receivers what they hold under each pseudonym of the tuple, that of a controller before this one included. Where
// the key is gone with which it knows the person, it cannot be asked.
func (a *Agent) remoteData(ctx context.Context, list []heldUnder, entry *control.TupleData) {
	var parts []json.RawMessage
	for _, h := range list {
		if _, err := a.cases.Identity(h.consent); err != nil {
			continue
		}
		held, err := a.uploader.RemoteData(ctx, h.consent)
		if err != nil {
			entry.RemoteError = err.Error()
			continue
		}
		parts = append(parts, held)
	}
	if len(parts) > 0 {
		entry.Remote, _ = json.Marshal(parts)
	}
}

// Erase implements server.Backend. The register gives the consent a new data key and queues the request; erased follows.
func (a *Agent) Erase(_ context.Context, by server.Actor, t policy.Tuple) (control.Erasure, error) {
	before := 0
	if id := a.register.State(t).Consent; !id.IsZero() {
		if reports, err := a.spool.Reports(id); err == nil {
			before = len(reports)
		}
	}
	id, err := a.register.Erase(t, actor(by))
	if err != nil {
		return control.Erasure{}, err
	}
	a.uploader.Kick()
	return control.Erasure{ID: id.String(), Tuple: t.String(), Reports: before}, nil
}

// Receipts implements server.Backend. One that the controller's present key does not verify is shown as such.
func (a *Agent) Receipts(context.Context) ([]control.Receipt, error) {
	list := []control.Receipt{}
	for _, c := range a.register.Controllers() {
		receipts, err := a.register.Receipts(c)
		if err != nil {
			return nil, err
		}
		for _, r := range receipts {
			out := control.Receipt{
				Controller: string(c), Kind: string(r.Receipt.Kind), Consent: r.Receipt.Consent.String(), Time: r.Receipt.Time,
				Erased: r.Receipt.Erased, Note: string(r.Note),
			}
			if r.Receipt.Kind == "" {
				out.Kind, out.Consent = "unverified", ""
			}
			if r.Record != nil {
				out.Tuple = r.Record.Tuple().String()
			}
			list = append(list, out)
		}
	}
	return list, nil
}
