package agent_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/sensors/sensortest"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

// newSensing is a house whose device has an accelerometer with a buffer.
func newSensing(t *testing.T) (*house, *sensortest.Machine) {
	t.Helper()
	h := &house{newDaemon(t), receivertest.New(t, receivertest.Options{})}
	m, err := sensortest.NewMachine(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	h.write("note", h.far.Note)
	h.configure(h.far.Key, fmt.Sprintf("upload:\n  slot: 24h\niio_dev: %q\n", filepath.Join(h.dir, "dev")))
	h.start()
	t.Cleanup(h.stop)
	return h, m
}

// TestClause_1_6_PedometerRunsWhileStepsAreGranted: a device without a step counter counts from its accelerometer, while the
// person lets it, and the accelerometer is off before and after.
func TestClause_1_6_PedometerRunsWhileStepsAreGranted(t *testing.T) {
	t.Parallel()
	h, m := newSensing(t)
	on := func() bool { return m.Attribute("iio:device0", "buffer/enable") == "1" }
	wait()
	if on() {
		t.Fatal("the accelerometer runs without a consent")
	}
	h.give("steps/compare")
	eventually(t, "the accelerometer runs", on)
	eventually(t, "the first reading", func() bool { return !h.tuple("steps/compare").Due.IsZero() })
	for i := range 2000 { // 80 s with two steps a second, less than a FIFO holds
		if err := m.Feed(40_000_000, 0, 0, int16(1000+250*math.Sin(float64(i)/25*2*math.Pi*2))); err != nil {
			t.Fatal(err)
		}
	}
	h.give("accelerometer/gravity") // its burst empties the buffer for both
	var told string
	eventually(t, "steps are counted", func() bool {
		h.must("data", "collect", "steps/compare")
		reports, err := h.client.Data(t.Context(), "steps/compare", false)
		if err != nil {
			t.Fatal(err)
		}
		for _, tuple := range reports.Tuples {
			for _, r := range tuple.Reports {
				told = string(r.Fields)
			}
		}
		return told != ""
	})
	var total int
	if _, err := fmt.Sscanf(told[strings.Index(told, ":")+1:], "%d", &total); err != nil || total < 90 || total > 170 {
		t.Errorf("80 s of two steps a second gave %s", told)
	}
	if _, err := h.client.Withdraw(t.Context(), "accelerometer/gravity", false); err != nil {
		t.Fatal(err)
	}
	if wait(); !on() {
		t.Error("the accelerometer stopped although steps are granted")
	}
	if _, err := h.client.Withdraw(t.Context(), "steps/compare", false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the accelerometer is off", func() bool { return !on() })
}

// narrower is the house's policy as a later version that keeps step totals for less long.
func (h *house) narrower() []byte {
	return h.resign(edited(h.t, h.far.YAML, "\nversion: 1\n", "\nversion: 2\n", stepRules, strings.Replace(stepRules, "30d", "20d", 1)))
}

// TestPedometerGoesOnUnderANarrowerPolicy: neither what was counted before a narrower policy came is lost, nor what comes after.
func TestPedometerGoesOnUnderANarrowerPolicy(t *testing.T) {
	t.Parallel()
	const tuple = "steps/compare"
	h, m := newSensing(t)
	h.give(tuple)
	eventually(t, "the first reading", func() bool { return !h.tuple(tuple).Due.IsZero() })
	walk := func() { // 80 s with two steps a second
		for i := range 2000 {
			if err := m.Feed(40_000_000, 0, 0, int16(1000+250*math.Sin(float64(i)/25*2*math.Pi*2))); err != nil {
				t.Fatal(err)
			}
		}
		h.give("accelerometer/gravity") // its burst empties the buffer for both
		eventually(t, "a burst", func() bool { return !h.tuple("accelerometer/gravity").Due.IsZero() })
		h.must("consent", "withdraw", "accelerometer/gravity")
	}
	walk()
	if _, err := h.client.UpdatePolicy(t.Context(), h.narrower()); err != nil {
		t.Fatal(err)
	}
	h.must("data", "collect", tuple)
	walk()
	h.must("data", "collect", tuple)
	reports, err := h.client.Data(t.Context(), tuple, false)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, one := range reports.Tuples {
		for _, r := range one.Reports {
			var n int
			if _, err := fmt.Sscanf(string(r.Fields[strings.Index(string(r.Fields), ":")+1:]), "%d", &n); err != nil {
				t.Fatal(err)
			}
			total += n
		}
	}
	if total < 210 || total > 330 {
		t.Errorf("160 s of two steps a second gave %d", total)
	}
}
