//go:build !purego

#include "textflag.h"

// Thirty-two times the same byte.
#define SAME(name, word) \
	DATA  name<>+0(SB)/8, word;  \
	DATA  name<>+8(SB)/8, word;  \
	DATA  name<>+16(SB)/8, word; \
	DATA  name<>+24(SB)/8, word; \
	GLOBL name<>(SB), RODATA|NOPTR, $32

SAME(lf, $0x0a0a0a0a0a0a0a0a)
SAME(cr, $0x0d0d0d0d0d0d0d0d)
SAME(tab, $0x0909090909090909)
SAME(space, $0x2020202020202020)
SAME(dot, $0x2e2e2e2e2e2e2e2e)
SAME(equals, $0x3d3d3d3d3d3d3d3d)
SAME(letterA, $0x6161616161616161)
SAME(letterB, $0x6262626262626262)
SAME(letterE, $0x6565656565656565)
SAME(letterT, $0x7474747474747474)

// STORE gathers the sign bits of lo and hi into the mask at off.
#define STORE(lo, hi, off) \
	VPMOVMSKB lo, AX;   \
	VPMOVMSKB hi, BX;   \
	SHLQ      $32, BX;  \
	ORQ       BX, AX;   \
	MOVQ      AX, off(DI)

// func masksAVX2(b *byte, m *masks)
TEXT ·masksAVX2(SB), NOSPLIT, $0-16
	MOVQ b+0(FP), SI
	MOVQ m+8(FP), DI

	VMOVDQU 0(SI), Y0
	VMOVDQU 32(SI), Y1

	VPCMPEQB lf<>(SB), Y0, Y2
	VPCMPEQB lf<>(SB), Y1, Y3
	STORE(Y2, Y3, 0)

	VPCMPEQB cr<>(SB), Y0, Y2
	VPCMPEQB cr<>(SB), Y1, Y3
	STORE(Y2, Y3, 8)

	VPCMPEQB equals<>(SB), Y0, Y2
	VPCMPEQB equals<>(SB), Y1, Y3
	VPCMPEQB space<>(SB), Y0, Y4
	VPCMPEQB space<>(SB), Y1, Y5
	VPOR     Y4, Y2, Y2
	VPOR     Y5, Y3, Y3
	VPCMPEQB tab<>(SB), Y0, Y4
	VPCMPEQB tab<>(SB), Y1, Y5
	VPOR     Y4, Y2, Y2
	VPOR     Y5, Y3, Y3
	STORE(Y2, Y3, 16)

	VPCMPEQB dot<>(SB), Y0, Y2
	VPCMPEQB dot<>(SB), Y1, Y3
	STORE(Y2, Y3, 24)

	// Letters without regard to case; bytes from 0x80 have their sign already.
	VPOR     space<>(SB), Y0, Y6
	VPOR     space<>(SB), Y1, Y7
	VPCMPEQB letterT<>(SB), Y6, Y4
	VPCMPEQB letterT<>(SB), Y7, Y5
	VPOR     Y4, Y0, Y0
	VPOR     Y5, Y1, Y1
	VPCMPEQB letterE<>(SB), Y6, Y4
	VPCMPEQB letterE<>(SB), Y7, Y5
	VPOR     Y4, Y0, Y0
	VPOR     Y5, Y1, Y1
	VPCMPEQB letterB<>(SB), Y6, Y4
	VPCMPEQB letterB<>(SB), Y7, Y5
	VPOR     Y4, Y0, Y0
	VPOR     Y5, Y1, Y1
	VPCMPEQB letterA<>(SB), Y6, Y4
	VPCMPEQB letterA<>(SB), Y7, Y5
	VPOR     Y4, Y0, Y0
	VPOR     Y5, Y1, Y1
	STORE(Y0, Y1, 32)

	VZEROUPPER
	RET
