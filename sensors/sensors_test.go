package sensors_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/scruple-agent/scruple/sensors"
)

type sample struct {
	sensors.Raw
	Value string
	N     float64
}

// TestRawRedacts (%p of a value, which fmt answers without asking the value, is left to go vet) prints, encodes and logs a raw value in every way that Go code usually does, and looks for the canary.
func TestRawRedacts(t *testing.T) {
	s := sample{Value: "canary-4711", N: 4711}
	var texts []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%g", "%f", "%t"} {
		texts = append(texts, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, []sample{s}), fmt.Sprintf(verb, map[string]sample{"k": s}))
	}
	texts = append(texts, fmt.Sprint(s), fmt.Sprintln(s), s.String(), s.GoString())
	for _, v := range []any{s, &s, []sample{s}, map[string]sample{"k": s}, struct{ S sample }{s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	core, logs := observer.New(zap.DebugLevel)
	log := zap.New(core)
	log.Info("x", zap.Any("s", s), zap.Any("p", &s), zap.Object("o", s), zap.Stringer("t", s), zap.Reflect("r", s), zap.Any("l", []sample{s}))
	log.Sugar().Infow("x", "s", s)
	log.Sugar().Infof("%v %+v", s, s)
	for _, e := range logs.All() {
		texts = append(texts, e.Message, fmt.Sprint(e.ContextMap()))
	}
	for _, text := range texts {
		if strings.Contains(text, "canary") || strings.Contains(text, "4711") {
			t.Errorf("a raw value got out: %.60s", text)
		}
	}
}

func TestAbsentIsAnAnswer(t *testing.T) {
	err := fmt.Errorf("open: %w", sensors.Absent("a step counter"))
	if !errors.Is(err, sensors.ErrAbsent) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v does not match ErrAbsent and ErrUnsupported", err)
	}
}
