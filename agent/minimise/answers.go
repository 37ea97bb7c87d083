package minimise

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/steps"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Answer is what may leave on the analytics lane: the body of one answer, already exchanged at random. Like a Report it is made in
// this package only. The consent and the subtree are beside the body, for the device's own checks, and not in it.
type Answer struct {
	consent wire.UUID
	subtree wire.Hash
	body    []byte
}

// Consent returns the consent the answer was made under.
func (a Answer) Consent() wire.UUID { return a.consent }

// Subtree returns the policy subtree the answer was made under.
func (a Answer) Subtree() wire.Hash { return a.subtree }

// Body returns what is sent, wire.AnswerSize bytes. The caller must not change it.
func (a Answer) Body() []byte { return a.body }

var errNoQuestion = errors.New("the policy does not ask this")

// Answers makes one body for each of the questions, which have to be of the permit's purpose. values holds by field what is
// true: a count, or for the minimiser of ranges the range itself; a field that is missing counts as 0.
//
// What leaves is a permanent randomised response (Erlingsson, Pihur, Korolova: RAPPOR, 2014, section 3), drawn by a PRF of
// memo (32 bytes) from the question and the true range: the same truth always gets the same answer, so that repetition cannot be
// averaged. Over the draw of the secret each answer is epsilon-differentially private (policy.Question.Keep).
func Answers(p consent.Permit, values map[string]int64, memo []byte, questions []policy.Question) ([]Answer, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("minimise: %w", err)
	}
	e := p.Effective()
	asked := map[policy.Tag]bool{}
	for _, q := range e.Questions() {
		asked[q.Tag()] = true
	}
	var made []Answer
	for _, q := range questions {
		if !asked[q.Tag()] {
			return nil, fmt.Errorf("minimise %s: %w", p.Tuple(), errNoQuestion)
		}
		truth := int(values[q.Field])
		if e.Purpose.Minimiser.Name == policy.MinimiseCounts {
			truth = q.Range(values[q.Field])
		}
		truth = min(max(truth, 0), q.Ranges()-1)
		told, err := respond(q, truth, memo)
		if err != nil {
			return nil, fmt.Errorf("minimise %s: %w", p.Tuple(), err)
		}
		body, err := wire.EncodeAnswer(wire.Answer{
			Version: wire.AnswerVersion, ID: wire.NewUUID(), Category: string(q.Category), Purpose: string(q.Purpose), Field: q.Field,
			Question: q.Tag(), Range: uint(told),
		})
		if err != nil {
			return nil, fmt.Errorf("minimise %s: %w", p.Tuple(), err)
		}
		made = append(made, Answer{p.Consent(), p.Subtree(), body})
	}
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("minimise: %w", err)
	}
	return made, nil
}

// respond returns the permanent answer to a question for a true range.
func respond(q policy.Question, truth int, memo []byte) (int, error) {
	key, err := hkdf.Key(sha256.New, memo, nil, "scruple/analytics/answers/1", sha256.Size)
	if err != nil {
		return 0, err
	}
	defer clear(key)
	tag := q.Tag()
	for round := uint64(0); ; round++ {
		mac := hmac.New(sha256.New, key)
		mac.Write(tag[:])
		mac.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(truth)), round))
		draw := mac.Sum(nil)
		if binary.BigEndian.Uint64(draw)>>11 < q.Keep() {
			return truth, nil
		}
		// One of the others, each exactly as likely: what does not divide evenly is drawn again.
		others := uint64(q.Ranges() - 1)
		for b := draw[8:]; len(b) >= 8; b = b[8:] {
			if n := binary.BigEndian.Uint64(b); n < math.MaxUint64/others*others {
				other := int(n % others)
				if other >= truth {
					other++
				}
				return other, nil
			}
		}
	}
}

// Pick returns n of the questions, each choice as likely: which are answered says nothing about the answers.
func Pick(questions []policy.Question, n int) []policy.Question {
	all := append([]policy.Question(nil), questions...)
	n = min(n, len(all))
	for i := range n {
		j, err := rand.Int(rand.Reader, big.NewInt(int64(len(all)-i)))
		if err != nil { // the system's generator does not fail
			panic(err)
		}
		k := i + int(j.Int64())
		all[i], all[k] = all[k], all[i]
	}
	return all[:n]
}

// StepRange turns counter readings into the range that the total of a whole local day falls in. The day of its first reading is
// not a whole one. The zero value is ready; the total never leaves it.
type StepRange struct {
	sensors.Raw
	begun, whole bool
	last         uint64
	day          time.Time
	total        uint64
}

// Add takes in one reading. When a new day has begun and the one before was counted from its start, it returns the range of that one.
// Nothing stays of a reading whose consent has ended meanwhile.
func (s *StepRange) Add(p consent.Permit, reading steps.Sample) (r int, done bool, err error) {
	if err := p.Check(); err != nil {
		return 0, false, fmt.Errorf("minimise steps: %w", err)
	}
	today := day(reading.Time)
	if s.begun && today.After(s.day) {
		if s.whole {
			if r, err = s.SoFar(p); err != nil {
				return 0, false, err
			}
			done = true
		}
		s.whole, s.total = true, 0
	}
	switch {
	case !s.begun:
		s.begun = true
	case reading.Counter >= s.last:
		s.total += reading.Counter - s.last
	default: // the counter began again at 0
		s.total += reading.Counter
	}
	s.last, s.day = reading.Counter, today
	return r, done, nil
}

// SoFar returns the range of what was counted of the present day.
func (s *StepRange) SoFar(p consent.Permit) (int, error) {
	e, err := begin(p, policy.MinimiseBuckets)
	if err != nil {
		return 0, err
	}
	questions := e.Questions()
	if len(questions) == 0 {
		return 0, fmt.Errorf("minimise %s: %w", p.Tuple(), errNoQuestion)
	}
	return questions[0].Range(int64(min(s.total, 1<<40))), nil
}
