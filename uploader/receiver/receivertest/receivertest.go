// Package receivertest starts a receiver inside a test: real TLS on loopback, its own policy and keys, a clock and faults to
// play with, and the store at hand for assertions. The zero Options are ready.
//
// It also has the smallest honest client, for tests of the receiver itself and for tests that need somebody else's data
// in it. It is no model of the agent: it keeps nothing and repeats nothing.
package receivertest

import (
	"context"
	"crypto/tls"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Options of a receiver in a test.
type Options struct {
	// Dir is its folder; t.TempDir() where empty. Two receivers one after the other in one folder are the same one,
	// restarted.
	Dir string
	// Controller for which it receives; "messenger" where empty.
	Controller policy.ControllerID
	// Policy is the YAML it starts from; configs.PolicyYAML where nil. For a second controller under the same
	// policy pass the first receiver's Dev.YAML.
	Policy []byte
	// Clock of the receiver; the real one where nil.
	Clock *Clock
	// Guardians says that it refuses a consent without a guardian's approval.
	Guardians bool
	// Limits per pseudonym; receiver.DefaultLimits where zero.
	Limits receiver.Limits
	// NotAfter is the end of the server certificate; a past time makes an expired one.
	NotAfter time.Time
	// TLS changes the listener's configuration, for a receiver that offers TLS 1.2 or another certificate.
	TLS func(*tls.Config)
	// Log of the receiver; none where nil.
	Log *zap.Logger
}

// Receiver is a running receiver. From Dev it has URL, Address, Policy, YAML, Note (the signed policy), Key (which verifies it) and
// Store.
type Receiver struct {
	*receiver.Dev
	// Faults that the next requests meet.
	Faults *receiver.Faults
	// Dir is its folder.
	Dir string

	opts    Options
	earlier []*policy.Document
	stop    func()
}

// New starts a receiver that ends with the test.
func New(t testing.TB, o Options) *Receiver {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Controller == "" {
		o.Controller = "messenger"
	}
	if o.Policy == nil {
		o.Policy = configs.PolicyYAML
	}
	r := &Receiver{Faults: &receiver.Faults{}, Dir: o.Dir, opts: o}
	r.Start(t)
	t.Cleanup(r.Stop)
	return r
}

// Start starts it again after Stop, at the same address, with what its folder holds.
func (r *Receiver) Start(t testing.TB) {
	t.Helper()
	o := r.opts
	if o.Policy == nil {
		o.Policy = configs.PolicyYAML
	}
	dev, err := receiver.OpenDev(receiver.DevOptions{
		Dir: o.Dir, Policy: o.Policy, Controller: o.Controller, Listen: "127.0.0.1:0", NotAfter: o.NotAfter,
		Config: receiver.Config{Earlier: r.earlier, Guardians: o.Guardians, Now: r.Now, Limits: o.Limits, Faults: r.Faults, Log: o.Log},
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.TLS != nil {
		o.TLS(dev.TLS)
	}
	r.Dev = dev
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := dev.Serve(ctx); err != nil {
			t.Errorf("receiver: %v", err)
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		if err := dev.Close(); err != nil {
			t.Errorf("close receiver: %v", err)
		}
	})
}

// Change restarts it with another version of the policy, made of the present one by edit, and signed with the same key. It goes
// on accepting the versions it had where accept is set.
func (r *Receiver) Change(t testing.TB, accept bool, edit func(yaml string) string) {
	t.Helper()
	r.Stop()
	if r.opts.Policy = []byte(edit(string(r.YAML))); accept {
		r.earlier = append(r.earlier, r.Policy)
	}
	r.Start(t)
}

// Stop ends it as a clean exit does. It may be called again.
func (r *Receiver) Stop() { r.stop() }

// Now is the receiver's time.
func (r *Receiver) Now() time.Time {
	if r.opts.Clock != nil {
		return r.opts.Clock.Now()
	}
	return time.Now()
}

// Holdings returns what the store holds, in counts.
func (r *Receiver) Holdings(t testing.TB) []receiver.Holding {
	t.Helper()
	list, err := r.Store.Holdings(context.Background(), r.Now())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Stored opens what the store holds under a consent, oldest first.
func (r *Receiver) Stored(t testing.TB, consent wire.UUID) []receiver.StoredBatch {
	t.Helper()
	list, err := r.Store.Batches(context.Background(), consent, receiver.Accessor{Who: "test", Command: t.Name(), Now: r.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Clock is a clock that stands until it is moved. It may be used by several goroutines.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows the present, to the second.
func NewClock() *Clock { return &Clock{now: time.Now().Truncate(time.Second)} }

// Now returns what it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves it.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
