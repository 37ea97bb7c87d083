package agent_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang/geo/s2"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// submit submits one record.
func submit(t *testing.T, c *control.Client, tuple, record string) error {
	t.Helper()
	_, err := c.Submit(t.Context(), tuple, []byte(`{"records":[`+record+`]}`))
	return err
}

// wantKind complains where an error is not a refusal of that kind, or tells what was sent.
func wantKind(t *testing.T, what string, err error, kind control.Kind, say string) {
	t.Helper()
	var p *control.Problem
	if !errors.As(err, &p) || p.Kind() != kind || !strings.Contains(err.Error(), say) {
		t.Errorf("%s: %v, want %s and %q", what, err, kind, say)
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("%s: the refusal repeats what was sent: %v", what, err)
	}
}

// itemsOf returns what the person is shown of a tuple, by item.
func (d *daemon) itemsOf(tuple string) map[string]control.Item {
	d.t.Helper()
	data, err := d.client.Data(d.t.Context(), tuple, false)
	if err != nil {
		d.t.Fatal(err)
	}
	found := map[string]control.Item{}
	for _, it := range data.Tuples[0].Items {
		found[it.Item] = it
	}
	return found
}

// TestClause_1_1_RegistrationByTheApplication: the application submits the declared fields under a consent of each purpose, and
// nothing else; the required ones are asked for, the optional ones are another consent.
func TestClause_1_1_RegistrationByTheApplication(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	app := h.application("example.app", "profile/account", "profile/details", "voiceprint/voice-lock")
	const profile = `"nickname":"canary-nick","avatar":"Y2FuYXJ5LWF2YXRhcg=="`
	whole := `{` + profile + `,"phone":"+1 202 555 0100"}`
	wantKind(t, "before consent", submit(t, app, "profile/account", whole), control.KindNotGiven, "")
	id := h.give("profile/account")
	for _, c := range []struct{ record, field string }{
		{`{` + profile + `}`, "phone: required"},
		{`{` + profile + `,"phone":"+1 202 555 0100","sex":"other"}`, "sex: field not declared"},
		{`{` + profile + `,"phone":"+1 202 555 0100","canary-17":"x"}`, "field not declared"},
		{`{` + profile + `,"phone":12025550100}`, "phone: is declared as text"},
		{`{"nickname":"n","avatar":"not base64, canary","phone":"p"}`, "avatar: is not base64"},
	} {
		wantKind(t, c.field, submit(t, app, "profile/account", c.record), control.KindSubmission, c.field)
	}
	if got := h.itemsOf("profile/account"); len(got) != 0 || h.tuple("profile/account").Spool.Reports != 0 {
		t.Errorf("of refused submissions %d items and %d reports were kept", len(got), h.tuple("profile/account").Spool.Reports)
	}
	if err := submit(t, app, "profile/account", whole); err != nil {
		t.Fatal(err)
	}
	if it := h.itemsOf("profile/account")["-"]; it.Client != "example.app" || !strings.Contains(string(it.Fields), "canary-nick") {
		t.Errorf("the person is shown %+v", it)
	}
	h.send("profile/account")
	if held, _ := h.holding(id); held.Items != 1 {
		t.Errorf("the receiver holds %+v", held)
	}
	if sent := strings.Join(h.sent("profile/account"), ""); !strings.Contains(sent, "canary-nick") || !strings.Contains(sent, "Y2FuYXJ5LWF2YXRhcg==") {
		t.Errorf("what left is not what was submitted: %s", sent)
	}
	wantKind(t, "the optional details without their consent", submit(t, app, "profile/details", `{"sex":"other"}`), control.KindNotGiven, "")
	h.give("profile/details")
	if err := submit(t, app, "profile/details", `{"sex":"other","addresses":["canary road 1"]}`); err != nil {
		t.Error(err)
	}
	for _, row := range h.status().Features {
		if row.ID == "voice-lock" && row.On || row.ID == "account" && !row.On {
			t.Errorf("feature %s is on: %v", row.ID, row.On)
		}
	}
	wantKind(t, "the id of the account", func() error {
		_, err := h.client.DeleteItem(t.Context(), "profile/account", "-")
		return err
	}(), control.KindPolicy, "account-id cannot be deleted")
	h.absent("canary-nick", "canary-avatar", "canary road")
	h.must("consent", "withdraw", "profile/account")
	if got := h.itemsOf("profile/account"); len(got) != 0 {
		t.Errorf("after withdrawal %d items can be read", len(got))
	}
}

