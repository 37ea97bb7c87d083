package agent

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// How many random lives TestModel tries, and from which seed. The environment may say otherwise: MODEL_SEED,
// MODEL_SEQUENCES, and MODEL_ONLY, which repeats the one sequence of a failure.
const (
	modelSeed      = 20170822
	modelSequences = 10_000
	modelShort     = 400
	modelBubble    = 25 // sequences that share a bubble and the receivers' stores
)

func modelVariable(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s is not a number", name)
	}
	return n
}

// TestModel lives random lives: requests, answers, withdrawals, changed policies, power cuts, clocks that jump, uploads, networks
// that come and go, requests that arrive late. A model, which knows nothing of ledgers, keys and queues, says what the
// person has agreed to. After every act: no sensor was read, nothing was stored, and no byte left without a consent
// in force; once a withdrawal has returned nothing of it can be read or sent, also after a power cut; and when
// everything has arrived that can, both receivers hold what the model says and refuse what comes later.
func TestModel(t *testing.T) {
	seed, n, only := modelVariable(t, "MODEL_SEED", modelSeed), modelSequences, modelVariable(t, "MODEL_ONLY", -1)
	if testing.Short() {
		n = modelShort
	}
	n = modelVariable(t, "MODEL_SEQUENCES", n)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a fifth faster
	house := newDeployment(t)
	root := inMemory(t)
	next := make(chan int, n)
	for i := range n {
		if only < 0 || i == only {
			next <- i
		}
	}
	close(next)
	began := time.Now()
	var (
		mu     sync.Mutex
		counts = map[string]int{}
		group  sync.WaitGroup
	)
	for worker := range max(1, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for bubble := 0; ; bubble++ {
				var todo []int
				for i := range next {
					if todo = append(todo, i); len(todo) == modelBubble {
						break
					}
				}
				if len(todo) == 0 || t.Failed() {
					return
				}
				dir := filepath.Join(root, fmt.Sprintf("%d-%d", worker, bubble))
				synctest.Test(t, func(t *testing.T) {
					got := liveAll(t, house, dir, uint64(seed), todo)
					mu.Lock()
					defer mu.Unlock()
					for name, times := range got {
						counts[name] += times
					}
				})
				os.RemoveAll(dir)
			}
		})
	}
	group.Wait()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s %d", name, counts[name]))
	}
	t.Logf("%d sequences from seed %d in %.1f s: %s", n, seed, time.Since(began).Seconds(), strings.Join(list, ", "))
	for _, must := range []string{
		"request", "grant", "refuse", "withdraw", "policy", "power cut", "clock", "upload", "reconnect", "late delivery", "sensor opened", "arrived",
	} {
		if counts[must] == 0 && n >= modelShort && only < 0 {
			t.Errorf("%s never happened: the test shows less than it says", must)
		}
	}
}

// inMemory returns a folder in memory where there is one: nothing here needs a real disk, since power cuts are simulated.
func inMemory(t *testing.T) string {
	t.Helper()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		if dir, err := os.MkdirTemp("/dev/shm", "scruple-model-"); err == nil {
			t.Cleanup(func() { os.RemoveAll(dir) })
			return dir
		}
	}
	return t.TempDir()
}

// liveAll runs some sequences one after the other in one bubble, and returns how often what happened.
func liveAll(t *testing.T, house *deployment, dir string, seed uint64, sequences []int) map[string]int {
	counts := map[string]int{}
	stores := openFar(t, dir)
	for _, s := range stores {
		defer s.Close()
	}
	steps := durabletest.Watch(t, filepath.Join(dir, "near"))
	steps.Remember()
	for _, i := range sequences {
		w := newWorld(t, house, filepath.Join(dir, "near", strconv.Itoa(i)), steps, stores, rand.New(rand.NewPCG(seed, uint64(i))), counts)
		w.live()
		w.end()
		if len(w.failures) > 0 {
			t.Errorf("MODEL_SEED=%d MODEL_ONLY=%d\n%s\n%s", seed, i, strings.Join(w.trace, "\n"), strings.Join(w.failures, "\n"))
			break
		}
	}
	return counts
}

