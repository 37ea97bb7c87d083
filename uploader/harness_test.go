package uploader

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/answers"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/spool"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const host = "messenger.example.com"

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate for host, signed by parent, or by itself.
func issue(t testing.TB, parent *issued, change func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{host}, BasicConstraintsValid: true,
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	}
	if change != nil {
		change(template)
	}
	by := &issued{template, key}
	if parent != nil {
		by = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

// chain returns what a server presents: leaf first.
func chain(leaf *issued, others ...*issued) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}
	for _, o := range others {
		c.Certificate = append(c.Certificate, o.cert.Raw)
	}
	return c
}

// link is the network between a house and its controller.
type link interface {
	net.Listener
	dial(ctx context.Context, network, address string) (net.Conn, error)
}

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// loopback is a link over the loopback interface, whatever the address says.
type loopback struct{ net.Listener }

func newLoopback(t testing.TB) link {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return loopback{ln}
}

func (l loopback) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if address != host+":443" {
		return nil, errRefused
	}
	return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
}

// pipes is a link without a network, for synctest bubbles.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() link { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// seen is a request as it arrived.
type seen struct {
	line   string // "PUT /v1/..."
	header http.Header
	body   []byte
	cert   *x509.Certificate
	at     time.Time
}

// controller is the other end: it confirms everything, unless answer says otherwise.
type controller struct {
	signer   note.Signer
	verifier string
	metadata wire.Metadata // what it says of itself

	mu       sync.Mutex
	requests []seen
	conns    int
	resumed  bool
	latest   map[string][]byte // the latest message about each consent
	// answer replaces the answer when it returns true.
	answer func(w http.ResponseWriter, r *http.Request, body []byte) bool
}

func newController(t testing.TB) *controller {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, host)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return &controller{signer: signer, verifier: public}
}

func (c *controller) set(answer func(w http.ResponseWriter, r *http.Request, body []byte) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// refuse makes every request whose line begins with on meet a problem.
func (c *controller) refuse(on string, kind wire.ProblemType, header map[string]string) {
	c.set(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !strings.HasPrefix(r.Method+" "+r.URL.Path, on) {
			return false
		}
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(kind.Status())
		io.WriteString(w, `{"type":"`+wire.ProblemBase+string(kind)+`","title":"no","status":403,"detail":"for a reason"}`)
		return true
	})
}

// got returns the requests whose line begins with on.
func (c *controller) got(on string) []seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []seen
	for _, s := range c.requests {
		if strings.HasPrefix(s.line, on) {
			out = append(out, s)
		}
	}
	return out
}

func (c *controller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s := seen{line: r.Method + " " + r.URL.Path, header: r.Header, body: body, at: time.Now()}
	c.mu.Lock()
	if r.TLS != nil {
		if len(r.TLS.PeerCertificates) > 0 {
			s.cert = r.TLS.PeerCertificates[0]
		}
		c.resumed = c.resumed || r.TLS.DidResume
	}
	c.requests = append(c.requests, s)
	answer := c.answer
	c.mu.Unlock()
	if answer != nil && answer(w, r, body) {
		return
	}
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/consents/") {
		c.showLatest(w, strings.TrimPrefix(r.URL.Path, "/v1/consents/"))
		return
	}
	if r.Method == http.MethodGet && r.URL.Path == "/v1/controller" {
		signed, err := wire.SignMetadata(c.metadata, c.signer)
		if err != nil {
			panic(err)
		}
		w.Write(signed)
		return
	}
	c.keep(body)
	w.Write(c.receipt(r.URL.Path, body))
}

// keep keeps a message of lane A if it is the latest of its consent.
func (c *controller) keep(body []byte) {
	m, _, err := wire.OpenAny(body)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.latest == nil {
		c.latest = map[string][]byte{}
	}
	if before, _, err := wire.OpenAny(c.latest[m.Consent.String()]); err != nil || before.Sequence < m.Sequence {
		c.latest[m.Consent.String()] = body
	}
}

func (c *controller) showLatest(w http.ResponseWriter, id string) {
	c.mu.Lock()
	body := c.latest[id]
	c.mu.Unlock()
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Write(body)
}

// receipt confirms a request.
func (c *controller) receipt(path string, body []byte) []byte {
	receipt := wire.Receipt{Controller: "messenger", Body: wire.HashOf(body), Time: time.Now(), Matches: 2}
	switch {
	case strings.HasPrefix(path, "/v1/batches/"):
		plain, err := wire.Decompress(body)
		if err != nil {
			return nil
		}
		b, err := wire.DecodeBatch(plain)
		if err != nil {
			return nil
		}
		receipt.Kind, receipt.Consent = wire.ReceiptBatch, b.Consent
	case strings.HasSuffix(path, "/withdrawal"):
		m, _, err := wire.Open[wire.Withdrawal](body)
		if err != nil {
			return nil
		}
		receipt.Kind, receipt.Consent = wire.ReceiptWithdrawal, m.Consent
		if m.Clear {
			receipt.Kind = wire.ReceiptErasure
		}
	case strings.HasPrefix(path, "/v1/erasures/"):
		m, _, err := wire.Open[wire.Erasure](body)
		if err != nil {
			return nil
		}
		receipt.Kind, receipt.Consent = wire.ReceiptErasure, m.Consent
	default:
		m, _, err := wire.Open[wire.Consent](body)
		if err != nil {
			return nil
		}
		receipt.Kind, receipt.Consent = wire.ReceiptConsent, m.Consent
	}
	b, err := wire.SignReceipt(receipt, c.signer)
	if err != nil {
		return nil
	}
	return b
}

