package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const subjectUID = 1000

// ask sends one request through the whole server as the given peer.
func ask(b Backend, p Peer, r *http.Request) *httptest.ResponseRecorder {
	s := New(b, Owner{UID: subjectUID}, zap.NewNop())
	return askOf(s, p, r)
}

func askOf(s *Server, p Peer, r *http.Request) *httptest.ResponseRecorder {
	s.peerOf = func(net.Conn) (Peer, error) { return p, nil }
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r.WithContext(s.connContext(r.Context(), nil)))
	return w
}

func req(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, "http://"+control.Host+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func with(r *http.Request, header, value string) *http.Request {
	r.Header.Set(header, value)
	return r
}

func kindOf(t *testing.T, w *httptest.ResponseRecorder) control.Kind {
	t.Helper()
	var p control.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("answer %d is no problem: %v", w.Code, err)
	}
	if p.Status != w.Code || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("problem says status %d, the answer %d as %s", p.Status, w.Code, w.Header().Get("Content-Type"))
	}
	return p.Kind()
}

// TestAccess asks every route of the table as every kind of caller.
func TestAccess(t *testing.T) {
	callers := []struct {
		name        string
		peer        Peer
		header, val string
		access      access
	}{
		{"the person at the command line", Peer{UID: subjectUID, PID: 7, Self: true}, control.HeaderChannel, "cli", person},
		{"the person on the page", Peer{UID: subjectUID, PID: 7}, control.HeaderChannel, "page", person},
		{"the person's other programs", Peer{UID: subjectUID, PID: 7}, "", "", owner},
		{"root at the command line", Peer{UID: 0, PID: 7}, control.HeaderChannel, "cli", person},
		{"root's programs", Peer{UID: 0, PID: 7}, "", "", owner},
		{"an application of the person", Peer{UID: subjectUID, PID: 7}, control.HeaderApplication, "messenger", application},
		{"an application of root", Peer{UID: 0, PID: 7}, control.HeaderApplication, "messenger", application},
		{"another account", Peer{UID: 1001, PID: 7}, "", "", application},
		{"another account that says it is the person", Peer{UID: 1001, PID: 7}, control.HeaderChannel, "cli", application},
		{"a Windows peer of this account", Peer{UID: -1, PID: 7, Self: true}, control.HeaderChannel, "cli", person},
		{"a Windows peer of another account", Peer{UID: -1, PID: 7}, control.HeaderChannel, "cli", application},
	}
	bodies := map[string]string{
		"/v1/consents/{tuple}/give": `{"lang":"en","notice":"` + strings.Repeat("ab", 32) + `"}`,
		"/v1/ledger/proof":          `{"controller":"messenger","record":1}`,
		"/v1/ledger/growth":         `{"controller":"messenger","old":1}`,
		"/v1/ledger/compare":        `{"kept":"x"}`,
		"/v1/location":              `{"tuple":"location/nearby"}`,
		"/v1/clients/{id}/access":   `{"tuple":"location/nearby"}`,
		"/v1/age":                   `{"band":"18+"}`,
		"/v1/complaints":            `{"text":"x"}`,
		"/v1/data/{tuple}/correct":  `{"fields":[{"name":"a","value":"b"}]}`,
		"/v1/erasures":              `{"all":true}`,
		"/v1/notices/decide":        `{"id":"messenger/1","continue":true}`,
	}
	for _, route := range routes {
		path := strings.NewReplacer("{tuple}", "device/service", "{id}", "7").Replace(route.path)
		for _, c := range callers {
			name := route.method + " " + route.path + " by " + c.name
			b := &backend{}
			s := New(b, Owner{UID: subjectUID}, zap.NewNop())
			if strings.HasPrefix(route.path, "/v1/sessions/") && route.method == http.MethodDelete { // an application closes only what it opened
				askOf(s, c.peer, with(req("POST", path, ""), c.header, c.val))
				b.called = ""
			}
			w := askOf(s, c.peer, with(req(route.method, path, bodies[route.path]), c.header, c.val))
			allowed := c.access >= route.access
			if got := w.Code < 300; got != allowed {
				t.Errorf("%s: allowed %v, want %v (%s)", name, got, allowed, w.Body)
			}
			if reached := b.called != ""; reached != allowed {
				t.Errorf("%s: the backend was reached: %v, want %v", name, reached, allowed)
			}
			if !allowed {
				want := control.KindNotAllowed
				if c.access == owner {
					want = control.KindNotPerson
				}
				if got := kindOf(t, w); got != want {
					t.Errorf("%s: kind %s, want %s", name, got, want)
				}
			}
			if b.actor != (Actor{}) && b.actor.Person != (c.access == person) {
				t.Errorf("%s: recorded as the person: %v", name, b.actor.Person)
			}
		}
	}
}

