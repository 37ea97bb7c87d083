package receiver

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// The analytics lane. What arrives is an answer that was exchanged at random on the device, on a connection without a client
// certificate. What is stored is how many answers of a question named which range in which week: no answer by itself, no address,
// no time finer than the week, in which every device answers: the day would say which devices were on. The ids by which a repetition is recognised stand in a table of their own, which says nothing of
// what they answered.

// answerIDsKept is for how many days after its week a repetition of a body is recognised; then it counts as another answer.
const answerIDsKept = 30

const schemaAnalytics = `
-- What was asked, so that the counts can be read whatever the policy says later. bounds: lower bounds, with commas.
CREATE TABLE IF NOT EXISTS questions (
	tag BLOB PRIMARY KEY, category TEXT NOT NULL, purpose TEXT NOT NULL, field TEXT NOT NULL, bounds TEXT NOT NULL, epsilon INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Counts of randomised answers. Days are since 1970, in UTC; day is the Monday of the week in which they came, until the day on
-- which the row goes.
CREATE TABLE IF NOT EXISTS answers (
	question BLOB NOT NULL, day INTEGER NOT NULL, range INTEGER NOT NULL, n INTEGER NOT NULL, until INTEGER NOT NULL,
	PRIMARY KEY (question, day, range)
) STRICT, WITHOUT ROWID;
-- Random, one a body; kept for a bounded time.
CREATE TABLE IF NOT EXISTS answer_ids (id BLOB PRIMARY KEY, day INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`

// asked is a question with how many days its answers are kept.
type asked struct {
	policy.Question
	kept int64
}

// questionsOf returns what the policies ask on behalf of a controller, by tag. Where two versions ask the same, the shorter
// retention holds.
func questionsOf(policies []*policy.Document, controller policy.ControllerID) map[policy.Tag]asked {
	all := map[policy.Tag]asked{}
	for _, doc := range policies {
		for _, t := range doc.Tuples("") {
			e, err := doc.Effective(t.Category, t.Purpose)
			if err != nil || e.Controller.ID != controller {
				continue
			}
			for _, q := range e.Questions() {
				kept := max(1, int64(e.Purpose.Kept.For/policy.Day))
				if before, ok := all[q.Tag()]; ok {
					kept = min(kept, before.kept)
				}
				all[q.Tag()] = asked{q, kept}
			}
		}
	}
	return all
}

func dayOf(t time.Time) int64 { return t.Unix() / 86400 }

// weekOf is the Monday of the week that t is in.
func weekOf(t time.Time) int64 { return dayOf(t) - (dayOf(t)+3)%7 }

// postAnswer: POST /v1/analytics
func (rv *Receiver) postAnswer(w http.ResponseWriter, r *http.Request, _ caller) (answer, error) {
	for _, name := range []string{"Cookie", "Authorization"} {
		if r.Header.Get(name) != "" {
			return answer{}, statusError{http.StatusBadRequest, "the request must not carry anything that identifies its sender"}
		}
	}
	body, err := readBody(w, r, wire.AnswerSize, "")
	if err != nil {
		return answer{}, err
	}
	a, err := wire.DecodeAnswer(body)
	if err != nil {
		return answer{}, refuse(wire.ProblemMalformed, "the body is not an answer of this schema")
	}
	q, ok := rv.questions[a.Question]
	if !ok || string(q.Category) != a.Category || string(q.Purpose) != a.Purpose || q.Field != a.Field {
		return answer{}, refuse(wire.ProblemPolicyMismatch, "the policy does not ask this")
	}
	if int(a.Range) >= q.Ranges() {
		return answer{}, refuse(wire.ProblemMalformed, "the question has no such range")
	}
	week := weekOf(rv.cfg.Now())
	err = rv.cfg.Store.update(r.Context(), func(tx *sql.Tx) error { return storeAnswer(tx, q, a, week) })
	if err != nil {
		return answer{}, err
	}
	w.WriteHeader(http.StatusNoContent)
	return answer{}, nil
}

