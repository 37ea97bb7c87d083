// Package iio reads devices of the Linux Industrial I/O subsystem (Documentation/ABI/testing/sysfs-bus-iio): single
// attributes through sysfs, and many samples at once through a device's buffer (Capture). The root directories are
// parameters, so a recorded tree reads like a real one. It knows attributes, not consent: the sources above it hold
// the permit.
//
// It leaves out events, output, and making triggers.
package iio

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/scruple-agent/scruple/sensors"
)

// Device is one device of the tree.
type Device struct {
	fsys fs.FS
	dir  string
	// Name is the chip's name, Label says where it sits ("accel-display", "accel-base"), "" when not said.
	Name, Label string
}

const (
	devicesDir = "bus/iio/devices"
	// maxDevices and maxAttribute bound what a hostile or broken tree can cost. An attribute is at most a
	// page in the kernel.
	maxDevices   = 256
	maxAttribute = 4096
)

// ErrAttribute says that an attribute's text is not what the ABI says it is.
var ErrAttribute = errors.New("attribute is not as the ABI says")

// Devices lists the devices below sys (the folder /sys), in order of their names. It returns
// sensors.ErrAbsent where the kernel has no IIO or no device.
func Devices(sys fs.FS) ([]Device, error) {
	if sys == nil {
		return nil, sensors.Absent("the IIO tree")
	}
	entries, err := fs.ReadDir(sys, devicesDir)
	if err != nil {
		return nil, sensors.Absent("the IIO tree")
	}
	var devices []Device
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "iio:device") || len(devices) == maxDevices {
			continue
		}
		d := Device{fsys: sys, dir: path.Join(devicesDir, e.Name())}
		d.Name, _ = d.Text("name")
		d.Label, _ = d.Text("label")
		devices = append(devices, d)
	}
	if len(devices) == 0 {
		return nil, sensors.Absent("an IIO device")
	}
	return devices, nil
}

// Has reports whether the device has an attribute.
func (d Device) Has(attribute string) bool {
	_, err := fs.Stat(d.fsys, path.Join(d.dir, attribute))
	return err == nil
}

// Text reads an attribute without surrounding white space and NULs.
func (d Device) Text(attribute string) (string, error) {
	f, err := d.fsys.Open(path.Join(d.dir, attribute))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("attribute %s: %w", attribute, sensors.ErrAbsent)
		}
		return "", fmt.Errorf("attribute %s: cannot be opened", attribute)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAttribute+1))
	if err != nil {
		return "", fmt.Errorf("attribute %s: cannot be read", attribute)
	}
	if len(b) > maxAttribute {
		return "", fmt.Errorf("attribute %s: %w: too long", attribute, ErrAttribute)
	}
	return strings.Trim(string(b), " \t\r\n\x00"), nil
}

// Int reads an attribute that holds one decimal integer.
func (d Device) Int(attribute string) (int64, error) {
	s, err := d.Text(attribute)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("attribute %s: %w: no integer", attribute, ErrAttribute)
	}
	return v, nil
}

// Float reads an attribute that holds one finite decimal number.
func (d Device) Float(attribute string) (float64, error) {
	s, err := d.Text(attribute)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fmt.Errorf("attribute %s: %w: no number", attribute, ErrAttribute)
	}
	return v, nil
}

// FloatOr reads an optional number: def where the attribute is absent.
func (d Device) FloatOr(attribute string, def float64) (float64, error) {
	v, err := d.Float(attribute)
	if errors.Is(err, sensors.ErrAbsent) {
		return def, nil
	}
	return v, err
}

// Matrix is a mount matrix: rows are the device's axes, applied to a column vector of the chip's.
type Matrix [3][3]float64

// Identity leaves a vector as it is.
var Identity = Matrix{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}

// Apply returns m * v.
func (m Matrix) Apply(v [3]float64) [3]float64 {
	var out [3]float64
	for i, row := range m {
		out[i] = row[0]*v[0] + row[1]*v[1] + row[2]*v[2]
	}
	return out
}