// openFar opens the receivers' stores.
func openFar(t *testing.T, dir string) map[policy.ControllerID]*receiver.Store {
	t.Helper()
	stores := map[policy.ControllerID]*receiver.Store{}
	for _, c := range modelControllers {
		s, err := receiver.Open(filepath.Join(dir, "far", string(c)))
		if err != nil {
			t.Fatal(err)
		}
		stores[c] = s
	}
	return stores
}

var (
	modelPerson = server.Actor{UID: 1000, Channel: "cli", Person: true}
	modelApp    = server.Actor{UID: 1000, Channel: "app:example"}
)

// life is what the model knows of one consent.
type life struct {
	id      wire.UUID
	purpose policy.PurposeID
	agreed  terms
	expiry  time.Time
	ended   bool                  // a withdrawal has returned
	cleared bool                  // and asked for erasure
	told    bool                  // it was in force then, so the controller has to hear of it
	parked  bool                  // the policy has ended it, or another consent has taken its place
	sent    map[wire.UUID]request // every batch that has left, by its id
}

// value is one reading that may have been stored.
type value struct {
	consent wire.UUID
	made    terms // in force when it was read
	at      time.Time
	sure    bool // it was stored, and nothing has kept it back since: it has to arrive
}

// world is one sequence: the agent, its surroundings, and the model.
type world struct {
	t         *testing.T
	house     *deployment
	dir       string
	r         *rand.Rand
	steps     *durabletest.Steps
	agent     *Agent
	networks  map[policy.ControllerID]*network
	offset    time.Duration // of the device's clock
	failures  []string
	trace     []string
	counts    map[string]int
	standing  chan bool // whether it is a batch
	goOn      chan struct{}
	looking   chan struct{} // the sensor is being read
	lookOn    chan struct{}
	stores    map[policy.ControllerID]*receiver.Store
	documents []*policy.Document // version 1 first
	notes     [][]byte

	// The agent's and the network's goroutines look at what follows: mu guards it.
	mu        sync.Mutex
	receivers map[policy.ControllerID]*receiver.Receiver
	down      bool
	fates     []fate
	// The next batch, or reading, waits on its way.
	batchStands, stall bool
	late               []request
	account            account
	mayRead            bool
	finishing          bool // a reading that a withdrawal has cut
	reading            policy.PurposeID
	counters           map[policy.PurposeID]int

	// The model.
	versions []map[policy.PurposeID]terms // version 1 first
	version  int                          // in force
	given    map[policy.PurposeID]*life
	lives    map[wire.UUID]*life
	permits  map[wire.UUID]consent.Permit // held on to, as a source does
	values   map[int]*value
	seen     time.Time // the latest time on the device's clock
	born     time.Time // when elapsed was 0
	anchor   time.Time // at elapsed at it was this late
	at       time.Duration
	unsure   map[policy.PurposeID]string
	between  int // the version that a power cut may have let into force
	readings int
}

