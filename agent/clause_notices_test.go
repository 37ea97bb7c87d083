package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// announce signs a notice at the receiver, changed by edit, and returns its id.
func (h *house) announce(kind wire.NoticeKind, policy []byte, edit func(*wire.Notice)) string {
	h.t.Helper()
	n := wire.Notice{
		Kind: kind,
		What: map[string]string{"en": "What has happened.", "zh-CN": "发生了什么。"},
		Do:   map[string]string{"en": "What to do.", "zh-CN": "应该做什么。"},
	}
	if kind == wire.NoticeBreach {
		n.Since, n.Categories = time.Now().AddDate(0, 0, -1), []string{"device"}
	}
	if edit != nil {
		edit(&n)
	}
	signer, _, err := receiver.ReadNoteKey(filepath.Join(h.far.Dir, receiver.ControllerKey))
	if err != nil {
		h.t.Fatal(err)
	}
	now := time.Now()
	if !n.Time.IsZero() {
		now = n.Time
	}
	controller := n.Controller
	if controller == "" {
		controller = "messenger"
	}
	signed, err := h.far.Store.AddNotice(h.t.Context(), n, policy, controller, signer, receiver.Accessor{Who: "test", Command: "notices add", Now: now})
	if err != nil {
		h.t.Fatal(err)
	}
	return signed.Controller + "/" + string('0'+rune(signed.Number))
}

// TestClause_3_ABreachStopsUntilThePersonDecides: a breach notice stops what goes to the controller, over a restart too; consent
// messages still leave; the person reads it and decides, once to go on, once to stop and have it erased.
func TestClause_3_ABreachStopsUntilThePersonDecides(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	h.steps(1337)
	h.give("steps/compare")
	id := h.known(tuple)
	breach := h.announce(wire.NoticeBreach, nil, nil)
	if out := h.must("notices", "pull"); !strings.Contains(out, breach) {
		t.Errorf("pull: %s", out)
	}
	for range 2 {
		if out := h.must("status"); !strings.Contains(out, "until you decide: messenger") {
			t.Errorf("the status does not show it:\n%s", out)
		}
		h.refused(control.ExitRefused, "until you decide", "egress", "send", tuple)
		h.stop()
		if err := os.RemoveAll(filepath.Join(h.dir, "state", "notices")); err != nil { // the stop does not rest on the files
			t.Fatal(err)
		}
		h.start()
	}
	h.must("notices", "pull")
	if held, _ := h.holding(id); held.Batches != 0 {
		t.Errorf("%d batches left after the breach", held.Batches)
	}
	h.must("consent", "withdraw", "steps/compare")
	h.introduced()
	if n := h.receipts("withdrawal", "steps/compare"); n != 1 {
		t.Errorf("%d receipts for the withdrawal", n)
	}
	for lang, words := range map[string]string{"en": "What has happened.", "zh-CN": "应该做什么。"} {
		if out := h.must("notices", "show", breach, "--lang", lang); !strings.Contains(out, words) || !strings.Contains(out, "device") {
			t.Errorf("show in %s:\n%s", lang, out)
		}
	}
	h.must("notices", "decide", breach, "--continue")
	h.refused(control.ExitFailed, "nothing to decide", "notices", "decide", breach, "--continue")
	h.must("egress", "send", tuple)
	if held, _ := h.holding(id); held.Batches != 1 {
		t.Errorf("%d batches after going on", held.Batches)
	}
	if s := h.status(); len(s.Notices.Unread)+len(s.Notices.Stopped) != 0 {
		t.Errorf("%+v", s.Notices)
	}

	again := h.announce(wire.NoticeBreach, nil, nil)
	h.must("notices", "pull")
	if out := h.must("notices", "decide", again, "--stop", "--clear"); !strings.Contains(out, tuple) {
		t.Errorf("stop: %s", out)
	}
	h.introduced()
	if held, _ := h.holding(id); held.Batches != 0 || held.Status != receiver.StatusWithdrawn {
		t.Errorf("after --stop --clear the receiver holds %+v", held)
	}
	if list, err := h.far.Store.Accesses(t.Context()); err != nil || len(list) < 2 || list[0].Command != "notices add" {
		t.Errorf("the receiver's record of accesses: %v, %v", list, err)
	}
}

// TestClause_3_BreachNoticeRidesWithAnUpload: nobody has to ask: the notice comes with the next upload, before it.
func TestClause_3_BreachNoticeRidesWithAnUpload(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	id := h.known(tuple)
	h.stop()
	h.announce(wire.NoticeBreach, nil, nil)
	h.start()
	h.refused(control.ExitRefused, "until you decide", "egress", "send", tuple)
	if held, _ := h.holding(id); held.Batches != 0 {
		t.Errorf("%d batches left before the notice was looked at", held.Batches)
	}
}

