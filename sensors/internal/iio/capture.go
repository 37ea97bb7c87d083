package iio

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/sensors"
)

const (
	// bufferLength is how many frames the kernel is asked to keep: 40 s at 25 Hz.
	bufferLength = 1024
	// fastest is the highest rate in Hz that is taken where a device cannot go slower.
	fastest = 400
	// maxTriggers bounds a broken tree.
	maxTriggers = 256
)

// ErrNoTrigger says that the device has a buffer, but neither a FIFO nor a trigger of its own to fill it.
var ErrNoTrigger = errors.New("nothing fills the device's buffer")

// Capture is a device whose buffer is being filled. Its methods may not be called at the same time.
type Capture struct {
	device  Device
	channel string
	stream  sensors.Stream
	layout  Layout
	undo    []setting // what was changed, in order
	rate    float64
	room    int // frames that wait at most
	hwfifo  bool
	tail    []byte // the start of a frame, which only files of tests leave
	buf     []byte
	frames  []Frame
}

// setting is an attribute with the value it had.
type setting struct{ attribute, value string }

// Start sets a device up and lets it fill its buffer with the three axes of a channel, "accel" or "gravity", at hz samples
// a second or the next faster that the device can do. What it changes, Close changes back. When ctx ends, the device's file
// is closed at once, whatever Start is waiting for, and what was changed is changed back.
//
// The errors: sensors.ErrAbsent where the device has no buffer or no file, sensors.ErrBusy where somebody else uses
// it, sensors.ErrDenied, ErrNoTrigger, or one that names an attribute. Any of these calls of a device that does not
// answer can take 20 s.
func Start(ctx context.Context, d Device, dev sensors.Streams, channel string, hz float64) (c *Capture, err error) {
	if dev == nil {
		return nil, sensors.Absent("the device file")
	}
	c = &Capture{device: d, channel: channel}
	buffer, scan := "buffer", "scan_elements"
	if !d.Has("buffer/enable") {
		buffer = "buffer0"
	}
	if !d.Has("scan_elements/in_" + channel + "_x_en") {
		scan = "buffer0"
	}
	on, err := d.Int(buffer + "/enable")
	if err != nil {
		return nil, err
	}
	if on != 0 && !d.leftOver(buffer) {
		return nil, sensors.ErrBusy
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Before anything is changed: there can be one reader only, and most processes may not.
	if c.stream, err = dev.OpenStream(d.Node()); err != nil {
		return nil, err
	}
	stream := c.stream
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			err = errors.Join(err, c.Close())
			c = nil
		}
	}()
	if on != 0 {
		if err := d.set(buffer+"/enable", "0"); err != nil {
			return c, err
		}
	}
	for _, step := range []func() error{
		func() (err error) { c.layout, err = c.choose(scan); return err },
		func() error { return c.clockwork(hz) },
		func() error { return c.trigger(buffer) },
		func() error { return c.size(buffer) },
		func() error { return c.change(buffer+"/enable", "1") },
	} {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		if err := step(); err != nil {
			return c, err
		}
	}
	c.buf = make([]byte, c.room*c.layout.Size())
	return c, nil
}

// leftOver reports whether a running buffer is one that an earlier process of this program was stopped in the middle
// of: nobody else asks for this length and this clock.
func (d Device) leftOver(buffer string) bool {
	length, err := d.Int(buffer + "/length")
	clock, _ := d.Text("current_timestamp_clock")
	return err == nil && length == bufferLength && clock == "boottime"
}

// StopLeftOver switches off what an earlier process of this program left running because it was killed, and nobody
// reads. It reads no sample. Like Start it can take 20 s.
func StopLeftOver(sys fs.FS, dev sensors.Streams) {
	devices, err := Devices(sys)
	if err != nil || dev == nil {
		return
	}
	for _, d := range devices {
		for _, buffer := range []string{"buffer", "buffer0"} {
			if on, err := d.Int(buffer + "/enable"); err != nil || on == 0 || !d.leftOver(buffer) {
				continue
			}
			stream, err := dev.OpenStream(d.Node())
			if err != nil { // somebody reads
				continue
			}
			_ = d.set(buffer+"/enable", "0")
			_ = stream.Close()
		}
	}
}

