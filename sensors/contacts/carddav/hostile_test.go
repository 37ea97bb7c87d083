package carddav_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/sensors/contacts/carddav"
)

const head = `<?xml version="1.0"?><D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav">`

// handler answers every request alike.
func handler(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// endless writes a head and then the same text until it has written about 100 MB, or the client has had enough.
func endless(head, text string) http.HandlerFunc {
	block := strings.Repeat(text, 1+(64<<10)/len(text))
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = io.WriteString(w, head)
		for n := 0; n < 100<<20; n += len(block) {
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
	}
}

// TestHostile: each server gives one plain error that names neither address nor user, within its bounds.
func TestHostile(t *testing.T) {
	elsewhere := newServer(t)
	elsewhere.put("a.vcf", card(tel(1)))
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    error
	}{
		"401":            {handler(401, "canary"), carddav.ErrRefused},
		"403":            {handler(403, "canary"), carddav.ErrStatus},
		"404":            {handler(404, "canary"), carddav.ErrNoBook},
		"500":            {handler(500, "canary"), carddav.ErrStatus},
		"503":            {handler(503, ""), carddav.ErrStatus},
		"200 and HTML":   {handler(200, "<html>canary"), carddav.ErrGarbage},
		"empty":          {handler(207, ""), carddav.ErrGarbage},
		"not XML":        {handler(207, "\x00\xff canary"), carddav.ErrGarbage},
		"HTML":           {handler(207, "<html><body>canary</body></html>"), carddav.ErrGarbage},
		"cut off":        {handler(207, head+"<D:response><D:href>/x"), carddav.ErrGarbage},
		"entities":       {handler(207, `<!DOCTYPE x [<!ENTITY a "canary">]>`+head+"&a;</D:multistatus>"), carddav.ErrGarbage},
		"unknown coding": {handler(207, `<?xml version="1.0" encoding="canary"?>`+head+"</D:multistatus>"), carddav.ErrGarbage},
		"nothing there":  {handler(207, head+"</D:multistatus>"), carddav.ErrNoBook},
		"other host's book": {handler(207, head+`<D:response><D:href>https://canary.example.com/b/</D:href><D:propstat><D:prop><D:resourcetype>`+
			`<C:addressbook/></D:resourcetype></D:prop></D:propstat></D:response></D:multistatus>`), carddav.ErrGarbage},
		"other host's home": {handler(207, head+`<D:response><D:href>/</D:href><D:propstat><D:prop><C:addressbook-home-set>`+
			`<D:href>//canary.example.com/</D:href></C:addressbook-home-set></D:prop></D:propstat></D:response></D:multistatus>`), carddav.ErrGarbage},
		"redirect elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/people/ada/book%20one/", http.StatusTemporaryRedirect)
		}, carddav.ErrRedirect},
		"redirect in a circle": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/canary"+r.URL.Path, http.StatusMovedPermanently)
		}, carddav.ErrRedirect},
		"redirect to a file": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}, carddav.ErrRedirect},
		"100 MB of responses":  {endless(head, "<D:response><D:href>/x</D:href></D:response>"), carddav.ErrTooLarge},
		"100 MB of text":       {endless(head+"<D:response><D:href>", "canary"), carddav.ErrTooLarge},
		"100 MB of depth":      {endless(head, "<a>"), carddav.ErrGarbage},
		"100 MB of attributes": {endless(head+"<a ", `a="" `), carddav.ErrTooLarge},
		"100 MB of comment":    {endless(head+"<!--", "canary "), carddav.ErrTooLarge},
		"books without end": {endless(head, `<D:response><D:href>/x</D:href><D:propstat><D:prop><D:resourcetype><C:addressbook/>`+
			`</D:resourcetype></D:prop></D:propstat></D:response>`), carddav.ErrTooLarge},
		"mute": {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, carddav.ErrTimeout},
		"mute in the middle": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			handler(207, head)(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, carddav.ErrTimeout},
		"drip": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			handler(207, head)(w, r)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}, carddav.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.handler)
			defer s.Close()
			cfg := config(t, s.URL+"/canary/")
			cfg.Limit(8<<20, 1<<20, 300*time.Millisecond, 600*time.Millisecond)
			if c.want != carddav.ErrTimeout {
				cfg.Limit(8<<20, 1<<20, time.Minute, time.Minute)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, err := pass(t, permit(t), cfg, nil)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			text := fmt.Sprint(err)
			for _, secret := range []string{"canary", "ada", password, "127.0.0.1"} {
				if strings.Contains(text, secret) {
					t.Errorf("the error tells too much: %s", text)
				}
			}
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
				t.Errorf("the heap grew by %d MB", grown>>20)
			}
		})
	}
	if len(elsewhere.log) != 0 {
		t.Error("the password went to another host")
	}
}

