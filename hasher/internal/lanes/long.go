package lanes

import (
	"encoding/binary"
	"math"
)

// lane is one message of several blocks on its way.
type lane struct {
	message int    // number, -1 when the lane idles
	outer   bool   // the outer hash of the HMAC is under way
	rest    []byte // whole blocks to go, in the arena
	end     []byte // blocks to go after that, in buf
	buf     [128]byte
}

// states are those of all lanes, as stateOf says.
type states [8 * maxLanes]uint32

// maxAlike bounds how many blocks messages may have to go in step.
const maxAlike = 15

// longMessages computes the messages of the list, which need not be long: it also
// serves those that a kernel cannot read in place. Those of equally many blocks
// go in step, a group of all lanes at a time; what remains goes by schedule.
func (w *worker) longMessages(j *job, lo int, list []uint32) {
	be := j.be
	w.setAll(j, &w.inner, 0)
	w.setAll(j, &w.outer, 8)

	// Sort by the number of blocks. The lists of shorter messages are not needed any more.
	var first [maxAlike + 2]int // where those of that many blocks begin
	blocks := func(m uint32) int {
		return min(int(j.offs[lo+int(m)+1]-j.offs[lo+int(m)]+8)/64, maxAlike)
	}
	for _, m := range list {
		first[blocks(m)+1]++
	}
	for i := range maxAlike {
		first[i+1] += first[i]
	}
	next := first
	for _, m := range list {
		b := blocks(m)
		w.short[next[b]] = m
		next[b]++
	}
	left := w.short[first[maxAlike]:len(list)]
	rest := append(w.one[:0], left...)
	for b := range maxAlike {
		alike := w.short[first[b]:next[b]]
		for ; len(alike) >= be.lanes; alike = alike[be.lanes:] {
			w.inStep(j, lo, alike[:be.lanes], b+1)
		}
		rest = append(rest, alike...)
	}
	if len(rest) > 0 {
		w.schedule(j, lo, rest)
	}
	for l := range be.lanes {
		clear(w.lane[l].buf[:])
		w.lane[l].rest, w.at[l] = nil, nil
	}
	clear(w.states[:])
	clear(w.inner[:])
	clear(w.outer[:])
}

// inStep computes one message in each lane, all of them of so many blocks, padding
// included. The last two blocks are copied.
func (w *worker) inStep(j *job, lo int, list []uint32, blocks int) {
	be := j.be
	copied := min(blocks, 2)
	whole := 64 * (blocks - copied)
	copy(w.states[:8*be.lanes], w.inner[:])
	if whole > 0 {
		for l, m := range list {
			w.at[l] = &j.data[j.offs[lo+int(m)]]
		}
		be.blocks(&w.states[0], &w.at[0], blocks-copied)
	}
	for l, m := range list {
		msg := j.data[j.offs[lo+int(m)]:j.offs[lo+int(m)+1]]
		buf := &w.lane[l].buf
		*buf = [128]byte{}
		n := copy(buf[:], msg[whole:])
		buf[n] = 0x80
		binary.BigEndian.PutUint64(buf[64*copied-8:], j.bits(len(msg)))
		w.at[l] = &buf[0]
	}
	be.blocks(&w.states[0], &w.at[0], copied)
	if j.size == Size {
		for l := range list {
			buf := &w.lane[l].buf
			*buf = [128]byte{32: 0x80, 62: (64 + 32) * 8 >> 8, 63: (64 + 32) * 8 & 0xff}
			w.sum((*[32]byte)(buf[:]), be, l)
		}
		copy(w.states[:8*be.lanes], w.outer[:])
		be.blocks(&w.states[0], &w.at[0], 1)
	}
	for l, m := range list {
		sum := (*[32]byte)(w.lane[l].buf[:])
		w.sum(sum, be, l)
		dst := j.dst[(lo+int(m))*j.size:]
		if j.size == Size {
			*(*[Size]byte)(dst) = [Size]byte(sum[:])
		} else {
			*(*[32]byte)(dst) = *sum
		}
	}
}

