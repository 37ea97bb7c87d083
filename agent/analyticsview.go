package agent

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/answers"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Analytics implements server.Backend.
func (a *Agent) Analytics(context.Context) ([]control.Analytics, error) {
	return a.analyticsAt(time.Now()), nil
}

func (a *Agent) analyticsAt(now time.Time) []control.Analytics {
	list := []control.Analytics{}
	for _, t := range a.Tuples() {
		c := a.collection(t)
		questions := c.rules().Questions()
		if len(questions) == 0 {
			continue
		}
		m, q := c.rules().Purpose.Minimiser, questions[0]
		spent, week := a.ring.Budget(t.Controller, t.Category, t.Purpose, now.Unix())
		keep, _ := q.Probabilities()
		state := a.register.State(t)
		row := control.Analytics{
			Tuple: t.String(), Controller: string(t.Controller), Status: string(state.Status), Epsilon: m.Epsilon.String(), Budget: m.Budget.String(),
			Spent: spent.String(), Left: max(0, m.Budget-spent).String(), Renewed: keyring.WeekBegin(week + 1), True: keep,
			Ranges: append([]int64{0}, q.Bounds...), Delay: policy.FormatDuration(m.Delay),
		}
		for _, q := range questions {
			row.Fields = append(row.Fields, q.Field)
		}
		if state.InForce {
			if p, err := a.answers.Period(state.Consent); err == nil && !p.Begin.IsZero() {
				row.Since, row.Until = p.Begin.UTC(), c.end(p.Begin).UTC()
			}
		}
		if !state.Consent.IsZero() {
			if queue, err := a.answers.Queue(state.Consent); err == nil && len(queue) > 0 {
				row.Waiting, row.Next = len(queue), queue[0].Due.UTC()
			}
		}
		list = append(list, row)
	}
	return list
}

// answersSpool shows what waits on the analytics lane the way that the spool's is shown.
func answersSpool(stats []answers.Stat, id wire.UUID) (control.Spool, bool) {
	for _, s := range stats {
		if s.Consent == id && s.Waiting > 0 {
			return control.Spool{Reports: s.Waiting, Bytes: s.Bytes}, true
		}
	}
	return control.Spool{}, false
}

// previewAnswer shows the next answer of a tuple, as it will be sent.
func (a *Agent) previewAnswer(t policy.Tuple, state consent.State) (control.EgressBody, error) {
	queue, err := a.answers.Queue(state.Consent)
	if err != nil {
		return control.EgressBody{}, problem(t, err)
	}
	if len(queue) == 0 {
		return control.EgressBody{}, problem(t, answers.ErrNone)
	}
	next := queue[0]
	return control.EgressBody{
		Egress: control.Egress{
			ID: next.ID.String(), Time: next.Due.UTC(), Lane: string(journal.LaneC), Controller: string(t.Controller),
			Tuple: t.String(), Consent: state.Consent.String(), Method: "POST", Path: "/v1/analytics",
			Bytes: int64(len(next.Body)), SHA256: wire.HashOf(next.Body).String(), Readable: true,
		},
		Body: next.Body, Content: content(next.Body),
	}, nil
}

// counted shows the person what is being counted under a consent, and what was made of earlier counts.
func (a *Agent) counted(id wire.UUID) (records []control.Record, err error) {
	p, err := a.answers.Period(id)
	if errors.Is(err, keyring.ErrNoKey) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(p.Counts) > 0 {
		fields, err := json.Marshal(p.Counts)
		if err != nil {
			return nil, err
		}
		records = append(records, control.Record{Time: p.Begin.UTC(), Consent: id.String(), Fields: fields})
	}
	queue, err := a.answers.Queue(id)
	if err != nil {
		return nil, err
	}
	for _, w := range queue {
		records = append(records, control.Record{Time: w.Due.UTC(), Consent: id.String(), Fields: content(w.Body)})
	}
	return records, nil
}

// answerContent says what the body of an answer means.
func answerContent(x wire.Answer) map[string]any {
	return map[string]any{
		"kind": "answer", "id": x.ID, "category": x.Category, "purpose": x.Purpose, "field": x.Field, "range": x.Range,
	}
}
