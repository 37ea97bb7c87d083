//go:build !purego

#include "textflag.h"
#include "same_amd64.h"

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

// The fields of a window.
#define w_base   0
#define w_limit  8
#define w_start  16
#define w_prev   24
#define w_line   32
#define w_lf     40
#define w_cr     48
#define w_soft   56
#define w_dot    64
#define w_events 72

// The general registers: SI the bytes, DI the window, R8 base, R9 limit, R10
// start, R11 prev, R12 line; between two windows AX lf, BX cr, CX soft, DX dot.
#define LOAD \
	MOVQ b+0(FP), SI;      \
	MOVQ w+8(FP), DI;      \
	MOVQ w_base(DI), R8;   \
	MOVQ w_limit(DI), R9;  \
	MOVQ w_start(DI), R10; \
	MOVQ w_prev(DI), R11;  \
	MOVQ w_line(DI), R12;  \
	MOVQ w_lf(DI), AX;     \
	MOVQ w_cr(DI), BX;     \
	MOVQ w_soft(DI), CX;   \
	MOVQ w_dot(DI), DX

#define STORE \
	MOVQ R8, w_base(DI);   \
	MOVQ R10, w_start(DI); \
	MOVQ R11, w_prev(DI);  \
	MOVQ R12, w_line(DI);  \
	MOVQ AX, w_lf(DI);     \
	MOVQ BX, w_cr(DI);     \
	MOVQ CX, w_soft(DI);   \
	MOVQ DX, w_dot(DI);    \
	VZEROUPPER

// LEAVE keeps what the window says about the first bytes of the next: R13 LF
// before, DX LF or dot before, BX CR before, CX soft before and before that.
// Then it counts the lines that begin in the window.
#define LEAVE(done) \
	MOVQ    AX, R13;          \
	SHRQ    $63, R13;         \
	SHRQ    $63, DX;          \
	ORQ     R13, DX;          \
	SHRQ    $63, BX;          \
	SHRQ    $62, CX;          \
	TESTQ   AX, AX;           \
	JZ      done;             \
	POPCNTQ AX, R15;          \
	ADDQ    R15, R12;         \
	BSRQ    AX, R15;          \
	BTRQ    R15, AX;          \
	MOVQ    R10, R11;         \
	LEAQ    1(R8)(R15*1), R10; \
	BSRQ    AX, R15;          \
	LEAQ    1(R8)(R15*1), R15; \
	CMOVQNE R15, R11

// The events are put together in DX. NAMES takes dot in R15 and lf in AX, and
// leaves where a name may begin, to be narrowed to the letters.
#define NAMES \
	MOVQ R15, dots-8(SP);   \
	ORQ  AX, R15;           \
	LEAQ 0(DX)(R15*2), DX

// FOLDS and SOFTS take soft in R15: a fold begins; a line ends softly before LF,
// or before CR LF, for which CX becomes soft two bytes before.
#define FOLDS_SOFTS \
	LEAQ 0(R13)(AX*2), R13; \
	ANDQ R15, R13;          \
	ORQ  R13, DX;           \
	MOVQ CX, R13;           \
	SHRQ $1, R13;           \
	LEAQ 0(R13)(R15*2), R13; \
	ANDQ AX, R13;           \
	ORQ  R13, DX;           \
	LEAQ 0(CX)(R15*4), CX

// RETURNS takes cr in R13: what is behind one, in BX, is LF or an event.
#define RETURNS \
	LEAQ 0(BX)(R13*2), BX; \
	ANDQ BX, CX;           \
	ANDQ AX, CX;           \
	ORQ  CX, DX;           \
	MOVQ AX, CX;           \
	NOTQ CX;               \
	ANDQ CX, BX;           \
	ORQ  BX, DX;           \
	MOVQ R13, BX;          \
	MOVQ R15, CX;          \
	MOVQ DX, R13;          \
	MOVQ dots-8(SP), DX;   \
	TESTQ R13, R13

// GATHER puts the sign bits of lo and hi into to.
#define GATHER(lo, hi, to) \
	VPMOVMSKB lo, to;  \
	VPMOVMSKB hi, R14; \
	SHLQ      $32, R14; \
	ORQ       R14, to

// func advanceAVX2(b *byte, w *window)
TEXT ·advanceAVX2(SB), NOSPLIT, $8-16
	LOAD

next:
	LEAVE(step)

step:
	ADDQ $64, R8
	CMPQ R8, R9
	JGT  end

	VMOVDQU 0(SI)(R8*1), Y0
	VMOVDQU 32(SI)(R8*1), Y1

	// Letters without regard to case; bytes from 0x80 have their sign already.
	VPOR     space<>(SB), Y0, Y6
	VPOR     space<>(SB), Y1, Y7
	VPCMPEQB letterT<>(SB), Y6, Y2
	VPCMPEQB letterT<>(SB), Y7, Y3
	VPCMPEQB letterE<>(SB), Y6, Y4
	VPCMPEQB letterE<>(SB), Y7, Y5
	VPOR     Y2, Y0, Y8
	VPOR     Y3, Y1, Y9
	VPOR     Y4, Y8, Y8
	VPOR     Y5, Y9, Y9
	VPCMPEQB letterB<>(SB), Y6, Y2
	VPCMPEQB letterB<>(SB), Y7, Y3
	VPCMPEQB letterA<>(SB), Y6, Y4
	VPCMPEQB letterA<>(SB), Y7, Y5
	VPOR     Y2, Y8, Y8
	VPOR     Y3, Y9, Y9
	VPOR     Y4, Y8, Y8
	VPOR     Y5, Y9, Y9

	VPCMPEQB lf<>(SB), Y0, Y2
	VPCMPEQB lf<>(SB), Y1, Y3
	GATHER(Y2, Y3, AX)
	VPCMPEQB dot<>(SB), Y0, Y2
	VPCMPEQB dot<>(SB), Y1, Y3
	GATHER(Y2, Y3, R15)
	NAMES
	GATHER(Y8, Y9, R15)
	ANDQ     R15, DX

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
	GATHER(Y2, Y3, R15)
	FOLDS_SOFTS

	VPCMPEQB cr<>(SB), Y0, Y2
	VPCMPEQB cr<>(SB), Y1, Y3
	GATHER(Y2, Y3, R13)
	RETURNS
	JZ next

	MOVQ R13, w_events(DI)
	STORE
	RET

end:
	XORQ AX, AX
	MOVQ AX, w_events(DI)
	STORE
	RET