// bits is the length that the padding of a message of n bytes tells.
func (j *job) bits(n int) uint64 {
	if j.size == Size {
		n += 64 // the inner pad
	}
	return uint64(n) * 8
}

// sum writes the state of lane l as the bytes of a hash.
func (w *worker) sum(sum *[32]byte, be *backend, l int) {
	at, step := be.stateOf(l)
	for i := range 8 {
		binary.BigEndian.PutUint32(sum[4*i:], w.states[at&(len(w.states)-1)])
		at += step
	}
}

// setAll gives all lanes the key's inner (0) or outer (8) state.
func (w *worker) setAll(j *job, s *states, from int) {
	for l := range j.be.lanes {
		w.set(j, s, l, from)
	}
}

func (w *worker) set(j *job, s *states, l, from int) {
	at, step := j.be.stateOf(l)
	for _, x := range j.h.states[from : from+8] {
		s[at&(len(s)-1)] = x
		at += step
	}
}

// schedule keeps all lanes busy with the messages of the list: whenever a lane
// has finished one, it takes the next.
func (w *worker) schedule(j *job, lo int, list []uint32) {
	be := j.be
	lanes := w.lane[:be.lanes]
	for l := range lanes {
		lanes[l].message = -1
	}
	for {
		busy := -1
		steps := math.MaxInt
		for l := range lanes {
			ln := &lanes[l]
			if ln.message < 0 && len(list) > 0 {
				w.start(j, l, lo+int(list[0]))
				list = list[1:]
			}
			if ln.message < 0 {
				continue
			}
			busy = l
			if len(ln.rest) > 0 {
				w.at[l] = &ln.rest[0]
				steps = min(steps, len(ln.rest)/64)
			} else {
				w.at[l] = &ln.end[0]
				steps = min(steps, len(ln.end)/64)
			}
		}
		if busy < 0 {
			break
		}
		for l := range lanes {
			if lanes[l].message < 0 {
				w.at[l] = w.at[busy] // an idle lane hashes anything
			}
		}
		steps = min(steps, maxBlocks)
		be.blocks(&w.states[0], &w.at[0], steps)
		for l := range lanes {
			if lanes[l].message >= 0 {
				w.advance(j, l, steps)
			}
		}
	}
}

// start puts message m into lane l: its whole blocks stay in the arena, the rest
// is copied and padded.
func (w *worker) start(j *job, l, m int) {
	ln := &w.lane[l]
	msg := j.data[j.offs[m]:j.offs[m+1]]
	whole := len(msg) &^ 63
	ln.message, ln.outer, ln.rest = m, false, msg[:whole]
	ln.pad(msg[whole:], j.bits(len(msg)))
	w.set(j, &w.states, l, 0)
}

func (ln *lane) pad(tail []byte, bits uint64) {
	n := copy(ln.buf[:], tail)
	ln.end = ln.buf[:64]
	if n > maxOne {
		ln.end = ln.buf[:128]
	}
	ln.buf[n] = 0x80
	clear(ln.end[n+1:])
	binary.BigEndian.PutUint64(ln.end[len(ln.end)-8:], bits)
}

// advance moves lane l past the blocks that were hashed, and from the inner hash
// to the outer, and from there to its place in dst.
func (w *worker) advance(j *job, l, steps int) {
	ln := &w.lane[l]
	if len(ln.rest) > 0 {
		ln.rest = ln.rest[64*steps:]
		return
	}
	if ln.end = ln.end[64*steps:]; len(ln.end) > 0 {
		return
	}
	var sum [32]byte
	w.sum(&sum, j.be, l)
	if j.size == Size && !ln.outer {
		ln.outer = true
		ln.pad(sum[:], (64+32)*8)
		w.set(j, &w.states, l, 8)
		return
	}
	copy(j.dst[ln.message*j.size:][:j.size], sum[:])
	ln.message = -1
}
