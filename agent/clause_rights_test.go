package agent_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// posted gives the consent to posts and submits and sends two of them.
func (h *house) posted() (consent string) {
	h.t.Helper()
	consent = h.give("posts/moments")
	h.submitted("posts/moments", `{"item":"p-1","kind":"post","text":"CANARY one"}`, `{"item":"p-2","kind":"post","text":"CANARY two"}`)
	h.send("posts/moments")
	return consent
}

func (h *house) submitted(tuple string, records ...string) {
	h.t.Helper()
	if _, err := h.client.Submit(h.t.Context(), tuple, []byte(`{"records":[`+strings.Join(records, ",")+`]}`)); err != nil {
		h.t.Fatal(err)
	}
}

// stored are the fields of one name that the receiver has stored under a consent, sorted.
func (h *house) stored(consent, field string) (out []string) {
	h.t.Helper()
	id, err := wire.ParseUUID(consent)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range h.far.Stored(h.t, id) {
		for _, it := range b.Batch.Items {
			if s, ok := it.Fields[field].(string); ok {
				out = append(out, s)
			}
		}
	}
	slices.Sort(out) // batches of one second have no order
	return out
}

// cases returns the person's cases of a kind.
func (h *house) cases(kind string) (out []control.Case) {
	h.t.Helper()
	list, err := h.client.Cases(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range list {
		if c.Kind == kind {
			out = append(out, c)
		}
	}
	return out
}

// TestClause_6_1_ExportHoldsEverythingAtBothEnds: in both forms, for the person alone, and with a case for each controller to answer for.
func TestClause_6_1_ExportHoldsEverythingAtBothEnds(t *testing.T) {
	h := newHouse(t, receivertest.Options{})
	h.posted()
	h.submitted("posts/moments", `{"item":"p-3","kind":"post","text":"CANARY waiting <script>"}`)

	file := filepath.Join(h.dir, "mine.json")
	h.must("data", "export", "-o", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("export: %v, %v, want 0600", info.Mode(), err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got control.Export
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	var posts control.TupleData
	for _, one := range got.Tuples {
		if one.Tuple == "posts/moments" {
			posts = one
		}
	}
	for what, has := range map[string]bool{
		"the receiver's content": strings.Contains(string(posts.Remote), "CANARY one"), "the items": len(posts.Items) == 3, "what waits": len(posts.Reports) == 1,
		"what was sent": len(got.Sent) > 0, "the ledger": len(got.Ledger) > 0, "receipts": len(got.Receipts) > 0, "no gap": len(got.Missing) == 0,
		"a case": len(got.Cases) > 0, "accounts": len(got.Accounts) == 2, "settings": got.Settings != nil,
	} {
		if !has {
			t.Errorf("the export lacks %s", what)
		}
	}
	for _, lang := range []string{"en", "zh-CN"} {
		page := h.must("data", "export", "--html", "--lang", lang)
		for _, want := range []string{"CANARY one", "CANARY waiting", "lang=\"" + lang + "\""} {
			if !strings.Contains(page, want) {
				t.Errorf("the page in %s lacks %q", lang, want)
			}
		}
		if strings.Contains(page, "<script") || strings.Contains(page, "http-equiv=\"refresh\"") {
			t.Errorf("the page in %s runs something", lang)
		}
	}
	eventually(t, "the controller answers for its access", func() bool {
		list := h.cases("access")
		return len(list) == 1 && list[0].State == "done" && list[0].There == 2
	})
	// A receiver that does not answer is named, and is in arrears.
	h.far.Faults.Next(receivertest.Fault("GET /v1/data", 503))
	out := h.must("data", "export")
	if !strings.Contains(out, "the receiver of posts/moments") {
		t.Error("the export does not say that the receiver did not answer")
	}
	application := control.NewClient(h.client.Socket(), control.AsApplication("im.example"))
	defer application.Close()
	if _, err := application.Export(t.Context(), ""); err == nil {
		t.Error("an application was given the export")
	}
}

// TestClause_6_2_ErasureByItemTimeAndKind: what is selected goes at both ends, the rest stays, and what cannot be deleted is refused
// with the reason.
func TestClause_6_2_ErasureByItemTimeAndKind(t *testing.T) {
	h := newHouse(t, receivertest.Options{})
	consent := h.posted()
	h.submitted("posts/moments", `{"item":"p-3","kind":"post","text":"CANARY three"}`, `{"item":"p-4","kind":"post","text":"CANARY four"}`)
	if _, err := h.client.EgressPreview(t.Context(), "posts/moments"); err != nil { // builds the batch
		t.Fatal(err)
	}
	h.must("data", "erase", "posts/moments", "--item", "p-1", "--yes")
	h.must("data", "erase", "posts/moments", "--item", "p-3", "--yes")
	eventually(t, "the receiver has erased the item", func() bool { return reflect.DeepEqual(h.stored(consent, "item"), []string{"p-2"}) })
	h.send("posts/moments")
	if got := h.stored(consent, "item"); !reflect.DeepEqual(got, []string{"p-2", "p-4"}) {
		t.Errorf("stored %q, want p-2 and p-4", got)
	}
	if out := h.must("data", "export", "posts/moments"); strings.Contains(out, "CANARY one") || strings.Contains(out, "CANARY three") || !strings.Contains(out, "CANARY two") {
		t.Error("what was erased is still there, or what was not is gone")
	}
	eventually(t, "both erasures are confirmed", func() bool {
		list := h.cases("erasure")
		return len(list) == 2 && list[0].State == "done" && list[1].State == "done" && list[0].There+list[1].There == 1
	})
	// What the device knows to the second, the receiver knows to the hour: nothing that the range names is left there.
	now := time.Now()
	h.must("data", "erase", "posts", "--until", now.Add(time.Second).Format(time.RFC3339), "--from", now.Add(-time.Minute).Format(time.RFC3339), "--yes")
	eventually(t, "the time range is gone", func() bool { return len(h.stored(consent, "item")) == 0 })

	account := h.give("profile/account")
	h.submitted("profile/account", `{"nickname":"CANARY n","avatar":"AA==","phone":"+1 202 555 0100","account-id":"CANARY id","qr-code":"CANARY qr"}`)
	h.send("profile/account")
	h.refused(control.ExitRefused, "account-id", "data", "erase", "profile/account", "--field", "account-id", "--yes")
	if out := h.must("data", "erase", "profile/account", "--yes"); !strings.Contains(out, "account-id, qr-code") {
		t.Errorf("what stays is not named: %s", out)
	}
	eventually(t, "the rest of the profile is gone", func() bool { return len(h.stored(account, "nickname")) == 0 })
	if got := h.stored(account, "account-id"); !reflect.DeepEqual(got, []string{"CANARY id"}) {
		t.Errorf("account id %q", got)
	}
	if !slices.ContainsFunc(h.cases("erasure"), func(c control.Case) bool {
		return c.Tuple == "profile/account" && c.State == "done" && c.Reason == string(wire.ReasonImmutableKept)
	}) {
		t.Errorf("erasure of the profile: %+v", h.cases("erasure"))
	}
	h.must("data", "erase", "--all", "--yes")
}

// TestErasureOfManyIsAskedForFirst: everything is asked for before the first controller is waited for, also when the person does not wait and
// when one part cannot be done here, which is said and repeated.
func TestErasureOfManyIsAskedForFirst(t *testing.T) {
	h := newHouse(t, receivertest.Options{})
	broken := h.give("device/service")
	h.give("profile/details")
	h.give("profile/account")
	h.introduced()
	h.far.Faults.Next(receiver.Fault{On: "PUT /v1/cases/", Delay: time.Hour, Times: -1})
	impatient, gone := context.WithCancel(t.Context())
	go func() {
		defer gone()
		eventually(t, "the receiver is silent", func() bool { return h.far.Faults.Seen("PUT /v1/cases/") > 0 })
	}()
	all := control.EraseRequest{All: true, From: time.Unix(1, 0)}
	if _, err := h.client.EraseParts(impatient, all); err == nil {
		t.Error("the receiver was not silent")
	}
	eventually(t, "all three parts are asked for", func() bool { return len(h.cases("erasure")) == 3 })
	h.far.Faults.Clear()
	blocked := filepath.Join(h.dir, "state", "items", broken+".items")
	if err := os.MkdirAll(filepath.Join(blocked, "in-the-way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := h.client.EraseParts(t.Context(), all); err == nil {
		t.Error("a part that cannot be done is not said")
	}
	if n := len(h.cases("erasure")); n != 6 {
		t.Errorf("%d of 6 parts were asked for although one failed", n)
	}
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	h.kill()
	h.start()
	eventually(t, "all are answered", func() bool {
		return !slices.ContainsFunc(h.cases("erasure"), func(c control.Case) bool { return c.State != "done" })
	})
}

// TestClause_6_2_ErasureSurvivesEverything: no answer drops it, nor does a crash; nothing that it takes out is sent meanwhile.
func TestClause_6_2_ErasureSurvivesEverything(t *testing.T) {
	h := newHouse(t, receivertest.Options{})
	consent := h.posted()
	h.far.Faults.Next(
		receivertest.Fault("PUT /v1/cases/", 404), receivertest.Fault("PUT /v1/cases/", 410), receivertest.Fault("PUT /v1/cases/", 500),
	)
	h.must("data", "erase", "posts/moments", "--item", "p-1", "--yes")
	for asked := range 3 {
		h.kill()
		h.start()
		eventually(t, "it is asked for again", func() bool {
			return h.far.Faults.Seen("PUT /v1/cases/") > asked+1 || h.cases("erasure")[0].State != "open"
		})
	}
	id := h.cases("erasure")[0].ID
	eventually(t, "the erasure is done", func() bool {
		_, _ = h.client.Case(t.Context(), id)
		return reflect.DeepEqual(h.stored(consent, "item"), []string{"p-2"})
	})
}

// TestClause_1_3_DeletionReachesTheReceiver: deleting a post erases it there too, also when the application deletes it, and the rest stays.
func TestClause_1_3_DeletionReachesTheReceiver(t *testing.T) {
	h := newHouse(t, receivertest.Options{})
	consent := h.posted()
	if d, err := h.client.DeleteItem(t.Context(), "posts/moments", "p-1"); err != nil || !d.Here || d.Request == "" {
		t.Errorf("deleted: %+v, %v", d, err)
	}
	eventually(t, "the post is gone at the receiver", func() bool { return reflect.DeepEqual(h.stored(consent, "item"), []string{"p-2"}) })
	h.absent("CANARY")
}

// TestClause_2_2_KeptUntilTheEvent: what is kept until the item is deleted, or the account closed, is kept for years and goes with the event,
// also after the consent was withdrawn without clearing.
func TestClause_2_2_KeptUntilTheEvent(t *testing.T) {
	clock := receivertest.NewClock()
	h := newHouse(t, receivertest.Options{Clock: clock})
	posts := h.posted()
	account := h.give("profile/account")
	h.submitted("profile/account", `{"nickname":"CANARY n","avatar":"AA==","phone":"+1 202 555 0100"}`)
	h.send("profile/account")
	h.must("consent", "withdraw", "profile/account") // not --clear
	eventually(t, "the receiver knows of the withdrawal", func() bool {
		held, ok := h.holding(account)
		return ok && held.Status == receiver.StatusWithdrawn
	})
	clock.Advance(600 * 24 * time.Hour)
	if _, err := h.far.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held, _ := h.holding(account); held.Batches != 1 {
		t.Errorf("the account's data after a withdrawal without clearing: %+v", held)
	}
	if got := len(h.stored(posts, "item")); got != 2 {
		t.Errorf("%d posts, want both", got)
	}
	h.must("data", "erase", "posts/moments", "--item", "p-2", "--yes")
	eventually(t, "the deleted item is gone", func() bool { return reflect.DeepEqual(h.stored(posts, "item"), []string{"p-1"}) })
	h.must("account", "close", "--yes")
	eventually(t, "nothing is kept", func() bool {
		one, _ := h.holding(account)
		two, _ := h.holding(posts)
		return one.Batches == 0 && two.Batches == 0
	})
}

// TestClause_6_4_UnbindOneBankCard: one card goes at both ends, the other stays, and the consent goes on.
func TestClause_6_4_UnbindOneBankCard(t *testing.T) {
	h := newHouse(t, receivertest.Options{Controller: "payments"})
	consent := h.give("bank-card/binding")
	h.submitted("bank-card/binding", `{"item":"c-1","bank":"CANARY Bank"}`, `{"item":"c-2","bank":"Example Bank"}`)
	h.send("bank-card/binding")
	h.must("data", "erase", "bank-card/binding", "--item", "c-1", "--yes")
	eventually(t, "the card is unbound", func() bool { return reflect.DeepEqual(h.stored(consent, "item"), []string{"c-2"}) })
	if got := h.tuple("bank-card/binding").Status; got != control.StatusGiven {
		t.Errorf("the consent: %s", got)
	}
	if out := h.must("data", "show", "bank-card/binding"); strings.Contains(out, "CANARY") || !strings.Contains(out, "c-2") {
		t.Errorf("shown here: %s", out)
	}
	h.absent("CANARY")
	// An application that deletes its own item has the same effect, and the person sees the case.
	if _, err := h.client.DeleteItem(t.Context(), "bank-card/binding", "c-2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other card is unbound", func() bool { return len(h.stored(consent, "item")) == 0 && len(h.cases("erasure")) == 2 })
}

// TestClause_6_3_CorrectionAtBothEnds: what waits and what is stored changes; what is immutable, undeclared or measured is refused.
func TestClause_6_3_CorrectionAtBothEnds(t *testing.T) {
	h := newHouse(t, receivertest.Options{})
	consent := h.posted()
	letter := filepath.Join(h.dir, "letter")
	if err := os.WriteFile(letter, []byte("CANARY second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.must("data", "correct", "posts/moments", "--item", "p-2", "text=@"+letter)
	if err := os.Remove(letter); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the receiver has corrected it", func() bool {
		return reflect.DeepEqual(h.stored(consent, "text"), []string{"CANARY one", "CANARY second"})
	})
	if list := h.cases("correction"); len(list) != 1 || list[0].State != "done" || list[0].There != 1 {
		t.Errorf("cases %+v", list)
	}
	h.submitted("posts/moments", `{"item":"p-3","kind":"post","text":"CANARY three"}`)
	h.must("data", "correct", "posts/moments", "--item", "p-3", "text=CANARY third")
	h.send("posts/moments")
	if got := h.stored(consent, "text"); !reflect.DeepEqual(got, []string{"CANARY one", "CANARY second", "CANARY third"}) {
		t.Errorf("stored %q", got)
	}
	if out := h.must("data", "show", "posts/moments"); !strings.Contains(out, "CANARY third") || strings.Contains(out, "three") {
		t.Errorf("shown here: %s", out)
	}
	h.give("profile/account")
	h.give("device/service")
	for _, c := range []struct {
		why  string
		args []string
	}{
		{"account-id", []string{"profile/account", "account-id=other"}},
		{"cannot be changed", []string{"posts/moments", "--item", "p-1", "item=p-9"}},
		{"which one", []string{"posts/moments", "text=the same in every post"}},
		{"choices", []string{"posts/moments", "--item", "p-1", "kind=rant"}},
		{"not a field", []string{"posts/moments", "--item", "p-1", "shoe-size=44"}},
		{"measured", []string{"device/service", "model=other"}},
		{"no consent in force", []string{"profile/details", "sex=other"}},
	} {
		h.refused(control.ExitRefused, c.why, append([]string{"data", "correct"}, c.args...)...)
	}
	h.absent("CANARY") // neither end keeps the new words in the open
}

// TestClause_6_5_AccountIsClosed: every consent of the controller ends, everything is erased and confirmed, the other controller's account
// stays, and nothing begins again without the person.
func TestClause_6_5_AccountIsClosed(t *testing.T) {
	h := newHouse(t, receivertest.Options{})
	consent := h.posted()
	h.give("device/service")
	h.give("bank-card/binding")
	h.far.Faults.Next(receivertest.Fault("PUT /v1/consents/", 503)) // the first try of a withdrawal
	h.must("account", "close", "--controller", "messenger", "--yes")
	h.kill() // whatever was under way
	h.start()
	if got := h.tuple("posts/moments").Status; got != control.StatusWithdrawn {
		t.Errorf("posts: %s", got)
	}
	if got := h.tuple("bank-card/binding").Status; got != control.StatusGiven {
		t.Errorf("the payment account: %s", got)
	}
	eventually(t, "every signed answer is there", func() bool {
		for _, c := range h.cases("closure") {
			if c.State != "done" {
				_, _ = h.client.Case(t.Context(), c.ID)
			}
		}
		list, err := h.client.Accounts(t.Context())
		return err == nil && list[0].State == "closed" && list[1].State == "open"
	})
	if n := len(h.cases("closure")); n != 2 {
		t.Errorf("%d requests, want one for each of two consents", n)
	}
	if held, _ := h.holding(consent); held.Batches != 0 || held.Status != receiver.StatusWithdrawn {
		t.Errorf("the receiver holds %+v", held)
	}
	h.absent("CANARY")
	n, err := h.client.Show(t.Context(), "posts/moments", "en")
	if err != nil {
		t.Fatal(err)
	}
	for why, args := range map[string][]string{
		"consent":   {"consent", "give", "posts/moments", "--accept", n.SHA256},
		"complaint": {"complaint", "file", "too late", "--about", "messenger"},
		"correct":   {"data", "correct", "posts/moments", "text=x"},
		"erase":     {"data", "erase", "posts/moments", "--yes"},
		"again":     {"account", "close", "--yes"},
	} {
		if out, code := h.command(args...); code != control.ExitRefused || !strings.Contains(out, "closed") || strings.Contains(out, "/:") {
			t.Errorf("%s after the closure: %d %s", why, code, out)
		}
	}
	h.must("account", "reopen")
	h.give("posts/moments")
}

// TestClause_6_6_ComplaintIsAnswered: no further data is asked; the thirty days begin with the receipt; the answer is signed, and nobody
// but the controller can give it. What the receiver's people do is recorded.
func TestClause_6_6_ComplaintIsAnswered(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "scruple-receiver")
	if out, err := exec.Command("go", "build", "-o", tool, "../uploader/cmd/scruple-receiver").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	h := newHouse(t, receivertest.Options{})
	desk := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tool, append(args, "--dir", h.far.Dir, "--lang", "en")...).CombinedOutput()
		if err != nil {
			t.Fatalf("scruple-receiver %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	h.refused(control.ExitRefused, "privacy@messenger.example.com", "complaint", "file", "before any consent")
	h.posted()
	// A receipt for another message, from another key, is none.
	h.far.Faults.Next(receiver.Fault{On: "PUT /v1/cases/", Garbage: true})
	h.must("complaint", "file", "CANARY nobody answers")
	c := h.cases("complaint")[0]
	if c.State != "open" || !c.Due.IsZero() {
		t.Errorf("before the controller has confirmed it: %+v", c)
	}
	// Nor is the signed answer to somebody else's case an answer to this one.
	stranger := h.far.Client(t, "posts", "moments")
	stranger.Give(t)
	theirs := stranger.Case(wire.CaseComplaint)
	theirs.Text = "x"
	stranger.Ask(t, theirs)
	h.far.Faults.Next(receiver.Fault{On: "GET /v1/cases/" + c.ID, Forge: stranger.Do(t.Context(), "GET", "/v1/cases/"+theirs.ID.String(), nil, "").Body})
	if got, err := h.client.Case(t.Context(), c.ID); err != nil || got.State != "received" || len(got.Notes) != 0 {
		t.Errorf("after another's answer: %+v, %v", got, err)
	}
	if _, err := h.client.Case(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	c = h.cases("complaint")[0]
	if c.State != "received" || c.Due.Sub(c.Received) != 30*24*time.Hour || c.Overdue {
		t.Errorf("confirmed: %+v", c)
	}
	h.absent("CANARY nobody")
	if out := desk("cases", "list"); !strings.Contains(out, c.ID) || strings.Contains(out, "CANARY") {
		t.Errorf("the list opens what it should not, or lacks the case: %s", out)
	}
	if out := desk("cases", "show", c.ID); !strings.Contains(out, "CANARY nobody answers") {
		t.Errorf("shown: %s", out)
	}
	desk("cases", "answer", c.ID, "--reason", "justified", "--text", "You are right.")
	if out := desk("show", "--accesses"); !strings.Contains(out, "cases show") || !strings.Contains(out, "cases answer") {
		t.Errorf("record of accesses: %s", out)
	}
	// After the withdrawal, and its confirmation, the answer still arrives: the case keeps its own copy of the key.
	h.must("consent", "withdraw", "posts/moments", "--clear")
	if out := h.must("complaint", "show", c.ID, "--signed"); !strings.Contains(out, "You are right.") || !strings.Contains(out, "answered: justified") || !strings.Contains(out, "scruple/case/1") {
		t.Errorf("the answer: %s", out)
	}
}

// TestClause_10_LateAnswersAreMarked: thirty days after the receipt, and not before.
func TestClause_10_LateAnswersAreMarked(t *testing.T) {
	clock := receivertest.NewClock()
	clock.Advance(-31 * 24 * time.Hour)
	h := newHouse(t, receivertest.Options{Clock: clock})
	h.posted()
	h.must("complaint", "file", "CANARY late")
	list := h.cases("complaint")
	if len(list) != 1 || list[0].State != "received" || !list[0].Overdue {
		t.Errorf("31 days after the receipt: %+v", list)
	}
	if out := h.must("complaint", "list"); !strings.Contains(out, "OVERDUE") {
		t.Errorf("listed: %s", out)
	}
	if out := h.must("complaint", "list", "--lang", "zh-CN"); !strings.Contains(out, "已逾期") {
		t.Errorf("listed: %s", out)
	}
}

// TestClause_v_IndexOfRights: each right of the guideline with its command, made of the policy: a right that nothing is covered by is not
// listed, every command exists, and every controller is reachable.
func TestClause_v_IndexOfRights(t *testing.T) {
	h := newHouse(t, receivertest.Options{})
	list, err := h.client.Rights(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range list {
		ids = append(ids, r.Clause)
		if len(r.Covers) == 0 || len(r.Contacts) == 0 || r.Name["zh-CN"] == "" || r.Does["en"] == "" {
			t.Errorf("%s: %+v", r.ID, r)
		}
		for _, c := range r.Commands {
			words := strings.Fields(strings.TrimPrefix(c, "scruple "))
			h.must(words[0], words[1], "--help")
		}
	}
	if want := []string{"6.1", "6.2", "6.3", "6.4", "6.5", "6.6", "6.7"}; !reflect.DeepEqual(ids, want) {
		t.Errorf("clauses %v, want %v", ids, want)
	}
	for lang, want := range map[string]string{"en": "privacy@payments.example.com", "zh-CN": "投诉"} {
		if out := h.must("rights", "--lang", lang); !strings.Contains(out, want) {
			t.Errorf("in %s: %s", lang, out)
		}
		if page := h.must("rights", "--html", "--lang", lang); !strings.Contains(page, want) || strings.Contains(page, "<script") {
			t.Errorf("page in %s: %s", lang, page)
		}
	}

	small := newHouse(t, receivertest.Options{Policy: withoutCategories(t, configs.PolicyYAML, "privacy-settings")})
	list, err = small.client.Rights(t.Context())
	if err != nil || len(list) != 6 || list[len(list)-1].ID != "complain" {
		t.Errorf("without settings in the policy: %d rights, %v", len(list), err)
	}

	h.posted()
	out := h.must("data", "explain", "posts/moments")
	for _, want := range []string{"clause 1.3", "given", "notice ", "batches sent: 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("explained without %q: %s", want, out)
		}
	}
	e, err := h.client.ExplainTuple(t.Context(), "posts/moments")
	if err != nil || len(e.Sent) != 1 {
		t.Fatalf("%+v, %v", e, err)
	}
	batch := e.Sent[0].Path[strings.LastIndex(e.Sent[0].Path, "/")+1:]
	if out := h.must("data", "explain", batch); !strings.Contains(out, "CANARY one") {
		t.Errorf("the batch explained: %s", out)
	}
}

// withoutCategories takes categories out of a policy.
func withoutCategories(t *testing.T, yaml []byte, ids ...string) []byte {
	t.Helper()
	text := string(yaml)
	for _, id := range ids {
		from := strings.Index(text, "\n  - id: "+id+"\n")
		if from < 0 {
			t.Fatalf("the policy has no category %s", id)
		}
		rest := text[from+1:]
		if next := strings.Index(rest[1:], "\n  - id: "); next >= 0 {
			rest = rest[next+2:]
		} else {
			rest = ""
		}
		text = text[:from+1] + rest
	}
	return []byte(text)
}
