package agent_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// named are the routes whose body names what they are about; %s is the name.
var named = map[string]string{
	"POST /v1/location":            `{"tuple": "%s"}`,
	"POST /v1/complaints":          `{"subject": "%s", "text": "x"}`,
	"POST /v1/erasures":            `{"subject": "%s"}`,
	"POST /v1/guardian/request":    `{"kind": "grant", "tuple": "%s"}`,
	"POST /v1/clients/{id}/access": `{"tuple": "%s"}`,
}

// nameless are the routes that are about no (category, purpose) of the caller's choice.
var nameless = strings.Fields(`GET:/v1/application GET:/v1/status GET:/v1/policy POST:/v1/policy GET:/v1/policy/changes GET:/v1/consents
	GET:/v1/receipts GET:/v1/ledger POST:/v1/ledger/proof POST:/v1/ledger/growth POST:/v1/ledger/compare GET:/v1/analytics
	GET:/v1/egress/entries GET:/v1/egress/entries/{id} GET:/v1/data GET:/v1/notices POST:/v1/notices/show POST:/v1/notices/pull
	POST:/v1/notices/decide GET:/v1/age POST:/v1/age POST:/v1/guardian/enrol POST:/v1/guardian/approve GET:/v1/guardian/report
	GET:/v1/rights GET:/v1/cases GET:/v1/cases/{id} GET:/v1/accounts POST:/v1/accounts/close POST:/v1/accounts/reopen
	GET:/v1/explain/batch/{id} GET:/v1/export GET:/v1/settings POST:/v1/settings GET:/v1/clients GET:/v1/clients/uses POST:/v1/clients
	DELETE:/v1/clients/{id}`)

// TestClause_i_EveryRoute goes through every route of the local API, as the person and as an application: what names a
// category or a purpose that the policy does not declare, or that is not asked for, is refused with its name.
func TestClause_i_EveryRoute(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	h.application("example.app", "location/nearby")
	socket := filepath.Join(h.dir, "state/run/scruple.sock")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	call := func(method, path, body string, header ...string) (status int, p control.Problem) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+control.Host+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(header[0], header[1])
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode >= 400 {
			err = json.Unmarshal(b, &p)
		}
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, p
	}
	listed := map[string]bool{}
	for _, r := range nameless {
		listed[strings.Replace(r, ":", " ", 1)] = true
	}
	tried := 0
	for _, route := range server.Surface() {
		method, path, _ := strings.Cut(route, " ")
		body, inBody := named[route]
		if listed[route] {
			continue
		}
		if !inBody && !strings.Contains(path, "{tuple}") {
			t.Errorf("%s: a route that nothing is said of: does it name data?", route)
		}
		for _, name := range []string{"heart-rate/service", "device/heart-rate", "network-address/connection"} {
			tried++
			at := strings.NewReplacer("{tuple}", name, "{id}", "example.app").Replace(path)
			text := strings.Replace(body, "%s", name, 1)
			if status, p := call(method, at, text, control.HeaderChannel, control.ChannelCLI); status != http.StatusNotFound ||
				p.Kind() != control.KindUnknownTuple || p.Tuple != name {
				t.Errorf("%s, the person asks for %s: status %d, %v", route, name, status, &p)
			}
			status, p := call(method, at, text, control.HeaderApplication, "example.app")
			if status < 400 || p.Kind() != control.KindUnknownTuple && p.Kind() != control.KindNotAllowed {
				t.Errorf("%s, an application asks for %s: status %d, %v", route, name, status, &p)
			}
		}
	}
	if tried < 60 {
		t.Errorf("only %d were tried: does the test still see all routes?", tried)
	}
	if n := h.far.Faults.Seen(""); n != 0 {
		t.Errorf("the receiver saw %d requests", n)
	}
	for _, row := range h.status().Tuples {
		if row.Status != control.StatusNever {
			t.Errorf("%s: status %q", row.Tuple, row.Status)
		}
	}
}

