// Package accel reads the accelerometer (gravity sensor) of a Linux device through IIO: through its buffer, which a Hub
// shares between those who have a permit, or attribute by attribute in short bursts where there is no buffer that
// this process may open. Raw vectors live in memory only; package minimise turns them into an orientation class and a
// share of still and moving time, package pedometer into a number of steps.
//
// A device that does not answer holds up nobody: what can block is done on a goroutine of its own, and nothing of a
// late answer is used.
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
	// Tick orders the samples of a Hub, in ns: of a clock that nobody sets, and that goes on in suspend, where the kernel
	// has it for the device.
	Tick int64
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

// possible reports whether it can be an acceleration: not all zero, as of a sensor that does not answer, and no more
// than MaxNorm.
func (s Sample) possible() bool {
	norm := s.Norm()
	return norm > 0 && norm <= MaxNorm
}

// Plausible returns ErrImplausible for a burst that no sensor with a right scale gives: one at rest that does not show
// gravity, or a mean that nobody moves with.
func Plausible(burst []Sample) error {
	var sum, squares float64
	for _, s := range burst {
		n := s.Norm()
		sum, squares = sum+n, squares+n*n
	}
	n := float64(len(burst))
	mean := sum / n
	deviation := math.Sqrt(max(0, squares/n-mean*mean))
	const gravity = 9.80665
	if mean < 0.2*gravity || mean > 6*gravity || deviation < 0.3 && math.Abs(mean-gravity) > 0.3*gravity {
		return ErrImplausible
	}
	return nil
}

// units make m/s2 in the device's axes of a chip's integers.
type units struct {
	scale, offset float64
	mount         iio.Matrix
}

// sample returns (raw + offset) * scale, turned as the chip is mounted.
func (u units) sample(raw [3]int64) Sample {
	var v [3]float64
	for i := range v {
		v[i] = (float64(raw[i]) + u.offset) * u.scale
	}
	v = u.mount.Apply(v)
	return Sample{X: v[0], Y: v[1], Z: v[2]}
}

// find returns the accelerometer, or the gravity sensor where there is no other, and its channel.
func find(sys fs.FS) (iio.Device, string, error) {
	for _, channel := range []string{"accel", "gravity"} {
		device, err := iio.Find(sys, "in_"+channel+"_x_raw")
		if errors.Is(err, sensors.ErrAbsent) {
			continue
		}
		return device, channel, err
	}
	return iio.Device{}, "", sensors.Absent("an accelerometer")
}

// calibrate reads what a device says of its integers.
func calibrate(d iio.Device, channel string) (u units, err error) {
	if u.scale, err = d.Float("in_" + channel + "_scale"); err != nil {
		return u, err
	}
	// A step of 0 or of more than 10 m/s2 is no accelerometer's.
	if u.scale <= 0 || u.scale > 10 {
		return u, fmt.Errorf("attribute in_%s_scale: %w: out of range", channel, iio.ErrAttribute)
	}
	if u.offset, err = d.FloatOr("in_"+channel+"_offset", 0); err != nil {
		return u, err
	}
	u.mount, err = d.MountMatrix(channel)
	return u, err
}

// Source reads an accelerometer attribute by attribute while its permit holds.
type Source struct {
	permit  consent.Permit
	device  iio.Device
	channel string // "accel" or "gravity"
	units   units
}

// Open finds the accelerometer below sys, the folder /sys, or the gravity sensor where there is no other. It
// returns sensors.ErrAbsent where there is none, and an error that names the attribute where one is not as the
// kernel's ABI says.
func Open(p consent.Permit, sys fs.FS) (*Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open accelerometer: %w", err)
	}
	device, channel, err := find(sys)
	if errors.Is(err, sensors.ErrAbsent) {
		return nil, sensors.Absent("an accelerometer")
	}
	s := &Source{permit: p, device: device, channel: channel}
	if err == nil {
		s.units, err = calibrate(device, channel)
	}
	if err != nil {
		return nil, fmt.Errorf("open accelerometer: %w", err)
	}
	return s, nil
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

// Read takes one sample. It returns sensors.ErrMute where the device does not answer in time.
func (s *Source) Read() (Sample, error) {
	if err := s.permit.Check(); err != nil {
		return Sample{}, fmt.Errorf("read accelerometer: %w", err)
	}
	type result struct {
		raw [3]int64
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		for i, letter := range axis {
			if r.raw[i], r.err = s.device.Int("in_" + s.channel + "_" + letter + "_raw"); r.err != nil {
				break
			}
		}
		done <- r
	}()
	late := time.NewTimer(answer)
	defer late.Stop()
	var r result
	select {
	case r = <-done:
	case <-s.permit.Done():
	case <-late.C:
		r.err = sensors.ErrMute
	}
	if err := s.permit.Check(); err != nil {
		return Sample{}, fmt.Errorf("read accelerometer: %w", err)
	}
	if r.err != nil {
		return Sample{}, fmt.Errorf("read accelerometer: %w", r.err)
	}
	sample := s.units.sample(r.raw)
	sample.Time = time.Now()
	if !sample.possible() {
		return Sample{}, fmt.Errorf("read accelerometer: %w", ErrImplausible)
	}
	return sample, nil
}
