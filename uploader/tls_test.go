package uploader

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
)

// Each server is wrong in one way: a clear error of its own, nothing sent, nothing lost.
func TestWrongServers(t *testing.T) {
	authority, other := issue(t, nil, nil), issue(t, nil, nil)
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }
	future := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(24 * time.Hour) }
	good := issue(t, authority, nil)
	oldAuthority := issue(t, nil, past)
	config := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	for name, c := range map[string]struct {
		config *tls.Config
		pin    *issued
		want   error
	}{
		"pinned authority":   {config(chain(good, authority)), authority, nil},
		"pinned leaf":        {config(chain(good)), good, nil},
		"wrong pin":          {config(chain(good, authority)), other, ErrWrongPin},
		"authority not sent": {config(chain(good)), authority, ErrWrongPin},
		"pinned certificate merely beside another's": {config(chain(issue(t, other, nil), authority)), authority, ErrCertificate},
		"expired":                 {config(chain(issue(t, authority, past), authority)), authority, ErrExpired},
		"expired and pinned":      {config(chain(issue(t, authority, past))), nil, ErrExpired},
		"expired authority":       {config(chain(issue(t, oldAuthority, nil), oldAuthority)), oldAuthority, ErrExpired},
		"not valid yet":           {config(chain(issue(t, authority, future), authority)), authority, ErrExpired},
		"another host":            {config(chain(issue(t, authority, func(c *x509.Certificate) { c.DNSNames = []string{"other.example.com"} }), authority)), authority, ErrWrongHost},
		"no server certificate":   {config(chain(issue(t, authority, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), authority)), authority, ErrCertificate},
		"TLS 1.2":                 {&tls.Config{Certificates: []tls.Certificate{chain(good, authority)}, MaxVersion: tls.VersionTLS12}, authority, ErrOldTLS},
		"leaf signed by the leaf": {config(chain(issue(t, good, nil), good)), good, ErrCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, Options{})
			h.server.Close()
			h.link = newLoopback(t)
			h.Uploader.o.Dial = h.link.dial
			server := serve(h.link, h.far, c.config)
			defer server.Close()
			messenger, err := h.doc.Controller("messenger")
			if err != nil {
				t.Fatal(err)
			}
			pin := c.pin
			if pin == nil {
				leaf, err := x509.ParseCertificate(c.config.Certificates[0].Certificate[0])
				if err != nil {
					t.Fatal(err)
				}
				pin = &issued{cert: leaf}
			}
			messenger.Pins = []string{Pin(pin.cert)}
			h.give(t, h.tuple)
			err = h.Deliver(t.Context(), "messenger")
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			want := 1
			if c.want == nil {
				want = 0
			}
			if got := len(h.desk.Register.Outbox("messenger")); got != want {
				t.Errorf("%d messages wait, want %d", got, want)
			}
			if c.want != nil && len(h.far.got("")) != 0 {
				t.Error("something was sent")
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
		})
	}
}

// speak answers every connection with something that is no TLS, or no HTTP.
func speak(ln net.Listener, act func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		act(c)
		c.Close()
	}
}

