package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// deployer signs the versions of a policy.
type deployer struct{ signer, verifier string }

func newDeployer(t *testing.T) deployer {
	t.Helper()
	s, v, err := policy.GenerateKey("deployer")
	if err != nil {
		t.Fatal(err)
	}
	return deployer{s, v}
}

func (d deployer) sign(t *testing.T, yaml string) []byte {
	t.Helper()
	note, err := policy.Sign([]byte(yaml), d.signer)
	if err != nil {
		t.Fatal(err)
	}
	return note
}

// edit returns a policy with a later version and other texts in place of some, each of which must be there.
func edit(t *testing.T, yaml, version string, pairs ...string) string {
	t.Helper()
	pairs = append([]string{"\nversion: 1\n", "\nversion: " + version + "\n"}, pairs...)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(yaml, pairs[i]) {
			t.Fatalf("the policy has no %q", pairs[i])
		}
		yaml = strings.Replace(yaml, pairs[i], pairs[i+1], 1)
	}
	return yaml
}

// within returns the text of one purpose, to be edited: everything from its id to its DPV term.
func within(t *testing.T, yaml, id string) string {
	t.Helper()
	_, rest, ok := strings.Cut(yaml, "      - id: "+id+"\n")
	if !ok {
		t.Fatalf("the policy has no purpose %s", id)
	}
	text, _, _ := strings.Cut(rest, "        dpv: ")
	return text
}

// change is the versions of one receiver's policy on both ends.
type change struct {
	*running
	rcv  *receivertest.Receiver
	by   deployer
	yaml string // version 1
}

