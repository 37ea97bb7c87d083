package spool

import (
	"bytes"
	"testing"

	"github.com/scruple-agent/scruple/uploader/wire"
)

var fuzzID = wire.UUID{0: 1, 6: 0x40, 8: 0x80}

// FuzzSegment holds the reader to its rule: every record it hands out was sealed for this place with this key.
func FuzzSegment(f *testing.F) {
	aead, err := sealer(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	b := []byte(segmentMagic)
	genuine := map[string]bool{}
	for i := range uint32(3) {
		r := record{3600, report(fuzzID, int64(i), 0)}
		genuine[string(r.report)] = true
		b = appendFrame(b, aead, fuzzID, 1, i, r)
	}
	f.Add(b)
	f.Add(b[:len(b)-5])
	f.Add(append(bytes.Clone(b), make([]byte, 50)...))
	f.Add([]byte(segmentMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		frames := uint32(0)
		s, err := scanSegment(b, aead, fuzzID, 1, func(r record) error {
			frames++
			if !genuine[string(r.report)] || r.hour != 3600 {
				t.Fatal("a record that was never sealed")
			}
			return nil
		})
		if err == nil && (s.good > int64(len(b)) || frames+uint32(s.damaged+s.unreadable) != s.frames) {
			t.Fatalf("%+v does not add up with %d records in %d bytes", s, frames, len(b))
		}
	})
}

func FuzzBatchFile(f *testing.F) {
	aead, err := sealer(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	want := stored{3600, fuzzID, 2, []byte("body")}
	b := encodeStored(aead, fuzzID, 1, 2, want)
	f.Add(b)
	f.Add(b[:30])
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeStored(aead, fuzzID, 1, 2, b); err == nil && (s.id != want.id || !bytes.Equal(s.body, want.body)) {
			t.Fatal("a batch that was never sealed")
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add("00000001.seg")
	f.Add("00000001-00000002.batch")
	f.Add("00000001-00000002.too-large.parked")
	f.Fuzz(func(t *testing.T, s string) {
		if n, ok := parseName(s); ok && n.fate != "tmp" && n.String() != s {
			t.Fatalf("%q became %s", s, n)
		}
	})
}
