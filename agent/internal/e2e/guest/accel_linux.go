package main

import (
	"encoding/json"
	"slices"
	"time"
)

const (
	gravity = "accelerometer/gravity"
	steps   = "steps/compare"
)

// powerOff is how long the kernel may take to switch a sensor off that nobody holds: it waits three seconds for another user.
const powerOff = 15 * time.Second

// accelScenario takes an accelerometer through consent, capture, withdrawal, unplugging, silence and lies.
func accelScenario() {
	s := plug()
	d := start()
	defer d.stop()

	time.Sleep(3 * time.Second)
	check(len(holders(d.cmd)) == 0 && !s.reporting(), "nothing-before-consent", "%v", holders(d.cmd))

	orientation(s, d)
	withdrawals(s, d, gravity)
	pedometer(s, d)
	s = replug(s, d)
	lies(s, d)
	silence(s, d)
}

// orientation reads once for the person and looks at what would leave.
func orientation(s *sensor, d *daemon) {
	d.give(gravity)
	told := make(chan bool, 1)
	go func() {
		_, ok := eventually(30*time.Second, s.reporting)
		told <- ok
	}()
	got, err := d.collect(gravity)
	must("collect "+gravity, err)
	check(<-told && got.Reports == 1, "consent-switches-the-sensor-on", "%d reports", got.Reports)
	values := d.preview(gravity)
	check(values["orientation"] == "face-up", "orientation", "%v", values["orientation"])
	raw := slices.ContainsFunc([]string{"x", "y", "z"}, func(k string) bool { return values[k] != nil })
	check(!raw, "no-axes-leave", "")
}

// items returns the values of every item that is stored and would leave.
func (d *daemon) items(tuple string) []map[string]any {
	ctx, cancel := short()
	defer cancel()
	data, err := d.client.Data(ctx, tuple, false)
	must("data "+tuple, err)
	var values []map[string]any
	for _, t := range data.Tuples {
		for _, r := range t.Reports {
			var fields map[string]any
			must("decode a record", json.Unmarshal(r.Fields, &fields))
			values = append(values, fields)
		}
	}
	return values
}

// preview returns the values of the last item that would leave.
func (d *daemon) preview(tuple string) map[string]any {
	items := d.items(tuple)
	if len(items) == 0 {
		return nil
	}
	return items[len(items)-1]
}

// withdrawals withdraws several times: while the sensor is still being set up for a capture, and in the middle of one.
func withdrawals(s *sensor, d *daemon, tuple string) {
	var times []time.Duration
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond, 900 * time.Millisecond} {
		d.give(tuple)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = d.collect(tuple)
		}()
		_, opened := eventually(30*time.Second, d.readable)
		time.Sleep(after)
		if !opened || !d.readable() {
			fail("withdrawal-closes-"+name(tuple), "the source was not open")
			return
		}
		times = append(times, d.withdraw(tuple, d.readable))
		<-done
	}
	promptly("withdrawal-closes-"+name(tuple), times)
	took, off := eventually(powerOff, s.asleep)
	check(off, "withdrawal-powers-the-sensor-off-"+name(tuple), "after %v", took.Round(time.Millisecond))
}

// promptly checks that every withdrawal closed the source within 200 ms of the request.
func promptly(name string, times []time.Duration) {
	ok := true
	for i, t := range times {
		ok = ok && t <= 200*time.Millisecond
		times[i] = t.Round(100 * time.Microsecond)
	}
	check(ok, name, "%v", times)
}

func name(tuple string) string {
	if tuple == gravity {
		return "accelerometer"
	}
	return "steps"
}

// pedometer counts steps from the accelerometer, as there is no counter here.
func pedometer(s *sensor, d *daemon) {
	d.give(steps)
	_, _ = d.collect(steps)
	took, counting := eventually(30*time.Second, func() bool { return len(holders(d.cmd)) > 0 })
	if !check(counting, "steps-are-counted-from-the-accelerometer", "from %v on", took.Round(time.Millisecond)) {
		info("%+v; %s", d.row(steps), d.lastLog())
		return
	}
	const walk = 20 * time.Second
	s.move(walking)
	time.Sleep(walk)
	s.move(still)
	time.Sleep(33 * time.Second) // the buffer is emptied every 10 s, and a count is final 20 s later
	_, err := d.collect(steps)
	must("collect "+steps, err)
	total := d.total()
	want := stepsPerSecond * walk.Seconds()
	check(total > 0.85*want && total < 1.15*want, "steps", "%v counted, %v walked", total, want)
	withdrawals(s, d, steps)
}

// replug takes the sensor away in the middle of a capture and brings it back under another number.
func replug(s *sensor, d *daemon) *sensor {
	d.give(steps)
	_, _ = d.collect(steps)
	eventually(30*time.Second, func() bool { return len(holders(d.cmd)) > 0 })
	before, _ := iioDevice("accel_3d")
	s.unplug()
	_, freed := eventually(20*time.Second, func() bool { return len(holders(d.cmd)) == 0 })
	check(freed, "unplugged-sensor-is-let-go", "")
	took, said := eventually(30*time.Second, func() bool { r := d.row(steps); return !r.Source.Present || r.Detail != "" })
	check(said, "unplugged-sensor-is-in-status", "after %v: %s", took.Round(time.Millisecond), d.row(steps).Source.Reason)
	s = plug()
	after, _ := iioDevice("accel_3d")
	took, again := eventually(60*time.Second, func() bool { return len(holders(d.cmd)) > 0 && s.reporting() })
	check(again, "replugged-sensor-is-used-again", "%s, then %s, after %v", before, after, took.Round(time.Millisecond))
	d.withdraw(steps, d.readable)
	eventually(powerOff, s.asleep)
	return s
}

// silence has a sensor that answers nothing: a read of it takes the kernel up to 20 seconds and then says 0.
func silence(s *sensor, d *daemon) {
	d.give(gravity)
	s.mute.Store(true)
	start := time.Now()
	got, err := d.collect(gravity)
	took := time.Since(start)
	check(err != nil && got.Reports == 0, "mute-sensor-gives-nothing", "%v after %v", err, took.Round(time.Millisecond))
	check(took < 15*time.Second, "mute-sensor-has-a-deadline", "%v", took.Round(time.Millisecond))
	d.withdraw(gravity, d.readable)
}

// lies has a sensor whose values no body on earth could feel.
func lies(s *sensor, d *daemon) {
	for name, motion := range map[string]func(time.Duration) [3]float64{
		"all-zero": func(time.Duration) [3]float64 { return [3]float64{} },
		"thirty-g": func(time.Duration) [3]float64 { return [3]float64{0, 0, 30} },
	} {
		s.move(motion)
		d.give(gravity)
		got, err := d.collect(gravity)
		check(got.Reports == 0, "no-report-of-"+name, "%v", err)
		d.withdraw(gravity, d.readable)
	}
	s.move(still)
}
