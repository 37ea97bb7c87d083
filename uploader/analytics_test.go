package uploader

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// asking makes the house's first purpose one of the analytics lane.
func asking(t testing.TB, h *house) {
	t.Helper()
	c := &h.doc.Categories[0]
	c.Source, c.Fields[0].Type = policy.SourceApplication, policy.FieldInteger
	p := &c.Purposes[0]
	p.Lane, p.Collect = policy.LaneAnalytics, policy.Collect{Mode: policy.ModeSubmitted}
	p.Minimiser = policy.Minimiser{Name: policy.MinimiseCounts, Ranges: "1,10", Epsilon: 100, Budget: 1000, Delay: 6 * policy.Day}
	h.restart(t)
}

// queue makes an answer for each of the times, counted from now.
func (h *house) queue(t testing.TB, after ...time.Duration) {
	t.Helper()
	p := consenttest.PermitFrom(t, h.desk.Register, h.tuple)
	q := slices.Repeat(p.Effective().Questions(), len(after))
	made, err := minimise.Answers(p, nil, make([]byte, 32), q)
	if err != nil {
		t.Fatal(err)
	}
	now, i := time.Now(), -1
	if err := h.answers.Close(p, made, now, func() time.Time { i++; return now.Add(after[i]) }); err != nil {
		t.Fatal(err)
	}
	h.Kick()
}

const answerLine = "POST /v1/analytics"

// TestAnswersLeaveAlone: each at its own time, on a connection of its own, without a certificate, and with the same headers as
// everybody's; and not before the controller was asked, apart from that, whether this device was put back to an older state.
func TestAnswersLeaveAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{Slot: time.Hour})
		asking(t, h)
		stop := h.start(t)
		defer stop()
		id := h.give(t, h.tuple)
		begin := time.Now()
		dues := []time.Duration{time.Hour, 30 * time.Hour, 31 * time.Hour, 5 * policy.Day}
		h.queue(t, dues...)
		if got := h.state(LaneC, id); got.Waiting != 4 || !got.NextTry.Equal(begin.Add(time.Hour)) {
			t.Errorf("what waits: %+v", got)
		}
		time.Sleep(dues[0])
		synctest.Wait()
		question := h.far.got("GET /v1/consents/" + id.String())
		if len(question) != 1 || question[0].cert == nil || len(h.far.got(answerLine)) != 0 {
			t.Fatalf("%d questions, %d answers at the first time", len(question), len(h.far.got(answerLine)))
		}
		before := h.far.conns
		time.Sleep(6*policy.Day - dues[0])
		synctest.Wait()
		got := h.far.got(answerLine)
		if len(got) != len(dues) || h.far.conns-before != len(dues) || h.far.resumed {
			t.Fatalf("%d answers on %d connections, resumed %v", len(got), h.far.conns-before, h.far.resumed)
		}
		bodies := map[string]bool{}
		for i, r := range got {
			at := r.at.Sub(begin)
			if i > 0 && (at < dues[i] || at > dues[i]+time.Second) || i == 0 && (at < dues[0] || at > dues[0]+6*time.Hour) {
				t.Errorf("answer %d left after %s, want %s", i, at, dues[i])
			}
			if r.cert != nil || len(r.body) != wire.AnswerSize {
				t.Errorf("answer %d: certificate %v, %d bytes", i, r.cert != nil, len(r.body))
			}
			names := slices.Sorted(maps.Keys(r.header))
			if !slices.Equal(names, []string{"Connection", "Content-Length", "Content-Type", "User-Agent"}) || r.header.Get("User-Agent") != "scruple" {
				t.Errorf("answer %d: headers %v", i, r.header)
			}
			bodies[string(r.body)] = true
			if bytes.Contains(r.body, id[:]) {
				t.Error("an answer names its consent")
			}
		}
		if len(bodies) != len(dues) || len(h.answers.All()) != 0 {
			t.Errorf("%d different bodies, %d still wait", len(bodies), len(h.answers.All()))
		}
		entries, err := h.journal.List()
		if err != nil {
			t.Fatal(err)
		}
		recorded := 0
		for _, e := range entries {
			if e.Lane == journal.LaneC {
				body, err := h.journal.Body(e.ID)
				if err != nil || !bodies[string(body)] || e.Status != http.StatusNoContent {
					t.Errorf("%+v, %v", e, err)
				}
				recorded++
			}
		}
		if recorded != len(dues) {
			t.Errorf("the journal has %d of %d answers", recorded, len(dues))
		}
		if _, err := h.Flush(t.Context(), id); !errors.Is(err, ErrAtRandom) {
			t.Errorf("on demand: %v, want ErrAtRandom", err)
		}
		stop()
	})
}

