package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/scruple-agent/scruple/agent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// base returns settings for a fresh state folder.
func base(t *testing.T) settings.Settings {
	t.Helper()
	dir := t.TempDir()
	s := settings.Defaults()
	s.StateDir, s.Socket = filepath.Join(dir, "state"), filepath.Join(dir, "run", "scruple.sock")
	s.IIORoot, s.GPSD, s.Region, s.Language = filepath.Join(dir, "sys"), "127.0.0.1:1", "CN", "en"
	s.Upload.Slot = time.Hour
	if err := os.MkdirAll(s.IIORoot, 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// signed writes the shipped policy in some version, signed by a key.
func signed(t *testing.T, s *settings.Settings, signer, verifier, version string) {
	t.Helper()
	text := strings.Replace(string(configs.PolicyYAML), "\nversion: 1\n", "\nversion: "+version+"\n", 1)
	note, err := policy.Sign([]byte(text), signer)
	if err != nil {
		t.Fatal(err)
	}
	s.PolicyFile, s.PolicyKey = filepath.Join(filepath.Dir(s.StateDir), "policy"), verifier
	if err := os.WriteFile(s.PolicyFile, note, 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(s settings.Settings) error {
	a, err := agent.New(s, zap.NewNop())
	if err == nil {
		a.Close()
	}
	return err
}

// TestPolicyIsPinned: the key of the first start holds, versions only rise, unsigned is for development.
func TestPolicyIsPinned(t *testing.T) {
	signer, verifier, err := policy.GenerateKey("deployer")
	if err != nil {
		t.Fatal(err)
	}
	otherSigner, otherVerifier, err := policy.GenerateKey("somebody")
	if err != nil {
		t.Fatal(err)
	}
	s := base(t)
	if err := open(s); !errors.Is(err, policy.ErrUnsigned) {
		t.Errorf("the built-in unsigned policy without dev: %v", err)
	}
	signed(t, &s, signer, verifier, "2")
	if err := open(s); err != nil {
		t.Fatalf("first start: %v", err)
	}
	if err := open(s); err != nil {
		t.Errorf("second start: %v", err)
	}
	signed(t, &s, signer, verifier, "1")
	if err := open(s); !errors.Is(err, agent.ErrPolicyOlder) {
		t.Errorf("an older version: %v", err)
	}
	signed(t, &s, otherSigner, otherVerifier, "3")
	if err := open(s); !errors.Is(err, agent.ErrPolicyKey) {
		t.Errorf("another key: %v", err)
	}
	signed(t, &s, otherSigner, verifier, "3")
	if err := open(s); !errors.Is(err, policy.ErrUnsigned) {
		t.Errorf("signed by another key than the one named: %v", err)
	}
	s.PolicyFile, s.PolicyKey = "", ""
	if err := open(s); err == nil {
		t.Error("unsigned after signed, without dev: accepted")
	}
	signed(t, &s, signer, verifier, "3")
	if err := open(s); err != nil {
		t.Errorf("a later version by the pinned key: %v", err)
	}
}

// running is an agent in this process and a client of it.
type running struct {
	*control.Client
	logs     *observer.ObservedLogs
	settings settings.Settings
	stop     func()
}

func start(t *testing.T, s settings.Settings) *running {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	a, err := agent.New(s, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- a.Run(ctx, func(string) { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	r := &running{Client: control.NewClient(s.Socket, control.AsPerson(control.ChannelCLI)), logs: logs, settings: s}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		r.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// withReceiver starts an agent whose policy names a real receiver.
func withReceiver(t *testing.T, s settings.Settings) (*running, *receivertest.Receiver) {
	t.Helper()
	rcv := receivertest.New(t, receivertest.Options{})
	s.PolicyFile, s.PolicyKey = filepath.Join(filepath.Dir(s.StateDir), "policy.note"), rcv.Key
	if err := os.WriteFile(s.PolicyFile, rcv.Note, 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, s), rcv
}

// give is an adult who reads a notice and agrees.
func (r *running) give(t *testing.T, tuple string) {
	t.Helper()
	if age, err := r.Age(t.Context()); err != nil {
		t.Fatal(err)
	} else if age.Band == "" {
		if _, err := r.DeclareAge(t.Context(), "18+"); err != nil {
			t.Fatal(err)
		}
	}
	n, err := r.Show(t.Context(), tuple, "en")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Give(t.Context(), tuple, "en", n.SHA256); err != nil {
		t.Fatal(err)
	}
}

func (r *running) tuple(t *testing.T, name string) control.Tuple {
	t.Helper()
	status, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range status.Tuples {
		if row.Tuple == name {
			return row
		}
	}
	t.Fatalf("status has no %s", name)
	return control.Tuple{}
}

// eventually waits for something that happens by itself.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("did not happen: %s", what)
}

// TestAbsentSources: without hardware every source says so plainly, and nothing is retried hot.
func TestAbsentSources(t *testing.T) {
	r, _ := withReceiver(t, base(t))
	for _, tuple := range []string{"accelerometer/gravity", "steps/compare", "contacts/find-friends"} {
		r.give(t, tuple)
		eventually(t, tuple+" is absent", func() bool { return r.tuple(t, tuple).Reason == control.ReasonSourceAbsent })
		row := r.tuple(t, tuple)
		if row.Source.Present || row.Detail == "" || row.Collecting {
			t.Errorf("%s: %+v", tuple, row.Source)
		}
		if _, err := r.Collect(t.Context(), tuple); control.ExitCode(err) != control.ExitFailed {
			t.Errorf("%s: collected without a source: %v", tuple, err)
		}
	}
}

// TestLocationOnlyInASession: consent alone reads nothing, an absent gpsd is an answer, the session ends.
func TestLocationOnlyInASession(t *testing.T) {
	r, _ := withReceiver(t, base(t))
	r.give(t, "location/nearby")
	if got := r.tuple(t, "location/nearby").Reason; got != control.ReasonNoSession {
		t.Errorf("without a session: %q", got)
	}
	if _, err := r.Collect(t.Context(), "location/nearby"); control.ExitCode(err) != control.ExitRefused {
		t.Errorf("collected without a session: %v", err)
	}
	session, err := r.OpenSession(t.Context(), "location/nearby", time.Minute)
	if err != nil || time.Until(session.Until) > time.Minute+time.Second {
		t.Fatalf("open session until %v: %v", session.Until, err)
	}
	eventually(t, "the gpsd is absent", func() bool {
		return r.tuple(t, "location/nearby").Reason == control.ReasonSourceAbsent
	})
	if err := r.CloseSession(t.Context(), "location/nearby"); err != nil {
		t.Error(err)
	}
	if err := r.CloseSession(t.Context(), "location/nearby"); control.ExitCode(err) != control.ExitRefused {
		t.Errorf("closed twice: %v", err)
	}
	// Stopping ends an open session: the test would hang for its half hour otherwise.
	if _, err := r.OpenSession(t.Context(), "location/nearby", 0); err != nil {
		t.Fatal(err)
	}
	r.stop()
}

// TestWholeWay: consent, collection, sending, withdrawal with clearing, seen from both ends, and no path of the book in
// any log line.
func TestWholeWay(t *testing.T) {
	s := base(t)
	book := filepath.Join(filepath.Dir(s.StateDir), "canary-folder")
	if err := booktest.Generate(3, 50, booktest.Options{}).WriteFolder(book); err != nil {
		t.Fatal(err)
	}
	s.Contacts.Paths = []string{book}
	r, rcv := withReceiver(t, s)
	const tuple = "contacts/find-friends"
	r.give(t, tuple)
	eventually(t, "the book is read", func() bool { return r.tuple(t, tuple).Spool.Reports == 1 })
	if _, err := r.Flush(t.Context(), tuple); err != nil {
		t.Fatal(err)
	}
	held := rcv.Holdings(t)
	if len(held) != 1 || held[0].Status != "given" {
		t.Fatalf("the receiver holds %d consents", len(held))
	}
	data, err := r.Data(t.Context(), tuple, true)
	if err != nil || len(data.Tuples) != 1 || data.Tuples[0].Remote == nil {
		t.Errorf("the person cannot see what is held: %v", err)
	}
	w, err := r.Withdraw(t.Context(), tuple, true)
	if err != nil || w.Status != control.StatusWithdrawn || len(w.Unfinished) != 0 {
		t.Fatalf("withdraw: %+v, %v", w, err)
	}
	if _, err := r.Collect(t.Context(), tuple); control.ExitCode(err) != control.ExitRefused {
		t.Errorf("collected after withdrawal: %v", err)
	}
	eventually(t, "the erasure receipt arrives", func() bool {
		receipts, err := r.Receipts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range receipts {
			if got.Kind == "erasure" && got.Tuple == tuple {
				return true
			}
		}
		return false
	})
	if held := rcv.Holdings(t); len(held) != 1 || held[0].Status != "withdrawn" || held[0].Matches != 0 {
		t.Errorf("the receiver still holds something: %+v", held)
	}
	list, err := r.EgressList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Readable || e.SHA256 == "" || e.Bytes == 0 {
			t.Errorf("after withdrawal the journal keeps hash and size and no body: %+v", e)
		}
	}
	r.stop()
	for _, e := range r.logs.All() {
		text := e.Message
		for _, v := range e.ContextMap() {
			text += " " + strings.TrimSpace(strings.ReplaceAll(strings.ToLower(toString(v)), "\n", " "))
		}
		if strings.Contains(text, "canary") {
			t.Errorf("a path of the person's is in the log: %s", e.Message)
		}
	}
}

func toString(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return ""
}

// TestRestartKeepsTheSchedule: restarting does not read again what was read lately.
func TestRestartKeepsTheSchedule(t *testing.T) {
	s := base(t)
	r, _ := withReceiver(t, s)
	r.give(t, "device/service")
	eventually(t, "the device is read", func() bool { return r.tuple(t, "device/service").Spool.Reports == 1 })
	s = r.settings
	r.stop()
	r = start(t, s)
	time.Sleep(200 * time.Millisecond)
	if row := r.tuple(t, "device/service"); row.Spool.Reports != 1 || !row.Due.After(time.Now().Add(time.Hour)) {
		t.Errorf("after a restart: %d reports, due %v", row.Spool.Reports, row.Due)
	}
}
