package carddav_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors/contacts"
	"github.com/scruple-agent/scruple/sensors/contacts/carddav"
	"github.com/scruple-agent/scruple/uploader/wire"
)

const password = "invented-password"

// server is a small CardDAV server whose habits can be set.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	cards   map[string]string // by name
	etags   map[string]int
	changes []string // names, the token is its length
	floor   int      // tokens below are not known
	noSync  bool
	noCtag  bool
	noEtag  bool
	garbage bool // multiget answers without cards
	log     []string
	fetched int // cards sent
}

func newServer(t *testing.T) *server {
	s := &server{cards: map[string]string{}, etags: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) put(name, card string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cards[name] = card
	s.etags[name]++
	s.changes = append(s.changes, name)
}

func (s *server) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cards, name)
	s.changes = append(s.changes, name)
}

var (
	hrefs  = regexp.MustCompile(`<d:href>([^<]*)</d:href>`)
	tokens = regexp.MustCompile(`<d:sync-token>tok-(\d+)</d:sync-token>`)
)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user, pass, ok := r.BasicAuth(); !ok || user != "ada" || pass != password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, _ := io.ReadAll(r.Body)
	text := string(body)
	kind := r.Method + " " + r.Header.Get("Depth")
	for _, word := range []string{"sync-collection", "multiget"} {
		if strings.Contains(text, word+" ") {
			kind = word
		}
	}
	s.log = append(s.log, kind)
	var out strings.Builder
	respond := func(href, prop string) {
		fmt.Fprintf(&out, "<D:response><D:href>%s</D:href><D:propstat><D:prop>%s</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>", href, prop)
	}
	etag := func(name string) string {
		if s.noEtag {
			return ""
		}
		return fmt.Sprintf("<D:getetag>&quot;%d&quot;</D:getetag>", s.etags[name])
	}
	book := "<D:resourcetype><D:collection/><C:addressbook/></D:resourcetype>"
	if !s.noSync {
		book += fmt.Sprintf("<D:sync-token>tok-%d</D:sync-token><D:supported-report-set><D:supported-report><D:report><D:sync-collection/></D:report></D:supported-report></D:supported-report-set>", len(s.changes))
	}
	if !s.noCtag {
		book += fmt.Sprintf("<CS:getctag>ctag-%d</CS:getctag>", len(s.changes))
	}
	token := ""
	switch {
	case r.URL.Path == "/":
		respond("/", "<D:current-user-principal><D:href>/people/ada/</D:href></D:current-user-principal>")
	case r.URL.Path == "/people/ada/" && r.Header.Get("Depth") == "0":
		respond("/people/ada/", "<D:resourcetype><D:collection/></D:resourcetype><C:addressbook-home-set><D:href>/people/ada/</D:href></C:addressbook-home-set>")
	case r.URL.Path == "/people/ada/":
		respond("/people/ada/", "<D:resourcetype><D:collection/></D:resourcetype>")
		respond("/people/ada/calendar/", "<D:resourcetype><D:collection/></D:resourcetype>")
		respond("/people/ada/book%20one/", book)
	case !strings.HasPrefix(r.URL.Path, "/people/ada/book one/"):
		w.WriteHeader(http.StatusNotFound)
		return
	case kind == "PROPFIND 0":
		respond("/people/ada/book%20one/", book)
	case kind == "PROPFIND 1":
		respond("/people/ada/book%20one/", "<D:resourcetype><D:collection/><C:addressbook/></D:resourcetype>")
		for _, name := range slices.Sorted(maps.Keys(s.cards)) {
			respond("/people/ada/book%20one/"+name, etag(name)+"<D:resourcetype/>")
		}
	case kind == "sync-collection":
		m := tokens.FindStringSubmatch(text)
		var since int
		if s.noSync || m == nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Sscan(m[1], &since)
		if since < s.floor {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		upTo := min(since+3, len(s.changes)) // three changes at a time
		for _, name := range s.changes[since:upTo] {
			if _, ok := s.cards[name]; ok {
				respond("/people/ada/book%20one/"+name, etag(name))
			} else {
				fmt.Fprintf(&out, "<D:response><D:href>/people/ada/book%%20one/%s</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>", name)
			}
		}
		if upTo < len(s.changes) {
			out.WriteString("<D:response><D:href>/people/ada/book%20one/</D:href><D:status>HTTP/1.1 507 Insufficient Storage</D:status></D:response>")
		}
		token = fmt.Sprintf("<D:sync-token>tok-%d</D:sync-token>", upTo)
	case kind == "multiget":
		for _, m := range hrefs.FindAllStringSubmatch(text, -1) {
			name := m[1][strings.LastIndex(m[1], "/")+1:]
			card, ok := s.cards[name]
			switch {
			case !ok:
				fmt.Fprintf(&out, "<D:response><D:href>%s</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>", m[1])
			case s.garbage:
				respond(m[1], etag(name))
			default:
				s.fetched++
				respond(m[1], etag(name)+"<C:address-data><![CDATA["+card+"]]></C:address-data>")
			}
		}
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusMultiStatus)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav" xmlns:CS="http://calendarserver.org/ns/">%s%s</D:multistatus>`, &out, token)
}