func storeAnswer(tx queryer, q asked, a wire.Answer, week int64) error {
	fresh, err := changed(tx, "INSERT OR IGNORE INTO answer_ids (id, day) VALUES (?, ?)", a.ID[:], week)
	if err != nil || fresh == 0 { // it came before
		return err
	}
	bounds := policy.BoundsText(q.Bounds)
	if _, err := tx.Exec("INSERT OR IGNORE INTO questions (tag, category, purpose, field, bounds, epsilon) VALUES (?, ?, ?, ?, ?, ?)",
		a.Question[:], a.Category, a.Purpose, a.Field, string(bounds), int(q.Epsilon)); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO answers (question, day, range, n, until) VALUES (?, ?, ?, 1, ?)
		ON CONFLICT (question, day, range) DO UPDATE SET n = n + 1, until = min(until, excluded.until)`,
		a.Question[:], week, int(a.Range), week+q.kept)
	return err
}

// sweepAnswers forgets what was kept for long enough.
func (rv *Receiver) sweepAnswers(tx queryer, now time.Time) error {
	day := dayOf(now)
	for tag, q := range rv.questions {
		if _, err := tx.Exec("DELETE FROM answers WHERE question = ? AND day <= ?", tag[:], day-q.kept); err != nil {
			return err
		}
	}
	if _, err := tx.Exec("DELETE FROM answers WHERE until <= ?", day); err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM answer_ids WHERE day <= ?", day-6-answerIDsKept); err != nil {
		return err
	}
	_, err := tx.Exec("DELETE FROM questions WHERE tag NOT IN (SELECT question FROM answers)")
	return err
}

// Estimate is what the answers to one question say of those who answered, all of them together.
type Estimate struct {
	Category string          `json:"category"`
	Purpose  string          `json:"purpose"`
	Field    string          `json:"field"`
	Epsilon  string          `json:"epsilon"` // of one answer
	Answers  int             `json:"answers"`
	From     string          `json:"from"` // first and last day of the weeks of arrival, UTC
	To       string          `json:"to"`
	Ranges   []RangeEstimate `json:"ranges"`
}

// RangeEstimate is one range of a question.
type RangeEstimate struct {
	From int64  `json:"from"`         // lowest count
	To   *int64 `json:"to,omitempty"` // highest count; absent for the last range
	Told int    `json:"told"`         // answers that named it, true or not
	// Share is the estimated part of those who answered whose count is truly in the range. It is unbiased, and so can
	// lie outside 0 to 1. StandardError is of the noise that randomising adds, for answers of different devices.
	Share         float64 `json:"share"`
	StandardError float64 `json:"standard_error"`
}

// estimate undoes the randomising on average: with told/n the observed share of a range, keep the probability of the true range
// and other that of each other one, (told/n - other) / (keep - other) has the true share as its expectation (Kairouz, Bonawitz,
// Ramage 2016, section 2.3). Its variance is that of the observed share over (keep - other)^2.
func estimate(q policy.Question, told []int) []RangeEstimate {
	n := 0
	for _, t := range told {
		n += t
	}
	keep, other := q.Probabilities()
	list := make([]RangeEstimate, q.Ranges())
	for i := range list {
		r := RangeEstimate{Told: told[i]}
		if i > 0 {
			r.From = q.Bounds[i-1]
		}
		if i < len(q.Bounds) {
			to := q.Bounds[i] - 1
			r.To = &to
		}
		if n > 0 {
			seen := float64(told[i]) / float64(n)
			r.Share = (seen - other) / (keep - other)
			likely := min(max(seen, other), keep) // whatever is true, a range is told with a probability between these
			r.StandardError = math.Sqrt(likely*(1-likely)/float64(max(1, n-1))) / (keep - other)
		}
		list[i] = r
	}
	return list
}

// Estimates returns what the stored answers say, a question each, from the week of a day on (the zero time: all). It is recorded as an access.
func (s *Store) Estimates(ctx context.Context, since time.Time, who Accessor) ([]Estimate, error) {
	list := []Estimate{}
	err := s.update(ctx, func(tx *sql.Tx) error {
		if err := who.record(tx, "estimates of the analytics lane"); err != nil {
			return err
		}
		type row struct {
			tag      policy.Tag
			question policy.Question
		}
		rows, err := collect(tx, func(r *sql.Rows) (row, error) {
			var (
				one    row
				tag    []byte
				bounds string
				e      int
			)
			err := r.Scan(&tag, &one.question.Category, &one.question.Purpose, &one.question.Field, &bounds, &e)
			copy(one.tag[:], tag)
			one.question.Bounds, one.question.Epsilon = policy.Ranges(bounds).Bounds(), policy.Epsilon(e)
			return one, err
		}, "SELECT tag, category, purpose, field, bounds, epsilon FROM questions ORDER BY category, purpose, field, tag")
		if err != nil {
			return err
		}
		first := int64(math.MinInt64)
		if !since.IsZero() {
			first = weekOf(since)
		}
		for _, r := range rows {
			e, err := estimateOf(tx, r.tag, r.question, first)
			if err != nil {
				return err
			}
			if e.Answers > 0 {
				list = append(list, e)
			}
		}
		return nil
	})
	return list, err
}

var errStoredQuestion = errors.New("a stored question is damaged")

func estimateOf(tx queryer, tag policy.Tag, q policy.Question, first int64) (Estimate, error) {
	if len(q.Bounds) == 0 || q.Epsilon < policy.MinEpsilon {
		return Estimate{}, errStoredQuestion
	}
	told := make([]int, q.Ranges())
	e := Estimate{Category: string(q.Category), Purpose: string(q.Purpose), Field: q.Field, Epsilon: q.Epsilon.String()}
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	counts, err := collect(tx, func(r *sql.Rows) (c [3]int64, err error) {
		err = r.Scan(&c[0], &c[1], &c[2])
		return c, err
	}, "SELECT day, range, n FROM answers WHERE question = ? AND day >= ?", tag[:], first)
	if err != nil {
		return Estimate{}, err
	}
	for _, c := range counts {
		if c[1] < 0 || c[1] >= int64(len(told)) || c[2] < 0 {
			return Estimate{}, errStoredQuestion
		}
		told[c[1]] += int(c[2])
		e.Answers += int(c[2])
		from, to = min(from, c[0]), max(to, c[0]+6)
	}
	if e.Answers > 0 {
		e.From = time.Unix(from*86400, 0).UTC().Format(time.DateOnly)
		e.To = time.Unix(to*86400, 0).UTC().Format(time.DateOnly)
	}
	e.Ranges = estimate(q, told)
	return e, nil
}
