package consent_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// guardian is an invented guardian with their key.
var guardian = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))

// setupMinor is a register of a minor whose guardian has accepted the policy.
func setupMinor(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, clock: newClock(), doc: consenttest.Document(t)}
	b.Desk = &consenttest.Desk{Dir: t.TempDir(), Key: make([]byte, 32), Band: consent.Band14To17}
	b.start()
	t.Cleanup(func() { b.Close() })
	b.ok(b.Register.EnrolGuardian(guardian.Public().(ed25519.PublicKey), person))
	b.approve(consent.Ask{Kind: wire.ApprovePolicy})
	return b
}

// answer returns the guardian's answer to a question.
func (b *bench) answer(ask consent.Ask) wire.Approval {
	b.t.Helper()
	request, err := b.Register.AskGuardian(ask, person)
	b.ok(err)
	a, err := wire.SignApproval(guardian, request.Question)
	b.ok(err)
	return a
}

func (b *bench) approve(ask consent.Ask) {
	b.t.Helper()
	_, err := b.Register.Approve(b.answer(ask))
	b.ok(err)
}

func grantOf(t policy.Tuple) consent.Ask {
	return consent.Ask{Kind: wire.ApproveGrant, Tuple: t, Lang: policy.LangEN}
}

// agree is a person who reads and agrees, or is refused.
func (b *bench) agree(t policy.Tuple, lang policy.Lang) error {
	b.t.Helper()
	n, err := b.Register.Show(t, lang, person)
	b.ok(err)
	_, err = b.Register.Grant(t, n.Lang, n.SHA256, person)
	return err
}

func TestMinorNeedsAnApprovalOfJustThis(t *testing.T) {
	b := setupMinor(t)
	tu, other := b.tuple("contacts/find"), b.tuple("device/service")
	b.approve(grantOf(tu))
	if err := b.agree(other, policy.LangEN); !errors.Is(err, consent.ErrGuardian) {
		t.Error("another purpose:", err)
	}
	if err := b.agree(tu, policy.LangZH); !errors.Is(err, consent.ErrGuardian) {
		t.Error("another text:", err)
	}
	b.ok(b.agree(tu, policy.LangEN))
	records, err := b.Register.Records("messenger")
	b.ok(err)
	rec := records[len(records)-1]
	m, _, err := wire.Open[wire.Consent](rec.Message)
	b.ok(err)
	if len(rec.Guardian) == 0 || m.Guardian == nil || m.Guardian.Answers(m) != nil {
		t.Error("the record or the message lacks the guardian's approval")
	}
	b.restart()
	if s := b.Register.State(tu); !s.InForce {
		t.Error("after a restart:", s.Err)
	}
	b.ok(b.Register.Withdraw(tu, false, person))
	if err := b.agree(tu, policy.LangEN); !errors.Is(err, consent.ErrGuardian) {
		t.Error("one approval, two consents:", err)
	}
}

func TestApprovalsRefused(t *testing.T) {
	b := setupMinor(t)
	tu := b.tuple("contacts/find")
	refused := func(name string, a wire.Approval) {
		t.Helper()
		before := b.Register.Age()
		if _, err := b.Register.Approve(a); !errors.Is(err, consent.ErrApproval) {
			t.Errorf("%s: %v", name, err)
		}
		if after := b.Register.Age(); len(after.Approved) != len(before.Approved) || after.Band != before.Band {
			t.Errorf("%s: it changed something", name)
		}
	}
	request, err := b.Register.AskGuardian(grantOf(tu), person)
	b.ok(err)
	forged, err := wire.SignApproval(ed25519.NewKeyFromSeed(make([]byte, 32)), request.Question)
	b.ok(err)
	refused("another key", forged)

	q, err := wire.DecodeQuestion(request.Question)
	b.ok(err)
	q.Category, q.Purpose = "device", "service"
	altered, err := q.Encode()
	b.ok(err)
	a, err := wire.SignApproval(guardian, altered)
	b.ok(err)
	refused("a question that was not asked", a)

	late := b.answer(grantOf(tu))
	b.clock.Add(31 * 24 * time.Hour)
	refused("expired", late)

	b.approve(grantOf(tu))
	b.clock.Add(31 * 24 * time.Hour)
	if err := b.agree(tu, policy.LangEN); !errors.Is(err, consent.ErrGuardian) {
		t.Error("an approval that expired before the person answered counts:", err)
	}
	once := b.answer(consent.Ask{Kind: wire.ApproveAge, Band: consent.BandAdult})
	_, err = b.Register.Approve(once)
	b.ok(err)
	b.ok(b.Register.DeclareAge(consent.BandUnder14, person))
	refused("a band for the second time", once)
	for _, ask := range []consent.Ask{{Kind: wire.OrderWithdraw, Tuple: tu}, {Kind: wire.ApproveAge, Band: "12"}, {Kind: wire.ApproveKey, NewKey: []byte("short")}} {
		if _, err := b.Register.AskGuardian(ask, person); err == nil {
			t.Errorf("%s can be asked", ask.Kind)
		}
	}
	if _, err := b.Register.AskGuardian(grantOf(tu), consenttest.App); !errors.Is(err, consent.ErrNotPerson) {
		t.Error("an application asks:", err)
	}
}

// order returns the guardian's order to take a consent back, to the device of this register.
func (b *bench) order(t policy.Tuple) wire.Approval {
	b.t.Helper()
	q, err := wire.Question{
		Kind: wire.OrderWithdraw, Subject: b.Register.Age().Device, Nonce: wire.HashOf([]byte(t.String())), Expiry: b.clock.Now().Add(time.Hour).Unix(),
		Controller: string(t.Controller), Category: string(t.Category), Purpose: string(t.Purpose),
	}.Encode()
	b.ok(err)
	a, err := wire.SignApproval(guardian, q)
	b.ok(err)
	return a
}

