package receiver_test

import (
	"bytes"
	"crypto/tls"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// nameless is a client without a certificate.
func nameless(t testing.TB, r *receivertest.Receiver) *http.Client {
	t.Helper()
	cfg := r.Client(t, "usage", "statistics").HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.Certificates = nil
	tr := &http.Transport{TLSClientConfig: cfg}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func postAnswer(t testing.TB, c *http.Client, r *receivertest.Receiver, body []byte, header ...string) receivertest.Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/v1/analytics", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/cbor")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(resp.Body)
	return receivertest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: b.Bytes()}
}

func question(t testing.TB, r *receivertest.Receiver, field string) policy.Question {
	t.Helper()
	e, err := r.Policy.Effective("usage", "statistics")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range e.Questions() {
		if q.Field == field {
			return q
		}
	}
	t.Fatalf("no question about %s", field)
	return policy.Question{}
}

func answerTo(q policy.Question, told uint) wire.Answer {
	return wire.Answer{
		Version: 1, ID: wire.NewUUID(), Category: string(q.Category), Purpose: string(q.Purpose), Field: q.Field, Question: q.Tag(), Range: told,
	}
}

func encoded(t testing.TB, a wire.Answer) []byte {
	t.Helper()
	b, err := wire.EncodeAnswer(a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func estimates(t testing.TB, r *receivertest.Receiver) []receiver.Estimate {
	t.Helper()
	list, err := r.Store.Estimates(t.Context(), time.Time{}, receiver.Accessor{Who: "test", Command: "analytics", Now: r.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestAnswersAreCounted: once each, whatever the repetitions, without a body in the answer or anything that names the sender.
func TestAnswersAreCounted(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c, q := nameless(t, r), question(t, r, "opened")
	one := encoded(t, answerTo(q, 2))
	for range 3 {
		a := postAnswer(t, c, r, one)
		if a.Status != http.StatusNoContent || len(a.Body) != 0 || len(a.Header["Set-Cookie"])+len(a.Header["Etag"]) != 0 {
			t.Errorf("got %d %q %v", a.Status, a.Body, a.Header)
		}
	}
	if a := postAnswer(t, c, r, encoded(t, answerTo(q, 0))); a.Status != http.StatusNoContent {
		t.Errorf("got %d", a.Status)
	}
	list := estimates(t, r)
	if len(list) != 1 || list[0].Answers != 2 || list[0].Ranges[2].Told != 1 || list[0].Ranges[0].Told != 1 || list[0].Field != "opened" || list[0].Epsilon != "1" {
		t.Errorf("%+v", list)
	}
}

// TestAnswersAreStoredByWeek: the day of an answer would say that its device was on.
func TestAnswersAreStoredByWeek(t *testing.T) {
	clock := receivertest.NewClock()
	monday := time.Unix(4*86400, 0).Add((clock.Now().Sub(time.Unix(4*86400, 0))/(7*policy.Day) + 1) * 7 * policy.Day).UTC()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	c, q := nameless(t, r), question(t, r, "opened")
	for _, after := range []time.Duration{0, 30 * time.Hour, 7*policy.Day - time.Second} {
		clock.Advance(monday.Add(after).Sub(clock.Now()))
		if a := postAnswer(t, c, r, encoded(t, answerTo(q, 1))); a.Status != http.StatusNoContent {
			t.Fatalf("status %d", a.Status)
		}
		list := estimates(t, r)
		if len(list) != 1 || list[0].From != monday.Format(time.DateOnly) || list[0].To != monday.Add(6*policy.Day).Format(time.DateOnly) {
			t.Errorf("%s after Monday %s: %+v", after, monday.Format(time.DateOnly), list)
		}
	}
	if list := estimates(t, r); list[0].Answers != 3 {
		t.Errorf("%d answers", list[0].Answers)
	}
}

func TestBadAnswersAreRefused(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c, q := nameless(t, r), question(t, r, "opened")
	good := encoded(t, answerTo(q, 2))
	wrong := answerTo(q, 2)
	wrong.Field = "messages-sent"
	other := answerTo(q, 2)
	other.Question[0] ^= 1
	for name, tc := range map[string]struct {
		body   []byte
		header []string
		status int
		want   wire.ProblemType
	}{
		"empty":                {nil, nil, 400, wire.ProblemMalformed},
		"short":                {good[:100], nil, 400, wire.ProblemMalformed},
		"long":                 {append(bytes.Clone(good), 0), nil, 413, wire.ProblemTooLarge},
		"huge":                 {make([]byte, 1<<20), nil, 413, wire.ProblemTooLarge},
		"no such range":        {encoded(t, answerTo(q, 4)), nil, 400, wire.ProblemMalformed},
		"another field":        {encoded(t, wrong), nil, wire.ProblemPolicyMismatch.Status(), wire.ProblemPolicyMismatch},
		"a question not asked": {encoded(t, other), nil, wire.ProblemPolicyMismatch.Status(), wire.ProblemPolicyMismatch},
		"a cookie":             {good, []string{"Cookie", "id=1"}, 400, ""},
		"an authorisation":     {good, []string{"Authorization", "Bearer x"}, 400, ""},
		"JSON":                 {good, []string{"Content-Type", "application/json"}, 415, ""},
		"compressed":           {good, []string{"Content-Encoding", "zstd"}, 415, ""},
	} {
		if a := postAnswer(t, c, r, tc.body, tc.header...); a.Status != tc.status || a.Problem() != tc.want {
			t.Errorf("%s: got %d %q, want %d %q", name, a.Status, a.Problem(), tc.status, tc.want)
		}
	}
	named := r.Client(t, "usage", "statistics")
	if a := named.Do(t.Context(), http.MethodPost, "/v1/analytics", good, ""); a.Status != http.StatusBadRequest {
		t.Errorf("with a client certificate: status %d, want 400", a.Status)
	}
	if list := estimates(t, r); len(list) != 0 {
		t.Errorf("counted: %+v", list)
	}
}

// TestFloodOfAnswers: all senders share one rate, and nothing is kept about who they are.
func TestFloodOfAnswers(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{
		Clock: receivertest.NewClock(), Limits: receiver.Limits{Analytics: receiver.Rate{Burst: 2, Every: time.Minute}},
	})
	q := question(t, r, "opened")
	for i, want := range []int{204, 204, 429} {
		if a := postAnswer(t, nameless(t, r), r, encoded(t, answerTo(q, 1))); a.Status != want {
			t.Errorf("answer %d: status %d, want %d", i+1, a.Status, want)
		}
	}
}

// TestAnswersAreForgotten: counts go with the policy's retention, and ids after a month.
func TestAnswersAreForgotten(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock})
	c, q := nameless(t, r), question(t, r, "opened")
	body := encoded(t, answerTo(q, 1))
	send := func(wantAnswers int) {
		t.Helper()
		if a := postAnswer(t, c, r, body); a.Status != http.StatusNoContent {
			t.Fatalf("status %d", a.Status)
		}
		list := estimates(t, r)
		if n := len(list); n != 1 || list[0].Answers != wantAnswers {
			t.Errorf("%+v, want %d answers", list, wantAnswers)
		}
	}
	send(1)
	clock.Advance(29 * policy.Day)
	if _, err := r.Receiver.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	send(1)
	clock.Advance(8 * policy.Day)
	if _, err := r.Receiver.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	send(2) // the repetition is no longer recognised
	clock.Advance(91 * policy.Day)
	if _, err := r.Receiver.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := estimates(t, r); len(list) != 0 {
		t.Errorf("kept for longer than the policy says: %+v", list)
	}
}

// TestEstimatorIsUnbiased twice: its expectation over the exact probabilities is the truth, and over repeated draws its error has
// the standard error that it reports.
func TestEstimatorIsUnbiased(t *testing.T) {
	for _, q := range []policy.Question{
		{Epsilon: 100, Bounds: []int64{1, 10, 100}}, {Epsilon: 200, Bounds: []int64{1, 2, 3, 4, 5, 6, 7}}, {Epsilon: 50, Bounds: []int64{1}},
	} {
		keep, other := q.Probabilities()
		// The estimate is linear in the counts: that of the expected counts is the expected estimate.
		const n = 1 << 30
		truth, told := make([]float64, q.Ranges()), make([]int, q.Ranges())
		left := 1.0
		for i := range truth {
			truth[i] = left / 2
			if i == len(truth)-1 {
				truth[i] = left
			}
			left -= truth[i]
		}
		for i := range told {
			told[i] = int(math.Round(n * (truth[i]*keep + (1-truth[i])*other)))
		}
		for i, r := range receiver.EstimateOf(q, told) {
			if math.Abs(r.Share-truth[i]) > 1e-6 {
				t.Errorf("epsilon %s, range %d: expected estimate %.9f, truth %.9f", q.Epsilon, i, r.Share, truth[i])
			}
		}
		random := rand.New(rand.NewPCG(7, uint64(q.Epsilon)))
		const rounds, devices = 400, 1000
		mean, square, reported := 0.0, 0.0, 0.0
		for range rounds {
			told := make([]int, q.Ranges())
			for d := range devices {
				answer := 0
				if d >= devices*3/10 { // 30 % are truly in range 0
					answer = 1
				}
				if random.Float64() >= keep {
					answer = (answer + 1 + random.IntN(q.Ranges()-1)) % q.Ranges()
				}
				told[answer]++
			}
			r := receiver.EstimateOf(q, told)[0]
			mean += r.Share / rounds
			square += (r.Share - 0.3) * (r.Share - 0.3) / rounds
			reported += r.StandardError / rounds
		}
		actual := math.Sqrt(square)
		if math.Abs(mean-0.3) > 4*actual/math.Sqrt(rounds) {
			t.Errorf("epsilon %s: the mean of %d estimates is %.4f, want 0.3", q.Epsilon, rounds, mean)
		}
		// With every device's truth fixed the error is that of the noise alone, a little less than what is reported, which counts the
		// devices as a sample as well.
		if ratio := actual / reported; ratio < 0.75 || ratio > 1.15 {
			t.Errorf("epsilon %s: the error is %.4f, reported %.4f", q.Epsilon, actual, reported)
		}
	}
}

// TestResumptionIsOff: no session ticket links two connections, even for a client that would keep one.
func TestResumptionIsOff(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	cfg := r.Client(t, "usage", "statistics").HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.Certificates, cfg.ClientSessionCache = nil, tls.NewLRUClientSessionCache(4)
	for range 2 {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(r.URL, "https://"), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if conn.ConnectionState().DidResume {
			t.Error("a session was resumed")
		}
		conn.Close()
	}
}