func card(tels ...string) string {
	text := "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Someone Invented\r\n"
	for _, tel := range tels {
		text += "item1.TEL;TYPE=cell:" + tel + "\r\n"
	}
	return text + "NOTE:not asked for\r\nEND:VCARD\r\n"
}

func permit(t testing.TB) consent.Permit {
	t.Helper()
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	return consenttest.Permit(t, doc, "contacts", "find-friends")
}

func config(t testing.TB, url string) carddav.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return carddav.Config{URL: url, User: "ada", PasswordFile: file}
}

// result is that of one pass.
type result struct {
	values []string // as read, sorted
	report []byte
	sealed []byte
	stats  contacts.Stats
}

// pass reads once, as the agent does. sealed is what the last pass remembered.
func pass(t testing.TB, p consent.Permit, cfg carddav.Config, sealed []byte) (r result, err error) {
	t.Helper()
	source, err := carddav.Open(p, cfg)
	if err != nil {
		return r, err
	}
	defer source.Close()
	epoch := wire.Epoch{ID: 1, NotAfter: 1 << 60, Mode: "keyed", Length: 16, Form: canonical.PhoneForm, Key: bytes.Repeat([]byte{1}, 32)}
	c, err := minimise.NewContacts(p, "GB", epoch, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Remember(bytes.Repeat([]byte{1}, 32), "1", bytes.Clone(sealed))
	if err != nil {
		t.Fatal(err)
	}
	source.Remember(m, time.Now())
	for {
		e, err := source.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			r.stats = source.Stats()
			return r, err
		}
		r.values = append(r.values, string(e.Raw()))
		if err := c.Add(e.Kind, e.Raw()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(r.values)
	report, err := c.Report(bytes.Repeat([]byte{2}, 32), time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	r.report, r.stats, r.sealed = report.Encode(), source.Stats(), sealed
	if next, changed := m.Seal(); changed {
		r.sealed = next
	}
	return r, nil
}

func tel(n int) string { return fmt.Sprintf("+44 7700 900%03d", n) }

// TestPasses reads, changes, and reads again, with servers of several habits. Every report is that of a pass that
// remembers nothing, and no more cards cross the network than changed.
func TestPasses(t *testing.T) {
	for name, habit := range map[string]func(*server){
		"sync":            func(*server) {},
		"no sync":         func(s *server) { s.noSync = true },
		"etags only":      func(s *server) { s.noSync, s.noCtag = true, true },
		"no etags at all": func(s *server) { s.noEtag, s.noCtag, s.noSync = true, true, true },
		"sync, no etags":  func(s *server) { s.noEtag = true },
	} {
		t.Run(name, func(t *testing.T) {
			s, p := newServer(t), permit(t)
			habit(s)
			for i := range 20 {
				s.put(fmt.Sprintf("%02d.vcf", i), card(tel(i), tel(100+i)))
			}
			cfg := config(t, s.URL)
			cfg.Chunk(7)
			var sealed []byte
			step := func(change func(), most, cards int) {
				t.Helper()
				if change != nil {
					change()
				}
				s.fetched, s.log = 0, nil
				got, err := pass(t, p, cfg, sealed)
				if err != nil {
					t.Fatal(err)
				}
				sealed = got.sealed
				if s.noEtag {
					most = cards
				}
				if s.fetched > most {
					t.Errorf("%d cards sent, want at most %d (%q)", s.fetched, most, s.log)
				}
				if got.stats.Cards != cards {
					t.Errorf("%d cards counted, want %d", got.stats.Cards, cards)
				}
				cold, err := pass(t, p, cfg, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.report, cold.report) {
					t.Error("the report differs from that of a pass that remembers nothing")
				}
				got.stats.Unchanged = 0
				if fmt.Sprint(got.stats) != fmt.Sprint(cold.stats) {
					t.Errorf("counts\n%+v, of a pass that remembers nothing\n%+v", got.stats, cold.stats)
				}
			}
			step(nil, 20, 20)
			step(nil, 0, 20)
			step(func() { s.put("03.vcf", card(tel(503))) }, 1, 20)
			step(func() {
				s.remove("04.vcf")
				s.remove("05.vcf")
				s.put("05.vcf", card(tel(505)))
				s.put("06.vcf", card(tel(506)))
				s.remove("06.vcf")
				s.put("new.vcf", card(tel(600), "not a number"))
			}, 2, 19)
			step(nil, 0, 19)
			s.floor = 1000 // the server has forgotten every token
			step(func() { s.put("07.vcf", card(tel(507))) }, 1, 19)
			s.floor = 0
			step(func() { s.put("08.vcf", card(tel(508))) }, 1, 19)
		})
	}
}

// TestPartIsNotTheWhole: a card that the server listed and did not send is counted, and asked for again.
func TestPartIsNotTheWhole(t *testing.T) {
	s, p := newServer(t), permit(t)
	s.put("a.vcf", card(tel(1)))
	cfg := config(t, s.URL+"/people/ada/book%20one/")
	s.garbage = true
	first, err := pass(t, p, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.stats.Skipped["no-card-sent"] != 1 {
		t.Errorf("passed over: %v", first.stats.Skipped)
	}
	s.garbage = false
	second, err := pass(t, p, cfg, first.sealed)
	if err != nil || !slices.Equal(second.values, []string{tel(1)}) {
		t.Errorf("then: %q, %v", second.values, err)
	}
}

// TestPhotos: cards that together are more than one answer may be are asked for in smaller parts; one that is too
// large by itself is counted, and the others are read.
func TestPhotos(t *testing.T) {
	s, p := newServer(t), permit(t)
	var want []string
	for i := range 12 {
		size := 3000
		if i == 5 {
			size = 40_000
		} else {
			want = append(want, tel(i))
		}
		photo := "PHOTO;ENCODING=b:" + strings.Repeat("A", size) + "\r\nEND:VCARD"
		s.put(fmt.Sprintf("%02d.vcf", i), strings.Replace(card(tel(i)), "END:VCARD", photo, 1))
	}
	cfg := config(t, s.URL)
	cfg.Limit(1<<20, 8192, time.Minute, time.Minute)
	got, err := pass(t, p, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.values, want) || got.stats.Skipped["too-large-card"] != 1 {
		t.Errorf("read %q, passed over %v", got.values, got.stats.Skipped)
	}
	again, err := pass(t, p, cfg, got.sealed)
	if err != nil || again.stats.Skipped["too-large-card"] != 1 || again.stats.Unchanged != 11 {
		t.Errorf("again: %+v, %v", again.stats, err)
	}
}

func TestNoPermitNoRequest(t *testing.T) {
	s := newServer(t)
	if _, err := carddav.Open(consent.Permit{}, config(t, s.URL)); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("Open with the zero permit: %v", err)
	}
	if len(s.log) != 0 {
		t.Errorf("%d requests without a consent", len(s.log))
	}
}
