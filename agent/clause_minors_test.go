package agent_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// child is a house in which nothing was declared, and a guardian's device: a folder with a key and nothing else.
type child struct {
	*house
	guardian string
}

func newChild(t *testing.T, o receivertest.Options) *child {
	t.Helper()
	h := &house{newDaemon(t), receivertest.New(t, o)}
	h.minor = true
	h.write("note", h.far.Note)
	h.configure(h.far.Key, "upload:\n  slot: 24h\n")
	h.start()
	t.Cleanup(h.stop)
	return &child{h, t.TempDir()}
}

// key makes a guardian's key and returns its public half.
func (c *child) key(name string) string {
	c.t.Helper()
	return strings.TrimSpace(c.must("guardian", "keygen", "--out", filepath.Join(c.guardian, name)))
}

// enrolled is a child of a band with a guardian who has accepted the policy.
func (c *child) enrolled(band string) {
	c.t.Helper()
	c.must("age", "declare", band)
	c.must("guardian", "enroll", c.key("key"))
	c.must("guardian", "approve", c.sign(c.ask("policy"), "key"))
}

// ask returns a request for the guardian.
func (c *child) ask(args ...string) string {
	c.t.Helper()
	out := c.must(append([]string{"guardian", "request"}, args...)...)
	return regexp.MustCompile(`scruple-request:\S+`).FindString(out)
}

var questionHash = regexp.MustCompile(`hash +([0-9a-f]{64})`)

// sign is the guardian who reads a request and signs it.
func (c *child) sign(request, key string) string {
	c.t.Helper()
	path := filepath.Join(c.guardian, key)
	read, code := c.command("guardian", "sign", request, "--key", path)
	m := questionHash.FindStringSubmatch(read)
	if code != control.ExitRefused || m == nil {
		c.t.Fatalf("exit code %d\n%s", code, read)
	}
	out := c.must("guardian", "sign", request, "--key", path, "--accept", m[1])
	return regexp.MustCompile(`scruple-approval:\S+`).FindString(out)
}

// gives types the two commands of a person who agrees, and returns what the second says.
func (c *child) gives(tuple string) (out string, code int) {
	c.t.Helper()
	shown := c.must("consent", "show", tuple)
	hash := regexp.MustCompile(`[0-9a-f]{64}`).FindString(shown)
	return c.command("consent", "give", tuple, "--accept", hash)
}

// noGrant checks that agreeing is refused, and says why.
func (c *child) noGrant(why, tuple string) {
	c.t.Helper()
	if out, code := c.gives(tuple); code != control.ExitRefused || !strings.Contains(out, why) || !strings.Contains(out, "guardian request") {
		c.t.Errorf("consent give %s: exit code %d, want %d and %q\n%s", tuple, code, control.ExitRefused, why, out)
	}
}

