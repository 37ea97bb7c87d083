package minimise

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/scruple-agent/scruple/hasher"
)

var errMemo = errors.New("not what is remembered of an address book")

// The encoding of a memo, without its seal: five counts, then groups, words, items, notes and digests; all integers
// little-endian.
const (
	memoHead = 5 * 4
	itemSize = 16 + 8 + 1 + 4*4
	noteSize = 1 + 1 + 2*4
	maxWord  = 64
)

// word returns the number of a word. The words are a few dozen constants; should they ever be more, the rest share the last.
func (o *memo) word(w string) uint8 {
	if i := slices.Index(o.words, w); i >= 0 {
		return uint8(i)
	}
	if len(o.words) < maxWords {
		o.words = append(o.words, w[:min(len(w), maxWord)])
	}
	return uint8(len(o.words) - 1)
}

func (o *memo) add(kind uint8, word string, a, b int) {
	o.notes = append(o.notes, note{kind: kind, word: o.word(word), a: uint32(a), b: uint32(b)})
}

func (o *memo) size() int {
	n := memoHead + len(o.files)*itemSize + len(o.notes)*noteSize + len(o.taken)
	for _, g := range o.groups {
		n += 16 + 4 + len(g.state)
	}
	for _, w := range o.words {
		n += 1 + len(w)
	}
	return n + 64
}

// append appends the encoding.
func (o *memo) append(b []byte) []byte {
	le := binary.LittleEndian
	for _, n := range []int{len(o.groups), len(o.words), len(o.files), len(o.notes), len(o.taken) / takenSize} {
		b = le.AppendUint32(b, uint32(n))
	}
	for _, g := range o.groups {
		b = append(b, g.key[:]...)
		b = le.AppendUint32(b, uint32(len(g.state)))
		b = append(b, g.state...)
	}
	for _, w := range o.words {
		b = append(b, byte(len(w)))
		b = append(b, w...)
	}
	for i := range o.files {
		f := &o.files[i]
		b = append(b, f.Key[:]...)
		b = append(b, f.Mark[:]...)
		b = append(b, f.group)
		b = le.AppendUint32(b, f.cards)
		b = le.AppendUint32(b, f.tels)
		b = le.AppendUint32(b, f.emails)
		b = le.AppendUint32(b, f.notes)
	}
	for _, n := range o.notes {
		b = append(b, n.kind, n.word)
		b = le.AppendUint32(b, n.a)
		b = le.AppendUint32(b, n.b)
	}
	return append(b, o.taken...)
}

// decodeMemo reads what append wrote and refuses anything that does not fit together. The memo keeps b.
func decodeMemo(b []byte) (memo, error) {
	var o memo
	le := binary.LittleEndian
	if len(b) < memoHead {
		return o, errMemo
	}
	var counts [5]int
	for i, most := range [...]int{maxGroups, maxWords, maxItems, maxNotes, maxTaken} {
		n := le.Uint32(b[4*i:])
		if n > uint32(most) {
			return o, errMemo
		}
		counts[i] = int(n)
	}
	b = b[memoHead:]
	for range counts[0] {
		if len(b) < 20 {
			return o, errMemo
		}
		g := group{key: [16]byte(b)}
		n := le.Uint32(b[16:])
		b = b[20:]
		if n > maxState || int(n) > len(b) {
			return o, errMemo
		}
		g.state, b = slices.Clone(b[:n]), b[n:]
		o.groups = append(o.groups, g)
	}
	for range counts[1] {
		if len(b) == 0 || int(b[0]) > maxWord || len(b) < 1+int(b[0]) {
			return o, errMemo
		}
		o.words, b = append(o.words, string(b[1:1+b[0]])), b[1+b[0]:]
	}
	if len(b) != counts[2]*itemSize+counts[3]*noteSize+counts[4]*takenSize {
		return o, errMemo
	}
	o.files = make([]item, counts[2])
	last := uint32(0)
	for i := range o.files {
		f := &o.files[i]
		f.Key, f.Mark, f.group = [16]byte(b), [8]byte(b[16:]), b[24]
		f.cards, f.tels, f.emails, f.notes = le.Uint32(b[25:]), le.Uint32(b[29:]), le.Uint32(b[33:]), le.Uint32(b[37:])
		if int(f.group) >= counts[0] || f.notes < last || f.notes > uint32(counts[3]) {
			return memo{}, errMemo
		}
		last = f.notes
		b = b[itemSize:]
	}
	o.notes = make([]note, counts[3])
	for i := range o.notes {
		n := note{b[0], b[1], le.Uint32(b[2:]), le.Uint32(b[6:])}
		if n.kind >= noteKinds || int(n.word) >= counts[1] {
			return memo{}, errMemo
		}
		o.notes[i] = n
		b = b[noteSize:]
	}
	for t := b; len(t) > 0; t = t[4+hasher.DigestSize:] {
		if le.Uint32(t) >= uint32(counts[2]) {
			return memo{}, errMemo
		}
	}
	o.taken = b
	return o, nil
}
