package consent_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/durable/durabletest"
	"github.com/scruple-agent/scruple/agent/ledger"
)

func (b *bench) checkpoint(controller string) ([]byte, ledger.Checkpoint) {
	b.t.Helper()
	signed, err := b.Register.Checkpoint(b.tuple(map[string]string{"messenger": "contacts/find", "payments": "payment/pay"}[controller]).Controller)
	b.ok(err)
	c, err := ledger.OpenCheckpoint(signed, b.ledgerKey(controller))
	b.ok(err)
	return signed, c
}

func (b *bench) ledgerKey(controller string) string {
	b.t.Helper()
	key, err := b.Register.LedgerKey(b.tuple(map[string]string{"messenger": "contacts/find", "payments": "payment/pay"}[controller]).Controller)
	b.ok(err)
	return key
}

// Every record of a life is proven with the public key alone, at every size, also what was proven before the ledger grew and before
// restarts; and the ledger is proven to have only grown.
func TestProofs(t *testing.T) {
	b := setup(t)
	tu, other := b.tuple("contacts/find"), b.tuple("steps/compare")
	if _, err := b.Register.Checkpoint("messenger"); !errors.Is(err, consent.ErrNoLedger) {
		t.Errorf("before anything is recorded: %v", err)
	}
	if _, err := b.Register.Checkpoint("nobody"); !errors.Is(err, consent.ErrNoLedger) {
		t.Errorf("of nobody: %v", err)
	}
	var checkpoints []ledger.Checkpoint
	var kept [][]byte // first record, as proven at each size
	note := func() {
		_, c := b.checkpoint("messenger")
		in, err := b.Register.InclusionProof("messenger", 0)
		b.ok(err)
		checkpoints, kept = append(checkpoints, c), append(kept, in.Proof)
	}
	b.ok(b.Register.Request(tu, app))
	note()
	b.give(tu)
	note()
	b.restart()
	b.ok(b.Register.Refuse(other, person))
	note()
	b.ok(b.Register.Withdraw(tu, true, person))
	for _, m := range b.Register.Outbox("messenger") {
		b.ok(b.Register.Acknowledge("messenger", m.Seq, receipt(t, m)))
	}
	note()
	key := b.ledgerKey("messenger")
	now := checkpoints[len(checkpoints)-1]

	for seq := range now.Size {
		in, err := b.Register.InclusionProof("messenger", seq)
		b.ok(err)
		if consent.Leaf(in.Salt, in.Statement) != in.Leaf || in.Record.Seq != seq {
			t.Errorf("record %d: leaf, salt and statement do not fit", seq)
		}
		c, n, err := ledger.VerifyInclusion(in.Proof, in.Leaf, key)
		if err != nil || c != now || n != seq {
			t.Errorf("record %d: %d in %+v, %v", seq, n, c, err)
		}
		p, err := ledger.ParseProof(in.Proof)
		b.ok(err)
		p.Extra = ledger.ExtraOf(in.Salt, in.Statement)
		_, _, got, err := ledger.VerifyWhole(p.Encode(), key)
		if s, e := consent.DecodeStatement(got); err != nil || e != nil || s.Seq != seq {
			t.Errorf("record %d whole: %v, %v", seq, err, e)
		}
	}
	first, err := b.Register.InclusionProof("messenger", 0)
	b.ok(err)
	for i, old := range kept {
		if c, _, err := ledger.VerifyInclusion(old, first.Leaf, key); err != nil || c != checkpoints[i] {
			t.Errorf("the proof kept at size %d: %v", checkpoints[i].Size, err)
		}
		growth, err := b.Register.ConsistencyProof("messenger", checkpoints[i].Size, 0)
		b.ok(err)
		if c, err := ledger.VerifyGrowth(growth, checkpoints[i], key); err != nil || c != now {
			t.Errorf("growth from %d: %v", checkpoints[i].Size, err)
		}
		growth, err = b.Register.ConsistencyProof("messenger", checkpoints[0].Size, checkpoints[i].Size)
		b.ok(err)
		if c, err := ledger.VerifyGrowth(growth, checkpoints[0], key); err != nil || c != checkpoints[i] {
			t.Errorf("growth to %d: %v", checkpoints[i].Size, err)
		}
	}

	for what, err := range map[string]error{
		"a record beyond":  second(b.Register.InclusionProof("messenger", now.Size)),
		"growth from more": second(b.Register.ConsistencyProof("messenger", now.Size+1, 0)),
		"growth to more":   second(b.Register.ConsistencyProof("messenger", 1, now.Size+1)),
		"growth backwards": second(b.Register.ConsistencyProof("messenger", 3, 2)),
	} {
		if !errors.Is(err, consent.ErrNoRecord) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// The ledgers of two controllers have nothing in common, and none names its controller, its subject, or a consent.
func TestCheckpointNamesNobody(t *testing.T) {
	b := setup(t)
	one, two := b.give(b.tuple("contacts/find")), b.give(b.tuple("payment/pay"))
	first, a := b.checkpoint("messenger")
	second, c := b.checkpoint("payments")
	if a.Origin == c.Origin || b.ledgerKey("messenger") == b.ledgerKey("payments") {
		t.Errorf("two ledgers with one name or key: %s, %s", a.Origin, c.Origin)
	}
	for _, signed := range [][]byte{first, second} {
		for _, name := range []string{"messenger", "payments", "1000", "contacts", one.String(), two.String()} {
			if strings.Contains(string(signed), name) {
				t.Errorf("the checkpoint holds %q:\n%s", name, signed)
			}
		}
	}
	if a.Size != c.Size {
		t.Fatal("the ledgers differ in size")
	}
	if a.Root == c.Root {
		t.Error("equal histories give equal tree heads: salts do not work")
	}
}

// A record that is still only in the ring is proven like any other; what may not survive a power cut is signed by nobody.
func TestProofOfWhatWaits(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	b.give(tu)
	steps := durabletest.Watch(t, b.ledger("messenger"))
	steps.FailSync()
	b.ok(b.Register.Withdraw(tu, false, person))
	in, err := b.Register.InclusionProof("messenger", 2)
	b.ok(err)
	if _, _, err := ledger.VerifyInclusion(in.Proof, in.Leaf, b.ledgerKey("messenger")); err != nil || in.Record.Event != consent.EventWithdrawn {
		t.Errorf("%+v, %v", in.Record, err)
	}
	steps.Restart()
	b.ok(b.Register.Sweep(b.clock.Now()))

	ring := durabletest.Watch(t, b.Dir)
	ring.StopAt(5, 0) // the fsync of the ring's folder
	if err := b.Register.Request(b.tuple("steps/compare"), app); err == nil {
		t.Fatal("said nothing")
	}
	if _, err := b.Register.Checkpoint("messenger"); err == nil {
		t.Error("a checkpoint of what may be lost")
	}
	ring.Restart()
	if _, c := b.checkpoint("messenger"); c.Size != 4 {
		t.Errorf("size %d", c.Size)
	}
}

// An audit reads the disk anew: it counts, it signs, and it sees what happened to the file under the running agent.
func TestAudit(t *testing.T) {
	b := setup(t)
	tu := b.tuple("contacts/find")
	if a := b.Register.Audit(); len(a) != 2 || a[0].Size != 0 || a[0].Problem != nil || a[0].Checkpoint != nil {
		t.Errorf("of nothing: %+v", a)
	}
	b.give(tu)
	b.ok(b.Register.Withdraw(tu, false, person))
	a := b.Register.Audit()[0]
	if a.Controller != "messenger" || a.Size != 3 || a.Readable != 3 || a.Erased != 0 || a.Unsent != 1 || a.Waiting != 0 || a.Problem != nil {
		t.Errorf("audit %+v", a)
	}
	if c, err := ledger.OpenCheckpoint(a.Checkpoint, a.Key); err != nil || c.Origin != a.Origin || c.Size != 3 || c.Root != a.Root {
		t.Errorf("checkpoint %+v, %v", c, err)
	}
	file, err := os.ReadFile(b.ledger("messenger"))
	b.ok(err)
	for name, content := range map[string][]byte{
		"shortened": file[:len(file)-1], "changed": append(bytes.Clone(file[:len(file)-1]), file[len(file)-1]^1), "gone": nil,
	} {
		b.ok(os.Remove(b.ledger("messenger")))
		if content != nil {
			b.ok(os.WriteFile(b.ledger("messenger"), content, 0o600))
		}
		if a := b.Register.Audit()[0]; a.Problem == nil || a.Checkpoint != nil {
			t.Errorf("%s: %+v", name, a)
		}
		if _, err := b.Register.InclusionProof("messenger", 2); err == nil {
			t.Errorf("%s: proven", name)
		}
		b.ok(os.WriteFile(b.ledger("messenger"), file, 0o600))
	}
	if a := b.Register.Audit()[0]; a.Problem != nil {
		t.Errorf("put right again: %v", a.Problem)
	}
	b.ok(b.Register.Close())
	if _, err := b.Register.Checkpoint("messenger"); !errors.Is(err, consent.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
