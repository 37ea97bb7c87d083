package consent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var person, app = consenttest.Person, consenttest.App

// clock is a clock that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// bench is a register under test, with its clock and policy.
type bench struct {
	*consenttest.Desk
	t     testing.TB
	clock *clock
	doc   *policy.Document
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, clock: newClock(), doc: consenttest.Document(t)}
	b.Desk = &consenttest.Desk{Dir: t.TempDir(), Key: make([]byte, 32)}
	b.start()
	t.Cleanup(func() { b.Close() })
	return b
}

func (b *bench) start() {
	b.t.Helper()
	b.Open(b.t, b.doc, consent.Options{Now: b.clock.Now})
}

func (b *bench) restart() {
	b.t.Helper()
	b.Close()
	b.start()
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) tuple(name string) policy.Tuple {
	b.t.Helper()
	t, err := b.doc.Tuple(consenttest.Subject, name)
	b.ok(err)
	return t
}

func (b *bench) give(t policy.Tuple) wire.UUID {
	b.t.Helper()
	return consenttest.Give(b.t, b.Register, t)
}

func (b *bench) ledger(controller string) string {
	return filepath.Join(b.Dir, "ledger", controller+"-1.ledger")
}

// changeTerms puts a policy into force in which every purpose is kept a day longer.
func (b *bench) changeTerms() {
	b.t.Helper()
	doc := consenttest.Document(b.t)
	doc.Version = b.doc.Version + 1
	for i := range doc.Categories {
		doc.Categories[i].Purposes[0].Kept.For += time.Duration(doc.Version) * 24 * time.Hour
	}
	b.doc = doc
	b.ok(b.Register.SetPolicy(doc))
}