// TestOrderTakesBackWhatIsUnused: after the guardian's order neither an approval that the person has not used nor one that is still on its
// way makes a consent.
func TestOrderTakesBackWhatIsUnused(t *testing.T) {
	b := setupMinor(t)
	tu := b.tuple("contacts/find")
	late := b.answer(grantOf(tu))
	b.approve(grantOf(tu))
	order := b.order(tu)
	_, err := b.Register.Approve(order)
	b.ok(err)
	if _, err := b.Register.Approve(late); !errors.Is(err, consent.ErrApproval) {
		t.Error("an approval from before the order:", err)
	}
	if err := b.agree(tu, policy.LangEN); !errors.Is(err, consent.ErrGuardian) {
		t.Error("agreed to after the order:", err)
	}
	b.approve(grantOf(tu))
	b.ok(b.agree(tu, policy.LangEN))
	if _, err := b.Register.Approve(order); !errors.Is(err, consent.ErrApproval) || b.Register.State(tu).Status != consent.Given {
		t.Error("the order a second time:", err)
	}
}

// TestOrdersRefused: an order about a purpose that nobody knows, and one about somebody who is of age.
func TestOrdersRefused(t *testing.T) {
	b := setupMinor(t)
	tu, unknown := b.tuple("contacts/find"), b.tuple("contacts/find")
	unknown.Purpose = "else"
	if _, err := b.Register.Approve(b.order(unknown)); !errors.Is(err, consent.ErrApproval) {
		t.Error("of an unknown purpose:", err)
	}
	b.approve(consent.Ask{Kind: wire.ApproveAge, Band: consent.BandAdult})
	b.ok(b.agree(tu, policy.LangEN))
	if _, err := b.Register.Approve(b.order(tu)); !errors.Is(err, consent.ErrApproval) || !b.Register.State(tu).InForce {
		t.Error("about an adult:", err)
	}
}

// TestOrderCrash: whenever the power fails while an order is carried out, bringing it again finishes it.
func TestOrderCrash(t *testing.T) {
	for n := 1; !orderCrash(t, n); n++ {
		if n > 200 {
			t.Fatal("an order takes more than 200 steps")
		}
	}
}

func orderCrash(t *testing.T, n int) (finished bool) {
	b := setupMinor(t)
	tu := b.tuple("contacts/find")
	b.approve(grantOf(tu))
	b.ok(b.agree(tu, policy.LangEN))
	order := b.order(tu)
	steps := durabletest.Watch(t, b.Dir)
	steps.StopAt(n, 0)
	_, _ = b.Register.Approve(order)
	finished = !steps.Stopped()
	b.Close()
	steps.Restart()
	b.start()
	if _, err := b.Register.Approve(order); err != nil && !errors.Is(err, consent.ErrApproval) {
		t.Errorf("stop at %d: %v", n, err)
	}
	if s := b.Register.State(tu).Status; s != consent.Withdrawn {
		t.Errorf("stop at %d: %s", n, s)
	}
	return finished
}

// TestMinorAndAChangedPolicy: a consent that goes on does so; a new one needs the guardian to accept the new policy.
func TestMinorAndAChangedPolicy(t *testing.T) {
	b := setupMinor(t)
	tu, other := b.tuple("contacts/find"), b.tuple("device/service")
	b.approve(grantOf(tu))
	b.ok(b.agree(tu, policy.LangEN))
	b.approve(grantOf(other))
	later := *b.doc
	later.Version++
	b.ok(b.Register.SetPolicy(&later))
	if s := b.Register.State(tu); !s.InForce {
		t.Error("what is unchanged:", s.Err)
	}
	if err := b.agree(other, policy.LangEN); !errors.Is(err, consent.ErrGuardian) {
		t.Error("under a policy that the guardian has not accepted:", err)
	}
	b.approve(consent.Ask{Kind: wire.ApprovePolicy})
	b.ok(b.agree(other, policy.LangEN))
}

func TestOpenQuestionsAreBounded(t *testing.T) {
	b := setupMinor(t)
	var err error
	for range 100 {
		if _, err = b.Register.AskGuardian(grantOf(b.tuple("contacts/find")), person); err != nil {
			break
		}
	}
	if !errors.Is(err, consent.ErrAsked) {
		t.Error("a hundred open questions:", err)
	}
	b.clock.Add(31 * 24 * time.Hour)
	if _, err = b.Register.AskGuardian(grantOf(b.tuple("contacts/find")), person); err != nil {
		t.Error("after their time:", err)
	}
}

// TestGuardianCrash: whenever the power fails while an approved consent is given, the approval is there or the consent is, never
// both and never neither.
func TestGuardianCrash(t *testing.T) {
	for n := 1; !guardianCrash(t, n); n++ {
		if n > 200 {
			t.Fatal("a consent takes more than 200 steps")
		}
	}
}

func guardianCrash(t *testing.T, n int) (finished bool) {
	b := setupMinor(t)
	tu := b.tuple("contacts/find")
	b.approve(grantOf(tu))
	shown, err := b.Register.Show(tu, policy.LangEN, person)
	b.ok(err)
	steps := durabletest.Watch(t, b.Dir)
	steps.StopAt(n, 0)
	_, err = b.Register.Grant(tu, shown.Lang, shown.SHA256, person)
	finished = !steps.Stopped()
	b.Close()
	steps.Restart()
	b.start()
	given, approved := b.Register.State(tu).Status == consent.Given, len(b.Register.Age().Approved) == 1
	if given == approved || err == nil && !given {
		t.Errorf("stop at %d: given %t, approval there %t", n, given, approved)
	}
	return finished
}