// TestClause_i_EveryField: a field, a count or a setting that the policy does not declare is refused by its name wherever
// somebody can name one, on the device and at the receiver, and nothing of what came with it is kept.
func TestClause_i_EveryField(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	for _, tuple := range []string{"posts/moments", "usage/statistics", "privacy-settings/settings", "payment/pay"} {
		h.give(tuple)
	}
	h.submitted("posts/moments", `{"item": "p-1", "kind": "post", "text": "first"}`)
	h.application("example.app", "posts/moments")
	h.write("post.json", []byte(`[{"item": "p-2", "kind": "post", "text": "x"}, {"item": "p-3", "kind": "post", "text": "x", "colour": "CANARY"}]`))
	h.write("origin.json", []byte(`{"origin": "somewhere", "records": [{"item": "p-4", "kind": "post", "text": "x"}]}`))
	h.write("count.json", []byte(`{"heartbeats": 7}`))
	for name, args := range map[string][]string{
		"colour":     {"data", "submit", "posts/moments", "--file", h.dir + "/post.json"},
		"origin":     {"data", "submit", "posts/moments", "--file", h.dir + "/origin.json"},
		"heartbeats": {"data", "submit", "usage/statistics", "--file", h.dir + "/count.json"},
		"flavour":    {"data", "correct", "posts/moments", "--item", "p-1", "flavour=CANARY"},
		"scent":      {"data", "erase", "posts/moments", "--item", "p-1", "--field", "scent", "--yes"},
		"shape":      {"settings", "set", "shape", "CANARY"},
	} {
		out, code := h.command(args...)
		if code == control.ExitDone || !strings.Contains(out, name) || strings.Contains(out, "CANARY") {
			t.Errorf("%s: exit code %d\n%s", strings.Join(args, " "), code, out)
		}
	}
	if items := h.itemsOf("posts/moments"); len(items) != 1 {
		t.Errorf("with an undeclared field the record before it was kept: %d items", len(items))
	}
	if got := h.tuple("posts/moments").Spool.Reports; got != 1 {
		t.Errorf("%d reports wait, want the first post", got)
	}

	far := h.far.Client(t, "posts", "moments")
	far.Give(t)
	item := wire.Item{Time: time.Now().Unix(), Fields: map[string]any{"item": "p-1", "kind": "post", "text": "x"}}
	undeclared := wire.Item{Time: item.Time, Fields: map[string]any{"item": "p-2", "kind": "post", "text": "x", "colour": "x"}}
	if a := far.Send(t, item, undeclared); a.Problem() != wire.ProblemUndeclaredField || !strings.Contains(string(a.Body), "colour") {
		t.Errorf("the receiver answers a batch with an undeclared field with %d, %s", a.Status, a.Body)
	}
	correction := far.Case(wire.CaseCorrection)
	correction.Item, correction.Fields = "p-1", map[string]any{"colour": "x"}
	if got := far.Ask(t, correction); got.Reason != wire.ReasonUndeclared {
		t.Errorf("the receiver answers the correction of an undeclared field with %q", got.Reason)
	}
	for what, edit := range map[string]func(*wire.Consent){
		"category": func(m *wire.Consent) { m.Category = "heart-rate" },
		"purpose":  func(m *wire.Consent) { m.Purpose = "heart-rate" },
	} {
		other := h.far.Client(t, "posts", "moments")
		m := other.Message()
		edit(&m)
		if a := other.PutConsent(t, m); a.Status < 400 || a.Problem() != wire.ProblemPolicyMismatch || !strings.Contains(string(a.Body), "heart-rate") {
			t.Errorf("the receiver answers a consent for an undeclared %s with %d, %s", what, a.Status, a.Body)
		}
	}
	if got := len(h.far.Stored(t, far.Consent)); got != 0 {
		t.Errorf("the receiver stored %d batches", got)
	}
}
