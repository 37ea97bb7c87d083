package wire

import (
	"fmt"
	"slices"
)

// AnswerSize is the length in bytes of every body of the analytics lane.
const AnswerSize = 512

// AnswerVersion is the schema version of Answer.
const AnswerVersion = 1

// maxAnswerWord is the longest category, purpose or field name in an answer, in bytes.
const maxAnswerWord = 64

// Answer is what leaves in one request of lane C: in which range one count falls, exchanged at random. It says what was asked
// and nothing of who answers or when: no consent, no policy subtree, no time, no signature.
type Answer struct {
	Version uint `cbor:"1,keyasint"` // 1
	// ID is random, drawn for this one body: a repetition of the same body is recognised by it for a while.
	ID       UUID   `cbor:"2,keyasint"`
	Category string `cbor:"3,keyasint"`
	Purpose  string `cbor:"4,keyasint"`
	Field    string `cbor:"5,keyasint"`
	// Question is the tag of the question with its ranges and its noise, 8 bytes, the same for everybody who is asked the same.
	Question [8]byte `cbor:"6,keyasint"`
	Range    uint    `cbor:"7,keyasint"` // from 0
}

// answerBody is an answer as it is sent.
type answerBody struct {
	Answer
	Padding []byte `cbor:"8,keyasint"` // zeros
}

// EncodeAnswer returns the body, AnswerSize bytes long. ErrMalformed for an answer that DecodeAnswer would refuse.
func EncodeAnswer(a Answer) ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	// The length of the padding is itself encoded in one to three bytes, so it is found by trying.
	bare, err := Marshal(answerBody{a, []byte{}})
	if err != nil {
		return nil, err
	}
	for n := AnswerSize - len(bare); n > 0 && n > AnswerSize-len(bare)-3; n-- {
		body, err := Marshal(answerBody{a, make([]byte, n)})
		if err != nil {
			return nil, err
		}
		if len(body) == AnswerSize {
			return body, nil
		}
	}
	return nil, fmt.Errorf("answer: %w: too long", ErrMalformed)
}

// DecodeAnswer reads what EncodeAnswer wrote. ErrMalformed for anything else, also for padding that says something.
func DecodeAnswer(body []byte) (Answer, error) {
	if len(body) != AnswerSize {
		return Answer{}, fmt.Errorf("answer: %w: not %d bytes", ErrMalformed, AnswerSize)
	}
	var b answerBody
	if err := Unmarshal(body, &b); err != nil {
		return Answer{}, fmt.Errorf("answer: %w", err)
	}
	if slices.ContainsFunc(b.Padding, func(c byte) bool { return c != 0 }) {
		return Answer{}, fmt.Errorf("answer: %w: padding", ErrMalformed)
	}
	return b.Answer, b.Answer.check()
}

func (a Answer) check() error {
	if a.Version != AnswerVersion {
		return fmt.Errorf("answer: %w: version", ErrMalformed)
	}
	if !a.ID.valid() {
		return fmt.Errorf("answer: %w: id", ErrMalformed)
	}
	for _, word := range []string{a.Category, a.Purpose, a.Field} {
		if word == "" || len(word) > maxAnswerWord {
			return fmt.Errorf("answer: %w: a name", ErrMalformed)
		}
	}
	if a.Range >= 64 {
		return fmt.Errorf("answer: %w: range", ErrMalformed)
	}
	return nil
}
