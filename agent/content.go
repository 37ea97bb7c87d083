package agent

import (
	"encoding/json"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// content says what a body that left means, as JSON: a batch or a signed message. It returns nil for anything else.
func content(body []byte) json.RawMessage {
	var meaning any
	if x, err := wire.DecodeAnswer(body); err == nil {
		meaning = answerContent(x)
	}
	if plain, err := wire.Decompress(body); err == nil {
		if b, err := wire.DecodeBatch(plain); err == nil {
			meaning = batchContent(b)
		}
	}
	if meaning == nil {
		if m, _, err := wire.Open[wire.Consent](body); err == nil {
			meaning = map[string]any{
				"kind": wire.MsgConsent, "consent": m.Consent, "controller": m.Controller, "category": m.Category, "purpose": m.Purpose,
				"policy_version": m.PolicyVersion, "subtree": m.Subtree, "notice": m.Notice, "lang": m.Lang,
				"time": unixTime(m.Time), "expiry": unixTime(m.Expiry),
			}
		} else if m, _, err := wire.Open[wire.Withdrawal](body); err == nil {
			meaning = map[string]any{"kind": wire.MsgWithdrawal, "consent": m.Consent, "controller": m.Controller, "time": unixTime(m.Time), "clear": m.Clear}
		} else if m, _, err := wire.Open[wire.Erasure](body); err == nil {
			meaning = map[string]any{"kind": wire.MsgErasure, "id": m.ID, "consent": m.Consent, "controller": m.Controller, "time": unixTime(m.Time)}
		} else {
			return nil
		}
	}
	b, err := json.Marshal(meaning)
	if err != nil {
		return nil
	}
	return b
}

func batchContent(b wire.Batch) map[string]any {
	items := make([]map[string]any, len(b.Items))
	for i, it := range b.Items {
		items[i] = map[string]any{"time": unixTime(it.Time), "fields": it.Fields}
	}
	return map[string]any{"version": b.Version, "id": b.ID, "consent": b.Consent, "subtree": b.Subtree, "items": items}
}

func unixTime(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// record shows a stored report to the person.
func record(r wire.Report) control.Record {
	fields, err := json.Marshal(r.Item.Fields)
	if err != nil { // the schema has no value that JSON lacks
		fields = nil
	}
	return control.Record{Time: unixTime(r.Item.Time), Consent: r.Consent.String(), Fields: fields}
}