// change writes an attribute and remembers what it was. One that is right already is left alone.
func (c *Capture) change(attribute, value string) error {
	was, err := c.device.Text(attribute)
	if err != nil {
		return err
	}
	if was == value {
		return nil
	}
	// Noted first: a device that answers late may have done it all the same.
	c.undo = append(c.undo, setting{attribute, was})
	return c.device.set(attribute, value)
}

// choose enables the three axes and the timestamp, and nothing else.
func (c *Capture) choose(scan string) (Layout, error) {
	wanted := func(name string) bool {
		axis, ok := strings.CutPrefix(name, "in_"+c.channel+"_")
		return ok && slices.Contains(axes[:], axis) || name == "in_timestamp"
	}
	all, err := c.device.elements(scan, wanted)
	if err != nil {
		return Layout{}, err
	}
	names, err := c.device.files(scan)
	if err != nil {
		return Layout{}, err
	}
	for _, name := range names {
		base, ok := strings.CutSuffix(name, "_en")
		if !ok || wanted(base) {
			continue
		}
		if err := c.change(path.Join(scan, name), "0"); err != nil {
			return Layout{}, err
		}
	}
	var enabled []Element
	for _, e := range all {
		if !wanted(e.Name) {
			continue
		}
		if err := c.change(path.Join(scan, e.Name+"_en"), "1"); err != nil {
			return Layout{}, err
		}
		enabled = append(enabled, e)
	}
	return NewLayout(enabled, c.channel)
}

// clockwork chooses the rate, and a clock for timestamps that goes on in suspend and cannot be set.
func (c *Capture) clockwork(hz float64) error {
	for _, name := range []string{"in_" + c.channel + "_sampling_frequency", "sampling_frequency"} {
		now, err := c.device.Float(name)
		if errors.Is(err, sensors.ErrAbsent) {
			continue
		}
		if err != nil {
			return err
		}
		c.rate = now
		text, _ := c.device.Text(name + "_available")
		want := pickRate(text, now, hz)
		if want != now {
			if err := c.change(name, strconv.FormatFloat(want, 'f', -1, 64)); err != nil && !errors.Is(err, sensors.ErrDenied) {
				return err
			}
			if c.rate, err = c.device.Float(name); err != nil {
				return err
			}
		}
		break
	}
	if c.rate <= 0 || c.rate > 10_000 {
		c.rate = hz // the device does not say
	}
	if c.device.Has("current_timestamp_clock") {
		_ = c.change("current_timestamp_clock", "boottime") // older kernels have realtime only
	}
	return nil
}

// pickRate returns the slowest rate that is at least hz; the fastest where all are slower. available is a list, "[min step
// max]", or "" where any will do.
func pickRate(available string, now, hz float64) float64 {
	words := strings.Fields(strings.Trim(available, "[]"))
	var rates []float64
	for _, w := range words[:min(len(words), 256)] {
		if v, err := strconv.ParseFloat(w, 64); err == nil && v > 0 && v <= 1e6 {
			rates = append(rates, v)
		}
	}
	switch {
	case len(rates) == 0 || len(rates) != len(words):
		if now >= hz && now <= 1.25*hz {
			return now
		}
		return hz
	case strings.HasPrefix(available, "[") && len(rates) == 3:
		low, step, high := rates[0], rates[1], rates[2]
		if hz <= low {
			return low
		}
		steps := float64(int64((hz-low)/step + 0.999999))
		return min(high, low+steps*step)
	}
	slices.Sort(rates)
	for _, r := range rates {
		if r >= hz && r <= fastest {
			return r
		}
	}
	for _, r := range slices.Backward(rates) {
		if r < hz {
			return r
		}
	}
	return rates[0]
}

