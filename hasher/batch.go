package hasher

import (
	"errors"
	"fmt"
	"io"
)

const (
	// MaxBatchBytes and MaxBatchEntries bound one Batch. A caller with a larger
	// book digests in pieces: a few ten thousand entries fill every lane.
	MaxBatchBytes   = 1 << 30
	MaxBatchEntries = 1 << 26

	// batchSlack is kept free behind the identifiers, because kernels without
	// masked loads read whole blocks. Without it they are right, but slower.
	batchSlack = 64
	// batchRoom is what Buf offers at least: more than any canonical form needs.
	batchRoom = 512
)

// ErrBatchFull says that a Batch has reached MaxBatchBytes or MaxBatchEntries.
var ErrBatchFull = errors.New("batch is full")

var errBatchShrunk = errors.New("append to batch: the buffer came back shorter than it was lent")

// Batch is an arena of identifiers: their bytes end to end, and where each one
// starts. Packing them as they are parsed is worth more than the fastest kernel,
// since scattered strings cost three times the hashing.
//
// The zero value is an empty batch. It holds raw personal data, prints as a
// count only, and overwrites what it drops. A Batch must not be changed while
// digests are made of it.
type Batch struct {
	data []byte
	offs []uint32 // entry i is data[offs[i]:offs[i+1]]; empty, or one more than entries
}

// Len returns the number of identifiers.
func (b *Batch) Len() int { return max(len(b.offs)-1, 0) }

// Bytes returns how many bytes the identifiers take together.
func (b *Batch) Bytes() int { return len(b.data) }

// Grow makes room for that many further entries and bytes, so that the appends
// that follow do not allocate. Room beyond the limits of a Batch is not made.
func (b *Batch) Grow(entries, bytes int) {
	entries = min(max(entries, 0), MaxBatchEntries-b.Len())
	bytes = min(max(bytes, 0), MaxBatchBytes-len(b.data))
	b.reserve(bytes)
	if need := len(b.offs) + entries + 1; need > cap(b.offs) {
		offs := make([]uint32, len(b.offs), need)
		copy(offs, b.offs)
		b.offs = offs
	}
}

// reserve makes room for n bytes and the slack. Left-behind bytes are cleared.
func (b *Batch) reserve(n int) {
	need := len(b.data) + n + batchSlack
	if need <= cap(b.data) {
		return
	}
	data := make([]byte, len(b.data), max(need, 2*cap(b.data), 4096))
	copy(data, b.data)
	clear(b.data)
	b.data = data
}

// Append adds one identifier; an empty one counts as well. The error is
// ErrBatchFull.
func (b *Batch) Append(id []byte) error {
	if len(id) > MaxBatchBytes-len(b.data) {
		return ErrBatchFull
	}
	b.reserve(len(id))
	return b.Commit(append(b.data, id...))
}

// AppendString is Append for a string.
func (b *Batch) AppendString(id string) error {
	if len(id) > MaxBatchBytes-len(b.data) {
		return ErrBatchFull
	}
	b.reserve(len(id))
	return b.Commit(append(b.data, id...))
}

// Buf lends the arena to an appending function, with room for at least 512 bytes
// behind it:
//
//	buf, err := canonical.AppendPhone(b.Buf(), raw, region)
//	if err == nil {
//		err = b.Commit(buf)
//	}
//
// Whoever does not Commit may simply stop; the next append overwrites the rest.
func (b *Batch) Buf() []byte {
	b.reserve(batchRoom)
	return b.data
}

// Commit makes what was appended to Buf one identifier. The error is ErrBatchFull
// or says that buf is shorter than Buf was; the batch is then as before.
func (b *Batch) Commit(buf []byte) error {
	n := len(b.data)
	switch {
	case len(buf) < n:
		return errBatchShrunk
	case len(buf) > MaxBatchBytes || len(b.offs) > MaxBatchEntries:
		return ErrBatchFull
	}
	if n > 0 && &buf[0] != &b.data[0] {
		clear(b.data) // the appending function moved the arena
	}
	if len(b.offs) == 0 {
		b.offs = append(b.offs, 0)
	}
	b.data = buf
	b.offs = append(b.offs, uint32(len(buf)))
	return nil
}

// AppendFunc adds what f appends to the slice it is given as one identifier. If f
// fails, nothing is added and its error is returned as it is.
func (b *Batch) AppendFunc(f func(dst []byte) ([]byte, error)) error {
	buf, err := f(b.Buf())
	if err != nil {
		return err
	}
	return b.Commit(buf)
}

// Reset empties the batch, overwrites the identifiers and keeps the room.
func (b *Batch) Reset() {
	clear(b.data[:min(len(b.data)+batchRoom, cap(b.data))])
	b.data = b.data[:0]
	b.offs = b.offs[:0]
}

// String tells the number of entries and nothing of them.
func (b Batch) String() string { return fmt.Sprintf("hasher.Batch(%d entries)", b.Len()) }

// GoString is String.
func (b Batch) GoString() string { return b.String() }

// Format prints String whatever the verb.
func (b Batch) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, b.String()) }

// MarshalText is String.
func (b Batch) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
