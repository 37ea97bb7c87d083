package keyring

import (
	"bytes"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
)

// TestBudgetIsNotRenewed but by a new week: neither a restart nor a clock set back gives anything back, and the secret of the
// permanent answers stays the same.
func TestBudgetIsNotRenewed(t *testing.T) {
	dir, key := t.TempDir(), bytes.Repeat([]byte{7}, KeySize)
	open := func() *Ring {
		t.Helper()
		r, err := Open(dir, key)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const week = 7 * 86400
	monday := int64(4*86400) + 2900*week
	q := policy.Question{Controller: "shop", Category: "usage", Purpose: "statistics", Epsilon: 100}
	r := open()
	memo, err := r.Memo()
	if err != nil || len(memo) != KeySize {
		t.Fatal(memo, err)
	}
	spend := func(wanted int, now int64) int {
		t.Helper()
		n, err := r.Spend(q, 250, wanted, now)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := spend(1, monday); n != 1 {
		t.Errorf("the first answer: %d", n)
	}
	if n := spend(9, monday+week-1); n != 1 {
		t.Errorf("on Sunday: %d, want the one that is left", n)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open()
	defer r.Close()
	if again, err := r.Memo(); !bytes.Equal(again, memo) || err != nil {
		t.Error("the secret of the answers did not outlive a restart", err)
	}
	if n := spend(9, monday+week-1); n != 0 {
		t.Errorf("after a restart: %d", n)
	}
	if n := spend(9, monday+week); n != 2 {
		t.Errorf("on Monday: %d", n)
	}
	for _, back := range []int64{0, monday, monday - 10*week} {
		if n := spend(9, back); n != 0 {
			t.Errorf("with the clock set back: %d", n)
		}
	}
	if err := r.Update(func(s *State) error { s.HighWater = monday + 5*week; return nil }); err != nil {
		t.Fatal(err)
	}
	if spent, at := r.Budget("shop", "usage", "statistics", 0); spent != 0 || at != 2905 {
		t.Errorf("a week counts by the latest time that was seen: %d in week %d", spent, at)
	}
	other := q
	other.Controller = "payments"
	if n, err := r.Spend(other, 250, 9, monday); n != 2 || err != nil {
		t.Errorf("another controller has its own budget: %d, %v", n, err)
	}
	if n, err := r.Spend(q, 50, 1, monday+20*week); n != 0 || err != nil {
		t.Errorf("a budget below one answer: %d, %v", n, err)
	}
}
