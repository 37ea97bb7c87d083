package agent_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// edited returns the text with each old part replaced by the new one after it. An old part that is not there, or is there
// twice, fails the test.
func edited(t *testing.T, text []byte, pairs ...string) []byte {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if n := bytes.Count(text, []byte(pairs[i])); n != 1 {
			t.Fatalf("the text to replace is there %d times: %q", n, pairs[i])
		}
		text = bytes.Replace(text, []byte(pairs[i]), []byte(pairs[i+1]), 1)
	}
	return text
}

const networkField = `      - {name: network, type: text, label: {zh-CN: 网络接入类型（如有线、无线）, en: "type of network access (wired, wireless)"}, fideslang: user.device, dpv: "pd:DeviceBased"}` + "\n"

// TestClause_i_UndeclaredIsRefused: what the policy does not declare is neither collected nor stored nor sent; whoever
// asks for it is refused, and the receiver names the field that it refuses.
func TestClause_i_UndeclaredIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{Policy: edited(t, configs.PolicyYAML, networkField, "")})
	for _, args := range [][]string{
		{"consent", "show", "heart-rate/service"},
		{"consent", "give", "heart-rate/service", "--accept", strings.Repeat("0", 64)},
		{"data", "collect", "heart-rate/service"},
		{"data", "collect", "device/advertising"},
		{"session", "open", "location/dating"},
	} {
		h.refused(control.ExitUsage, "no such category/purpose", args...)
	}

	h.give("device/service")
	h.collected("device/service")
	h.send("device/service")
	items := fields(t, h.sent("device/service")...)
	if len(items) != 1 || items[0]["model"] == nil || items[0]["network"] != nil {
		t.Errorf("with the field network not declared, %v left", items)
	}

	far := h.far.Client(t, "steps", "compare")
	far.Give(t)
	item := func(fields map[string]any) wire.Item { return wire.Item{Time: time.Now().Unix(), Fields: fields} }
	answer := far.Send(t, item(map[string]any{"total": int64(100), "pulse": int64(70)}))
	if answer.Problem() != wire.ProblemUndeclaredField || !strings.Contains(string(answer.Body), "pulse") {
		t.Errorf("the receiver answers an undeclared field with status %d, %.200s", answer.Status, answer.Body)
	}
	if got := len(h.far.Stored(t, far.Consent)); got != 0 {
		t.Errorf("the receiver stored %d batches", got)
	}
	if answer := far.Send(t, item(map[string]any{"total": int64(100)})); answer.Status != http.StatusOK {
		t.Errorf("what is declared: status %d", answer.Status)
	}
}

// TestClause_i_EverythingIsListed: a policy that does not say for each kind of data what it is, why and how is refused at
// the start with the place; the notice of the one that does shows it.
func TestClause_i_EverythingIsListed(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.configure("", "dev: true\nupload:\n  slot: 24h\n")
	t.Cleanup(d.stop)
	text := string(configs.PolicyYAML)
	at := strings.Index(text, "  - id: steps\n")
	for field, cut := range map[string]string{
		"source":      "    source: steps\n",
		"sensitivity": "    sensitivity: sensitive\n",
		"text":        "        text:\n          zh-CN: 与好友比较每日步数。\n          en: To compare your steps of the day with those of your friends.\n",
		"necessity":   "        necessity:\n          zh-CN: 没有每日总步数就无法比较。\n          en: Without the total of the day there is nothing to compare.\n",
		"controller":  "        controller: messenger\n",
		"retention":   "        retention: {device: {for: 7d}, controller: {for: 30d}}\n",
		"minimiser":   "        minimiser: {name: steps, round: 1}\n",
		"collect":     "        collect: {mode: background, every: 1h}\n",
	} {
		rest := text[at:]
		i := strings.Index(rest, cut)
		if i < 0 {
			t.Fatalf("the policy has no %s where it was", field)
		}
		d.write("note", []byte(text[:at]+rest[:i]+rest[i+len(cut):]))
		if err := d.try(); err == nil || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), "note:") {
			t.Errorf("a policy without %s: %v", field, err)
		}
	}
	d.write("note", configs.PolicyYAML)
	d.start()
	notice := d.must("consent", "show", "steps/compare", "--lang", "en")
	for _, promise := range []string{
		"total of the day", "To compare your steps of the day", "Without the total of the day", "Example Messenger Ltd.", "30 days",
	} {
		if !strings.Contains(strings.Join(strings.Fields(notice), " "), promise) {
			t.Errorf("the notice does not say %q:\n%s", promise, notice)
		}
	}
}

