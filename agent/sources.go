package agent

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/accel"
	"github.com/scruple-agent/scruple/sensors/device"
	"github.com/scruple-agent/scruple/sensors/location"
)

// sources are the capabilities that readers get: directories as roots, paths and addresses from the settings. Nothing is
// opened through them without a permit.
type sources struct {
	device   device.Roots
	sys      fs.FS // with a method WriteFile
	hub      *accel.Hub
	contacts settings.Contacts
	location location.Sources
	region   string
}

// openSources opens the root directories. One that does not exist here (a system without /sys) is left out; the
// sources then answer "absent".
func openSources(s settings.Settings) (*sources, error) {
	defaults := settings.Defaults()
	sys, err := sensors.OpenRoot(s.IIORoot)
	if err != nil && s.IIORoot != defaults.IIORoot {
		return nil, fmt.Errorf("settings: iio_root cannot be opened")
	}
	var dev *sensors.Root
	if s.IIODev != defaults.IIODev || s.IIORoot == defaults.IIORoot { // a recorded tree has nothing to do with this machine's devices
		if dev, err = sensors.OpenRoot(s.IIODev); err != nil && s.IIODev != defaults.IIODev {
			return nil, fmt.Errorf("settings: iio_dev cannot be opened")
		}
	}
	from := &sources{
		device:   device.Roots{Sys: rootFS("/sys"), Proc: rootFS("/proc"), Etc: os.DirFS("/etc")},
		contacts: s.Contacts, region: s.Region,
		location: location.Sources{GPSD: s.GPSD, Serial: s.Location.Serial, GeoClue: s.Location.GeoClue},
	}
	var nodes sensors.Streams // nil rather than a nil *Root
	if dev != nil {
		nodes = dev
	}
	if sys != nil {
		from.sys = sys
	}
	from.hub = accel.NewHub(from.sys, nodes)
	return from, nil
}

// rootFS returns the directory as a capability: nothing outside it can be reached, not even through symbolic links.
func rootFS(dir string) fs.FS {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	return root.FS()
}
