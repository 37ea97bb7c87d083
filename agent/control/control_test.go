package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// serve answers every request on a socket by f and returns a client for it.
func serve(t *testing.T, f http.HandlerFunc) *Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "scruple")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: f}
	go srv.Serve(l)
	c := NewClient(socket, AsPerson(ChannelCLI))
	t.Cleanup(func() { c.Close(); srv.Close() })
	return c
}

// TestStrangeAnswers: whatever listens on the socket, the client ends with an error that repeats nothing of it.
func TestStrangeAnswers(t *testing.T) {
	for name, f := range map[string]http.HandlerFunc{
		"not JSON":            func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "CANARY") },
		"another type":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"pid":"CANARY"}`) },
		"nothing":             func(http.ResponseWriter, *http.Request) {},
		"404 in HTML":         func(w http.ResponseWriter, r *http.Request) { http.Error(w, "CANARY", http.StatusNotFound) },
		"redirect":            func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/CANARY", http.StatusFound) },
		"cut":                 func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a problem that lies": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, `{"type":"CANARY"}`) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			_, err := serve(t, f).Status(t.Context())
			if err == nil || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("got %v, want an error without the answer's words", err)
			}
			if want := name == "cut"; errors.Is(err, ErrNotReachable) != want {
				t.Errorf("not reachable: %v, want %v (%v)", !want, want, err)
			}
		})
	}
}

// TestHeaders: a client says what it is, and asks the host that the server expects.
func TestHeaders(t *testing.T) {
	var got http.Header
	var host string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, host = r.Header.Clone(), r.Host
		w.WriteHeader(http.StatusNoContent)
	})
	if err := c.CloseSession(t.Context(), "location/nearby"); err != nil {
		t.Fatal(err)
	}
	if host != Host || got.Get(HeaderChannel) != ChannelCLI || got.Get(HeaderApplication) != "" {
		t.Errorf("host %q, headers %v", host, got)
	}
	app := NewClient(c.Socket(), AsApplication("messenger"))
	defer app.Close()
	if err := app.CloseSession(t.Context(), "location/nearby"); err != nil {
		t.Fatal(err)
	}
	if got.Get(HeaderChannel) != "" || got.Get(HeaderApplication) != "messenger" {
		t.Errorf("as an application: %v", got)
	}
}

// TestContext: a daemon that never answers is left when the caller wants to go.
func TestContext(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotReachable) {
		t.Errorf("got %v, want the deadline", err)
	}
}

// TestKinds: each kind of the closed list keeps its name, and has a title, a status and an exit code of the list.
func TestKinds(t *testing.T) {
	seen := map[Kind]bool{}
	for _, k := range Kinds() {
		p := NewProblem(k, "", "")
		if p.Kind() != k || p.Title == "" || p.Status < 400 || seen[k] {
			t.Errorf("%s: %+v, seen before: %v", k, p, seen[k])
		}
		if code := ExitCode(fmt.Errorf("wrapped: %w", p)); code < ExitFailed || code > ExitNotEnforced {
			t.Errorf("%s: exit code %d", k, code)
		}
		seen[k] = true
	}
	if p := NewProblem("no such kind", "", ""); p.Kind() != KindFailed {
		t.Errorf("an unknown kind is %s", p.Kind())
	}
	if p := (&Problem{Type: "urn:other"}); p.Kind() != KindFailed {
		t.Errorf("another type is %s", p.Kind())
	}
	for err, want := range map[error]int{nil: ExitDone, errors.New("x"): ExitFailed, ErrNotReachable: ExitNotReachable} {
		if got := ExitCode(err); got != want {
			t.Errorf("exit code of %v: %d, want %d", err, got, want)
		}
	}
}

// TestFeatures: a feature is on when every consent it needs is given, in the order of the policy.
func TestFeatures(t *testing.T) {
	row := func(tuple, status, feature string) Tuple {
		return Tuple{ConsentState: ConsentState{Tuple: tuple, Status: status}, Feature: feature}
	}
	s := Status{Tuples: []Tuple{
		row("a/x", StatusGiven, "one"), row("b/x", StatusGiven, "two"), row("c/x", StatusRefused, "one"),
		row("d/x", StatusNever, ""), row("e/x", StatusWithdrawn, "one"), row("f/x", StatusGiven, "three"), row("g/x", StatusGiven, "four"),
	}}
	s.Tuples[5].NotInForce, s.Tuples[6].NotInForce = ReasonPolicyChanged, ReasonClock
	s.FillFeatures()
	want := []Feature{{ID: "one", Off: []string{"c/x", "e/x"}}, {ID: "two", On: true}, {ID: "three", Off: []string{"f/x"}}, {ID: "four", On: true}}
	if !reflect.DeepEqual(s.Features, want) {
		t.Errorf("got %+v, want %+v", s.Features, want)
	}
}

// TestKeysAreLowerCase: every key of the API is lower-case, whatever type is added.
func TestKeysAreLowerCase(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || typ == reflect.TypeFor[time.Time]() {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.Anonymous && (name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "") {
				t.Errorf("%s.%s: key %q", typ.Name(), f.Name, name)
			}
			walk(f.Type)
		}
	}
	for _, v := range []any{
		Status{},
		Policy{},
		ConsentState{},
		Notice{},
		Withdrawal{},
		Session{},
		Collected{},
		Sent{},
		Egress{},
		EgressBody{},
		Data{},
		Erasure{},
		Receipt{},
		Application{},
		Problem{},
		ShowRequest{},
		GiveRequest{},
		WithdrawRequest{},
		SessionRequest{},
	} {
		walk(reflect.TypeOf(v))
	}
}