func TestCertificate(t *testing.T) {
	quiet := func(s *httptest.Server) *httptest.Server {
		s.Config.ErrorLog = nil
		return s
	}
	inner := newServer(t)
	inner.put("a.vcf", card(tel(1)))
	s := quiet(httptest.NewTLSServer(inner))
	defer s.Close()
	cfg := config(t, s.URL)
	if _, err := pass(t, permit(t), cfg, nil); !errors.Is(err, carddav.ErrCertificate) {
		t.Errorf("an unknown authority: %v", err)
	}
	if len(inner.log) != 0 {
		t.Error("a request was sent all the same")
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.CAFile = ca
	if got, err := pass(t, permit(t), cfg, nil); err != nil || len(got.values) != 1 {
		t.Errorf("with its authority: %q, %v", got.values, err)
	}
	cfg.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // a name that it is not for
	if _, err := pass(t, permit(t), cfg, nil); !errors.Is(err, carddav.ErrCertificate) {
		t.Errorf("another name: %v", err)
	}
	cfg.CAFile = cfg.PasswordFile
	if _, err := pass(t, permit(t), cfg, nil); !errors.Is(err, carddav.ErrCA) {
		t.Errorf("a file that holds no certificate: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if _, err := pass(t, permit(t), config(t, s.URL), nil); !errors.Is(err, carddav.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestAddressAndPassword(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://dav.example.com": true, "https://dav.example.com/a/b/": true, "http://127.0.0.1:5232/": true, "http://localhost/": true, "http://[::1]:1/": true,
		"http://dav.example.com/": false, "http://10.0.0.1/": false, "https://ada:pw@dav.example.com/": false, "https://dav.example.com/?x": false,
		"ftp://dav.example.com/": false, "dav.example.com": false, "": false, "https://": false, "file:///x": false, "http://127.0.0.1.example.com/": false,
	} {
		if err := (carddav.Config{URL: url}).Check(); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	cfg := config(t, "https://dav.example.com/")
	for name, spoil := range map[string]func(path string) error{
		"absent": os.Remove,
		"a folder": func(p string) error {
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Mkdir(p, 0o700)
		},
		"large": func(p string) error {
			_ = os.Remove(p)
			return os.WriteFile(p, make([]byte, 5000), 0o600)
		},
		"open to others": func(p string) error { return os.Chmod(p, 0o640) },
	} {
		if name == "open to others" && runtime.GOOS == "windows" {
			continue
		}
		cfg := config(t, cfg.URL)
		if err := spoil(cfg.PasswordFile); err != nil {
			t.Fatal(err)
		}
		if _, err := carddav.Open(permit(t), cfg); !errors.Is(err, carddav.ErrPassword) || strings.Contains(err.Error(), cfg.PasswordFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg.PasswordFile = ""
	if _, err := carddav.Open(permit(t), cfg); !errors.Is(err, carddav.ErrPassword) {
		t.Errorf("a user without a password file: %v", err)
	}
}

func TestSameServer(t *testing.T) {
	for href, want := range map[string]bool{
		"/x": true, "y/z": true, "https://dav.example.com:443/x": true, "https://DAV.example.com/x": true, "//dav.example.com/x": true,
		"http://dav.example.com/x": false, "https://dav.example.com:8443/x": false, "https://example.com/x": false, "//x.dav.example.com/": false,
		"https://ada@dav.example.com/x": false, "mailto:ada@dav.example.com": false, "https://dav.example.com.example.net/": false,
	} {
		if got := carddav.Same("https://dav.example.com/book/", href); got != want {
			t.Errorf("%s: %v", href, got)
		}
	}
}

// TestWithdrawnWhileWaiting: a request that waits for a mute server ends with the consent.
func TestWithdrawnWhileWaiting(t *testing.T) {
	waiting := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(waiting)
		<-r.Context().Done()
	}))
	defer s.Close()
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	reg := consenttest.New(t, doc)
	tuple := consenttest.Tuple(t, doc, "contacts", "find-friends")
	consenttest.Give(t, reg, tuple)
	source, err := carddav.Open(consenttest.PermitFrom(t, reg, tuple), config(t, s.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := source.Next(context.Background())
		ended <- err
	}()
	<-waiting
	if err := reg.Withdraw(tuple, false, consent.Actor{UID: os.Getuid(), Channel: "cli", Person: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || err == io.EOF { // the test's own deadline is the bound
		t.Errorf("Next ended with %v", err)
	}
}

func FuzzMultistatus(f *testing.F) {
	f.Add([]byte(head + "</D:multistatus>"))
	f.Add([]byte(head + "<D:response><D:href>/a.vcf</D:href><D:propstat><D:prop><D:getetag>\"1\"</D:getetag><C:address-data>" + card(tel(1)) +
		"</C:address-data></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response><D:sync-token>t</D:sync-token></D:multistatus>"))
	f.Add([]byte(head + "<D:response><D:href>/</D:href><D:status>HTTP/1.1 507 x</D:status></D:response></D:multistatus>"))
	f.Add([]byte("<?xml version=\"1.0\"?><!DOCTYPE a><multistatus xmlns=\"DAV:\"/>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const card = 4096
		responses, size, err := carddav.Decode(strings.NewReader(string(b)), 1<<20, card)
		if size > len(b) || size > responses*len(b) || responses > len(b)/10 {
			t.Errorf("%d responses and %d bytes of cards from %d, %v", responses, size, len(b), err)
		}
	})
}
