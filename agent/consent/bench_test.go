package consent_test

import (
	"testing"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
)

func BenchmarkPermitCheck(b *testing.B) {
	p := consenttest.Permit(b, consenttest.Document(b), "device", "service")
	for b.Loop() {
		if err := p.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWithdraw is a whole round: show, grant, withdraw. Each is three flushes of the disk: the ring, its folder, the ledger.
func BenchmarkWithdraw(b *testing.B) {
	doc := consenttest.Document(b)
	d := consenttest.Setup(b, doc)
	tu := consenttest.Tuple(b, doc, "device", "service")
	for b.Loop() {
		n, err := d.Register.Show(tu, policy.LangEN, person)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Register.Grant(tu, n.Lang, n.SHA256, person); err != nil {
			b.Fatal(err)
		}
		if err := d.Register.Withdraw(tu, false, person); err != nil {
			b.Fatal(err)
		}
	}
}
