package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// given adds a consent of a controller.
func given(t *testing.T, r *Ring, controller policy.ControllerID, purpose policy.PurposeID) wire.UUID {
	t.Helper()
	id := wire.NewUUID()
	if err := r.Update(func(s *State) error {
		g := grant()
		g.Tuple.Controller, g.Tuple.Category, g.Tuple.Purpose = controller, "location", purpose
		s.Grants[id] = g
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return id
}

func gone(t *testing.T, r *Ring, id wire.UUID) {
	t.Helper()
	if err := r.Update(func(s *State) error { delete(s.Grants, id); return nil }); err != nil {
		t.Fatal(err)
	}
}

func place(t *testing.T, r *Ring, id wire.UUID) []byte {
	t.Helper()
	secret, _, err := r.PlaceSecret(id)
	if err != nil || len(secret) != KeySize {
		t.Fatalf("%d bytes, %v", len(secret), err)
	}
	return secret
}

// TestPlaceSecretOutlivesWithdrawal: it is one for all consents of a controller, survives restarts and withdrawals while
// anything of them is at the controller, and goes with the last.
func TestPlaceSecretOutlivesWithdrawal(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	nearby, shake, other := given(t, r, "messenger", "nearby"), given(t, r, "messenger", "shake"), given(t, r, "payments", "pay")
	first := place(t, r, nearby)
	if !bytes.Equal(place(t, r, shake), first) {
		t.Error("two purposes of a controller have two secrets: two cells of one place")
	}
	if bytes.Equal(place(t, r, other), first) {
		t.Error("two controllers have one secret")
	}
	if err := r.Destroy(nearby); err != nil { // withdrawn: the data at the controller is not
		t.Fatal(err)
	}
	if _, _, err := r.PlaceSecret(nearby); !errors.Is(err, ErrNoKey) {
		t.Errorf("after withdrawal: %v", err)
	}
	gone(t, r, shake)
	r.Close()
	r = open(t, dir)
	again := given(t, r, "messenger", "nearby")
	if !bytes.Equal(place(t, r, again), first) {
		t.Error("another secret after a withdrawal and a restart")
	}
	gone(t, r, nearby)
	if !bytes.Equal(place(t, r, again), first) {
		t.Error("another secret while a consent goes on")
	}
	gone(t, r, again) // erased, with the controller's receipt
	r.View(func(s *State) {
		if s.Places["messenger"] != nil || s.Places["payments"] == nil {
			t.Error("the secret outlived what it was for, or another went with it")
		}
	})
	if bytes.Equal(place(t, r, given(t, r, "messenger", "nearby")), first) {
		t.Error("the old secret came back")
	}
	if _, _, err := r.PlaceSecret(wire.NewUUID()); !errors.Is(err, ErrNoKey) {
		t.Errorf("unknown consent: %v", err)
	}
}

func TestPlaceBudget(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	id := given(t, r, "messenger", "nearby")
	if err := r.SpendPlace(id, 1); !errors.Is(err, ErrNoKey) {
		t.Errorf("before there is a secret: %v", err)
	}
	secret := place(t, r, id)
	for _, spent := range []uint64{3, 7, 5} {
		if err := r.SpendPlace(id, spent); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	r = open(t, dir)
	if _, spent, err := r.PlaceSecret(id); err != nil || spent != 7 {
		t.Errorf("spent %d, want 7: %v", spent, err)
	}
	r.View(func(s *State) {
		if text := fmt.Sprintf("%v %+v %x", s.Places["messenger"], *s.Places["messenger"], *s.Places["messenger"]); strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Error("the secret shows")
		}
	})
}
