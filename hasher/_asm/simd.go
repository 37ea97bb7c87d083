package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// simd describes kernels for CPUs without SHA extensions: one message per 32-bit
// lane, so that each vector operation does one step of all messages.
type simd struct {
	isa
	tables constants
	name   string
	plain  bool // SHA-256, 32 bytes out, instead of HMAC, 16 bytes out

	state [8]VecPhysical // A..H as of round 0; they change roles with each round
	words [16]word       // the schedule's ring
	loops int            // labels so far
}

// word is a word of the message schedule: in a vector of its own, or the same
// known value in all lanes.
type word struct {
	at    Op
	known bool
	value uint32
}

// isa is what AVX-512 and AVX2 do differently.
type isa interface {
	name() string
	lanes() int
	// prepare comes first in a kernel, before the loop.
	prepare()
	// finish wipes what holds messages, and ends the kernel.
	finish()
	// load makes words 0..15 of the block of lane l from what source(l) says, big
	// endian, and returns their places.
	load(source func(l int) block) [16]Op
	// inner and outer return the registers of the states of the two blocks, and
	// where the outer block's words 0..7 are when the inner's state is complete.
	inner() [8]VecPhysical
	outer(inner [8]VecPhysical) (state [8]VecPhysical, words [16]Op)

	broadcast(m Mem, dst VecPhysical)
	addBroadcast(m Mem, dst VecPhysical)
	add(x Op, dst VecPhysical)
	move(src, dst Op)
	// sigma sets dst to x rotated by the first two numbers and, xored, rotated (or
	// if shift, shifted) by the third.
	sigma(x Op, a, b, c int, shift bool, dst VecPhysical)
	choose(e, f, g, dst VecPhysical)
	majority(a, b, c, dst VecPhysical)
	temps() [3]VecPhysical
	// accumulate returns the register in which word i is to be computed.
	accumulate(slot Op) VecPhysical
	// store writes four state words of all lanes, each lane's 16 bytes to
	// dst(lane).
	store(four [4]VecPhysical, dst func(l int) Mem)
}

// block says where a lane's message is. mask and row are only set for a message
// that is to be padded.
type block struct {
	at     Mem
	n      GPVirtual // bytes of the message
	padded bool
	pad    Mem // padding table
}

// round does round i with the constant at k.
func (s *simd) round(i int, k Mem) {
	at := func(j int) VecPhysical { return s.state[(j-i)&7] }
	a, b, c, d := at(0), at(1), at(2), at(3)
	e, f, g, h := at(4), at(5), at(6), at(7)
	t := s.temps()
	w := s.words[i&15]
	if w.known && w.value != 0 {
		s.addBroadcast(s.tables.outerWK.Offset(4*(i-8)), h)
	} else {
		s.addBroadcast(k, h)
	}
	if !w.known {
		s.add(w.at, h)
	}
	s.sigma(e, 6, 11, 25, false, t[0])
	s.choose(e, f, g, t[1])
	s.add(t[0], h)
	s.add(t[1], h)
	s.add(h, d)
	s.sigma(a, 2, 13, 22, false, t[0])
	s.majority(a, b, c, t[1])
	s.add(t[0], h)
	s.add(t[1], h)
}

// schedule computes word i in place of word i-16. Known words are folded into one
// constant, and vanish when that is zero.
func (s *simd) schedule(i int) {
	slot := &s.words[i&15]
	acc := s.accumulate(slot.at)
	sum, first := uint32(0), true
	plain := func(w word) {
		switch {
		case w.known:
			sum += w.value
		case first:
			if w.at != Op(acc) {
				s.move(w.at, acc)
			}
			first = false
		default:
			s.add(w.at, acc)
		}
	}
	sigma := func(w word, a, b, c int, known func(uint32) uint32) {
		switch {
		case w.known:
			sum += known(w.value)
		case first:
			s.sigma(w.at, a, b, c, true, acc)
			first = false
		default:
			t := s.temps()[0]
			s.sigma(w.at, a, b, c, true, t)
			s.add(t, acc)
		}
	}
	plain(*slot)
	plain(s.words[(i-7)&15])
	sigma(s.words[(i-15)&15], 7, 18, 3, sigma0)
	sigma(s.words[(i-2)&15], 17, 19, 10, sigma1)
	if sum != 0 {
		s.addBroadcast(s.folded(sum), acc)
	}
	if slot.at != Op(acc) {
		s.move(acc, slot.at)
	}
	slot.known = false
}

func (s *simd) folded(sum uint32) Mem {
	for i, w := range foldedWords {
		if w == sum {
			return s.tables.folded.Offset(4 * i)
		}
	}
	panic(fmt.Sprintf("%s: no folded constant %#x", s.name, sum))
}

