package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// shani describes kernels on the SHA extensions: lanes messages interleaved, so
// that one message's rounds (latency 4) run while another's wait.
//
// Narrow kernels keep the schedule of two messages in X5..X12 and overwrite it in
// place. Wide ones keep four messages' in X16..X31 (AVX-512VL), reachable by moves
// only, and compute it two quads ahead of the rounds that use it. Both keep the
// upper halves of X0..X15 clean: SHA instructions are legacy SSE and pay dearly
// for dirty ones.
type shani struct {
	tables constants
	name   string
	lanes  int
	wide   bool
	plain  bool // SHA-256, 32 bytes out, instead of HMAC, 16 bytes out
	short  bool // messages of at most maxShort bytes: words 4..14 are known

	next   int         // temporary registers go round
	rows   GPVirtual   // base of the padding table
	shorts []GPVirtual // per lane: 32 * length, into the short rows of that table
}

var xmm = [32]VecPhysical{
	X0, X1, X2, X3, X4, X5, X6, X7, X8, X9, X10, X11, X12, X13, X14, X15,
	X16, X17, X18, X19, X20, X21, X22, X23, X24, X25, X26, X27, X28, X29, X30, X31,
}

var zmm = [32]VecPhysical{
	Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
}

// lead is how many quads the schedule of a wide kernel runs ahead.
const lead = 2

func (s *shani) abef(l int) VecPhysical { return xmm[1+2*l] }
func (s *shani) cdgh(l int) VecPhysical { return xmm[2+2*l] }

// quad is the register of words 4q..4q+3 of lane l.
func (s *shani) quad(l, q int) VecPhysical {
	if s.wide {
		return xmm[16+4*l+q%4]
	}
	return xmm[1+2*s.lanes+4*l+q%4]
}

func (s *shani) temp() VecPhysical {
	first := 1 + 2*s.lanes
	if !s.wide {
		first += 4 * s.lanes
	}
	s.next++
	return xmm[first+(s.next-1)%(16-first)]
}

func (s *shani) padding() Mem {
	if s.plain {
		return s.tables.plain
	}
	return s.tables.hmac
}

// step is one instruction, held back so that streams can be interleaved.
type step func()

// schedule returns the instructions that compute quad q of lane l from the four
// before. In the outer block, and in the inner one of short messages, quads of
// constants drop out.
func (s *shani) schedule(l, q int, outer bool) []step {
	if s.wide {
		return s.scheduleWide(l, q, outer)
	}
	m, w, t := s.quad(l, q), s.temp(), s.tables
	short := s.short && !outer
	align := func(newer, older Op) step { return func() { VPALIGNR(U8(4), older, newer, w) } }
	add := func() { PADDD(w, m) }
	msg1 := func(x Op) step { return func() { SHA256MSG1(x, m) } }
	msg2 := func(x Op) step { return func() { SHA256MSG2(x, m) } }
	switch {
	case outer && q == 4:
		return []step{msg1(s.quad(l, 1)), msg2(t.outerW.Offset(16))}
	case outer && q == 5:
		return []step{
			msg1(t.outerW), align(s.quad(l, 4), t.outerW.Offset(16)), add, msg2(s.quad(l, 4)),
		}
	case outer && q == 6:
		return []step{
			func() { VPALIGNR(U8(4), s.quad(l, 4), s.quad(l, 5), m) },
			func() { PADDD(t.outerMsg, m) }, msg2(s.quad(l, 5)),
		}
	case outer && q == 7:
		return []step{
			func() { VMOVDQU(t.outerW.Offset(16), m) }, msg1(s.quad(l, 4)),
			align(s.quad(l, 6), s.quad(l, 5)), add, msg2(s.quad(l, 6)),
		}
	case short && q == 4:
		return []step{msg1(t.zero), msg2(s.shortRow(l, 0))}
	case short && q == 5:
		return []step{func() { VPALIGNR(U8(4), s.shortRow(l, 0), s.quad(l, 4), m) }, msg2(s.quad(l, 4))}
	case short && q == 6:
		return []step{func() { VPALIGNR(U8(4), s.quad(l, 4), s.quad(l, 5), m) }, msg2(s.quad(l, 5))}
	case short && q == 7:
		return []step{
			func() { VMOVDQU(s.shortRow(l, 0), m) }, msg1(s.quad(l, 4)),
			align(s.quad(l, 6), s.quad(l, 5)), add, msg2(s.quad(l, 6)),
		}
	}
	return []step{align(s.quad(l, q-1), s.quad(l, q-2)), msg1(s.quad(l, q-3)), add, msg2(s.quad(l, q-1))}
}