func newWorld(t *testing.T, house *deployment, dir string, steps *durabletest.Steps, stores map[policy.ControllerID]*receiver.Store, r *rand.Rand, counts map[string]int) *world {
	w := &world{
		t: t, house: house, dir: dir, r: r, steps: steps, stores: stores, counts: counts, standing: make(chan bool), goOn: make(chan struct{}), looking: make(chan struct{}), lookOn: make(chan struct{}),
		networks: map[policy.ControllerID]*network{}, receivers: map[policy.ControllerID]*receiver.Receiver{},
		account:  account{map[wire.UUID]bool{}, map[wire.UUID]map[int]bool{}, map[wire.UUID]bool{}, map[wire.UUID]bool{}, map[wire.UUID]int{}, map[wire.UUID]int{}},
		counters: map[policy.PurposeID]int{}, given: map[policy.PurposeID]*life{}, lives: map[wire.UUID]*life{}, permits: map[wire.UUID]consent.Permit{}, values: map[int]*value{},
		unsure: map[policy.PurposeID]string{}, born: time.Now(),
	}
	first := map[policy.PurposeID]terms{}
	for _, p := range modelPurposes {
		first[p] = terms{"messenger", 400, 1}
	}
	first["coach"] = terms{"payments", 400, 1}
	w.addVersion(first)
	w.version = 1
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.policyFile(), w.notes[0], 0o600); err != nil {
		t.Fatal(err)
	}
	w.renewReceivers()
	for _, c := range modelControllers {
		w.networks[c] = newNetwork(w, c)
	}
	steps.Restart()
	w.start()
	return w
}

func (w *world) policyFile() string { return filepath.Join(w.dir, "policy.note") }

func (w *world) addVersion(all map[policy.PurposeID]terms) {
	p := w.house.policy(len(w.versions)+1, all)
	w.versions, w.notes, w.documents = append(w.versions, all), append(w.notes, p.note), append(w.documents, p.document)
}

