package agent_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// deviceRules is what the example policy says of device information, as far as the tests change it.
const deviceRules = `        feature: device-support
        controller: messenger
        collect: {mode: background, every: 1d}
        minimiser: {name: device}
        retention: {device: {for: 30d}, controller: {for: 180d}}
`

const stepRules = `        minimiser: {name: steps, round: 1}
        retention: {device: {for: 7d}, controller: {for: 30d}}
`

// changed stops both ends and starts them again under another policy, signed by the same key.
func (h *house) changed(yaml []byte) {
	h.t.Helper()
	h.stop()
	h.far.Stop()
	h.far = receivertest.New(h.t, receivertest.Options{Dir: h.far.Dir, Policy: yaml})
	h.write("note", h.far.Note)
	h.start()
}

// TestClause_7_OnlyAfterAgree: a new policy version is shown as a readable difference. What it loosens stops until the person has
// agreed to it, and what was stored under the old one does not leave; what is unchanged or narrower goes on.
func TestClause_7_OnlyAfterAgree(t *testing.T) {
	t.Parallel()
	const loosened, narrowed, unchanged = "device/service", "steps/compare", "location/nearby"
	h := newHouse(t, receivertest.Options{})
	h.steps(13370)
	old := map[string]string{}
	for _, tuple := range []string{loosened, narrowed, unchanged} {
		old[tuple] = h.give(tuple)
	}
	h.collected(loosened)
	h.introduced()
	later := edited(t, h.far.YAML, "\nversion: 1\n", "\nversion: 2\n",
		deviceRules, strings.Replace(deviceRules, "180d", "360d", 1), stepRules, strings.Replace(stepRules, "30d", "20d", 1))
	h.write("later.yaml", later)
	difference := h.must("policy", "diff", h.dir+"/later.yaml")
	for _, line := range []string{loosened, narrowed} {
		if !strings.Contains(difference, line) || strings.Contains(difference, unchanged) {
			t.Errorf("the difference does not say what changed:\n%s", difference)
		}
	}

	h.changed(later)
	row := h.tuple(loosened)
	if row.Collecting || row.Reason != control.ReasonPolicyChanged {
		t.Errorf("%s, which was loosened: collecting %v, reason %q", loosened, row.Collecting, row.Reason)
	}
	if list := h.must("consent", "list"); !strings.Contains(list, "given, but the policy has changed: to be asked again") {
		t.Errorf("the list of consents does not say that one does not count:\n%s", list)
	}
	for _, f := range h.status().Features {
		if f.ID == row.Feature && (f.On || !slices.Equal(f.Off, []string{loosened})) {
			t.Errorf("the feature of %s: on %v, missing %v", loosened, f.On, f.Off)
		}
	}
	h.refused(control.ExitRefused, loosened, "data", "collect", loosened)
	h.refused(control.ExitRefused, loosened, "egress", "send", loosened)
	for _, tuple := range []string{narrowed, unchanged} {
		if row := h.tuple(tuple); row.Status != control.StatusGiven || row.Consent != old[tuple] || row.Reason == control.ReasonPolicyChanged {
			t.Errorf("%s: status %q, reason %q", tuple, row.Status, row.Reason)
		}
	}
	if _, err := h.client.Collect(t.Context(), narrowed); err != nil {
		t.Errorf("%s does not go on: %v", narrowed, err)
	}
	wait()
	if n := h.far.Faults.Seen("PUT /v1/batches/"); n != 0 {
		t.Errorf("%d batches left before the person agreed", n)
	}

	renewed := h.give(loosened)
	if row := h.tuple(loosened); !row.Collecting || row.Consent == old[loosened] {
		t.Errorf("%s, agreed to: reason %q", loosened, row.Reason)
	}
	if _, err := h.client.Collect(t.Context(), loosened); err != nil {
		t.Fatal(err)
	}
	h.send(loosened)
	if held, _ := h.holding(renewed); held.Batches == 0 || held.Status != receiver.StatusGiven {
		t.Errorf("under the renewed consent the receiver holds %+v", held)
	}
	if held, _ := h.holding(old[loosened]); held.Batches != 0 {
		t.Errorf("under the old consent the receiver holds %+v", held)
	}
}