func TestServersThatAreNone(t *testing.T) {
	authority := issue(t, nil, nil)
	config := &tls.Config{Certificates: []tls.Certificate{chain(issue(t, authority, nil), authority)}, ClientAuth: tls.RequireAnyClientCert}
	over := func(answer string) func(net.Conn) {
		return func(c net.Conn) {
			s := tls.Server(c, config)
			if s.Handshake() == nil {
				s.Read(make([]byte, 4096))
				io.WriteString(s, answer)
				s.Close()
			}
		}
	}
	for name, c := range map[string]struct {
		act  func(net.Conn)
		want error
	}{
		"plain HTTP":          {func(c net.Conn) { c.Read(make([]byte, 4096)); io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, ErrGarbage},
		"hangs up":            {func(c net.Conn) { c.Read(make([]byte, 1)) }, ErrCut},
		"no HTTP in it":       {over(strings.Repeat("\x00nonsense", 100)), ErrGarbage},
		"hangs up in it":      {over(""), ErrCut},
		"answer cut":          {over("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"), ErrCut},
		"endless answer":      {over("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000)), ErrGarbage},
		"endless header":      {over("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 11<<20)), ErrGarbage},
		"answer without type": {over("HTTP/1.1 200 OK\r\n\r\n"), ErrNoReceipt},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, Options{})
			h.server.Close()
			h.link = newLoopback(t)
			defer h.link.Close()
			h.Uploader.o.Dial = h.link.dial
			go speak(h.link, c.act)
			messenger, err := h.doc.Controller("messenger")
			if err != nil {
				t.Fatal(err)
			}
			messenger.Pins = []string{Pin(authority.cert)}
			h.give(t, h.tuple)
			if err := h.Deliver(t.Context(), "messenger"); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got := len(h.desk.Register.Outbox("messenger")); got != 1 {
				t.Errorf("%d messages wait, want 1", got)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	h := newHouse(t, Options{})
	h.give(t, h.tuple)
	messenger, err := h.doc.Controller("messenger")
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, want := range map[string]error{
		"https://nobody.example.com": ErrUnreachable, "http://" + host: ErrEndpoint, "https://": ErrEndpoint, "https://u:p@" + host: ErrEndpoint, ":": ErrEndpoint,
	} {
		messenger.Endpoint = endpoint
		if err := h.Deliver(t.Context(), "messenger"); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", endpoint, err, want)
		}
	}
	if got := h.far.got(""); len(got) != 0 {
		t.Errorf("something was sent: %v", got)
	}
}

func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{})
		h.far.set(func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
			<-r.Context().Done()
			return true
		})
		h.give(t, h.tuple)
		began := time.Now()
		if err := h.Deliver(t.Context(), "messenger"); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
		if took := time.Since(began); took > requestTime {
			t.Errorf("it took %s", took)
		}
		h.server.Close()
		synctest.Wait()
	})
}

// What the controller and the wire see of a device: nothing but the tuple's key.
func TestNothingLinksTuples(t *testing.T) {
	h := newHouse(t, Options{})
	contacts := consenttest.Tuple(t, h.doc, "contacts", "find")
	one, two := h.give(t, h.tuple), h.give(t, contacts)
	h.store(t, h.tuple, 1)
	h.store(t, contacts, 1)
	t.Setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
	for range 2 {
		if _, err := h.Flush(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Flush(t.Context(), two); err != nil {
			t.Fatal(err)
		}
		h.store(t, h.tuple, 1)
		h.store(t, contacts, 1)
	}
	requests := h.far.got("PUT ")
	if len(requests) != 6 {
		t.Fatalf("%d requests, want 6", len(requests))
	}
	serials, keys := map[string]bool{}, map[string]int{}
	for _, r := range requests {
		c := r.cert
		keys[string(c.PublicKey.(ed25519.PublicKey))]++
		serials[c.SerialNumber.String()] = true
		if !bytes.Equal(c.RawSubject, c.RawIssuer) || len(c.Subject.Names) != 0 || len(c.Extensions) != 0 ||
			c.NotBefore.Year() != 2000 || c.NotAfter.Year() != 9999 {
			t.Errorf("the certificate tells more than a key: %v, %v, %s to %s", c.Subject, c.Extensions, c.NotBefore, c.NotAfter)
		}
		for name, values := range r.header {
			switch {
			case name == "User-Agent" && values[0] == "scruple", name == "Content-Type", name == "Content-Encoding", name == "Content-Length":
			default:
				t.Errorf("header %s: %v", name, values)
			}
		}
	}
	for _, id := range [][]byte{one[:], two[:]} {
		identity, err := h.desk.Ring.Identity([16]byte(id))
		if err != nil || keys[string(identity.Public().(ed25519.PublicKey))] != 3 {
			t.Errorf("a consent did not send its three requests with its own key: %v", err)
		}
	}
	if len(keys) != 2 || len(serials) != 6 || h.far.conns != 6 || h.far.resumed {
		t.Errorf("%d keys, %d serials, %d connections for 6 runs, resumed %v", len(keys), len(serials), h.far.conns, h.far.resumed)
	}
}
