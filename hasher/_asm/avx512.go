package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// avx512 has 32 registers: 16 hold the schedule, 8 the state.
type avx512 struct {
	tables constants
	ones   GPVirtual
}

func newAVX512(t constants) *avx512 { return &avx512{tables: t} }

func (v *avx512) name() string { return "avx512" }
func (v *avx512) lanes() int   { return 16 }

func (v *avx512) prepare() {
	v.ones = GP64()
	MOVQ(I32(-1), v.ones)
}

func (v *avx512) finish() { VZEROUPPER() }

func (v *avx512) load(source func(l int) block) (words [16]Op) {
	r, t := zmm[:16], zmm[16:]
	for l, z := range r {
		b := source(l)
		if !b.padded {
			VMOVDQU32(b.at, z)
			continue
		}
		mask := GP64()
		BZHIQ(b.n, v.ones, mask)
		KMOVQ(mask, K1)
		VMOVDQU8_Z(b.at, K1, z)
		SHLQ(U8(6), b.n)
		VPORQ(b.pad.Idx(b.n, 1), z, z)
	}
	transpose16(r, t)
	for i, z := range r {
		VPSHUFB(v.tables.bswap, z, z)
		words[i] = z
	}
	return words
}

// transpose16 turns 16 rows of 16 words in r into columns. t is scratch.
func transpose16(r, t []VecPhysical) {
	for i := 0; i < 16; i += 2 {
		VPUNPCKLDQ(r[i+1], r[i], t[i])
		VPUNPCKHDQ(r[i+1], r[i], t[i+1])
	}
	for i := 0; i < 16; i += 4 {
		VPUNPCKLQDQ(t[i+2], t[i], r[i])
		VPUNPCKHQDQ(t[i+2], t[i], r[i+1])
		VPUNPCKLQDQ(t[i+3], t[i+1], r[i+2])
		VPUNPCKHQDQ(t[i+3], t[i+1], r[i+3])
	}
	const even, odd = U8(0x88), U8(0xdd)
	for i := range 4 {
		VSHUFI32X4(even, r[i+4], r[i], t[i])
		VSHUFI32X4(odd, r[i+4], r[i], t[i+4])
		VSHUFI32X4(even, r[i+12], r[i+8], t[i+8])
		VSHUFI32X4(odd, r[i+12], r[i+8], t[i+12])
	}
	for i := range 4 {
		VSHUFI32X4(even, t[i+8], t[i], r[i])
		VSHUFI32X4(odd, t[i+8], t[i], r[i+8])
		VSHUFI32X4(even, t[i+12], t[i+4], r[i+4])
		VSHUFI32X4(odd, t[i+12], t[i+4], r[i+12])
	}
}

func (v *avx512) inner() [8]VecPhysical { return [8]VecPhysical(zmm[16:]) }

// outer leaves the inner state where it is, as words 0..7, and takes the registers
// of the inner words for its own state.
func (v *avx512) outer(inner [8]VecPhysical) (state [8]VecPhysical, words [16]Op) {
	for i, r := range inner {
		words[i] = r
		words[8+i] = zmm[8+i]
	}
	return [8]VecPhysical(zmm[:8]), words
}

func (v *avx512) temps() [3]VecPhysical { return [3]VecPhysical{Z24, Z25, Z26} }

func (v *avx512) accumulate(slot Op) VecPhysical { return slot.(VecPhysical) }

func (v *avx512) broadcast(m Mem, dst VecPhysical)    { VPBROADCASTD(m, dst) }
func (v *avx512) addBroadcast(m Mem, dst VecPhysical) { VPADDD_BCST(m, dst, dst) }
func (v *avx512) add(x Op, dst VecPhysical)           { VPADDD(x, dst, dst) }
func (v *avx512) move(src, dst Op)                    { VMOVDQU32(src, dst) }

func (v *avx512) sigma(x Op, a, b, c int, shift bool, dst VecPhysical) {
	const xor3 = U8(0x96)
	VPRORD(U8(a), x, dst)
	VPRORD(U8(b), x, Z30)
	if shift {
		VPSRLD(U8(c), x, Z31)
	} else {
		VPRORD(U8(c), x, Z31)
	}
	VPTERNLOGD(xor3, Z31, Z30, dst)
}

func (v *avx512) choose(e, f, g, dst VecPhysical) {
	VMOVDQA32(e, dst)
	VPTERNLOGD(U8(0xca), g, f, dst)
}

func (v *avx512) majority(a, b, c, dst VecPhysical) {
	VMOVDQA32(a, dst)
	VPTERNLOGD(U8(0xe8), c, b, dst)
}

func (v *avx512) store(four [4]VecPhysical, dst func(l int) Mem) {
	t := [4]VecPhysical{Z24, Z25, Z26, Z27}
	for _, r := range four {
		VPSHUFB(v.tables.bswap, r, r)
	}
	VPUNPCKLDQ(four[1], four[0], t[0])
	VPUNPCKHDQ(four[1], four[0], t[1])
	VPUNPCKLDQ(four[3], four[2], t[2])
	VPUNPCKHDQ(four[3], four[2], t[3])
	VPUNPCKLQDQ(t[2], t[0], four[0]) // lanes 0, 4, 8, 12
	VPUNPCKHQDQ(t[2], t[0], four[1])
	VPUNPCKLQDQ(t[3], t[1], four[2])
	VPUNPCKHQDQ(t[3], t[1], four[3])
	for l := range 16 {
		VEXTRACTI32X4(U8(l/4), four[l%4], dst(l))
	}
}
