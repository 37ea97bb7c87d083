package policy

import (
	"crypto/sha256"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Ranges are the lower bounds of the second and every further range that a count can fall in, rising, as decimal numbers with a comma
// between them: "1,10,100" makes the ranges 0, 1-9, 10-99, and 100 or more.
type Ranges string

// MaxRanges is the largest number of ranges of a question.
const MaxRanges = 64

// StepsRange is the number of steps a day at which the last range of MinimiseBuckets begins at the latest: the ranges
// below it are equally wide.
const StepsRange = 20_000

// Bounds returns the numbers; nil where the text is not what the parser made.
func (r Ranges) Bounds() []int64 {
	if r == "" {
		return nil
	}
	var bounds []int64
	for _, s := range strings.Split(string(r), ",") {
		n, err := strconv.ParseInt(s, 10, 64)
		if strconv.FormatInt(n, 10) != s || err != nil || n < 1 || len(bounds) > 0 && n <= bounds[len(bounds)-1] {
			return nil
		}
		bounds = append(bounds, n)
	}
	return bounds
}

// BoundsText returns the Ranges with these bounds.
func BoundsText(bounds []int64) Ranges {
	texts := make([]string, len(bounds))
	for i, b := range bounds {
		texts[i] = strconv.FormatInt(b, 10)
	}
	return Ranges(strings.Join(texts, ","))
}

// Epsilon is a privacy-loss parameter of differential privacy, in hundredths.
type Epsilon int

// The bounds of an Epsilon in a policy. At 4 an answer of 8 ranges is true with 89 %; above that it hides hardly anything.
const (
	MinEpsilon Epsilon = 10
	MaxEpsilon Epsilon = 400
	MaxBudget  Epsilon = 2000
)

var errEpsilon = errors.New("not a decimal number with at most two places")

// ParseEpsilon reads a decimal number with at most two places, such as "1" or "0.75".
func ParseEpsilon(s string) (Epsilon, error) {
	whole, part, found := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole, 10, 16)
	if err != nil || found && (part == "" || len(part) > 2) {
		return 0, errEpsilon
	}
	hundredths := uint64(0)
	if found {
		if hundredths, err = strconv.ParseUint((part + "0")[:2], 10, 8); err != nil {
			return 0, errEpsilon
		}
	}
	return Epsilon(n*100 + hundredths), nil
}

// Float returns the number itself.
func (e Epsilon) Float() float64 { return float64(e) / 100 }

// String returns what ParseEpsilon reads.
func (e Epsilon) String() string { return strconv.FormatFloat(e.Float(), 'f', -1, 64) }

// Question is what one body of the analytics lane answers: in which range a count falls. Both ends derive it from the policy,
// so that they mean the same by a number. The answer is exchanged at random before it leaves, by k-ary randomised response:
// with the probability Keep it is the true range, otherwise one of the others, each as likely (Kairouz, Bonawitz, Ramage:
// Discrete distribution estimation under local privacy, 2016, section 2; for two ranges Warner 1965).
type Question struct {
	Controller ControllerID
	Category   CategoryID
	Purpose    PurposeID
	Field      string
	Bounds     []int64 // lower bounds of all ranges but the first
	Epsilon    Epsilon
}

// Tag names a question with all its parameters: the same for everybody whose policy asks the same, whatever else it says.
type Tag [8]byte

// Questions returns what a purpose of the analytics lane asks, a question for each of its fields; nil for any other.
func (e Effective) Questions() []Question {
	m := e.Purpose.Minimiser
	var bounds []int64
	switch {
	case e.Purpose.Lane != LaneAnalytics || m.Epsilon < MinEpsilon:
		return nil
	case m.Name == MinimiseCounts:
		bounds = m.Ranges.Bounds()
	case m.Name == MinimiseBuckets:
		for i := range m.Buckets - 1 {
			bounds = append(bounds, int64((i+1)*StepsRange/m.Buckets))
		}
	}
	if len(bounds) == 0 {
		return nil
	}
	var all []Question
	for _, f := range e.Fields() {
		all = append(all, Question{
			Controller: e.Controller.ID, Category: e.Category.ID, Purpose: e.Purpose.ID, Field: f.Name, Bounds: bounds, Epsilon: m.Epsilon,
		})
	}
	return all
}

// Ranges is how many ranges there are, 2 or more.
func (q Question) Ranges() int { return len(q.Bounds) + 1 }

// Range returns the range that a count falls in, from 0.
func (q Question) Range(count int64) int {
	i, found := slices.BinarySearch(q.Bounds, count)
	if found {
		i++
	}
	return i
}

// Tag returns the question's tag.
func (q Question) Tag() Tag {
	text := "scruple/question/1\n" + strings.Join([]string{string(q.Controller), string(q.Category), string(q.Purpose), q.Field, q.Epsilon.String()}, "\n")
	for _, b := range q.Bounds {
		text += "\n" + strconv.FormatInt(b, 10)
	}
	sum := sha256.Sum256([]byte(text))
	return Tag(sum[:8])
}

// KeepScale is the denominator of Keep's numerator.
const KeepScale = 1 << 53

// Keep returns the probability that an answer is the true range, as a numerator over KeepScale: e^epsilon / (e^epsilon + k - 1) for k
// ranges, rounded down by a hair, so that the true range is never more than e^epsilon times as likely as any other.
func (q Question) Keep() uint64 {
	e := math.Exp(q.Epsilon.Float())
	return uint64(math.Floor(e/(e+float64(len(q.Bounds)))*KeepScale)) - 8
}

// Probabilities returns that of the true range and that of each other one.
func (q Question) Probabilities() (keep, other float64) {
	keep = float64(q.Keep()) / KeepScale
	return keep, (1 - keep) / float64(len(q.Bounds))
}