// trigger sees to it that something fills the buffer: a FIFO, a trigger that is set, or the device's own.
func (c *Capture) trigger(buffer string) error {
	d := c.device
	c.hwfifo = d.Has(buffer + "/hwfifo_watermark_max")
	if c.hwfifo || !d.Has("trigger/current_trigger") {
		return nil
	}
	set, err := d.Text("trigger/current_trigger")
	if err != nil {
		return err
	}
	if set != "" {
		return nil
	}
	// Drivers name the trigger of a device after it, and its number.
	own := "-dev" + strings.TrimPrefix(d.Node(), "iio:device")
	entries, err := fs.ReadDir(d.fsys, devicesDir)
	if err != nil {
		return ErrNoTrigger
	}
	for _, e := range entries[:min(len(entries), maxTriggers)] {
		if !strings.HasPrefix(e.Name(), "trigger") {
			continue
		}
		name, err := (Device{fsys: d.fsys, dir: path.Join(devicesDir, e.Name())}).Text("name")
		if err == nil && strings.HasSuffix(name, own) && strings.HasPrefix(name, d.Name) {
			return c.change("trigger/current_trigger", name)
		}
	}
	return ErrNoTrigger
}

// size asks for a long buffer, so that it can be emptied rarely, and for a watermark that keeps a hardware FIFO asleep
// for as long.
func (c *Capture) size(buffer string) error {
	d := c.device
	c.room = bufferLength
	err := c.change(buffer+"/length", strconv.Itoa(bufferLength))
	if err != nil || c.hwfifo {
		length, err := d.Int(buffer + "/length") // some have one that is fixed
		if err != nil || length < 2 || length > 1<<20 {
			return fmt.Errorf("attribute %s/length: %w: out of range", buffer, ErrAttribute)
		}
		c.room = int(min(length, 4*bufferLength))
	}
	if !d.Has(buffer + "/watermark") {
		return nil
	}
	mark := c.room / 2
	if c.hwfifo {
		most, err := d.Int(buffer + "/hwfifo_watermark_max")
		if err != nil {
			return err
		}
		least, err := d.Int(buffer + "/hwfifo_watermark_min")
		if err != nil {
			least = 1
		}
		mark = int(max(1, least, min(int64(mark), most)))
	}
	if err := c.change(buffer+"/watermark", strconv.Itoa(mark)); err != nil && c.hwfifo {
		return err
	}
	return nil
}

// Rate returns the samples a second that the device says it makes.
func (c *Capture) Rate() float64 { return c.rate }

// HardwareFIFO reports whether the chip collects samples by itself, so that not even the kernel wakes for each.
func (c *Capture) HardwareFIFO() bool { return c.hwfifo }

// Period returns how long one may sleep between two calls of Drain without losing a frame: a quarter of what the buffer
// holds.
func (c *Capture) Period() time.Duration {
	return time.Duration(float64(c.room) / 4 / c.rate * float64(time.Second))
}

// Drain returns the frames that wait, without waiting for more. They are good until the next call. The error is sensors.ErrGone
// when the device was removed.
func (c *Capture) Drain() ([]Frame, error) {
	c.frames = c.frames[:0]
	for len(c.frames) < 4*c.room { // a file that never ends is no reason to stay
		kept := copy(c.buf, c.tail)
		n, err := c.stream.Take(c.buf[kept:])
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			break
		}
		used := 0
		c.frames, used = c.layout.Decode(c.frames, c.buf[:kept+n])
		c.tail = append(c.tail[:0], c.buf[used:kept+n]...)
	}
	return c.frames, nil
}

// Close closes the device's file, then stops the device and puts back what Start changed: with that the driver lets it sleep.
// From the first on nothing can be read; the rest can block as long as Start. The error says that the device could not be
// stopped; one that is gone needs not be.
func (c *Capture) Close() error {
	_ = c.stream.Close()
	var failed error
	for _, s := range slices.Backward(c.undo) {
		if s.value == "" {
			s.value = "\n" // an empty one is no write at all
		}
		err := c.device.set(s.attribute, s.value)
		if strings.HasSuffix(s.attribute, "/enable") && err != nil && !errors.Is(err, sensors.ErrAbsent) {
			failed = fmt.Errorf("stop the sensor: %w", err)
		}
	}
	c.undo = nil
	clear(c.buf)
	clear(c.frames[:cap(c.frames)])
	if failed != nil && !c.device.Has("name") {
		return nil
	}
	return failed
}
