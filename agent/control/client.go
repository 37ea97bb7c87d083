package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrNotReachable says that no daemon answers on the socket.
var ErrNotReachable = errors.New("the daemon is not reachable")

// MaxAnswer bounds the answers that Client reads, in bytes: an export of a full spool fits.
const MaxAnswer = 256 << 20

// Client speaks to the daemon of one socket. It is safe for concurrent use.
type Client struct {
	socket      string
	channel     string
	application string
	http        *http.Client
}

// Option changes what a Client says of itself.
type Option func(*Client)

// AsPerson marks the requests as coming from the person through channel, ChannelCLI or ChannelPage.
func AsPerson(channel string) Option { return func(c *Client) { c.channel = channel } }

// AsApplication marks the requests as coming from the named application.
func AsApplication(name string) Option { return func(c *Client) { c.application = name } }

// NewClient returns a client for the daemon that listens on socket. It opens nothing yet.
func NewClient(socket string, options ...Option) *Client {
	c := &Client{socket: socket}
	for _, o := range options {
		o(c)
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableCompression: true,
		IdleConnTimeout:    10 * time.Second,
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Socket returns the path of the daemon's socket.
func (c *Client) Socket() string { return c.socket }

// Status returns the whole status; only the owner may ask.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/v1/status")
}

// Application returns what the calling application may know about itself.
func (c *Client) Application(ctx context.Context) (Application, error) {
	return get[Application](ctx, c, "/v1/application")
}

// Policy returns the policy in force.
func (c *Client) Policy(ctx context.Context) (Policy, error) {
	return get[Policy](ctx, c, "/v1/policy")
}

// UpdatePolicy puts a later version of a document of the policy into force; nil reads the files of the settings again.
func (c *Client) UpdatePolicy(ctx context.Context, note []byte) (PolicyUpdate, error) {
	return post[PolicyUpdate](ctx, c, "/v1/policy", PolicyRequest{Note: note})
}

// PolicyChanges returns how the policy in force differs from what the person agreed to.
func (c *Client) PolicyChanges(ctx context.Context) ([]PolicyChange, error) {
	return get[[]PolicyChange](ctx, c, "/v1/policy/changes")
}

// Consents returns the state of every tuple of the policy, in its order.
func (c *Client) Consents(ctx context.Context) ([]ConsentState, error) {
	return get[[]ConsentState](ctx, c, "/v1/consents")
}

// Show returns the notice of a tuple and records that the person was shown it.
func (c *Client) Show(ctx context.Context, tuple, lang string) (Notice, error) {
	return post[Notice](ctx, c, "/v1/consents/"+escape(tuple)+"/show", ShowRequest{Lang: lang})
}

// Request asks the person for a consent; it answers nothing.
func (c *Client) Request(ctx context.Context, tuple string) (ConsentState, error) {
	return post[ConsentState](ctx, c, "/v1/consents/"+escape(tuple)+"/request", nil)
}

// Give records the person's agreement to the notice with this hash.
func (c *Client) Give(ctx context.Context, tuple, lang, notice string) (ConsentState, error) {
	return post[ConsentState](ctx, c, "/v1/consents/"+escape(tuple)+"/give", GiveRequest{Lang: lang, Notice: notice})
}

// Refuse records the person's refusal.
func (c *Client) Refuse(ctx context.Context, tuple string) (ConsentState, error) {
	return post[ConsentState](ctx, c, "/v1/consents/"+escape(tuple)+"/refuse", nil)
}

// Defer records that the person wants to answer later.
func (c *Client) Defer(ctx context.Context, tuple string) (ConsentState, error) {
	return post[ConsentState](ctx, c, "/v1/consents/"+escape(tuple)+"/defer", nil)
}

// Withdraw ends a consent; clear asks the controller to erase what it has.
func (c *Client) Withdraw(ctx context.Context, tuple string, erase bool) (Withdrawal, error) {
	return post[Withdrawal](ctx, c, "/v1/consents/"+escape(tuple)+"/withdraw", WithdrawRequest{Clear: erase})
}

// OpenSession opens a use session of d, rounded up to seconds; 0 is the longest that the policy allows.
func (c *Client) OpenSession(ctx context.Context, tuple string, d time.Duration) (Session, error) {
	seconds := int((d + time.Second - 1) / time.Second)
	return post[Session](ctx, c, "/v1/sessions/"+escape(tuple), SessionRequest{Seconds: seconds})
}

// CloseSession ends the use session of a tuple; KindNoSession when none is open.
func (c *Client) CloseSession(ctx context.Context, tuple string) error {
	_, err := do[struct{}](ctx, c, http.MethodDelete, "/v1/sessions/"+escape(tuple), nil)
	return err
}

// Collect reads the tuple's source now, because the person asks.
func (c *Client) Collect(ctx context.Context, tuple string) (Collected, error) {
	return post[Collected](ctx, c, "/v1/data/"+escape(tuple)+"/collect", nil)
}

// Flush sends what is stored for the tuple now, because the person asks.
func (c *Client) Flush(ctx context.Context, tuple string) (Sent, error) {
	return post[Sent](ctx, c, "/v1/egress/send/"+escape(tuple), nil)
}

// EgressList returns the journal, newest first.
func (c *Client) EgressList(ctx context.Context) ([]Egress, error) {
	return get[[]Egress](ctx, c, "/v1/egress/entries")
}

// EgressBody returns one body of the journal.
func (c *Client) EgressBody(ctx context.Context, id string) (EgressBody, error) {
	return get[EgressBody](ctx, c, "/v1/egress/entries/"+url.PathEscape(id))
}

// EgressPreview returns the next body that would be sent for the tuple.
func (c *Client) EgressPreview(ctx context.Context, tuple string) (EgressBody, error) {
	return get[EgressBody](ctx, c, "/v1/egress/preview/"+escape(tuple))
}

// Data returns what is held for one tuple, or for all when tuple is "". With remote the receivers are asked too.
func (c *Client) Data(ctx context.Context, tuple string, remote bool) (Data, error) {
	path := "/v1/data"
	if tuple != "" {
		path += "/" + escape(tuple)
	}
	if remote {
		path += "?remote=true"
	}
	return get[Data](ctx, c, path)
}

// Erase erases what is stored for the tuple here and asks the controller to erase; the consent goes on.
func (c *Client) Erase(ctx context.Context, tuple string) (Erasure, error) {
	return post[Erasure](ctx, c, "/v1/data/"+escape(tuple)+"/erase", nil)
}

// Receipts returns what the controllers have signed, oldest first.
func (c *Client) Receipts(ctx context.Context) ([]Receipt, error) {
	return get[[]Receipt](ctx, c, "/v1/receipts")
}

// escape keeps the slash between category and purpose and escapes the rest, so that a name that is no name
// reaches the server as it is and is answered with similar ones.
func escape(tuple string) string {
	category, purpose, ok := strings.Cut(tuple, "/")
	if !ok {
		return url.PathEscape(category) + "/-"
	}
	return url.PathEscape(category) + "/" + url.PathEscape(purpose)
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return do[T](ctx, c, http.MethodGet, path, nil)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	return do[T](ctx, c, http.MethodPost, path, body)
}

func do[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var answer T
	var send io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer, fmt.Errorf("encode request: %w", err)
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+Host+path, send)
	if err != nil {
		return answer, fmt.Errorf("make request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.channel != "" {
		req.Header.Set(HeaderChannel, c.channel)
	}
	if c.application != "" {
		req.Header.Set(HeaderApplication, c.application)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return answer, fmt.Errorf("%w: socket %s: %w", ErrNotReachable, c.socket, op.Err)
		}
		if ctx.Err() != nil {
			return answer, fmt.Errorf("ask the daemon: %w", ctx.Err())
		}
		return answer, fmt.Errorf("ask the daemon: the connection was cut: %w", ErrNotReachable)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return answer, nil
	}
	decoder := json.NewDecoder(io.LimitReader(resp.Body, MaxAnswer))
	if resp.StatusCode != http.StatusOK {
		return answer, problemOf(resp, decoder)
	}
	if err := decoder.Decode(&answer); err != nil {
		return answer, fmt.Errorf("read the daemon's answer: not the JSON of this version (%s %s)", method, path)
	}
	return answer, nil
}

// problemOf reads a refusal; an answer that is none (another program on the socket) becomes KindFailed.
func problemOf(resp *http.Response, decoder *json.Decoder) error {
	var p Problem
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media != "application/problem+json" || decoder.Decode(&p) != nil {
		return NewProblem(KindFailed, "", fmt.Sprintf("the daemon answered %d without a reason", resp.StatusCode))
	}
	return &p
}