// Every event from every status: what it returns, and what the status is then.
func TestTransitions(t *testing.T) {
	statuses := map[string]func(*bench, policy.Tuple){
		"never":     func(*bench, policy.Tuple) {},
		"requested": func(b *bench, tu policy.Tuple) { b.ok(b.Register.Request(tu, app)) },
		"shown":     func(b *bench, tu policy.Tuple) { _, err := b.Register.Show(tu, policy.LangEN, person); b.ok(err) },
		"deferred": func(b *bench, tu policy.Tuple) {
			b.ok(b.Register.Request(tu, app))
			b.ok(b.Register.Defer(tu, person))
		},
		"given":     func(b *bench, tu policy.Tuple) { b.give(tu) },
		"refused":   func(b *bench, tu policy.Tuple) { b.ok(b.Register.Refuse(tu, person)) },
		"withdrawn": func(b *bench, tu policy.Tuple) { b.give(tu); b.ok(b.Register.Withdraw(tu, false, person)) },
		"expired": func(b *bench, tu policy.Tuple) {
			b.give(tu)
			b.clock.Add(366 * 24 * time.Hour)
			b.ok(b.Register.Sweep(b.clock.Now()))
		},
		"lapsed": func(b *bench, tu policy.Tuple) { // expired, not yet swept
			b.give(tu)
			b.clock.Add(366 * 24 * time.Hour)
		},
		"changed": func(b *bench, tu policy.Tuple) { b.give(tu); b.changeTerms() },
		"invalidated": func(b *bench, tu policy.Tuple) {
			b.give(tu)
			b.Close()
			b.ok(os.Remove(b.ledger("messenger")))
			b.start()
			b.ok(b.Register.Restart("messenger", person))
		},
	}
	events := map[string]func(*bench, policy.Tuple) error{
		"request-app": func(b *bench, tu policy.Tuple) error { return b.Register.Request(tu, app) },
		"request":     func(b *bench, tu policy.Tuple) error { return b.Register.Request(tu, person) },
		"show": func(b *bench, tu policy.Tuple) error {
			_, err := b.Register.Show(tu, policy.LangZH, person)
			return err
		},
		"grant": func(b *bench, tu policy.Tuple) error {
			eff, err := b.doc.Effective(tu.Category, tu.Purpose)
			b.ok(err)
			_, err = b.Register.Grant(tu, policy.LangEN, eff.Notice(policy.LangEN).SHA256, person)
			return err
		},
		"show+grant": func(b *bench, tu policy.Tuple) error { b.give(tu); return nil },
		"refuse":     func(b *bench, tu policy.Tuple) error { return b.Register.Refuse(tu, person) },
		"defer":      func(b *bench, tu policy.Tuple) error { return b.Register.Defer(tu, person) },
		"withdraw":   func(b *bench, tu policy.Tuple) error { return b.Register.Withdraw(tu, false, person) },
		"clear":      func(b *bench, tu policy.Tuple) error { return b.Register.Withdraw(tu, true, person) },
		"erase":      func(b *bench, tu policy.Tuple) error { _, err := b.Register.Erase(tu, person); return err },
		"permit":     func(b *bench, tu policy.Tuple) error { _, err := b.Register.Permit(tu); return err },
	}
	errs := map[string]error{
		"quiet": consent.ErrQuiet, "unshown": consent.ErrNotShown, "given": consent.ErrGiven, "not": consent.ErrNotGiven,
		"changed": consent.ErrPolicyChanged, "expired": consent.ErrExpired,
	}
	// "status" or "!error status"
	const table = `
	             never       requested  shown      deferred   given      refused          withdrawn          expired          lapsed             changed          invalidated
	request-app  requested   requested  requested  requested  given      !quiet:refused   !quiet:withdrawn   requested        expired            given            requested
	request      requested   requested  requested  requested  given      requested        requested          requested        expired            given            requested
	show         requested   requested  requested  requested  given      requested        requested          requested        expired            given            requested
	grant        !unshown:   !unshown:requested given !unshown:deferred given !unshown:refused !unshown:withdrawn !unshown:expired !unshown:expired !unshown:given   !unshown:invalidated
	show+grant   given       given      given      given      given      given            given              given            given              given            given
	refuse       refused     refused    refused    refused    !given:given refused        refused            refused          refused            !given:given     refused
	defer        never       deferred   deferred   deferred   given      refused          withdrawn          expired          expired            given            invalidated
	withdraw     never       refused    refused    refused    withdrawn  refused          withdrawn          expired          withdrawn          withdrawn        withdrawn
	clear        never       refused    refused    refused    withdrawn  refused          withdrawn          expired          withdrawn          withdrawn        withdrawn
	erase        !not:       !not:requested !not:requested !not:deferred given !not:refused !not:withdrawn   !not:expired     expired            given            !not:invalidated
	permit       !not:       !not:requested !not:requested !not:deferred given !not:refused !not:withdrawn   !not:expired     !expired:expired   !changed:given   !not:invalidated
	`
	lines := strings.Split(strings.TrimSpace(table), "\n")
	columns := strings.Fields(lines[0])
	for _, l := range lines[1:] {
		cells := strings.Fields(l)
		event := cells[0]
		if len(cells) != len(columns)+1 {
			t.Fatalf("%s: %d cells", event, len(cells)-1)
		}
		for i, status := range columns {
			t.Run(status+"/"+event, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				tu := b.tuple("device/service")
				statuses[status](b, tu)
				err := events[event](b, tu)
				want, name := cells[i+1], ""
				var wantErr error
				if failing, ok := strings.CutPrefix(want, "!"); ok {
					name, want, _ = strings.Cut(failing, ":")
					wantErr = errs[name]
				}
				if !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
					t.Errorf("got error %v, want %v", err, wantErr)
				}
				if want == "never" {
					want = ""
				}
				if got := b.Register.State(tu).Status; string(got) != want {
					t.Errorf("got status %q, want %q", got, want)
				}
				before := fmt.Sprintf("%+v", b.Register.State(tu))
				b.restart()
				if after := fmt.Sprintf("%+v", b.Register.State(tu)); after != before {
					t.Errorf("a restart changes\n%s\nto\n%s", before, after)
				}
			})
		}
	}
}