func (s *shani) scheduleWide(l, q int, outer bool) []step {
	t, v, w := s.temp(), s.temp(), s.temp()
	short := s.short && !outer
	move := func(src, dst Op) step { return func() { VMOVDQA64(src, dst) } }
	load := func(src Op) step { return func() { VMOVDQU(src, t) } }
	align := func(older, newer Op, dst Op) step { return func() { VPALIGNR(U8(4), older, newer, dst) } }
	add := func() { VPADDD(w, t, t) }
	msg1 := func(x Op) step { return func() { SHA256MSG1(x, t) } }
	msg2 := func(x Op) step { return func() { SHA256MSG2(x, t) } }
	h := func(q int) Op { return s.quad(l, q) }
	done := move(t, h(q))
	c := s.tables
	switch {
	case outer && q == 4:
		return []step{move(h(0), t), move(h(1), v), msg1(v), msg2(c.outerW.Offset(16)), done}
	case outer && q == 5:
		return []step{
			move(h(1), t), msg1(c.outerW), move(h(4), v),
			align(c.outerW.Offset(16), v, w), add, msg2(v), done,
		}
	case outer && q == 6:
		return []step{
			move(h(5), v), align(h(4), v, t),
			func() { PADDD(c.outerMsg, t) }, msg2(v), done,
		}
	case outer && q == 7:
		return []step{
			load(c.outerW.Offset(16)), move(h(4), v), msg1(v), move(h(6), v),
			align(h(5), v, w), add, msg2(v), done,
		}
	case short && q == 4:
		return []step{move(h(0), t), msg1(c.zero), msg2(s.shortRow(l, 0)), done}
	case short && q == 5:
		return []step{move(h(4), v), align(s.shortRow(l, 0), v, t), msg2(v), done}
	case short && q == 6:
		return []step{move(h(5), v), align(h(4), v, t), msg2(v), done}
	case short && q == 7:
		return []step{
			load(s.shortRow(l, 0)), move(h(4), v), msg1(v), move(h(6), v),
			align(h(5), v, w), add, msg2(v), done,
		}
	}
	return []step{
		move(h(q-4), t), move(h(q-3), v), msg1(v), move(h(q-1), v),
		align(h(q-2), v, w), add, msg2(v), done,
	}
}

// shortRow addresses words 12..15 of a short message's block; 16 further, the same
// with the round constants added.
func (s *shani) shortRow(l, off int) Mem {
	return Mem{Base: s.rows, Index: s.shorts[l], Scale: 1, Disp: shortRows + off}
}

// rounds returns the four rounds of quad q.
func (s *shani) rounds(l, q int, outer bool) []step {
	a, c, t := s.abef(l), s.cdgh(l), s.tables
	first := func() { SHA256RNDS2(X0, a, c) }
	second := func() { SHA256RNDS2(X0, c, a) }
	known := func(wk Mem) []step {
		return []step{func() { VMOVDQU(wk, X0) }, first, func() { VMOVQ(wk.Offset(8), X0) }, second}
	}
	switch {
	case outer && (q == 2 || q == 3):
		return known(t.outerWK.Offset(16 * (q - 2)))
	case s.short && !outer && (q == 1 || q == 2):
		return known(t.k.Offset(16 * q))
	case s.short && !outer && q == 3:
		return known(s.shortRow(l, 16))
	}
	return []step{
		func() { VPADDD(t.k.Offset(16*q), s.quad(l, q), X0) }, first,
		func() { VPSHUFD(U8(0x0e), X0, X0) }, second,
	}
}

// weave interleaves two streams, two instructions at a time.
func weave(a, b []step) {
	for len(a) > 0 || len(b) > 0 {
		for range 2 {
			if len(a) > 0 {
				a[0]()
				a = a[1:]
			}
		}
		for range 2 {
			if len(b) > 0 {
				b[0]()
				b = b[1:]
			}
		}
	}
}

// compress runs the 64 rounds on all lanes, without adding the state from before.
func (s *shani) compress(outer bool) {
	if !s.wide {
		for q := range 16 {
			for l := range s.lanes {
				if q >= 4 {
					weave(s.schedule(l, q, outer), nil)
				}
				weave(s.rounds(l, q, outer), nil)
			}
		}
		return
	}
	for q := range 16 {
		ahead := make([][]step, s.lanes)
		if q+lead >= 4 && q+lead < 16 {
			for l := range s.lanes {
				ahead[l] = s.schedule(l, q+lead, outer)
			}
		}
		for l := range s.lanes {
			weave(s.rounds(l, q, outer), ahead[(l+s.lanes/2)%s.lanes])
		}
	}
}

