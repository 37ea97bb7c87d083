// Thirty-two times the same byte.
#define SAME(name, word) \
	DATA  name<>+0(SB)/8, word;  \
	DATA  name<>+8(SB)/8, word;  \
	DATA  name<>+16(SB)/8, word; \
	DATA  name<>+24(SB)/8, word; \
	GLOBL name<>(SB), RODATA|NOPTR, $32
