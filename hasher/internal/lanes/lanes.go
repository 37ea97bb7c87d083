// Package lanes computes HMAC-SHA256 and SHA-256 of many short messages at once,
// several of them interleaved in one core.
//
// Messages come packed: their bytes end to end, and offsets. The package knows
// neither keys' origin nor what the messages are; package hasher is its only
// caller.
package lanes

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
)

// Size is the number of bytes that an HMAC keeps.
const Size = 16

// iv is the state before the first block of SHA-256.
var iv = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// HMAC is a key: the states after the inner and the outer pad. The zero value is
// the key of no message; call Init.
type HMAC struct {
	inner, outer [8]uint32
}

// Init sets the key, of any length.
func (h *HMAC) Init(key []byte) {
	var block [sha256.BlockSize]byte
	if len(key) > len(block) {
		sum := sha256.Sum256(key)
		copy(block[:], sum[:])
		clear(sum[:])
	} else {
		copy(block[:], key)
	}
	for i := range block {
		block[i] ^= 0x36
	}
	h.inner = stateAfter(&block)
	for i := range block {
		block[i] ^= 0x36 ^ 0x5c
	}
	h.outer = stateAfter(&block)
	clear(block[:])
}

// Wipe overwrites the key.
func (h *HMAC) Wipe() { *h = HMAC{} }

// Sum writes the first Size bytes of the HMAC of each message to dst. Message i
// is data[offs[i]:offs[i+1]]; there is one more offset than messages, and they do
// not fall. It panics if dst is too short.
func (h *HMAC) Sum(dst, data []byte, offs []uint32) {
	n := len(offs) - 1
	portableHMAC(h, dst[:n*Size], data, offs)
}

// SumOne writes the HMAC of one message.
func (h *HMAC) SumOne(dst *[Size]byte, msg []byte) {
	e := engines.Get().(*engine)
	defer e.release()
	e.key(h)
	e.hmac(dst[:], msg)
}

// stateAfter returns the SHA-256 state after one block. The standard library
// shows it only in its serialised form.
func stateAfter(block *[sha256.BlockSize]byte) (s [8]uint32) {
	h := sha256.New()
	h.Write(block[:])
	m, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("lanes: SHA-256 state does not serialise: " + err.Error())
	}
	for i := range s {
		s[i] = binary.BigEndian.Uint32(m[len(magic)+4*i:])
	}
	clear(m)
	return s
}
