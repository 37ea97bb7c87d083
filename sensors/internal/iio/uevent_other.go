//go:build !linux

package iio

import "github.com/scruple-agent/scruple/sensors"

// Changes waits for IIO devices that come or go.
type Changes struct{}

// WatchChanges returns sensors.ErrAbsent: only Linux has such messages.
func WatchChanges() (*Changes, error) {
	return nil, sensors.Absent("the kernel's messages about devices")
}

// Wait returns sensors.ErrAbsent.
func (*Changes) Wait() error { return sensors.Absent("the kernel's messages about devices") }

// Close does nothing.
func (*Changes) Close() error { return nil }