// TestClause_1_1_TooLargeIsRefusedEarly: a gigabyte is refused for its length, before any of it is read.
func TestClause_1_1_TooLargeIsRefusedEarly(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	h.application("example.app", "profile/account")
	h.give("profile/account")
	c, err := net.Dial("unix", h.client.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/submissions/profile/account HTTP/1.1\r\nHost: scruple\r\n%s: example.app\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		control.HeaderApplication, 1<<30)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer before the body: %v", err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "larger than 1 MiB") {
		t.Errorf("answer %d: %s", resp.StatusCode, body)
	}
}

// TestClause_1_3_PostsAreSealedAndDeletedItemByItem: what is posted is nowhere in plain text at either end, and one post goes
// without the others; one that has not left yet never does.
func TestClause_1_3_PostsAreSealedAndDeletedItemByItem(t *testing.T) {
	t.Parallel()
	const tuple = "posts/moments"
	h := newHouse(t, receivertest.Options{})
	app := h.application("example.app", tuple)
	h.give(tuple)
	post := func(item, text string) {
		t.Helper()
		if err := submit(t, app, tuple, `{"item":"`+item+`","kind":"post","text":"`+text+`"}`); err != nil {
			t.Fatal(err)
		}
	}
	post("1", "canary-stays")
	post("2", "canary-unsent")
	done, err := app.DeleteItem(t.Context(), tuple, "2")
	if err != nil || !done.Here || done.Unsent != 1 {
		t.Fatalf("delete a post that has not left: %+v, %v", done, err)
	}
	h.send(tuple)
	if sent := strings.Join(h.sent(tuple), ""); strings.Contains(sent, "canary-unsent") || !strings.Contains(sent, "canary-stays") {
		t.Errorf("what left: %s", sent)
	}
	post("3", "canary-sent")
	post("3", "canary-edited")
	h.send(tuple)
	done, err = app.DeleteItem(t.Context(), tuple, "3")
	if err != nil || !done.Here || done.Unsent != 0 || done.Request == "" {
		t.Fatalf("delete a post that has left: %+v, %v", done, err)
	}
	eventually(t, "the receiver has erased the one post and no other", func() bool {
		far := h.must("data", "show", tuple, "--remote")
		return strings.Contains(far, "canary-stays") && !strings.Contains(far, "canary-sent") && !strings.Contains(far, "canary-edited")
	})
	if got := h.itemsOf(tuple); len(got) != 1 || !strings.Contains(string(got["1"].Fields), "canary-stays") {
		t.Errorf("the person is shown %v", got)
	}
	h.stop()
	h.start()
	if got := h.itemsOf(tuple); len(got) != 1 {
		t.Errorf("after a restart the person is shown %v", got)
	}
	h.absent("canary-")
}