// TestClause_ii_NothingBeforeConsent: without a consent nothing is read, stored or sent, and no application can answer in
// the person's place.
func TestClause_ii_NothingBeforeConsent(t *testing.T) {
	t.Parallel()
	gps := newGPSD(t)
	h := newHouse(t, receivertest.Options{}, "gpsd: "+gps.address+"\n")
	h.steps(1337)
	h.write("book.vcf", book(t, 20))
	app := h.application("example.app", "location/nearby", "location/third-party")
	for _, row := range h.status().Tuples {
		name := row.Tuple
		if row.Status != control.StatusNever || row.Collecting {
			t.Errorf("%s before consent: status %q, collecting %v", name, row.Status, row.Collecting)
		}
		if _, err := h.client.Collect(t.Context(), name); control.ExitCode(err) != control.ExitRefused {
			t.Errorf("%s collected without consent: %v", name, err)
		}
		if _, err := h.client.Flush(t.Context(), name); control.ExitCode(err) != control.ExitRefused {
			t.Errorf("%s sent without consent: %v", name, err)
		}
		notice, err := h.client.Show(t.Context(), name, "en")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := app.Give(t.Context(), name, "en", notice.SHA256); control.ExitCode(err) != control.ExitRefused {
			t.Errorf("%s: an application gave the person's consent: %v", name, err)
		}
		if _, err := h.client.Give(t.Context(), name, "en", strings.Repeat("0", 64)); control.ExitCode(err) != control.ExitRefused {
			t.Errorf("%s: agreed to a notice that was not shown: %v", name, err)
		}
	}
	for _, tuple := range []string{"location/nearby", "location/third-party"} {
		if _, err := app.OpenSession(t.Context(), tuple, time.Minute); control.ExitCode(err) != control.ExitRefused {
			t.Errorf("%s: a session without consent: %v", tuple, err)
		}
	}
	wait()
	if n := h.far.Faults.Seen(""); n != 0 || gps.seen() != 0 {
		t.Errorf("%d requests to the receiver, %d connections to the gpsd", n, gps.seen())
	}
	for _, row := range h.status().Tuples {
		if row.Status == control.StatusGiven || row.Spool.Reports != 0 {
			t.Errorf("%s: status %q, %d reports", row.Tuple, row.Status, row.Spool.Reports)
		}
	}
}

// TestClause_ii_RefusingOneLeavesTheRest refuses each category and purpose in turn while all others are given: its own
// feature is off, and no other.
func TestClause_ii_RefusingOneLeavesTheRest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	rows := h.status().Tuples
	for _, row := range rows {
		h.give(row.Tuple)
	}
	off := func() (list []string) {
		for _, f := range h.status().Features {
			if !f.On {
				list = append(list, f.ID)
			}
		}
		return list
	}
	if got := off(); len(got) != 0 {
		t.Errorf("features off with every consent given: %v", got)
	}
	for _, row := range rows {
		if _, err := h.client.Withdraw(t.Context(), row.Tuple, false); err != nil {
			t.Fatal(err)
		}
		if _, err := h.client.Show(t.Context(), row.Tuple, "en"); err != nil {
			t.Fatal(err)
		}
		if s, err := h.client.Refuse(t.Context(), row.Tuple); err != nil || s.Status != control.StatusRefused {
			t.Fatalf("refuse %s: %q, %v", row.Tuple, s.Status, err)
		}
		if got := off(); !slices.Equal(got, []string{row.Feature}) {
			t.Errorf("with %s refused, features off: %v, want %s alone", row.Tuple, got, row.Feature)
		}
		if out := h.must("status"); row.Tuple == "steps/compare" && !strings.Contains(out, "steps/compare (refused)") {
			t.Errorf("status does not say why the feature is off:\n%s", out)
		}
		h.give(row.Tuple)
	}
}

// TestClause_iii_OneController: what a category is collected for goes to the controller that the policy names for it, and to
// nobody else; a further recipient has a consent of its own, whose notice names it.
func TestClause_iii_OneController(t *testing.T) {
	t.Parallel()
	messenger := receivertest.New(t, receivertest.Options{})
	payments := receivertest.New(t, receivertest.Options{Controller: "payments", Policy: messenger.YAML})
	gps := newGPSD(t)
	h := &house{newDaemon(t), messenger}
	h.write("note", payments.Note)
	h.configure(payments.Key, "upload:\n  slot: 24h\ngpsd: "+gps.address+"\n")
	h.start()
	t.Cleanup(h.stop)

	device, pay := h.give("device/service"), h.give("payment/pay")
	h.collected("device/service")
	h.send("device/service")
	eventually(t, "the payment company knows of its consent", func() bool { return len(payments.Holdings(t)) == 1 })
	held := messenger.Holdings(t)
	if len(held) != 1 || held[0].Consent.String() != device || held[0].Batches != 1 {
		t.Errorf("the messenger holds %+v", held)
	}
	other := payments.Holdings(t)
	if other[0].Consent.String() != pay || other[0].Batches != 0 || other[0].Pseudonym == held[0].Pseudonym {
		t.Errorf("the payment company holds %+v", other)
	}
	for path, far := range map[string]*receivertest.Receiver{"PUT /v1/consents/" + device: payments, "PUT /v1/consents/" + pay: messenger} {
		if far.Faults.Seen(path) != 0 || far.Faults.Seen("PUT /v1/batches/") > len(far.Holdings(t)) {
			t.Errorf("a controller saw what is another's: %s", path)
		}
	}
	if n := payments.Faults.Seen("PUT /v1/batches/"); n != 0 {
		t.Errorf("the payment company was sent %d batches", n)
	}

	h.give("location/nearby")
	if _, err := h.client.OpenSession(t.Context(), "location/third-party", time.Minute); control.ExitCode(err) != control.ExitRefused {
		t.Errorf("the location goes to a third party without a consent of its own: %v", err)
	}
	if notice := h.must("consent", "show", "location/third-party"); !strings.Contains(notice, "Example Rides Ltd.") {
		t.Errorf("the notice does not name the recipient:\n%s", notice)
	}
	if gps.seen() != 0 {
		t.Error("the location was read")
	}
}

// book returns an invented address book.
func book(t *testing.T, people int) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := booktest.Generate(7, people, booktest.Options{}).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read returns a file.
func read(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parsed returns JSON as a T.
func parsed[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %.500s", err, text)
	}
	return v
}