func changing(t *testing.T) change {
	t.Helper()
	c := change{rcv: receivertest.New(t, receivertest.Options{}), by: newDeployer(t)}
	c.yaml = string(c.rcv.YAML)
	s := base(t)
	s.PolicyFile, s.PolicyKey = filepath.Join(filepath.Dir(s.StateDir), "policy.note"), c.by.verifier
	if err := os.WriteFile(s.PolicyFile, c.by.sign(t, c.yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c.running = start(t, s)
	return c
}

// both puts a version into force on both ends; the receiver goes on accepting the one before.
func (c change) both(t *testing.T, yaml string) control.PolicyUpdate {
	t.Helper()
	c.rcv.Change(t, true, func(string) string { return yaml })
	u, err := c.UpdatePolicy(t.Context(), c.by.sign(t, yaml))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// serviceOf is purpose device/service in another form.
func serviceOf(t *testing.T, yaml, old, replacement string) (whole, edited string) {
	t.Helper()
	whole = within(t, yaml, "service")
	if !strings.Contains(whole, old) {
		t.Fatalf("device/service has no %q", old)
	}
	return whole, strings.Replace(whole, old, replacement, 1)
}

const service = "device/service"

// oneReport waits until the first report of device/service lies in the spool.
func (c change) oneReport(t *testing.T) {
	t.Helper()
	c.give(t, service)
	eventually(t, "the device is read", func() bool { return c.tuple(t, service).Spool.Reports == 1 })
}

// TestClause_7_NarrowerGoesOn: a policy that asks for less goes on under the old consent, and what was made under the
// wider terms leaves where the content is the same.
func TestClause_7_NarrowerGoesOn(t *testing.T) {
	c := changing(t)
	c.oneReport(t)
	before := c.tuple(t, service)
	whole, edited := serviceOf(t, c.yaml, "controller: {for: 180d}", "controller: {for: 30d}")
	u := c.both(t, edit(t, c.yaml, "2", whole, edited))
	if u.Version != 2 || u.Before != 1 {
		t.Errorf("version %d after %d", u.Version, u.Before)
	}
	found := false
	for _, x := range u.Changes {
		found = found || x.Tuple == service && x.Narrower && x.GoesOn && len(x.Details) == 1 && x.Details[0].Field == "retention.controller"
	}
	if !found {
		t.Errorf("the difference is not shown: %+v", u.Changes)
	}
	if now := c.tuple(t, service); !now.Collecting || now.Consent != before.Consent || now.Spool.Reports != 1 {
		t.Errorf("narrower, and it does not go on: %+v", now)
	}
	if sent, err := c.Flush(t.Context(), service); err != nil || sent.Reports != 1 {
		t.Fatalf("sent %+v: %v", sent, err)
	}
	if held := c.rcv.Holdings(t); len(held) != 1 || held[0].Status != "given" {
		t.Errorf("the receiver holds %+v", held)
	}
	if open, err := c.PolicyChanges(t.Context()); err != nil || len(open) != 1 || !open[0].GoesOn {
		t.Errorf("open differences: %+v, %v", open, err)
	}
}

// TestClause_7_NarrowerContent: what was made with more in it stays, and what is made now has less.
func TestClause_7_NarrowerContent(t *testing.T) {
	c := changing(t)
	c.oneReport(t)
	i := strings.Index(c.yaml, "- {name: network,")
	line, _, _ := strings.Cut(c.yaml[i:], "\n")
	c.both(t, edit(t, c.yaml, "2", "      "+line+"\n", ""))
	if _, err := c.Collect(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	sent, err := c.Flush(t.Context(), service)
	if err != nil || sent.Reports != 1 {
		t.Fatalf("sent %+v: %v", sent, err)
	}
	if row := c.tuple(t, service); row.Spool.Parked != 1 {
		t.Errorf("%d reports kept back, want the one with the field", row.Spool.Parked)
	}
	list, err := c.EgressList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Lane != "B" && e.Lane != "features" && !strings.HasPrefix(e.Path, "/v1/batches/") {
			continue
		}
		body, err := c.EgressBody(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body.Content), `"network"`) {
			t.Error("a field that the policy no longer declares has left")
		}
	}
}

// TestClause_7_AsksAgain: anything else stops until the person agrees; what was stored stays and does not leave; what is
// unchanged goes on; after the answer the old consent is over, its controller told, its reports still there.
func TestClause_7_AsksAgain(t *testing.T) {
	c := changing(t)
	c.oneReport(t)
	c.give(t, "location/nearby")
	old := c.tuple(t, service).Consent
	if _, err := c.Flush(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	whole, edited := serviceOf(t, c.yaml, "controller: {for: 180d}", "controller: {for: 200d}")
	c.both(t, edit(t, c.yaml, "2", whole, edited))

	waits := func(when string) {
		t.Helper()
		row := c.tuple(t, service)
		if row.Collecting || row.Reason != control.ReasonPolicyChanged || row.Spool.Reports != 1 || row.Consent != old {
			t.Errorf("%s: %+v", when, row)
		}
		if _, err := c.Collect(t.Context(), service); control.ExitCode(err) != control.ExitRefused {
			t.Errorf("%s: collected: %v", when, err)
		}
		if _, err := c.Flush(t.Context(), service); control.ExitCode(err) != control.ExitRefused {
			t.Errorf("%s: sent: %v", when, err)
		}
		if got := c.tuple(t, "location/nearby").Reason; got != control.ReasonNoSession {
			t.Errorf("%s: what is unchanged does not go on: %q", when, got)
		}
		open, err := c.PolicyChanges(t.Context())
		if err != nil || len(open) != 1 || open[0].Tuple != service || open[0].Narrower || open[0].GoesOn {
			t.Errorf("%s: open questions: %+v, %v", when, open, err)
		}
	}
	waits("changed")
	s := c.settings
	c.stop()
	c.running = start(t, s)
	waits("after a restart") // with the version that came while it ran: the settings still name the first
	if status, err := c.Status(t.Context()); err != nil || status.Policy.Version != 2 {
		t.Errorf("after a restart: version %d, %v", status.Policy.Version, err)
	}

	c.give(t, service)
	row := c.tuple(t, service)
	if row.Consent == old || !row.Collecting || row.Spool.Parked != 1 {
		t.Errorf("after agreeing: %+v", row)
	}
	data, err := c.Data(t.Context(), service, false)
	if err != nil || len(data.Tuples) != 1 || len(data.Tuples[0].Reports) < 1 || data.Tuples[0].Reports[0].Consent != old {
		t.Errorf("what is kept back cannot be seen: %+v, %v", data, err)
	}
	eventually(t, "the controller is told", func() bool {
		for _, h := range c.rcv.Holdings(t) {
			if h.Status == "withdrawn" {
				return true
			}
		}
		return false
	})
	if _, err := c.Collect(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Flush(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	if row := c.tuple(t, service); row.Spool.Parked != 1 || row.Spool.Reports != 0 {
		t.Errorf("the reports of the old consent: %+v", row.Spool)
	}
}

// TestPolicyUpdateIsRefused: what is older, loosened under its version, another's, damaged or another document
// changes nothing.
func TestPolicyUpdateIsRefused(t *testing.T) {
	c := changing(t)
	c.give(t, service)
	second := edit(t, c.yaml, "2")
	c.both(t, second)
	whole, edited := serviceOf(t, c.yaml, "controller: {for: 180d}", "controller: {for: 200d}")
	damaged := c.by.sign(t, edit(t, c.yaml, "3"))
	damaged[len(damaged)/2] ^= 1
	for name, tt := range map[string]struct {
		note []byte
		says string
	}{
		"older":               {c.by.sign(t, c.yaml), "put the later version back"},
		"the same, loosened":  {c.by.sign(t, edit(t, c.yaml, "2", whole, edited)), "later version"},
		"another key":         {newDeployer(t).sign(t, edit(t, c.yaml, "3")), "not signed by the pinned key"},
		"damaged":             {damaged, "signature"},
		"unsigned":            {[]byte(edit(t, c.yaml, "3")), "not signed"},
		"another document":    {c.by.sign(t, edit(t, c.yaml, "3", "policy: example-messenger\n", "policy: other\n")), "another id"},
		"nothing of the kind": {[]byte("hello"), ""},
	} {
		_, err := c.UpdatePolicy(t.Context(), tt.note)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
		if status, err := c.Status(t.Context()); err != nil || status.Policy.Version != 2 || !c.tuple(t, service).Collecting {
			t.Errorf("%s: it changed something: version %d", name, status.Policy.Version)
		}
	}
	if u, err := c.UpdatePolicy(t.Context(), c.by.sign(t, second)); err != nil || len(u.Changes) != 0 {
		t.Errorf("the same once more: %+v, %v", u, err)
	}
}

// TestPolicyMarks: what is refused at a start, each with what to do.
func TestPolicyMarks(t *testing.T) {
	by := newDeployer(t)
	yaml := string(receivertest.New(t, receivertest.Options{}).YAML)
	s := base(t)
	s.PolicyFile, s.PolicyKey = filepath.Join(filepath.Dir(s.StateDir), "policy.note"), by.verifier
	put := func(note []byte) {
		t.Helper()
		if err := os.WriteFile(s.PolicyFile, note, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(by.sign(t, yaml))
	if err := open(s); err != nil {
		t.Fatal(err)
	}
	whole, edited := serviceOf(t, yaml, "controller: {for: 180d}", "controller: {for: 200d}")
	put(by.sign(t, strings.Replace(yaml, whole, edited, 1)))
	if err := open(s); err == nil || !strings.Contains(err.Error(), "signed as a later version") {
		t.Errorf("loosened under the same version: %v", err)
	}
	// A layer that was in force cannot be left out.
	put(by.sign(t, yaml))
	l := s
	layer := filepath.Join(filepath.Dir(s.StateDir), "layer.note")
	l.PolicyLayers = []string{layer}
	doc, err := policy.Parse("policy", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	text := "policy: specific\nversion: 1\neffective: 2026-01-01\nover: " + doc.ID + "\n"
	note, err := policy.SignLayer([]policy.File{{Name: "general", Data: []byte(yaml)}}, policy.File{Name: "layer", Data: []byte(text)}, by.signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(layer, note, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(l); err != nil {
		t.Fatalf("with a layer: %v", err)
	}
	if err := open(s); err == nil || !strings.Contains(err.Error(), "put") {
		t.Errorf("without the layer: %v", err)
	}
	// A new key needs the old one's signature.
	next := newDeployer(t)
	rotated := l
	rotated.PolicyKey = next.verifier
	later, later2 := by.sign(t, edit(t, yaml, "2")), next.sign(t, edit(t, yaml, "2"))
	both, err := policy.Sign(later, next.signer)
	if err != nil {
		t.Fatal(err)
	}
	noteBoth, err := policy.SignLayer([]policy.File{{Name: "general", Data: []byte(yaml)}}, policy.File{Name: "layer", Data: note}, next.signer)
	if err != nil {
		t.Fatal(err)
	}
	put(later2)
	if err := os.WriteFile(layer, noteBoth, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(rotated); err == nil || !strings.Contains(err.Error(), "signed by the old key and the new one") {
		t.Errorf("the new key alone: %v", err)
	}
	put(both)
	if err := open(rotated); err != nil {
		t.Errorf("signed by both: %v", err)
	}
	if err := open(l); err == nil {
		t.Error("the old key after the rotation: accepted")
	}
	if err := open(rotated); err != nil {
		t.Errorf("the new key from then on: %v", err)
	}
}

// TestClause_9_LayersInTheAgent: the specific one wins; where it is looser, a consent to the general one does not cover
// it; the effective policy and the conflicts are shown.
func TestClause_9_LayersInTheAgent(t *testing.T) {
	c := changing(t)
	c.give(t, service)
	c.give(t, "location/nearby")
	doc, err := policy.Parse("policy", []byte(c.yaml))
	if err != nil {
		t.Fatal(err)
	}
	layer := "policy: specific\nversion: 1\neffective: 2026-01-01\nover: " + doc.ID + `
categories:
  - id: location
    purposes: [{id: nearby, minimiser: {level: 10}}]
  - id: device
    purposes: [{id: service, retention: {controller: {for: 300d}}}]
`
	note, err := policy.SignLayer([]policy.File{{Name: "general", Data: []byte(c.yaml)}}, policy.File{Name: "layer", Data: []byte(layer)}, c.by.signer)
	if err != nil {
		t.Fatal(err)
	}
	s := c.settings
	c.stop()
	s.PolicyLayers = []string{filepath.Join(filepath.Dir(s.StateDir), "layer.note")}
	if err := os.WriteFile(s.PolicyLayers[0], note, 0o600); err != nil {
		t.Fatal(err)
	}
	c.running = start(t, s)
	if got := c.tuple(t, service).Reason; got != control.ReasonPolicyChanged {
		t.Errorf("looser: %q", got)
	}
	if got := c.tuple(t, "location/nearby").Reason; got != control.ReasonNoSession {
		t.Errorf("narrower: %q", got)
	}
	p, err := c.Policy(t.Context())
	if err != nil || len(p.Layers) != 2 || len(p.Conflicts) != 2 {
		t.Fatalf("layers %+v, conflicts %+v, %v", p.Layers, p.Conflicts, err)
	}
	if _, err := policy.Parse("effective", []byte(p.YAML)); err != nil || !strings.Contains(p.YAML, "300d") {
		t.Errorf("the effective policy: %v", err)
	}
	// A later version of the layer comes to the running agent.
	next := strings.Replace(strings.Replace(layer, "version: 1", "version: 2", 1), "300d", "100d", 1)
	note, err = policy.SignLayer([]policy.File{{Name: "general", Data: []byte(c.yaml)}}, policy.File{Name: "layer", Data: []byte(next)}, c.by.signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdatePolicy(t.Context(), note); err != nil {
		t.Fatal(err)
	}
	if row := c.tuple(t, service); !row.Collecting {
		t.Errorf("narrower than what was agreed to: %+v", row.Reason)
	}
}

// TestClause_5_Succession: another controller gets nothing before the person agrees to it, and the one before is told
// that it is over.
func TestClause_5_Succession(t *testing.T) {
	first := receivertest.New(t, receivertest.Options{})
	heir := receivertest.New(t, receivertest.Options{Controller: "payments", Policy: first.YAML})
	by, yaml := newDeployer(t), string(heir.YAML)
	s := base(t)
	s.Upload.Slot = 0
	s.PolicyFile, s.PolicyKey = filepath.Join(filepath.Dir(s.StateDir), "policy.note"), by.verifier
	if err := os.WriteFile(s.PolicyFile, by.sign(t, yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, s)
	r.give(t, service)
	eventually(t, "the first report is sent", func() bool { h := first.Holdings(t); return len(h) == 1 && h[0].Status == "given" })
	eventually(t, "nothing waits", func() bool { return r.tuple(t, service).Spool.Reports == 0 })

	whole, edited := serviceOf(t, yaml, "controller: messenger", "controller: payments")
	later := edit(t, yaml, "2", whole, edited)
	heir.Change(t, false, func(string) string { return later })
	if _, err := r.UpdatePolicy(t.Context(), by.sign(t, later)); err != nil {
		t.Fatal(err)
	}
	row := r.tuple(t, service)
	if row.Status == control.StatusGiven || row.Collecting || row.Reason != control.ReasonPolicyChanged || row.Controller != "payments" {
		t.Errorf("after the succession: %+v", row)
	}
	if _, err := r.Collect(t.Context(), service); control.ExitCode(err) != control.ExitRefused {
		t.Errorf("collected for the new controller: %v", err)
	}
	eventually(t, "the first controller is told", func() bool { return first.Holdings(t)[0].Status == "withdrawn" })
	time.Sleep(100 * time.Millisecond)
	if held := heir.Holdings(t); len(held) != 0 {
		t.Errorf("the new controller has something before it was agreed to: %+v", held)
	}
	if open, err := r.PolicyChanges(t.Context()); err != nil || len(open) != 1 || open[0].Tuple != service {
		t.Errorf("the difference: %+v, %v", open, err)
	}
	if data, err := r.Data(t.Context(), service, true); err != nil || !strings.Contains(string(data.Tuples[0].Remote), `"controller":"messenger"`) {
		t.Errorf("what the first controller still holds is not shown: %+v, %v", data, err)
	}
	r.give(t, service)
	eventually(t, "the new controller has the consent", func() bool { h := heir.Holdings(t); return len(h) == 1 && h[0].Status == "given" })
	if open, err := r.PolicyChanges(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("after the answer: %+v, %v", open, err)
	}
}

// TestPolicyIsReadAgain: a later version in the settings' file is picked up at a reload and at a start.
func TestPolicyIsReadAgain(t *testing.T) {
	c := changing(t)
	for version, how := range map[string]func(){
		"2": func() {
			if _, err := c.UpdatePolicy(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if err := os.WriteFile(c.settings.PolicyFile, c.by.sign(t, edit(t, c.yaml, version)), 0o600); err != nil {
			t.Fatal(err)
		}
		how()
		if p, err := c.Policy(t.Context()); err != nil || p.Version != 2 {
			t.Errorf("version %d, %v", p.Version, err)
		}
	}
	s := c.settings
	c.stop()
	if err := os.WriteFile(s.PolicyFile, c.by.sign(t, edit(t, c.yaml, "3")), 0o600); err != nil {
		t.Fatal(err)
	}
	c.running = start(t, s)
	if p, err := c.Policy(t.Context()); err != nil || p.Version != 3 {
		t.Errorf("version %d, %v", p.Version, err)
	}
	// What was stored while running is damaged, and the settings' file is older: nothing starts.
	if _, err := c.UpdatePolicy(t.Context(), c.by.sign(t, edit(t, c.yaml, "4"))); err != nil {
		t.Fatal(err)
	}
	c.stop()
	stored, err := filepath.Glob(filepath.Join(s.StateDir, "policy", "*.note"))
	if err != nil || len(stored) != 1 {
		t.Fatalf("%v, %v", stored, err)
	}
	if err := os.WriteFile(stored[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(s); err == nil || !strings.Contains(err.Error(), "put the later version back") {
		t.Errorf("with a damaged copy: %v", err)
	}
}

// TestClause_ii_RefusingOneLeavesTheOthers: over the whole shipped policy, one refusal at a time: the feature that
// needs it is off, every other one is on.
func TestClause_ii_RefusingOneLeavesTheOthers(t *testing.T) {
	s := base(t)
	s.Dev = true // the shipped policy; nobody is reached under its addresses
	r := start(t, s)
	status, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range status.Tuples {
		r.give(t, row.Tuple)
	}
	for _, row := range status.Tuples {
		if _, err := r.Withdraw(t.Context(), row.Tuple, false); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Refuse(t.Context(), row.Tuple); err != nil {
			t.Fatal(err)
		}
		now, err := r.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range now.Features {
			if f.ID == row.Feature {
				if f.On || len(f.Off) != 1 || f.Off[0] != row.Tuple {
					t.Errorf("%s is refused and its feature %s is %v, off for %v", row.Tuple, f.ID, f.On, f.Off)
				}
			} else if !f.On {
				t.Errorf("%s is refused and %s is off for %v", row.Tuple, f.ID, f.Off)
			}
		}
		for _, other := range now.Tuples {
			if other.Tuple != row.Tuple && other.Status != control.StatusGiven {
				t.Errorf("%s is refused and %s is %q", row.Tuple, other.Tuple, other.Status)
			}
		}
		r.give(t, row.Tuple)
	}
}

// TestClause_ii_NobodyAnswersForThePerson: an application may ask and gets no further, whatever it tries; and asking for one
// asks for nothing else.
func TestClause_ii_NobodyAnswersForThePerson(t *testing.T) {
	s := base(t)
	s.Dev = true
	r := start(t, s)
	const tuple = "location/nearby"
	app := application(t, r.Client, "host", tuple)
	state, err := app.Request(t.Context(), tuple)
	if err != nil || state.Status != control.StatusRequested {
		t.Fatalf("request: %+v, %v", state, err)
	}
	if n, err := app.Show(t.Context(), tuple, "en"); err == nil {
		t.Errorf("an application was shown the notice %s", n.SHA256)
	}
	n, err := r.Show(t.Context(), tuple, "en") // the person reads it and does not answer
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"give":   func() error { _, err := app.Give(t.Context(), tuple, "en", n.SHA256); return err },
		"refuse": func() error { _, err := app.Refuse(t.Context(), tuple); return err },
		"defer":  func() error { _, err := app.Defer(t.Context(), tuple); return err },
		"open":   func() error { _, err := app.OpenSession(t.Context(), tuple, time.Minute); return err },
		"update": func() error { _, err := app.UpdatePolicy(t.Context(), nil); return err },
	} {
		if err := try(); control.ExitCode(err) != control.ExitRefused {
			t.Errorf("%s by an application: %v", name, err)
		}
	}
	status, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range status.Tuples {
		if want := map[bool]string{true: control.StatusRequested, false: control.StatusNever}[row.Tuple == tuple]; row.Status != want {
			t.Errorf("%s is %q, want %q", row.Tuple, row.Status, want)
		}
	}
	if _, err := r.Refuse(t.Context(), tuple); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Request(t.Context(), tuple); control.ExitCode(err) != control.ExitRefused {
		t.Errorf("asked again at once after a no: %v", err)
	}
}
