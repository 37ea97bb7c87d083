//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/uploader/receiver"
)

const (
	friends  = "contacts/find-friends"
	password = "correct horse" // of the invented account
	people   = 400
)

// contactFields are what of an address book may leave.
var contactFields = []string{"digests", "epoch", "form", "metadata"}

// radicaleRig has the daemon read an address book from a real CardDAV server.
func radicaleRig(t *testing.T) {
	book := radicale(t) + "/ada/people/"
	proxy := newTap(t, strings.TrimPrefix(strings.TrimSuffix(book, "/ada/people/"), "http://"))

	dav(t, "MKCOL", book, `<?xml version="1.0"?><create xmlns="DAV:" xmlns:CR="urn:ietf:params:xml:ns:carddav"><set><prop>`+
		`<resourcetype><collection/><CR:addressbook/></resourcetype></prop></set></create>`)
	put := func(i int, tel string) {
		dav(t, "PUT", fmt.Sprintf("%s%03d.vcf", book, i), fmt.Sprintf("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:%d\r\nFN:Someone %d\r\nN:;%d;;;\r\n"+
			"TEL;TYPE=cell:%s\r\nEMAIL:person%d@example.com\r\nNOTE:%s\r\nEND:VCARD\r\n", i, i, i, tel, i, strings.Repeat("nobody asked for this ", 40)))
	}
	number := func(i int) string { return fmt.Sprintf("+4477009%05d", i) }
	for i := range people {
		put(i, number(i))
	}

	secret := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(secret, []byte(password+"\n"), 0o600))
	h := newHouse(t, "", friends, fmt.Sprintf("contacts:\n  carddav:\n    url: \"http://%s/ada/people/\"\n    user: ada\n    password_file: %q\n", proxy.address, secret))
	_, err := h.far.Store.AddUsers(t.Context(), []receiver.Identifier{
		{Name: "first", Phone: number(17)}, {Name: "second", Phone: number(900)}, {Name: "third", Email: "person33@example.com"},
	}, "GB", time.Now())
	must(t, err)
	matches := func() int {
		id, _ := h.consent(friends)
		for _, held := range h.far.Holdings(t) {
			if held.Consent == id {
				return held.Matches
			}
		}
		return -1
	}

	var whole int64
	t.Run("the-whole-set-arrives", func(t *testing.T) {
		consent := h.give(friends)
		eventually(t, "the book is read and matched", func() bool { return matches() == 2 })
		whole = proxy.bytes.Load()
		h.arrived(consent, contactFields...)
		b := h.row(friends).Books
		if len(b) != 1 || b[0].Counts["cards"] != people || b[0].Counts["values"] != 2*people || b[0].Error != "" {
			t.Errorf("status shows %+v", b)
		}
		bodies := h.left(friends)
		if len(bodies) != 1 {
			t.Fatalf("%d batches left", len(bodies))
		}
		for _, word := range []string{"Someone", "person", "example", "447700", "http://", "/ada/people"} { // too long to be in base64 by chance
			if strings.Contains(bodies[0], word) {
				t.Errorf("%q stands in what left", word)
			}
		}
		t.Logf("%d cards, %d bytes from the server", people, whole)
	})
	t.Run("a-change-arrives-incrementally", func(t *testing.T) {
		put(7, number(900))
		dav(t, "DELETE", book+"008.vcf", "")
		before := proxy.bytes.Load()
		got, err := h.person.Collect(t.Context(), friends)
		must(t, err)
		sent := proxy.bytes.Load() - before
		if got.Counts["cards"] != people-1 || got.Counts["unchanged"] != people-2 || sent*10 > whole {
			t.Errorf("counts %v, %d bytes from the server, %d the first time", got.Counts, sent, whole)
		}
		eventually(t, "the change is matched", func() bool { return matches() == 3 })
		t.Logf("%d bytes from the server", sent)
	})
	t.Run("withdrawal", func(t *testing.T) {
		_, err := h.person.Withdraw(t.Context(), friends, false)
		must(t, err)
		var times []time.Duration
		for range 5 {
			proxy.pause.Store(int64(50 * time.Millisecond))
			eventually(t, "no connection is left of the last one", func() bool { open, _ := proxy.connections(); return open == 0 })
			before := proxy.bytes.Load()
			consent := h.give(friends)
			eventually(t, "cards come, slowly", func() bool { return proxy.bytes.Load()-before > whole/10 })
			times = append(times, h.withdraw(friends, proxy))
			if items := h.arrived(consent, contactFields...); len(items) > 0 {
				t.Errorf("%d reports of a book that was not read to its end", len(items))
			}
		}
		if open, _ := proxy.connections(); open != 0 {
			t.Errorf("%d connections are open", open)
		}
		t.Logf("transfer cut after %v", times)
		proxy.pause.Store(0)
	})
}

// radicale starts the real server on loopback with one account, and returns its address.
func radicale(t *testing.T) string {
	t.Helper()
	path := need(t, "radicale", "radicale")
	dir, address := t.TempDir(), "127.0.0.1:"+freePort(t)
	for name, text := range map[string]string{
		"users": "ada:" + password + "\n",
		"config": fmt.Sprintf("[server]\nhosts = %s\n[auth]\ntype = htpasswd\nhtpasswd_filename = %s\nhtpasswd_encryption = plain\ndelay = 0\n"+
			"[storage]\nfilesystem_folder = %s\n[web]\ntype = none\n", address, filepath.Join(dir, "users"), filepath.Join(dir, "books")),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	var out bytes.Buffer
	cmd := exec.Command(path, "--config", filepath.Join(dir, "config"))
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("radicale: %.2000s", out.String())
		}
	})
	eventually(t, "radicale answers", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return "http://" + address
}

// dav sends one request as the person's other programs would.
func dav(t *testing.T, method, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	req.SetBasicAuth("ada", password)
	if strings.HasPrefix(body, "BEGIN") {
		req.Header.Set("Content-Type", "text/vcard")
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s: %s", method, resp.Status)
	}
}
