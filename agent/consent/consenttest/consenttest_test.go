package consenttest_test

import (
	"errors"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
)

func TestPermitOfEveryPurpose(t *testing.T) {
	doc := consenttest.Document(t)
	for _, tuple := range doc.Tuples(consenttest.Subject) {
		p := consenttest.Permit(t, doc, tuple.Category, tuple.Purpose)
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", tuple, err)
		}
		if p.Tuple() != tuple || p.Effective().Purpose.ID != tuple.Purpose {
			t.Errorf("%s: permit is for %s", tuple, p.Tuple())
		}
	}
}

func TestWithdrawalEndsPermit(t *testing.T) {
	doc := consenttest.Document(t)
	d := consenttest.Setup(t, doc)
	tuple := consenttest.Tuple(t, doc, "device", "service")
	consenttest.Give(t, d.Register, tuple)
	consenttest.AcknowledgeAll(t, d.Register, "messenger")
	p := consenttest.PermitFrom(t, d.Register, tuple)
	if err := d.Register.Withdraw(tuple, true, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := p.Check(); !errors.Is(err, consent.ErrWithdrawn) || !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("after withdrawal: %v", err)
	}
	if _, err := d.Ring.DataKey(p.Consent()); err == nil {
		t.Error("the data key is still there")
	}
	d.Close()
	d.Open(t, doc, consent.Options{})
	if s := d.Register.State(tuple); s.Status != consent.Withdrawn {
		t.Errorf("after restart: %q", s.Status)
	}
	consenttest.AcknowledgeAll(t, d.Register, "messenger")
	if n := len(d.Register.Outbox("messenger")); n != 0 {
		t.Errorf("%d messages wait", n)
	}
	if _, err := d.Ring.Identity(p.Consent()); err == nil {
		t.Error("the identity outlived the erasure receipt")
	}
}
