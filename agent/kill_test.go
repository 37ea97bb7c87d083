package agent_test

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
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

// rig is the built daemon, and a receiver that notes which batches arrive when.
type rig struct {
	*daemon
	dev *receiver.Dev

	mu      sync.Mutex
	arrived map[wire.UUID][]time.Time // batches, by consent
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{daemon: newDaemon(t), arrived: map[wire.UUID][]time.Time{}}
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
	r.steps(1337)
	r.write("note", dev.Note)
	r.configure(dev.Key, "upload:\n  slot: 0s\n")
	return r
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
