package iio

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/scruple-agent/scruple/sensors"
)

// writable is a tree whose attributes can be written.
type writable struct{ fstest.MapFS }

func (w writable) WriteFile(name string, data []byte, _ fs.FileMode) error {
	if _, ok := w.MapFS[name]; !ok {
		return fs.ErrNotExist
	}
	w.MapFS[name] = &fstest.MapFile{Data: data}
	return nil
}

func (w writable) text(name string) string {
	return strings.TrimSpace(string(w.MapFS[devicesDir+"/"+name].Data))
}

// buffered is a HID accelerometer with a buffer, as Linux 6.1 shows it.
func buffered() writable {
	files := map[string]string{
		"name": "accel_3d", "in_accel_scale": "0.009806650", "in_accel_sampling_frequency": "50.000000", "in_accel_x_raw": "0",
		"current_timestamp_clock": "realtime\n\x00", "buffer/enable": "0", "buffer/length": "2", "buffer/watermark": "1",
		"trigger/current_trigger":          "accel_3d-dev3",
		"scan_elements/in_intensity_en":    "1",
		"scan_elements/in_intensity_index": "9",
		"scan_elements/in_intensity_type":  "le:f32/32>>0",
	}
	for i, name := range []string{"in_accel_x", "in_accel_y", "in_accel_z", "in_timestamp"} {
		files["scan_elements/"+name+"_en"] = "0"
		files["scan_elements/"+name+"_index"] = string(rune('0' + i))
		files["scan_elements/"+name+"_type"] = "le:s16/32>>0"
	}
	files["scan_elements/in_timestamp_type"] = "le:s64/64>>0"
	w := writable{fstest.MapFS{}}
	for name, content := range files {
		w.MapFS[devicesDir+"/iio:device3/"+name] = &fstest.MapFile{Data: []byte(content + "\n")}
	}
	return w
}

// node is a device file that hands out what it has, a piece at a time.
type node struct {
	pieces [][]byte
	opened int
	err    error // of opening
	end    error // of reading, when nothing waits
}

func (n *node) OpenStream(name string) (sensors.Stream, error) {
	if name != "iio:device3" {
		return nil, sensors.Absent("the device file")
	}
	n.opened++
	return n, n.err
}

func (n *node) Take(p []byte) (int, error) {
	if len(n.pieces) == 0 {
		return 0, n.end
	}
	piece := n.pieces[0]
	n.pieces = n.pieces[1:]
	return copy(p, piece), nil
}

func (n *node) Close() error { return nil }