// MountMatrix reads the mount matrix under any of its three spellings; Identity where there is none. channel
// is the channel type, "accel" or "gravity".
func (d Device) MountMatrix(channel string) (Matrix, error) {
	for _, name := range []string{"in_" + channel + "_mount_matrix", "in_mount_matrix", "mount_matrix"} {
		text, err := d.Text(name)
		if errors.Is(err, sensors.ErrAbsent) {
			continue
		}
		if err != nil {
			return Matrix{}, err
		}
		m, ok := parseMatrix(text)
		if !ok {
			return Matrix{}, fmt.Errorf("attribute %s: %w: no 3x3 matrix", name, ErrAttribute)
		}
		return m, nil
	}
	return Identity, nil
}

// parseMatrix reads "1, 0, 0; 0, 1, 0; 0, 0, 1". A matrix that is all zero, or longer than a rotation can be, is refused.
func parseMatrix(text string) (m Matrix, ok bool) {
	rows := strings.Split(text, ";")
	if len(rows) != 3 {
		return m, false
	}
	for i, row := range rows {
		cells := strings.Split(row, ",")
		if len(cells) != 3 {
			return m, false
		}
		var norm float64
		for j, cell := range cells {
			v, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
			if err != nil || math.IsNaN(v) || math.Abs(v) > 1.01 {
				return m, false
			}
			m[i][j] = v
			norm += v * v
		}
		if norm < 0.5 || norm > 1.5 {
			return m, false
		}
	}
	return m, true
}

// Path returns the device's folder below /sys.
func (d Device) Path() string { return d.dir }

// Node returns the name of its file below /dev, "iio:device0". The kernel numbers anew at every replug.
func (d Device) Node() string { return path.Base(d.dir) }

// files lists the names in a folder of the device.
func (d Device) files(dir string) ([]string, error) {
	entries, err := fs.ReadDir(d.fsys, path.Join(d.dir, dir))
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, sensors.ErrAbsent)
	}
	var names []string
	for _, e := range entries[:min(len(entries), maxDevices)] {
		names = append(names, e.Name())
	}
	return names, nil
}

// set writes an attribute.
func (d Device) set(attribute, value string) error {
	w, ok := d.fsys.(sensors.Switches)
	if !ok {
		return fmt.Errorf("attribute %s: %w", attribute, sensors.ErrDenied)
	}
	switch err := w.WriteFile(path.Join(d.dir, attribute), []byte(value), 0); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("attribute %s: %w", attribute, sensors.ErrDenied)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("attribute %s: %w", attribute, sensors.ErrAbsent)
	case busy(err):
		return fmt.Errorf("attribute %s: %w", attribute, sensors.ErrBusy)
	}
	return fmt.Errorf("attribute %s: cannot be written", attribute)
}

// place says where a device sits: by its label, or by the attribute that sensor hubs of Chromebooks had before.
func (d Device) place() string {
	if d.Label != "" {
		return d.Label
	}
	where, _ := d.Text("location")
	switch where {
	case "lid":
		return "accel-display"
	case "base":
		return "accel-base"
	}
	return where
}

// rank orders devices of one kind by how well they stand for how the whole is held: the one in the display, one that does not
// say, then those in the base and in the camera, which can be turned.
func (d Device) rank() int {
	switch d.place() {
	case "accel-display":
		return 0
	case "accel-base":
		return 2
	case "accel-camera":
		return 3
	}
	return 1
}

// Find returns the device that has the attribute; where several have it, the one in the display of a convertible rather
// than one in its base. It returns sensors.ErrAbsent when none has it.
func Find(sys fs.FS, attribute string) (Device, error) {
	devices, err := Devices(sys)
	if err != nil {
		return Device{}, err
	}
	devices = slices.DeleteFunc(devices, func(d Device) bool { return !d.Has(attribute) })
	if len(devices) == 0 {
		return Device{}, sensors.Absent("an IIO device with " + attribute)
	}
	return slices.MinFunc(devices, func(a, b Device) int { return a.rank() - b.rank() }), nil
}