// An application cannot answer for the person, in any way, from any channel.
func TestOnlyThePersonAnswers(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	n, err := b.Register.Show(tu, policy.LangEN, person)
	b.ok(err)
	for _, who := range []consent.Actor{
		app,
		{UID: 1000, Channel: "app:example", Person: true}, // says so itself
		{UID: 1000, Channel: "cli"},
		{UID: 1000, Channel: "agent", Person: true},
		{UID: 1000, Channel: "telepathy", Person: true},
		{},
	} {
		_, err := b.Register.Grant(tu, n.Lang, n.SHA256, who)
		_, showErr := b.Register.Show(tu, policy.LangEN, who)
		_, eraseErr := b.Register.Erase(tu, who)
		for i, err := range []error{
			err, showErr, eraseErr, b.Register.Refuse(tu, who), b.Register.Defer(tu, who),
			b.Register.Withdraw(tu, false, who), b.Register.Restart("messenger", who), b.Register.AcceptClock(who),
		} {
			if !errors.Is(err, consent.ErrNotPerson) {
				t.Errorf("%+v, act %d: %v", who, i, err)
			}
		}
	}
	for _, channel := range []string{"", "app:", "app:Some One", "app:" + strings.Repeat("x", 65), "web"} {
		if err := b.Register.Request(tu, consent.Actor{Channel: channel}); !errors.Is(err, consent.ErrNotPerson) {
			t.Errorf("channel %q: %v", channel, err)
		}
	}
	if s := b.Register.State(tu); s.Status != consent.Requested {
		t.Errorf("status %q", s.Status)
	}
}

