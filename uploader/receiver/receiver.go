// Package receiver is the reference receiver of one controller: what stands at the other end of the agent's
// connection, enforcing the same policy document from its side.
//
// It knows a tuple by the hash of its client certificate's public key and by nothing else; first use creates that
// pseudonym, there is no enrolment. It refuses what the policy does not declare, what carries no consent
// in force, and what arrives after that consent's withdrawal, however late. It stores each batch once, sealed under a
// key per consent, matches contact digests against registered users and forgets the rest, and signs what it
// confirms. The peer's address is neither stored nor logged.
//
// For most uses call New and serve what it returns with Serve; Dev makes everything a trial needs. Package receivertest
// starts one inside a test.
//
// Left out: an account system, and a storage engine for a fleet.
package receiver

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Config of a Receiver. Policy, Controller, Store and Signer are required.
type Config struct {
	// Policy is the document that this receiver enforces.
	Policy *policy.Document
	// Earlier are versions of the policy that are still accepted, from people whose agent has not the new one yet, and from those
	// whose consent was given to one of them and goes on because the new one is narrower.
	Earlier []*policy.Document
	// Controller is the controller of the policy for which it receives; everything for others is refused.
	Controller policy.ControllerID
	Store      *Store
	// Signer signs receipts and metadata; its public part is the controller's key in the policy.
	Signer note.Signer
	// Guardians says that the people of this service are minors: a consent without a guardian's approval is refused.
	Guardians bool
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Limits bound what one pseudonym may ask for; DefaultLimits where zero.
	Limits Limits
	// Faults makes the receiver misbehave, for tests of what talks to it; nil in production.
	Faults *Faults
	// Log gets one line per request: route, status, refusal; zap.NewNop if nil. Never an address, never a value.
	Log *zap.Logger
}

// Receiver is the HTTP handler. It may be used by several goroutines.
type Receiver struct {
	cfg       Config
	mux       *http.ServeMux
	quota     quota
	unpacking chan struct{} // holds one token per body that is being unpacked
	lastEpoch atomic.Uint64
	questions map[policy.Tag]asked // of the analytics lane
}

// maxUnpacking is how many bodies are unpacked at a time, which bounds memory: each may be wire.MaxPlain bytes large.
const maxUnpacking = 4

// New checks the configuration and returns the receiver. It returns an error when the policy does not declare the
// controller, or names another key for it than the signer's.
func New(cfg Config) (*Receiver, error) {
	if cfg.Policy == nil || cfg.Store == nil || cfg.Signer == nil {
		return nil, errors.New("new receiver: policy, store and signer are required")
	}
	ctrl, err := cfg.Policy.Controller(cfg.Controller)
	if err != nil {
		return nil, fmt.Errorf("new receiver: %w", err)
	}
	v, err := note.NewVerifier(ctrl.Key)
	if err != nil {
		return nil, fmt.Errorf("new receiver: key of controller %s: %w", ctrl.ID, err)
	}
	if v.Name() != cfg.Signer.Name() || v.KeyHash() != cfg.Signer.KeyHash() {
		return nil, fmt.Errorf("new receiver: the policy names another key for controller %s than the one at hand", ctrl.ID)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	cfg.Limits = cfg.Limits.orDefault()
	rv := &Receiver{cfg: cfg, mux: http.NewServeMux(), unpacking: make(chan struct{}, maxUnpacking)}
	rv.questions = questionsOf(rv.documents(), cfg.Controller)
	for _, route := range rv.routes() {
		rv.mux.HandleFunc(route.pattern, rv.handle(route))
	}
	return rv, nil
}

// route is one line of the table of everything that can be asked.
type route struct {
	pattern string
	class   class // which quota it is counted against
	serve   func(http.ResponseWriter, *http.Request, caller) (answer, error)
}

func (rv *Receiver) routes() []route {
	return []route{
		// Lane A has no quota: no withdrawal is ever told to come later.
		{"PUT /v1/consents/{consent}", unlimited, rv.putConsent},
		{"PUT /v1/consents/{consent}/withdrawal", unlimited, rv.putWithdrawal},
		{"PUT /v1/erasures/{id}", unlimited, rv.putErasure},
		{"GET /v1/consents/{consent}", unlimited, rv.getConsent},
		{"PUT /v1/cases/{id}", unlimited, rv.putCase},
		{"GET /v1/cases/{id}", unlimited, rv.getCase},
		{"PUT /v1/batches/{id}", batches, rv.putBatch},
		{"GET /v1/contacts/epoch", epochs, rv.getEpoch},
		{"POST /v1/analytics", nameless, rv.postAnswer},
		{"GET /v1/data", accesses, rv.getData},
		{"GET /v1/controller", accesses, rv.getController},
		{"GET /v1/notices", accesses, rv.getNotices},
	}
}

// caller is the other end of a connection.
type caller struct {
	pseudonym Pseudonym
	key       ed25519.PublicKey // nil for a certificate with another kind of key, which can sign no message
}

// callerOf reads the client certificate. That its holder has the private key, TLS has proven.
func callerOf(r *http.Request) (caller, bool) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return caller{}, false
	}
	cert := r.TLS.PeerCertificates[0]
	key, _ := cert.PublicKey.(ed25519.PublicKey)
	return caller{pseudonym: sha256.Sum256(cert.RawSubjectPublicKeyInfo), key: key}, true
}

