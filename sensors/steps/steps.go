// Package steps reads the step counter of a Linux device through IIO sysfs (in_steps_input). The counter's
// value is raw; package minimise turns it into a total per local calendar day.
//
// It leaves out devices without a counter: they are absent here.
package steps

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/internal/iio"
)

// Sample is one reading of the counter. It redacts itself.
type Sample struct {
	sensors.Raw
	Time time.Time
	// Counter is the steps since the counter's last activation; it starts again at 0 with a reboot.
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

// Source reads a step counter while its permit holds.
type Source struct {
	permit consent.Permit
	device iio.Device
}

// Open finds the step counter below sys, the folder /sys. It returns sensors.ErrAbsent where there is none,
// and ErrDisabled where it is switched off.
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
	on, err := device.Int(enableFile)
	switch {
	case errors.Is(err, sensors.ErrAbsent): // always on
	case err != nil:
		return nil, fmt.Errorf("open step counter: %w", err)
	case on == 0:
		return nil, fmt.Errorf("open step counter: %w", ErrDisabled)
	}
	return &Source{permit: p, device: device}, nil
}

// Read takes one reading.
func (s *Source) Read() (Sample, error) {
	if err := s.permit.Check(); err != nil {
		return Sample{}, fmt.Errorf("read step counter: %w", err)
	}
	v, err := s.device.Int(counterFile)
	if err != nil {
		return Sample{}, fmt.Errorf("read step counter: %w", err)
	}
	if v < 0 || v > MaxCounter {
		return Sample{}, fmt.Errorf("read step counter: attribute %s: %w: out of range", counterFile, iio.ErrAttribute)
	}
	return Sample{Time: time.Now(), Counter: uint64(v)}, nil
}
