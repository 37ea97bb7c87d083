package agent_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// binary builds the daemon's program once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "scruple-test-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+"/", "./cmd/scruple")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return filepath.Join(dir, "scruple"), nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// rig is the built daemon in a state folder, and a receiver that notes which batches arrive when.
type rig struct {
	t      *testing.T
	dir    string
	dev    *receiver.Dev
	client *control.Client

	mu      sync.Mutex
	arrived map[wire.UUID][]time.Time // batches, by consent

	cmd  *exec.Cmd
	down chan struct{}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), arrived: map[wire.UUID][]time.Time{}}
	dev, err := receiver.OpenDev(receiver.DevOptions{
		Dir: filepath.Join(r.dir, "receiver"), Policy: configs.PolicyYAML, Controller: "messenger", Listen: "127.0.0.1:0",
		Config: receiver.Config{Limits: receiver.Limits{
			Batches: receiver.Rate{Burst: 1 << 20, Every: time.Microsecond}, Epochs: receiver.Rate{Burst: 1 << 20, Every: time.Microsecond},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.dev = dev
	server := &http.Server{
		Handler: http.HandlerFunc(r.watch), TLSConfig: dev.TLS,
		ErrorLog: log.New(io.Discard, "", 0), // every kill cuts handshakes
	}
	go func() { _ = server.ServeTLS(dev.Listener, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = dev.Close()
	})
	book := booktest.Generate(1, 20, booktest.Options{})
	if err := book.WriteFile(filepath.Join(r.dir, "book.vcf")); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(r.dir, "sys/bus/iio/devices/iio:device0")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"name": "bma400", "in_steps_en": "1", "in_steps_input": "1337"} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.write("note", dev.Note)
	r.write("scruple.yaml", fmt.Appendf(nil, "version: 1\nstate_dir: %q\npolicy_file: %q\npolicy_key: %q\nregion: CN\niio_root: %q\ncontacts:\n  paths: [%q]\nupload:\n  slot: 0s\n",
		filepath.Join(r.dir, "state"), filepath.Join(r.dir, "note"), dev.Key, filepath.Join(r.dir, "sys"), filepath.Join(r.dir, "book.vcf")))
	r.client = control.NewClient(filepath.Join(r.dir, "state/run/scruple.sock"), control.AsPerson(control.ChannelCLI))
	t.Cleanup(r.client.Close)
	return r
}

func (r *rig) write(name string, b []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), b, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// watch notes the consent of every batch before the receiver sees it.
func (r *rig) watch(w http.ResponseWriter, req *http.Request) {
	if strings.HasPrefix(req.URL.Path, "/v1/batches/") {
		now := time.Now()
		body, err := io.ReadAll(req.Body)
		if err == nil {
			if plain, err := wire.Decompress(body); err == nil {
				if b, err := wire.DecodeBatch(plain); err == nil {
					r.mu.Lock()
					r.arrived[b.Consent] = append(r.arrived[b.Consent], now)
					r.mu.Unlock()
				}
			}
		}
		req.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	r.dev.Receiver.ServeHTTP(w, req)
}

// start starts the daemon and waits until it answers.
func (r *rig) start() {
	r.t.Helper()
	path, err := binary()
	if err != nil {
		r.t.Fatal(err)
	}
	logfile, err := os.OpenFile(filepath.Join(r.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	r.cmd = exec.Command(path, "run", "--config", filepath.Join(r.dir, "scruple.yaml"))
	r.cmd.Stderr = logfile
	stdout, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	logfile.Close()
	if err != nil {
		r.t.Fatal(err)
	}
	ready := bufio.NewReader(stdout)
	if _, err := ready.ReadString('\n'); err != nil {
		_ = r.cmd.Wait()
		text, _ := os.ReadFile(filepath.Join(r.dir, "log"))
		r.t.Fatalf("the daemon did not start: %.2000s", text[max(0, len(text)-2000):])
	}
	r.down = make(chan struct{})
	go func(cmd *exec.Cmd, down chan struct{}) {
		_, _ = io.Copy(io.Discard, ready)
		_ = cmd.Wait()
		close(down)
	}(r.cmd, r.down)
}

// kill ends the daemon as a power cut of the process would.
func (r *rig) kill() {
	_ = r.cmd.Process.Kill()
	<-r.down
}

// stop ends the daemon in order.
func (r *rig) stop() {
	_ = r.cmd.Process.Signal(os.Interrupt)
	<-r.down
}

// belief is what the person knows about a tuple: what was acknowledged, and what might have happened since.
type belief struct {
	status  string
	consent string
	maybe   string // the status that an unacknowledged request would have led to
}

// TestKill kills the daemon at random moments while a person gives, collects and withdraws. Whatever was acknowledged is
// still so afterwards; every acknowledged withdrawal reaches the receiver; nothing of a withdrawn consent is sent.
func TestKill(t *testing.T) {
	kills := 200
	if testing.Short() {
		kills = 15
	}
	r := newRig(t)
	tuples := []string{"device/service", "contacts/find-friends", "steps/compare"}
	known := map[string]*belief{}
	for _, name := range tuples {
		known[name] = &belief{}
	}
	withdrawn := map[string]time.Time{} // consent: when the withdrawal was acknowledged
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range kills {
		r.start()
		r.compare(known)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				r.act(ctx, known, withdrawn, tuples[rng.IntN(len(tuples))], rng.IntN(10))
			}
		}()
		time.Sleep(time.Duration(rng.IntN(120_000)) * time.Microsecond)
		r.kill()
		cancel()
		<-done
	}
	r.start()
	defer r.stop()
	r.compare(known)
	r.settle()

	if len(withdrawn) == 0 {
		t.Fatal("no withdrawal was acknowledged: the test saw nothing")
	}
	held := map[string]receiver.Holding{}
	list, err := r.dev.Store.Holdings(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range list {
		held[h.Consent.String()] = h
	}
	for consent := range withdrawn {
		if h, ok := held[consent]; !ok || h.Status != receiver.StatusWithdrawn {
			t.Errorf("an acknowledged withdrawal did not reach the receiver: it says %q", h.Status)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	batches := 0
	for consent, times := range r.arrived {
		batches += len(times)
		end, over := withdrawn[consent.String()]
		// A body that was on its way when the withdrawal was acknowledged may be seen a moment later; one that was
		// sent afterwards comes at the next start or later.
		if last := slices.MaxFunc(times, time.Time.Compare); over && last.After(end.Add(250*time.Millisecond)) {
			t.Errorf("a batch of a withdrawn consent was sent %v after the withdrawal was acknowledged", last.Sub(end))
		}
	}
	if batches == 0 {
		t.Fatal("no batch arrived: the test saw nothing")
	}
	t.Logf("%d kills, %d acknowledged withdrawals, %d batches of %d consents", kills, len(withdrawn), batches, len(r.arrived))
}

// act does one thing a person may do, and notes what was acknowledged.
func (r *rig) act(ctx context.Context, known map[string]*belief, withdrawn map[string]time.Time, tuple string, what int) {
	b := known[tuple]
	switch {
	case b.status != control.StatusGiven:
		notice, err := r.client.Show(ctx, tuple, "en")
		if err != nil {
			return
		}
		b.status, b.maybe = control.StatusRequested, control.StatusGiven
		state, err := r.client.Give(ctx, tuple, "en", notice.SHA256)
		if err == nil {
			*b = belief{status: control.StatusGiven, consent: state.Consent}
		}
	case what < 4:
		_, _ = r.client.Collect(ctx, tuple)
	case what < 6:
		_, _ = r.client.Flush(ctx, tuple)
	default:
		b.maybe = control.StatusWithdrawn
		if _, err := r.client.Withdraw(ctx, tuple, what%2 == 0); err == nil {
			withdrawn[b.consent] = time.Now()
			*b = belief{status: control.StatusWithdrawn}
		}
	}
}

// compare checks that what was acknowledged before the kill holds after it, and learns how the open requests went.
func (r *rig) compare(known map[string]*belief) {
	r.t.Helper()
	states, err := r.client.Consents(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range states {
		b, ok := known[s.Tuple]
		if !ok {
			continue
		}
		// Showing a notice again is a request that never takes anything away.
		shown := b.status != control.StatusGiven && s.Status == control.StatusRequested
		switch {
		case s.Status == b.status && b.status == control.StatusGiven && s.Consent != b.consent:
			r.t.Errorf("%s: another consent than the acknowledged one is given", s.Tuple)
		case s.Status != b.status && s.Status != b.maybe && !shown:
			r.t.Errorf("%s: %q was acknowledged before the kill, %q holds after it", s.Tuple, b.status, s.Status)
		}
		*b = belief{status: s.Status, consent: s.Consent}
	}
}

// settle waits until lane A has delivered everything.
func (r *rig) settle() {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		status, err := r.client.Status(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		waiting := 0
		for _, l := range status.Lanes {
			waiting += l.Waiting
		}
		if waiting == 0 && len(status.Unfinished) == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d messages of lane A still wait, unfinished: %d", waiting, len(status.Unfinished))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