// TestClause_7_WhileRunning: a later version that comes to the running daemon stops what it loosens at once and nothing else; one
// that is older, or signed by nobody the device knows, changes nothing.
func TestClause_7_WhileRunning(t *testing.T) {
	t.Parallel()
	const loosened, unchanged = "device/service", "steps/compare"
	h := newHouse(t, receivertest.Options{})
	h.steps(13370)
	ids := map[string]string{loosened: h.give(loosened), unchanged: h.give(unchanged)}
	h.collected(loosened)
	h.introduced()
	version := func(n, kept string) []byte {
		return edited(t, h.far.YAML, "\nversion: 1\n", "\nversion: "+n+"\n", deviceRules, strings.Replace(deviceRules, "180d", kept, 1))
	}
	untouched := func() {
		t.Helper()
		for tuple, id := range ids {
			if row := h.tuple(tuple); row.Status != control.StatusGiven || row.Consent != id || row.Reason == control.ReasonPolicyChanged {
				t.Errorf("%s: status %q, reason %q", tuple, row.Status, row.Reason)
			}
		}
	}
	signer, _, err := policy.GenerateKey("policy")
	if err != nil {
		t.Fatal(err)
	}
	forged, err := policy.Sign(version("3", "360d"), signer)
	if err != nil {
		t.Fatal(err)
	}
	for name, note := range map[string][]byte{"forged": forged, "unsigned": version("3", "360d"), "the same version": h.resign(version("1", "360d"))} {
		if _, err := h.client.UpdatePolicy(t.Context(), note); err == nil {
			t.Errorf("a policy that is %s was taken over", name)
		}
	}
	untouched()

	answer, err := h.client.UpdatePolicy(t.Context(), h.resign(version("2", "360d")))
	if err != nil || answer.Version != 2 {
		t.Fatalf("version %d, %v", answer.Version, err)
	}
	if !slices.ContainsFunc(answer.Changes, func(c control.PolicyChange) bool { return c.Tuple == loosened && !c.GoesOn }) ||
		slices.ContainsFunc(answer.Changes, func(c control.PolicyChange) bool { return c.Tuple == unchanged }) {
		t.Errorf("the difference is %+v", answer.Changes)
	}
	if row := h.tuple(loosened); row.Collecting || row.Reason != control.ReasonPolicyChanged {
		t.Errorf("%s: collecting %v, reason %q", loosened, row.Collecting, row.Reason)
	}
	h.refused(control.ExitRefused, loosened, "data", "collect", loosened)
	h.refused(control.ExitRefused, loosened, "egress", "send", loosened)
	delete(ids, loosened)
	untouched()
	if _, err := h.client.UpdatePolicy(t.Context(), h.resign(version("1", "180d"))); err == nil {
		t.Error("an older policy was taken over")
	}
	if _, err := h.client.Collect(t.Context(), unchanged); err != nil {
		t.Errorf("%s does not go on: %v", unchanged, err)
	}
	wait()
	if n := h.far.Faults.Seen("PUT /v1/batches/"); n != 0 {
		t.Errorf("%d batches left", n)
	}
}

