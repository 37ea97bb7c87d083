package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func anAnswer() Answer {
	return Answer{
		Version: AnswerVersion, ID: NewUUID(), Category: "usage", Purpose: "statistics", Field: "opened", Question: [8]byte{1, 2, 3}, Range: 3,
	}
}

// TestAnswersHaveOneSize: whatever is answered, the body has the same length and reads back as what it was.
func TestAnswersHaveOneSize(t *testing.T) {
	for _, word := range []int{1, 2, 22, 23, 24, 25, 40, 63, 64} {
		for r := range uint(64) {
			a := anAnswer()
			a.Category, a.Purpose, a.Field, a.Range = strings.Repeat("c", word), "p", strings.Repeat("f", 65-word), r
			body, err := EncodeAnswer(a)
			if err != nil || len(body) != AnswerSize {
				t.Fatalf("%d, %d: %d bytes, %v", word, r, len(body), err)
			}
			if got, err := DecodeAnswer(body); got != a || err != nil {
				t.Fatalf("got %+v, %v, want %+v", got, err, a)
			}
		}
	}
}

func TestBadAnswers(t *testing.T) {
	good, err := EncodeAnswer(anAnswer())
	if err != nil {
		t.Fatal(err)
	}
	spoken := bytes.Clone(good)
	spoken[AnswerSize-1] = 1
	extra := anAnswer()
	for name, body := range map[string][]byte{
		"empty": nil, "short": good[:AnswerSize-1], "long": append(bytes.Clone(good), 0), "padding that speaks": spoken,
		"zeros": make([]byte, AnswerSize), "a map that never ends": bytes.Repeat([]byte{0xbf}, AnswerSize),
	} {
		if _, err := DecodeAnswer(body); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Answer){
		"version":  func(a *Answer) { a.Version = 2 },
		"no id":    func(a *Answer) { a.ID = UUID{} },
		"no field": func(a *Answer) { a.Field = "" },
		"a story":  func(a *Answer) { a.Category = strings.Repeat("x", 65) },
		"range":    func(a *Answer) { a.Range = 64 },
	} {
		a := extra
		change(&a)
		if _, err := EncodeAnswer(a); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	good, err := EncodeAnswer(anAnswer())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:100])
	f.Add(make([]byte, AnswerSize))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := DecodeAnswer(body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		again, err := EncodeAnswer(a)
		if err != nil || !bytes.Equal(again, body) {
			t.Fatalf("one answer, two spellings: %v", err)
		}
	})
}