// TestClause_1_4_NoAccessByDefault: a program that is not registered can do nothing, one that is registered has no access before
// the person gives it, and then to that alone; no application reaches what another submitted.
func TestClause_1_4_NoAccessByDefault(t *testing.T) {
	t.Parallel()
	const tuple = "mini-programs/puzzle"
	h := newHouse(t, receivertest.Options{})
	h.give(tuple)
	h.give("posts/moments")
	stranger := control.NewClient(h.client.Socket(), control.AsApplication("puzzle"))
	defer stranger.Close()
	deny := func(who string, c *control.Client, kind control.Kind) {
		t.Helper()
		wantKind(t, who+" submits", submit(t, c, tuple, `{"nickname":"n"}`), kind, "")
		_, err := c.DeleteItem(t.Context(), "posts/moments", "1")
		wantKind(t, who+" deletes", err, kind, "")
		_, err = c.OpenSession(t.Context(), "location/third-party", time.Minute)
		wantKind(t, who+" opens a session", err, kind, "")
		_, err = c.Location(t.Context(), "location/third-party")
		wantKind(t, who+" asks for the location", err, kind, "")
		_, err = c.Data(t.Context(), "", false)
		wantKind(t, who+" reads", err, control.KindNotAllowed, "")
		_, err = c.Clients(t.Context())
		wantKind(t, who+" lists the applications", err, control.KindNotAllowed, "")
		_, err = c.AllowClient(t.Context(), "puzzle", control.AccessRequest{Tuple: tuple})
		wantKind(t, who+" gives itself access", err, control.KindNotAllowed, "")
	}
	deny("an unregistered program", stranger, control.KindNotRegistered)
	silent := control.NewClient(h.client.Socket()) // it says nothing about itself, under the person's own account
	defer silent.Close()
	wantKind(t, "a silent program submits", submit(t, silent, tuple, `{"nickname":"n"}`), control.KindNotRegistered, "")
	_, err := silent.OpenSession(t.Context(), "location/third-party", time.Minute)
	wantKind(t, "a silent program opens a session", err, control.KindNotRegistered, "")
	_, err = silent.Data(t.Context(), "", false)
	wantKind(t, "a silent program reads", err, control.KindNotPerson, "")
	_, err = stranger.Request(t.Context(), "steps/compare")
	wantKind(t, "an unregistered program asks", err, control.KindNotRegistered, "")

	puzzle := h.application("puzzle")
	deny("a registered one", puzzle, control.KindNoAccess)
	for _, name := range []string{tuple, "steps/compare"} { // one is given, one was never asked: it learns no difference
		if s, err := puzzle.Request(t.Context(), name); err != nil || s.Status != control.StatusRequested {
			t.Errorf("it asks for %s: %+v, %v", name, s, err)
		}
	}
	view, err := puzzle.Application(t.Context())
	if err != nil || len(view.Tuples) != 2 || view.Tuples[0].Status != view.Tuples[1].Status {
		t.Errorf("it sees of itself %+v, %v", view, err)
	}
	h.must("clients", "allow", "puzzle", tuple)
	if err := submit(t, puzzle, tuple, `{"nickname":"n"}`); err != nil {
		t.Error(err)
	}
	wantKind(t, "another tuple", submit(t, puzzle, "posts/moments", `{"item":"1"}`), control.KindNoAccess, "")

	host := h.application("host", "posts/moments")
	h.must("clients", "allow", "puzzle", "posts/moments")
	if err := submit(t, host, "posts/moments", `{"item":"1","text":"t"}`); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "it replaces another's post", submit(t, puzzle, "posts/moments", `{"item":"1","text":"x"}`), control.KindNoAccess, "another application")
	_, err = puzzle.DeleteItem(t.Context(), "posts/moments", "1")
	wantKind(t, "it deletes another's post", err, control.KindNoAccess, "another application")
	// "-" stands for all items of a category: it is no name of one, and nothing is deleted by it where items have names.
	for _, name := range []string{"-", "zero\u200bwidth"} {
		wantKind(t, "an item named "+name, submit(t, puzzle, "posts/moments", `{"item":"`+name+`","text":"x"}`), control.KindSubmission, "item")
	}
	for _, c := range []*control.Client{puzzle, h.client} {
		_, err = c.DeleteItem(t.Context(), "posts/moments", "-")
		wantKind(t, "all items at once", err, control.KindNotFound, "")
	}
	if it := h.itemsOf("posts/moments")["1"]; it.Client != "host" || !strings.Contains(string(it.Fields), `"t"`) {
		t.Errorf("the post is %+v", it)
	}

	h.must("clients", "deny", "puzzle", "posts/moments")
	wantKind(t, "after its access has ended", submit(t, puzzle, "posts/moments", `{"item":"2"}`), control.KindNoAccess, "")
	h.stop()
	h.start()
	if err := submit(t, puzzle, tuple, `{"nickname":"n"}`); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	h.must("clients", "remove", "puzzle")
	wantKind(t, "after its removal", submit(t, puzzle, tuple, `{"nickname":"n"}`), control.KindNotRegistered, "")
}

// TestClause_iii_OneRecipientOneApplication: the consent to tell a third party is for the one that it names; a second application
// does not get in under it.
func TestClause_iii_OneRecipientOneApplication(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	h.application("puzzle", "mini-programs/puzzle")
	h.application("other")
	h.refused(control.ExitRefused, "the application puzzle has it", "clients", "allow", "other", "mini-programs/puzzle")
	if notice := h.must("consent", "show", "mini-programs/puzzle"); !strings.Contains(notice, "Example Puzzle Studio") || !strings.Contains(notice, "Example Messenger Ltd.") {
		t.Errorf("the notice does not name both:\n%s", notice)
	}
	h.refused(control.ExitUsage, "a file", "clients", "register", "folder", "--exe", t.TempDir())
	h.refused(control.ExitFailed, "scruple clients list", "clients", "allow", "nobody", "posts/moments")
	h.must("clients", "remove", "puzzle")
	h.must("clients", "allow", "other", "mini-programs/puzzle")
}

