// Package agent is the daemon as an importable part: New opens everything that lies on disk, Run collects, sends and
// answers the local API until its context ends. An application that embeds Scruple uses this package; the
// command "scruple run" is a thin shell over it.
//
// It holds no rule of its own about what may be read or sent: it wires the parts that do (consent, minimise, spool,
// uploader), keeps the one timer for all periodic work, and repeats what a crash interrupted.
package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/clients"
	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/items"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/notices"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/rights"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/uploader"
	"github.com/scruple-agent/scruple/uploader/answers"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/spool"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Version is the version of this build; the Makefile sets it.
var Version = "dev"

// Agent is the daemon of one subject: one user account, one state folder.
type Agent struct {
	settings settings.Settings
	log      *zap.Logger
	subject  policy.Subject
	started  time.Time

	current  atomic.Pointer[inForce] // the policy
	refused  atomic.Pointer[string]  // why its files, read again, were not taken over
	updating sync.Mutex              // one change of the policy at a time
	ring     *keyring.Ring
	register *consent.Register
	spool    *spool.Spool
	journal  *journal.Journal
	answers  *answers.Store
	uploader *uploader.Uploader
	items    *items.Store
	uses     *clients.Log
	cases    *rights.Store
	closing  sync.RWMutex // held for writing while an account is closed
	settling sync.Mutex   // one change of the privacy settings at a time
	notices  *notices.Store

	sources  *sources
	memories *memories // of the address book

	// What a test replaces.
	clock   func() time.Time                                                     // of the register; nil is time.Now
	elapsed func() time.Duration                                                 // of the register
	dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil is the network

	mu         sync.Mutex
	unfinished map[unfinishedKey]control.Step
	kick       chan struct{}
	stopping   bool
	asleep     bool // the machine is about to sleep, or sleeps
	sessions   sync.WaitGroup
}

// unfinishedKey names a step of a withdrawal or erasure that has to be repeated.
type unfinishedKey struct {
	consent wire.UUID
	step    string
}

// New opens the state folder of the settings, the policy, the ring and everything behind it. It fails, and nothing is
// collected, when any of them cannot be trusted. The folder is locked until Close or the
// end of Run.
func New(s settings.Settings, log *zap.Logger) (*Agent, error) {
	a := &Agent{
		settings: s, log: log, subject: policy.Subject("uid:" + strconv.Itoa(os.Getuid())), started: time.Now(),
		unfinished: map[unfinishedKey]control.Step{},
		kick:       make(chan struct{}, 1), elapsed: sinceBoot,
	}
	if err := a.open(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (a *Agent) open() (err error) {
	if err := a.openPolicy(); err != nil {
		return err
	}
	if err := a.openStores(); err != nil {
		return err
	}
	if a.sources, err = openSources(a.settings); err != nil {
		return err
	}
	a.adopt(a.current.Load())
	a.register.OnWithdrawn(a.withdrawn)
	a.register.OnErased(a.erased)
	a.followPolicy()
	return nil
}

// openStores opens ring, register, spool, journal and uploader, in the order in which they build on each other.
func (a *Agent) openStores() (err error) {
	deviceKey, err := a.deviceKey()
	if err != nil {
		return err
	}
	a.ring, err = keyring.Open(a.settings.StateDir, deviceKey)
	clear(deviceKey)
	if err != nil {
		return err
	}
	if err := a.pinPolicy(); err != nil {
		return err
	}
	a.register, err = consent.Open(filepath.Join(a.settings.StateDir, "ledger"), a.ring, a.document(), a.subject, consent.Options{Now: a.clock, Elapsed: a.elapsed})
	if err != nil {
		return err
	}
	if a.spool, err = spool.Open(filepath.Join(a.settings.StateDir, "spool"), a.ring, spool.Limits{Retention: a.register.Retention}); err != nil {
		return err
	}
	if a.journal, err = journal.Open(filepath.Join(a.settings.StateDir, "egress"), a.ring, journal.Limits{Retention: a.register.Retention}); err != nil {
		return err
	}
	if a.items, err = items.Open(filepath.Join(a.settings.StateDir, "items"), a.ring); err != nil {
		return err
	}
	a.uses = clients.NewLog(filepath.Join(a.settings.StateDir, "uses"), a.ring)
	a.memories = &memories{files: sealed.Folder{Dir: filepath.Join(a.settings.StateDir, "contacts"), Suffix: ".memory"}}
	if a.notices, err = notices.Open(filepath.Join(a.settings.StateDir, "notices"), a.ring); err != nil {
		return err
	}
	if err := a.openCases(); err != nil {
		return err
	}
	if err := a.openAnswers(filepath.Join(a.settings.StateDir, "answers")); err != nil {
		return err
	}
	a.uploader = uploader.New(uploader.Options{
		Notices:  board{a},
		Cases:    outbox{a},
		Register: a.register, Spool: a.spool, Ring: a.ring, Journal: a.journal, Answers: a.answers, Outcome: a.uploaded,
		Policy: a.document,
		Log:    a.log, Slot: a.settings.Upload.Slot, Dial: a.dial,
	})
	return nil
}

// deviceKey reads the key that wraps the ring: from the state folder, where it is made at the first start, or from
// where the settings say, where it has to be.
func (a *Agent) deviceKey() ([]byte, error) {
	file := a.settings.DeviceKeyFile
	if file == "" || file == filepath.Join(a.settings.StateDir, "device.key") {
		return keyring.DeviceKey(a.settings.StateDir)
	}
	return keyring.ReadDeviceKey(file)
}

// Close releases the state folder of an agent that was not run. Run does it by itself.
func (a *Agent) Close() {
	if a.journal != nil {
		_ = a.journal.Close()
	}
	if a.spool != nil {
		_ = a.spool.Close()
	}
	if a.register != nil {
		_ = a.register.Close()
	}
	if a.ring != nil {
		_ = a.ring.Close()
	}
}

// Run serves until ctx ends: first what an earlier run left undone, then the local API, collecting and sending. It
// stops in order: no new readings, uploads cancelled, API closed, what was counted but not reported stored. ready, which may be
// nil, is called when the local API answers.
func (a *Agent) Run(ctx context.Context, ready func(socket string)) error {
	defer a.Close()
	harden(a.log)
	a.finishWithdrawals()
	a.sweepCases()

	listener, err := server.Listen(a.settings.Socket)
	if err != nil {
		return err
	}
	api := server.New(a, server.Owner{UID: os.Getuid()}, a.log)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	failures := make(chan error, 2)
	group.Go(func() {
		if err := api.Serve(listener); err != nil {
			failures <- fmt.Errorf("local API: %w", err)
		}
	})
	group.Go(func() {
		if err := a.uploader.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			failures <- fmt.Errorf("uploader: %w", err)
		}
	})
	a.operation(countStarts)
	group.Go(func() { watchClock(ctx, a.wake) })
	group.Go(func() { a.watchSleep(ctx) })
	a.sources.hub.StopLeftOver()
	group.Go(func() { a.wheel(ctx) })
	a.log.Info("ready", zap.String("version", Version), zap.Int("policy", a.document().Version))
	if ready != nil {
		ready(a.settings.Socket)
	}

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-failures:
	}
	a.mu.Lock()
	a.stopping = true
	a.mu.Unlock()
	cancel()
	stop, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	_ = api.Shutdown(stop)
	group.Wait()
	a.endSessions()
	a.sessions.Wait()
	a.storePending()
	a.gatherAll()
	a.log.Info("stopped")
	return failed
}

