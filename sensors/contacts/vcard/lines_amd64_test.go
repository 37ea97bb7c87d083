//go:build !purego

package vcard

import (
	"math/rand/v2"
	"testing"
)

// TestClasses compares the marks with what they stand for, for every byte at
// every place and for noise.
func TestClasses(t *testing.T) {
	if !useAVX2 {
		t.Skip("MISSING: AVX2")
	}
	check := func(b []byte) {
		t.Helper()
		var colon, special, high uint64
		for i, c := range b {
			switch bit := uint64(1) << i; {
			case c == ':':
				colon |= bit
			case c >= 0x80:
				high |= bit
			case c < ' ' || c == '\\':
				special |= bit
			}
		}
		if a, b, c := classesAVX2(&b[0]); a != colon || b != special || c != high {
			t.Fatalf("got %x, %x, %x, want %x, %x, %x", a, b, c, colon, special, high)
		}
	}
	b := make([]byte, 64)
	for i := range b {
		for c := range 256 {
			clear(b)
			b[i] = byte(c)
			check(b)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		check(b)
	}
}

// TestCountLow counts where every byte is low, more often than a byte can count,
// and in noise of all lengths.
func TestCountLow(t *testing.T) {
	if !useAVX2 {
		t.Skip("MISSING: AVX2")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 700 {
		b := make([]byte, n)
		want := 0
		for i := range b {
			if b[i] = byte(rng.Uint32N(0x20)) | byte(rng.Uint32())&0x80; b[i] < 0x10 {
				want++
			}
		}
		if got := countLow(b); got != want {
			t.Fatalf("%d bytes: %d, want %d", n, got, want)
		}
	}
	for _, n := range []int{1 << 16, 1<<20 + 127} {
		if got := countLow(make([]byte, n)); got != n {
			t.Fatalf("%d zero bytes: %d", n, got)
		}
	}
}
