package contacts

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"io"
	"os"
	"time"
)

// Shelf is where the cards of an address book stand: files, a server, a
// database. It hands out one text of vCards after another and finds no values
// itself.
type Shelf interface {
	// Next goes on to the next text and returns it, io.EOF at the end. What the
	// Reading knows unchanged it passes over, what cannot be read it counts and
	// passes over; any other error ends the reading. The Reader is valid until
	// the next call.
	Next(ctx context.Context, r *Reading) (io.Reader, error)
	// Close lets go of everything open. It may be called more than once.
	Close() error
}

// Key stands for one file or card in a Memory: a keyed digest of its name.
type Key [16]byte

// Mark stands for the state that a file or card was in: a keyed digest of what
// changes with its content.
type Mark [8]byte

// Item is one file or card in one state.
type Item struct {
	Key  Key
	Mark Mark
}

// Outcome is what was counted while items were read.
type Outcome struct {
	Items               int // how many
	Cards, Tels, Emails int
	Skipped             map[string]int // nil for nothing
	First               []Place        // their File is not set
}

// Memory remembers what was made of an item, so that one that did not change
// need not be read again. It must hold neither names nor values.
type Memory interface {
	// Keyer returns what makes keys and marks.
	Keyer() *Keyer
	// Has tells whether anything is remembered under a key.
	Has(Key) bool
	// Known tells whether the item is remembered as it is now. What was made of it
	// is then taken again, and counted as Outcome says.
	Known(Item) (Outcome, bool)
	// Begin says that the values that follow are the item's.
	Begin(Item)
	// Done says that the item was read to its end. Without keep it must be read
	// again next time.
	Done(out Outcome, keep bool)
	// Group says that the items that follow belong to the group of that key, and
	// returns the state that was remembered for it, nil for none.
	Group(Key) []byte
	// Stay says that all items of the group are as they were, apart from those
	// under the keys of changed, and returns the sum of their outcomes.
	Stay(changed map[Key]bool) Outcome
	// State remembers a state for the group.
	State([]byte)
}

// Keyer makes keys and marks: AES-256 in CBC-MAC over texts that begin with
// their length, which is a pseudo-random function. Whoever lacks the key cannot
// even guess at a name. It is not safe for use by several goroutines.
type Keyer struct {
	block cipher.Block
	sum   [16]byte
	text  []byte
}

// NewKeyer returns a Keyer under key, 32 bytes.
func NewKeyer(key []byte) (*Keyer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &Keyer{block: block}, nil
}

func (k *Keyer) mac(kind byte, parent Key, text []byte) Key {
	k.sum = [16]byte{kind}
	binary.BigEndian.PutUint64(k.sum[8:], uint64(len(text)))
	k.block.Encrypt(k.sum[:], k.sum[:])
	for i := range k.sum {
		k.sum[i] ^= parent[i]
	}
	k.block.Encrypt(k.sum[:], k.sum[:])
	for len(text) > 0 {
		n := min(len(text), len(k.sum))
		for i := range n {
			k.sum[i] ^= text[i]
		}
		k.block.Encrypt(k.sum[:], k.sum[:])
		text = text[n:]
	}
	return k.sum
}

// Name returns the key of a name below parent.
func (k *Keyer) Name(parent Key, name string) Key {
	k.text = append(k.text[:0], name...)
	return k.mac('n', parent, k.text)
}

// Numbers returns a mark of numbers.
func (k *Keyer) Numbers(n ...uint64) Mark {
	k.text = k.text[:0]
	for _, x := range n {
		k.text = binary.BigEndian.AppendUint64(k.text, x)
	}
	m := k.mac('m', Key{}, k.text)
	return Mark(m[:])
}

// Text returns a mark of a text.
func (k *Keyer) Text(s string) Mark {
	k.text = append(k.text[:0], s...)
	m := k.mac('t', Key{}, k.text)
	return Mark(m[:])
}