// TestActor: the record says uid, pid and channel.
func TestActor(t *testing.T) {
	for _, c := range []struct {
		peer        Peer
		header, val string
		want        Actor
	}{
		{Peer{UID: subjectUID, PID: 7}, control.HeaderChannel, "cli", Actor{subjectUID, 7, "cli", true}},
		{Peer{UID: subjectUID, PID: 7}, control.HeaderChannel, "page", Actor{subjectUID, 7, "page", true}},
		{Peer{UID: subjectUID, PID: 7}, "", "", Actor{subjectUID, 7, "app:unnamed", false}},
		{Peer{UID: subjectUID, PID: 7}, control.HeaderApplication, "im.example-1", Actor{subjectUID, 7, "app:im.example-1", false}},
		{Peer{UID: 1001, PID: 9}, control.HeaderChannel, "cli", Actor{1001, 9, "app:unnamed", false}},
		{Peer{UID: subjectUID, PID: 7, Exe: unregistered}, control.HeaderApplication, "im.example-1", Actor{subjectUID, 7, "app:unnamed", false}},
	} {
		b := &backend{}
		ask(b, c.peer, with(req("POST", "/v1/consents/device/service/request", ""), c.header, c.val))
		if b.actor != c.want {
			t.Errorf("peer %+v, %s %q: actor %+v, want %+v", c.peer, c.header, c.val, b.actor, c.want)
		}
	}
}

// TestUnknownPeer: where the system does not tell who calls, nobody is served.
func TestUnknownPeer(t *testing.T) {
	s := New(&backend{}, Owner{UID: subjectUID}, zap.NewNop())
	s.peerOf = func(net.Conn) (Peer, error) { return Peer{}, errors.ErrUnsupported }
	for name, ctx := range map[string]context.Context{"error": s.connContext(t.Context(), nil), "none": t.Context()} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, with(req("GET", "/v1/application", ""), control.HeaderChannel, "cli").WithContext(ctx))
		if got := kindOf(t, w); got != control.KindNotAllowed {
			t.Errorf("%s: kind %s, want not-allowed", name, got)
		}
	}
}

// TestApplicationSeesItself: an application learns about what it asked for, and nothing about anyone else.
func TestApplicationSeesItself(t *testing.T) {
	b := &backend{}
	s := New(b, Owner{UID: subjectUID}, zap.NewNop())
	as := func(name, method, path string) *httptest.ResponseRecorder {
		return askOf(s, Peer{UID: subjectUID}, with(req(method, path, ""), control.HeaderApplication, name))
	}
	if w := as("one", "POST", "/v1/consents/location/nearby/request"); strings.Contains(w.Body.String(), "id\"") {
		t.Errorf("the application was told the consent's id: %s", w.Body)
	}
	if got, want := as("one", "GET", "/v1/application").Body.String(),
		`{"state":"running","version":"1","tuples":[{"tuple":"location/nearby","status":"requested"}]}`+"\n"; got != want {
		t.Errorf("one sees\n%swant\n%s", got, want)
	}
	b.barred = true
	if got, want := as("one", "GET", "/v1/application").Body.String(),
		`{"state":"running","version":"1","tuples":[{"tuple":"location/nearby","status":"requested"}]}`+"\n"; got != want {
		t.Errorf("without access one sees\n%swant\n%s", got, want)
	}
	b.barred = false
	if got, want := as("two", "GET", "/v1/application").Body.String(), `{"state":"running","version":"1","tuples":[]}`+"\n"; got != want {
		t.Errorf("two sees\n%swant\n%s", got, want)
	}
	if got := kindOf(t, as("two", "DELETE", "/v1/sessions/location/nearby")); got != control.KindNotAllowed {
		t.Errorf("two closes one's session: kind %s, want not-allowed", got)
	}
}