// TestMissedAnswersAreSpread: what was due while the device was off does not leave together when it starts.
func TestMissedAnswersAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{})
		asking(t, h)
		h.give(t, h.tuple)
		const n = 20
		h.queue(t, make([]time.Duration, n)...)
		time.Sleep(policy.Day)
		stop := h.start(t)
		defer stop()
		started := time.Now()
		time.Sleep(13 * time.Hour)
		synctest.Wait()
		got := h.far.got(answerLine)
		if len(got) != n {
			t.Fatalf("%d answers", len(got))
		}
		at := map[time.Time]bool{}
		early := 0
		for _, r := range got {
			at[r.at] = true
			if r.at.Sub(started) < 3*time.Hour {
				early++
			}
		}
		if len(at) != n || early == n || early == 0 { // half of them on average: all or none once in a million times
			t.Errorf("%d instants for %d answers, %d of them within three hours", len(at), n, early)
		}
		stop()
	})
}

// TestWithdrawnAnswersNeverLeave, and neither do those whose controller does not answer the question about older states.
func TestWithdrawnAnswersNeverLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{})
		asking(t, h)
		stop := h.start(t)
		defer stop()
		h.give(t, h.tuple)
		h.queue(t, time.Hour, 2*policy.Day)
		h.far.set(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusBadGateway)
			return r.Method == http.MethodGet
		})
		time.Sleep(policy.Day)
		synctest.Wait()
		if n := len(h.far.got(answerLine)); n != 0 {
			t.Errorf("%d answers left unasked", n)
		}
		h.far.set(nil)
		if err := h.desk.Register.Withdraw(h.tuple, false, consenttest.Person); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * policy.Day)
		synctest.Wait()
		if n := len(h.far.got(answerLine)); n != 0 {
			t.Errorf("%d answers left after the withdrawal", n)
		}
		stop()
	})
}

// TestAnswersAreRepeatedOrDropped: the same bytes while the controller is in trouble, and not again when it refuses for good.
func TestAnswersAreRepeatedOrDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleHouse(t, Options{})
		asking(t, h)
		stop := h.start(t)
		defer stop()
		id := h.give(t, h.tuple)
		h.queue(t, time.Hour)
		h.far.refuse(answerLine, wire.ProblemSlowDown, map[string]string{"Retry-After": "86400"})
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		if got := h.far.got(answerLine); len(got) != 1 {
			t.Fatalf("%d tries within the time the controller asked for", len(got))
		}
		if s := h.state(LaneC, id); s.Waiting != 1 || !strings.Contains(s.LastError, "slow-down") {
			t.Errorf("state: %+v", s)
		}
		h.far.set(nil)
		time.Sleep(2 * policy.Day)
		synctest.Wait()
		got := h.far.got(answerLine)
		if len(got) != 2 || !bytes.Equal(got[0].body, got[1].body) || h.state(LaneC, id).LastError != "" {
			t.Fatalf("%d tries, state %+v", len(got), h.state(LaneC, id))
		}
		h.queue(t, time.Hour)
		h.far.refuse(answerLine, wire.ProblemPolicyMismatch, nil)
		time.Sleep(5 * policy.Day)
		synctest.Wait()
		if n := len(h.far.got(answerLine)); n != 3 || len(h.answers.All()) != 0 {
			t.Errorf("%d tries, %d wait, after a refusal for good", n, len(h.answers.All()))
		}
		stop()
	})
}

// alarm is a notices store that says whether a breach stops what goes to the controller.
type alarm struct{ err error }

func (alarm) After(policy.ControllerID) uint64                  { return 0 }
func (alarm) Take(policy.Controller, []wire.NoticeBundle) error { return nil }
func (alarm) Next(policy.ControllerID) time.Time                { return time.Now().Add(1000 * policy.Day) }
func (alarm) SetNext(policy.ControllerID, time.Time) error      { return nil }
func (a *alarm) Stopped(policy.ControllerID) error              { return a.err }

// TestBreachStopsAnswers until the person has decided.
func TestBreachStopsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breach := &alarm{errors.New("a breach was announced")}
		h := newBubbleHouse(t, Options{Notices: breach})
		asking(t, h)
		stop := h.start(t)
		defer stop()
		h.give(t, h.tuple)
		h.queue(t, time.Hour)
		time.Sleep(2 * policy.Day)
		synctest.Wait()
		if n := len(h.far.got(answerLine)); n != 0 {
			t.Errorf("%d answers left", n)
		}
		stop()
		breach.err = nil
		stop = h.start(t)
		defer stop()
		time.Sleep(2 * policy.Day)
		synctest.Wait()
		if n := len(h.far.got(answerLine)); n != 1 {
			t.Errorf("%d answers after the decision", n)
		}
		stop()
	})
}
