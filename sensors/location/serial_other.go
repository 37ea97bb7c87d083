//go:build !linux

package location

import (
	"context"

	"github.com/scruple-agent/scruple/sensors"
)

// serial answers that there is none: serial lines are read on Linux only.
func serial(string) opener {
	return func(context.Context) (feed, error) { return nil, sensors.Absent("a serial receiver on this system") }
}
