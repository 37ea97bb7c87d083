//go:build !purego

#include "textflag.h"
#include "same_amd64.h"

SAME(colon, $0x3a3a3a3a3a3a3a3a)
SAME(backslash, $0x5c5c5c5c5c5c5c5c)
SAME(blank, $0x2020202020202020)
SAME(fifteen, $0x0f0f0f0f0f0f0f0f)

// GATHER puts the sign bits of lo and hi into to.
#define GATHER(lo, hi, to) \
	VPMOVMSKB lo, to;  \
	VPMOVMSKB hi, DX;  \
	SHLQ      $32, DX; \
	ORQ       DX, to

// func classesAVX2(b *byte) (colon, special, high uint64)
TEXT ·classesAVX2(SB), NOSPLIT, $0-32
	MOVQ    b+0(FP), SI
	VMOVDQU 0(SI), Y0
	VMOVDQU 32(SI), Y1

	VPCMPEQB colon<>(SB), Y0, Y2
	VPCMPEQB colon<>(SB), Y1, Y3
	GATHER(Y2, Y3, AX)

	// Compared as signed bytes, those from 0x80 are below a blank too.
	VMOVDQU  blank<>(SB), Y4
	VPCMPGTB Y0, Y4, Y2
	VPCMPGTB Y1, Y4, Y3
	VPCMPEQB backslash<>(SB), Y0, Y5
	VPCMPEQB backslash<>(SB), Y1, Y6
	VPOR     Y5, Y2, Y2
	VPOR     Y6, Y3, Y3
	GATHER(Y2, Y3, BX)
	GATHER(Y0, Y1, CX)
	VZEROUPPER

	MOVQ  CX, high+24(FP)
	NOTQ  CX
	ANDQ  CX, BX
	MOVQ  AX, colon+8(FP)
	MOVQ  BX, special+16(FP)
	RET

// func countLowAVX2(b *byte, n int) int
TEXT ·countLowAVX2(SB), NOSPLIT, $0-24
	MOVQ    b+0(FP), SI
	MOVQ    n+8(FP), CX
	VMOVDQU fifteen<>(SB), Y0
	VPXOR   Y1, Y1, Y1
	VPXOR   Y2, Y2, Y2 // the sums, in four quadwords

groups:
	// Each byte of Y3 to Y6 counts up to 32 of its places before it is added up.
	MOVQ  CX, DX
	CMPQ  DX, $32
	JLE   some
	MOVQ  $32, DX

some:
	SUBQ  DX, CX
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6

lines:
	VPMINUB  0(SI), Y0, Y7
	VPMINUB  32(SI), Y0, Y8
	VPMINUB  64(SI), Y0, Y9
	VPMINUB  96(SI), Y0, Y10
	VPCMPEQB 0(SI), Y7, Y7
	VPCMPEQB 32(SI), Y8, Y8
	VPCMPEQB 64(SI), Y9, Y9
	VPCMPEQB 96(SI), Y10, Y10
	VPSUBB   Y7, Y3, Y3
	VPSUBB   Y8, Y4, Y4
	VPSUBB   Y9, Y5, Y5
	VPSUBB   Y10, Y6, Y6
	ADDQ     $128, SI
	DECQ     DX
	JNZ      lines

	VPADDB  Y4, Y3, Y3
	VPADDB  Y6, Y5, Y5
	VPADDB  Y5, Y3, Y3
	VPSADBW Y1, Y3, Y3
	VPADDQ  Y3, Y2, Y2
	TESTQ   CX, CX
	JNZ     groups

	VEXTRACTI128 $1, Y2, X3
	VPADDQ       X3, X2, X2
	VPSRLDQ      $8, X2, X3
	VPADDQ       X3, X2, X2
	VMOVQ        X2, AX
	VZEROUPPER
	MOVQ         AX, ret+16(FP)
	RET
