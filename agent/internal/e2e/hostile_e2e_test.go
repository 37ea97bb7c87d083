//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/scruple-agent/scruple/agent/control"
)

// memory is more than the service file lets the daemon have.
const memory = 128 << 20

// quiet is for servers whose clients hang up.
var quiet = log.New(io.Discard, "", 0)

// unwell checks that status says why nothing is read, in both languages, and that the daemon is not busy with it.
func (h *house) unwell(tuple string, why control.Reason, word string) {
	h.t.Helper()
	eventually(h.t, "status says "+string(why)+" "+word, func() bool {
		r := h.row(tuple)
		return r.Reason == why && strings.Contains(r.Detail, word) && !r.Collecting
	})
	en, zh := h.says(tuple)
	h.t.Logf("%s\n%s", en, zh)
	if !strings.Contains(en, word) || !strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		h.t.Error("status does not say it")
	}
	for _, text := range []string{h.dir, "127.0.0.1", "/ada", "39.9"} {
		if strings.Contains(en+zh, text) {
			h.t.Errorf("status tells %q", text)
		}
	}
	before := h.cpu()
	time.Sleep(2 * time.Second)
	if used := h.cpu() - before; used > 50 { // a quarter of a processor
		h.t.Errorf("the daemon used %d ms in 2 s", 10*used)
	}
	if size := h.peak(); size > memory {
		h.t.Errorf("the daemon took %d MiB", size>>20)
	}
}

// peak is the most memory that the daemon ever held.
func (h *house) peak() (bytes int64) {
	h.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.cmd.Process.Pid))
	must(h.t, err)
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	_, err = fmt.Sscan(after, &bytes)
	must(h.t, err)
	return bytes << 10
}

// tpv is a report of a gpsd.
func tpv(second int, lat float64) string {
	return fmt.Sprintf("{\"class\":\"TPV\",\"mode\":3,\"time\":%q,\"lat\":%g,\"lon\":116.383,\"eph\":5}\n",
		time.Unix(1_790_000_000+int64(second), 0).UTC().Format(time.RFC3339), lat)
}

// liesRig has a gpsd that sends what none would, and a real one whose receiver does.
func liesRig(t *testing.T) {
	garbage := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(garbage)
	repeat := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	const bad, gone = control.ReasonSourceError, control.ReasonSourceAbsent
	for name, lie := range map[string]struct {
		speak func(net.Conn)
		why   control.Reason
		word  string
	}{
		"garbage":      {repeat(string(garbage)), bad, "nonsense"},
		"lines":        {repeat("once upon a time\n"), bad, "nonsense"},
		"endless-line": {repeat("{\"class\":\"TPV\"," + strings.Repeat("x", 1<<16)), bad, "nonsense"},
		"nowhere":      {repeat(tpv(1, 91) + tpv(2, -1e300)), bad, "nonsense"},
		"hangs-up":     {func(net.Conn) {}, gone, "gpsd"},
		"silence":      {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, bad, "silent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			var mu sync.Mutex
			speak, calls := lie.speak, 0
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					mu.Lock()
					now := speak
					calls++
					mu.Unlock()
					go func() { now(c); c.Close() }()
				}
			}()
			h := newHouse(t, "", nearby, fmt.Sprintf("gpsd: %q\n", l.Addr()))
			consent := h.give(nearby)
			start := time.Now()
			_, err = h.app.OpenSession(t.Context(), nearby, 10*time.Minute)
			must(t, err)
			h.unwell(nearby, lie.why, lie.word)
			mu.Lock()
			if most := 3 + int(time.Since(start)/time.Second); calls > most {
				t.Errorf("%d connections in %v", calls, time.Since(start))
			}
			epoch := 0
			speak = func(c net.Conn) { // it comes to its senses
				for {
					if _, err := io.WriteString(c, tpv(epoch, 39.904)); err != nil {
						return
					}
					epoch++
					time.Sleep(50 * time.Millisecond)
				}
			}
			mu.Unlock()
			eventually(t, "a cell arrives", func() bool { return len(h.arrived(consent, cellFields...)) == 1 })
			if r := h.row(nearby); !r.Collecting {
				t.Errorf("still %q %q", r.Reason, r.Detail)
			}
		})
	}
	t.Run("a-receiver-through-gpsd", func(t *testing.T) {
		t.Parallel()
		var output bytes.Buffer
		lines := bytes.SplitAfter(satellites(), []byte("\n"))
		for i := range 600 {
			switch i % 60 {
			case 20:
				output.Write(garbage[:4096])
			case 30:
				output.WriteString("$GPGGA," + strings.Repeat("9", 1<<17) + "\r\n")
			case 40: // time goes back by minutes
				output.Write(bytes.Join(lines[:9], nil))
			}
			output.Write(lines[300+i])
		}
		port := freePort(t)
		defer startGPSD(t, output.Bytes(), port)()
		h := newHouse(t, "", nearby, fmt.Sprintf("gpsd: \"127.0.0.1:%s\"\n", port))
		consent := h.give(nearby)
		h.use(t)
		time.Sleep(5 * time.Second) // the log takes as long
		if n := len(h.arrived(consent, cellFields...)); n != 1 {
			t.Errorf("%d cells of one place", n)
		}
	})
}

