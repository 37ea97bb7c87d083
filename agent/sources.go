package agent

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/sensors/device"
)

// sources are the capabilities that readers get: directories as roots, paths and addresses from the settings. Nothing is
// opened through them without a permit.
type sources struct {
	device   device.Roots
	sys      fs.FS
	contacts settings.Contacts
	gpsd     string
	region   string
}

// openSources opens the root directories. One that does not exist here (a system without /sys) is left out; the
// sources then answer "absent".
func openSources(s settings.Settings) (*sources, error) {
	sys := rootFS(s.IIORoot)
	if s.IIORoot != settings.Defaults().IIORoot && sys == nil {
		return nil, fmt.Errorf("settings: iio_root cannot be opened")
	}
	roots := device.Roots{Sys: rootFS("/sys"), Proc: rootFS("/proc"), Etc: os.DirFS("/etc")}
	return &sources{device: roots, sys: sys, contacts: s.Contacts, gpsd: s.GPSD, region: s.Region}, nil
}

// rootFS returns the directory as a capability: nothing outside it can be reached, not even through symbolic links.
func rootFS(dir string) fs.FS {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	return root.FS()
}
