package consent_test

import (
	"errors"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// next puts a later version into force, which edit makes of the first one; and again after a restart.
func (b *bench) next(edit func(*policy.Document, func(name string) *policy.Purpose)) {
	b.t.Helper()
	doc := consenttest.Document(b.t)
	doc.Version = b.doc.Version + 1
	edit(doc, func(name string) *policy.Purpose {
		for i := range doc.Categories {
			for j := range doc.Categories[i].Purposes {
				if p := &doc.Categories[i].Purposes[j]; string(doc.Categories[i].ID)+"/"+string(p.ID) == name {
					return p
				}
			}
		}
		b.t.Fatalf("no purpose %s", name)
		return nil
	})
	b.doc = doc
	b.ok(b.Register.SetPolicy(doc))
}

// TestClause_7_NarrowerIsEnforced: permits end, new ones carry the narrower rules, sessions are shorter, the consent ends
// earlier, less stays on the device; and a restart sees the same.
func TestClause_7_NarrowerIsEnforced(t *testing.T) {
	b := setup(t)
	steps, nearby := b.tuple("steps/compare"), b.tuple("location/nearby")
	id, place := b.give(steps), b.give(nearby)
	agreed := b.Register.State(steps)
	old, err := b.Register.Permit(steps)
	b.ok(err)
	session, err := b.Register.OpenSession(nearby, 0, app)
	b.ok(err)

	b.next(func(_ *policy.Document, p func(string) *policy.Purpose) {
		s := p("steps/compare")
		s.Minimiser.Round, s.Device.For, s.Expiry = 500, 2*day, 10*day
		p("location/nearby").Collect.MaxSession = time.Minute
	})
	for _, restarted := range []bool{false, true} {
		if restarted {
			b.restart()
		} else {
			if err := old.Check(); !errors.Is(err, consent.ErrPolicyChanged) {
				t.Errorf("a permit of the wider rules: %v", err)
			}
			if err := session.Permit().Check(); err == nil {
				t.Error("a session of the longer kind goes on")
			}
		}
		s := b.Register.State(steps)
		if !s.InForce || s.Consent != id || s.Subtree != agreed.Subtree {
			t.Fatalf("narrower, restarted %v: %+v", restarted, s)
		}
		if want := b.clock.Now().Add(10 * day); !s.Expiry.Equal(want) {
			t.Errorf("ends %v, want %v", s.Expiry, want)
		}
		p, err := b.Register.Permit(steps)
		b.ok(err)
		if p.Effective().Purpose.Minimiser.Round != 500 || p.Consent() != id || p.Subtree() == agreed.Subtree {
			t.Error("the permit does not carry the narrower rules")
		}
		if err := b.Register.MayLeave(id, p.Subtree()); err != nil {
			t.Errorf("made under the narrower rules: %v", err)
		}
		if err := b.Register.MayLeave(id, agreed.Subtree); !errors.Is(err, consent.ErrPolicyChanged) {
			t.Errorf("made with a finer step: %v", err)
		}
		if got := b.Register.Retention(id); got != 2*day {
			t.Errorf("stays for %v", got)
		}
		again, err := b.Register.OpenSession(nearby, 0, app)
		b.ok(err)
		if again.Until().After(b.clock.Now().Add(time.Minute)) {
			t.Errorf("a session until %v", again.Until())
		}
		if err := b.Register.MayLeave(place, b.Register.State(nearby).Subtree); err != nil {
			t.Errorf("the same content under shorter sessions: %v", err)
		}
	}
	b.clock.Add(11 * day)
	b.ok(b.Register.Sweep(b.clock.Now()))
	if s := b.Register.State(steps); s.Status != consent.Expired {
		t.Errorf("after the earlier end: %q", s.Status)
	}
}

// TestClause_5_TheControllerIsTold: a consent whose controller is gone ends, with a message that still finds its way
// although the policy names nobody of that name any more; nobody else gets anything; nothing is lost here before its time.
func TestClause_5_TheControllerIsTold(t *testing.T) {
	b := setup(t)
	pay := b.tuple("payment/pay")
	id := b.give(pay)
	consenttest.AcknowledgeAll(t, b.Register, "payments")
	before, err := b.Register.Controller("payments")
	b.ok(err)
	b.next(func(d *policy.Document, p func(string) *policy.Purpose) {
		p("payment/pay").Controller = "messenger"
		d.Controllers = d.Controllers[:1]
	})
	check := func(when string) {
		t.Helper()
		if err := b.Register.InForce(id); err == nil {
			t.Errorf("%s: still in force", when)
		}
		out := b.Register.Outbox("payments")
		if len(out) != 1 || out[0].Kind != wire.MsgWithdrawal || out[0].Consent != id {
			t.Fatalf("%s: the controller is told %+v", when, out)
		}
		if n := len(b.Register.Outbox("messenger")); n != 0 {
			t.Errorf("%s: %d messages to the new controller before it was agreed to", when, n)
		}
		c, err := b.Register.Controller("payments")
		if err != nil || c.Endpoint != before.Endpoint || c.Key != before.Key || len(c.Pins) != len(before.Pins) {
			t.Errorf("%s: it cannot be reached: %+v, %v", when, c, err)
		}
		if _, err := b.Ring.DataKey(id); err != nil {
			t.Errorf("%s: what was stored is lost: %v", when, err)
		}
	}
	check("after the change")
	b.restart()
	check("after a restart")
	now := b.tuple("payment/pay")
	if s := b.Register.State(now); s.Status != consent.NeverAsked || s.InForce || now.Controller != "messenger" {
		t.Errorf("the new controller: %+v", s)
	}
	if c := b.Register.Changed(); len(c) != 1 || c[0].Controller != "messenger" || c[0].Narrower {
		t.Errorf("the difference: %+v", c)
	}
	if ids := b.Register.Parked("payment", "pay"); len(ids) != 1 || ids[0] != id {
		t.Errorf("parked: %v", ids)
	}
	consenttest.AcknowledgeAll(t, b.Register, "payments")
	if n := len(b.Register.Outbox("payments")); n != 0 {
		t.Errorf("%d messages after the receipt", n)
	}
	next := b.give(now)
	if out := b.Register.Outbox("messenger"); len(out) != 1 || out[0].Consent != next {
		t.Errorf("after agreeing: %+v", out)
	}
	b.clock.Add(8 * day) // the device keeps it for seven
	b.ok(b.Register.Sweep(b.clock.Now()))
	if _, err := b.Ring.DataKey(id); err == nil {
		t.Error("parked beyond its retention")
	}
}

// TestARemovedPurposeEnds: what the policy no longer declares is over and its controller told.
func TestARemovedPurposeEnds(t *testing.T) {
	b := setup(t)
	id := b.give(b.tuple("steps/compare"))
	consenttest.AcknowledgeAll(t, b.Register, "messenger")
	b.next(func(d *policy.Document, _ func(string) *policy.Purpose) {
		for i := range d.Categories {
			if d.Categories[i].ID == "steps" {
				d.Categories = append(d.Categories[:i], d.Categories[i+1:]...)
				return
			}
		}
	})
	if out := b.Register.Outbox("messenger"); len(out) != 1 || out[0].Kind != wire.MsgWithdrawal || out[0].Consent != id {
		t.Errorf("told: %+v", out)
	}
	if got := b.Register.Retention(id); got != 7*day {
		t.Errorf("what is stored stays for %v, want what was agreed to", got)
	}
}

// TestClause_ii_OnlyOneWayToGiven tries every pair of everything that is not "the person reads the notice and then agrees to
// exactly it", and then everything that could pass for an answer: none leads to given.
func TestClause_ii_OnlyOneWayToGiven(t *testing.T) {
	type try struct {
		name string
		do   func(b *bench, tu policy.Tuple)
	}
	right := func(b *bench, tu policy.Tuple) wire.Hash {
		eff, err := b.doc.Effective(tu.Category, tu.Purpose)
		b.ok(err)
		return eff.Notice(policy.LangEN).SHA256
	}
	background := consent.Actor{UID: 1000, Channel: "agent", Person: true}
	disguised := consent.Actor{UID: 1000, Channel: "app:cli", Person: true}
	ops := []try{
		{"the application asks", func(b *bench, tu policy.Tuple) { _ = b.Register.Request(tu, app) }},
		{"the person asks", func(b *bench, tu policy.Tuple) { _ = b.Register.Request(tu, person) }},
		{"another notice is read", func(b *bench, tu policy.Tuple) {
			_, _ = b.Register.Show(b.tuple("steps/compare"), policy.LangEN, person)
		}},
		{"deferred", func(b *bench, tu policy.Tuple) { _ = b.Register.Defer(tu, person) }},
		{"refused", func(b *bench, tu policy.Tuple) { _ = b.Register.Refuse(tu, person) }},
		{"withdrawn", func(b *bench, tu policy.Tuple) { _ = b.Register.Withdraw(tu, false, person) }},
		{"a session", func(b *bench, tu policy.Tuple) { _, _ = b.Register.OpenSession(tu, time.Minute, app) }},
		{"time passes", func(b *bench, _ policy.Tuple) { b.clock.Add(400 * day); b.ok(b.Register.Sweep(b.clock.Now())) }},
		{"a later policy", func(b *bench, _ policy.Tuple) { b.changeTerms() }},
		{"a restart", func(b *bench, _ policy.Tuple) { b.restart() }},
		{"agreed without reading", func(b *bench, tu policy.Tuple) {
			_, _ = b.Register.Grant(tu, policy.LangEN, right(b, tu), person)
		}},
	}
	// With the notice read, whoever is not the person, or agrees to something else.
	answers := []try{
		{"the application", func(b *bench, tu policy.Tuple) { _, _ = b.Register.Grant(tu, policy.LangEN, right(b, tu), app) }},
		{"the agent", func(b *bench, tu policy.Tuple) { _, _ = b.Register.Grant(tu, policy.LangEN, right(b, tu), background) }},
		{"in disguise", func(b *bench, tu policy.Tuple) { _, _ = b.Register.Grant(tu, policy.LangEN, right(b, tu), disguised) }},
		{"another language", func(b *bench, tu policy.Tuple) { _, _ = b.Register.Grant(tu, policy.LangZH, right(b, tu), person) }},
		{"another notice", func(b *bench, tu policy.Tuple) {
			_, _ = b.Register.Grant(tu, policy.LangEN, right(b, b.tuple("steps/compare")), person)
		}},
	}
	none := func(b *bench, what string) {
		t.Helper()
		for _, s := range b.Register.States() {
			if s.Status == consent.Given || s.InForce {
				t.Errorf("%s: %s is given", what, s.Tuple)
			}
		}
	}
	for _, first := range ops {
		b := setup(t)
		for _, second := range ops {
			tu := b.tuple("location/nearby")
			first.do(b, tu)
			second.do(b, tu)
			none(b, first.name+", "+second.name)
		}
		b.Close()
	}
	b := setup(t)
	tu := b.tuple("location/nearby")
	for _, a := range answers {
		if _, err := b.Register.Show(tu, policy.LangEN, person); err != nil {
			t.Fatal(err)
		}
		a.do(b, tu)
		none(b, a.name)
	}
	// Agreeing to one sensitive category agrees to no other.
	b.give(tu)
	for _, s := range b.Register.States() {
		if s.Tuple != tu && s.Status == consent.Given {
			t.Errorf("%s was given along with %s", s.Tuple, tu)
		}
	}
}

// TestClause_7_WhateverIsNotLess: each kind of change that does not provably ask for less stops, by itself and at once, what was
// agreed to: permits and sessions end, nothing may leave, nothing that is stored loses its key or its time; what is not
// changed goes on; and after the person's answer what was stored before stays behind.
func TestClause_7_WhateverIsNotLess(t *testing.T) {
	const nearby, steps, contacts, pay = "location/nearby", "steps/compare", "contacts/find", "payment/pay"
	purposes := func(name string, edit func(*policy.Purpose)) func(*policy.Document, func(string) *policy.Purpose) {
		return func(_ *policy.Document, p func(string) *policy.Purpose) { edit(p(name)) }
	}
	controller := func(edit func(*policy.Controller)) func(*policy.Document, func(string) *policy.Purpose) {
		return func(d *policy.Document, _ func(string) *policy.Purpose) { edit(&d.Controllers[1]) }
	}
	for kind, c := range map[string]struct {
		tuple string
		edit  func(*policy.Document, func(string) *policy.Purpose)
	}{
		"a finer level":           {nearby, purposes(nearby, func(p *policy.Purpose) { p.Minimiser.Level++ })},
		"longer sessions":         {nearby, purposes(nearby, func(p *policy.Purpose) { p.Collect.MaxSession *= 2 })},
		"no rounding":             {steps, purposes(steps, func(p *policy.Purpose) { p.Minimiser.Round = 0 })},
		"another rounding":        {nearby, purposes(nearby, func(p *policy.Purpose) { p.Minimiser.Window = 90 * time.Minute })},
		"more often":              {steps, purposes(steps, func(p *policy.Purpose) { p.Collect.Every = time.Hour })},
		"another kind of digests": {contacts, purposes(contacts, func(p *policy.Purpose) { p.Minimiser.Mode = "other" })},
		"less padding":            {contacts, purposes(contacts, func(p *policy.Purpose) { p.Minimiser.PadFrom = 32 })},
		"a recipient":             {steps, purposes(steps, func(p *policy.Purpose) { p.Recipients = []string{"Somebody Ltd."} })},
		"kept longer there":       {steps, purposes(steps, func(p *policy.Purpose) { p.Kept.For += day })},
		"kept longer here":        {steps, purposes(steps, func(p *policy.Purpose) { p.Device.For += day })},
		"kept until an event":     {steps, purposes(steps, func(p *policy.Purpose) { p.Kept = policy.Retention{Until: policy.UntilWithdrawn} })},
		"a word of the purpose":   {steps, purposes(steps, func(p *policy.Purpose) { p.Text = policy.Text{"en": p.Text["en"], "zh-CN": "x"} })},
		"a word of the effect":    {steps, purposes(steps, func(p *policy.Purpose) { p.Effect = policy.Text{"en": "x", "zh-CN": p.Effect["zh-CN"]} })},
		"no longer asked alone":   {steps, purposes(steps, func(p *policy.Purpose) { p.Separate = false })},
		"another endpoint":        {pay, controller(func(c *policy.Controller) { c.Endpoint = "https://other.example.com" })},
		"another region":          {pay, controller(func(c *policy.Controller) { c.Region = "SG" })},
		"another company's name":  {pay, controller(func(c *policy.Controller) { c.Name = policy.Text{"en": "Heir Ltd.", "zh-CN": "x"} })},
		"required":                {pay, func(d *policy.Document, _ func(string) *policy.Purpose) { d.Categories[4].Fields[0].Required = true }},
		"a field more": {pay, func(d *policy.Document, _ func(string) *policy.Purpose) {
			d.Categories[4].Fields = append(d.Categories[4].Fields, policy.Field{Name: "more", Type: policy.FieldText, Rule: policy.RuleKeep})
		}},
		"another rule for a field": {pay, func(d *policy.Document, _ func(string) *policy.Purpose) {
			d.Categories[4].Fields[0].Rule = policy.RuleDigest
		}},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			changed, untouched := b.tuple(c.tuple), b.tuple("device/service")
			id, other := b.give(changed), b.give(untouched)
			subtree := b.Register.State(changed).Subtree
			permit := func() (p consent.Permit, err error) {
				if c.tuple != nearby {
					return b.Register.Permit(changed)
				}
				s, err := b.Register.OpenSession(changed, 0, app)
				if err != nil {
					return p, err
				}
				return s.Permit(), nil
			}
			old, err := permit()
			b.ok(err)
			b.next(c.edit)
			for _, when := range []string{"at once", "after a restart"} {
				if err := old.Check(); !errors.Is(err, consent.ErrNotInForce) {
					t.Errorf("%s: the permit: %v", when, err)
				}
				if _, err := permit(); !errors.Is(err, consent.ErrPolicyChanged) {
					t.Errorf("%s: a new permit: %v", when, err)
				}
				if err := b.Register.MayLeave(id, subtree); !errors.Is(err, consent.ErrPolicyChanged) {
					t.Errorf("%s: what was made before may leave: %v", when, err)
				}
				if _, err := b.Ring.DataKey(id); err != nil || b.Register.Retention(id) <= 0 {
					t.Errorf("%s: what was stored is lost before its time: %v, %v", when, err, b.Register.Retention(id))
				}
				if s := b.Register.State(untouched); !s.InForce || s.Consent != other {
					t.Errorf("%s: what is not changed does not go on: %+v", when, s)
				}
				b.restart()
			}
			if renewed := b.give(changed); renewed == id {
				t.Error("the answer to the new terms made no new consent")
			}
			if err := b.Register.MayLeave(id, subtree); err == nil {
				t.Error("what was made under the old terms leaves after the answer")
			}
			if _, err := b.Ring.DataKey(id); err != nil {
				t.Errorf("what was stored is lost with the answer: %v", err)
			}
		})
	}
}

