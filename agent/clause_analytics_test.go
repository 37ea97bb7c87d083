package agent_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// prompt is the example policy with answers that wait for a second at most, as its notice then says.
func prompt() []byte {
	return bytes.ReplaceAll(configs.PolicyYAML, []byte("delay: 6d"), []byte("delay: 1s"))
}

// connections keeps what a receiver sees of each connection.
type connections struct {
	mu              sync.Mutex
	named, nameless int
	resumed         int
}

func (c *connections) watch(cfg *tls.Config) {
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(cs.PeerCertificates) > 0 {
			c.named++
		} else {
			c.nameless++
		}
		if cs.DidResume {
			c.resumed++
		}
		return nil
	}
}

// answered returns how many answers to a purpose the receiver has counted.
func (h *house) answered(category string) (n int) {
	h.t.Helper()
	list, err := h.far.Store.Estimates(h.t.Context(), time.Time{}, receiver.Accessor{Who: "test", Command: "analytics", Now: h.far.Now()})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range list {
		if e.Category == category {
			n += e.Answers
		}
	}
	return n
}

func (h *house) budget(tuple string) control.Analytics {
	h.t.Helper()
	for _, x := range h.status().Analytics {
		if x.Tuple == tuple {
			return x
		}
	}
	h.t.Fatalf("status has no budget of %s", tuple)
	return control.Analytics{}
}

// close ends the period of a purpose because the person asks, and returns how many answers were made.
func (h *house) close(tuple string) int {
	h.t.Helper()
	got, err := h.client.Collect(h.t.Context(), tuple)
	if err != nil {
		h.t.Fatal(err)
	}
	return got.Reports
}

