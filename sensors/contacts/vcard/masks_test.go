package vcard

import (
	"math/rand/v2"
	"testing"
)

// TestMasks compares what the machine's own instructions find with the
// specification, for every byte at every place and for noise.
func TestMasks(t *testing.T) {
	check := func(b []byte) {
		t.Helper()
		var got, want masks
		got.find(b)
		want.findGo(b)
		if got != want {
			t.Fatalf("got %+v, want %+v for %x", got, want, b)
		}
	}
	b := make([]byte, 64)
	for i := range b {
		for c := range 256 {
			b[i] = byte(c)
			check(b)
		}
		b[i] = "\n\r=.tE \xff"[i%8]
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		for i := range b {
			b[i] = byte(rng.Uint32() >> (rng.Uint32() % 4))
		}
		check(b)
	}
}

// TestMasksByName says what each class is, one byte at a time.
func TestMasksByName(t *testing.T) {
	for c := range 256 {
		b := make([]byte, 64)
		b[17] = byte(c)
		var got masks
		got.findGo(b)
		const bit = 1 << 17
		var want masks
		switch c {
		case '\n':
			want.lf = bit
		case '\r':
			want.cr = bit
		case ' ', '\t', '=':
			want.soft = bit
		case '.':
			want.dot = bit
		case 't', 'T', 'e', 'E', 'b', 'B', 'a', 'A':
			want.letter = bit
		default:
			if c >= 0x80 {
				want.letter = bit
			}
		}
		if got != want {
			t.Errorf("byte %#x: got %+v, want %+v", c, got, want)
		}
	}
}
