package steps_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/sensortest"
	"github.com/scruple-agent/scruple/sensors/steps"
	"github.com/scruple-agent/scruple/sensors/steps/pedometer"
)

func TestRead(t *testing.T) {
	doc := consenttest.Document(t)
	reg, tuple := consenttest.New(t, doc), consenttest.Tuple(t, doc, "steps", "compare")
	consenttest.Give(t, reg, tuple)
	p := consenttest.PermitFrom(t, reg, tuple)
	s, err := steps.Open(p, sensortest.StepCounter())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(); err != nil || got.Counter != 1337 || got.Time.IsZero() {
		t.Errorf("got %v, want the counter at 1337", err)
	}
	if err := reg.Withdraw(tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(); !errors.Is(err, consent.ErrWithdrawn) {
		t.Errorf("read after the withdrawal: %v", err)
	}
	if _, err := steps.Open(consent.Permit{}, sensortest.StepCounter()); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("zero permit: %v", err)
	}
}

func TestBadTree(t *testing.T) {
	p := consenttest.Permit(t, consenttest.Document(t), "steps", "compare")
	dir, good := sensortest.StepCounterDir, sensortest.StepCounter()
	for name, tc := range map[string]struct {
		tree fstest.MapFS
		is   error
		says string
	}{
		"nothing":      {fstest.MapFS{}, sensors.ErrAbsent, "step counter"},
		"no counter":   {sensortest.Accelerometer(), sensors.ErrAbsent, "step counter"},
		"switched off": {sensortest.With(good, dir+"in_steps_en", "0\n"), steps.ErrDisabled, "switched off"},
		"garbage":      {sensortest.With(good, dir+"in_steps_input", "canary"), nil, "in_steps_input"},
		"negative":     {sensortest.With(good, dir+"in_steps_input", "-5"), nil, "in_steps_input"},
		"absurd":       {sensortest.With(good, dir+"in_steps_input", "99999999999999"), nil, "in_steps_input"},
		"en garbage":   {sensortest.With(good, dir+"in_steps_en", "canary"), nil, "in_steps_en"},
	} {
		s, err := steps.Open(p, tc.tree)
		if err == nil {
			_, err = s.Read()
		}
		if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want an error that says %q", name, err, tc.says)
		}
		if tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%s: %v is not %v", name, err, tc.is)
		}
	}
}

// TestOpenCounter reads a counter of this process, and no more once the consent is withdrawn.
func TestOpenCounter(t *testing.T) {
	doc := consenttest.Document(t)
	reg, tuple := consenttest.New(t, doc), consenttest.Tuple(t, doc, "steps", "compare")
	consenttest.Give(t, reg, tuple)
	counter := fixed(41)
	s, err := steps.OpenCounter(consenttest.PermitFrom(t, reg, tuple), &counter)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := s.Read(); err != nil || got.Counter != uint64(counter) {
			t.Errorf("got %v, want the counter", err)
		}
		counter++
	}
	if err := reg.Withdraw(tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(); !errors.Is(err, consent.ErrWithdrawn) {
		t.Errorf("read after the withdrawal: %v", err)
	}
	if _, err := steps.OpenCounter(consent.Permit{}, &counter); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("zero permit: %v", err)
	}
}

type fixed uint64

func (f *fixed) Steps() uint64 { return uint64(*f) }

var _ steps.Counter = (*pedometer.Counter)(nil)

// writable is a tree whose files can be written, unless they are refused.
type writable struct {
	fstest.MapFS
	refuse bool
}

func (w writable) WriteFile(name string, data []byte, _ fs.FileMode) error {
	if w.refuse {
		return fs.ErrPermission
	}
	w.MapFS[name] = &fstest.MapFile{Data: data}
	return nil
}

// TestSwitch switches a counter on, and off again.
func TestSwitch(t *testing.T) {
	p := consenttest.Permit(t, consenttest.Document(t), "steps", "compare")
	enable := sensortest.StepCounterDir + "in_steps_en"
	tree := writable{MapFS: sensortest.With(sensortest.StepCounter(), enable, "0\n")}
	s, err := steps.Open(p, tree)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(tree.MapFS[enable].Data); got != "1" {
		t.Errorf("open: in_steps_en is %q", got)
	}
	if got, err := s.Read(); err != nil || got.Counter != 1337 {
		t.Errorf("got %v, want the counter at 1337", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := string(tree.MapFS[enable].Data); got != "0" {
		t.Errorf("closed: in_steps_en is %q", got)
	}

	on := writable{MapFS: sensortest.StepCounter()}
	if s, err = steps.Open(p, on); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || string(on.MapFS[enable].Data) != "1\n" {
		t.Errorf("a counter that was on before was switched off (%v)", err)
	}
	tree.refuse = true
	if _, err := steps.Open(p, tree); !errors.Is(err, steps.ErrDisabled) {
		t.Errorf("a switch that may not be used: %v, want ErrDisabled", err)
	}
}
