package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// classify writes the sorting of messages by length, 16 at a time:
//
//	func(offs *uint32, groups int, shortest uint32, short, one, long *uint32) (shorts, ones, longs int)
//
// The numbers of the messages, from 0 on, go to short if they have fewer than
// shortest bytes, to long if they have more than maxOne, else to one. Each list
// must have room for all, and 16 more.
func classify() {
	TEXT("avx512Classify", NOSPLIT, "func(offs *uint32, groups int, shortest uint32, short, one, long *uint32) (shorts, ones, longs int)")
	Doc("avx512Classify sorts the numbers of 16 messages per group by class.")
	Pragma("noescape")
	offs, groups := Load(Param("offs"), GP64()), Load(Param("groups"), GP64())
	shortest := Load(Param("shortest"), GP32())
	most := GP32()
	MOVL(U32(maxOne), most)
	number, step, low, high := Z0, Z1, Z2, Z3
	VPBROADCASTD(shortest, low)
	VPBROADCASTD(most, high)
	MOVL(U32(16), most)
	VPBROADCASTD(most, step)
	first := make([]uint32, 16)
	for i := range first {
		first[i] = uint32(i)
	}
	VMOVDQU32(words("numbers", first), number)

	lists := []struct {
		name  string
		mask  Register
		at, n GPVirtual
	}{{"short", K1, GP64(), GP64()}, {"long", K2, GP64(), GP64()}, {"one", K3, GP64(), GP64()}}
	for _, l := range lists {
		Load(Param(l.name), l.at)
		XORQ(l.n, l.n)
	}

	Label("group")
	length := Z4
	VMOVDQU32(Mem{Base: offs, Disp: 4}, length)
	VPSUBD(Mem{Base: offs}, length, length)
	const less, greater = U8(1), U8(6)
	VPCMPUD(less, low, length, K1)
	VPCMPUD(greater, high, length, K2)
	KORW(K1, K2, K3)
	KNOTW(K3, K3)
	for i, l := range lists {
		packed, count := zmm[5+i], GP32()
		VPCOMPRESSD_Z(number, l.mask, packed)
		VMOVDQU32(packed, Mem{Base: l.at, Index: l.n, Scale: 4})
		KMOVW(l.mask, count)
		POPCNTL(count, count)
		ADDQ(count.As64(), l.n)
	}
	VPADDD(step, number, number)
	ADDQ(U8(64), offs)
	DECQ(groups)
	JNE(LabelRef("group"))
	for _, l := range lists {
		Store(l.n, Return(l.name+"s"))
	}
	VZEROUPPER()
	RET()
}