func findAccel(t *testing.T, fsys fs.FS) Device {
	t.Helper()
	d, err := Find(fsys, "in_accel_x_raw")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCapture sets up, reads across torn frames, and puts everything back.
func TestCapture(t *testing.T) {
	tree := buffered()
	before := maps.Clone(tree.MapFS)
	frame := []byte{0x85, 0xff, 0x2d, 0, 0x2d, 0, 0xe6, 3, 0xe6, 3, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0}
	file := &node{pieces: [][]byte{append(append([]byte{}, frame...), frame[:5]...), frame[5:]}}
	c, err := Start(t.Context(), findAccel(t, tree), file, "accel", 25)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"buffer/enable": "1", "buffer/length": "1024", "buffer/watermark": "512", "in_accel_sampling_frequency": "25", "current_timestamp_clock": "boottime",
		"scan_elements/in_accel_z_en": "1", "scan_elements/in_timestamp_en": "1", "scan_elements/in_intensity_en": "0",
	} {
		if got := tree.text("iio:device3/" + name); got != want {
			t.Errorf("capturing: %s is %q, want %q", name, got, want)
		}
	}
	if c.Rate() != 25 || c.HardwareFIFO() || c.Period() != 1024*time.Second/100 {
		t.Errorf("rate %v, FIFO %v, period %v", c.Rate(), c.HardwareFIFO(), c.Period())
	}
	got, err := c.Drain()
	want := Frame{[3]int64{-123, 45, 998}, 7}
	if err != nil || len(got) != 2 || got[0] != want || got[1] != want {
		t.Errorf("drained %v, %v", got, err)
	}
	file.end = sensors.ErrGone
	if _, err := c.Drain(); !errors.Is(err, sensors.ErrAbsent) {
		t.Errorf("after unplugging: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for name, file := range before {
		if got := strings.TrimSpace(string(tree.MapFS[name].Data)); got != strings.Trim(string(file.Data), "\n\x00") {
			t.Errorf("closed: %s is %q, it was %q", name, got, file.Data)
		}
	}
}

// slow is a tree that says what it is going to write, and waits for leave.
type slow struct {
	writable
	writes chan string
	leave  chan struct{}
}

func (s slow) WriteFile(name string, data []byte, mode fs.FileMode) error {
	s.writes <- strings.TrimPrefix(name, devicesDir+"/iio:device3/") + "=" + string(data)
	<-s.leave
	return s.writable.WriteFile(name, data, mode)
}

// closing is a device file that says when it is closed.
type closing struct {
	node
	once   sync.Once
	closed chan struct{}
}

func (c *closing) OpenStream(string) (sensors.Stream, error) { return c, nil }
func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// TestCaptureLetsGoFirst: a device that answers slowly is not held open for longer because of it, neither while it is set up nor
// while it is stopped.
func TestCaptureLetsGoFirst(t *testing.T) {
	for _, before := range []string{"scan_elements/in_accel_x_en=1", "buffer/length=1024", "buffer/enable=1", "none"} {
		t.Run(before, func(t *testing.T) {
			tree := slow{buffered(), make(chan string), make(chan struct{})}
			untouched := maps.Clone(tree.MapFS)
			file := &closing{closed: make(chan struct{})}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error)
			go func() {
				c, err := Start(ctx, findAccel(t, tree), file, "accel", 25)
				if err == nil {
					err = c.Close()
				}
				ended <- err
			}()
			started := false
			for {
				select {
				case write := <-tree.writes:
					switch {
					case write == "buffer/enable=1" && started:
						t.Error("it was started after the end")
					case write == before:
						cancel()
						started = true
						<-file.closed // before the write is answered
					case write == "buffer/enable=0":
						<-file.closed
					}
					tree.leave <- struct{}{}
					continue
				case err := <-ended:
					if (before == "none") != (err == nil) {
						t.Errorf("it ended with %v", err)
					}
				}
				break
			}
			for name, file := range untouched {
				if got := strings.Trim(string(tree.MapFS[name].Data), "\n\x00"); got != strings.Trim(string(file.Data), "\n\x00") {
					t.Errorf("closed: %s is %q, it was %q", name, got, file.Data)
				}
			}
		})
	}
}

func TestCaptureRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change map[string]string
		open   error
		is     error
		says   string
	}{
		"in use":         {map[string]string{"buffer/enable": "1"}, nil, sensors.ErrBusy, ""},
		"second reader":  {nil, sensors.ErrBusy, sensors.ErrBusy, ""},
		"not allowed":    {nil, sensors.ErrDenied, sensors.ErrDenied, ""},
		"bad type":       {map[string]string{"scan_elements/in_accel_y_type": "canary"}, nil, ErrAttribute, "in_accel_y_type"},
		"bad index":      {map[string]string{"scan_elements/in_accel_y_index": "-1"}, nil, ErrAttribute, "in_accel_y_index"},
		"same index":     {map[string]string{"scan_elements/in_accel_y_index": "0"}, nil, ErrAttribute, "twice"},
		"no trigger":     {map[string]string{"trigger/current_trigger": ""}, nil, ErrNoTrigger, ""},
		"rate not there": {map[string]string{"in_accel_sampling_frequency": "canary"}, nil, ErrAttribute, "sampling_frequency"},
	} {
		tree := buffered()
		for file, text := range tc.change {
			tree.MapFS[devicesDir+"/iio:device3/"+file] = &fstest.MapFile{Data: []byte(text + "\n")}
		}
		_, err := Start(t.Context(), findAccel(t, tree), &node{err: tc.open}, "accel", 25)
		if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want %v", name, err, tc.is)
		}
		if got := tree.text("iio:device3/scan_elements/in_accel_x_en"); got != "0" {
			t.Errorf("%s: in_accel_x_en is left at %s", name, got)
		}
	}
	// Its own trigger is set, and taken off again.
	tree := buffered()
	tree.MapFS[devicesDir+"/iio:device3/trigger/current_trigger"].Data = []byte("\n")
	tree.MapFS[devicesDir+"/trigger0/name"] = &fstest.MapFile{Data: []byte("other-dev3\n")}
	tree.MapFS[devicesDir+"/trigger1/name"] = &fstest.MapFile{Data: []byte("accel_3d-dev3\n")}
	c, err := Start(t.Context(), findAccel(t, tree), &node{}, "accel", 25)
	if err != nil || tree.text("iio:device3/trigger/current_trigger") != "accel_3d-dev3" {
		t.Fatalf("own trigger: %v", err)
	}
	if c.Close() != nil || tree.text("iio:device3/trigger/current_trigger") != "" {
		t.Error("the trigger stays set")
	}
}

