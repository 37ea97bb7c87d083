package main

import (
	"encoding/binary"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Events of /dev/uhid (linux/uhid.h).
const (
	uhidDestroy        = 1
	uhidGetReport      = 9
	uhidGetReportReply = 10
	uhidCreate2        = 11
	uhidInput2         = 12
	uhidSetReport      = 13
	uhidSetReportReply = 14
)

// Usages of the HID sensor page 0x20.
const (
	usageAccelerometer = 0x73
	usageGravity       = 0x7b
)

// descriptor is the report descriptor of one sensor: features for connection, reporting and power state, interval and sensitivity, and
// an input report of state, event and three axes of 16 bits in milli-g (HID usage tables, sensors page; unit exponent -3).
func descriptor(report, usage byte) []byte {
	b := []byte{0x05, 0x20, 0x09, usage, 0xa1, 0x00, 0x85, report}
	// choice is a selector of n usages from first on, of field.
	choice := func(field [2]byte, highest byte, first byte, n int, main byte) {
		b = append(b, 0x0a, field[0], field[1], 0x15, 0, 0x25, highest, 0x75, 8, 0x95, 1, 0xa1, 0x02)
		for i := range n {
			b = append(b, 0x0a, first+byte(i), 0x08)
		}
		b = append(b, main, 0x00, 0xc0)
	}
	const feature, input = 0xb1, 0x81
	choice([2]byte{0x09, 0x03}, 2, 0x30, 3, feature)                                                                  // connection
	choice([2]byte{0x16, 0x03}, 5, 0x40, 6, feature)                                                                  // reporting
	choice([2]byte{0x19, 0x03}, 5, 0x50, 6, feature)                                                                  // power
	b = append(b, 0x0a, 0x0e, 0x03, 0x15, 0, 0x27, 0xff, 0xff, 0xff, 0x7f, 0x75, 32, 0x95, 1, 0x55, 0, feature, 0x02) // interval, ms
	b = append(b, 0x0a, 0x52, 0x14, 0x15, 0, 0x27, 0xff, 0xff, 0, 0, 0x75, 16, 0x95, 1, 0x55, 0x0e, feature, 0x02)    // sensitivity
	choice([2]byte{0x01, 0x02}, 6, 0x00, 7, input)                                                                    // state
	choice([2]byte{0x02, 0x02}, 5, 0x10, 6, input)                                                                    // event
	for axis := byte(0x53); axis <= 0x55; axis++ {
		b = append(b, 0x0a, axis, 0x04, 0x16, 0x01, 0x80, 0x26, 0xff, 0x7f, 0x75, 16, 0x95, 1, 0x55, 0x0d, input, 0x02)
	}
	return append(b, 0xc0)
}

// setting is what the host has told a sensor: reporting 1 or 2 (no events, all events), power 2 or 6 (full, off), by their place in the
// selector, and the interval in milliseconds.
type setting struct {
	reporting, power byte
	interval         uint32
	sensitivity      uint16
	connection       byte
	at               time.Time
}

// sensor is a sensor hub on /dev/uhid with an accelerometer (report 1) and a gravity sensor (report 2), as seen by the
// hardware.
type sensor struct {
	file *os.File
	mute atomic.Bool // answers nothing and sends nothing

	mu       sync.Mutex
	settings map[byte]*setting
	motion   func(t time.Duration) [3]float64 // g, by the time since the sensor was plugged in
	plugged  time.Time
	gone     chan struct{}
}

// still lies on its back.
func still(time.Duration) [3]float64 { return [3]float64{0, 0, 1} }

// walking steps 1.8 times a second.
func walking(t time.Duration) [3]float64 {
	phase := 2 * math.Pi * 1.8 * t.Seconds()
	return [3]float64{0.05 * math.Sin(phase/2), 0.08 * math.Cos(phase), 1 + 0.28*math.Sin(phase)}
}

const stepsPerSecond = 1.8

func plug() *sensor {
	file, err := os.OpenFile("/dev/uhid", os.O_RDWR, 0)
	must("open /dev/uhid", err)
	s := &sensor{
		file: file, motion: still, plugged: time.Now(), gone: make(chan struct{}),
		settings: map[byte]*setting{1: {interval: 20}, 2: {interval: 20}},
	}
	desc := append(descriptor(1, usageAccelerometer), descriptor(2, usageGravity)...)
	event := make([]byte, 4+128+64+64+2+2+4*4+4096)
	binary.LittleEndian.PutUint32(event, uhidCreate2)
	copy(event[4:], "invented sensor hub")
	binary.LittleEndian.PutUint16(event[260:], uint16(len(desc)))
	binary.LittleEndian.PutUint16(event[262:], 3) // BUS_USB
	binary.LittleEndian.PutUint32(event[264:], 0x1209)
	binary.LittleEndian.PutUint32(event[268:], 0x0001)
	copy(event[280:], desc)
	go s.answer()
	_, err = file.Write(event)
	must("make the sensor hub", err)
	go s.feed()
	_, found := eventually(10*time.Second, func() bool {
		accel, _ := iioDevice("accel_3d")
		gravity, _ := iioDevice("gravity")
		return accel != "" && gravity != ""
	})
	if !found {
		fail("kernel-sees-the-sensor", "no accel_3d and gravity among the IIO devices")
	}
	return s
}

func (s *sensor) unplug() {
	close(s.gone)
	event := make([]byte, 4)
	binary.LittleEndian.PutUint32(event, uhidDestroy)
	_, err := s.file.Write(event)
	must("unplug", err)
	s.file.Close()
}

// move changes what the sensor feels.
func (s *sensor) move(motion func(time.Duration) [3]float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.motion = motion
}

// setting returns what the host has told the sensor of a report id.
func (s *sensor) setting(report byte) setting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.settings[report]
}

