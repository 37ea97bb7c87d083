package main

import (
	"bytes"
	"fmt"
	"unicode"
)

// runesSource writes the decimal digits and the letters and numbers of Unicode,
// so that the form does not move with the Go release that builds the product.
func runesSource() []byte {
	var b bytes.Buffer
	b.WriteString(header)
	b.WriteString("// decimalZeros are the zeros of Unicode " + unicode.Version + "'s decimal digits beyond ASCII; one to nine follow each.\nvar decimalZeros = [...]uint32{\n")
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if !unicode.Is(unicode.Nd, r) {
			continue
		}
		for d := rune(1); d < 10; d++ {
			if !unicode.Is(unicode.Nd, r+d) {
				panic(fmt.Sprintf("digits at %U are not ten", r))
			}
		}
		fmt.Fprintf(&b, "%#x,\n", r)
		r += 9
	}
	b.WriteString("}\n\n// lettersAndNumbers are the first and last of each run of Unicode " + unicode.Version + "'s categories L and N beyond ASCII.\nvar lettersAndNumbers = [...][2]uint32{\n")
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if !unicode.In(r, unicode.L, unicode.N) {
			continue
		}
		first := r
		for unicode.In(r+1, unicode.L, unicode.N) {
			r++
		}
		fmt.Fprintf(&b, "{%#x, %#x},\n", first, r)
	}
	b.WriteString("}\n")
	return b.Bytes()
}