// TestClause_9_TheSpecificOneIsInForce: a specific policy laid over the general one wins for what it names. Where it is looser the
// consent to the general one does not cover it, where it is narrower it does, the rest is untouched, and what is in force
// can be printed.
func TestClause_9_TheSpecificOneIsInForce(t *testing.T) {
	t.Parallel()
	const loosened, narrowed, unnamed = "location/nearby", "steps/compare", "location/shake"
	const specific = `policy: people-nearby
version: 1
effective: 2026-09-01
over: example-messenger
categories:
  - id: location
    purposes:
      - {id: nearby, minimiser: {level: 13}}
  - id: steps
    purposes:
      - {id: compare, retention: {controller: {for: 20d}}}
`
	gps := newGPSD(t)
	h := newHouse(t, receivertest.Options{}, "gpsd: "+gps.address+"\n")
	old := map[string]string{}
	for _, tuple := range []string{loosened, narrowed, unnamed} {
		old[tuple] = h.give(tuple)
	}
	h.introduced()
	h.stop()
	effective, err := policy.Layer("general", h.far.YAML, "specific", []byte(specific))
	if err != nil {
		t.Fatal(err)
	}
	h.write("specific", h.resign([]byte(specific)))
	h.configure(h.far.Key, "upload:\n  slot: 24h\ngpsd: "+gps.address+"\npolicy_layers: ["+strconv.Quote(h.dir+"/specific")+"]\n")
	h.far.Stop()
	h.far = receivertest.New(t, receivertest.Options{Dir: h.far.Dir, Policy: effective})
	h.start()

	if row := h.tuple(loosened); row.Reason != control.ReasonPolicyChanged {
		t.Errorf("%s, where the specific policy is looser: reason %q", loosened, row.Reason)
	}
	if _, err := h.client.OpenSession(t.Context(), loosened, time.Minute); control.ExitCode(err) != control.ExitRefused {
		t.Errorf("%s is read under the looser policy: %v", loosened, err)
	}
	for _, tuple := range []string{narrowed, unnamed} {
		if row := h.tuple(tuple); row.Status != control.StatusGiven || row.Consent != old[tuple] || row.Reason == control.ReasonPolicyChanged {
			t.Errorf("%s: status %q, reason %q", tuple, row.Status, row.Reason)
		}
	}
	printed, err := policy.Parse("printed", []byte(h.must("policy", "show")))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := printed.Effective("location", "nearby")
	if err != nil || rules.Purpose.Minimiser.Level != 13 || rules.Purpose.Feature != "people-nearby" {
		t.Errorf("what is printed as in force: %+v, %v", rules.Purpose, err)
	}

	renewed := h.give(loosened)
	if _, err := h.client.OpenSession(t.Context(), loosened, time.Minute); err != nil {
		t.Fatal(err)
	}
	h.collected(loosened)
	if err := h.client.CloseSession(t.Context(), loosened); err != nil {
		t.Error(err)
	}
	h.send(loosened)
	if items := fields(t, h.sent(loosened)...); len(items) != 1 || items[0]["level"] != 13.0 {
		t.Errorf("under the renewed consent %v left", items)
	}
	if held, _ := h.holding(renewed); held.Batches != 1 {
		t.Errorf("the receiver holds %+v", held)
	}
}

// TestClause_5_AnotherControllerAsksAgain: when a later policy names another company for what was agreed to, the consent ends,
// the old controller is told, and the new one learns nothing, not even of the person, before they agree.
func TestClause_5_AnotherControllerAsksAgain(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	old := h.known(tuple)
	heir := receivertest.New(t, receivertest.Options{Controller: "payments", Policy: h.far.YAML})
	h.changed(edited(t, heir.YAML, "\nversion: 1\n", "\nversion: 2\n", deviceRules, strings.Replace(deviceRules, "messenger", "payments", 1)))
	heir.Stop()
	heir = receivertest.New(t, receivertest.Options{Dir: heir.Dir, Controller: "payments", Policy: h.far.YAML})

	if row := h.tuple(tuple); row.Status == control.StatusGiven || row.Collecting || row.Controller != "payments" {
		t.Errorf("status %q for %s, collecting %v", row.Status, row.Controller, row.Collecting)
	}
	h.refused(control.ExitRefused, tuple, "data", "collect", tuple)
	h.refused(control.ExitRefused, tuple, "egress", "send", tuple)
	eventually(t, "the old controller is told", func() bool {
		held, _ := h.holding(old)
		return held.Status == receiver.StatusWithdrawn
	})
	if n := heir.Faults.Seen(""); n != 0 {
		t.Errorf("the new controller saw %d requests before it was agreed to", n)
	}

	renewed := h.give(tuple)
	if _, err := h.client.Collect(t.Context(), tuple); err != nil {
		t.Fatal(err)
	}
	h.send(tuple)
	held := heir.Holdings(t)
	if len(held) != 1 || held[0].Consent.String() != renewed || held[0].Batches != 1 {
		t.Errorf("the new controller holds %+v", held)
	}
	if gone := h.far.Holdings(t); slices.ContainsFunc(gone, func(g receiver.Holding) bool { return g.Batches != 0 || g.Pseudonym == held[0].Pseudonym }) {
		t.Errorf("the old controller holds %+v", gone)
	}
}