// loadStates sets every lane's state to the one at m (ABEF, CDGH).
func (s *shani) loadStates(m Mem) {
	for l := range s.lanes {
		VMOVDQU(m, s.abef(l))
		VMOVDQU(m.Offset(16), s.cdgh(l))
	}
}

func (s *shani) addStates(m Mem) {
	for l := range s.lanes {
		VPADDD(m, s.abef(l), s.abef(l))
		VPADDD(m.Offset(16), s.cdgh(l), s.cdgh(l))
	}
}

// plainOrder puts lane l's state into the order A..H: x gets ABCD, y EFGH. y may
// be nil.
func (s *shani) plainOrder(l int, x, y VecPhysical) {
	t, u := s.temp(), s.temp()
	VPSHUFD(U8(0x1b), s.abef(l), t) // ABEF
	VPSHUFD(U8(0xb1), s.cdgh(l), u) // GHCD
	VPBLENDD(U8(0x0c), u, t, x)
	if y != nil {
		VPALIGNR(U8(8), t, u, y)
	}
}

// batch writes the kernel for messages of one block:
//
//	func(key *[16]uint32, data *byte, offs, idx *uint32, groups int, out *byte)
//
// It takes lanes messages per group, those whose numbers are at idx, and writes
// each one's result to its own place in out. key is the inner and the outer state.
func (s shani) batch() {
	TEXT(s.name, NOSPLIT, "func(key *[16]uint32, data *byte, offs, idx *uint32, groups int, out *byte)")
	size := 16
	if s.plain {
		size = 32
	}
	Doc(fmt.Sprintf("%s: %d interleaved messages a group on the SHA extensions, %d bytes out.", s.name, s.lanes, size))
	Pragma("noescape")
	key, data := Load(Param("key"), GP64()), Load(Param("data"), GP64())
	offs, idx := Load(Param("offs"), GP64()), Load(Param("idx"), GP64())
	groups, out := Load(Param("groups"), GP64()), Load(Param("out"), GP64())
	s.rows = alignedPad(s.padding())
	var scratch Mem
	if s.wide && !s.short {
		// A store that crosses a cache line is not forwarded to the loads after it.
		base := GP64()
		LEAQ(AllocLocal(64*s.lanes+64).Offset(63), base)
		ANDQ(I8(-64), base)
		scratch = Mem{Base: base}
	}
	keep := GP64() // what makes a mask of a n: see load
	if s.wide {
		MOVQ(I32(-1), keep)
	} else {
		LEAQ(s.tables.mask.Offset(64), keep)
	}
	VZEROUPPER()

	Label("group")
	s.shorts = nil
	for l := range s.lanes {
		at, n := GP64(), GP64()
		MOVL(Mem{Base: idx, Disp: 4 * l}, at.As32())
		locate(l, at, n, data, offs)
		s.load(l, Mem{Base: at}, n, keep, scratch)
	}
	if s.wide && !s.short {
		for q := range 4 {
			for l := range s.lanes {
				VMOVDQU64(scratch.Offset(64*l+16*q), s.quad(l, q))
			}
		}
	}
	inner, outer := Mem{Base: key}, Mem{Base: key, Disp: 32}
	s.loadStates(inner)
	s.compress(false)
	s.addStates(inner)
	if !s.plain {
		for l := range s.lanes {
			if s.wide {
				s.plainOrder(l, s.abef(l), s.cdgh(l))
				VMOVDQA64(s.abef(l), s.quad(l, 0))
				VMOVDQA64(s.cdgh(l), s.quad(l, 1))
			} else {
				s.plainOrder(l, s.quad(l, 0), s.quad(l, 1))
			}
		}
		s.loadStates(outer)
		s.compress(true)
		s.addStates(outer)
	}
	for l := range s.lanes {
		at := GP64()
		MOVL(Mem{Base: idx, Disp: 4 * l}, at.As32())
		x, y := s.abef(l), s.cdgh(l)
		if s.plain {
			SHLQ(U8(5), at)
			s.plainOrder(l, x, y)
			VPSHUFB(s.tables.bswap, y, y)
			VMOVDQU(y, Mem{Base: out, Index: at, Scale: 1, Disp: 16})
		} else {
			SHLQ(U8(4), at)
			s.plainOrder(l, x, nil)
		}
		VPSHUFB(s.tables.bswap, x, x)
		VMOVDQU(x, Mem{Base: out, Index: at, Scale: 1})
	}
	ADDQ(U8(4*s.lanes), idx)
	DECQ(groups)
	JNE(LabelRef("group"))
	if s.wide && !s.short {
		VPXORQ(Z16, Z16, Z16)
		for l := range s.lanes {
			VMOVDQU64(Z16, scratch.Offset(64*l)) // messages do not stay on the stack
		}
	}
	VZEROUPPER()
	RET()
}