// endSessions closes every open use session: what stops does not wait for their time to be up. Each of the channels is closed
// when the source of one is.
func (a *Agent) endSessions() (followed []<-chan struct{}) {
	for _, t := range a.Tuples() {
		c := a.collection(t)
		c.mu.Lock()
		if c.session != nil {
			c.session.Close()
			c.session = nil
		}
		if c.followed != nil {
			followed = append(followed, c.followed)
		}
		c.mu.Unlock()
	}
	return followed
}

// withdrawn is called by the register as soon as a consent has ended: whatever of it lies on disk is unlinked
// (unreadable it already is), and readers started for it are forgotten.
func (a *Agent) withdrawn(id wire.UUID, t policy.Tuple) {
	if c := a.collection(t); c != nil {
		c.forget()
	}
	a.finish(id, t)
	a.wake()
}

// erased is called by the register when a consent that goes on got a new data key: what was read before and is in memory goes
// like what lies on the disk.
func (a *Agent) erased(id wire.UUID, t policy.Tuple) {
	if c := a.collection(t); c != nil {
		c.mu.Lock()
		c.drop()
		c.mu.Unlock()
	}
	a.finish(id, t)
}

// finish does the steps of a withdrawal that follow its commit point, and remembers those that fail.
func (a *Agent) finish(id wire.UUID, t policy.Tuple) {
	for _, step := range []struct {
		name string
		do   func(wire.UUID) error
	}{
		{"erase the spool", a.spool.Erase},
		{"erase the items", a.items.Erase},
		{"forget the sent bodies", a.journal.Forget},
		{"forget the address book", a.memories.erase},
		{"erase the answers", a.answers.Erase},
	} {
		key := unfinishedKey{id, step.name}
		err := step.do(id)
		a.mu.Lock()
		if err == nil {
			delete(a.unfinished, key)
		} else {
			since := a.unfinished[key].Since
			if since.IsZero() {
				since = time.Now()
			}
			a.unfinished[key] = control.Step{
				Tuple: t.String(), Step: step.name, Error: err.Error(), Since: since, NextTry: time.Now().Add(retryUnfinished),
			}
			a.log.Warn("a step of a withdrawal failed and will be repeated", zap.String("step", step.name), zap.Error(err))
		}
		a.mu.Unlock()
	}
}

// retryUnfinished is how long a failed step of a withdrawal waits.
const retryUnfinished = time.Minute

// finishWithdrawals repeats the steps for everything on disk whose key is gone. Opening the stores has removed what it could; what is
// left is what could not be removed.
func (a *Agent) finishWithdrawals() {
	for _, id := range slices.Concat(a.spool.Consents(), a.items.Consents(), a.journal.Consents(), a.memories.consents(), a.answers.Consents()) {
		if _, err := a.ring.DataKey(id); errors.Is(err, keyring.ErrNoKey) {
			t, _ := a.tupleOf(id)
			a.finish(id, t)
		}
	}
}