// TestClause_4_StatisticsCarryNoIdentity: what an application counts leaves as randomised answers of one size, each on a connection
// of its own without a certificate; nothing in them names the consent, and the person sees each to the byte.
func TestClause_4_StatisticsCarryNoIdentity(t *testing.T) {
	t.Parallel()
	var seen connections
	h := newHouse(t, receivertest.Options{Policy: prompt(), TLS: seen.watch})
	tuples := []string{"usage/statistics", "crash/statistics", "performance/statistics"}
	app := h.application("example.app", tuples...)
	consents := map[string]string{}
	for _, tuple := range tuples {
		consents[tuple] = h.give(tuple)
	}
	if err := submit(t, app, "usage/statistics", `{"opened":7,"messages-sent":471108150815}`); err != nil {
		t.Fatal(err)
	}
	more := filepath.Join(t.TempDir(), "counts.json")
	if err := os.WriteFile(more, []byte(`{"opened":5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := h.must("data", "submit", "usage/statistics", "--file", more); !strings.Contains(out, "counted") {
		t.Errorf("a person who hands over a count is told: %s", out)
	}
	data, err := h.client.Data(t.Context(), "usage/statistics", false)
	if err != nil {
		t.Fatal(err)
	}
	if len(data.Tuples) != 1 || len(data.Tuples[0].Reports) != 1 || !strings.Contains(string(data.Tuples[0].Reports[0].Fields), `"opened":12`) {
		t.Errorf("the person is not shown what is being counted: %+v", data)
	}
	for _, tuple := range tuples {
		if n := h.close(tuple); n != 2 {
			t.Errorf("%s: %d answers, want the 2 that the budget holds", tuple, n)
		}
	}
	for _, tuple := range tuples {
		category, _, _ := strings.Cut(tuple, "/")
		eventually(t, tuple+" arrives", func() bool { return h.answered(category) == 2 })
	}

	bodies := 0
	list, err := h.client.EgressList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Lane != "C" {
			continue
		}
		bodies++
		b, err := h.client.EgressBody(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if e.Bytes != wire.AnswerSize || e.Path != "/v1/analytics" || !e.Readable || e.Status != 204 {
			t.Errorf("%+v", e)
		}
		x, err := wire.DecodeAnswer(b.Body)
		if err != nil || x.Category+"/"+x.Purpose != e.Tuple || !bytes.Contains(b.Content, []byte(x.Field)) {
			t.Errorf("%+v, %v, %s", x, err, b.Content)
		}
		id, err := wire.ParseUUID(consents[e.Tuple])
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b.Body, id[:]) || bytes.Contains(b.Body, []byte(consents[e.Tuple])) {
			t.Error("an answer names its consent")
		}
	}
	if bodies != 6 {
		t.Errorf("the journal has %d answers, want 6", bodies)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.nameless != bodies || seen.resumed != 0 || seen.named == 0 {
		t.Errorf("%d connections without a certificate for %d answers, %d resumed, %d with one", seen.nameless, bodies, seen.resumed, seen.named)
	}
	h.absent("471108150815")
	for _, held := range h.far.Holdings(t) {
		if held.Batches != 0 {
			t.Errorf("statistics were stored under a consent: %+v", held)
		}
	}
}

// TestClause_4_BudgetIsSpentForGood: neither a withdrawal with a new consent nor an erasure nor a restart gives anything of the
// week's budget back, and the person sees it.
func TestClause_4_BudgetIsSpentForGood(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	const tuple = "usage/statistics"
	app := h.application("example.app", tuple)
	again := func(why string) {
		t.Helper()
		if err := submit(t, app, tuple, `{"opened":3}`); err != nil {
			t.Fatal(err)
		}
		if n := h.close(tuple); n != 0 {
			t.Errorf("%s: %d more answers", why, n)
		}
		if b := h.budget(tuple); b.Spent != "2" || b.Left != "0" || b.Budget != "2" || b.Epsilon != "1" {
			t.Errorf("%s: %+v", why, b)
		}
	}
	h.give(tuple)
	if b := h.budget(tuple); b.Spent != "0" || b.Left != "2" {
		t.Errorf("at the beginning: %+v", b)
	}
	asked := time.Now().Truncate(time.Second)
	if n := h.close(tuple); n != 2 {
		t.Fatalf("%d answers", n)
	}
	if b := h.budget(tuple); b.Since.Before(asked) {
		t.Errorf("after answers on demand, what is counted next is said to be counted since %s", b.Since)
	}
	if b := h.budget(tuple); b.Waiting != 2 || b.Next.Before(time.Now()) || b.Next.After(time.Now().Add(6*24*time.Hour)) {
		t.Errorf("what waits: %+v", b)
	}
	again("asked again")
	h.must("consent", "withdraw", tuple)
	h.give(tuple)
	again("after a new consent")
	h.must("data", "erase", tuple, "--yes")
	again("after an erasure")
	h.stop()
	h.start()
	again("after a restart")
	if out := h.must("analytics"); !strings.Contains(out, tuple) {
		t.Errorf("scruple analytics: %s", out)
	}
	var list []control.Analytics
	if err := json.Unmarshal([]byte(h.must("analytics", "--json")), &list); err != nil || len(list) != 5 {
		t.Errorf("scruple analytics --json: %d purposes, %v", len(list), err)
	}
}

// TestClause_4_WithdrawalDestroysWhatWaits: answers that have not left never do.
func TestClause_4_WithdrawalDestroysWhatWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	const tuple = "crash/statistics"
	h.give(tuple)
	if n := h.close(tuple); n != 2 {
		t.Fatalf("%d answers", n)
	}
	b, err := h.client.EgressPreview(t.Context(), tuple)
	if err != nil || len(b.Body) != wire.AnswerSize || b.Lane != "C" {
		t.Errorf("preview: %+v, %v", b.Egress, err)
	}
	h.refused(control.ExitRefused, "random", "egress", "send", tuple) // and nobody can have them sent at a moment of choice
	h.must("consent", "withdraw", tuple)
	left, err := os.ReadDir(filepath.Join(h.dir, "state/answers"))
	if err != nil || len(left) != 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
	if _, err := h.client.EgressPreview(t.Context(), tuple); err == nil {
		t.Error("there is still something to be sent")
	}
	wait()
	if n := h.answered("crash"); n != 0 {
		t.Errorf("%d answers arrived", n)
	}
}

// TestClause_4_UndeclaredCountsAreRefused, and those without a consent: nothing is counted then.
func TestClause_4_UndeclaredCountsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	const tuple = "usage/statistics"
	app := h.application("example.app", tuple)
	wantKind(t, "without a consent", submit(t, app, tuple, `{"opened":1}`), control.KindNotGiven, "")
	h.give(tuple)
	for what, record := range map[string]string{
		"undeclared": `{"opened":1,"contacts-read":1}`, "below zero": `{"opened":-1}`, "a text": `{"opened":"canary"}`, "a fraction": `{"opened":1.5}`,
	} {
		if err := submit(t, app, tuple, record); err == nil {
			t.Errorf("%s was taken", what)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the refusal repeats the value", what)
		}
	}
	data, err := h.client.Data(t.Context(), tuple, false)
	if err != nil || len(data.Tuples[0].Reports) != 0 {
		t.Errorf("counted: %+v, %v", data, err)
	}
}

// TestClause_4_OtherUsesAreOffUntilAsked: advertising and another service are purposes of their own; consents to the account and to the
// details that they would use switch on neither.
func TestClause_4_OtherUsesAreOffUntilAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	app := h.application("example.app", "profile/details", "profile/advertising", "profile/other-service")
	h.give("profile/account")
	h.give("profile/details")
	if err := submit(t, app, "profile/details", `{"sex":"other","region":"Example"}`); err != nil {
		t.Fatal(err)
	}
	for tuple, record := range map[string]string{
		"profile/advertising": `{"sex":"other","region":"Example"}`, "profile/other-service": `{"nickname":"x","avatar":"eA=="}`,
	} {
		if row := h.tuple(tuple); row.Status != control.StatusNever || row.Spool.Reports != 0 {
			t.Errorf("%s: %s, %d reports", tuple, row.Status, row.Spool.Reports)
		}
		wantKind(t, tuple, submit(t, app, tuple, record), control.KindNotGiven, "")
	}
}

// TestClause_1_2_OperationLogsAreCounts: the agent counts what it does itself, under a consent of its own, and only randomised answers
// about the counts leave.
func TestClause_1_2_OperationLogsAreCounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{Policy: prompt()})
	const tuple = "operation-logs/service"
	h.give("device/service")
	h.collected("device/service")
	if data, err := h.client.Data(t.Context(), tuple, false); err != nil || len(data.Tuples[0].Reports) != 0 {
		t.Errorf("counted before the consent: %+v, %v", data, err)
	}
	h.give(tuple)
	h.refused(control.ExitRefused, "", "data", "collect", "steps/compare")
	h.must("data", "erase", tuple, "--yes") // also what is in memory only
	h.send("device/service")
	h.stop()
	h.start()
	h.refused(control.ExitRefused, "", "data", "collect", "steps/compare")
	h.stop()
	h.start()
	counts := ""
	eventually(t, "what was counted is shown", func() bool {
		data, err := h.client.Data(t.Context(), tuple, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(data.Tuples[0].Reports) == 1 {
			counts = string(data.Tuples[0].Reports[0].Fields)
		}
		return strings.Contains(counts, `"starts":2`)
	})
	for _, want := range []string{`"uploads":`, `"refusals":1`} {
		if !strings.Contains(counts, want) {
			t.Errorf("counts %s, want %s", counts, want)
		}
	}
	if n := h.close(tuple); n != 2 {
		t.Errorf("%d answers", n)
	}
	eventually(t, "the answers arrive", func() bool { return h.answered("operation-logs") == 2 })
	h.must("consent", "withdraw", tuple)
	h.stop()
	h.start()
	wait()
	if data, err := h.client.Data(t.Context(), tuple, false); err != nil || len(data.Tuples[0].Reports) != 0 {
		t.Errorf("counted after the withdrawal: %+v, %v", data, err)
	}
}

// TestClause_1_6_StatisticsOnStepsAreRanges: of a day's steps only a randomised range leaves, under a consent of its own, and no
// total is written down anywhere.
func TestClause_1_6_StatisticsOnStepsAreRanges(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{Policy: prompt()})
	h.steps(2_100_700_000)
	const tuple = "steps/statistics"
	h.give(tuple)
	eventually(t, "the counter is read", func() bool { return !h.tuple(tuple).Due.IsZero() })
	h.steps(2_100_706_173)
	if n := h.close(tuple); n != 1 {
		t.Fatalf("%d answers", n)
	}
	b := h.budget(tuple)
	if len(b.Ranges) != 8 || b.Ranges[1] != 2500 || b.Left != "0" {
		t.Errorf("%+v", b)
	}
	eventually(t, "the answer arrives", func() bool { return h.answered("steps") == 1 })
	h.absent("2100706173", ":6173", " 6173", "=6173") // four digits alone are in any random text
	if row := h.tuple("steps/compare"); row.Status != control.StatusNever {
		t.Errorf("comparing steps is %s", row.Status)
	}
}
