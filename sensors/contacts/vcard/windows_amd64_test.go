//go:build !purego

package vcard

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// is marks the bytes of x that are c. All marks are exact.
func is(x uint64, c byte) uint64 {
	x ^= uint64(c) * ones
	return ^((x&^highs + 0x7f*ones) | x) & highs
}

// advanceGo is the specification of advance. It goes on to the next 64 bytes in
// which there is an event.
func (w *window) advanceGo(b []byte) {
	for {
		beforeLF, beforeDot, beforeCR, beforeSoft := w.lf>>63, w.dot>>63, w.cr>>63, w.soft
		if w.lf != 0 {
			w.line += bits.OnesCount64(w.lf)
			last := 63 - bits.LeadingZeros64(w.lf)
			w.prev, w.start = w.start, w.base+last+1
			if rest := w.lf &^ (1 << last); rest != 0 {
				w.prev = w.base + 64 - bits.LeadingZeros64(rest)
			}
		}
		w.lf, w.cr, w.soft, w.dot, w.events = 0, 0, 0, 0, 0
		if w.base += 64; w.base+64 > len(b) {
			return
		}
		var letter uint64
		for i := 0; i < 64; i += 8 {
			x := binary.LittleEndian.Uint64(b[w.base+i:])
			lower := x | 0x20*ones
			w.lf |= gather(is(x, '\n')) << i
			w.cr |= gather(is(x, '\r')) << i
			w.soft |= gather(is(x, '=')|is(x, ' ')|is(x, '\t')) << i
			w.dot |= gather(is(x, '.')) << i
			letter |= gather(is(lower, 't')|is(lower, 'e')|is(lower, 'b')|is(lower, 'a')|x&highs) << i
		}
		behindLF, behindCR := w.lf<<1|beforeLF, w.cr<<1|beforeCR
		w.events = letter&(behindLF|w.dot<<1|beforeDot) |
			w.soft&behindLF |
			w.lf&(w.soft<<1|beforeSoft>>63|behindCR&(w.soft<<2|beforeSoft>>62)) |
			behindCR&^w.lf
		if w.events != 0 {
			return
		}
	}
}

// TestAdvance compares what the machine's own instructions find with the
// specification, for every byte at every place and for noise of all densities.
func TestAdvance(t *testing.T) {
	if !useAVX2 {
		t.Skip("MISSING: AVX2")
	}
	check := func(b []byte, pos int) {
		t.Helper()
		var got, want window
		got.enter(pos, 1)
		want.enter(pos, 1)
		for range len(b)/64 + 2 {
			got.advance(b)
			want.advanceGo(b)
			got.limit = 0
			if got.base+64 > len(b) && want.base == got.base {
				want.lf, want.cr, want.soft, want.dot = got.lf, got.cr, got.soft, got.dot // not looked at any more
			}
			if got != want {
				t.Fatalf("at %d:\ngot  %+v\nwant %+v\nfor %q", pos, got, want, b)
			}
			if got.base+64 > len(b) {
				return
			}
		}
		t.Fatal("no end")
	}
	b := bytes.Repeat([]byte{'x'}, 200)
	for i := range 130 {
		for c := range 256 {
			b[i] = byte(c)
			check(b, 0)
		}
		b[i] = "\n\r=.tE \xffxxxxxxxxx"[i%17]
	}
	rng := rand.New(rand.NewPCG(1, 2))
	const classes = "\n\r=. \tTeBaxX:;\x80\xff\x00"
	for n := range 20000 {
		for i := range b {
			if b[i] = 'x'; rng.IntN(200) < 1+n%100 {
				b[i] = classes[rng.IntN(len(classes))]
			}
		}
		check(b[:64+rng.IntN(137)], rng.IntN(10))
	}
}

// TestEvents says what the events are, one case at a time.
func TestEvents(t *testing.T) {
	if !useAVX2 {
		t.Skip("MISSING: AVX2")
	}
	for in, want := range map[string][]int{
		"TEL":               {0},
		"FN:x\nTEL":         {5},
		"FN:x\r\nemail":     {6},
		"FN:x\nitem1.TEL":   {11},
		"FN:x\n\xef\xbb":    {5},
		"N:x\n fold":        {4},
		"N:x\r\n\tfold":     {5},
		"N:x=\nN:y":         {4},
		"N:x=\r\nN:y":       {5},
		"N:x= \t\r\nN:y":    {7},
		"N:x\rN:y":          {4},
		"N:x\r\r\nN:y":      {4},
		"N:x\nFN:y\nX-TEL:": nil,
		"\r\n\r\nN":         nil,
	} {
		b := append([]byte(in), bytes.Repeat([]byte("x"), 64-len(in))...)
		var w window
		w.enter(0, 1)
		w.advance(b)
		var got []int
		for i := range 64 {
			if w.events>>i&1 != 0 {
				got = append(got, i)
			}
		}
		if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
			t.Errorf("%q: events at %v, want %v", in, got, want)
		}
	}
}
