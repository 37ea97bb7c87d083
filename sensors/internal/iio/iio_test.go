package iio

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/scruple-agent/scruple/sensors"
)

func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[devicesDir+"/"+name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

func TestDevicesAbsent(t *testing.T) {
	for name, fsys := range map[string]fstest.MapFS{
		"no tree":      {},
		"no device":    tree(map[string]string{"trigger0/name": "x"}),
		"not a device": tree(map[string]string{"iio_sysfs_trigger/name": "x"}),
	} {
		if _, err := Devices(fsys); !errors.Is(err, sensors.ErrAbsent) {
			t.Errorf("%s: got %v, want absent", name, err)
		}
	}
	if _, err := Devices(nil); !errors.Is(err, sensors.ErrAbsent) {
		t.Errorf("nil root: got %v, want absent", err)
	}
}

func TestFindPrefersWhatIsNotInTheBase(t *testing.T) {
	fsys := tree(map[string]string{
		"iio:device0/name": "a", "iio:device0/label": "accel-base\n", "iio:device0/in_accel_x_raw": "1",
		"iio:device1/name": "b", "iio:device1/label": "accel-display\n", "iio:device1/in_accel_x_raw": "1",
		"iio:device2/name": "c",
	})
	d, err := Find(fsys, "in_accel_x_raw")
	if err != nil || d.Name != "b" {
		t.Errorf("got %q, %v; want the device in the display", d.Name, err)
	}
	if _, err := Find(fsys, "in_steps_input"); !errors.Is(err, sensors.ErrAbsent) {
		t.Errorf("got %v, want absent", err)
	}
}

// TestNumbers reads what kernels write, and refuses the rest without repeating it.
func TestNumbers(t *testing.T) {
	for text, want := range map[string]float64{
		"0.009806650\n": 0.00980665, "-0\n": 0, "1e-3": 0.001, " 42 \n\x00": 42,
	} {
		d := Device{fsys: fstest.MapFS{"d/a": {Data: []byte(text)}}, dir: "d"}
		if got, err := d.Float("a"); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "\n", "canary-7", "inf", "NaN", "1e999", "0x", strings.Repeat("9", 5000), "1 2"} {
		d := Device{fsys: fstest.MapFS{"d/a": {Data: []byte(text)}}, dir: "d"}
		if _, err := d.Float("a"); !errors.Is(err, ErrAttribute) {
			t.Errorf("%.20q: got %v, want ErrAttribute", text, err)
		} else if strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "attribute a") {
			t.Errorf("%.20q: the error must name the attribute, never its value: %v", text, err)
		}
		if _, err := d.Int("a"); err == nil {
			t.Errorf("%.20q: read as an integer", text)
		}
	}
}

func TestMountMatrix(t *testing.T) {
	turned := Matrix{{0, -1, 0}, {1, 0, 0}, {0, 0, 1}}
	for _, name := range []string{"in_accel_mount_matrix", "in_mount_matrix", "mount_matrix"} {
		d := Device{fsys: fstest.MapFS{"d/" + name: {Data: []byte("0, -1, 0; 1, 0, 0; 0, 0, 1\n")}}, dir: "d"}
		if got, err := d.MountMatrix("accel"); err != nil || got != turned {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	if got := turned.Apply([3]float64{1, 2, 3}); got != [3]float64{-2, 1, 3} {
		t.Errorf("applied: %v", got)
	}
	d := Device{fsys: fstest.MapFS{}, dir: "d"}
	if got, err := d.MountMatrix("accel"); err != nil || got != Identity {
		t.Errorf("none: got %v, %v; want the identity", got, err)
	}
	for _, text := range []string{"", "1,0,0;0,1,0", "1,0;0,1;0,0", "0,0,0;0,0,0;0,0,0", "9,0,0;0,1,0;0,0,1", "a,b,c;d,e,f;g,h,i", "nan,0,0;0,1,0;0,0,1"} {
		d := Device{fsys: fstest.MapFS{"d/mount_matrix": {Data: []byte(text)}}, dir: "d"}
		if _, err := d.MountMatrix("accel"); !errors.Is(err, ErrAttribute) {
			t.Errorf("%q: got %v, want ErrAttribute", text, err)
		}
	}
}

func FuzzMatrix(f *testing.F) {
	f.Add("1, 0, 0; 0, 1, 0; 0, 0, 1")
	f.Add(";;")
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := parseMatrix(text)
		if !ok {
			return
		}
		v := m.Apply([3]float64{1, 1, 1})
		for _, x := range v {
			if math.IsNaN(x) || math.Abs(x) > 4 {
				t.Errorf("%q gives a vector no rotation can give", text)
			}
		}
	})
}
