package server

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func (b *backend) Rights(context.Context) ([]control.Right, error) {
	return nil, b.call("rights", Actor{}, policy.Tuple{})
}

func (b *backend) Cases(context.Context) ([]control.Case, error) {
	return nil, b.call("cases", Actor{}, policy.Tuple{})
}

func (b *backend) Case(context.Context, string) (control.Case, error) {
	return control.Case{}, b.call("case", Actor{}, policy.Tuple{})
}

func (b *backend) Complain(_ context.Context, a Actor, t policy.Tuple, _ policy.ControllerID, _ string) (control.Case, error) {
	return control.Case{}, b.call("complain", a, t)
}

func (b *backend) Correct(_ context.Context, a Actor, t policy.Tuple, _ control.CorrectRequest) (control.Case, error) {
	return control.Case{}, b.call("correct", a, t)
}

func (b *backend) EraseParts(_ context.Context, a Actor, tuples []policy.Tuple, _ control.EraseRequest) (control.Erased, error) {
	out := control.Erased{}
	for _, t := range tuples {
		out.Parts = append(out.Parts, control.ErasedPart{Tuple: t.String()})
	}
	return out, b.call("erase parts", a, policy.Tuple{})
}

func (b *backend) Accounts(context.Context) ([]control.Account, error) {
	return nil, b.call("accounts", Actor{}, policy.Tuple{})
}

func (b *backend) CloseAccount(_ context.Context, a Actor, _ control.AccountRequest) ([]control.Account, error) {
	return nil, b.call("close account", a, policy.Tuple{})
}

func (b *backend) ReopenAccount(_ context.Context, a Actor, _ control.AccountRequest) ([]control.Account, error) {
	return nil, b.call("reopen account", a, policy.Tuple{})
}

func (b *backend) ExplainTuple(_ context.Context, t policy.Tuple) (control.Explanation, error) {
	return control.Explanation{}, b.call("explain", Actor{}, t)
}

func (b *backend) ExplainBatch(context.Context, string) (control.Explanation, error) {
	return control.Explanation{}, b.call("explain batch", Actor{}, policy.Tuple{})
}

func (b *backend) Export(_ context.Context, a Actor, _ []policy.Tuple) (control.Export, error) {
	return control.Export{}, b.call("export", a, policy.Tuple{})
}

// TestSelection: an erasure names a tuple, a category or all, and nothing else reaches the backend.
func TestSelection(t *testing.T) {
	erase := func(body string) (*backend, []byte) {
		b := &backend{}
		w := ask(b, Peer{UID: subjectUID}, with(req("POST", "/v1/erasures", body), control.HeaderChannel, "cli"))
		return b, w.Body.Bytes()
	}
	for body, want := range map[string]int{
		`{"subject":"device/service"}`: 1, `{"subject":"location"}`: 1, `{"subject":"device","item":"x"}`: 1, `{"all":true}`: len((&backend{}).Tuples()),
	} {
		_, answer := erase(body)
		var got control.Erased
		if err := json.Unmarshal(answer, &got); err != nil || len(got.Parts) != want {
			t.Errorf("%s: %s, want %d tuples", body, answer, want)
		}
	}
	for _, body := range []string{
		`{}`, `{"subject":"device","all":true}`, `{"subject":"nothing"}`, `{"subject":"device/other"}`,
		`{"all":true,"from":"2026-01-02T00:00:00Z","until":"2026-01-01T00:00:00Z"}`, `{"all":true,"from":"yesterday"}`,
	} {
		if b, answer := erase(body); b.called != "" {
			t.Errorf("%s reached the backend: %s", body, answer)
		}
	}
}

func TestComplaintText(t *testing.T) {
	for _, text := range []string{"", " ", `\u001b[2J`, strings.Repeat("x", wire.MaxCaseText+1)} {
		b := &backend{}
		w := ask(b, Peer{UID: subjectUID}, with(req("POST", "/v1/complaints", `{"text":"`+text+`"}`), control.HeaderChannel, "cli"))
		if got := kindOf(t, w); got != control.KindBadRequest || b.called != "" {
			t.Errorf("%.10q: kind %s, called %q", text, got, b.called)
		}
	}
}
