package agent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors/sensortest"
	"github.com/scruple-agent/scruple/uploader"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// What surrounds the agent of TestModel: a sensor, a network, and two receivers. The agent, its key ring, ledgers, spool and
// uploader, TLS and the receivers with their stores are the real ones; the network is in memory and loses, repeats
// and delays whole requests; time is that of a synctest bubble.

// terms are what varies between the versions of the policy about one purpose.
type terms struct {
	controller policy.ControllerID
	kept       int // days at the controller: fewer is narrower, and the content of a report is the same
	round      int // steps are rounded down to it: a multiple is narrower, and the content is another
}

// within reports whether everything that a allows was allowed by b.
func (a terms) within(b terms) bool {
	return a.controller == b.controller && a.kept <= b.kept && a.round%b.round == 0
}

var (
	modelControllers = []policy.ControllerID{"messenger", "payments"}
	modelPurposes    = []policy.PurposeID{"compare", "rank", "coach"}
)

// deployment is what is made once for all sequences: keys and certificates.
type deployment struct {
	policySigner, policyKey string
	signers                 map[policy.ControllerID]note.Signer
	keys                    map[policy.ControllerID]string
	config                  *tls.Config
	pin                     string
	versions                sync.Map // text of a policy -> its signedPolicy
}

func newDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{signers: map[policy.ControllerID]note.Signer{}, keys: map[policy.ControllerID]string{}}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	d.policySigner, d.policyKey, err = policy.GenerateKey("deployer")
	ok(err)
	for _, c := range modelControllers {
		private, public, err := note.GenerateKey(rand.Reader, string(c)+".example.com")
		ok(err)
		d.keys[c] = public
		d.signers[c], err = note.NewSigner(private)
		ok(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "model"}, DNSNames: []string{"messenger.example.com", "payments.example.com"},
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ok(err)
	cert, err := x509.ParseCertificate(der)
	ok(err)
	d.pin = uploader.Pin(cert)
	d.config = receiver.TLSConfig(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	return d
}

type signedPolicy struct {
	note     []byte
	document *policy.Document
}

// policy returns the signed policy of these terms.
func (d *deployment) policy(version int, all map[policy.PurposeID]terms) signedPolicy {
	var b strings.Builder
	fmt.Fprintf(&b, "policy: model\nversion: %d\neffective: 2000-01-01\n\ncontrollers:\n", version)
	for _, c := range modelControllers {
		fmt.Fprintf(&b, "  - id: %s\n    name: {zh-CN: 示例, en: Example}\n    contact: privacy@example.com\n    endpoint: https://%[1]s.example.com\n"+
			"    region: CN\n    key: %s\n    pins:\n      - sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n      - %s\n", c, d.keys[c], d.pin)
	}
	b.WriteString("features:\n  - {id: feature, name: {zh-CN: 功能, en: a feature}}\ncategories:\n  - id: steps\n    clause: \"1.6\"\n" +
		"    name: {zh-CN: 步数, en: Steps}\n    description: {zh-CN: 步数。, en: Steps.}\n    sensitivity: sensitive\n    origin: device\n" +
		"    source: steps\n    residency: CN\n    fields:\n" +
		"      - {name: total, type: integer, label: {zh-CN: 总数, en: total}, fideslang: user.health, dpv: \"scruple:StepCount\"}\n    purposes:\n")
	for _, p := range modelPurposes {
		fmt.Fprintf(&b, "      - id: %s\n        text: {zh-CN: 用途。, en: Purpose %[1]s.}\n        necessity: {zh-CN: 必要。, en: Needed.}\n"+
			"        effect: {zh-CN: 影响。, en: Effect.}\n        feature: feature\n        controller: %s\n        separate: true\n"+
			"        collect: {mode: background, every: 1h}\n        minimiser: {name: steps, round: %d}\n"+
			"        retention: {device: {for: 90d}, controller: {for: %dd}}\n        expiry: 365d\n        data-use: functional.service\n"+
			"        dpv: \"dpv:RequestedServiceProvision\"\n", p, all[p].controller, all[p].round, all[p].kept)
	}
	text := b.String()
	if known, ok := d.versions.Load(text); ok {
		return known.(signedPolicy)
	}
	signed, err := policy.Sign([]byte(text), d.policySigner)
	if err != nil {
		panic(fmt.Sprintf("model policy: %v", err))
	}
	doc, err := policy.Load("model", signed, policy.LoadOptions{Key: d.policyKey})
	if err != nil {
		panic(fmt.Sprintf("model policy: %v", err))
	}
	d.versions.Store(text, signedPolicy{signed, doc})
	return signedPolicy{signed, doc}
}

// request is one on its way, as it left the device.
type request struct {
	to     policy.ControllerID
	method string
	path   string
	header http.Header
	body   []byte
	tls    *tls.ConnectionState
}

func (q request) batch() (wire.Batch, bool) {
	if !strings.HasPrefix(q.path, "/v1/batches/") || q.method != http.MethodPut {
		return wire.Batch{}, false
	}
	plain, err := wire.Decompress(q.body)
	if err != nil {
		return wire.Batch{}, false
	}
	b, err := wire.DecodeBatch(plain)
	return b, err == nil
}

// fate is what the network does with a request.
type fate int

const (
	deliver fate = iota
	lose         // it never arrives
	mute         // it arrives, its answer does not
	hold         // it does not arrive now, but later
	repeat       // it arrives now, and again later
	refuse404
	refuse400
	refuse410
	fail500
	stand // it waits on the way until the test lets it go on
	fates
)

// network is the way to one controller.
type network struct {
	world *world
	id    policy.ControllerID
	conns chan net.Conn
	done  chan struct{}
	serve *http.Server
}

func newNetwork(w *world, id policy.ControllerID) *network {
	n := &network{world: w, id: id, conns: make(chan net.Conn), done: make(chan struct{})}
	n.serve = &http.Server{Handler: n, TLSConfig: w.house.config.Clone(), ErrorLog: log.New(io.Discard, "", 0)}
	n.serve.TLSConfig.NextProtos = []string{"http/1.1"}
	go n.serve.ServeTLS(n, "", "")
	return n
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	select {
	case <-n.done:
	default:
		close(n.done)
	}
	return nil
}

func (n *network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

// ServeHTTP is where a request has left the device and has not arrived.
func (n *network) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w := n.world
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if w.steps.Stopped() { // the machine that sent it is off
		panic(http.ErrAbortHandler)
	}
	q := request{n.id, r.Method, r.URL.RequestURI(), r.Header, body, r.TLS}
	f := w.departed(q)
	switch f {
	case stand:
		_, batch := q.batch()
		w.standing <- batch
		select {
		case <-w.goOn:
		case <-r.Context().Done():
		}
	case refuse404, refuse400, refuse410, fail500:
		http.Error(out, "no", map[fate]int{refuse404: 404, refuse400: 400, refuse410: 410, fail500: 500}[f])
		return
	case lose:
		panic(http.ErrAbortHandler)
	case hold:
		w.delay(q)
		panic(http.ErrAbortHandler)
	case repeat:
		w.delay(q)
	}
	answer := w.arrive(q)
	if f == mute {
		panic(http.ErrAbortHandler)
	}
	for k, v := range answer.Header() {
		out.Header()[k] = v
	}
	out.WriteHeader(answer.Code)
	out.Write(answer.Body.Bytes())
}

// dial is the agent's way to the network.
func (w *world) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, _ := strings.Cut(address, ".example.com:443")
	n := w.networks[policy.ControllerID(host)]
	w.mu.Lock()
	down := w.down || n == nil || w.steps.Stopped()
	w.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connection refused")}
	}
	ours, theirs := net.Pipe()
	select {
	case n.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// delay keeps a request for later.
func (w *world) delay(q request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = append(w.late, q)
}

// arrive hands a request to its receiver and keeps account of what the receiver has said that it has.
func (w *world) arrive(q request) *httptest.ResponseRecorder {
	r := httptest.NewRequest(q.method, q.path, bytes.NewReader(q.body))
	r.Header, r.TLS = q.header, q.tls
	answer := httptest.NewRecorder()
	w.mu.Lock()
	to := w.receivers[q.to]
	w.mu.Unlock()
	to.ServeHTTP(answer, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	if answer.Code/100 == 2 {
		w.account.confirmed(w, q)
	}
	return answer
}

// account is what the receivers should hold, as their own answers say.
type account struct {
	withdrawn map[wire.UUID]bool
	held      map[wire.UUID]map[int]bool
	batches   map[wire.UUID]bool
	erasures  map[wire.UUID]bool
	erasing   map[wire.UUID]int // the last reading before the person asked for an erasure, by its id
	erased    map[wire.UUID]int // the last that has been erased, by consent
}

// confirmed keeps account of a request that a receiver has confirmed.
func (a *account) confirmed(w *world, q request) {
	if b, ok := q.batch(); ok {
		if a.withdrawn[b.Consent] {
			w.failf("a receiver takes a batch of consent %s after its withdrawal", b.Consent)
		}
		if a.batches[b.ID] {
			return
		}
		a.batches[b.ID] = true
		if a.held[b.Consent] == nil {
			a.held[b.Consent] = map[int]bool{}
		}
		for _, item := range b.Items {
			v := reading(item)
			if v <= a.erased[b.Consent] {
				w.failf("reading %d is taken after it was erased", v)
			}
			if a.held[b.Consent][v] {
				w.failf("reading %d arrives in two batches", v)
			}
			a.held[b.Consent][v] = true
		}
		return
	}
	if q.method != http.MethodPut {
		return
	}
	if m, _, err := wire.Open[wire.Withdrawal](q.body); err == nil && strings.HasSuffix(q.path, "/withdrawal") {
		a.withdrawn[m.Consent] = true
		if m.Clear {
			delete(a.held, m.Consent)
		}
	} else if m, _, err := wire.Open[wire.Erasure](q.body); err == nil && strings.HasPrefix(q.path, "/v1/erasures/") && !a.erasures[m.ID] {
		a.erasures[m.ID] = true
		a.erased[m.Consent] = max(a.erased[m.Consent], a.erasing[m.ID])
		delete(a.held, m.Consent)
	}
}

// unit is the number of steps that stand for one reading; each reading of a sequence has a number of its own.
const unit = 1000

func reading(i wire.Item) int {
	switch n := i.Fields["total"].(type) {
	case int64:
		return int(n / unit)
	case uint64:
		return int(n / unit)
	}
	return -1
}

// sensor is the step counter. It belongs to whichever purpose is being read for, and knows when nobody may look.
type sensor struct {
	world *world
	tree  fstest.MapFS
}

func newSensor(w *world) *sensor { return &sensor{w, sensortest.StepCounter()} }

func (s *sensor) Open(name string) (fs.File, error) {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mayRead && (!w.finishing || !strings.HasSuffix(name, "in_steps_en")) { // whether it is on says nothing of anybody
		w.failf("the sensor is read without a consent in force: %s", name)
	}
	w.counts["sensor opened"]++
	if strings.HasSuffix(name, "in_steps_input") {
		if w.reading == "" { // whose steps they would be is not known
			return nil, fs.ErrPermission
		}
		if w.stall {
			w.stall = false
			w.mu.Unlock()
			w.looking <- struct{}{}
			<-w.lookOn
			w.mu.Lock()
		}
		tree := fstest.MapFS{name: &fstest.MapFile{Data: []byte(strconv.Itoa(w.counters[w.reading]) + "\n")}}
		return tree.Open(name)
	}
	return s.tree.Open(name)
}
