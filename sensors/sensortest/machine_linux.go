package sensortest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is a folder with a tree of attributes in sys and one accelerometer whose device file, in dev, is a FIFO. It stands
// in for a buffer: what is written comes out as frames of a HID accelerometer.
type Machine struct {
	Dir  string
	node *os.File
	tick int64
}

// NewMachine makes one in dir.
func NewMachine(dir string) (*Machine, error) {
	m := &Machine{Dir: dir}
	return m, m.Plug("iio:device0")
}

// Sys is the folder of attributes, in place of /sys.
func (m *Machine) Sys() string { return filepath.Join(m.Dir, "sys") }

// Dev is the folder of device files, in place of /dev.
func (m *Machine) Dev() string { return filepath.Join(m.Dir, "dev") }

func (m *Machine) folder(name string) string { return filepath.Join(m.Sys(), "bus/iio/devices", name) }

// Plug puts the accelerometer in, under a name such as "iio:device0".
func (m *Machine) Plug(name string) error {
	files := map[string]string{
		"name": "accel_3d", "in_accel_scale": "0.009806650", "in_accel_offset": "0", "in_accel_sampling_frequency": "50.000000",
		"current_timestamp_clock": "realtime", "in_accel_x_raw": "-123", "in_accel_y_raw": "45", "in_accel_z_raw": "998",
		"buffer/enable": "0", "buffer/length": "2", "buffer/watermark": "1", "trigger/current_trigger": "accel_3d-dev0",
		"scan_elements/in_timestamp_en": "0", "scan_elements/in_timestamp_index": "3", "scan_elements/in_timestamp_type": "le:s64/64>>0",
	}
	for i, axis := range []string{"x", "y", "z"} {
		files["scan_elements/in_accel_"+axis+"_en"] = "0"
		files["scan_elements/in_accel_"+axis+"_index"] = string(rune('0' + i))
		files["scan_elements/in_accel_"+axis+"_type"] = "le:s16/32>>0"
	}
	for file, text := range files {
		path := filepath.Join(m.folder(name), file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(m.Dev(), 0o700); err != nil {
		return err
	}
	path := filepath.Join(m.Dev(), name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	m.node = os.NewFile(uintptr(fd), "accelerometer")
	return nil
}

// Unplug takes the accelerometer out. Unlike a device, its FIFO then only says nothing.
func (m *Machine) Unplug(name string) error {
	_ = m.node.Close()
	if err := os.RemoveAll(m.folder(name)); err != nil {
		return err
	}
	return os.Remove(filepath.Join(m.Dev(), name))
}

// Attribute returns the text of an attribute of a device.
func (m *Machine) Attribute(name, file string) string {
	b, _ := os.ReadFile(filepath.Join(m.folder(name), file))
	return strings.TrimSpace(string(b))
}

// Feed puts a frame into the buffer, dt nanoseconds after the one before.
func (m *Machine) Feed(dt int64, x, y, z int16) error {
	m.tick += dt
	frame := make([]byte, 0, 24)
	for _, v := range []int16{x, y, z} {
		frame = binary.LittleEndian.AppendUint16(frame, uint16(v))
		frame = append(frame, 0xa5, 0x5a) // what lies above the bits is anything
	}
	frame = append(frame, 1, 2, 3, 4)
	_, err := m.node.Write(binary.LittleEndian.AppendUint64(frame, uint64(m.tick)))
	return err
}

// Close lets go of the device file.
func (m *Machine) Close() error { return m.node.Close() }
