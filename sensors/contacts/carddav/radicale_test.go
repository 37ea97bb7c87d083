package carddav_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
	"github.com/scruple-agent/scruple/sensors/contacts/carddav"
)

// radicale starts the real server on loopback with one account, and returns its address.
func radicale(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("radicale")
	if err != nil {
		t.Skip("MISSING: radicale")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"users": "ada:" + password + "\n",
		"config": fmt.Sprintf("[server]\nhosts = %s\n[auth]\ntype = htpasswd\nhtpasswd_filename = %s\nhtpasswd_encryption = plain\ndelay = 0\n"+
			"[storage]\nfilesystem_folder = %s\n[web]\ntype = none\n", address, filepath.Join(dir, "users"), filepath.Join(dir, "books")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	cmd := exec.Command(path, "--config", filepath.Join(dir, "config"))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("radicale: %.2000s", out.String())
		}
	})
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "http://" + address
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("radicale did not start")
	return ""
}

// ask sends one request as the person's other programs would.
func ask(t *testing.T, method, url, body string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("ada", password)
	if strings.HasPrefix(body, "BEGIN") {
		req.Header.Set("Content-Type", "text/vcard")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s: %s", method, resp.Status)
	}
}

const mkcol = `<?xml version="1.0"?><create xmlns="DAV:" xmlns:CR="urn:ietf:params:xml:ns:carddav"><set><prop>` +
	`<resourcetype><collection/><CR:addressbook/></resourcetype></prop></set></create>`

// TestRadicale fills a real server with invented people, reads all of them, and then only what changed; from the
// server's address, the account's and the book's.
func TestRadicale(t *testing.T) {
	url := radicale(t)
	book := url + "/ada/people/"
	ask(t, "MKCOL", book, mkcol)
	people := booktest.Generate(4, 120, booktest.Options{}).People
	var want []string
	put := func(i int, tel string) {
		ask(t, "PUT", fmt.Sprintf("%s%03d.vcf", book, i), fmt.Sprintf("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:%d\r\nFN:Someone %d\r\nN:;%d;;;\r\n"+
			"item1.TEL;TYPE=cell:%s\r\nEMAIL:person%d@example.com\r\nNOTE:a long note that nobody asked for\r\nEND:VCARD\r\n", i, i, i, tel, i))
	}
	for i, person := range people {
		tel := tel(i)
		if len(person.Phones) > 0 {
			tel = person.Phones[0]
		}
		put(i, tel)
		want = append(want, tel, fmt.Sprintf("person%d@example.com", i))
	}
	slices.Sort(want)
	p := permit(t)
	for _, at := range []string{url, url + "/ada/", book} {
		got, err := pass(t, p, config(t, at), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.values, want) {
			t.Errorf("%d of %d values read", len(got.values), len(want))
		}
	}

	cfg := config(t, book)
	first, err := pass(t, p, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := pass(t, p, cfg, first.sealed)
	if err != nil || second.stats.Unchanged != 120 || !bytes.Equal(second.report, first.report) {
		t.Fatalf("again: %d of 120 unchanged, %v", second.stats.Unchanged, err)
	}
	put(7, tel(907))
	ask(t, "DELETE", book+"008.vcf", "")
	third, err := pass(t, p, cfg, second.sealed)
	if err != nil || third.stats.Unchanged != 118 || third.stats.Cards != 119 || !slices.Contains(third.values, tel(907)) {
		t.Fatalf("after an edit and a removal: %+v, %v", third.stats, err)
	}
	cold, err := pass(t, p, cfg, nil)
	if err != nil || !bytes.Equal(cold.report, third.report) {
		t.Errorf("the report differs from that of a pass that remembers nothing: %v", err)
	}

	wrong := config(t, book)
	if err := os.WriteFile(wrong.PasswordFile, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pass(t, p, wrong, nil); err == nil || !strings.Contains(err.Error(), carddav.ErrRefused.Error()) {
		t.Errorf("with a wrong password: %v", err)
	}
}
