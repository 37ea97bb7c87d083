// Package device reads what kind of device this is: model, operating system, network type, which sensors are
// there. It never opens a file that holds a serial number, a UUID, a MAC address or the machine-id, never lists
// addresses, and never asks for the host name. What it cannot know it says is "unknown".
//
// Reading is apart from parsing: every file comes from the Roots it is given, so a recorded device reads like a
// real one. On systems without these files only the operating system's name and version word are known.
package device

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/internal/iio"
)

// Unknown is the value of what cannot be known here.
const Unknown = "unknown"

// Sample is one raw reading. It redacts itself.
type Sample struct {
	sensors.Raw
	Model         string   // maker and product, as the firmware says
	OS            string   // "debian", "macos", ...
	OSVersion     string   // "12", ...
	Network       string   // wifi, ethernet, cellular, virtual, none or unknown: type of the default route's interface
	AddressFamily string   // ipv4, ipv6, both, none or unknown: families with a default route
	Sensors       []string // accelerometer, gravity, steps: sorted
}

// Roots are the directories that are read, as capabilities: the folders /sys, /proc and /etc of a Linux
// system. A nil one is treated as empty.
type Roots struct {
	Sys, Proc, Etc fs.FS
}

// Source reads device information while its permit holds.
type Source struct {
	permit consent.Permit
	roots  Roots
}

// Open returns the source. It fails when the permit does not hold.
func Open(p consent.Permit, roots Roots) (*Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open device information: %w", err)
	}
	return &Source{permit: p, roots: roots}, nil
}

// Read returns one sample. It fails only when the permit no longer holds: what is missing is Unknown.
func (s *Source) Read() (Sample, error) {
	if err := s.permit.Check(); err != nil {
		return Sample{}, fmt.Errorf("read device information: %w", err)
	}
	sample := Sample{Model: model(s.roots.Sys), Sensors: present(s.roots.Sys)}
	sample.OS, sample.OSVersion = system(s.roots.Etc)
	sample.Network, sample.AddressFamily = network(s.roots.Proc, s.roots.Sys)
	return sample, nil
}

// maxFile bounds every file read here; the kernel's are far smaller.
const maxFile = 64 << 10

func readFile(root fs.FS, name string) ([]byte, bool) {
	if root == nil {
		return nil, false
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	return b, err == nil
}

// model joins the DMI maker and product, or reads the device tree's model.
func model(sys fs.FS) string {
	var words []string
	for _, name := range []string{"sys_vendor", "product_name"} {
		if b, ok := readFile(sys, "class/dmi/id/"+name); ok {
			if w := clean(b); w != "" && !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	if len(words) == 0 {
		if b, ok := readFile(sys, "firmware/devicetree/base/model"); ok {
			words = append(words, clean(b))
		}
	}
	if s := strings.TrimSpace(strings.Join(words, " ")); s != "" {
		return s
	}
	return Unknown
}

// clean keeps the printable ASCII of a firmware string, at most 64 bytes.
func clean(b []byte) string {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c >= ' ' && c < 0x7f && len(out) < 64 {
			out = append(out, c)
		}
	}
	return string(bytes.TrimSpace(out))
}

// system reads ID and VERSION_ID of os-release(5).
func system(etc fs.FS) (name, version string) {
	name, version = runtime.GOOS, Unknown
	b, ok := readFile(etc, "os-release")
	if !ok {
		return name, version
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = clean([]byte(strings.Trim(value, `"'`)))
		switch {
		case value == "":
		case key == "ID":
			name = value
		case key == "VERSION_ID":
			version = value
		}
	}
	return name, version
}

// present lists the kinds of motion sensors in the IIO tree, and nothing about them.
func present(sys fs.FS) []string {
	var kinds []string
	devices, err := iio.Devices(sys)
	if err != nil && !errors.Is(err, sensors.ErrAbsent) {
		return kinds
	}
	for _, d := range devices {
		for file, kind := range map[string]string{
			"in_accel_x_raw": "accelerometer", "in_gravity_x_raw": "gravity", "in_steps_input": "steps",
		} {
			if d.Has(file) && !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		}
	}
	slices.Sort(kinds)
	return kinds
}

// network finds the interface of the default route and what kind it is. Only the route's flags and its
// interface's name are read, never an address.
func network(proc, sys fs.FS) (kind, family string) {
	v4, ok4 := defaultRoute(proc, "self/net/route", func(f []string) (string, bool) {
		return f[0], len(f) > 7 && f[1] == "00000000" && f[7] == "00000000"
	})
	v6, ok6 := defaultRoute(proc, "self/net/ipv6_route", func(f []string) (string, bool) {
		return f[len(f)-1], len(f) == 10 && f[0] == strings.Repeat("0", 32) && f[1] == "00" && f[9] != "lo"
	})
	if !ok4 && !ok6 {
		return Unknown, Unknown
	}
	switch {
	case v4 != "" && v6 != "":
		family = "both"
	case v4 != "":
		family = "ipv4"
	case v6 != "":
		family = "ipv6"
	default:
		return "none", "none"
	}
	name := v4
	if name == "" {
		name = v6
	}
	return interfaceKind(sys, name), family
}

// defaultRoute returns the interface of the first line that match accepts, and whether the table was readable.
func defaultRoute(proc fs.FS, table string, match func(fields []string) (string, bool)) (name string, ok bool) {
	b, ok := readFile(proc, table)
	if !ok {
		return "", false
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		if name, yes := match(fields); yes && fs.ValidPath(name) && name != "." && !strings.Contains(name, "/") {
			return name, true
		}
	}
	return "", true
}

// interfaceKind tells a wireless, cellular, wired or virtual interface by what sysfs says of it
// (Documentation/ABI/testing/sysfs-class-net).
func interfaceKind(sys fs.FS, name string) string {
	dir := path.Join("class/net", name)
	exists := func(file string) bool {
		if sys == nil {
			return false
		}
		_, err := fs.Stat(sys, path.Join(dir, file))
		return err == nil
	}
	uevent, ok := readFile(sys, path.Join(dir, "uevent"))
	switch text := string(uevent); {
	case !ok:
		return Unknown
	case strings.Contains(text, "DEVTYPE=wlan"), exists("wireless"), exists("phy80211"):
		return "wifi"
	case strings.Contains(text, "DEVTYPE=wwan"):
		return "cellular"
	case strings.Contains(text, "DEVTYPE="), !exists("device"):
		return "virtual"
	}
	if b, ok := readFile(sys, path.Join(dir, "type")); ok {
		if t, err := strconv.Atoi(clean(b)); err == nil && t == 1 && !strings.HasPrefix(name, "usb") {
			return "ethernet"
		}
	}
	return Unknown
}