func TestGuard(t *testing.T) {
	me := Peer{UID: subjectUID}
	host := req("GET", "/v1/status", "")
	host.Host = "evil.example"
	noType := req("POST", "/v1/consents/device/service/withdraw", "{}")
	noType.Header.Del("Content-Type")
	for _, c := range []struct {
		name string
		r    *http.Request
		want control.Kind
	}{
		{"origin", with(req("GET", "/v1/status", ""), "Origin", "null"), control.KindNotAllowed},
		{"referer", with(req("GET", "/v1/status", ""), "Referer", "http://scruple/"), control.KindNotAllowed},
		{"fetch metadata", with(req("GET", "/v1/status", ""), "Sec-Fetch-Site", "none"), control.KindNotAllowed},
		{"host", host, control.KindBadRequest},
		{"no content type", noType, control.KindBadRequest},
		{"another content type", with(req("POST", "/v1/consents/device/service/withdraw", "{}"), "Content-Type", "text/plain"), control.KindBadRequest},
		{"2 MiB", req("POST", "/v1/consents/device/service/withdraw", strings.Repeat(" ", 2<<20)), control.KindBadRequest},
		{"unknown channel", with(req("GET", "/v1/status", ""), control.HeaderChannel, "tty"), control.KindBadRequest},
		{"application name", with(req("GET", "/v1/application", ""), control.HeaderApplication, "A b"), control.KindBadRequest},
		{"no such route", req("GET", "/v1/statuses", ""), control.KindNotFound},
		{"dots", req("GET", "/v1/x/../status", ""), control.KindNotFound},
		{"another method", req("PUT", "/v1/status", ""), control.KindBadRequest},
		{"query", with(req("GET", "/v1/data?remote=1", ""), control.HeaderChannel, "cli"), control.KindBadRequest},
	} {
		if got := kindOf(t, ask(&backend{}, me, c.r)); got != c.want {
			t.Errorf("%s: kind %s, want %s", c.name, got, c.want)
		}
	}
	host.Host = "localhost"
	if w := ask(&backend{}, me, host); w.Code != http.StatusOK {
		t.Errorf("localhost: %d", w.Code)
	}
	chunked := req("POST", "/v1/consents/device/service/withdraw", "")
	chunked.Body, chunked.ContentLength = io.NopCloser(io.LimitReader(endless{}, 1<<30)), -1
	if got := kindOf(t, ask(&backend{}, me, chunked)); got != control.KindBadRequest {
		t.Errorf("a body without length: kind %s", got)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestStrictJSON: one meaning has one spelling, and no answer repeats what was sent.
func TestStrictJSON(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for name, body := range map[string]string{
		"unknown key":   `{"clear":true,"canary":1}`,
		"other case":    `{"Clear":true}`,
		"twice":         `{"clear":true,"clear":false}`,
		"wrong type":    `{"clear":"canary"}`,
		"null":          `{"clear":null}`,
		"array":         `[true]`,
		"text":          `"canary"`,
		"two objects":   `{"clear":true}{}`,
		"rubbish after": `{"clear":true} canary`,
		"cut off":       `{"clear":tr`,
		"no value":      `{"clear"`,
		"not JSON":      `canary`,
		"NUL":           "\x00",
		"deep":          strings.Repeat("[", 100_000),
	} {
		b := &backend{}
		w := ask(b, Peer{UID: subjectUID}, req("POST", "/v1/consents/device/service/withdraw", body))
		if got := kindOf(t, w); got != control.KindBadRequest {
			t.Errorf("%s: kind %s, want bad-request", name, got)
		}
		if b.called != "" {
			t.Errorf("%s: the backend was called", name)
		}
		if strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s: the answer repeats what was sent: %s", name, w.Body)
		}
	}
	for name, body := range map[string]string{
		"language":   `{"lang":"fr","notice":"` + hash + `"}`,
		"no lang":    `{"notice":"` + hash + `"}`,
		"short hash": `{"lang":"en","notice":"abcd"}`,
		"upper hash": `{"lang":"en","notice":"` + strings.ToUpper(hash) + `"}`,
		"no body":    ``,
	} {
		w := ask(&backend{}, Peer{UID: subjectUID}, with(req("POST", "/v1/consents/device/service/give", body), control.HeaderChannel, "cli"))
		if got := kindOf(t, w); got != control.KindBadRequest {
			t.Errorf("give with wrong %s: kind %s, want bad-request", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, `{"lang":"en","notice":"00"}`, `{"lang":1}`, `{"lang":"a","lang":"b"}`, `[`, "\xff", `{"lang":{"a":[1]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v control.GiveRequest
		if decode(body, &v) != nil {
			return
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var w control.GiveRequest
		if err := decode(again, &w); err != nil || v != w {
			t.Errorf("accepted %q, but not what it means: %v", body, err)
		}
	})
}

func TestUnknownTuple(t *testing.T) {
	for _, c := range []struct {
		name string
		want []string
	}{
		{"contact/find-friends", []string{"contacts/find-friends"}},
		{"contacts/-", []string{"contacts/find-friends"}},
		{"locatoin/nearby", []string{"location/nearby"}},
		{"xyz/qqqqqq", nil},
		{strings.Repeat("contacts", 40) + "/-", nil},
		{"..%2F..%2Fetc/passwd", nil},
	} {
		b := &backend{}
		w := ask(b, Peer{UID: subjectUID}, req("POST", "/v1/consents/"+c.name+"/withdraw", ""))
		var p control.Problem
		json.Unmarshal(w.Body.Bytes(), &p)
		if p.Kind() != control.KindUnknownTuple || fmt.Sprint(p.Near) != fmt.Sprint(c.want) {
			t.Errorf("%.40s: %s near %v, want unknown-tuple near %v", c.name, p.Kind(), p.Near, c.want)
		}
		if b.called != "" {
			t.Errorf("%.40s: the backend was called", c.name)
		}
	}
}

// TestRefusalsAreLoggedWithoutValues: one line for each, naming route, kind and uid only.
func TestRefusalsAreLoggedWithoutValues(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	s := New(&backend{}, Owner{UID: subjectUID}, zap.New(core))
	askOf(s, Peer{UID: 1001}, with(req("GET", "/v1/status?canary=1", ""), "User-Agent", "canary"))
	askOf(s, Peer{UID: 1001}, req("GET", "/v1/canary", ""))
	if logs.Len() != 2 {
		t.Errorf("%d lines, want 2", logs.Len())
	}
	for _, e := range logs.All() {
		if s := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(s, "canary") {
			t.Errorf("the log repeats what was sent: %s", s)
		}
	}
}

// TestErrors: what a backend returns keeps its kind; other errors are "failed"; both have exit codes.
func TestErrors(t *testing.T) {
	quiet := control.NewProblem(control.KindQuiet, "location/nearby", "until 2 March")
	for _, c := range []struct {
		err  error
		kind control.Kind
		exit int
	}{
		{fmt.Errorf("request: %w", quiet), control.KindQuiet, control.ExitRefused},
		{consent.ErrNotPerson, control.KindNotPerson, control.ExitRefused},
		{consent.ErrNotShown, control.KindNotShown, control.ExitRefused},
		{consent.ErrNoticeDiffers, control.KindNoticeDiffers, control.ExitRefused},
		{consent.ErrQuiet, control.KindQuiet, control.ExitRefused},
		{consent.ErrGiven, control.KindGiven, control.ExitRefused},
		{consent.ErrSessionOnly, control.KindNoSession, control.ExitRefused},
		{consent.ErrNoSession, control.KindPolicy, control.ExitRefused},
		{fmt.Errorf("permit: %w", consent.ErrWithdrawn), control.KindNotGiven, control.ExitRefused},
		{consent.ErrClock, control.KindClock, control.ExitRefused},
		{fmt.Errorf("permit: %w", consent.ErrDamaged), control.KindLedger, control.ExitRefused},
		{errors.New("disk is full"), control.KindFailed, control.ExitFailed},
		{context.DeadlineExceeded, control.KindFailed, control.ExitFailed},
	} {
		w := ask(&backend{err: c.err}, Peer{UID: subjectUID}, req("POST", "/v1/data/location/nearby/collect", ""))
		var p control.Problem
		json.Unmarshal(w.Body.Bytes(), &p)
		if p.Kind() != c.kind || control.ExitCode(&p) != c.exit || p.Tuple != "location/nearby" {
			t.Errorf("%v: kind %s exit %d, want %s %d", c.err, p.Kind(), control.ExitCode(&p), c.kind, c.exit)
		}
	}
}

// TestSocket serves on a real socket: modes, the kernel's word for who calls, and the client.
func TestSocket(t *testing.T) {
	path := filepath.Join(shortTemp(t), "run", "scruple.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, want mode %o (%v)", filepath.Base(p), info.Mode(), want, err)
		}
	}
	b := &backend{}
	s := New(b, Owner{UID: os.Geteuid()}, zap.NewNop())
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()

	client := control.NewClient(path, control.AsPerson(control.ChannelCLI))
	status, err := client.Status(t.Context())
	if err != nil || status.State != "running" || len(status.Features) != 3 {
		t.Errorf("status: %+v, %v", status, err)
	}
	if _, err := client.Refuse(t.Context(), "device/service"); err != nil {
		t.Error(err)
	}
	if want := (Actor{os.Geteuid(), os.Getpid(), "cli", true}); b.actor != want {
		t.Errorf("actor %+v, want %+v", b.actor, want)
	}
	if err := client.CloseSession(t.Context(), "device/service"); err != nil {
		t.Error(err)
	}
	var p *control.Problem
	for _, name := range []string{"contacts", "", "a/b/c", "../../v1/status", "联系人/?#%"} {
		if _, err := client.Withdraw(t.Context(), name, true); !errors.As(err, &p) || p.Kind() != control.KindUnknownTuple {
			t.Errorf("withdraw %q: %v, want unknown-tuple", name, err)
		}
	}
	if _, err := Listen(path); !errors.Is(err, ErrRunning) {
		t.Errorf("a second daemon: %v, want ErrRunning", err)
	}
	client.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := client.Status(t.Context()); !errors.Is(err, control.ErrNotReachable) || control.ExitCode(err) != control.ExitNotReachable {
		t.Errorf("after the end: %v, want ErrNotReachable", err)
	}
}

// TestStaleSocket: what a dead daemon left is replaced; what is no socket stays.
func TestStaleSocket(t *testing.T) {
	dir := shortTemp(t)
	path := filepath.Join(dir, "s")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	l, err := Listen(path)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	l.Close()

	file := filepath.Join(dir, "file")
	os.WriteFile(file, []byte("keep"), 0o600)
	if _, err := Listen(file); err == nil {
		t.Error("a file in the way: no error")
	}
	if b, _ := os.ReadFile(file); !bytes.Equal(b, []byte("keep")) {
		t.Error("the file in the way was touched")
	}
	link := filepath.Join(dir, "link")
	os.Symlink(file, link)
	if _, err := Listen(link); err == nil {
		t.Error("a link in the way: no error")
	}
	open := filepath.Join(dir, "open")
	os.Mkdir(open, 0o700)
	os.Chmod(open, 0o755)
	if _, err := Listen(filepath.Join(open, "s")); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a folder open to others: %v", err)
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("a long path: %v", err)
	}
}

// shortTemp is a folder whose path leaves room for a socket.
func shortTemp(t *testing.T) string {
	dir, err := os.MkdirTemp("", "scruple")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