// compress runs the 64 rounds. From where no word is known any more, it is a loop
// of 16 rounds: unrolled, two blocks' rounds would not fit the instruction cache.
func (s *simd) compress() {
	for i := range 16 {
		s.round(i, s.tables.k.Offset(4*i))
	}
	i := 16
	for ; i < 64 && s.anyKnown(); i++ {
		s.schedule(i)
		s.round(i, s.tables.k.Offset(4*i))
	}
	if i%16 != 0 {
		panic("the ring and the roles come round every 16 rounds")
	}
	k, turns := GP64(), GP64()
	LEAQ(s.tables.k.Offset(4*i), k)
	MOVQ(U32((64-i)/16), turns)
	s.loops++
	again := fmt.Sprintf("rounds%d", s.loops)
	Label(again)
	for i := range 16 {
		s.schedule(16 + i)
		s.round(16+i, Mem{Base: k, Disp: 4 * i})
	}
	ADDQ(U8(64), k)
	DECQ(turns)
	JNE(LabelRef(again))
}

func (s *simd) anyKnown() bool {
	for _, w := range s.words {
		if w.known {
			return true
		}
	}
	return false
}

// batch writes a kernel like shani.batch does.
func (s simd) batch() {
	TEXT(s.name, NOSPLIT, "func(key *[16]uint32, data *byte, offs, idx *uint32, groups int, out *byte)")
	size, pad := 16, s.tables.hmac
	if s.plain {
		size, pad = 32, s.tables.plain
	}
	Doc(fmt.Sprintf("%s: a message in each of %d lanes, %d bytes out.", s.name, s.lanes(), size))
	Pragma("noescape")
	key, data := Load(Param("key"), GP64()), Load(Param("data"), GP64())
	offs, idx := Load(Param("offs"), GP64()), Load(Param("idx"), GP64())
	groups, out := Load(Param("groups"), GP64()), Load(Param("out"), GP64())
	rows := alignedPad(pad)
	s.prepare()

	Label("group")
	source := func(l int) block {
		at, n := GP64(), GP64()
		MOVL(Mem{Base: idx, Disp: 4 * l}, at.As32())
		locate(l, at, n, data, offs)
		return block{at: Mem{Base: at}, n: n, padded: true, pad: Mem{Base: rows}}
	}
	for i, at := range s.load(source) {
		s.words[i] = word{at: at}
	}
	s.state = s.inner()
	s.run(Mem{Base: key})
	if !s.plain {
		state, words := s.outer(s.state)
		for i, at := range words {
			s.words[i] = word{at: at, known: i >= 8}
		}
		s.words[8].value, s.words[15].value = outer8, outer15
		s.state = state
		s.run(Mem{Base: key, Disp: 32})
	}
	for half := range size / 16 {
		s.store([4]VecPhysical(s.state[4*half:]), func(l int) Mem {
			at := GP64()
			MOVL(Mem{Base: idx, Disp: 4 * l}, at.As32())
			SHLQ(U8(bits.TrailingZeros(uint(size))), at)
			return Mem{Base: out, Index: at, Scale: 1, Disp: 16 * half}
		})
	}
	ADDQ(U8(4*s.lanes()), idx)
	DECQ(groups)
	JNE(LabelRef("group"))
	s.finish()
	RET()
}

// run compresses from the state at m, the same for all lanes.
func (s *simd) run(m Mem) {
	for i, r := range s.state {
		s.broadcast(m.Offset(4*i), r)
	}
	s.compress()
	for i, r := range s.state {
		s.addBroadcast(m.Offset(4*i), r)
	}
}

// blocks writes a kernel like shani.blocks does, but word w of lane l's state is
// states[w*lanes+l].
func (s simd) blocks() {
	TEXT(s.name, NOSPLIT, "func(states *uint32, blocks **byte, n int)")
	Doc(fmt.Sprintf("%s takes n blocks into each of %d states, which lie word by word.", s.name, s.lanes()))
	Pragma("noescape")
	states, blocks := Load(Param("states"), GP64()), Load(Param("blocks"), GP64())
	n, off := Load(Param("n"), GP64()), GP64()
	XORQ(off, off)
	s.prepare()

	Label("group")
	for i, at := range s.load(func(l int) block {
		m := GP64()
		MOVQ(Mem{Base: blocks, Disp: 8 * l}, m)
		return block{at: Mem{Base: m, Index: off, Scale: 1}}
	}) {
		s.words[i] = word{at: at}
	}
	s.state = s.inner()
	at := func(i int) Mem { return Mem{Base: states, Disp: 4 * s.lanes() * i} }
	for i, r := range s.state {
		s.move(at(i), r)
	}
	s.compress()
	for i, r := range s.state {
		s.add(at(i), r)
		s.move(r, at(i))
	}
	ADDQ(U8(64), off)
	DECQ(n)
	JNE(LabelRef("group"))
	s.finish()
	RET()
}