// TestClause_i_TheGateKnowsOnlyTheDeclared: code within the agent gets no notice, no consent, no permit and no session for what the
// policy does not declare, for another controller than the one it names, or for another person.
func TestClause_i_TheGateKnowsOnlyTheDeclared(t *testing.T) {
	b := setup(t)
	good := b.tuple("steps/compare")
	b.give(good)
	for name, edit := range map[string]func(*policy.Tuple){
		"category":   func(tu *policy.Tuple) { tu.Category = "heart-rate" },
		"purpose":    func(tu *policy.Tuple) { tu.Purpose = "advertising" },
		"controller": func(tu *policy.Tuple) { tu.Controller = "payments" },
		"subject":    func(tu *policy.Tuple) { tu.Subject = "1001" },
	} {
		tu := good
		edit(&tu)
		for act, err := range map[string]error{
			"request": b.Register.Request(tu, app),
			"show":    func() error { _, err := b.Register.Show(tu, policy.LangEN, person); return err }(),
			"grant":   func() error { _, err := b.Register.Grant(tu, policy.LangEN, wire.Hash{1}, person); return err }(),
			"refuse":  b.Register.Refuse(tu, person),
			"defer":   b.Register.Defer(tu, person),
			"permit":  func() error { _, err := b.Register.Permit(tu); return err }(),
			"session": func() error { _, err := b.Register.OpenSession(tu, 0, app); return err }(),
		} {
			if !errors.Is(err, consent.ErrUndeclared) {
				t.Errorf("another %s, %s: %v", name, act, err)
			}
		}
		if b.Register.State(tu).InForce {
			t.Errorf("another %s: in force", name)
		}
	}
}
