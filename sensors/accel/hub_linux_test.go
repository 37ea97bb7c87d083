package accel_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/accel"
	"github.com/scruple-agent/scruple/sensors/sensortest"
)

// machine returns a fixture and a hub on it.
func machine(t *testing.T) (*sensortest.Machine, *accel.Hub) {
	t.Helper()
	m, err := sensortest.NewMachine(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	sys, err := sensors.OpenRoot(m.Sys())
	if err != nil {
		t.Fatal(err)
	}
	dev, err := sensors.OpenRoot(m.Dev())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = sys.Close(), dev.Close() })
	return m, accel.NewHub(sys, dev)
}

// eventually waits for what has to come, with a limit that says that it never does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

const node = "iio:device0"

func TestHubStopsTheDeviceWithTheLastPermit(t *testing.T) {
	m, hub := machine(t)
	reg, tuple, p := setup(t)
	if _, err := hub.Follow(consent.Permit{}, time.Second, true, nil); !errors.Is(err, consent.ErrNoPermit) {
		t.Fatalf("zero permit: %v", err)
	}
	var got atomic.Int64
	one, err := hub.Follow(p, 20*time.Millisecond, true, func(s []accel.Sample) { got.Add(int64(len(s))) })
	if err != nil {
		t.Fatal(err)
	}
	two, err := hub.Follow(p, 20*time.Millisecond, true, func(samples []accel.Sample) {
		for _, s := range samples {
			if math.Abs(s.Norm()-9.8) > 0.1 || s.Tick == 0 {
				t.Error("a sample that was not measured")
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device runs", func() bool { return m.Attribute(node, "buffer/enable") == "1" })
	for range 30 {
		if err := m.Feed(40_000_000, 10, -20, 1000); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all samples", func() bool { return got.Load() == 30 })
	if one.Problem() != nil || two.Problem() != nil {
		t.Errorf("problems %v, %v", one.Problem(), two.Problem())
	}
	one.Close()
	if m.Attribute(node, "buffer/enable") != "1" {
		t.Error("the device was stopped although somebody follows")
	}
	if err := reg.Withdraw(tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device is stopped", func() bool { return m.Attribute(node, "buffer/enable") == "0" })
	eventually(t, "its rate is put back", func() bool { return m.Attribute(node, "in_accel_sampling_frequency") == "50.000000" })
}

// TestHubPause: while the machine sleeps the device is off, whoever follows, and afterwards it goes on.
func TestHubPause(t *testing.T) {
	m, hub := machine(t)
	_, _, p := setup(t)
	on := func() bool { return m.Attribute(node, "buffer/enable") == "1" }
	hub.Pause() // nobody follows
	var got atomic.Int64
	feed, err := hub.Follow(p, 20*time.Millisecond, true, func(s []accel.Sample) { got.Add(int64(len(s))) })
	if err != nil {
		t.Fatal(err)
	}
	hub.Pause()
	if on() {
		t.Fatal("the device runs during the pause")
	}
	for range 3 {
		hub.Resume()
		eventually(t, "the device runs", on)
		before := got.Load()
		if err := m.Feed(40_000_000, 10, -20, 1000); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a sample", func() bool { return got.Load() > before })
		hub.Pause()
		if on() {
			t.Error("the device runs during the pause")
		}
		if feed.Problem() != nil {
			t.Errorf("a pause is no problem: %v", feed.Problem())
		}
	}
	feed.Close()
	hub.Resume()
	if feed, err = hub.Follow(p, 20*time.Millisecond, true, func([]accel.Sample) {}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device runs", on)
	feed.Close()
}

func TestHubBurst(t *testing.T) {
	m, hub := machine(t)
	_, _, p := setup(t)
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 100 {
			_ = m.Feed(40_000_000, 10, -20, 1000)
		}
		<-stop
	}()
	burst, err := hub.Burst(t.Context(), p, 25)
	if err != nil || len(burst) != 25 || accel.Plausible(burst) != nil {
		t.Errorf("%d samples, %v", len(burst), err)
	}
	close(stop)
	<-ended
	eventually(t, "the device is stopped", func() bool { return m.Attribute(node, "buffer/enable") == "0" })

	// Without a device file, attribute by attribute.
	sys, err := sensors.OpenRoot(m.Sys())
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	if burst, err = accel.NewHub(sys, nil).Burst(t.Context(), p, 2); err != nil || len(burst) != 2 {
		t.Errorf("without a buffer: %d samples, %v", len(burst), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hub.Burst(ctx, p, 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestHubLies: values that cannot be accelerations, frames that repeat themselves; nothing of them is handed on.
func TestHubLies(t *testing.T) {
	for name, lie := range map[string]func(m *sensortest.Machine) error{
		"all zero": func(m *sensortest.Machine) error { return m.Feed(1, 0, 0, 0) },
		"too much": func(m *sensortest.Machine) error { return m.Feed(1, 32767, 32767, 32767) },
		"no time":  func(m *sensortest.Machine) error { return m.Feed(-1, 0, 0, 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			m, hub := machine(t)
			_, _, p := setup(t)
			feed, err := hub.Follow(p, 10*time.Millisecond, true, func([]accel.Sample) { t.Error("a sample was handed on") })
			if err != nil {
				t.Fatal(err)
			}
			defer feed.Close()
			for range 3 {
				if err := lie(m); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the problem shows", func() bool { return errors.Is(feed.Problem(), accel.ErrImplausible) })
		})
	}
}

func TestHubAbsent(t *testing.T) {
	_, _, p := setup(t)
	for name, hub := range map[string]*accel.Hub{"nothing": accel.NewHub(nil, nil), "no files": accel.NewHub(sensortest.Accelerometer(), nil)} {
		feed, err := hub.Follow(p, time.Second, false, func([]accel.Sample) { t.Error("a sample") })
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, name, func() bool { return errors.Is(feed.Problem(), sensors.ErrAbsent) })
		feed.Close()
	}
}

func TestPlausible(t *testing.T) {
	still := func(v float64) (burst []accel.Sample) {
		for range 25 {
			burst = append(burst, accel.Sample{Z: v})
		}
		return burst
	}
	for v, ok := range map[float64]bool{9.8: true, 9.4: true, 10.2: true, 1: false, 19.6: false, 4.9: false, 0.1: false} {
		if got := accel.Plausible(still(v)) == nil; got != ok {
			t.Errorf("%v m/s2 at rest: plausible %v", v, got)
		}
	}
	moved := append(still(5), still(16)...)
	if err := accel.Plausible(moved); err != nil {
		t.Errorf("moved: %v", err)
	}
}
