package minimise

import (
	"bytes"
	"testing"

	"github.com/scruple-agent/scruple/sensors/contacts"
)

// someMemo has a bit of everything.
func someMemo() *memo {
	o := &memo{groups: []group{{}, {key: contacts.Key{1}, state: []byte("token")}}}
	o.add(noteSkip, "empty", 3, 0)
	o.add(noteMiss, "not-a-number", 1, 0)
	o.add(notePlace, "empty", 1, 17)
	for i := range byte(3) {
		o.files = append(o.files, item{
			Item: contacts.Item{Key: contacts.Key{i}, Mark: contacts.Mark{i}}, group: i % 2,
			cards: 1, tels: 2, emails: uint32(i), notes: uint32(i) + 1,
		})
		o.taken = append(o.taken, i, 0, 0, 0)
		o.taken = append(o.taken, bytes.Repeat([]byte{i}, 16)...)
	}
	return o
}

func TestMemoComesBack(t *testing.T) {
	want := someMemo().append(nil)
	o, err := decodeMemo(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.append(nil); !bytes.Equal(got, want) {
		t.Error("encoded again, it differs")
	}
	for n := range want {
		if _, err := decodeMemo(want[:n]); err == nil {
			t.Fatalf("cut to %d of %d bytes, it is read", n, len(want))
		}
	}
	if _, err := decodeMemo(append(want, 0)); err == nil {
		t.Error("with a byte more, it is read")
	}
}

func FuzzMemo(f *testing.F) {
	f.Add([]byte{})
	f.Add((&memo{groups: []group{{}}}).append(nil))
	whole := someMemo().append(nil)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeMemo(b)
		if err != nil {
			return
		}
		for i := range o.files {
			_ = o.notesOf(i)
		}
		if again := o.append(nil); !bytes.Equal(again, b) {
			t.Error("what was decoded is encoded otherwise")
		}
	})
}
