package lanes

import (
	"encoding"
	"encoding/binary"
	"hash"
	"sync"

	"github.com/minio/sha256-simd"
)

// The portable backend runs on minio/sha256-simd, one message after the other,
// from the saved states: two compressions for a short message instead of four.

// magic opens the serialised form of a SHA-256 state: then come the eight words,
// the 64 bytes of a partial block and the length so far, all big-endian.
const (
	magic     = "sha\x03"
	stateSize = len(magic) + 32 + sha256.BlockSize + 8
)

type resumable interface {
	hash.Hash
	encoding.BinaryUnmarshaler
}

// engine is what one goroutine needs; engines are reused, and hold no key
// meanwhile.
type engine struct {
	h, outerHash resumable
	inner, outer [stateSize]byte
	buf          [sha256.Size]byte
}

var engines = sync.Pool{New: func() any {
	return &engine{h: sha256.New().(resumable), outerHash: sha256.New().(resumable)}
}}

var zeroBlock [sha256.BlockSize - 1]byte

// release overwrites key and message before the engine goes back.
func (e *engine) release() {
	clear(e.inner[:])
	clear(e.outer[:])
	clear(e.buf[:])
	for _, h := range []hash.Hash{e.h, e.outerHash} {
		h.Reset()
		h.Write(zeroBlock[:])
		h.Reset()
	}
	engines.Put(e)
}

func (e *engine) key(h *HMAC) {
	putState(&e.inner, h.states[:8])
	putState(&e.outer, h.states[8:])
}

func putState(dst *[stateSize]byte, s []uint32) {
	copy(dst[:], magic)
	for i, w := range s {
		binary.BigEndian.PutUint32(dst[len(magic)+4*i:], w)
	}
	binary.BigEndian.PutUint64(dst[stateSize-8:], sha256.BlockSize)
}

func restore(h resumable, s *[stateSize]byte) {
	if err := h.UnmarshalBinary(s[:]); err != nil {
		panic("lanes: SHA-256 state does not restore: " + err.Error())
	}
}

func (e *engine) hmac(dst, msg []byte) {
	restore(e.h, &e.inner)
	e.h.Write(msg)
	sum := e.h.Sum(e.buf[:0])
	restore(e.outerHash, &e.outer)
	e.outerHash.Write(sum)
	copy(dst, e.outerHash.Sum(e.buf[:0])[:Size])
}

// sums computes messages lo to hi-1 of a job.
func (e *engine) sums(j *job, lo, hi int) {
	for i := lo; i < hi; i++ {
		dst, msg := j.dst[i*j.size:(i+1)*j.size], j.data[j.offs[i]:j.offs[i+1]]
		if j.size == Size {
			e.hmac(dst, msg)
			continue
		}
		e.h.Reset()
		e.h.Write(msg)
		copy(dst, e.h.Sum(e.buf[:0]))
	}
}
