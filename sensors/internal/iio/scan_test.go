package iio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

func TestParseType(t *testing.T) {
	for text, want := range map[string]Type{
		"le:s16/32>>0":    {Signed: true, Bits: 16, Storage: 32, Repeat: 1},
		"le:s32/32>>0":    {Signed: true, Bits: 32, Storage: 32, Repeat: 1},
		"le:s12/16>>4":    {Signed: true, Bits: 12, Storage: 16, Shift: 4, Repeat: 1},
		"be:u14/16>>2":    {Big: true, Bits: 14, Storage: 16, Shift: 2, Repeat: 1},
		"le:s64/64>>0":    {Signed: true, Bits: 64, Storage: 64, Repeat: 1},
		"le:s32/32X4>>0":  {Signed: true, Bits: 32, Storage: 32, Repeat: 4},
		"be:s8/8":         {Big: true, Signed: true, Bits: 8, Storage: 8, Repeat: 1},
		"le:s10/16X2>>06": {Signed: true, Bits: 10, Storage: 16, Shift: 6, Repeat: 2},
	} {
		if got, err := ParseType(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "le", "le:", "me:s16/16>>0", "le:f32/32>>0", "le:s0/16>>0", "le:s17/16>>0", "le:s16/24>>0", "le:s16/128>>0",
		"le:s12/16>>5", "le:s16/16X0>>0", "le:s16/16X3>>0", "le:s16/16X32>>0", "le:s-1/16>>0", "le:s16/16>>", "le:s16/16>>-1", "le:s+16/16",
		"le:s16/16>>0x", "le:s999999999999999999999/16>>0",
	} {
		if _, err := ParseType(text); !errors.Is(err, ErrAttribute) {
			t.Errorf("%q: got %v, want ErrAttribute", text, err)
		}
	}
}

// layout is three axes of one type, and a timestamp where stamp is set.
func layout(t testing.TB, axis string, stamp bool) Layout {
	t.Helper()
	ty, err := ParseType(axis)
	if err != nil {
		t.Fatal(err)
	}
	enabled := []Element{{"in_accel_x", 0, ty}, {"in_accel_y", 1, ty}, {"in_accel_z", 2, ty}}
	if stamp {
		enabled = append(enabled, Element{"in_timestamp", 3, Type{Signed: true, Bits: 64, Storage: 64, Repeat: 1}})
	}
	l, err := NewLayout(enabled, "accel")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestDecode reads frames as drivers write them, the second as recorded from a HID sensor with the next axis in the
// upper half of each word.
func TestDecode(t *testing.T) {
	stamp := func(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, 123_456_789) }
	for name, tc := range map[string]struct {
		axis  string
		stamp bool
		frame []byte
		want  Frame
	}{
		"little, sign":         {"le:s16/16>>0", false, []byte{0xff, 0xff, 0x2d, 0, 0xe6, 3}, Frame{Raw: [3]int64{-1, 45, 998}}},
		"next axis above":      {"le:s16/32>>0", true, stamp([]byte{0, 0, 0x2d, 0, 0x2d, 0, 0xe6, 3, 0xe6, 3, 0, 0, 9, 9, 9, 9}), Frame{[3]int64{0, 45, 998}, 123_456_789}},
		"big":                  {"be:s16/16>>0", false, []byte{0xff, 0x85, 0, 0x2d, 3, 0xe6}, Frame{Raw: [3]int64{-123, 45, 998}}},
		"shift, rest is noise": {"le:s12/16>>4", false, []byte{0x0f, 0x80, 0x1f, 0, 0xff, 0x7f}, Frame{Raw: [3]int64{-2048, 1, 2047}}},
		"unsigned":             {"le:u12/16>>4", false, []byte{0x0f, 0x80, 0x1f, 0, 0xff, 0xff}, Frame{Raw: [3]int64{2048, 1, 4095}}},
		"bytes, padded":        {"le:s8/8", true, stamp([]byte{0x80, 1, 0x7f, 9, 9, 9, 9, 9}), Frame{[3]int64{-128, 1, 127}, 123_456_789}},
		"repeated":             {"le:s8/8X2", false, []byte{0x80, 9, 1, 9, 0x7f, 9}, Frame{Raw: [3]int64{-128, 1, 127}}},
	} {
		l := layout(t, tc.axis, tc.stamp)
		if l.Size() != len(tc.frame) {
			t.Errorf("%s: a frame of %d bytes, want %d", name, l.Size(), len(tc.frame))
			continue
		}
		twice := append(append(append([]byte{}, tc.frame...), tc.frame...), 1)
		got, used := l.Decode(nil, twice)
		if len(got) != 2 || got[0] != tc.want || got[1] != tc.want || used != 2*len(tc.frame) {
			t.Errorf("%s: got %v after %d bytes, want %v twice", name, got, used, tc.want)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	ty := Type{Bits: 16, Storage: 16, Repeat: 1}
	wide := Type{Bits: 64, Storage: 64, Repeat: 16}
	for name, enabled := range map[string][]Element{
		"none":      nil,
		"two axes":  {{"in_accel_x", 0, ty}, {"in_accel_y", 1, ty}},
		"one index": {{"in_accel_x", 0, ty}, {"in_accel_y", 0, ty}, {"in_accel_z", 1, ty}},
		"too long":  {{"in_accel_x", 0, wide}, {"in_accel_y", 1, wide}, {"in_accel_z", 2, wide}},
	} {
		if _, err := NewLayout(enabled, "accel"); !errors.Is(err, ErrAttribute) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("le:s16/32>>0", true, []byte("0123456789abcdef0123456789abcdef"))
	f.Add("be:u12/16>>4", false, []byte("012345"))
	f.Add("le:s64/64X2>>0", false, make([]byte, 100))
	f.Add("be:s63/64>>0", false, bytes.Repeat([]byte("0"), 64))
	f.Add("be:u63/64>>0", false, bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, text string, stamp bool, b []byte) {
		ty, err := ParseType(text)
		if err != nil {
			return
		}
		enabled := []Element{{"in_accel_x", 0, ty}, {"in_accel_y", 1, ty}, {"in_accel_z", 2, ty}}
		if stamp {
			enabled = append(enabled, Element{"in_timestamp", 3, Type{Signed: true, Bits: 64, Storage: 64, Repeat: 1}})
		}
		l, err := NewLayout(enabled, "accel")
		if err != nil {
			return
		}
		frames, used := l.Decode(nil, b)
		if used != len(frames)*l.Size() || len(b)-used >= l.Size() {
			t.Fatalf("%d frames of %d bytes used %d of %d", len(frames), l.Size(), used, len(b))
		}
		lowest, highest := int64(0), int64(math.MaxInt64)
		if ty.Bits < 64 {
			highest = int64(uint64(1)<<ty.Bits - 1)
		}
		if ty.Signed || ty.Bits == 64 {
			highest = int64(uint64(1)<<(ty.Bits-1) - 1)
			lowest = -highest - 1
		}
		for _, frame := range frames {
			for _, v := range frame.Raw {
				if v < lowest || v > highest {
					t.Fatalf("%s gives %d", text, v)
				}
			}
		}
	})
}

func TestParseUevent(t *testing.T) {
	b := []byte("add@/devices/a/iio:device3\x00ACTION=add\x00DEVPATH=/devices/a/iio:device3\x00SUBSYSTEM=iio\x00DEVNAME=iio:device3\x00SEQNUM=7\x00")
	if got, ok := ParseUevent(b); !ok || got != (Uevent{"add", "iio", "iio:device3"}) {
		t.Errorf("got %+v, %v", got, ok)
	}
	for _, text := range []string{"", "libudev\x00\xfe\xed", "add@/x", "add@/x\x00ACTION=add\x00", "\x00ACTION=add\x00SUBSYSTEM=iio\x00"} {
		if e, ok := ParseUevent([]byte(text)); ok {
			t.Errorf("%q: got %+v", text, e)
		}
	}
}

func FuzzUevent(f *testing.F) {
	f.Add([]byte("add@/x\x00ACTION=add\x00SUBSYSTEM=iio\x00DEVNAME=iio:device0\x00"))
	f.Add([]byte("@\x00=\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, ok := ParseUevent(b); ok && (e.Action == "" || e.Subsystem == "") {
			t.Errorf("%+v", e)
		}
	})
}
