package receiver_test

import (
	"bytes"
	"database/sql"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// say sends a message of lane A: "consent", "erase", "withdraw" or "clear", with a number: "erase2". It returns the signed bytes.
func say(t *testing.T, c *receivertest.Client, what string) []byte {
	t.Helper()
	number := uint64(0)
	if i := strings.IndexAny(what, "0123456789"); i >= 0 {
		n, err := strconv.ParseUint(what[i:], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		what, number = what[:i], n
	}
	controller := string(c.Effective.Controller.ID)
	var (
		message any
		path    = "/v1/consents/" + c.Consent.String()
	)
	switch what {
	case "consent":
		m := c.Message()
		m.Sequence = number
		message = m
	case "erase":
		m := wire.Erasure{ID: wire.NewUUID(), Consent: c.Consent, Controller: controller, Time: 1, Sequence: number}
		message, path = m, "/v1/erasures/"+m.ID.String()
	default:
		message = wire.Withdrawal{Consent: c.Consent, Controller: controller, Time: 1, Clear: what == "clear", Sequence: number}
		path += "/withdrawal"
	}
	body := c.Sign(t, message)
	if a := c.Do(t.Context(), http.MethodPut, path, body, ""); a.Status != http.StatusOK {
		t.Fatalf("%s: status %d, problem %q", what, a.Status, a.Problem())
	}
	return body
}

// What the receiver shows after each history; a capital says which message that is.
func TestLatestMessage(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	for history, want := range map[string]int{ // index of the message shown, -1: none
		"consent1":                          0,
		"consent1 erase2":                   1,
		"consent1 erase2 erase3":            2,
		"consent1 erase3 erase2":            1, // late
		"consent1 erase2 erase2":            1, // a fork: the first stays
		"consent1 erase2 withdraw3":         2,
		"consent1 erase4 withdraw3":         2, // nothing follows a withdrawal
		"consent1 withdraw2 erase3":         1,
		"consent1 withdraw2 clear3":         2,
		"consent1 clear2 withdraw3":         2,
		"withdraw2":                         0,
		"consent":                           -1,
		"consent erase2":                    1,
		"consent1 withdraw":                 0,
		"consent1 clear":                    -1, // what a cleared consent was for is not kept
		"consent1 clear2":                   1,
		"consent1 withdraw9223372036854775": 1,
	} {
		t.Run(history, func(t *testing.T) {
			c := r.Client(t, "device", "service")
			var sent [][]byte
			for what := range strings.FieldsSeq(history) {
				sent = append(sent, say(t, c, what))
			}
			for range 2 {
				a := c.Do(t.Context(), http.MethodGet, "/v1/consents/"+c.Consent.String(), nil, "")
				if want < 0 {
					if a.Status != http.StatusNoContent || len(a.Body) != 0 {
						t.Errorf("status %d, %d bytes", a.Status, len(a.Body))
					}
				} else if a.Status != http.StatusOK || !bytes.Equal(a.Body, sent[want]) || a.Header.Get("Content-Type") != "application/cbor" {
					m, _, err := wire.OpenAny(a.Body)
					t.Errorf("status %d, shown %+v, %v", a.Status, m, err)
				}
				if _, err := r.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			stranger := r.Client(t, "device", "service")
			if a := stranger.Do(t.Context(), http.MethodGet, "/v1/consents/"+c.Consent.String(), nil, ""); a.Problem() != wire.ProblemConsentUnknown {
				t.Errorf("to a stranger: %d %q", a.Status, a.Problem())
			}
		})
	}
	c := r.Client(t, "device", "service")
	if a := c.Do(t.Context(), http.MethodGet, "/v1/consents/"+c.Consent.String(), nil, ""); a.Problem() != wire.ProblemConsentUnknown {
		t.Errorf("of an unknown consent: %d %q", a.Status, a.Problem())
	}
	if a := c.Do(t.Context(), http.MethodGet, "/v1/consents/x", nil, ""); a.Problem() != wire.ProblemMalformed {
		t.Errorf("of no id: %d %q", a.Status, a.Problem())
	}
}

// A store of the version before gets the new table and keeps what it has.
func TestStoreOfTheVersionBefore(t *testing.T) {
	dir := t.TempDir()
	s, err := receiver.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, receiver.DatabaseFile))
	if err != nil {
		t.Fatal(err)
	}
	id := wire.NewUUID()
	if _, err := db.Exec("DROP TABLE latest; PRAGMA user_version = 1; INSERT INTO tombstones VALUES (?, ?, 5, 0)", id[:], make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = receiver.Open(dir); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.Holdings(t.Context(), tester.Now)
	if err != nil || len(list) != 1 || list[0].Consent != id {
		t.Errorf("holdings %+v, %v", list, err)
	}
}