// renewReceivers gives the receivers the latest policy, beside all earlier ones.
func (w *world) renewReceivers() {
	for _, c := range modelControllers {
		rv, err := receiver.New(receiver.Config{
			Policy: w.documents[len(w.documents)-1], Earlier: w.documents[:len(w.documents)-1], Controller: c, Store: w.stores[c],
			Signer: w.house.signers[c], Limits: receiver.Limits{},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.mu.Lock()
		w.receivers[c] = rv
		w.mu.Unlock()
	}
}

func (w *world) failf(format string, args ...any) {
	if len(w.failures) < 5 {
		w.failures = append(w.failures, fmt.Sprintf(format, args...))
	}
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%4d. ", len(w.trace)+1)+fmt.Sprintf(format, args...))
}

// clock is the device's.
func (w *world) clock() time.Time { return time.Now().Add(w.offset) }

// elapsed is the device's other clock, which nobody sets.
func (w *world) elapsed() time.Duration { return time.Since(w.born) }

// now is the time that counts: never before the latest seen, and going on while the clock is set back.
func (w *world) now() time.Time {
	w.seen = maxTime(w.seen, w.clock())
	if passed := w.anchor.Add(w.elapsed() - w.at); passed.After(w.seen) {
		return passed
	}
	w.anchor, w.at = w.seen, w.elapsed()
	return w.seen
}

func maxTime(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (w *world) behind() bool { w.now(); return w.clock().Before(w.seen.Add(-consent.ClockTolerance)) }

func (w *world) current() map[policy.PurposeID]terms { return w.versions[w.version-1] }

// inForce is the model's whole idea of consent.
func (w *world) inForce(l *life) bool {
	return l != nil && !l.ended && !l.parked && w.given[l.purpose] == l && w.unsure[l.purpose] != "withdraw" && w.now().Before(l.expiry) && !w.behind() &&
		w.current()[l.purpose].within(l.agreed)
}

// nearExpiry keeps the model from judging within the hour that the agent may forget at a power cut.
func (w *world) nearExpiry(l *life) bool {
	d := w.now().Sub(l.expiry)
	return d > -2*time.Hour && d < 2*time.Hour
}

func (w *world) tuple(p policy.PurposeID) policy.Tuple {
	return policy.Tuple{Subject: w.agent.subject, Controller: w.current()[p].controller, Category: "steps", Purpose: p}
}

// start starts the agent, without its loops.
func (w *world) start() {
	w.t.Helper()
	if err := w.open(); err != nil {
		w.t.Fatalf("the agent does not start again: %v\n%s", err, strings.Join(w.trace, "\n"))
	}
}

func (w *world) open() error {
	s := settings.Defaults()
	s.StateDir, s.PolicyFile, s.PolicyKey = filepath.Join(w.dir, "state"), w.policyFile(), w.house.policyKey
	s.IIORoot, s.Language, s.Upload.Slot = w.dir, "en", time.Hour
	a := &Agent{
		settings: s, log: zap.NewNop(), subject: "uid:1000", started: time.Now(), unfinished: map[unfinishedKey]control.Step{},
		kick: make(chan struct{}, 1), clock: w.clock, elapsed: w.elapsed, dial: w.dial,
	}
	if err := a.open(); err != nil {
		a.Close()
		return err
	}
	a.sources.sys = newSensor(w)
	if a.register.Age().Band == consent.BandUnknown {
		if _, err := a.DeclareAge(context.Background(), modelPerson, consent.BandAdult); err != nil {
			a.Close()
			return err
		}
	}
	a.ring.View(func(s *keyring.State) { w.seen = maxTime(w.seen, time.Unix(s.HighWater, 0)) })
	w.anchor, w.at = w.seen, w.elapsed()
	a.finishWithdrawals()
	w.agent = a
	return nil
}

// crash is a power cut and the start after it: what was not flushed may be gone.
func (w *world) crash() {
	w.note("power cut")
	w.counts["power cut"]++
	w.agent.Close()
	if err := w.steps.Lose(w.r); err != nil {
		w.t.Fatal(err)
	}
	w.start()
	w.settle()
}

func (w *world) end() {
	w.agent.Close()
	for _, n := range w.networks {
		n.serve.Close()
	}
	synctest.Wait()
}

// settle finds out on which side of its commit point an act was that a power cut has interrupted. Both are right; anything
// else is not.
func (w *world) settle() {
	if v := w.agent.document().Version; v != w.version {
		if v != w.between {
			w.failf("after a power cut version %d of the policy is in force, not %d", v, w.version)
		}
		w.adopt(v)
	}
	w.between = 0
	for _, p := range modelPurposes {
		s, before, act := w.agent.register.State(w.tuple(p)), w.given[p], w.unsure[p]
		delete(w.unsure, p)
		switch {
		case before == nil && s.Consent.IsZero(), before != nil && s.Consent == before.id:
		case act == "withdraw" && s.Consent.IsZero():
			before.ended, w.given[p] = true, nil // and what stood beside it may be
		case act == "grant" && !s.Consent.IsZero():
			w.agree(p, s)
		case before != nil && s.Consent.IsZero() && !w.now().Before(before.expiry.Add(-2*time.Hour)): // swept
		default:
			w.failf("%s: after a power cut in %q the consent is %q", p, act, s.Consent)
		}
	}
}

// agree takes a consent into the model.
func (w *world) agree(p policy.PurposeID, s consent.State) {
	if old := w.given[p]; old != nil {
		old.parked = true
	}
	l := &life{id: s.Consent, purpose: p, agreed: w.current()[p], expiry: s.Expiry, sent: map[wire.UUID]request{}}
	w.given[p], w.lives[l.id] = l, l
}

// withdrawn ends every consent of a purpose, under whatever controller. told says that the one that was given had not
// expired.
func (w *world) withdrawn(p policy.PurposeID, clear, told bool) {
	for _, l := range w.lives {
		if l.purpose != p {
			continue
		}
		l.ended = true
		if w.given[p] == l {
			l.told, l.cleared = told, told && clear
		}
	}
	w.given[p] = nil
}

// adopt puts a version into force in the model.
func (w *world) adopt(version int) {
	w.version = version
	for _, p := range modelPurposes {
		if l := w.given[p]; l != nil && l.agreed.controller != w.current()[p].controller {
			l.parked, w.given[p] = true, nil
		}
	}
	for _, v := range w.values {
		if l := w.lives[v.consent]; w.current()[l.purpose] != v.made {
			v.sure = false
		}
	}
}