// booksRig has CardDAV servers that misbehave, and a folder that changes while it is read.
func booksRig(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirection to another server was followed")
	}))
	t.Cleanup(elsewhere.Close)
	answer := func(w http.ResponseWriter, text string) {
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = io.WriteString(w, `<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><d:response><d:href>/book/`+text)
	}
	good := func(w http.ResponseWriter, r *http.Request) {
		const end = `</d:prop></d:propstat></d:response></d:multistatus>`
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "multiget"):
			answer(w, "a.vcf</d:href><d:propstat><d:prop><c:address-data>BEGIN:VCARD\nTEL:+44 7700 900123\nEND:VCARD</c:address-data><d:getetag>1</d:getetag>"+end)
		case r.Header.Get("Depth") == "1":
			answer(w, "a.vcf</d:href><d:propstat><d:prop><d:getetag>1</d:getetag>"+end)
		default:
			answer(w, "</d:href><d:propstat><d:prop><d:resourcetype><d:collection/><c:addressbook/></d:resourcetype>"+end)
		}
	}
	for name, fault := range map[string]struct {
		serve http.HandlerFunc
		tls   bool
		word  string
	}{
		"no-answer": {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() }, false, "in time"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusPermanentRedirect)
		}, false, "another host"},
		"in-a-circle": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, false, "another host"},
		"no-xml": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(207)
			_, _ = w.Write(bytes.Repeat([]byte("no"), 1<<10))
		}, false, "not what was asked"},
		"bad-certificate": {good, true, "not trusted"},
		"100-MB": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Depth") == "0" {
				good(w, r)
				return
			}
			answer(w, "a.vcf</d:href><d:propstat><d:prop><d:getetag>1</d:getetag></d:prop></d:propstat></d:response>")
			line := strings.Repeat("<d:response><d:href>/book/</d:href></d:response>", 1000)
			for range 100 << 20 / len(line) {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
			}
		}, false, "more than an address book"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			serve := http.HandlerFunc(good)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				now := serve
				mu.Unlock()
				now(w, r)
			}))
			s.Config.ErrorLog = quiet
			start := s.Start
			if fault.tls {
				s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
				start = s.StartTLS
			}
			start()
			t.Cleanup(s.Close)
			h := newHouse(t, "", friends, fmt.Sprintf("contacts:\n  carddav:\n    url: \"%s/book/\"\n", s.URL))
			consent := h.give(friends)
			before := 0
			if !fault.tls {
				eventually(t, "the book is read", func() bool { return len(h.left(friends)) == 1 })
				before = 1
			}
			mu.Lock()
			serve = fault.serve
			mu.Unlock()
			if _, err := h.person.Collect(t.Context(), friends); control.ExitCode(err) != control.ExitFailed {
				t.Errorf("collected: %v", err)
			}
			h.unwell(friends, control.ReasonSourceError, fault.word)
			if row := h.row(friends); row.Due.Before(time.Now().Add(time.Minute)) || len(row.Books) != 1 || row.Books[0].Error == "" {
				t.Errorf("tried again at %v, %+v", row.Due, row.Books)
			}
			if n := len(h.left(friends)); n != before {
				t.Errorf("%d batches left, %d before", n, before)
			}
			h.arrived(consent, contactFields...)
			if fault.tls {
				return
			}
			mu.Lock()
			serve = good
			mu.Unlock()
			_, err := h.person.Collect(t.Context(), friends)
			must(t, err)
			if row := h.row(friends); !row.Collecting || row.Books[0].Error != "" || row.Books[0].Counts["cards"] != 1 {
				t.Errorf("after it recovered: %+v", row)
			}
		})
	}
	t.Run("a-folder-that-changes", func(t *testing.T) {
		t.Parallel()
		folder := filepath.Join(t.TempDir(), "book")
		must(t, os.Mkdir(folder, 0o700))
		write := func(i int, text string) error {
			return os.WriteFile(filepath.Join(folder, fmt.Sprintf("%03d.vcf", i)), []byte(text), 0o600)
		}
		card := func(i int) string {
			return fmt.Sprintf("BEGIN:VCARD\r\nVERSION:3.0\r\nTEL:+4477009%05d\r\nEND:VCARD\r\n", i)
		}
		for i := range people {
			must(t, write(i, card(i)))
		}
		h := newHouse(t, "", friends, fmt.Sprintf("contacts:\n  paths: [%q]\n", folder))
		h.give(friends)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() { // other programs write, cut off, remove, rename, replace
			defer close(stopped)
			random := rand.New(rand.NewPCG(1, 2))
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := random.IntN(people)
				name := filepath.Join(folder, fmt.Sprintf("%03d.vcf", i))
				switch random.IntN(6) {
				case 0:
					_ = os.Remove(name)
				case 1:
					_ = write(i, card(i)[:random.IntN(50)])
				case 2:
					_ = os.Rename(name, name+".tmp")
				case 3:
					_ = os.Remove(name)
					_ = os.Symlink(folder, name)
				case 4:
					_ = os.Rename(folder, folder+"-away")
					_ = os.Rename(folder+"-away", folder)
				default:
					_ = os.Remove(name)
					_ = write(i, card(i))
				}
			}
		}()
		read, failed := 0, map[string]int{}
		for range 8 { // each is up to three passes
			if _, err := h.person.Collect(t.Context(), friends); err != nil {
				failed[h.row(friends).Detail]++
			} else {
				read++
			}
		}
		close(stop)
		<-stopped
		t.Logf("%d times read, failed: %v", read, failed)
		for why := range failed {
			if strings.Contains(why, folder) || strings.Contains(why, ".vcf") {
				t.Errorf("status tells a path: %s", why)
			}
		}
		must(t, os.RemoveAll(folder))
		must(t, os.Mkdir(folder, 0o700))
		for i := range people {
			must(t, write(i, card(i)))
		}
		got, err := h.person.Collect(t.Context(), friends)
		must(t, err)
		if got.Counts["values"] != people || !h.row(friends).Collecting {
			t.Errorf("afterwards: counts %v, %+v", got.Counts, h.row(friends))
		}
	})
}