// Only the exact notice that was shown can be agreed to.
func TestGrantNeedsTheNoticeThatWasShown(t *testing.T) {
	b := setup(t)
	tu, other := b.tuple("contacts/find"), b.tuple("steps/compare")
	n, err := b.Register.Show(tu, policy.LangEN, person)
	b.ok(err)
	eff, err := b.doc.Effective(tu.Category, tu.Purpose)
	b.ok(err)
	zh := eff.Notice(policy.LangZH)
	for name, try := range map[string]func() (wire.UUID, error){
		"other hash":         func() (wire.UUID, error) { return b.Register.Grant(tu, n.Lang, wire.Hash{1}, person) },
		"other language":     func() (wire.UUID, error) { return b.Register.Grant(tu, policy.LangZH, n.SHA256, person) },
		"not shown language": func() (wire.UUID, error) { return b.Register.Grant(tu, policy.LangZH, zh.SHA256, person) },
	} {
		if _, err := try(); !errors.Is(err, consent.ErrNoticeDiffers) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.Register.Grant(other, n.Lang, n.SHA256, person); !errors.Is(err, consent.ErrNotShown) {
		t.Errorf("other tuple: %v", err)
	}
	b.changeTerms() // between reading and agreeing
	if _, err := b.Register.Grant(tu, n.Lang, n.SHA256, person); !errors.Is(err, consent.ErrNoticeDiffers) {
		t.Errorf("changed policy: %v", err)
	}
	// An answer uses the notice up.
	id := b.give(tu)
	b.ok(b.Register.Withdraw(tu, false, person))
	n2 := eff.Notice(policy.LangEN)
	if _, err := b.Register.Grant(tu, n2.Lang, n2.SHA256, person); !errors.Is(err, consent.ErrNotShown) {
		t.Errorf("after withdrawal: %v", err)
	}
	if again := b.give(tu); again == id {
		t.Error("the new consent has the old id")
	}
}

func TestRecordSaysWhatWasShown(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	n, err := b.Register.Show(tu, policy.LangZH, person)
	b.ok(err)
	id, err := b.Register.Grant(tu, n.Lang, n.SHA256, person)
	b.ok(err)
	records, err := b.Register.Records("messenger")
	b.ok(err)
	rec := records[len(records)-1]
	eff, err := b.doc.Effective(tu.Category, tu.Purpose)
	b.ok(err)
	want := consent.Record{
		Version: 2, Seq: 1, Event: consent.EventGiven, Time: b.clock.Now().Unix(), Consent: id, Subject: tu.Subject, Controller: tu.Controller,
		Category: tu.Category, Purpose: tu.Purpose, Expiry: b.clock.Now().Add(365 * 24 * time.Hour).Unix(), PolicyID: "example", PolicyVersion: 1, Contact: "privacy@example.com",
		Subtree: eff.SubtreeHash(), Notice: consent.Notice{Lang: n.Lang, Text: n.Text, SHA256: n.SHA256}, Actor: person,
		Message: rec.Message, Counter: rec.Counter, Terms: eff.Terms().Encode(),
	}
	if fmt.Sprintf("%+v", *rec) != fmt.Sprintf("%+v", want) {
		t.Errorf("got\n%+v\nwant\n%+v", *rec, want)
	}
	m, key, err := wire.Open[wire.Consent](rec.Message)
	b.ok(err)
	wantMessage := wire.Consent{
		Consent: id, Controller: "messenger", Category: "contacts", Purpose: "find", PolicyVersion: 1, Subtree: want.Subtree,
		Notice: n.SHA256, Lang: string(n.Lang), Time: want.Time, Expiry: want.Expiry, Sequence: 1,
	}
	if m != wantMessage {
		t.Errorf("got message %+v, want %+v", m, wantMessage)
	}
	identity, err := b.Ring.Identity(id)
	b.ok(err)
	if !key.Equal(identity.Public()) {
		t.Error("signed by another key")
	}
}

func TestQuietPeriodBindsApplications(t *testing.T) {
	for name, no := range map[string]func(*bench, policy.Tuple){
		"refused": func(b *bench, tu policy.Tuple) { b.ok(b.Register.Refuse(tu, person)) },
		"withdrawn": func(b *bench, tu policy.Tuple) {
			b.give(tu)
			b.ok(b.Register.Withdraw(tu, false, person))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			tu := b.tuple("steps/compare")
			no(b, tu)
			if until := b.Register.State(tu).QuietUntil; !until.Equal(b.clock.Now().Add(30 * 24 * time.Hour)) {
				t.Errorf("quiet until %v", until)
			}
			b.clock.Add(30*24*time.Hour - time.Second)
			b.restart()
			if err := b.Register.Request(tu, app); !errors.Is(err, consent.ErrQuiet) {
				t.Errorf("a second early: %v", err)
			}
			if err := b.Register.Request(b.tuple("device/service"), app); err != nil {
				t.Errorf("another question: %v", err)
			}
			b.clock.Add(-10 * 24 * time.Hour)
			if err := b.Register.Request(tu, app); err == nil {
				t.Error("asked with a clock set back")
			}
			b.clock.Add(10*24*time.Hour + time.Second)
			b.ok(b.Register.Request(tu, app))
			b.ok(b.Register.Refuse(tu, person))
			if err := b.Register.Request(tu, app); !errors.Is(err, consent.ErrQuiet) {
				t.Errorf("after the second no: %v", err)
			}
			b.give(tu) // the person may
		})
	}
}

func TestPurposesAreApart(t *testing.T) {
	b := setup(t)
	ids := map[policy.Tuple]wire.UUID{}
	for _, tu := range b.doc.Tuples(consenttest.Subject) {
		ids[tu] = b.give(tu)
	}
	gone := b.tuple("contacts/find")
	b.ok(b.Register.Withdraw(gone, true, person))
	for _, s := range b.Register.States() {
		if s.InForce == (s.Tuple == gone) {
			t.Errorf("%s: in force %v after withdrawing contacts", s.Tuple, s.InForce)
		}
		_, err := b.Ring.DataKey(ids[s.Tuple])
		if (err == nil) == (s.Tuple == gone) {
			t.Errorf("%s: data key %v", s.Tuple, err)
		}
	}
	keys := map[string]bool{}
	for tu, id := range ids {
		if k, err := b.Ring.Identity(id); err == nil {
			keys[string(k)] = true
		} else {
			t.Errorf("%s: %v", tu, err)
		}
	}
	if len(keys) != len(ids) {
		t.Error("two tuples share an identity")
	}
}

