package accel_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/accel"
	"github.com/scruple-agent/scruple/sensors/sensortest"
)

// setup gives consent to the accelerometer and returns the register that can end it.
func setup(t *testing.T) (*consent.Register, policy.Tuple, consent.Permit) {
	t.Helper()
	doc, err := policy.Parse("policy.yaml", configs.PolicyYAML)
	if err != nil {
		t.Fatal(err)
	}
	reg := consenttest.New(t, doc)
	tuple := consenttest.Tuple(t, doc, "accelerometer", "gravity")
	consenttest.Give(t, reg, tuple)
	return reg, tuple, consenttest.PermitFrom(t, reg, tuple)
}

func TestZeroPermitOpensNothing(t *testing.T) {
	if _, err := accel.Open(consent.Permit{}, sensortest.Accelerometer()); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("got %v, want ErrNoPermit", err)
	}
}

func TestRead(t *testing.T) {
	_, _, p := setup(t)
	for name, tc := range map[string]struct {
		tree fstest.MapFS
		want [3]float64
	}{
		"hid":          {sensortest.Accelerometer(), [3]float64{-123 * 0.00980665, 45 * 0.00980665, 998 * 0.00980665}},
		"bma400":       {sensortest.StepCounter(), [3]float64{16 * 0.019154, -16 * 0.019154, 512 * 0.019154}},
		"offset":       {sensortest.With(sensortest.Accelerometer(), sensortest.AccelerometerDir+"in_accel_offset", "23\n"), [3]float64{-100 * 0.00980665, 68 * 0.00980665, 1021 * 0.00980665}},
		"no offset":    {sensortest.Without(sensortest.Accelerometer(), sensortest.AccelerometerDir+"in_accel_offset"), [3]float64{-123 * 0.00980665, 45 * 0.00980665, 998 * 0.00980665}},
		"mount matrix": {sensortest.With(sensortest.Accelerometer(), sensortest.AccelerometerDir+"mount_matrix", "0,1,0;1,0,0;0,0,-1\n"), [3]float64{45 * 0.00980665, -123 * 0.00980665, -998 * 0.00980665}},
	} {
		s, err := accel.Open(p, tc.tree)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := s.Read()
		if err != nil || math.Abs(got.X-tc.want[0])+math.Abs(got.Y-tc.want[1])+math.Abs(got.Z-tc.want[2]) > 1e-9 {
			t.Errorf("%s: wrong vector, %v", name, err)
		}
	}
}

// TestBadTree: missing files, absurd scales, lies. Each is a clear answer that names the attribute, never its value.
func TestBadTree(t *testing.T) {
	_, _, p := setup(t)
	dir, good := sensortest.AccelerometerDir, sensortest.Accelerometer()
	for name, tc := range map[string]struct {
		tree fstest.MapFS
		says string
	}{
		"nothing":        {fstest.MapFS{}, "absent"},
		"no scale":       {sensortest.Without(good, dir+"in_accel_scale"), "in_accel_scale"},
		"scale zero":     {sensortest.With(good, dir+"in_accel_scale", "0\n"), "in_accel_scale"},
		"scale negative": {sensortest.With(good, dir+"in_accel_scale", "-1\n"), "in_accel_scale"},
		"scale absurd":   {sensortest.With(good, dir+"in_accel_scale", "1e30\n"), "in_accel_scale"},
		"scale nan":      {sensortest.With(good, dir+"in_accel_scale", "nan\n"), "in_accel_scale"},
		"no y":           {sensortest.Without(good, dir+"in_accel_y_raw"), "in_accel_y_raw"},
		"z garbage":      {sensortest.With(good, dir+"in_accel_z_raw", "canary\n"), "in_accel_z_raw"},
		"x endless":      {sensortest.With(good, dir+"in_accel_x_raw", strings.Repeat("1", 1<<20)), "in_accel_x_raw"},
		"absurd values":  {sensortest.With(good, dir+"in_accel_x_raw", "9999999999\n"), "implausible"},
		"bad matrix":     {sensortest.With(good, dir+"mount_matrix", "canary"), "mount_matrix"},
		"mute": {sensortest.With(sensortest.With(sensortest.With(good, dir+"in_accel_x_raw", "0"),
			dir+"in_accel_y_raw", "0"), dir+"in_accel_z_raw", "0"), "implausible"},
	} {
		s, err := accel.Open(p, tc.tree)
		if err == nil {
			_, err = s.Read()
		}
		if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want an error that says %q", name, err, tc.says)
		}
		if name == "nothing" && !errors.Is(err, sensors.ErrAbsent) {
			t.Errorf("%s: %v is not ErrAbsent", name, err)
		}
	}
}

// TestWithdrawalEndsABurst withdraws in the middle: no sample is handed out.
func TestWithdrawalEndsABurst(t *testing.T) {
	reg, tuple, p := setup(t)
	s, err := accel.Open(p, sensortest.Accelerometer())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		samples, err := s.Burst(context.Background(), 1_000_000, time.Millisecond)
		if len(samples) > 0 {
			t.Error("samples were handed out after the withdrawal")
		}
		done <- err
	}()
	time.Sleep(5 * time.Millisecond)
	if err := reg.Withdraw(tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, consent.ErrWithdrawn) {
		t.Errorf("got %v, want ErrWithdrawn", err)
	}
	if _, err := accel.Open(p, sensortest.Accelerometer()); err == nil {
		t.Error("opened with a permit whose consent has ended")
	}
}