// house is an agent without its senses.
type house struct {
	*Uploader
	doc     *policy.Document
	desk    *consenttest.Desk
	spool   *spool.Spool
	journal *journal.Journal
	answers *answers.Store
	far     *controller
	server  *http.Server
	link    link
	tuple   policy.Tuple
	options Options
}

// newHouse builds a house and a controller that it trusts; it ends with the test.
func newHouse(t testing.TB, o Options) *house { return buildHouse(t, o, newLoopback(t)) }

// newBubbleHouse is newHouse inside a synctest bubble.
func newBubbleHouse(t testing.TB, o Options) *house { return buildHouse(t, o, newPipes()) }

func buildHouse(t testing.TB, o Options, l link) *house {
	t.Helper()
	authority := issue(t, nil, nil)
	leaf := issue(t, authority, nil)
	h := &house{doc: consenttest.Document(t), far: newController(t), link: l, options: o}
	messenger, err := h.doc.Controller("messenger")
	if err != nil {
		t.Fatal(err)
	}
	messenger.Key, messenger.Pins = h.far.verifier, []string{"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", Pin(authority.cert)}
	h.far.metadata = wire.Metadata{Controller: "messenger", Endpoint: messenger.Endpoint, Region: messenger.Region}
	h.server = serve(h.link, h.far, &tls.Config{Certificates: []tls.Certificate{chain(leaf, authority)}, MinVersion: tls.VersionTLS13})
	h.options.Dial = h.link.dial
	h.open(t)
	t.Cleanup(func() {
		h.server.Close()
		h.close()
	})
	h.tuple = consenttest.Tuple(t, h.doc, "device", "service")
	return h
}

// serve answers on a listener until the server is closed.
func serve(ln net.Listener, far *controller, config *tls.Config) *http.Server {
	config.ClientAuth = tls.RequestClientCert
	s := &http.Server{Handler: far, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			far.mu.Lock()
			far.conns++
			far.mu.Unlock()
		}
	}
	go s.ServeTLS(ln, "", "")
	return s
}

func (h *house) open(t testing.TB) {
	t.Helper()
	if h.desk == nil {
		h.desk = &consenttest.Desk{Dir: t.TempDir(), Key: make([]byte, 32)}
	}
	h.desk.Open(t, h.doc, consent.Options{})
	var err error
	if h.spool, err = spool.Open(filepath.Join(h.desk.Dir, "spool"), h.desk.Ring, spool.Limits{}); err != nil {
		t.Fatal(err)
	}
	if h.journal, err = journal.Open(filepath.Join(h.desk.Dir, "journal"), h.desk.Ring, journal.Limits{}); err != nil {
		t.Fatal(err)
	}
	if h.answers, err = answers.Open(filepath.Join(h.desk.Dir, "answers"), h.desk.Ring, h.desk.Register.Retention); err != nil {
		t.Fatal(err)
	}
	o := h.options
	o.Register, o.Spool, o.Ring, o.Journal, o.Answers = h.desk.Register, h.spool, h.desk.Ring, h.journal, h.answers
	h.Uploader = New(o)
	h.desk.Register.OnWithdrawn(func(id wire.UUID, _ policy.Tuple) {
		if err := errors.Join(h.spool.Erase(id), h.answers.Erase(id), h.journal.Forget(id)); err != nil {
			t.Error(err)
		}
		h.Kick()
	})
}

func (h *house) close() {
	h.journal.Close()
	h.spool.Close()
	h.desk.Close()
}

// restart is what a crash and a new start do to everything in memory.
func (h *house) restart(t testing.TB) {
	t.Helper()
	h.close()
	h.open(t)
}

// give lets the person agree.
func (h *house) give(t testing.TB, tuple policy.Tuple) wire.UUID {
	t.Helper()
	return consenttest.Give(t, h.desk.Register, tuple)
}

// store puts n reports into the spool.
func (h *house) store(t testing.TB, tuple policy.Tuple, n int) {
	t.Helper()
	storeValue(t, h.desk.Register, h.spool, tuple, n, map[string]any{"value": "canary"})
}

func storeValue(t testing.TB, reg *consent.Register, sp *spool.Spool, tuple policy.Tuple, n int, fields map[string]any) {
	t.Helper()
	p := consenttest.PermitFrom(t, reg, tuple)
	for range n {
		b, err := wire.EncodeReport(wire.Report{
			Consent: p.Consent(), Subtree: p.Subtree(), Item: wire.Item{Time: 1_790_000_000, Fields: fields},
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := minimise.Decode(p, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := sp.Append(p, r); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs the uploader until stop is called.
func (h *house) start(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// state returns the state of a lane of a consent; the zero value when there is none.
func (h *house) state(lane Lane, id wire.UUID) LaneState {
	for _, s := range h.State() {
		if s.Lane == lane && s.Consent == id {
			return s
		}
	}
	return LaneState{}
}

func (h *house) waiting(id wire.UUID) int {
	for _, s := range h.spool.Stats() {
		if s.Consent == id {
			return s.Reports
		}
	}
	return 0
}
