package rights

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

const canary = "CANARY new words"

// rig is a store, its ring, and the controller at the other end.
type rig struct {
	*testing.T
	dir      string
	ring     *keyring.Ring
	store    *Store
	now      time.Time
	signer   note.Signer
	verifier string
	consent  wire.UUID
}

var tuple = policy.Tuple{Subject: "uid:1000", Controller: "messenger", Category: "posts", Purpose: "moments"}

func newRig(t *testing.T) *rig {
	t.Helper()
	private, public, err := note.GenerateKey(nil, "messenger.example.com")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, dir: t.TempDir(), now: time.Unix(1_790_000_000, 0), verifier: public, consent: wire.NewUUID()}
	if r.signer, err = note.NewSigner(private); err != nil {
		t.Fatal(err)
	}
	r.open()
	t.Cleanup(func() { r.ring.Close() })
	if err := r.ring.Update(func(s *keyring.State) error {
		s.Grants[r.consent] = &keyring.Grant{Tuple: tuple, DataKey: keyring.NewKey(), Identity: keyring.NewKey()}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) open() {
	r.Helper()
	var err error
	if r.ring, err = keyring.Open(r.dir, bytes.Repeat([]byte{7}, keyring.KeySize)); err != nil {
		r.Fatal(err)
	}
	r.store, err = Open(filepath.Join(r.dir, "cases"), r.ring, Options{
		Now: func() time.Time { return r.now },
		Key: func(policy.ControllerID) (string, error) { return r.verifier, nil },
	})
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) reopen() {
	r.Helper()
	r.ring.Close()
	r.open()
}

func (r *rig) file(kind wire.CaseKind) Case {
	r.Helper()
	q := Request{Kind: kind, Tuple: tuple, Consent: r.consent}
	switch kind {
	case wire.CaseComplaint:
		q.Text = canary
	case wire.CaseCorrection:
		q.Item, q.Fields = "p-1", map[string]any{"text": canary}
	}
	c, err := r.store.File(q)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

func (r *rig) receipt(c Case) []byte {
	r.Helper()
	b, err := wire.SignReceipt(wire.Receipt{Controller: "messenger", Kind: wire.ReceiptCase, Consent: c.Consent, Body: c.Hash, Time: r.now}, r.signer)
	if err != nil {
		r.Fatal(err)
	}
	return b
}

func (r *rig) answer(c Case, number uint64, state wire.CaseState, change func(*wire.CaseAnswer)) []byte {
	r.Helper()
	a := wire.CaseAnswer{
		Controller: "messenger", Case: c.ID, Consent: c.Consent, Message: c.Hash, Number: number, State: state, Received: r.now,
		Due: r.now.Add(wire.CaseTime), Time: r.now, Text: "words",
	}
	if state.Final() {
		a.Reason = wire.ReasonFulfilled
	}
	if change != nil {
		change(&a)
	}
	b, err := wire.SignCaseAnswer(a, r.signer)
	if err != nil {
		r.Fatal(err)
	}
	return b
}

func (r *rig) get(id wire.UUID) Case {
	r.Helper()
	c, err := r.store.Get(id)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// TestLifeOfAComplaint: filed, confirmed, answered, each of which survives a restart; then nothing with which it could be sent is left.
func TestLifeOfAComplaint(t *testing.T) {
	r := newRig(t)
	c := r.file(wire.CaseComplaint)
	r.reopen()
	if got := r.get(c.ID); !reflect.DeepEqual(got, c) || got.Due() != (time.Time{}) {
		t.Errorf("after a restart: %+v, want %+v", got, c)
	}
	if w, _ := r.store.Waiting(); len(w) != 1 || w[0].Ask || w[0].ID != c.ID {
		t.Errorf("waiting: %+v", w)
	}
	if err := r.store.Confirm(c.ID, r.receipt(c)); err != nil {
		t.Fatal(err)
	}
	if w, _ := r.store.Waiting(); len(w) != 1 || !w[0].Ask {
		t.Errorf("waiting: %+v, want one to ask about", w)
	}
	if err := r.store.Answer(c.ID, r.answer(c, 1, wire.CaseReceived, nil)); err != nil {
		t.Fatal(err)
	}
	if w, next := r.store.Waiting(); len(w) != 0 || !next.Equal(r.now.Add(AskEvery)) {
		t.Errorf("waiting: %+v, next %v", w, next)
	}
	r.now = r.now.Add(AskEvery)
	if w, _ := r.store.Waiting(); len(w) != 1 {
		t.Errorf("not asked after %v", AskEvery)
	}
	r.reopen()
	received := r.get(c.ID)
	if want := time.Unix(c.Created, 0).Add(30 * 24 * time.Hour); !received.Due().Equal(want) || received.Overdue(want) || !received.Overdue(want.Add(time.Second)) {
		t.Errorf("due %v, want %v", received.Due(), want)
	}
	if err := r.store.Answer(c.ID, r.answer(c, 2, wire.CaseAnswered, nil)); err != nil {
		t.Fatal(err)
	}
	r.reopen()
	got := r.get(c.ID)
	if got.State != wire.CaseAnswered || got.Words != "words" || got.Text != canary || len(got.Answers) != 2 || got.Message != nil || got.Overdue(r.now.Add(1000*time.Hour)) {
		t.Errorf("answered: %+v", got)
	}
	r.ring.View(func(s *keyring.State) {
		if k := s.Rights.Cases[c.ID]; len(k.Identity) != 0 {
			t.Error("the copy of the identity outlives the final answer")
		}
	})
	r.now = r.now.Add(Kept)
	if err := r.store.Sweep(); err != nil || len(r.store.List()) != 0 {
		t.Errorf("swept: %v, %d left", err, len(r.store.List()))
	}
	if files, _ := os.ReadDir(filepath.Join(r.dir, "cases")); len(files) != 0 {
		t.Errorf("%d files left", len(files))
	}
}

// TestForgedAnswers: what is not the controller's answer to this case changes nothing, and the case goes on waiting.
func TestForgedAnswers(t *testing.T) {
	r := newRig(t)
	c, other := r.file(wire.CaseComplaint), r.file(wire.CaseComplaint)
	foreign := newRig(t)
	for name, receipt := range map[string][]byte{
		"garbage": []byte("200 OK"), "another case's": r.receipt(other), "another key's": foreign.receipt(c),
	} {
		if err := r.store.Confirm(c.ID, receipt); !errors.Is(err, wire.ErrReceipt) {
			t.Errorf("%s receipt: %v", name, err)
		}
	}
	if got := r.get(c.ID); !reflect.DeepEqual(got, c) {
		t.Errorf("a forged receipt changed the case: %+v", got)
	}
	if err := r.store.Confirm(c.ID, r.receipt(c)); err != nil {
		t.Fatal(err)
	}
	if err := r.store.Answer(c.ID, r.answer(c, 3, wire.CaseReceived, nil)); err != nil {
		t.Fatal(err)
	}
	before := r.get(c.ID)
	for name, c := range map[string]struct {
		answer []byte
		want   error
	}{
		"another subject's":         {r.answer(c, 4, wire.CaseAnswered, func(a *wire.CaseAnswer) { a.Consent = wire.NewUUID() }), wire.ErrCaseAnswer},
		"another case's":            {r.answer(other, 4, wire.CaseAnswered, nil), wire.ErrCaseAnswer},
		"another controller's":      {r.answer(c, 4, wire.CaseAnswered, func(a *wire.CaseAnswer) { a.Controller = "payments" }), wire.ErrCaseAnswer},
		"about another message":     {r.answer(c, 4, wire.CaseAnswered, func(a *wire.CaseAnswer) { a.Message = wire.HashOf([]byte("x")) }), wire.ErrCaseAnswer},
		"signed by another":         {foreign.answer(c, 4, wire.CaseAnswered, nil), wire.ErrCaseAnswer},
		"older than the last":       {r.answer(c, 2, wire.CaseAnswered, nil), ErrOld},
		"another of the same count": {r.answer(c, 3, wire.CaseAnswered, nil), wire.ErrCaseAnswer},
	} {
		if err := r.store.Answer(before.ID, c.answer); !errors.Is(err, c.want) {
			t.Errorf("an answer %s: %v, want %v", name, err, c.want)
		}
	}
	if got := r.get(c.ID); !reflect.DeepEqual(got, before) {
		t.Errorf("a forged answer changed the case: %+v", got)
	}
	final := r.answer(c, 4, wire.CaseAnswered, nil)
	for range 2 {
		if err := r.store.Answer(c.ID, final); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.store.Answer(c.ID, r.answer(c, 5, wire.CaseRefused, nil)); !errors.Is(err, wire.ErrCaseAnswer) {
		t.Errorf("another final answer: %v", err)
	}
}

// TestClockOfTheController: a controller whose clock runs ahead gains no time.
func TestClockOfTheController(t *testing.T) {
	r := newRig(t)
	c := r.file(wire.CaseComplaint)
	now := r.now
	r.now = now.AddDate(10, 0, 0)
	late := r.receipt(c)
	r.now = now
	if err := r.store.Confirm(c.ID, late); err != nil {
		t.Fatal(err)
	}
	if got, want := r.get(c.ID).Due(), now.Add(wire.CaseTime); !got.Equal(want) {
		t.Errorf("due %v, want %v", got, want)
	}
	if !r.file(wire.CaseComplaint).Overdue(now.Add(wire.CaseTime + time.Second)) {
		t.Error("a controller that never confirms is never overdue")
	}
}

// TestControllerThatForgets: the case is sent again and the answers are taken from the first on, but the time does not begin anew.
func TestControllerThatForgets(t *testing.T) {
	r := newRig(t)
	c := r.file(wire.CaseComplaint)
	due := r.now.Add(wire.CaseTime)
	if err := errors.Join(r.store.Confirm(c.ID, r.receipt(c)), r.store.Answer(c.ID, r.answer(c, 1, wire.CaseReceived, nil))); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.AddDate(0, 0, 20)
	if err := r.store.Unknown(c.ID); err != nil {
		t.Fatal(err)
	}
	if w, _ := r.store.Waiting(); len(w) != 1 || w[0].Ask {
		t.Fatalf("waiting: %+v, want the case itself", w)
	}
	again := r.answer(c, 1, wire.CaseReceived, func(a *wire.CaseAnswer) { a.Text = "anew" })
	if err := errors.Join(r.store.Confirm(c.ID, r.receipt(c)), r.store.Answer(c.ID, again)); err != nil {
		t.Fatal(err)
	}
	r.reopen()
	if got := r.get(c.ID); !got.Due().Equal(due) || len(got.Answers) != 2 {
		t.Errorf("due %v with %d answers, want %v with both", got.Due(), len(got.Answers), due)
	}
}

// TestNoValueIsKept: with the final answer the new value of a correction is in no file, and the ring's key for the earlier file is gone.
func TestNoValueIsKept(t *testing.T) {
	r := newRig(t)
	c := r.file(wire.CaseCorrection)
	if _, err := c.Request(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(r.store.path(c.ID, 1))
	if err != nil || bytes.Contains(old, []byte("CANARY")) {
		t.Fatalf("the value lies open: %v", err)
	}
	if err := r.store.Confirm(c.ID, r.receipt(c)); err != nil {
		t.Fatal(err)
	}
	if err := r.store.Answer(c.ID, r.answer(c, 1, wire.CaseDone, nil)); err != nil {
		t.Fatal(err)
	}
	got := r.get(c.ID)
	if text := strings.Join(got.Names, ",") + got.Item; got.Message != nil || text != "textp-1" {
		t.Errorf("done: %+v", got)
	}
	r.ring.View(func(s *keyring.State) {
		k := s.Rights.Cases[c.ID]
		if _, err := sealing.Open(k.Key, place(c.ID, 1), old); err == nil {
			t.Error("the earlier file can still be opened")
		}
	})
	if _, err := os.Stat(r.store.path(c.ID, 1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the earlier file: %v", err)
	}
}

// TestCaseOutlivesItsConsent: the copy of the identity is enough; without any, there is a reason.
func TestCaseOutlivesItsConsent(t *testing.T) {
	r := newRig(t)
	c := r.file(wire.CaseComplaint)
	want, err := r.store.Identity(r.consent)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ring.Update(func(s *keyring.State) error { delete(s.Grants, r.consent); return nil }); err != nil {
		t.Fatal(err)
	}
	if got, err := r.store.Identity(r.consent); err != nil || !got.Equal(want) {
		t.Errorf("identity after the consent: %v", err)
	}
	second := r.file(wire.CaseComplaint)
	for _, c := range []Case{c, second} {
		if err := errors.Join(r.store.Confirm(c.ID, r.receipt(c)), r.store.Answer(c.ID, r.answer(c, 1, wire.CaseAnswered, nil))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.store.File(Request{Kind: wire.CaseAccess, Tuple: tuple, Consent: r.consent}); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("a case without an identity: %v", err)
	}
}

func TestClosedAccount(t *testing.T) {
	r := newRig(t)
	list, err := r.store.CloseAccount("messenger", []Request{
		{Kind: wire.CaseClosure, Tuple: tuple, Consent: r.consent}, {Kind: wire.CaseClosure, Tuple: tuple, Consent: wire.NewUUID()},
	})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d cases, %v: want the one that can be asked for", len(list), err)
	}
	r.reopen()
	if _, err := r.store.File(Request{Kind: wire.CaseComplaint, Tuple: tuple, Consent: r.consent, Text: "x"}); !errors.Is(err, ErrClosed) {
		t.Errorf("a case after the closure: %v", err)
	}
	if err := r.store.FinishClosure("messenger"); err != nil {
		t.Fatal(err)
	}
	r.reopen()
	if c, closed := r.store.Closed("messenger"); !closed || c.Done != r.now.Unix() || c.Since != r.now.Unix() {
		t.Errorf("tombstone %+v, %v", c, closed)
	}
	if err := r.store.Reopen("messenger"); err != nil {
		t.Fatal(err)
	}
	r.file(wire.CaseComplaint)
}

// TestCrashes stops the machine before every step of filing, confirming and answering: after the restart the case is as it was or as it
// became, what was reported as done is done, and no file is left over.
func TestCrashes(t *testing.T) {
	for _, step := range []string{"file", "confirm", "answer"} {
		for n := 1; ; n++ {
			r := newRig(t)
			var c Case
			if step != "file" {
				c = r.file(wire.CaseComplaint)
			}
			if step == "answer" {
				if err := r.store.Confirm(c.ID, r.receipt(c)); err != nil {
					t.Fatal(err)
				}
			}
			before := r.store.List()
			steps := durabletest.Watch(t, r.dir)
			steps.StopAt(n, 40)
			var err error
			switch step {
			case "file":
				_, err = r.store.File(Request{Kind: wire.CaseComplaint, Tuple: tuple, Consent: r.consent, Text: canary})
			case "confirm":
				err = r.store.Confirm(c.ID, r.receipt(c))
			case "answer":
				err = r.store.Answer(c.ID, r.answer(c, 1, wire.CaseAnswered, nil))
			}
			after := r.store.List()
			stopped := steps.Stopped()
			steps.Restart()
			r.reopen()
			got := r.store.List()
			switch {
			case err == nil && !reflect.DeepEqual(got, after):
				t.Fatalf("%s, step %d: done, and lost with a restart", step, n)
			case err != nil && !durable.Replaced(err) && !reflect.DeepEqual(got, before):
				t.Errorf("%s, step %d: failed with %v, yet it happened", step, n, err)
			case len(r.store.Damaged()) != 0:
				t.Errorf("%s, step %d: damaged %v", step, n, r.store.Damaged())
			}
			if files, _ := os.ReadDir(filepath.Join(r.dir, "cases")); len(files) != len(got) {
				t.Errorf("%s, step %d: %d files of %d cases", step, n, len(files), len(got))
			}
			r.ring.Close()
			if !stopped {
				break
			}
		}
	}
}

func TestDamagedFile(t *testing.T) {
	r := newRig(t)
	c, sound := r.file(wire.CaseComplaint), r.file(wire.CaseComplaint)
	path := r.store.path(c.ID, 1)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r.reopen()
	if _, err := r.store.Get(c.ID); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
	r.get(sound.ID)
	if got := r.store.Damaged(); len(got) != 1 || got[0] != c.ID {
		t.Errorf("damaged: %v", got)
	}
}

// TestManyCases: the oldest that has been answered makes room; open ones never go, and do not keep the person from leaving.
func TestManyCases(t *testing.T) {
	r := newRig(t)
	done := r.file(wire.CaseAccess)
	if err := errors.Join(r.store.Confirm(done.ID, r.receipt(done)), r.store.Answer(done.ID, r.answer(done, 1, wire.CaseDone, nil))); err != nil {
		t.Fatal(err)
	}
	for range MaxErasures {
		r.file(wire.CaseErasure)
	}
	if _, err := r.store.File(Request{Kind: wire.CaseErasure, Tuple: tuple, Consent: r.consent}); !errors.Is(err, ErrFull) {
		t.Errorf("one erasure too many: %v", err)
	}
	r.get(done.ID) // erasures do not push it out
	for range MaxCases - MaxErasures {
		r.file(wire.CaseComplaint)
	}
	if _, err := r.store.Get(done.ID); !errors.Is(err, ErrUnknown) {
		t.Errorf("the answered one: %v", err)
	}
	if _, err := r.store.File(Request{Kind: wire.CaseComplaint, Tuple: tuple, Consent: r.consent, Text: canary}); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := r.store.CloseAccount(tuple.Controller, []Request{{Kind: wire.CaseClosure, Tuple: tuple, Consent: r.consent}}); err != nil {
		t.Errorf("closing the account: %v", err)
	}
}

func FuzzDecodePlain(f *testing.F) {
	id, _ := wire.ParseUUID("8b9c5a52-2f0c-4f4e-9b1e-6d1d5d3b7a10")
	whole, err := wire.Marshal(Case{ID: id, Kind: wire.CaseComplaint, Tuple: tuple, Consent: id, Created: 5, Text: "x", Answers: [][]byte{{1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodePlain(b, id)
		if err != nil {
			return
		}
		again, err := wire.Marshal(c)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is read as %x: %v", b, again, err)
		}
	})
}

func FuzzParseName(f *testing.F) {
	f.Add("8b9c5a52-2f0c-4f4e-9b1e-6d1d5d3b7a10-3.case")
	f.Add("x.case")
	f.Fuzz(func(t *testing.T, name string) { parseName(name) })
}
