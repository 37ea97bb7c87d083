package answers

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var start = time.Unix(1_700_000_000, 0)

type desk struct {
	*consenttest.Desk
	tuple  policy.Tuple
	permit consent.Permit
	store  *Store
	dir    string
}

func setup(t testing.TB) *desk {
	t.Helper()
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{Desk: consenttest.Setup(t, doc), tuple: consenttest.Tuple(t, doc, "usage", "statistics"), dir: t.TempDir()}
	consenttest.Give(t, d.Register, d.tuple)
	d.permit = consenttest.PermitFrom(t, d.Register, d.tuple)
	d.open(t)
	return d
}

func (d *desk) open(t testing.TB) {
	t.Helper()
	s, err := Open(d.dir, d.Ring, func(wire.UUID) time.Duration { return 7 * policy.Day })
	if err != nil {
		t.Fatal(err)
	}
	d.store = s
}

func (d *desk) answers(t testing.TB, n int) []minimise.Answer {
	t.Helper()
	made, err := minimise.Answers(d.permit, nil, make([]byte, 32), minimise.Pick(d.permit.Effective().Questions(), n))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestPeriod: what is counted survives a restart; closing a period forgets the counts and queues the answers.
func TestPeriod(t *testing.T) {
	d := setup(t)
	for range 2 {
		if err := d.store.Add(d.permit, map[string]int64{"opened": 3, "moments-viewed": 1, "messages-sent": -5}, start); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.store.Add(d.permit, map[string]int64{"moments-viewed": 1 << 62}, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	d.open(t)
	id := d.permit.Consent()
	p, err := d.store.Period(id)
	if err != nil || !p.Begin.Equal(start) || p.Counts["opened"] != 6 || p.Counts["moments-viewed"] != MaxCount || p.Counts["messages-sent"] != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	made, later := d.answers(t, 2), start.Add(policy.Day)
	dues := []time.Time{start.Add(3 * policy.Day), start.Add(2 * policy.Day)}
	i := -1
	if err := d.store.Close(d.permit, made, later, func() time.Time { i++; return dues[i] }); err != nil {
		t.Fatal(err)
	}
	if p, err = d.store.Period(id); err != nil || !p.Begin.Equal(later) || len(p.Counts) != 0 {
		t.Errorf("after closing: %+v, %v", p, err)
	}
	d.open(t)
	all := d.store.All()
	if len(all) != 2 || !bytes.Equal(all[0].Body, made[1].Body()) || !all[0].Due.Equal(dues[1]) || all[0].Subtree != d.permit.Subtree() {
		t.Fatalf("%+v", all)
	}
	if err := d.store.Postpone(id, all[0].ID, start.Add(5*policy.Day)); err != nil {
		t.Fatal(err)
	}
	if err := d.store.Remove(id, all[1].ID); err != nil {
		t.Fatal(err)
	}
	if left := d.store.All(); len(left) != 1 || left[0].ID != all[0].ID || !left[0].Due.Equal(start.Add(5*policy.Day)) {
		t.Errorf("%+v", left)
	}
	d.store.Sweep(later.Add(7*policy.Day - time.Second))
	if n := len(d.store.All()); n != 1 {
		t.Errorf("swept too early: %d", n)
	}
	d.store.Sweep(later.Add(7 * policy.Day))
	if n := len(d.store.All()); n != 0 {
		t.Errorf("kept for longer than its retention: %d", n)
	}
}

// TestSealed: neither counts nor answers lie readable on the disk, and after a withdrawal nothing opens them.
func TestSealed(t *testing.T) {
	d := setup(t)
	id := d.permit.Consent()
	if err := d.store.Add(d.permit, map[string]int64{"moments-viewed": 77}, start); err != nil {
		t.Fatal(err)
	}
	if err := d.store.Close(d.permit, d.answers(t, 1), start, time.Now); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(d.store.files.Path(id))
	if err != nil || bytes.Contains(b, []byte("statistics")) || bytes.Contains(b, []byte("moments")) {
		t.Errorf("the file can be read: %v", err)
	}
	if err := d.Register.Withdraw(d.tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if n := len(d.store.All()); n != 0 {
		t.Errorf("%d answers after the withdrawal", n)
	}
	if _, err := d.store.Queue(id); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
	if err := d.store.Add(d.permit, map[string]int64{"opened": 1}, start); err == nil {
		t.Error("counted after the withdrawal")
	}
	d.open(t)
	if _, err := os.Stat(d.store.files.Path(id)); !os.IsNotExist(err) {
		t.Errorf("the file is still there after a start: %v", err)
	}
}

// TestDamage: a file that is damaged, or of another consent, is as if there were none.
func TestDamage(t *testing.T) {
	d := setup(t)
	id := d.permit.Consent()
	path := d.store.files.Path(id)
	if err := d.store.Close(d.permit, d.answers(t, 1), start, time.Now); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for name, b := range map[string][]byte{"flipped": flipped, "cut": good[:40], "empty": nil, "huge": make([]byte, sealing.Max+1)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if all := d.store.All(); len(all) != 0 {
			t.Errorf("%s: %+v", name, all)
		}
	}
	if err := d.store.Add(d.permit, map[string]int64{"opened": 1}, start); err != nil {
		t.Errorf("counting does not go on: %v", err)
	}
}

// TestBounded: a queue does not grow without end; the oldest answers go.
func TestBounded(t *testing.T) {
	d := setup(t)
	for range MaxQueue {
		if err := d.store.Close(d.permit, d.answers(t, 2), start, func() time.Time { return start }); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.store.All()); n != MaxQueue {
		t.Errorf("%d answers wait", n)
	}
}

func FuzzFile(f *testing.F) {
	d := setup(f)
	id := d.permit.Consent()
	if err := d.store.Close(d.permit, d.answers(f, 2), start, time.Now); err != nil {
		f.Fatal(err)
	}
	plain, err := d.store.files.Load(id)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		st, err := decode(plain)
		if err != nil && !errors.Is(err, sealed.ErrDamaged) {
			t.Fatal(err)
		}
		if len(st.Queue) > MaxQueue {
			t.Fatal("too many")
		}
	})
}