// answer of a handler; the zero value means that it has written its own.
type answer struct {
	contentType string
	body        []byte
}

func receiptAnswer(receipt []byte) answer { return answer{"text/plain; charset=utf-8", receipt} }

// ServeHTTP answers requests. The connection must be TLS, with a client certificate for everything but the analytics lane, and
// without one there.
func (rv *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rv.cfg.Faults != nil {
		rv.cfg.Faults.serve(w, r, rv.mux)
		return
	}
	rv.mux.ServeHTTP(w, r)
}

func (rv *Receiver) handle(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			// net/http would log the panic's value, which may be anything, beside the peer's address.
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler {
					rv.cfg.Log.Error("panic", zap.String("route", rt.pattern), zap.Stack("stack"))
				}
				panic(http.ErrAbortHandler)
			}
		}()
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		c, ok := callerOf(r)
		if rt.class == nameless {
			if ok {
				rv.fail(w, rt, statusError{http.StatusBadRequest, "this has to come without a client certificate"})
				return
			}
		} else if !ok {
			rv.fail(w, rt, statusError{http.StatusUnauthorized, "a client certificate is needed"})
			return
		}
		if wait := rv.quota.take(c.pseudonym, rt.class, rv.cfg.Limits, rv.cfg.Now()); wait > 0 {
			rv.fail(w, rt, &Refusal{Kind: wire.ProblemSlowDown, Detail: "too many requests with this key", RetryAfter: wait})
			return
		}
		a, err := rt.serve(w, r, c)
		if err != nil {
			rv.fail(w, rt, err)
			return
		}
		if a.contentType != "" {
			h.Set("Content-Type", a.contentType)
			h.Set("Content-Length", strconv.Itoa(len(a.body)))
			// A client that has gone asks again.
			_, _ = w.Write(a.body)
		}
		if rt.class == nameless {
			return // a line would say at which moment it came
		}
		rv.cfg.Log.Debug("answered", zap.String("route", rt.pattern), zap.Int("status", http.StatusOK))
	}
}

// Refusal is an answer from the closed list of problems.
type Refusal struct {
	Kind wire.ProblemType
	// Detail says what is wrong and never holds a value.
	Detail string
	// RetryAfter is sent with slow-down, in whole seconds.
	RetryAfter time.Duration
	// Changes is sent with changed-since: the number that a batch has to name.
	Changes uint64
}