// TestClause_3_BreachNoticeAfterWithdrawal: while the controller may keep what it was sent, a breach is heard of; after it has
// confirmed the erasure it is not asked any more.
func TestClause_3_BreachNoticeAfterWithdrawal(t *testing.T) {
	t.Parallel()
	const tuple = "device/service" // kept 180 days
	h := newHouse(t, receivertest.Options{})
	h.give(tuple)
	h.collected(tuple)
	h.send(tuple)
	h.must("consent", "withdraw", tuple)
	h.introduced()
	breach := h.announce(wire.NoticeBreach, nil, nil)
	if out := h.must("notices", "pull"); !strings.Contains(out, breach) {
		t.Errorf("pull: %s", out)
	}
	h.must("consent", "withdraw", tuple, "--clear")
	h.introduced()
	before := h.far.Faults.Seen("GET /v1/notices")
	if out := h.must("notices", "pull"); !strings.Contains(out, "No controller knows you") {
		t.Errorf("pull: %s", out)
	}
	if n := h.far.Faults.Seen("GET /v1/notices"); n != before {
		t.Error("the controller was asked after it had confirmed the erasure")
	}
}

// TestClause_3_ForeignNoticeIsRefused: what is not this controller's is refused and stops nothing.
func TestClause_3_ForeignNoticeIsRefused(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	h.known(tuple)
	h.announce(wire.NoticeBreach, nil, func(n *wire.Notice) { n.Controller = "payments" })
	h.refused(control.ExitFailed, "refused", "notices", "pull")
	if s := h.status(); len(s.Notices.Unread)+len(s.Notices.Stopped) != 0 {
		t.Errorf("%+v", s.Notices)
	}
	h.must("egress", "send", tuple)
}

// TestClause_2_2_EndOfService: at the day that the controller has announced the daemon withdraws everything from it, asks for
// erasure, and keeps the signed answer.
func TestClause_2_2_EndOfService(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	id := h.give(tuple)
	h.collected(tuple)
	h.send(tuple)
	end := h.announce(wire.NoticeEnd, nil, func(n *wire.Notice) { n.Ends = time.Now().Add(3 * time.Second) })
	h.must("notices", "pull")
	if row := h.tuple(tuple); row.Status != control.StatusGiven {
		t.Errorf("before the day: %s", row.Status)
	}
	eventually(t, "the service ends", func() bool { return h.tuple(tuple).Status == control.StatusWithdrawn })
	h.introduced()
	if held, _ := h.holding(id); held.Batches != 0 {
		t.Errorf("the receiver holds %+v", held)
	}
	n, err := h.client.ShowAnnouncement(t.Context(), end)
	if err != nil || n.Erased.IsZero() || h.receipts("erasure", tuple) != 1 {
		t.Errorf("no proof of the erasure: %+v, %v", n, err)
	}
}

// TestClause_7_NoticeBringsThePolicy: a policy change is announced with the signed policy, which is shown once and under which
// nothing new is collected before the person agrees.
func TestClause_7_NoticeBringsThePolicy(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	h.known(tuple)
	later := edited(t, h.far.YAML, "\nversion: 1\n", "\nversion: 2\n")
	later = edited(t, later, "{device: {for: 30d}, controller: {for: 180d}}", "{device: {for: 30d}, controller: {for: 360d}}")
	id := h.announce(wire.NoticePolicy, h.resign(later), func(n *wire.Notice) { n.Policy = 2 })
	h.must("notices", "pull")
	s := h.status()
	if s.Policy.Version != 2 || len(s.Notices.Unread) != 1 || s.Notices.Unread[0] != id {
		t.Errorf("policy %d, %+v", s.Policy.Version, s.Notices)
	}
	if row := h.tuple(tuple); row.Collecting || row.Reason != control.ReasonPolicyChanged {
		t.Errorf("%+v", row)
	}
	h.must("notices", "show", id)
	h.stop()
	h.start()
	if s := h.status(); s.Policy.Version != 2 || len(s.Notices.Unread) != 0 {
		t.Errorf("after a restart: policy %d, %+v", s.Policy.Version, s.Notices)
	}
}

// TestClause_7_ALaterPolicyFromBeforeTheConsent: who agreed to a policy that its controller had replaced long before gets the later one.
func TestClause_7_ALaterPolicyFromBeforeTheConsent(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	later := edited(t, h.far.YAML, "\nversion: 1\n", "\nversion: 2\n")
	later = edited(t, later, "{device: {for: 30d}, controller: {for: 180d}}", "{device: {for: 30d}, controller: {for: 360d}}")
	h.announce(wire.NoticePolicy, h.resign(later), func(n *wire.Notice) { n.Policy, n.Time = 2, time.Now().AddDate(0, 0, -30) })
	h.known(tuple)
	h.must("notices", "pull")
	if s := h.status(); s.Policy.Version != 2 || len(s.Notices.Unread) != 0 {
		t.Errorf("policy %d, %+v", s.Policy.Version, s.Notices)
	}
	if row := h.tuple(tuple); row.Collecting || row.Reason != control.ReasonPolicyChanged {
		t.Errorf("%+v", row)
	}
}
