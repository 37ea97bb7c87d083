package device

import (
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/scruple-agent/scruple/sensors/sensortest"
)

const (
	route4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
		"wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
	route6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003   wwan0\n" +
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
	noRoute6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
)

func files(m map[string]string) fstest.MapFS { return sensortest.Tree(m) }

func TestModel(t *testing.T) {
	for _, tc := range []struct {
		name string
		sys  fs.FS
		want string
	}{
		{"nothing", files(nil), Unknown},
		{"no root", nil, Unknown},
		{"dmi", files(map[string]string{"class/dmi/id/sys_vendor": "LENOVO\n", "class/dmi/id/product_name": "21AH\n"}), "LENOVO 21AH"},
		{"maker repeated", files(map[string]string{"class/dmi/id/sys_vendor": "QEMU\n", "class/dmi/id/product_name": "QEMU\n"}), "QEMU"},
		{"device tree", files(map[string]string{"firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.4\x00"}), "Raspberry Pi 4 Model B Rev 1.4"},
		{"junk", files(map[string]string{"class/dmi/id/sys_vendor": "\x00\x01\xff\n"}), Unknown},
		{"endless", files(map[string]string{"class/dmi/id/sys_vendor": strings.Repeat("x", 1<<20)}), strings.Repeat("x", 64)},
	} {
		if got := model(tc.sys); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestSystem(t *testing.T) {
	etc := files(map[string]string{"os-release": "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\n"})
	if name, version := system(etc); name != "debian" || version != "12" {
		t.Errorf("got %q %q", name, version)
	}
	if name, version := system(nil); name == "" || version != Unknown {
		t.Errorf("without os-release: got %q %q", name, version)
	}
}

func TestNetwork(t *testing.T) {
	for _, tc := range []struct {
		name         string
		proc, sys    map[string]string
		kind, family string
	}{
		{"no tables", nil, nil, Unknown, Unknown},
		{"no route", map[string]string{"self/net/route": "Iface\tDestination\n", "self/net/ipv6_route": noRoute6}, nil, "none", "none"},
		{
			"wifi by type",
			map[string]string{"self/net/route": route4},
			map[string]string{"class/net/wlan0/uevent": "DEVTYPE=wlan\nINTERFACE=wlan0\n"},
			"wifi", "ipv4",
		},
		{
			"wifi by folder",
			map[string]string{"self/net/route": route4},
			map[string]string{"class/net/wlan0/uevent": "INTERFACE=wlan0\n", "class/net/wlan0/phy80211/index": "0"},
			"wifi", "ipv4",
		},
		{
			"cellular",
			map[string]string{"self/net/ipv6_route": route6},
			map[string]string{"class/net/wwan0/uevent": "DEVTYPE=wwan\n"},
			"cellular", "ipv6",
		},
		{
			"ethernet",
			map[string]string{"self/net/route": route4, "self/net/ipv6_route": route6},
			map[string]string{"class/net/wlan0/uevent": "INTERFACE=x\n", "class/net/wlan0/device/vendor": "x", "class/net/wlan0/type": "1\n"},
			"ethernet", "both",
		},
		{
			"virtual",
			map[string]string{"self/net/route": route4},
			map[string]string{"class/net/wlan0/uevent": "DEVTYPE=bridge\n"},
			"virtual", "ipv4",
		},
		{"interface gone", map[string]string{"self/net/route": route4}, nil, Unknown, "ipv4"},
		{"hostile name", map[string]string{"self/net/route": "../../etc\t00000000\t0\t0\t0\t0\t0\t00000000\t0\t0\t0\n"}, nil, "none", "none"},
	} {
		kind, family := network(files(tc.proc), files(tc.sys))
		if kind != tc.kind || family != tc.family {
			t.Errorf("%s: got %s %s, want %s %s", tc.name, kind, family, tc.kind, tc.family)
		}
	}
}

func TestPresent(t *testing.T) {
	tree := sensortest.Accelerometer()
	for name, f := range sensortest.StepCounter() {
		tree[name] = f
	}
	if got := present(tree); !slices.Equal(got, []string{"accelerometer", "steps"}) {
		t.Errorf("got %v", got)
	}
	if got := present(files(nil)); len(got) != 0 {
		t.Errorf("without sensors: got %v", got)
	}
}

// opened records which files are opened below a root.
type opened struct {
	fs.FS
	mu    *sync.Mutex
	names *[]string
}

func (o opened) Open(name string) (fs.File, error) {
	o.mu.Lock()
	*o.names = append(*o.names, name)
	o.mu.Unlock()
	return o.FS.Open(name)
}

// TestNeverOpensAnIdentifier reads a device that offers every identifier there is and looks at what was opened.
func TestNeverOpensAnIdentifier(t *testing.T) {
	var names []string
	watch := func(m map[string]string) fs.FS { return opened{files(m), new(sync.Mutex), &names} }
	sys := watch(map[string]string{
		"class/dmi/id/sys_vendor": "V", "class/dmi/id/product_name": "P", "class/dmi/id/product_serial": "canary",
		"class/dmi/id/product_uuid": "canary", "class/dmi/id/board_serial": "canary", "class/net/wlan0/address": "canary",
		"class/net/wlan0/uevent": "DEVTYPE=wlan\n", "firmware/devicetree/base/serial-number": "canary",
		"bus/iio/devices/iio:device0/name": "x", "bus/iio/devices/iio:device0/serialnumber": "canary",
	})
	proc := watch(map[string]string{"self/net/route": route4, "sys/kernel/random/boot_id": "canary", "sys/kernel/hostname": "canary"})
	etc := watch(map[string]string{"os-release": "ID=debian\n", "machine-id": "canary", "hostname": "canary"})
	s := Sample{Model: model(sys), Sensors: present(sys)}
	s.OS, s.OSVersion = system(etc)
	s.Network, s.AddressFamily = network(proc, sys)
	for _, v := range append([]string{s.Model, s.OS, s.OSVersion, s.Network, s.AddressFamily}, s.Sensors...) {
		if strings.Contains(v, "canary") {
			t.Errorf("an identifier was read: %q", v)
		}
	}
	if len(names) == 0 {
		t.Fatal("nothing was opened: the test sees nothing")
	}
	for _, n := range names {
		for _, bad := range []string{"serial", "uuid", "address", "machine-id", "hostname", "boot_id"} {
			if strings.Contains(n, bad) {
				t.Errorf("opened %s", n)
			}
		}
	}
}
