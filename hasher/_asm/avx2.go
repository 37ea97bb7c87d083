package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// avx2 has 16 registers: 8 hold the state, the schedule lies on the stack.
type avx2 struct {
	tables constants
	frame  Mem // 16 vectors
	keep   GPVirtual
}

var ymm = [16]VecPhysical{
	Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15,
}

func newAVX2(t constants) *avx2 { return &avx2{tables: t} }

func (v *avx2) name() string { return "avx2" }
func (v *avx2) lanes() int   { return 8 }

func (v *avx2) prepare() {
	base := GP64() // aligned: half of the accesses would cross a cache line
	LEAQ(AllocLocal(16*32+64).Offset(63), base)
	ANDQ(I8(-64), base)
	v.frame = Mem{Base: base}
	v.keep = GP64()
	LEAQ(v.tables.mask.Offset(64), v.keep)
}

func (v *avx2) finish() {
	VPXOR(Y0, Y0, Y0)
	for i := range 16 {
		VMOVDQU(Y0, v.frame.Offset(32*i))
	}
	VZEROUPPER()
}

// load works on halves of the blocks: eight words of eight lanes fill the
// registers.
func (v *avx2) load(source func(l int) block) (words [16]Op) {
	r, t := ymm[:8], ymm[8:]
	for half := range 2 {
		for l, y := range r {
			b := source(l)
			VMOVDQU(b.at.Offset(32*half), y)
			if !b.padded {
				continue
			}
			mask := GP64()
			MOVQ(v.keep, mask)
			SUBQ(b.n, mask)
			VPAND(Mem{Base: mask, Disp: 32 * half}, y, y)
			SHLQ(U8(6), b.n)
			VPOR(b.pad.Idx(b.n, 1).Offset(32*half), y, y)
		}
		transpose8(r, t)
		for i, y := range r {
			at := v.frame.Offset(32 * (8*half + i))
			VPSHUFB(v.tables.bswap, y, y)
			VMOVDQU(y, at)
			words[8*half+i] = at
		}
	}
	return words
}

// transpose8 turns 8 rows of 8 words in r into columns. t is scratch.
func transpose8(r, t []VecPhysical) {
	for i := 0; i < 8; i += 2 {
		VPUNPCKLDQ(r[i+1], r[i], t[i])
		VPUNPCKHDQ(r[i+1], r[i], t[i+1])
	}
	for i := 0; i < 8; i += 4 {
		VPUNPCKLQDQ(t[i+2], t[i], r[i])
		VPUNPCKHQDQ(t[i+2], t[i], r[i+1])
		VPUNPCKLQDQ(t[i+3], t[i+1], r[i+2])
		VPUNPCKHQDQ(t[i+3], t[i+1], r[i+3])
	}
	for i := range 4 {
		VPERM2I128(U8(0x20), r[i+4], r[i], ymm[8+i])
	}
	for i := range 4 {
		VPERM2I128(U8(0x31), r[i+4], r[i], r[i+4])
		VMOVDQA(ymm[8+i], r[i])
	}
}

func (v *avx2) inner() [8]VecPhysical { return [8]VecPhysical(ymm[:]) }

func (v *avx2) outer(inner [8]VecPhysical) (state [8]VecPhysical, words [16]Op) {
	for i := range words {
		words[i] = v.frame.Offset(32 * i)
	}
	for i, r := range inner {
		VMOVDQU(r, words[i])
	}
	return inner, words
}

func (v *avx2) temps() [3]VecPhysical { return [3]VecPhysical{Y8, Y9, Y10} }

func (v *avx2) accumulate(Op) VecPhysical { return Y11 }

func (v *avx2) broadcast(m Mem, dst VecPhysical) { VPBROADCASTD(m, dst) }

func (v *avx2) addBroadcast(m Mem, dst VecPhysical) {
	VPBROADCASTD(m, Y15)
	VPADDD(Y15, dst, dst)
}

func (v *avx2) add(x Op, dst VecPhysical) { VPADDD(x, dst, dst) }
func (v *avx2) move(src, dst Op)          { VMOVDQU(src, dst) }

func (v *avx2) sigma(x Op, a, b, c int, shift bool, dst VecPhysical) {
	if _, ok := x.(Mem); ok {
		VMOVDQU(x, Y14)
		x = Y14
	}
	VPSRLD(U8(a), x, dst)
	VPSLLD(U8(32-a), x, Y12)
	VPSRLD(U8(b), x, Y13)
	VPXOR(Y12, dst, dst)
	VPSLLD(U8(32-b), x, Y12)
	VPXOR(Y13, dst, dst)
	VPSRLD(U8(c), x, Y13)
	VPXOR(Y12, dst, dst)
	if !shift {
		VPSLLD(U8(32-c), x, Y12)
		VPXOR(Y12, dst, dst)
	}
	VPXOR(Y13, dst, dst)
}

func (v *avx2) choose(e, f, g, dst VecPhysical) {
	VPXOR(f, g, dst)
	VPAND(e, dst, dst)
	VPXOR(g, dst, dst)
}

func (v *avx2) majority(a, b, c, dst VecPhysical) {
	// b ^ (a^b)&(b^c)
	VPXOR(a, b, dst)
	VPXOR(b, c, Y12)
	VPAND(Y12, dst, dst)
	VPXOR(b, dst, dst)
}

func (v *avx2) store(four [4]VecPhysical, dst func(l int) Mem) {
	t := [4]VecPhysical{Y8, Y9, Y10, Y11}
	for _, r := range four {
		VPSHUFB(v.tables.bswap, r, r)
	}
	VPUNPCKLDQ(four[1], four[0], t[0])
	VPUNPCKHDQ(four[1], four[0], t[1])
	VPUNPCKLDQ(four[3], four[2], t[2])
	VPUNPCKHDQ(four[3], four[2], t[3])
	VPUNPCKLQDQ(t[2], t[0], four[0]) // lanes 0, 4
	VPUNPCKHQDQ(t[2], t[0], four[1])
	VPUNPCKLQDQ(t[3], t[1], four[2])
	VPUNPCKHQDQ(t[3], t[1], four[3])
	for l := range 8 {
		if l < 4 {
			VMOVDQU(four[l].AsX(), dst(l))
		} else {
			VEXTRACTI128(U8(1), four[l%4], dst(l))
		}
	}
}