// reporting says whether the host wants samples from either sensor.
func (s *sensor) reporting() bool {
	for _, id := range []byte{1, 2} {
		if s.setting(id).reporting == 2 {
			return true
		}
	}
	return false
}

// asleep says whether the host has switched both sensors off.
func (s *sensor) asleep() bool {
	for _, id := range []byte{1, 2} {
		if st := s.setting(id); st.reporting == 2 || st.power == 2 {
			return false
		}
	}
	return true
}

func (s *sensor) input(report byte) []byte {
	s.mu.Lock()
	g := s.motion(time.Since(s.plugged))
	s.mu.Unlock()
	b := []byte{report, 1, 4}
	for _, axis := range g {
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(math.Round(axis*1000))))
	}
	return b
}

// feed sends samples to whoever wants them, as often as it was told to.
func (s *sensor) feed() {
	const grain = 10 * time.Millisecond
	tick := time.NewTicker(grain)
	defer tick.Stop()
	next := map[byte]time.Time{}
	for {
		var now time.Time
		select {
		case <-s.gone:
			return
		case now = <-tick.C:
		}
		for _, id := range []byte{1, 2} {
			st := s.setting(id)
			if s.mute.Load() || st.reporting != 2 || now.Before(next[id]) {
				continue
			}
			interval := max(time.Duration(st.interval)*time.Millisecond, grain)
			if next[id] = next[id].Add(interval); next[id].Before(now) {
				next[id] = now.Add(interval)
			}
			data := s.input(id)
			event := make([]byte, 6, 6+len(data))
			binary.LittleEndian.PutUint32(event, uhidInput2)
			binary.LittleEndian.PutUint16(event[4:], uint16(len(data)))
			_, _ = s.file.Write(append(event, data...))
		}
	}
}

// answer plays the hardware to the kernel's questions.
func (s *sensor) answer() {
	event := make([]byte, 4380)
	for {
		if _, err := s.file.Read(event); err != nil {
			return
		}
		switch binary.LittleEndian.Uint32(event) {
		case uhidGetReport:
			if s.mute.Load() {
				continue
			}
			report, isInput := event[8], event[9] != 0
			data := s.feature(report)
			if isInput {
				data = s.input(report)
			}
			reply := make([]byte, 12, 12+len(data))
			binary.LittleEndian.PutUint32(reply, uhidGetReportReply)
			copy(reply[4:8], event[4:8])
			binary.LittleEndian.PutUint16(reply[10:], uint16(len(data)))
			_, _ = s.file.Write(append(reply, data...))
		case uhidSetReport:
			size := binary.LittleEndian.Uint16(event[10:])
			s.set(event[8], event[12:12+size])
			reply := make([]byte, 10)
			binary.LittleEndian.PutUint32(reply, uhidSetReportReply)
			copy(reply[4:8], event[4:8])
			_, _ = s.file.Write(reply)
		}
	}
}

func (s *sensor) feature(report byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.settings[report]
	if st == nil {
		return []byte{report}
	}
	b := []byte{report, st.connection, st.reporting, st.power}
	b = binary.LittleEndian.AppendUint32(b, st.interval)
	return binary.LittleEndian.AppendUint16(b, st.sensitivity)
}

func (s *sensor) set(report byte, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.settings[report]
	if st == nil || len(data) < 10 {
		return
	}
	st.connection, st.reporting, st.power = data[1], data[2], data[3]
	st.interval, st.sensitivity = binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint16(data[8:])
	st.at = time.Now()
	info("sensor %d is told: power %d, reporting %d, every %d ms", report, st.power, st.reporting, st.interval)
}
