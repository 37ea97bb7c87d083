package hasher

import (
	"encoding/binary"

	"github.com/scruple-agent/scruple/hasher/internal/lanes"
)

// The smallest size class of a padded set and the largest that a report can carry, in digests.
const (
	MinPadded = 64
	MaxPadded = 1 << 19 // half of what a batch holds
)

// SortDedupe sorts packed digests (DigestSize bytes each) in byte order, removes
// duplicates, and returns the shortened slice. It works in place; what falls off
// the end is cleared. A trailing piece of a digest is dropped.
func SortDedupe(digests []byte) []byte {
	n := len(digests) / DigestSize
	if n == 0 {
		return digests[:0]
	}
	sortDigests(digests[:n*DigestSize], 0)
	out := DigestSize
	for i := DigestSize; i < n*DigestSize; i += DigestSize {
		d := (*digest)(digests[i:])
		if *d != *(*digest)(digests[out-DigestSize:]) {
			*(*digest)(digests[out:]) = *d
			out += DigestSize
		}
	}
	clear(digests[out:])
	return digests[:out]
}

// Pad fills a sorted set up to its size class, the next power of two that is at
// least MinPadded, and returns it sorted. Dummy i is HMAC-SHA256 of i (eight
// bytes, big-endian) under prfKey, cut to DigestSize: the same dummies come back
// every time, so that comparing two sets does not tell them apart. prfKey is 32
// random bytes that serve nothing else. A set that fills its class comes back as it
// is, else the result is a new slice.
func Pad(digests, prfKey []byte) []byte {
	n := len(digests) / DigestSize
	want := MinPadded
	for want < n {
		want *= 2
	}
	if n == want {
		return digests[:n*DigestSize]
	}
	var mac lanes.HMAC
	mac.Init(prfKey)
	defer mac.Wipe()

	out := make([]byte, want*DigestSize)
	const step = 4096 // counters at a time
	var counters []byte
	var offs []uint32
	for i := range step {
		offs = append(offs, uint32(8*i))
	}
	for i := 0; i < want-n; i += len(offs) - 1 {
		counters = counters[:0]
		offs = offs[:min(want-n-i, step-1)+1]
		for j := range len(offs) - 1 {
			counters = binary.BigEndian.AppendUint64(counters, uint64(i+j))
		}
		mac.Sum(out[(n+i)*DigestSize:], counters, offs)
	}
	sortDigests(out[n*DigestSize:], 0)

	// What is read of the dummies is always ahead of what is written.
	dummy, to := n*DigestSize, 0
	for i := 0; i < n*DigestSize; to += DigestSize {
		next := (*digest)(digests[i:])
		if dummy < len(out) && less((*digest)(out[dummy:]), next) {
			next = (*digest)(out[dummy:])
			dummy += DigestSize
		} else {
			i += DigestSize
		}
		*(*digest)(out[to:]) = *next
	}
	return out
}

type digest = [DigestSize]byte

// insertionMax is the length below which insertion beats another pass.
const insertionMax = 24

// sortDigests sorts packed digests that agree in their first depth bytes: one
// pass counts the next byte, the next swaps each digest into its bucket (American
// flag sort). Digests are evenly spread, so two or three levels end in short runs;
// the worst input costs sixteen.
func sortDigests(d []byte, depth int) {
	n := len(d) / DigestSize
	if n <= insertionMax || depth == DigestSize {
		insertionSort(d)
		return
	}
	var next, end [256]int
	for i := depth; i < len(d); i += DigestSize {
		end[d[i]]++
	}
	sum := 0
	for b, c := range end {
		next[b] = sum
		sum += c
		end[b] = sum
	}
	start := next
	for b := range next {
		for next[b] < end[b] {
			x := (*digest)(d[next[b]*DigestSize:])
			for int(x[depth]) != b {
				to := &next[x[depth]]
				y := (*digest)(d[*to*DigestSize:])
				*x, *y = *y, *x
				*to++
			}
			next[b]++
		}
	}
	for b := range start {
		if end[b]-start[b] > 1 {
			sortDigests(d[start[b]*DigestSize:end[b]*DigestSize], depth+1)
		}
	}
}

func insertionSort(d []byte) {
	for i := DigestSize; i < len(d); i += DigestSize {
		x := *(*digest)(d[i:])
		j := i
		for ; j > 0 && less(&x, (*digest)(d[j-DigestSize:])); j -= DigestSize {
			*(*digest)(d[j:]) = *(*digest)(d[j-DigestSize:])
		}
		*(*digest)(d[j:]) = x
	}
}

func less(a, b *digest) bool {
	x, y := binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:])
	if x != y {
		return x < y
	}
	return binary.BigEndian.Uint64(a[8:]) < binary.BigEndian.Uint64(b[8:])
}
