package uploader

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Times within which the other end must have done its part.
const (
	dialTime      = 15 * time.Second
	handshakeTime = 15 * time.Second
	// requestTime is for a request from the first byte to the last: the largest body at 1 Mbit/s takes 70 s.
	requestTime = 2 * time.Minute
)

// maxRemote is the largest answer to RemoteData in bytes: far more than a spool ever held.
const maxRemote = 64 << 20

// ErrNoReceipt says that the server answered as if all were well, but not with the controller's signed receipt for
// exactly this message. It counts as no answer.
var ErrNoReceipt = errors.New("the answer is not the controller's receipt for this message")

// Refusal is an answer other than a success.
type Refusal struct {
	Status int              // HTTP status
	Kind   wire.ProblemType // of the closed list, "" for anything else
	Detail string           // in the controller's words, one short line
	// RetryAfter is how long the server asks to wait, 0 when it does not say.
	RetryAfter time.Duration
	// Changes is the number of changes of the consent that a batch has to name, with wire.ProblemChanged.
	Changes uint64
}

// Error returns one line.
func (r *Refusal) Error() string {
	s := "refused with HTTP status " + strconv.Itoa(r.Status)
	if r.Kind != "" {
		s = "refused: " + string(r.Kind)
	}
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	return s
}

// client speaks for one consent on one lane. No connection, certificate or cookie of it is ever used for another.
type client struct {
	http       *http.Client
	transport  *http.Transport
	base       string
	controller policy.Controller
	timeout    time.Duration
}

// client returns a client for a consent; the caller closes it. keyring.ErrNoKey when its identity is retired.
func (u *Uploader) client(id policy.ControllerID, consent wire.UUID) (*client, error) {
	identity, err := u.identity(consent)
	if err != nil {
		return nil, err
	}
	certificate, err := selfSigned(identity)
	if err != nil {
		return nil, err
	}
	return u.clientWith(id, certificate)
}

// clientWith returns a client that shows a certificate; an empty one shows none.
func (u *Uploader) clientWith(id policy.ControllerID, certificate *tls.Certificate) (*client, error) {
	controller, err := u.o.Policy().Controller(id)
	if err != nil { // gone from the policy, but not everything that has to be told to it has been
		controller, err = u.o.Register.Controller(id)
	}
	if err != nil {
		return nil, fmt.Errorf("controller %s: %w", id, err)
	}
	endpoint, err := url.Parse(controller.Endpoint)
	if err != nil || endpoint.Scheme != "https" || endpoint.Hostname() == "" || endpoint.User != nil {
		return nil, fmt.Errorf("controller %s: %w", id, ErrEndpoint)
	}
	transport := &http.Transport{
		Proxy:               nil, // where data goes is the policy's matter, not the environment's
		DialContext:         u.o.Dial,
		TLSClientConfig:     tlsConfig(endpoint.Hostname(), controller.Pins, certificate, u.latest),
		TLSHandshakeTimeout: handshakeTime,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 1,
		// No HTTP/2: one request at a time gains nothing from it.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	return &client{
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		transport: transport, base: strings.TrimRight(controller.Endpoint, "/"), controller: *controller, timeout: u.o.Timeout,
	}, nil
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// latest is the present, or the latest time that was seen before if the clock is behind that: a board that starts in 1970 can
// still verify a certificate, and so send a withdrawal.
func (u *Uploader) latest() time.Time {
	now := time.Now()
	u.o.Ring.View(func(s *keyring.State) {
		if high := time.Unix(s.HighWater, 0); high.After(now) {
			now = high
		}
	})
	return now
}

// answer of the server.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends one request and reads at most limit bytes of the answer. A success comes back as it is, everything else as an
// error.
func (c *client) do(ctx context.Context, method, path string, body []byte, encoding string, limit int) (answer, error) {
	limited, cancel := context.WithTimeoutCause(ctx, c.timeout, ErrTimeout)
	defer cancel()
	a, err := c.exchange(limited, method, path, body, encoding, limit)
	if err != nil {
		return a, explain(limited, err)
	}
	switch {
	case a.status >= 200 && a.status < 300:
		return a, nil
	case a.status >= 300 && a.status < 400:
		return a, ErrRedirect
	}
	r := &Refusal{Status: a.status, RetryAfter: retryAfter(a.header.Get("Retry-After"), time.Now())}
	if p, err := wire.DecodeProblem(a.body); err == nil {
		r.Kind, r.Detail, r.Changes = p.Kind(), p.Detail, p.Changes
		if r.Detail == "" {
			r.Detail = p.Title
		}
	}
	return a, r
}

func (c *client) exchange(ctx context.Context, method, path string, body []byte, encoding string, limit int) (answer, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("User-Agent", "scruple") // the same for all versions and devices
	if body != nil {
		req.Header.Set("Content-Type", "application/cbor")
	}
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err == nil && len(a.body) > limit {
		return a, fmt.Errorf("%w: it is longer than %d bytes", ErrGarbage, limit)
	}
	return a, err
}

// explain turns an error of net/http into one of ours.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause // the consent ended, the time was up, or the agent stops
	}
	var (
		whole  *url.Error
		op     *net.OpError
		dns    *net.DNSError
		record tls.RecordHeaderError
		timed  net.Error
	)
	if errors.As(err, &whole) {
		err = whole.Err // without the method and the URL
	}
	for _, known := range []error{ErrWrongPin, ErrCertificate, ErrExpired, ErrWrongHost, ErrGarbage} {
		if errors.Is(err, known) {
			return err
		}
	}
	text := err.Error()
	switch {
	case errors.As(err, &timed) && timed.Timeout():
		return ErrTimeout
	case errors.As(err, &dns):
		return fmt.Errorf("%w: its name does not resolve", ErrUnreachable)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%w: %w", ErrUnreachable, op.Err)
	case errors.As(err, &record):
		return fmt.Errorf("%w: no TLS", ErrGarbage)
	case strings.Contains(text, "protocol version"):
		return ErrOldTLS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op):
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	return fmt.Errorf("%w: %w", ErrGarbage, err)
}

// confirm sends a body and returns the controller's receipt for exactly it. Nothing else counts as success. The
// status is returned in any case, 0 when there was no answer.
func (c *client) confirm(ctx context.Context, path string, body []byte, encoding string, kind wire.ReceiptKind, consent wire.UUID) (
	wire.Receipt, []byte, int, error,
) {
	a, err := c.do(ctx, http.MethodPut, path, body, encoding, wire.MaxReceipt)
	if err != nil {
		return wire.Receipt{}, nil, a.status, err
	}
	r, err := wire.OpenReceipt(a.body, c.controller.Key)
	if err == nil {
		err = r.Answers(string(c.controller.ID), kind, consent, wire.HashOf(body))
	}
	if err != nil {
		return wire.Receipt{}, nil, a.status, fmt.Errorf("%w: %w", ErrNoReceipt, err)
	}
	return r, a.body, a.status, nil
}
