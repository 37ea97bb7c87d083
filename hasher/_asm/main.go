// Command asm writes the assembly of package lanes: avo for amd64, plain text for
// arm64, which avo does not know. Each kernel is one description in Go that the
// variants (lanes, registers, message class) share.
//
//	go run . -arch amd64 -out ../internal/lanes/lanes_amd64.s -stubs ../internal/lanes/stubs_amd64.go -pkg lanes
//	go run . -arch arm64 -out ../internal/lanes/lanes_arm64.s -stubs ../internal/lanes/stubs_arm64.go -pkg lanes
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var arch = flag.String("arch", "", "architecture to write: amd64 or arm64")

func main() {
	flag.Parse()
	switch *arch {
	case "amd64":
		amd64()
	case "arm64":
		arg := func(name string) string { return flag.Lookup(name).Value.String() }
		command := "go run main.go " + strings.Join(os.Args[1:], " ") // as avo says it
		if err := arm64(command, arg("out"), arg("stubs"), arg("pkg")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "-arch amd64 or arm64")
		os.Exit(2)
	}
}

func amd64() {
	ConstraintExpr("!purego")
	t := tables()
	for _, k := range []shani{
		{name: "shani4HMAC", lanes: 4, wide: true},
		{name: "shani4Short", lanes: 4, wide: true, short: true},
		{name: "shani4Sum", lanes: 4, wide: true, plain: true},
		{name: "shani4SumShort", lanes: 4, wide: true, plain: true, short: true},
		{name: "shani2HMAC", lanes: 2},
		{name: "shani2Short", lanes: 2, short: true},
		{name: "shani2Sum", lanes: 2, plain: true},
		{name: "shani2SumShort", lanes: 2, plain: true, short: true},
	} {
		k.tables = t
		k.batch()
	}
	shani{tables: t, name: "shani4Blocks", lanes: 4, wide: true}.blocks()
	shani{tables: t, name: "shani2Blocks", lanes: 2}.blocks()
	for _, v := range []isa{newAVX512(t), newAVX2(t)} {
		simd{isa: v, tables: t, name: v.name() + "HMAC"}.batch()
		simd{isa: v, tables: t, name: v.name() + "Sum", plain: true}.batch()
		simd{isa: v, tables: t, name: v.name() + "Blocks"}.blocks()
	}
	classify()
	Generate()
}

// constants are the read-only tables that all amd64 kernels share.
type constants struct {
	k        operand.Mem // 64 round constants
	outerWK  operand.Mem // round constant + word for words 8..15 of the outer block
	outerW   operand.Mem // words 8..15 of the outer block
	outerMsg operand.Mem // sha256msg1 of those two quads
	bswap    operand.Mem // byte shuffle: big-endian words, 64 bytes
	mask     operand.Mem // 64 bytes 0xff, then 64 zero: read at 64-n it keeps n bytes
	zero     operand.Mem
	folded   operand.Mem // what is left of constant words in the outer schedule

	// What follows a message of n bytes in its only block. Row n has 64 bytes: 0x80
	// at n, the bit length at the end. After the rows comes bswap again; from
	// shortRows on, row n has 32 bytes: words 12..15, and the same with the round
	// constants added. All of that is there twice: see alignedPad.
	hmac, plain operand.Mem
}

const (
	bswapRow  = maxOne + 1
	shortRows = 64 * (bswapRow + 1)
	padSize   = shortRows + 32*(maxShort+1)
)

// alignedPad returns the address of a padding table, of the copy whose rows begin
// cache lines: the linker aligns symbols to 32 bytes only, and a block that
// straddles two lines costs the plain SHA-256 kernel an eighth of its speed.
func alignedPad(m operand.Mem) reg.GPVirtual {
	base, odd := GP64(), GP64()
	LEAQ(m, base)
	MOVQ(base, odd)
	ANDQ(operand.U8(32), odd)
	IMUL3Q(operand.U32((padSize+32)/32), odd, odd)
	ADDQ(odd, base)
	return base
}

const (
	offsAhead = 4 * 1024 // bytes: the offsets of the next chunk
	dataAhead = 1024     // bytes
)