// TestClause_iv_OriginIsShownAndHeldTo: what comes from a third party is accepted under a consent whose notice names that party, and
// only where the application says that it comes from there.
func TestClause_iv_OriginIsShownAndHeldTo(t *testing.T) {
	t.Parallel()
	const (
		tuple  = "linked-account/sign-in"
		origin = "Example Sign-in Ltd.（示例登录有限公司）"
		record = `{"other-nickname":"canary"}`
	)
	h := newHouse(t, receivertest.Options{})
	app := h.application("example.app", tuple, "posts/moments")
	if notice := h.must("consent", "show", tuple); !strings.Contains(strings.Join(strings.Fields(notice), " "), "Example Sign-in Ltd.") {
		t.Errorf("the notice does not name the origin:\n%s", notice)
	}
	from := func(tuple, origin, record string) error {
		body, err := json.Marshal(control.Submission{Origin: origin, Records: []json.RawMessage{json.RawMessage(record)}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = app.Submit(t.Context(), tuple, body)
		return err
	}
	wantKind(t, "before consent", from(tuple, origin, record), control.KindNotGiven, "")
	h.give(tuple)
	h.give("posts/moments")
	wantKind(t, "no origin", from(tuple, "", record), control.KindSubmission, "origin")
	wantKind(t, "another origin", from(tuple, "canary Ltd.", record), control.KindSubmission, "origin")
	wantKind(t, "an origin that is not declared", from("posts/moments", origin, `{"item":"1"}`), control.KindSubmission, "origin")
	if err := from(tuple, origin, record); err != nil {
		t.Fatal(err)
	}
	if it := h.itemsOf(tuple)["-"]; it.Origin != origin {
		t.Errorf("the person is not shown where it comes from: %+v", it)
	}
	if out := h.must("data", "show", tuple); !strings.Contains(out, "Example Sign-in Ltd.") {
		t.Errorf("data show does not name the origin:\n%s", out)
	}
}

// TestClause_1_8_PaymentIsApart: payment data goes to the payment company under another pseudonym and over another connection;
// neither company sees anything of the other's, and the full card number is nowhere.
func TestClause_1_8_PaymentIsApart(t *testing.T) {
	t.Parallel()
	messenger := receivertest.New(t, receivertest.Options{})
	payments := receivertest.New(t, receivertest.Options{Controller: "payments", Policy: messenger.YAML})
	h := &house{newDaemon(t), messenger}
	h.write("note", payments.Note)
	h.configure(payments.Key, "upload:\n  slot: 24h\n")
	h.start()
	t.Cleanup(h.stop)
	app := h.application("example.app", "payment/pay", "bank-card/binding", "posts/moments")
	ids := map[string]string{}
	for tuple, record := range map[string]string{
		"payment/pay":       `{"item":"order-1","amount":1200,"currency":"CNY","payee":"canary-payee"}`,
		"bank-card/binding": `{"item":"card-1","bank":"canary-bank","last-digits":"1234567890","holder":"canary-holder","card-number":"6200 0000 0000 0005"}`,
		"posts/moments":     `{"item":"1","kind":"post","text":"canary-post"}`,
	} {
		ids[h.give(tuple)] = tuple
		if err := submit(t, app, tuple, record); err != nil {
			t.Fatal(err)
		}
	}
	if err := submit(t, app, "bank-card/binding", `{"item":"card-2","bank":"b","last-digits":"0001"}`); err != nil {
		t.Fatal(err)
	}
	for tuple := range map[string]bool{"payment/pay": true, "bank-card/binding": true, "posts/moments": true} {
		h.send(tuple)
	}
	pseudonyms := map[string]bool{}
	for far, want := range map[*receivertest.Receiver]map[string]bool{
		messenger: {"posts/moments": true}, payments: {"payment/pay": true, "bank-card/binding": true},
	} {
		holdings := far.Holdings(t)
		if len(holdings) != len(want) {
			t.Errorf("%d holdings, want %v", len(holdings), want)
		}
		for _, held := range holdings {
			tuple := string(held.Category) + "/" + string(held.Purpose)
			if !want[tuple] || ids[held.Consent.String()] != tuple || held.Batches != 1 {
				t.Errorf("a company holds %+v", held)
			}
			p := fmt.Sprint(held.Pseudonym)
			if pseudonyms[p] {
				t.Error("two purposes have one pseudonym")
			}
			pseudonyms[p] = true
		}
		for id, tuple := range ids {
			if !want[tuple] && (far.Faults.Seen("PUT /v1/consents/"+id) != 0) {
				t.Errorf("a company was told of the consent to %s", tuple)
			}
		}
	}
	sent := strings.Join(h.sent("bank-card/binding"), "")
	if !strings.Contains(sent, `"1234"`) || strings.Contains(sent, "12345") || strings.Contains(sent, "6200 0") {
		t.Errorf("what left of the card: %s", sent)
	}
	if strings.Contains(sent+strings.Join(h.sent("payment/pay"), ""), "canary-post") || strings.Contains(strings.Join(h.sent("posts/moments"), ""), "order-1") {
		t.Error("a batch holds another company's data")
	}
	if _, err := app.DeleteItem(t.Context(), "bank-card/binding", "card-1"); err != nil {
		t.Error(err)
	}
	if got := h.itemsOf("bank-card/binding"); len(got) != 1 || got["card-2"].Item == "" {
		t.Errorf("after one card was unbound: %v", got)
	}
	eventually(t, "the payment company has erased that card", func() bool {
		far := h.must("data", "show", "bank-card/binding", "--remote")
		return strings.Contains(far, "card-2") && !strings.Contains(far, "card-1") && !strings.Contains(far, "canary-holder")
	})
	h.absent("6200 0000 0000 0005", "canary-")
}

// TestClause_1_9_LocationOnlyForTheOneThatIsNamed: a third-party service is told the area under a consent that names it and the
// controller, when the person lets that application, within a session, no finer than the person says; each time is recorded.
func TestClause_1_9_LocationOnlyForTheOneThatIsNamed(t *testing.T) {
	t.Parallel()
	const tuple = "location/third-party"
	gps := newGPSD(t)
	h := newHouse(t, receivertest.Options{}, "gpsd: "+gps.address+"\n")
	for _, lang := range []string{"en", "zh-CN"} {
		notice := h.must("consent", "show", tuple, "--lang", lang)
		controller := map[string]string{"en": "Example Messenger Ltd.", "zh-CN": "示例信使有限公司"}[lang]
		if !strings.Contains(notice, "Example Rides Ltd.") || !strings.Contains(notice, controller) {
			t.Errorf("the notice in %s does not show both who receive it:\n%s", lang, notice)
		}
	}
	rides := h.application("rides")
	other := h.application("other", "location/nearby")
	ask := func(c *control.Client, tuple string) error {
		_, err := c.Location(t.Context(), tuple)
		return err
	}
	wantKind(t, "no access", ask(rides, tuple), control.KindNoAccess, "")
	h.refused(control.ExitRefused, "finer than the policy allows", "clients", "allow", "rides", tuple, "--level", "13")
	h.must("clients", "allow", "rides", tuple, "--level", "9", "--for", "24h")
	wantKind(t, "no consent", ask(rides, tuple), control.KindNotGiven, "")
	h.give(tuple)
	h.give("location/nearby")
	wantKind(t, "no session", ask(rides, tuple), control.KindNoSession, "")
	wait()
	if gps.seen() != 0 {
		t.Fatal("the location was read without a session")
	}
	wantKind(t, "a purpose that names nobody", ask(other, "location/nearby"), control.KindPolicy, "")
	wantKind(t, "another application", ask(other, tuple), control.KindNoAccess, "")

	if _, err := rides.OpenSession(t.Context(), tuple, time.Minute); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		at, err := rides.Location(t.Context(), tuple)
		if err != nil {
			t.Fatal(err)
		}
		if cell := s2.CellIDFromToken(at.Cell); cell.Level() != at.Level || at.Level > 9 || at.Accuracy < 10_000 {
			t.Errorf("told level %d, cell level %d, accuracy %d m", at.Level, cell.Level(), at.Accuracy)
		}
	}
	uses := parsed[[]control.ClientUse](t, h.must("clients", "accesses", "--json"))
	if len(uses) != 2 || uses[0].Client != "rides" || uses[0].Level > 9 || !strings.Contains(strings.Join(uses[0].Recipients, ""), "Example Rides Ltd.") {
		t.Errorf("the record of uses: %+v", uses)
	}
	h.must("clients", "deny", "rides", tuple)
	wantKind(t, "after the person's no", ask(rides, tuple), control.KindNoAccess, "")
	if h.tuple(tuple).Reason != control.ReasonNoSession {
		t.Error("its session goes on")
	}
	h.stop()
	h.start()
	if again := parsed[[]control.ClientUse](t, h.must("clients", "accesses", "--json")); len(again) != 2 {
		t.Errorf("after a restart the record has %d uses", len(again))
	}
	list := parsed[[]control.Registered](t, h.must("clients", "list", "--json"))
	if len(list) != 2 || len(list[0].Access)+len(list[1].Access) != 1 {
		t.Errorf("applications after a restart: %+v", list)
	}
}

// TestClause_6_7_SettingsReachTheController: every declared setting is shown with its protective default, can be changed under a
// consent to telling the controller, holds after a restart, and the controller is told at once.
func TestClause_6_7_SettingsReachTheController(t *testing.T) {
	t.Parallel()
	const tuple = "privacy-settings/settings"
	h := newHouse(t, receivertest.Options{})
	value := func(name string) control.Setting {
		t.Helper()
		return parsed[control.Setting](t, h.must("settings", "get", name, "--json"))
	}
	if s := value("found-by-phone"); s.Value != false || s.Set || s.Type != "boolean" {
		t.Errorf("by default: %+v", s)
	}
	if all := parsed[control.Settings](t, h.must("settings", "list", "--json")); len(all.Settings) != 13 || all.Status != control.StatusNever {
		t.Errorf("%d settings, status %q", len(all.Settings), all.Status)
	}
	if out := h.must("settings", "list"); !strings.Contains(out, "not agreed to") {
		t.Errorf("it does not say that nobody is told:\n%s", out)
	}
	h.refused(control.ExitRefused, "scruple consent give "+tuple, "settings", "set", "found-by-phone", "true")
	id := h.give(tuple)
	for _, c := range [][]string{
		{"set", "found-by-phone", "maybe"},
		{"set", "posts-visible-to", "everybody"},
		{"set", "no-such-setting", "true"},
		{"set", "posts-hidden-from", "a"},
		{"add", "found-by-phone", "a"},
		{"get", "no-such-setting"},
	} {
		if out, code := h.command(append([]string{"settings"}, c...)...); code != control.ExitUsage {
			t.Errorf("settings %v: exit code %d\n%s", c, code, out)
		}
	}
	if out := h.must("settings", "set", "posts-visible-to", "only-me"); !strings.Contains(out, "confirmed") {
		t.Errorf("the controller was not told at once:\n%s", out)
	}
	h.must("settings", "add", "posts-hidden-from", "account-a")
	h.must("settings", "add", "posts-hidden-from", "account-b")
	h.must("settings", "remove", "posts-hidden-from", "account-a")
	h.stop()
	h.start()
	if s := value("posts-visible-to"); s.Value != "only-me" || !s.Set || s.Default != "friends" {
		t.Errorf("after a restart: %+v", s)
	}
	if s := value("posts-hidden-from"); fmt.Sprint(s.Value) != "[account-b]" {
		t.Errorf("the list: %+v", s)
	}
	if held, _ := h.holding(id); held.Items != 4 {
		t.Errorf("the receiver holds %+v", held)
	}
	last := fields(t, h.sent(tuple)...)[0]
	if last["posts-visible-to"] != "only-me" || last["approve-friends"] != true || fmt.Sprint(last["posts-hidden-from"]) != "[account-b]" {
		t.Errorf("the controller was told last: %v", last)
	}
	h.must("settings", "reset", "posts-visible-to")
	if s := value("posts-visible-to"); s.Set || s.Value != "friends" {
		t.Errorf("after a reset: %+v", s)
	}
	h.must("consent", "withdraw", tuple)
	if s := value("posts-hidden-from"); s.Set {
		t.Errorf("after withdrawal: %+v", s)
	}
}