// load pads the message of n bytes at m to a block, for lane l.
func (s *shani) load(l int, m Mem, n, keep GPVirtual, scratch Mem) {
	bswap := s.tables.bswap
	if s.short {
		x, mask := s.quad(l, 0), GP64()
		if s.wide {
			BZHIQ(n, keep, mask)
			KMOVQ(mask, K1)
			VMOVDQU8_Z(m, K1, x)
		} else {
			MOVQ(keep, mask)
			SUBQ(n, mask)
			VMOVDQU(m, x)
			VPAND(Mem{Base: mask}, x, x)
		}
		SHLQ(U8(5), n)
		row := Mem{Base: s.rows, Index: n, Scale: 2}
		if s.wide {
			VPORQ(row, x, x)
		} else {
			VPOR(row, x, x)
		}
		VPSHUFB(bswap, x, x)
		s.shorts = append(s.shorts, n)
		return
	}
	if s.wide {
		z, mask := zmm[16+4*l], GP64()
		BZHIQ(n, keep, mask)
		KMOVQ(mask, K1)
		VMOVDQU8_Z(m, K1, z)
		SHLQ(U8(6), n)
		VPORQ(Mem{Base: s.rows, Index: n, Scale: 1}, z, z)
		VPSHUFB(Mem{Base: s.rows, Disp: 64 * bswapRow}, z, z)
		VMOVDQU64(z, scratch.Offset(64*l))
		return
	}
	mask := GP64()
	MOVQ(keep, mask)
	SUBQ(n, mask)
	SHLQ(U8(6), n)
	for q := range 4 {
		x := s.quad(l, q)
		VMOVDQU(m.Offset(16*q), x)
		VPAND(Mem{Base: mask, Disp: 16 * q}, x, x)
		VPOR(Mem{Base: s.rows, Index: n, Scale: 1, Disp: 16 * q}, x, x)
		VPSHUFB(bswap, x, x)
	}
}

// blocks writes the kernel for whole blocks of longer messages:
//
//	func(states *uint32, blocks **byte, n int)
//
// Lane l's state is eight words at states[8*l]; it takes in n blocks of 64 bytes
// from blocks[l] on.
func (s shani) blocks() {
	TEXT(s.name, NOSPLIT, "func(states *uint32, blocks **byte, n int)")
	Doc(fmt.Sprintf("%s takes n blocks into each of %d states of eight words.", s.name, s.lanes))
	Pragma("noescape")
	states, blocks := Load(Param("states"), GP64()), Load(Param("blocks"), GP64())
	n, off := Load(Param("n"), GP64()), GP64()
	XORQ(off, off)
	VZEROUPPER()

	Label("group")
	for l := range s.lanes {
		m, x, y := GP64(), s.abef(l), s.cdgh(l)
		MOVQ(Mem{Base: blocks, Disp: 8 * l}, m)
		for q := range 4 {
			t := s.quad(l, q)
			if s.wide {
				VMOVDQU32(Mem{Base: m, Index: off, Scale: 1, Disp: 16 * q}, t)
			} else {
				VMOVDQU(Mem{Base: m, Index: off, Scale: 1, Disp: 16 * q}, t)
			}
			VPSHUFB(s.tables.bswap, t, t)
		}
		t, u := s.temp(), s.temp()
		VPSHUFD(U8(0xb1), Mem{Base: states, Disp: 32 * l}, t)    // BADC
		VPSHUFD(U8(0x1b), Mem{Base: states, Disp: 32*l + 16}, u) // HGFE
		VPALIGNR(U8(8), u, t, x)                                 // FEBA
		VPBLENDD(U8(0x0c), t, u, y)                              // HGDC
	}
	s.compress(false)
	for l := range s.lanes {
		x, y := s.abef(l), s.cdgh(l)
		s.plainOrder(l, x, y)
		VPADDD(Mem{Base: states, Disp: 32 * l}, x, x)
		VPADDD(Mem{Base: states, Disp: 32*l + 16}, y, y)
		VMOVDQU(x, Mem{Base: states, Disp: 32 * l})
		VMOVDQU(y, Mem{Base: states, Disp: 32*l + 16})
	}
	ADDQ(U8(64), off)
	DECQ(n)
	JNE(LabelRef("group"))
	VZEROUPPER()
	RET()
}
