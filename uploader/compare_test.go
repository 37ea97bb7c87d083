package uploader

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// put puts back what copyState copied, as a backup tool does while the agent is down.
func (h *house) put(t testing.TB, from string) {
	t.Helper()
	h.close()
	if err := os.RemoveAll(h.desk.Dir); err != nil {
		t.Fatal(err)
	}
	copyState(t, from, h.desk.Dir)
	h.open(t)
}

func copyState(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The folder is copied, the person withdraws, the copy is put back: no batch leaves, every consent is invalidated as soon as
// the controller is asked, whichever consent it is asked about.
func TestStatePutBack(t *testing.T) {
	for name, ask := range map[string]func(*house, wire.UUID) error{
		"a batch":                 func(h *house, id wire.UUID) error { _, err := h.Flush(t.Context(), id); return err },
		"what is held":            func(h *house, id wire.UUID) error { _, err := h.RemoteData(t.Context(), id); return err },
		"an epoch":                func(h *house, id wire.UUID) error { _, err := h.Epoch(t.Context(), id); return err },
		"a batch, after a change": func(h *house, id wire.UUID) error { _, err := h.Flush(t.Context(), id); return err },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, Options{})
			other := consenttest.Tuple(t, h.doc, "contacts", "find")
			id, otherID := h.give(t, h.tuple), h.give(t, other)
			h.store(t, h.tuple, 1)
			for _, id := range []wire.UUID{id, otherID} {
				if _, err := h.Flush(t.Context(), id); err != nil && id == h.desk.Register.State(h.tuple).Consent {
					t.Fatal(err)
				}
			}
			if err := h.Deliver(t.Context(), "messenger"); err != nil {
				t.Fatal(err)
			}
			h.store(t, h.tuple, 1)
			copied := t.TempDir()
			copyState(t, h.desk.Dir, copied)

			if err := h.desk.Register.Withdraw(h.tuple, false, consenttest.Person); err != nil {
				t.Fatal(err)
			}
			if err := h.Deliver(t.Context(), "messenger"); err != nil {
				t.Fatal(err)
			}
			batches := len(h.far.got("PUT /v1/batches/"))

			h.put(t, copied)
			if strings.HasSuffix(name, "change") {
				if _, err := h.desk.Register.Erase(h.tuple, consenttest.Person); err != nil {
					t.Fatal(err)
				}
				h.store(t, h.tuple, 1)
			}
			if h.waiting(id) == 0 || h.desk.Register.InForce(id) != nil {
				t.Fatal("the copy was not put back")
			}
			if err := ask(h, id); name != "what is held" && !errors.Is(err, consent.ErrRolledBack) {
				t.Errorf("got %v", err)
			}
			if n := len(h.far.got("PUT /v1/batches/")) - batches; n != 0 {
				t.Errorf("%d batches left", n)
			}
			for range 2 {
				if s := h.desk.Register.State(h.tuple); s.Status != consent.Invalidated || !errors.Is(s.Err, consent.ErrRolledBack) {
					t.Errorf("state %+v", s)
				}
				if s := h.desk.Register.State(other); s.Status != consent.Invalidated {
					t.Errorf("the other consent: %+v", s)
				}
				for _, id := range []wire.UUID{id, otherID} {
					if _, err := h.desk.Ring.DataKey(id); !errors.Is(err, keyring.ErrNoKey) {
						t.Errorf("readable: %v", err)
					}
					if h.waiting(id) != 0 {
						t.Error("reports are left")
					}
				}
				h.restart(t)
			}
			if err := h.Deliver(t.Context(), "messenger"); err != nil {
				t.Errorf("the controllers are told: %v", err)
			}
		})
	}
}

// A controller that answers the question wrongly, or not at all, gets no batch and ends no consent.
func TestComparisonFails(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, h *house, id wire.UUID){
		"an error":        func(w http.ResponseWriter, _ *house, _ wire.UUID) { w.WriteHeader(500) },
		"not found":       func(w http.ResponseWriter, _ *house, _ wire.UUID) { w.WriteHeader(404) },
		"garbage":         func(w http.ResponseWriter, _ *house, _ wire.UUID) { io.WriteString(w, "hello") },
		"nothing, 200":    func(http.ResponseWriter, *house, wire.UUID) {},
		"too much":        func(w http.ResponseWriter, _ *house, _ wire.UUID) { w.Write(make([]byte, 1<<20)) },
		"another consent": func(w http.ResponseWriter, h *house, _ wire.UUID) { w.Write(h.far.latest["other"]) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, Options{})
			id := h.give(t, h.tuple)
			other := h.give(t, consenttest.Tuple(t, h.doc, "contacts", "find"))
			if err := h.Deliver(t.Context(), "messenger"); err != nil {
				t.Fatal(err)
			}
			h.far.latest["other"] = h.far.latest[other.String()]
			h.store(t, h.tuple, 1)
			broken := true
			h.far.set(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
				if r.Method == http.MethodGet && broken {
					answer(w, h, id)
					return true
				}
				return false
			})
			if _, err := h.Flush(t.Context(), id); err == nil || errors.Is(err, consent.ErrNotInForce) {
				t.Errorf("got %v", err)
			}
			if n := len(h.far.got("PUT /v1/batches/")); n != 0 {
				t.Errorf("%d batches left", n)
			}
			if err := h.desk.Register.InForce(id); err != nil {
				t.Error(err)
			}
			broken = false
			if got, err := h.Flush(t.Context(), id); err != nil || got.Batches != 1 {
				t.Errorf("afterwards %+v, %v", got, err)
			}
			// Once a start is enough.
			h.store(t, h.tuple, 1)
			asked := len(h.far.got("GET /v1/consents/"))
			if _, err := h.Flush(t.Context(), id); err != nil || len(h.far.got("GET /v1/consents/")) != asked {
				t.Errorf("asked again; %v", err)
			}
		})
	}
}
