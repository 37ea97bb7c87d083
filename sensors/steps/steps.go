// Package steps reads the step counter of a Linux device through IIO sysfs (in_steps_input), or a counter that is fed
// from an accelerometer (package pedometer). The counter's value is raw; package minimise turns it into a total per
// local calendar day.
//
// It leaves out reading the accelerometer: who opens its buffer feeds the pedometer.
package steps

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/internal/iio"
)

// Sample is one reading of the counter. It redacts itself.
type Sample struct {
	sensors.Raw
	Time time.Time
	// Counter is the steps since the counter's last activation; it starts again at 0 with a reboot. Of one
	// Source it never goes down.
	Counter uint64
}

// ErrDisabled says that the counter exists but is switched off and this process may not switch it on.
var ErrDisabled = errors.New("step counter is switched off")

const (
	counterFile = "in_steps_input"
	enableFile  = "in_steps_en"
	// MaxCounter is the largest value taken for real: about 100,000 steps a day for 100 years.
	MaxCounter = 4_000_000_000
)

// Counter counts steps and never goes down while the program runs; *pedometer.Counter is one. Steps may be called
// while another goroutine feeds it.
type Counter interface {
	Steps() uint64
}

// Source reads a step counter while its permit holds. Whoever reads more than once keeps it open: it tells a counter
// that began again from a sensor that does not answer.
type Source struct {
	permit   consent.Permit
	read     func() (uint64, error)
	track    track
	offAgain func() error // nil unless Open switched the counter on
}

// switches is a file system below which files can be written, as *os.Root does it.
type switches interface {
	WriteFile(name string, data []byte, perm fs.FileMode) error
}

// Open finds the step counter below sys, the folder /sys. One that is switched off is switched on if sys has a method
// WriteFile as *os.Root has it, and the kernel lets this process; Close then switches it off again.
//
// It returns sensors.ErrAbsent where there is no counter, and ErrDisabled where it is and stays switched off.
func Open(p consent.Permit, sys fs.FS) (*Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open step counter: %w", err)
	}
	device, err := iio.Find(sys, counterFile)
	if errors.Is(err, sensors.ErrAbsent) {
		return nil, sensors.Absent("a step counter")
	}
	if err != nil {
		return nil, fmt.Errorf("open step counter: %w", err)
	}
	s := &Source{permit: p, read: func() (uint64, error) {
		v, err := device.Int(counterFile)
		if err == nil && (v < 0 || v > MaxCounter) {
			err = fmt.Errorf("attribute %s: %w: out of range", counterFile, iio.ErrAttribute)
		}
		return uint64(v), err
	}}
	on, err := device.Int(enableFile)
	switch {
	case errors.Is(err, sensors.ErrAbsent): // always on
	case err != nil:
		return nil, fmt.Errorf("open step counter: %w", err)
	case on == 0:
		if s.offAgain, err = switchOn(sys); err != nil {
			return nil, fmt.Errorf("open step counter: %w", err)
		}
	}
	return s, nil
}

// OpenCounter reads a counter of this process, one that is fed from an accelerometer under the same permit.
func OpenCounter(p consent.Permit, c Counter) (*Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open step counter: %w", err)
	}
	return &Source{permit: p, read: func() (uint64, error) { return c.Steps(), nil }}, nil
}

// switchOn switches the one step counter below sys on and returns what switches it off.
func switchOn(sys fs.FS) (off func() error, err error) {
	w, ok := sys.(switches)
	found, err := fs.Glob(sys, "bus/iio/devices/iio:device*/"+counterFile)
	if !ok || err != nil || len(found) != 1 { // with several it is not known here which one Find took
		return nil, ErrDisabled
	}
	file := path.Join(path.Dir(found[0]), enableFile)
	if err := w.WriteFile(file, []byte("1"), 0); err != nil {
		return nil, ErrDisabled
	}
	return func() error { return w.WriteFile(file, []byte("0"), 0) }, nil
}

// Read takes one reading.
func (s *Source) Read() (Sample, error) {
	if err := s.permit.Check(); err != nil {
		return Sample{}, fmt.Errorf("read step counter: %w", err)
	}
	v, err := s.read()
	if err != nil {
		return Sample{}, fmt.Errorf("read step counter: %w", err)
	}
	now := time.Now()
	return Sample{Time: now, Counter: s.track.follow(v, now)}, nil
}

// Close switches the counter off if Open switched it on. A counter that cannot be switched off any more is an error;
// the source is closed all the same.
func (s *Source) Close() error {
	off := s.offAgain
	s.offAgain = nil
	if off == nil {
		return nil
	}
	if off() != nil {
		return errors.New("close step counter: it cannot be switched off")
	}
	return nil
}
