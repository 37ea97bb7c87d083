// Package sensortest gives tests the IIO trees of real devices, as read from sysfs under Linux 6.1, and ways to
// damage them. It has no reader of its own.
package sensortest

import (
	"maps"
	"testing/fstest"
)

// Tree makes a file system of file contents by path below /sys.
func Tree(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, content := range files {
		tree[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o444}
	}
	return tree
}

// With returns a copy of the tree in which one file has other content.
func With(tree fstest.MapFS, name, content string) fstest.MapFS {
	changed := maps.Clone(tree)
	changed[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o444}
	return changed
}

// Without returns a copy of the tree in which one file is missing.
func Without(tree fstest.MapFS, name string) fstest.MapFS {
	changed := maps.Clone(tree)
	delete(changed, name)
	return changed
}

// The directories of the devices below.
const (
	AccelerometerDir = "bus/iio/devices/iio:device0/"
	StepCounterDir   = "bus/iio/devices/iio:device1/"
)

// Accelerometer is a HID accelerometer (hid-sensor-accel-3d) at rest, nearly face up. It has no mount matrix.
func Accelerometer() fstest.MapFS {
	return Tree(map[string]string{
		AccelerometerDir + "name":                        "accel_3d\n",
		AccelerometerDir + "in_accel_scale":              "0.009806650\n",
		AccelerometerDir + "in_accel_offset":             "0\n",
		AccelerometerDir + "in_accel_sampling_frequency": "50.000000\n",
		AccelerometerDir + "current_timestamp_clock":     "realtime\n\x00",
		AccelerometerDir + "in_accel_x_raw":              "-123\n",
		AccelerometerDir + "in_accel_y_raw":              "45\n",
		AccelerometerDir + "in_accel_z_raw":              "998\n",
	})
}

// StepCounter is a bma400 whose step counter is switched on and stands at 1337.
func StepCounter() fstest.MapFS {
	return Tree(map[string]string{
		StepCounterDir + "name":            "bma400\n",
		StepCounterDir + "in_steps_en":     "1\n",
		StepCounterDir + "in_steps_input":  "1337\n",
		StepCounterDir + "in_mount_matrix": "1, 0, 0; 0, 1, 0; 0, 0, 1\n",
		StepCounterDir + "in_accel_scale":  "0.019154\n",
		StepCounterDir + "in_accel_x_raw":  "16\n",
		StepCounterDir + "in_accel_y_raw":  "-16\n",
		StepCounterDir + "in_accel_z_raw":  "512\n",
	})
}