// Reading is one pass over a Shelf: its counts, its right to read, its memory.
type Reading struct {
	gate  gate
	stats Stats
	paths []string // of the places in stats, "" where there is none to tell
	mem   Memory   // nil for none
	began time.Time
	item  Item // being read
	keep  bool
	open  bool // item is set
	moved int  // files and folders that changed while the pass ran
}

// Check tells why reading must end, if it must. A Shelf asks before everything
// that it reads.
func (r *Reading) Check() error { return r.gate.ask() }

// Ended is Check at the price of a look: it does not see a consent that runs
// out by the clock, which Check will at the next read.
func (r *Reading) Ended() error {
	select {
	case <-r.gate.done:
		return r.gate.ask()
	default:
		return nil
	}
}

// Memory returns the memory of the pass, nil for none.
func (r *Reading) Memory() Memory { return r.mem }

// Began returns when the pass began; it is zero without a memory.
func (r *Reading) Began() time.Time { return r.began }

// Known tells whether an item is remembered as it is now, and counts it. The
// shelf goes on to the next then.
func (r *Reading) Known(it Item) bool {
	out, ok := r.mem.Known(it)
	if ok {
		r.unchanged(out)
	}
	return ok
}

// File makes an item of an open file, named by its path, and tells whether it was
// left alone for long enough to be remembered. It is false where the system tells
// no state of a file, and without a memory.
func (r *Reading) File(f *os.File, path string) (it Item, keep, ok bool) {
	if r.mem == nil {
		return it, false, false
	}
	m, ok := markFile(f)
	if !ok {
		return it, false, false
	}
	return r.file(r.mem.Keyer().Name(Key{}, path), m), r.settled(m), true
}

func (r *Reading) file(key Key, m mark) Item {
	return Item{key, r.mem.Keyer().Numbers(m.dev, m.ino, m.size, uint64(m.mtime), uint64(m.ctime))}
}

func (r *Reading) settled(m mark) bool {
	last := r.began.Add(-settled).UnixNano()
	return m.mtime < last && m.ctime < last
}

// lately is how long before a pass a change counts as one during it: clocks of file systems tick slowly.
const lately = 100 * time.Millisecond

// left takes the state of a file or folder at the end of reading it.
func (r *Reading) left(m mark) {
	if r.mem != nil && m.ctime >= r.began.Add(-lately).UnixNano() {
		r.moved++
	}
}

// Stay counts all items of the memory's group but those of changed as unchanged.
func (r *Reading) Stay(changed map[Key]bool) {
	r.unchanged(r.mem.Stay(changed))
}

func (r *Reading) unchanged(out Outcome) {
	r.stats.Files += out.Items
	r.stats.Unchanged += out.Items
	r.add(out, "")
}

// Begin says what the text that Next is about to return is. keep is whether it
// may be remembered.
func (r *Reading) Begin(it Item, keep bool) { r.item, r.keep, r.open = it, keep, true }

// Lose says that something of the memory's group was not read, so that no state
// may stand for the whole group.
func (r *Reading) Lose() {
	if r.mem != nil {
		r.mem.Begin(Item{})
	}
}

// Skip counts something that was passed over without being opened, under a word that says why.
func (r *Reading) Skip(word string) { r.skip(Place{Reason: word}, "") }

func (r *Reading) skip(p Place, path string) {
	r.stats.Skipped[p.Reason]++
	r.place(p, path)
}

func (r *Reading) place(p Place, path string) {
	if len(r.stats.First) < maxPlaces {
		r.stats.First = append(r.stats.First, p)
		r.paths = append(r.paths, path)
	}
}

// add takes an outcome into the counts.
func (r *Reading) add(out Outcome, path string) {
	st := &r.stats
	st.Cards += out.Cards
	st.Tels += out.Tels
	st.Emails += out.Emails
	for word, n := range out.Skipped {
		st.Skipped[word] += n
	}
	for _, p := range out.First {
		p.File = st.Files
		r.place(p, path)
	}
}
