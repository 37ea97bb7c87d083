package notices_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/notices"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// controller is an invented controller with its history.
type controller struct {
	t *testing.T
	policy.Controller
	signer note.Signer
	last   wire.Notice
}

func newController(t *testing.T, id string) *controller {
	private, public, err := note.GenerateKey(rand.Reader, id+".example.com")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return &controller{t: t, Controller: policy.Controller{ID: policy.ControllerID(id), Key: public}, signer: signer}
}

// says announces something behind the last, changed by edit.
func (c *controller) says(kind wire.NoticeKind, edit func(*wire.Notice)) wire.NoticeBundle {
	c.t.Helper()
	n := wire.Notice{
		Controller: string(c.ID), Number: c.last.Number + 1, Kind: kind, Time: now,
		What: map[string]string{"en": "what", "zh-CN": "什么"}, Do: map[string]string{"en": "do", "zh-CN": "做"},
	}
	if c.last.Number > 0 {
		n.Previous = c.last.Hash()
	}
	switch kind {
	case wire.NoticeBreach:
		n.Since, n.Categories = now, []string{"steps"}
	case wire.NoticeEnd:
		n.Ends = now.AddDate(0, 1, 0)
	}
	if edit != nil {
		edit(&n)
	}
	signed, err := wire.SignNotice(n, c.signer)
	if err != nil {
		c.t.Fatal(err)
	}
	c.last = n
	return wire.NoticeBundle{Note: signed}
}

// home is a state folder.
type home struct {
	t    *testing.T
	dir  string
	ring *keyring.Ring
	*notices.Store
}

func newHome(t *testing.T) *home {
	h := &home{t: t, dir: t.TempDir()}
	key, err := keyring.DeviceKey(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if h.ring, err = keyring.Open(h.dir, key); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.ring.Close() })
	h.restart()
	return h
}

func (h *home) restart() {
	h.t.Helper()
	var err error
	if h.Store, err = notices.Open(filepath.Join(h.dir, "notices"), h.ring); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) take(c *controller, list ...wire.NoticeBundle) []notices.Kept {
	h.t.Helper()
	fresh, err := h.Take(c.Controller, list, now, 1)
	if err != nil {
		h.t.Fatal(err)
	}
	return fresh
}

func TestABreachStopsUntilDecided(t *testing.T) {
	h, c, other := newHome(t), newController(t, "messenger"), newController(t, "payments")
	if fresh := h.take(c, c.says(wire.NoticeBreach, nil), c.says(wire.NoticeBreach, nil)); len(fresh) != 2 {
		t.Fatalf("%d new", len(fresh))
	}
	h.restart()
	if err := h.Stopped(c.ID); !errors.Is(err, notices.ErrStopped) {
		t.Error("sending goes on after a breach:", err)
	}
	if err := h.Stopped(other.ID); err != nil {
		t.Error("another controller is stopped:", err)
	}
	if err := h.Decide(c.ID, 1); err != nil {
		t.Fatal(err)
	}
	if h.Stopped(c.ID) == nil {
		t.Error("one decision answered two breaches")
	}
	if err := h.Decide(c.ID, 2); err != nil {
		t.Fatal(err)
	}
	if err := h.Stopped(c.ID); err != nil {
		t.Error("decided, and still stopped:", err)
	}
	if err := h.Decide(c.ID, 2); !errors.Is(err, notices.ErrNoDecision) {
		t.Error("decided twice:", err)
	}
	if list := h.List(); len(list) != 2 || !list[0].Unread || list[0].Stops {
		t.Errorf("%+v", list)
	}
	if err := h.Shown(c.ID, 1); err != nil {
		t.Fatal(err)
	}
	h.restart()
	if list := h.List(); list[0].Unread || !list[1].Unread {
		t.Error("what was shown is not kept")
	}
}

