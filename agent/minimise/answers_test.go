package minimise

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors/steps"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// secretNo is the secret of the nth of many devices.
func secretNo(n int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 24), uint64(n)) }

func rangeOf(t testing.TB, a Answer) int {
	t.Helper()
	w, err := wire.DecodeAnswer(a.Body())
	if err != nil {
		t.Fatal(err)
	}
	return int(w.Range)
}

// TestAnswersSayNothingElse: a body holds what was asked, a range and a random id; not the consent, not the subtree, no time.
func TestAnswersSayNothingElse(t *testing.T) {
	p := permit(t, "usage", "statistics")
	questions := p.Effective().Questions()
	made, err := Answers(p, map[string]int64{"opened": 12}, secretNo(1), questions)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 6 {
		t.Fatalf("%d answers", len(made))
	}
	ids := map[wire.UUID]bool{}
	for i, a := range made {
		w, err := wire.DecodeAnswer(a.Body())
		if err != nil {
			t.Fatal(err)
		}
		ids[w.ID] = true
		want := wire.Answer{
			Version: 1, ID: w.ID, Category: "usage", Purpose: "statistics", Field: questions[i].Field, Question: questions[i].Tag(), Range: w.Range,
		}
		if w != want || int(w.Range) >= questions[i].Ranges() {
			t.Errorf("got %+v", w)
		}
		id, subtree := p.Consent(), p.Subtree()
		if bytes.Contains(a.Body(), id[:]) || bytes.Contains(a.Body(), subtree[:8]) || a.Consent() != id || a.Subtree() != subtree {
			t.Error("the body names the consent")
		}
	}
	if len(ids) != len(made) {
		t.Error("two bodies have one id")
	}
}

// TestAnswersArePermanent: the same truth has the same answer however often it is asked, and another device, another field or another
// truth its own draw.
func TestAnswersArePermanent(t *testing.T) {
	p := permit(t, "usage", "statistics")
	again := permit(t, "usage", "statistics") // after a withdrawal and a new consent
	q := p.Effective().Questions()[:1]
	differ := 0
	for n := range 200 {
		first, err := Answers(p, map[string]int64{q[0].Field: 12}, secretNo(n), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, count := range []int64{12, 10, 99} { // one range
			other, err := Answers(again, map[string]int64{q[0].Field: count}, secretNo(n), q)
			if err != nil || rangeOf(t, other[0]) != rangeOf(t, first[0]) {
				t.Fatalf("device %d: another answer to the same truth, %v", n, err)
			}
		}
		other, err := Answers(p, map[string]int64{q[0].Field: 12}, secretNo(n+1000), q)
		if err != nil {
			t.Fatal(err)
		}
		if rangeOf(t, other[0]) != rangeOf(t, first[0]) {
			differ++
		}
	}
	if differ < 80 { // 4 ranges at epsilon 1: two draws differ with 1 - 0.475^2 - 3 * 0.175^2 = 68 %
		t.Errorf("the answers of %d of 200 pairs of devices differ", differ)
	}
}

// TestAnswersHaveTheDeclaredProbabilities compares many draws, over secrets, with the channel; chi-squared at 1 in 10^6.
func TestAnswersHaveTheDeclaredProbabilities(t *testing.T) {
	const draws = 20_000
	for _, q := range []policy.Question{
		{Controller: "c", Category: "a", Purpose: "p", Field: "f", Epsilon: 100, Bounds: []int64{1}},
		{Controller: "c", Category: "a", Purpose: "p", Field: "f", Epsilon: 200, Bounds: []int64{1, 2, 3, 4, 5, 6, 7}},
	} {
		for truth := range q.Ranges() {
			seen := make([]float64, q.Ranges())
			for n := range draws {
				r, err := respond(q, truth, secretNo(n))
				if err != nil {
					t.Fatal(err)
				}
				seen[r]++
			}
			keep, other := q.Probabilities()
			chi := 0.0
			for r, n := range seen {
				want := other * draws
				if r == truth {
					want = keep * draws
				}
				chi += (n - want) * (n - want) / want
			}
			if chi > 41 { // 7 degrees of freedom: 1 in 10^6 is at 40.5; for 1 it is at 24
				t.Errorf("%d ranges, truth %d: chi-squared %.1f, %v", q.Ranges(), truth, chi, seen)
			}
		}
	}
}

func TestAnswersAreOnlyToWhatIsAsked(t *testing.T) {
	p := permit(t, "usage", "statistics")
	q := p.Effective().Questions()[0]
	q.Epsilon = policy.MaxEpsilon
	if made, err := Answers(p, nil, secretNo(1), []policy.Question{q}); err == nil || made != nil {
		t.Errorf("answered a question that the policy does not ask: %v", err)
	}
	if _, err := Answers(permit(t, "device", "service"), nil, secretNo(1), p.Effective().Questions()); err == nil {
		t.Error("answered under another purpose's permit")
	}
}

func TestPick(t *testing.T) {
	all := permit(t, "usage", "statistics").Effective().Questions()
	seen := map[string]int{}
	for range 1000 {
		two := Pick(all, 2)
		if len(two) != 2 || two[0].Field == two[1].Field {
			t.Fatalf("%+v", two)
		}
		seen[two[0].Field]++
		seen[two[1].Field]++
	}
	for _, q := range all {
		if n := seen[q.Field]; math.Abs(float64(n)-2000.0/6) > 120 { // 7 standard deviations
			t.Errorf("%s was picked %d times of 2000", q.Field, n)
		}
	}
	if len(Pick(all, 99)) != len(all) || all[0].Field != "opened" {
		t.Error("picking all of them")
	}
}

// TestStepRange: only whole days count, and only in which range they are is told.
func TestStepRange(t *testing.T) {
	p := permit(t, "steps", "statistics")
	var s StepRange
	at := time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC)
	add := func(after time.Duration, counter uint64, wantRange int, wantDone bool) {
		t.Helper()
		r, done, err := s.Add(p, steps.Sample{Time: at.Add(after), Counter: counter})
		if err != nil || done != wantDone || r != wantRange {
			t.Errorf("after %s: range %d, %v, %v; want %d, %v", after, r, done, err, wantRange, wantDone)
		}
	}
	add(0, 500_000, 0, false)           // taken before: not counted
	add(8*time.Hour, 503_000, 0, false) // a part of a day
	add(10*time.Hour, 503_100, 0, false)
	add(20*time.Hour, 506_000, 0, false)
	add(21*time.Hour, 100, 0, false) // a reboot
	if r, err := s.SoFar(p); err != nil || r != 1 {
		t.Errorf("so far %d, %v", r, err)
	}
	add(33*time.Hour+time.Minute, 5_000, 1, true) // 3,100 on the whole day
	if _, err := s.SoFar(permit(t, "steps", "compare")); err == nil {
		t.Error("told under another purpose's permit")
	}
}
