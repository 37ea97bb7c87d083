package agent_test

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// resign signs a policy as the receiver's own was signed, whatever it says.
func (h *house) resign(yaml []byte) []byte {
	h.t.Helper()
	signer, err := note.NewSigner(strings.TrimSpace(string(read(h.t, h.far.Dir, "policy-signer.key"))))
	if err != nil {
		h.t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: string(yaml)}, signer)
	if err != nil {
		h.t.Fatal(err)
	}
	return signed
}

// TestClause_2_1_OnlyToItsRegion: a policy that sends what has to stay in China to another region is refused with its place,
// though it is signed: at the first start, when it replaces one that was in force, and by the receiver. Nothing
// leaves while it is there.
func TestClause_2_1_OnlyToItsRegion(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	h.known("device/service")
	h.stop()
	abroad := edited(t, h.far.YAML, "\nversion: 1\n", "\nversion: 2\n")
	abroad = bytes.Replace(abroad, []byte("region: CN"), []byte("region: US"), 1) // of the first controller
	before := h.far.Faults.Seen("")
	h.write("note", h.resign(abroad))
	for _, when := range []string{"in place of another", "at the first start"} {
		err := h.try()
		if err == nil || !strings.Contains(err.Error(), "another region than the category's residency") || !strings.Contains(err.Error(), "note:") {
			t.Errorf("%s: %v", when, err)
		}
		h.configure(h.far.Key, "upload:\n  slot: 0s\n")
		h.write("scruple.yaml", edited(t, read(t, h.dir, "scruple.yaml"), `/state"`, `/fresh"`))
	}
	if n := h.far.Faults.Seen(""); n != before {
		t.Errorf("%d requests left", n-before)
	}
	dev, err := receiver.OpenDev(receiver.DevOptions{Dir: t.TempDir(), Policy: abroad, Controller: "messenger", Listen: "127.0.0.1:0"})
	if err == nil {
		_ = dev.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "another region") {
		t.Errorf("the receiver: %v", err)
	}
}

// TestClause_2_1_AControllerThatMoves: a controller that says of itself, signed, that it is in another region than the policy in force
// here gets nothing but consent messages, though it accepts the policy that people have agreed to; the status says why.
func TestClause_2_1_AControllerThatMoves(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	h.steps(1337)
	h.give("steps/compare")
	id := h.known(tuple)
	h.far.Change(t, true, func(yaml string) string {
		yaml = strings.Replace(yaml, "\nversion: 1\n", "\nversion: 2\n", 1)
		return strings.NewReplacer("region: CN", "region: US", "residency: CN", "residency: US").Replace(yaml)
	})
	h.refused(control.ExitRefused, "another region", "egress", "send", tuple)
	if held, _ := h.holding(id); held.Batches != 0 {
		t.Errorf("%d batches left for another region", held.Batches)
	}
	if out := h.must("status"); !strings.Contains(out, "another region") {
		t.Errorf("the status does not say why:\n%s", out)
	}
	h.must("consent", "withdraw", "steps/compare")
	h.introduced()
	if n := h.receipts("withdrawal", "steps/compare"); n != 1 {
		t.Errorf("%d receipts for a withdrawal", n)
	}
}

// TestClause_2_2_ReceiverForgets: what a real daemon sent is gone from the receiver when the policy's retention ends.
func TestClause_2_2_ReceiverForgets(t *testing.T) {
	t.Parallel()
	clock := receivertest.NewClock()
	h := newHouse(t, receivertest.Options{Clock: clock})
	id := h.give("device/service") // kept 180 days
	h.collected("device/service")
	h.send("device/service")
	h.stop()
	for _, c := range []struct {
		days, want int
	}{{179, 1}, {2, 0}} {
		clock.Advance(time.Duration(c.days) * policy.Day)
		if _, err := h.far.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held, _ := h.holding(id); held.Batches != c.want {
			t.Errorf("%d days later the receiver holds %d batches, want %d", c.days, held.Batches, c.want)
		}
	}
}

// TestClause_3_OnlyToThePinnedServer: a server with another key, of TLS 1.2, or with an expired certificate gets nothing; the
// status says which it was, nothing is lost, and all of it leaves when the right server is back.
func TestClause_3_OnlyToThePinnedServer(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	other := receivertest.New(t, receivertest.Options{})
	for name, c := range map[string]struct {
		wrong func(*tls.Config)
		words string
	}{
		"another key": {func(c *tls.Config) { c.Certificates = other.TLS.Certificates }, uploader.ErrWrongPin.Error()},
		"TLS 1.2":     {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, uploader.ErrOldTLS.Error()},
		"expired":     {nil, uploader.ErrExpired.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := true
			options := receivertest.Options{TLS: func(config *tls.Config) {
				if wrong && c.wrong != nil {
					c.wrong(config)
				}
			}}
			if c.wrong == nil {
				options.NotAfter = time.Now().Add(-time.Minute)
			}
			h := newHouse(t, options)
			id := h.give(tuple)
			h.collected(tuple)
			h.refused(control.ExitFailed, c.words, "egress", "send", tuple)
			if n := h.tuple(tuple).Spool.Reports; n != 1 {
				t.Errorf("%d reports wait", n)
			}
			if out := h.must("status"); !strings.Contains(out, "1 waiting") || !strings.Contains(out, c.words) {
				t.Errorf("status does not show why nothing is sent:\n%s", out)
			}
			if n := h.far.Faults.Seen(""); n != 0 {
				t.Errorf("the wrong server saw %d requests", n)
			}
			if c.wrong == nil {
				return
			}
			wrong = false
			h.far.Stop()
			h.far.Start(t)
			h.must("egress", "send", tuple)
			if held, _ := h.holding(id); held.Batches != 1 {
				t.Errorf("the right server holds %d batches", held.Batches)
			}
		})
	}
}

// TestClause_3_AccessIsRecorded: the device's journal has every request that reached the receiver, and the receiver's own record
// has every look at what it holds.
func TestClause_3_AccessIsRecorded(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	h.give(tuple)
	h.collected(tuple)
	h.send(tuple)
	list, err := h.client.EgressList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	puts := 0
	for _, e := range list {
		if e.Method == http.MethodPut {
			puts++
		}
		if h.far.Faults.Seen(e.Method+" "+e.Path) == 0 {
			t.Errorf("the journal has %s %s, which did not arrive", e.Method, e.Path)
		}
	}
	if n := h.far.Faults.Seen("PUT "); n != puts || puts != 2 {
		t.Errorf("%d requests with data arrived, %d are in the journal", n, puts)
	}
	accesses := func() int {
		list, err := h.far.Store.Accesses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := accesses()
	h.must("data", "show", tuple, "--remote")
	if n := accesses(); n != before+1 {
		t.Errorf("a look at what the receiver holds left %d lines in its record of accesses", n-before)
	}
}