// Error returns the kind and the detail.
func (r *Refusal) Error() string { return string(r.Kind) + ": " + r.Detail }

func refuse(kind wire.ProblemType, format string, args ...any) error {
	return &Refusal{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// statusError is an answer outside the closed list: what HTTP itself has a word for.
type statusError struct {
	status int
	detail string
}

func (e statusError) Error() string { return e.detail }

var titles = map[wire.ProblemType]string{
	wire.ProblemConsentUnknown:   "no such consent",
	wire.ProblemConsentWithdrawn: "the consent was withdrawn",
	wire.ProblemConsentExpired:   "the consent has expired",
	wire.ProblemPolicyMismatch:   "not what the policy says",
	wire.ProblemUndeclaredField:  "not a declared field",
	wire.ProblemWrongController:  "meant for another controller",
	wire.ProblemWrongEpoch:       "made under another epoch",
	wire.ProblemBodyDiffers:      "the same id came before with another body",
	wire.ProblemTooLarge:         "too large",
	wire.ProblemSlowDown:         "slow down",
	wire.ProblemGuardian:         "a guardian's approval is needed",
	wire.ProblemMalformed:        "malformed",
	wire.ProblemCaseUnknown:      "no such case",
	wire.ProblemChanged:          "sent before a change",
}

// fail answers with a problem (RFC 9457).
func (rv *Receiver) fail(w http.ResponseWriter, rt route, err error) {
	var (
		refusal *Refusal
		status  statusError
		p       wire.Problem
	)
	switch {
	case errors.As(err, &refusal):
		p = problem(refusal)
		if refusal.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(refusal.RetryAfter.Seconds()))))
		}
		if rt.class != nameless {
			rv.cfg.Log.Info("refused", zap.String("route", rt.pattern), zap.String("problem", string(refusal.Kind)))
		}
	case errors.As(err, &status):
		p = wire.Problem{Type: "about:blank", Title: http.StatusText(status.status), Status: status.status, Detail: status.detail}
		if rt.class != nameless {
			rv.cfg.Log.Info("refused", zap.String("route", rt.pattern), zap.Int("status", status.status))
		}
	default:
		p = wire.Problem{Type: "about:blank", Title: http.StatusText(http.StatusInternalServerError), Status: http.StatusInternalServerError}
		rv.cfg.Log.Error("cannot answer", zap.String("route", rt.pattern), zap.Error(err))
	}
	writeProblem(w, p)
}

func problem(r *Refusal) wire.Problem {
	return wire.Problem{Type: wire.ProblemBase + string(r.Kind), Title: titles[r.Kind], Status: r.Kind.Status(), Detail: r.Detail, Changes: r.Changes}
}

func writeProblem(w http.ResponseWriter, p wire.Problem) {
	body, err := json.Marshal(p)
	if err != nil { // a struct of strings and a number
		panic(err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

func pathUUID(r *http.Request, name string) (wire.UUID, error) {
	id, err := wire.ParseUUID(r.PathValue(name))
	if err != nil {
		return wire.UUID{}, refuse(wire.ProblemMalformed, "the path does not hold a version 4 UUID")
	}
	return id, nil
}

// readBody reads a whole body of at most limit bytes in the one encoding that the route takes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, encoding string) ([]byte, error) {
	if r.Header.Get("Content-Type") != "application/cbor" || r.Header.Get("Content-Encoding") != encoding {
		return nil, statusError{http.StatusUnsupportedMediaType, "the body must be application/cbor" + map[string]string{"zstd": ", compressed with zstd"}[encoding]}
	}
	if r.ContentLength > limit {
		return nil, refuse(wire.ProblemTooLarge, "the body is larger than %d bytes", limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(wire.ProblemTooLarge, "the body is larger than %d bytes", limit)
	case err != nil:
		return nil, statusError{http.StatusBadRequest, "the body ended early"}
	}
	return body, nil
}
