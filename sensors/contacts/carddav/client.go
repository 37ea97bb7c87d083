package carddav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// client sends the requests.
type client struct {
	base     *url.URL
	user     string
	password string
	http     *http.Client
	limits   limits
}

// maxRedirects is how often a request is redirected on its host.
const maxRedirects = 3

// errGone says that a resource is not there, or that a sync token is no longer known.
var errGone = errors.New("carddav: not there")

// do sends a request with an XML body, and calls each with every response of the multistatus that comes back. check is
// asked before every read.
func (c *client) do(ctx context.Context, check func() error, method string, u *url.URL, depth, body string, most int, each func(*response) error) (multi, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var late atomic.Bool
	stop := time.AfterFunc(c.limits.whole, func() { late.Store(true); cancel() })
	defer stop.Stop()
	idle := time.AfterFunc(c.limits.idle, func() { late.Store(true); cancel() })
	defer idle.Stop()
	fail := func(err error) error {
		if late.Load() {
			return ErrTimeout
		}
		if e := check(); e != nil {
			return e
		}
		return err
	}
	for range maxRedirects + 1 {
		if err := check(); err != nil {
			return multi{}, err
		}
		req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
		if err != nil {
			return multi{}, ErrAddress
		}
		req.Header.Set("Content-Type", "application/xml; charset=utf-8")
		req.Header.Set("User-Agent", "scruple")
		if depth != "" {
			req.Header.Set("Depth", depth)
		}
		if c.user != "" {
			req.SetBasicAuth(c.user, c.password)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return multi{}, fail(plain(err))
		}
		next, err := c.status(resp, u)
		if next != nil {
			drop(resp)
			u = next
			continue
		}
		if err != nil {
			drop(resp)
			return multi{}, err
		}
		in := &meter{src: resp.Body, left: c.limits.body, step: most, check: check, read: func() { idle.Reset(c.limits.idle) }}
		m, err := decode(in, c.limits, each)
		_ = resp.Body.Close() // the rest, if there is one, is not waited for
		if err != nil {
			return m, fail(err)
		}
		return m, nil
	}
	return multi{}, ErrRedirect
}

// drop closes an answer that is not read.
func drop(resp *http.Response) { _ = resp.Body.Close() }

// status judges an answer: where it redirects to, or what is wrong with it.
func (c *client) status(resp *http.Response, at *url.URL) (next *url.URL, err error) {
	switch code := resp.StatusCode; {
	case code == http.StatusMultiStatus:
		return nil, nil
	case code == 301 || code == 302 || code == 307 || code == 308:
		to, err := resp.Location()
		if err != nil || !c.same(to) {
			return nil, ErrRedirect
		}
		return to, nil
	case code == http.StatusUnauthorized:
		return nil, ErrRefused
	case code == http.StatusNotFound || code == http.StatusGone || code == http.StatusMethodNotAllowed:
		return nil, errGone
	case code >= 400 && code < 600:
		return nil, statusError(code)
	}
	return nil, ErrGarbage
}

// statusError is ErrStatus with its number.
type statusError int

// Error returns one line.
func (s statusError) Error() string { return fmt.Sprintf("%v: %d", ErrStatus, int(s)) }

// Is makes it an ErrStatus.
func (s statusError) Is(target error) bool { return target == ErrStatus }

// same tells whether an address is on the server that the person named.
func (c *client) same(u *url.URL) bool {
	return u.Scheme == c.base.Scheme && strings.EqualFold(u.Hostname(), c.base.Hostname()) && port(u) == port(c.base) && u.User == nil
}

// port is the port of an address, written or not.
func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// resolve makes an address of an href, which must be on the server.
func (c *client) resolve(at *url.URL, href string) (*url.URL, error) {
	u, err := at.Parse(strings.TrimSpace(href))
	if err != nil || !c.same(u) {
		return nil, ErrGarbage
	}
	u.Fragment, u.RawQuery = "", ""
	return u, nil
}

// meter bounds an answer: all of it, and what comes between two resets.
type meter struct {
	src   io.Reader
	left  int64
	step  int // most bytes between two resets
	used  int
	check func() error
	read  func() // called after every read
}

func (m *meter) reset() { m.used = 0 }

// Read implements io.Reader. It reads little at a time, so that the decoder's
// reading ahead does not count as one step.
func (m *meter) Read(p []byte) (int, error) {
	if err := m.check(); err != nil {
		return 0, err
	}
	if m.left <= 0 || m.used >= m.step {
		return 0, ErrTooLarge
	}
	p = p[:min(len(p), 4096, int(m.left))]
	n, err := m.src.Read(p)
	m.left -= int64(n)
	m.used += n
	m.read()
	if err != nil && err != io.EOF {
		err = plain(err)
	}
	return n, err
}
