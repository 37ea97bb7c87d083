package iio

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Type says how the values of one channel lie in a buffer.
type Type struct {
	Big, Signed bool
	// Bits count, of Storage bits of memory (8, 16, 32 or 64), from the bit Shift on.
	Bits, Storage, Shift uint
	// Repeat is how many values follow each other, 1 for most channels.
	Repeat uint
}

// size returns the bytes that the channel takes.
func (t Type) size() int { return int(t.Storage / 8 * t.Repeat) }

// ParseType reads the text of a scan_elements type: [be|le]:[s|u]bits/storagebits[Xrepeat][>>shift].
func ParseType(text string) (t Type, err error) {
	bad := fmt.Errorf("%w: no type of a channel", ErrAttribute)
	order, rest, ok := strings.Cut(text, ":")
	if !ok || order != "be" && order != "le" || rest == "" || rest[0] != 's' && rest[0] != 'u' {
		return Type{}, bad
	}
	t = Type{Big: order == "be", Signed: rest[0] == 's', Repeat: 1}
	rest, shift, shifted := strings.Cut(rest[1:], ">>")
	bits, storage, ok := strings.Cut(rest, "/")
	storage, repeat, repeated := strings.Cut(storage, "X")
	if !ok || !number(bits, &t.Bits) || !number(storage, &t.Storage) ||
		shifted && !number(shift, &t.Shift) || repeated && !number(repeat, &t.Repeat) {
		return Type{}, bad
	}
	switch {
	case t.Storage != 8 && t.Storage != 16 && t.Storage != 32 && t.Storage != 64, // whole words of memory
		t.Bits < 1, t.Bits > t.Storage, t.Shift > t.Storage-t.Bits,
		t.Repeat < 1, t.Repeat > 16, t.Repeat&(t.Repeat-1) != 0: // the kernel aligns to the whole, which has to be a power of two
		return Type{}, bad
	}
	return t, nil
}

func number(text string, v *uint) bool {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return false
	}
	n, err := strconv.ParseUint(text, 10, 8)
	*v = uint(n)
	return err == nil
}

// value reads the channel's first value. What lies in the storage beside its bits is anything: HID sensors leave
// the next axis there.
func (t Type) value(b []byte) int64 {
	var order binary.ByteOrder = binary.LittleEndian
	if t.Big {
		order = binary.BigEndian
	}
	var v uint64
	switch t.Storage {
	case 8:
		v = uint64(b[0])
	case 16:
		v = uint64(order.Uint16(b))
	case 32:
		v = uint64(order.Uint32(b))
	default:
		v = order.Uint64(b)
	}
	v >>= t.Shift
	unused := 64 - t.Bits
	if t.Signed {
		return int64(v<<unused) >> unused
	}
	return int64(v << unused >> unused)
}

// Element is one channel of a buffer.
type Element struct {
	Name  string // "in_accel_x", "in_timestamp"
	Index int
	Type  Type
}

// Frame is one set of values from a buffer, as the chip gives them.
type Frame struct {
	Raw [3]int64
	// Time is the kernel's time of the frame in ns, by the clock that was chosen; 0 where the buffer has none.
	Time int64
}

// Layout says where the values of the enabled channels lie in a frame.
type Layout struct {
	size   int
	types  [3]Type
	at     [3]int
	stamp  Type
	timeAt int // -1 for none
}

// maxFrame bounds a frame in bytes: 16 channels of 64 bits.
const maxFrame = 128

// NewLayout lays out the enabled elements of a buffer as the kernel does: in the order of their index, each aligned to
// its own size, the whole to the largest. All three axes of the channel ("accel") have to be among them.
func NewLayout(enabled []Element, channel string) (Layout, error) {
	enabled = slices.Clone(enabled)
	slices.SortFunc(enabled, func(a, b Element) int { return a.Index - b.Index })
	l := Layout{timeAt: -1}
	largest, found := 1, 0
	for i, e := range enabled {
		if i > 0 && e.Index == enabled[i-1].Index {
			return Layout{}, fmt.Errorf("scan elements: %w: an index twice", ErrAttribute)
		}
		size := e.Type.size()
		l.size = (l.size + size - 1) / size * size
		if e.Name == "in_timestamp" {
			l.stamp, l.timeAt = e.Type, l.size
		}
		for axis, letter := range axes {
			if e.Name == "in_"+channel+"_"+letter {
				l.types[axis], l.at[axis] = e.Type, l.size
				found++
			}
		}
		l.size += size
		largest = max(largest, size)
		if l.size > maxFrame {
			return Layout{}, fmt.Errorf("scan elements: %w: too many", ErrAttribute)
		}
	}
	if found != len(axes) {
		return Layout{}, fmt.Errorf("scan elements: %w: not the three axes", ErrAttribute)
	}
	l.size = (l.size + largest - 1) / largest * largest
	return l, nil
}

// axes are the letters of the attributes, in the order of a vector.
var axes = [3]string{"x", "y", "z"}

// Size returns the bytes of a frame.
func (l Layout) Size() int { return l.size }

// Decode appends the whole frames at the start of b, and says how many bytes of it they take.
func (l Layout) Decode(frames []Frame, b []byte) (_ []Frame, used int) {
	for len(b)-used >= l.size {
		one := b[used : used+l.size]
		used += l.size
		var f Frame
		for axis, t := range l.types {
			f.Raw[axis] = t.value(one[l.at[axis]:])
		}
		if l.timeAt >= 0 {
			f.Time = l.stamp.value(one[l.timeAt:])
		}
		frames = append(frames, f)
	}
	return frames, used
}

// elements reads what a buffer can hold; dir is its folder below the device's. One that is not as the ABI says is an
// error if it is wanted, and left out else.
func (d Device) elements(dir string, wanted func(name string) bool) (all []Element, err error) {
	names, err := d.files(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		base, ok := strings.CutSuffix(name, "_en")
		if !ok || !strings.HasPrefix(base, "in_") {
			continue
		}
		e, err := d.element(dir, base)
		switch {
		case err == nil:
			all = append(all, e)
		case wanted(base):
			return nil, err
		}
	}
	return all, nil
}

func (d Device) element(dir, name string) (Element, error) {
	index, err := d.Int(path.Join(dir, name+"_index"))
	if err != nil {
		return Element{}, err
	}
	if index < 0 || index > 1<<16 {
		return Element{}, fmt.Errorf("attribute %s_index: %w: out of range", name, ErrAttribute)
	}
	text, err := d.Text(path.Join(dir, name+"_type"))
	if err != nil {
		return Element{}, err
	}
	t, err := ParseType(text)
	if err != nil {
		return Element{}, fmt.Errorf("attribute %s_type: %w", name, err)
	}
	return Element{Name: name, Index: int(index), Type: t}, nil
}
