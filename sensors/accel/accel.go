// Package accel reads the accelerometer (gravity sensor) of a Linux device through IIO sysfs, in short bursts.
// Raw vectors live in memory only; package minimise turns them into an orientation class and a share of still
// and moving time.
//
// It leaves out buffered capture; a burst costs three attribute reads a sample.
package accel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/internal/iio"
)

// Sample is one acceleration vector in m/s2, gravity included, in the device's axes. It redacts itself.
type Sample struct {
	sensors.Raw
	Time    time.Time
	X, Y, Z float64
}

// Norm returns the length of the vector in m/s2; about 9.81 at rest.
func (s Sample) Norm() float64 { return math.Sqrt(s.X*s.X + s.Y*s.Y + s.Z*s.Z) }

// ErrImplausible says that the sensor's values cannot be an acceleration: all zero (a mute sensor's answer), or
// more than MaxNorm.
var ErrImplausible = errors.New("accelerometer gives implausible values")

// MaxNorm is the largest acceleration taken for real, in m/s2: 16 g, the widest range of such chips.
const MaxNorm = 16 * 9.80665

// axis names the attributes' letters, in the order of a vector.
var axis = [3]string{"x", "y", "z"}

// Source reads an accelerometer while its permit holds.
type Source struct {
	permit  consent.Permit
	device  iio.Device
	channel string // "accel" or "gravity"
	scale   float64
	offset  float64
	mount   iio.Matrix
}

// Open finds the accelerometer below sys, the folder /sys, or the gravity sensor where there is no other. It
// returns sensors.ErrAbsent where there is none, and an error that names the attribute where one is not as the
// kernel's ABI says.
func Open(p consent.Permit, sys fs.FS) (*Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open accelerometer: %w", err)
	}
	for _, channel := range []string{"accel", "gravity"} {
		device, err := iio.Find(sys, "in_"+channel+"_x_raw")
		if errors.Is(err, sensors.ErrAbsent) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open accelerometer: %w", err)
		}
		s := &Source{permit: p, device: device, channel: channel}
		if err := s.calibrate(); err != nil {
			return nil, fmt.Errorf("open accelerometer: %w", err)
		}
		return s, nil
	}
	return nil, sensors.Absent("an accelerometer")
}

// calibrate reads what turns raw integers into m/s2: (raw + offset) * scale.
func (s *Source) calibrate() (err error) {
	if s.scale, err = s.device.Float("in_" + s.channel + "_scale"); err != nil {
		return err
	}
	// A step of 0 or of more than 10 m/s2 is no accelerometer's.
	if s.scale <= 0 || s.scale > 10 {
		return fmt.Errorf("attribute in_%s_scale: %w: out of range", s.channel, iio.ErrAttribute)
	}
	if s.offset, err = s.device.FloatOr("in_"+s.channel+"_offset", 0); err != nil {
		return err
	}
	s.mount, err = s.device.MountMatrix(s.channel)
	return err
}

// Burst takes n samples, one every interval, and asks the permit before each. It stops early, without samples,
// when the context or the permit ends. A sensor that gives implausible values returns ErrImplausible.
func (s *Source) Burst(ctx context.Context, n int, interval time.Duration) ([]Sample, error) {
	samples := make([]Sample, 0, n)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for range n {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("read accelerometer: %w", ctx.Err())
		case <-s.permit.Done():
		case <-timer.C:
		}
		sample, err := s.Read()
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample)
		timer.Reset(interval)
	}
	return samples, nil
}

// Read takes one sample.
func (s *Source) Read() (Sample, error) {
	if err := s.permit.Check(); err != nil {
		return Sample{}, fmt.Errorf("read accelerometer: %w", err)
	}
	var v [3]float64
	for i, letter := range axis {
		raw, err := s.device.Int("in_" + s.channel + "_" + letter + "_raw")
		if err != nil {
			return Sample{}, fmt.Errorf("read accelerometer: %w", err)
		}
		v[i] = (float64(raw) + s.offset) * s.scale
	}
	v = s.mount.Apply(v)
	sample := Sample{Time: time.Now(), X: v[0], Y: v[1], Z: v[2]}
	if norm := sample.Norm(); norm == 0 || norm > MaxNorm || math.IsNaN(norm) {
		return Sample{}, fmt.Errorf("read accelerometer: %w", ErrImplausible)
	}
	return sample, nil
}