// TestHardwareFIFO: with one, no trigger is needed, and its watermark lets it sleep.
func TestHardwareFIFO(t *testing.T) {
	tree := buffered()
	for file, text := range map[string]string{
		"buffer/hwfifo_enabled": "0", "buffer/hwfifo_watermark_min": "1", "buffer/hwfifo_watermark_max": "32", "trigger/current_trigger": "",
	} {
		tree.MapFS[devicesDir+"/iio:device3/"+file] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	c, err := Start(t.Context(), findAccel(t, tree), &node{}, "accel", 25)
	if err != nil || !c.HardwareFIFO() || tree.text("iio:device3/buffer/watermark") != "32" {
		t.Errorf("got %v, watermark %s", err, tree.text("iio:device3/buffer/watermark"))
	}
}

// TestStopLeftOver switches off what a killed process left, and nothing else.
func TestStopLeftOver(t *testing.T) {
	tree := buffered()
	if _, err := Start(t.Context(), findAccel(t, tree), &node{}, "accel", 25); err != nil {
		t.Fatal(err)
	}
	file := &node{err: sensors.ErrBusy}
	if StopLeftOver(tree, file); tree.text("iio:device3/buffer/enable") != "1" {
		t.Error("what somebody reads was switched off")
	}
	if _, err := Start(t.Context(), findAccel(t, tree), &node{}, "accel", 25); err != nil {
		t.Errorf("taking over what is left: %v", err)
	}
	file.err = nil
	if StopLeftOver(tree, file); tree.text("iio:device3/buffer/enable") != "0" {
		t.Error("it still runs")
	}
	tree = buffered()
	tree.MapFS[devicesDir+"/iio:device3/buffer/enable"].Data = []byte("1\n")
	if StopLeftOver(tree, &node{}); tree.text("iio:device3/buffer/enable") != "1" {
		t.Error("another program's capture was switched off")
	}
}

func TestPickRate(t *testing.T) {
	for _, tc := range []struct {
		available string
		now, want float64
	}{
		{"", 26, 26},
		{"", 50, 25},
		{"", 10, 25},
		{"", 400, 25},
		{"12.5 25 50", 50, 25},
		{"10 20 40", 10, 40},
		{"1 5 10", 10, 10},
		{"800 1600", 1600, 800},
		{"[1 1 100]", 50, 25},
		{"[10 10 100]", 50, 30},
		{"[0.5 0.5 20]", 1, 20},
		{"[30 1 100]", 50, 30},
		{"garbage", 50, 25},
		{"nan inf", 10, 25},
		{"-5 0", 10, 25},
	} {
		if got := pickRate(tc.available, tc.now, 25); got != tc.want {
			t.Errorf("%q at %v: got %v, want %v", tc.available, tc.now, got, tc.want)
		}
	}
}