func TestUndeclared(t *testing.T) {
	b := setup(t)
	for _, tu := range []policy.Tuple{
		{Subject: consenttest.Subject, Controller: "messenger", Category: "device", Purpose: "else"},
		{Subject: consenttest.Subject, Controller: "payments", Category: "device", Purpose: "service"},
		{Subject: "1001", Controller: "messenger", Category: "device", Purpose: "service"},
		{Subject: consenttest.Subject, Controller: "nobody", Category: "device", Purpose: "service"},
	} {
		if err := b.Register.Request(tu, app); !errors.Is(err, consent.ErrUndeclared) {
			t.Errorf("%+v: %v", tu, err)
		}
		if _, err := b.Register.Permit(tu); !errors.Is(err, consent.ErrUndeclared) {
			t.Errorf("%+v: %v", tu, err)
		}
		if s := b.Register.State(tu); !errors.Is(s.Err, consent.ErrUndeclared) || s.InForce {
			t.Errorf("%+v: %+v", tu, s)
		}
	}
}

// A consent whose purpose the policy no longer declares can still be withdrawn.
func TestWithdrawUndeclared(t *testing.T) {
	b := setup(t)
	tu := b.tuple("steps/compare")
	id := b.give(tu)
	doc := consenttest.Document(t)
	doc.Categories = doc.Categories[:2]
	b.doc = doc
	b.restart()
	if err := b.Register.InForce(id); !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("in force: %v", err)
	}
	b.ok(b.Register.Withdraw(tu, true, person))
	if _, err := b.Ring.DataKey(id); err == nil {
		t.Error("the data key is still there")
	}
	if out := b.Register.Outbox("messenger"); len(out) != 1 || out[0].Kind != wire.MsgWithdrawal {
		t.Errorf("outbox %+v", out)
	}
}

func TestConcurrentUse(t *testing.T) {
	b := setup(t)
	tuples := b.doc.Tuples(consenttest.Subject)
	var wg sync.WaitGroup
	for i, tu := range tuples {
		wg.Go(func() {
			for range 6 {
				n, err := b.Register.Show(tu, policy.LangEN, person)
				if err != nil {
					t.Error(err)
					return
				}
				id, err := b.Register.Grant(tu, n.Lang, n.SHA256, person)
				if err != nil {
					t.Error(err)
					return
				}
				if err := b.Register.Withdraw(tu, i%2 == 0, person); err != nil {
					t.Error(err)
				}
				if err := b.Register.InForce(id); err == nil {
					t.Error("in force after Withdraw returned")
				}
				if _, err := b.Ring.DataKey(id); err == nil {
					t.Error("data key after Withdraw returned")
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				if p, err := b.Register.Permit(tu); err == nil {
					_ = p.Check()
					ctx, cancel := b.Register.Context(t.Context(), p.Consent())
					_ = ctx.Err()
					cancel()
				}
				if s, err := b.Register.OpenSession(tu, time.Millisecond, app); err == nil {
					_ = s.Permit().Check()
				}
				b.Register.State(tu)
				b.Register.Outbox(tu.Controller)
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if err := b.Register.Sweep(b.clock.Now()); err != nil {
				t.Error(err)
			}
			if _, err := b.Register.Records("messenger"); err != nil {
				t.Error(err)
			}
			b.Register.Problems()
		}
	})
	wg.Wait()
	b.restart()
	for _, s := range b.Register.States() {
		if s.Status != consent.Withdrawn {
			t.Errorf("%s: %q", s.Tuple, s.Status)
		}
	}
}