// locate turns the number of a message into its address and length. Messages come
// in order, so it also asks for what comes next: from cold memory the kernel would
// otherwise wait for a tenth of its time.
func locate(l int, at, n reg.GPVirtual, data, offs reg.Register) {
	if l%4 == 0 {
		PREFETCHT0(operand.Mem{Base: offs, Index: at, Scale: 4, Disp: offsAhead})
	}
	MOVL(operand.Mem{Base: offs, Index: at, Scale: 4, Disp: 4}, n.As32())
	MOVL(operand.Mem{Base: offs, Index: at, Scale: 4}, at.As32())
	SUBQ(at, n)
	ADDQ(data, at)
	if l%2 == 0 {
		PREFETCHT0(operand.Mem{Base: at, Disp: dataAhead})
	}
}

var k256 = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

const (
	maxShort = 15 // longest message of the class with constant words 4..14
	maxOne   = 55 // longest message that fits one block with its padding

	// The outer block: 32 bytes of inner digest, 0x80, the length of 96 bytes.
	outer8  = 0x80000000
	outer15 = (64 + 32) * 8
)

// sigma0 is the small sigma of the message schedule that reaches 15 words back.
func sigma0(x uint32) uint32 { return ror(x, 7) ^ ror(x, 18) ^ x>>3 }

// sigma1 is the one that reaches 2 words back.
func sigma1(x uint32) uint32 { return ror(x, 17) ^ ror(x, 19) ^ x>>10 }

// foldedWords are the constants that the outer schedule of words 16 to 31 needs.
var foldedWords = [...]uint32{outer8, outer15, sigma0(outer8), sigma0(outer15), sigma1(outer15)}

func ror(x uint32, n int) uint32 { return x>>n | x<<(32-n) }

func tables() constants {
	var outer [8]uint32
	outer[0], outer[7] = outer8, outer15
	var wk, msg [8]uint32
	for i, w := range outer {
		wk[i] = w + k256[8+i]
	}
	for i := range 4 {
		msg[i] = outer[i] + sigma0(outer[i+1])
	}
	bswap := bswapBlock()
	mask := make([]byte, 128)
	for i := range 64 {
		mask[i] = 0xff
	}
	return constants{
		k:        words("k256", k256[:]),
		outerWK:  words("outerWK", wk[:]),
		outerW:   words("outerW", outer[:]),
		outerMsg: words("outerMsg", msg[:4]),
		bswap:    blob("bswap", bswap),
		mask:     blob("keep", mask),
		zero:     blob("zero", make([]byte, 16)),
		folded:   words("folded", foldedWords[:]),
		hmac:     pad("hmac", 64),
		plain:    pad("plain", 0),
	}
}

// bswapBlock is the byte shuffle that makes big-endian words of 64 bytes.
func bswapBlock() []byte {
	b := make([]byte, 64)
	for i := range b {
		b[i] = byte(i&15 ^ 3)
	}
	return b
}

// padRows are the padding of messages of 0 to maxOne bytes that follow before bytes
// already hashed, a block each.
func padRows(before int) []byte {
	rows := make([]byte, 64*(maxOne+1))
	for n := range maxOne + 1 {
		rows[64*n+n] = 0x80
		binary.BigEndian.PutUint16(rows[64*n+62:], uint16(before+n)*8)
	}
	return rows
}

// pad makes the table of constants.hmac and plain.
func pad(name string, before int) operand.Mem {
	rows := append(padRows(before), bswapBlock()...)
	for n := range maxShort + 1 {
		last := [4]uint32{3: uint32(before+n) * 8}
		for _, w := range last {
			rows = binary.LittleEndian.AppendUint32(rows, w)
		}
		for i, w := range last {
			rows = binary.LittleEndian.AppendUint32(rows, w+k256[12+i])
		}
	}
	rows = append(append(rows, make([]byte, 32)...), rows...)
	return blob(name+"Pad", rows)
}

func words(name string, w []uint32) operand.Mem {
	m := GLOBL(name, attr.RODATA|attr.NOPTR)
	for i, x := range w {
		DATA(4*i, operand.U32(x))
	}
	return m
}

func blob(name string, b []byte) operand.Mem {
	m := GLOBL(name, attr.RODATA|attr.NOPTR)
	for i := 0; i < len(b); i += 8 {
		DATA(i, operand.U64(binary.LittleEndian.Uint64(b[i:])))
	}
	return m
}