// TestRefused: what is forged, old, replayed, of another history, for another controller, or out of turn is refused and changes nothing.
func TestRefused(t *testing.T) {
	c, forger, other := newController(t, "messenger"), newController(t, "messenger"), newController(t, "payments")
	first, second := c.says(wire.NoticeBreach, nil), c.says(wire.NoticeEnd, nil)
	fork := newController(t, "messenger")
	fork.signer = c.signer
	forked := []wire.NoticeBundle{fork.says(wire.NoticeEnd, nil), fork.says(wire.NoticeEnd, nil), fork.says(wire.NoticeBreach, nil)}
	third := c.says(wire.NoticeBreach, nil)
	for name, list := range map[string][]wire.NoticeBundle{
		"forged":             {forger.says(wire.NoticeBreach, nil)},
		"another controller": {other.says(wire.NoticeBreach, nil)},
		"replayed":           {first},
		"the latest again":   {second},
		"out of turn":        {c.says(wire.NoticeBreach, nil)},
		"another history":    forked[2:],
		"a policy with it":   {{Note: third.Note, Policy: []byte("x")}},
		"no note":            {{Note: []byte("x")}},
	} {
		h := newHome(t)
		h.take(c, first, second)
		before := h.List()
		if _, err := h.Take(c.Controller, list, now, 1); !errors.Is(err, notices.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		h.restart()
		if after := h.List(); len(after) != len(before) || h.After(c.ID) != 2 {
			t.Errorf("%s: changed what is kept", name)
		}
	}
}

// TestLostFile: when the kept notices are gone or damaged they come again, without a second effect, and no other history can take their place.
func TestLostFile(t *testing.T) {
	h, c := newHome(t), newController(t, "messenger")
	list := []wire.NoticeBundle{c.says(wire.NoticeBreach, nil), c.says(wire.NoticeEnd, nil)}
	h.take(c, list...)
	if err := h.Decide(c.ID, 1); err != nil {
		t.Fatal(err)
	}
	fork := newController(t, "messenger")
	fork.signer = c.signer
	forked := []wire.NoticeBundle{fork.says(wire.NoticeEnd, nil), fork.says(wire.NoticeBreach, nil)}
	for name, spoil := range map[string]func(string) error{
		"gone":    os.Remove,
		"damaged": func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) },
	} {
		if err := spoil(filepath.Join(h.dir, "notices", "messenger.notices")); err != nil {
			t.Fatal(err)
		}
		h.restart()
		if n := h.After(c.ID); n != 0 {
			t.Fatalf("%s: after %d", name, n)
		}
		if _, err := h.Take(c.Controller, forked, now, 1); !errors.Is(err, notices.ErrRefused) {
			t.Errorf("%s: another history: %v", name, err)
		}
		h.restart()
		if fresh := h.take(c, list...); len(fresh) != 0 {
			t.Errorf("%s: %d notices have an effect again", name, len(fresh))
		}
		if h.Stopped(c.ID) != nil || len(h.List()) != 2 {
			t.Errorf("%s: not as before", name)
		}
	}
}

// TestBefore: what was announced before the person's first consent is kept without effect, unless only the clocks say so or it is of an
// end that is still to come.
func TestBefore(t *testing.T) {
	h, c := newHome(t), newController(t, "messenger")
	at := func(kind wire.NoticeKind, ago, ends time.Duration) wire.NoticeBundle {
		return c.says(kind, func(n *wire.Notice) {
			if n.Time = now.Add(-ago); kind == wire.NoticeEnd {
				n.Ends = now.Add(ends)
			}
		})
	}
	const day = 24 * time.Hour
	list := []wire.NoticeBundle{
		at(wire.NoticeBreach, 30*day, 0), at(wire.NoticeEnd, 20*day, -day), at(wire.NoticeBreach, time.Hour, 0), at(wire.NoticeEnd, 10*day, day),
	}
	if _, err := h.Take(c.Controller, list, now, now.Unix()); err != nil {
		t.Fatal(err)
	}
	for i, k := range h.List() {
		if want := i < 2; k.Before != want || k.Unread == want || k.Stops != (i == 2) {
			t.Errorf("notice %d: before %t, unread %t, stops %t", k.Number, k.Before, k.Unread, k.Stops)
		}
	}
	if ends := h.Ends()[c.ID]; !ends.Equal(now.Add(day)) {
		t.Errorf("the service ends at %s", ends)
	}
	other := newController(t, "payments")
	if _, err := h.Take(other.Controller, []wire.NoticeBundle{other.says(wire.NoticeBreach, nil)}, now, 0); err != nil || h.Stopped(other.ID) != nil {
		t.Error("somebody who never agreed to anything is stopped:", err)
	}
}

// TestCrash: whenever the power fails while notices are taken, afterwards they are kept with their effect or can be taken again, and the
// effect comes once.
func TestCrash(t *testing.T) {
	for n := 1; ; n++ {
		h, c := newHome(t), newController(t, "messenger")
		h.take(c, c.says(wire.NoticeEnd, nil))
		breach := c.says(wire.NoticeBreach, nil)
		steps := durabletest.Watch(t, h.dir)
		steps.StopAt(n, 0)
		_, err := h.Take(c.Controller, []wire.NoticeBundle{breach}, now, 1)
		finished := !steps.Stopped()
		_ = h.ring.Close()
		steps.Restart()
		key, err2 := keyring.DeviceKey(h.dir)
		if err2 != nil {
			t.Fatal(err2)
		}
		if h.ring, err2 = keyring.Open(h.dir, key); err2 != nil {
			t.Fatal(err2)
		}
		h.restart()
		if err == nil && h.Stopped(c.ID) == nil {
			t.Errorf("stop at %d: taken, and without effect", n)
		}
		if h.After(c.ID) < 2 {
			if h.Stopped(c.ID) != nil {
				t.Errorf("stop at %d: an effect without its notice", n)
			}
			h.take(c, breach)
		}
		list := h.List()
		if len(list) != 2 || !list[1].Stops || h.Decide(c.ID, 2) != nil || h.Stopped(c.ID) != nil {
			t.Errorf("stop at %d: %d notices", n, len(list))
		}
		if finished {
			return
		}
	}
}