// TestClause_8_NothingWithoutAGuardian: whoever has declared nothing, and every declared minor, can agree to nothing until the guardian has
// accepted the policy and approved just this; refusing, taking back and complaining need nobody. The receiver gets evidence and no key of
// the guardian.
func TestClause_8_NothingWithoutAGuardian(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	c := newChild(t, receivertest.Options{})
	c.noGrant("no age band has been declared", tuple)
	c.refused(control.ExitUsage, "under-14", "age", "declare", "12")
	c.must("age", "declare", "14-17")
	c.noGrant("no guardian key is enrolled", tuple)
	public := c.key("key")
	c.must("guardian", "enroll", public)
	c.noGrant("has not accepted the policy", tuple)
	c.must("guardian", "approve", c.sign(c.ask("policy"), "key"))
	c.noGrant("a guardian has to approve", tuple)
	c.must("guardian", "approve", c.sign(c.ask(tuple), "key"))
	if c.tuple(tuple).Status == control.StatusGiven {
		t.Error("the guardian answered in place of the person")
	}
	c.noGrant("a guardian has to approve", "contacts/find-friends") // approved was another purpose
	if out, code := c.gives(tuple); code != control.ExitDone {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	id := c.tuple(tuple).Consent
	c.collected(tuple)
	c.send(tuple)
	if held, _ := c.holding(id); held.Batches != 1 {
		t.Errorf("the receiver holds %+v", held)
	}
	key, err := wire.ParseGuardianKey(public)
	if err != nil {
		t.Fatal(err)
	}
	c.absent(string(key), public)
	receipt := c.must("receipt", "export", tuple)
	if !strings.Contains(receipt, `"scruple:guardian"`) {
		t.Errorf("the receipt has no commitment to the guardian:\n%s", receipt)
	}
	verified(t, receipt)

	c.stop()
	c.start()
	if !c.tuple(tuple).Collecting {
		t.Error("a consent that the guardian approved does not outlive a restart")
	}
	c.must("consent", "withdraw", tuple)
	c.must("consent", "refuse", "location/nearby")
	c.must("complaint", "file", "Nobody answers me.", "--about", tuple)
	c.noGrant("a guardian has to approve", tuple) // an approval is for one consent
}

// TestClause_8_ApprovalsAreForOneThingOnce: what is forged, used, of another purpose, or of another device is refused, and nothing changes.
func TestClause_8_ApprovalsAreForOneThingOnce(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	c, other := newChild(t, receivertest.Options{}), newChild(t, receivertest.Options{})
	c.enrolled("under-14")
	other.enrolled("under-14")
	refused := func(name, text string) {
		t.Helper()
		if out, code := c.command("guardian", "approve", text); code != control.ExitRefused {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
	}
	ask := c.ask(tuple)
	c.key("forger")
	refused("forged", c.sign(ask, "forger"))
	refused("of another device", other.sign(other.ask(tuple), "key"))
	refused("no approval", "scruple-approval:AAAA")
	answer := c.sign(ask, "key")
	c.must("guardian", "approve", answer)
	refused("again before it is used", answer)
	if _, code := c.gives(tuple); code != control.ExitDone {
		t.Fatal("approved, and cannot be agreed to")
	}
	c.must("consent", "withdraw", tuple)
	refused("again after it was used", answer)
	c.noGrant("a guardian has to approve", tuple)
}

// TestClause_8_AgeBands: a more protected band needs nobody, and what no guardian approved stops counting at once; a less
// protected one needs the guardian.
func TestClause_8_AgeBands(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	c := newChild(t, receivertest.Options{})
	c.must("age", "declare", "18+")
	if _, code := c.gives(tuple); code != control.ExitDone {
		t.Fatal("an adult cannot agree")
	}
	c.collected(tuple)
	c.must("age", "declare", "14-17")
	if row := c.tuple(tuple); row.Collecting || row.Reason != control.ReasonGuardian {
		t.Errorf("after becoming a minor: %+v", row)
	}
	c.refused(control.ExitRefused, "guardian", "egress", "send", tuple)
	c.refused(control.ExitRefused, "less protected", "age", "declare", "18+")
	c.stop()
	c.start()
	c.refused(control.ExitRefused, "less protected", "age", "declare", "18+")
	c.must("age", "declare", "under-14")
	c.must("guardian", "enroll", c.key("key"))
	c.must("guardian", "approve", c.sign(c.ask("age", "--band", "18+"), "key"))
	if row := c.tuple(tuple); !row.Collecting {
		t.Errorf("of age again: %+v", row)
	}
	for lang, words := range map[string]string{"en": "18 or older", "zh-CN": "年满 18 周岁"} {
		if out := c.must("age", "show", "--lang", lang); !strings.Contains(out, words) {
			t.Errorf("age show: %s", out)
		}
	}
}

// TestClause_8_FirstBandUnderAGuardian: who has a guardian is not of age by their own word, also where no band was declared yet.
func TestClause_8_FirstBandUnderAGuardian(t *testing.T) {
	t.Parallel()
	c := newChild(t, receivertest.Options{})
	c.must("guardian", "enroll", c.key("key"))
	c.refused(control.ExitRefused, "less protected", "age", "declare", "18+")
	c.must("guardian", "approve", c.sign(c.ask("age", "--band", "18+"), "key"))
	if out := c.must("age", "show"); !strings.Contains(out, "18 or older") {
		t.Errorf("age show: %s", out)
	}
}

// TestClause_8_AnotherKeyNeedsTheOldOne: a second key is not enrolled by the person's word; the old key makes way for it, and is good
// for nothing then.
func TestClause_8_AnotherKeyNeedsTheOldOne(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	c := newChild(t, receivertest.Options{})
	c.enrolled("14-17")
	fresh := c.key("new")
	c.refused(control.ExitRefused, "enrolled already", "guardian", "enroll", fresh)
	c.refused(control.ExitRefused, "not the guardian's answer", "guardian", "approve", c.sign(c.ask("key", "--new-key", fresh), "new"))
	c.must("guardian", "approve", c.sign(c.ask("key", "--new-key", fresh), "key"))
	ask := c.ask(tuple)
	c.refused(control.ExitRefused, "not the guardian's answer", "guardian", "approve", c.sign(ask, "key"))
	c.must("guardian", "approve", c.sign(ask, "new"))
	if _, code := c.gives(tuple); code != control.ExitDone {
		t.Error("the new guardian's approval does not count")
	}
}

// TestClause_8_GuardianSeesAmountsAndTakesBack: the guardian sees kinds and amounts and no content, hears of a breach with the
// controller's signature, and takes a consent back with an order that works once, on this device.
func TestClause_8_GuardianSeesAmountsAndTakesBack(t *testing.T) {
	t.Parallel()
	const tuple = "steps/compare"
	c := newChild(t, receivertest.Options{})
	c.steps(1337)
	c.enrolled("under-14")
	c.must("guardian", "approve", c.sign(c.ask(tuple), "key"))
	if _, code := c.gives(tuple); code != control.ExitDone {
		t.Fatal("approved, and cannot be agreed to")
	}
	c.must("data", "collect", tuple) // where it begins
	c.steps(1437)
	c.must("data", "collect", tuple)
	c.send(tuple)
	c.announce(wire.NoticeBreach, nil, nil)
	c.must("notices", "pull")
	file := filepath.Join(c.guardian, "report")
	c.must("guardian", "report", "--out", file)
	report, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(report, []byte(`"sent": 1`)) || !bytes.Contains(report, []byte("What has happened.")) || !bytes.Contains(report, []byte("scruple/notice/1")) {
		t.Errorf("the report lacks amounts or the breach:\n%s", report)
	}
	if regexp.MustCompile(`\b(1337|1437|total)\b`).Match(report) { // as words: a digest may hold the digits by chance
		t.Error("the report holds content")
	}
	order := c.must("guardian", "withdraw-order", "messenger/"+tuple, "--clear", "--from", file, "--key", filepath.Join(c.guardian, "key"))
	other := newChild(t, receivertest.Options{})
	other.enrolled("under-14")
	other.refused(control.ExitRefused, "not the guardian's answer", "guardian", "approve", strings.TrimSpace(order))
	id := c.tuple(tuple).Consent
	c.must("guardian", "approve", strings.TrimSpace(order))
	if s := c.tuple(tuple).Status; s != control.StatusWithdrawn {
		t.Errorf("after the guardian's order: %s", s)
	}
	c.introduced()
	if held, _ := c.holding(id); held.Batches != 0 {
		t.Errorf("the receiver holds %+v", held)
	}
	c.refused(control.ExitRefused, "carried out", "guardian", "approve", strings.TrimSpace(order))
}

// TestClause_8_GuardianReadsThePolicy: who accepts a policy for a minor reads it as the notice of each purpose, in their language, and
// signs nothing about another one.
func TestClause_8_GuardianReadsThePolicy(t *testing.T) {
	t.Parallel()
	c := newChild(t, receivertest.Options{})
	c.must("age", "declare", "under-14")
	c.must("guardian", "enroll", c.key("key"))
	ask, key := c.ask("policy"), filepath.Join(c.guardian, "key")
	for lang, words := range map[string][]string{
		"en": {"Device information: do you agree", "At the receiver: at most 180 days."}, "zh-CN": {"设备信息", "如果您不同意"},
	} {
		read, code := c.command("guardian", "sign", ask, "--key", key, "--lang", lang)
		if code != control.ExitRefused {
			t.Errorf("exit code %d\n%s", code, read)
		}
		for _, row := range c.status().Tuples {
			words = append(words, row.Tuple)
		}
		for _, w := range words {
			if !strings.Contains(read, w) {
				t.Errorf("%s: the guardian does not read %q", lang, w)
			}
		}
	}
	request, _, err := wire.DecodeRequest(ask)
	if err != nil {
		t.Fatal(err)
	}
	request.Policy = strings.Replace(request.Policy, "controller: {for: 180d}", "controller: {for: 18d}", 1)
	other, err := wire.EncodeRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	c.refused(control.ExitRefused, "another policy", "guardian", "sign", other, "--key", key)
	code := regexp.MustCompile(`scruple-request:\S+`).FindString(c.must("guardian", "request", "policy", "--qr"))
	c.refused(control.ExitRefused, "scruple policy show", "guardian", "sign", code, "--key", key)
}

// TestClause_8_ReceiverWantsTheApproval: the receiver of a service for minors takes no consent without a guardian's approval.
func TestClause_8_ReceiverWantsTheApproval(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	adult := newHouse(t, receivertest.Options{Guardians: true})
	adult.give(tuple)
	adult.collected(tuple)
	adult.refused(control.ExitFailed, "guardian-approval", "egress", "send", tuple)
	if n := len(adult.far.Holdings(t)); n != 0 {
		t.Errorf("the receiver knows %d consents", n)
	}
	c := newChild(t, receivertest.Options{Guardians: true})
	c.enrolled("14-17")
	c.must("guardian", "approve", c.sign(c.ask(tuple), "key"))
	if _, code := c.gives(tuple); code != control.ExitDone {
		t.Fatal("approved, and cannot be agreed to")
	}
	c.collected(tuple)
	c.must("egress", "send", tuple)
}

// TestClause_8_RequestAsAQRCode: the request can be shown as a QR code, and what it holds can be signed on the guardian's device.
func TestClause_8_RequestAsAQRCode(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	c := newChild(t, receivertest.Options{})
	c.enrolled("14-17")
	out := c.must("guardian", "request", tuple, "--qr")
	if strings.Count(out, "█") < 100 {
		t.Error("no QR code is shown")
	}
	c.must("guardian", "approve", c.sign(regexp.MustCompile(`scruple-request:\S+`).FindString(out), "key"))
	if _, code := c.gives(tuple); code != control.ExitDone {
		t.Error("approved through the code, and cannot be agreed to")
	}
}

// verified has a receipt looked at by the program that shares nothing with this one.
func verified(t *testing.T, receipt string) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Log("MISSING: python3, for the verifier in another language")
		return
	}
	file := filepath.Join(t.TempDir(), "receipt.json")
	if err := os.WriteFile(file, []byte(receipt), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(python, "-I", "receipt/testdata/verify.py", file).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "verified: given") {
		t.Errorf("verify.py: %v: %s", err, out)
	}
}
