package minimise

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/contacts"
)

// ErrContactsMemory says that a stored memory is damaged, or was sealed with another key. The pass goes on without it.
var ErrContactsMemory = errors.New("what was remembered of the address book is damaged")

// MaxContactsMemory bounds a sealed memory in bytes.
const MaxContactsMemory = 24 << 20

// What a memory holds at most. A book of more is read at every pass as far as it is not remembered.
const (
	maxItems  = 1 << 17
	maxTaken  = hasher.MaxPadded
	maxNotes  = 1 << 18
	maxWords  = 255
	maxGroups = 64
	maxState  = 4096
)

// readerVersion is raised when the readers or the canonical forms would make something else of the same card.
const readerVersion = 1

const memoryMagic = "scruple-contacts/1\n"

// nobody owns what was not read from an item.
const nobody = ^uint32(0)

// ContactsMemory remembers between passes which digests each file or card gave, so that those that did not change
// are not read again. It holds keyed digests of names, of states and of values, and counts; no name and no value.
//
// What it gives back is used in Report alone, under the permit of its pass. It is bound to the consent, the epoch and its key,
// the canonical form, the metadata, the region, the folding of e-mail addresses and the version of the program: if one
// of them differs it begins anew. It dies with the consent's data key, under which it is sealed.
type ContactsMemory struct {
	sensors.Raw
	pass    *Contacts
	keyer   *contacts.Keyer
	aead    cipher.AEAD
	binding [sha256.Size]byte

	old    memo
	stale  bool   // what was stored is damaged, or of another epoch, region or version
	alive  []bool // of old.files: to be taken again
	index  map[contacts.Key]uint32
	cursor int // where the next file is expected, since passes go in the same order

	fresh   memo
	kept    []bool         // of fresh.files: read to the end, and to be remembered
	current uint32         // of fresh.files, or nobody
	misses  []note         // of the current one
	group   int            // of fresh.groups
	lost    [maxGroups]int // items of the group that were read and are not remembered
}

// memo is what is stored.
type memo struct {
	files  []item
	notes  []note
	taken  []byte // digests with their file before them, takenSize bytes each
	words  []string
	groups []group
}

type item struct {
	contacts.Item
	group               uint8 // of the memo's groups
	now                 uint8 // of those of this pass, once it is known to be as it was
	cards, tels, emails uint32
	notes               uint32 // end of its notes, which begin where those of the one before end
}

// note is something that was counted, or a place where a card was passed over.
type note struct {
	kind uint8
	word uint8
	a, b uint32
}

const (
	noteSkip  = iota // a times by the reader
	noteMiss         // a times, for want of a canonical form
	notePlace        // card a, line b
	noteKinds
)

type group struct {
	key   contacts.Key
	state []byte
}

const takenSize = 4 + hasher.DigestSize

// Remember gives the pass a memory, before anything is added. dataKey is the consent's, build the version of the
// program, and stored what Seal returned after the last pass, nil for none. It is overwritten.
// With ErrContactsMemory the memory is empty and can be used.
func (c *Contacts) Remember(dataKey []byte, build string, stored []byte) (*ContactsMemory, error) {
	keys, err := hkdf.Key(sha256.New, dataKey, nil, "scruple/contacts/memory/1", 64)
	if err != nil {
		return nil, fmt.Errorf("minimise %s: %w", c.permit.Tuple(), err)
	}
	defer clear(keys)
	m := &ContactsMemory{pass: c, current: nobody}
	if m.aead, err = sealed.AEAD(dataKey, memoryMagic); err == nil {
		m.keyer, err = contacts.NewKeyer(keys[:32])
	}
	if err != nil {
		return nil, fmt.Errorf("minimise %s: %w", c.permit.Tuple(), err)
	}
	m.bind(keys[32:], build)
	c.memory = m
	m.fresh.groups = []group{{}}
	if len(stored) == 0 {
		return m, nil
	}
	if err := m.open(stored); err != nil {
		m.old, m.stale = memo{}, true
		return m, fmt.Errorf("minimise %s: %w", c.permit.Tuple(), ErrContactsMemory)
	}
	m.alive = make([]bool, len(m.old.files))
	return m, nil
}

func (m *ContactsMemory) bind(key []byte, build string) {
	c := m.pass
	mac := hmac.New(sha256.New, key)
	consent := c.permit.Consent()
	fold := byte(0)
	if c.rules.Purpose.Minimiser.FoldEmail {
		fold = 1
	}
	b := append([]byte(nil), consent[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.epoch.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(c.epoch.Form))
	b = append(b, fold, readerVersion)
	for _, text := range []string{string(c.epoch.Key), c.epoch.Mode, canonical.MetadataVersion, c.region, build} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	mac.Write(b)
	clear(b)
	mac.Sum(m.binding[:0])
}

func (m *ContactsMemory) open(sealed []byte) error {
	if len(sealed) > MaxContactsMemory || len(sealed) < len(memoryMagic) || string(sealed[:len(memoryMagic)]) != memoryMagic {
		return errMemo
	}
	body := sealed[len(memoryMagic):]
	plain, err := m.aead.Open(body[:0], nil, body, []byte(memoryMagic)) // in its place: there may be 20 MB of it
	if err != nil {
		return err
	}
	if len(plain) < len(m.binding) {
		return errMemo
	}
	if [sha256.Size]byte(plain) != m.binding {
		m.stale = true // no damage
		return nil
	}
	m.old, err = decodeMemo(plain[len(m.binding):])
	return err
}

// Keyer implements contacts.Memory.
func (m *ContactsMemory) Keyer() *contacts.Keyer { return m.keyer }

// find returns the number of the file under a key in what was remembered.
func (m *ContactsMemory) find(k contacts.Key) (int, bool) {
	if m.cursor < len(m.old.files) && m.old.files[m.cursor].Key == k {
		return m.cursor, true
	}
	if m.index == nil {
		m.index = make(map[contacts.Key]uint32, len(m.old.files))
		for i := range m.old.files {
			m.index[m.old.files[i].Key] = uint32(i)
		}
	}
	i, ok := m.index[k]
	return int(i), ok
}

// Has implements contacts.Memory.
func (m *ContactsMemory) Has(k contacts.Key) bool {
	i, ok := m.find(k)
	if ok {
		m.cursor = i
	}
	return ok
}

// Known implements contacts.Memory.
func (m *ContactsMemory) Known(it contacts.Item) (contacts.Outcome, bool) {
	i, ok := m.find(it.Key)
	if !ok {
		return contacts.Outcome{}, false
	}
	m.cursor = i + 1
	f := &m.old.files[i]
	if f.Mark != it.Mark || m.old.groups[f.group].key != m.fresh.groups[m.group].key {
		return contacts.Outcome{}, false
	}
	f.now = uint8(m.group)
	var out contacts.Outcome
	m.again(i, &out)
	return out, true
}

// again takes an item of the last pass, and adds what was counted then.
func (m *ContactsMemory) again(i int, out *contacts.Outcome) {
	m.alive[i] = true
	f := &m.old.files[i]
	out.Items++
	out.Cards += int(f.cards)
	out.Tels += int(f.tels)
	out.Emails += int(f.emails)
	m.pass.values += int(f.tels) + int(f.emails)
	for _, n := range m.old.notesOf(i) {
		word := m.old.words[n.word]
		switch n.kind {
		case noteSkip:
			if out.Skipped == nil {
				out.Skipped = map[string]int{}
			}
			out.Skipped[word] += int(n.a)
		case noteMiss:
			m.pass.skipped[word] += int(n.a)
		case notePlace:
			if len(out.First) < maxPlaces {
				out.First = append(out.First, contacts.Place{Card: int(n.a), Line: int(n.b), Reason: word})
			}
		}
	}
}

// maxPlaces is how many places are kept of an item, as package contacts does.
const maxPlaces = 8

func (o *memo) notesOf(i int) []note {
	from := uint32(0)
	if i > 0 {
		from = o.files[i-1].notes
	}
	return o.notes[from:o.files[i].notes]
}

// Begin implements contacts.Memory.
func (m *ContactsMemory) Begin(it contacts.Item) {
	m.current, m.misses = nobody, m.misses[:0]
	m.lost[m.group]++ // until it is done
	if len(m.fresh.files) == maxItems {
		return
	}
	m.current = uint32(len(m.fresh.files))
	m.fresh.files = append(m.fresh.files, item{Item: it, group: uint8(m.group), notes: uint32(len(m.fresh.notes))})
	m.kept = append(m.kept, false)
}

// Done implements contacts.Memory.
func (m *ContactsMemory) Done(out contacts.Outcome, keep bool) {
	if m.current == nobody {
		return
	}
	f := &m.fresh.files[m.current]
	f.cards, f.tels, f.emails = uint32(out.Cards), uint32(out.Tels), uint32(out.Emails)
	if !keep || len(m.fresh.notes)+len(out.Skipped)+len(out.First)+len(m.misses) > maxNotes {
		m.current = nobody
		return
	}
	for word, n := range out.Skipped {
		m.fresh.add(noteSkip, word, n, 0)
	}
	m.fresh.notes = append(m.fresh.notes, m.misses...)
	for _, p := range out.First {
		m.fresh.add(notePlace, p.Reason, p.Card, p.Line)
	}
	f.notes = uint32(len(m.fresh.notes))
	m.kept[m.current], m.current = true, nobody
	m.lost[m.group]--
}

// miss counts a value of the item being read that has no canonical form.
func (m *ContactsMemory) miss(word string) {
	if m.current == nobody {
		return
	}
	w := m.fresh.word(word)
	for i := range m.misses {
		if m.misses[i].word == w {
			m.misses[i].a++
			return
		}
	}
	m.misses = append(m.misses, note{kind: noteMiss, word: w, a: 1})
}

// learn notes which item gave each digest.
func (m *ContactsMemory) learn(owners []uint32, digests []byte) {
	for i, owner := range owners {
		if owner == nobody {
			continue
		}
		if len(m.fresh.taken) == maxTaken*takenSize {
			m.forget(owner)
			continue
		}
		m.fresh.taken = binary.LittleEndian.AppendUint32(m.fresh.taken, owner)
		m.fresh.taken = append(m.fresh.taken, digests[i*hasher.DigestSize:(i+1)*hasher.DigestSize]...)
	}
}

// forget drops an item that was read, since not all of it can be remembered.
func (m *ContactsMemory) forget(owner uint32) {
	if m.kept[owner] {
		m.kept[owner] = false
		m.lost[m.fresh.files[owner].group]++
	}
	if m.current == owner {
		m.current = nobody
	}
}

// take gives the pass the digests of every item that stayed as it was.
func (m *ContactsMemory) take(c *Contacts) error {
	if err := c.permit.Check(); err != nil {
		return fmt.Errorf("minimise: %w", err)
	}
	for t := m.old.taken; len(t) > 0; t = t[takenSize:] {
		if !m.alive[binary.LittleEndian.Uint32(t)] {
			continue
		}
		if cap(c.digests)-len(c.digests) < hasher.DigestSize {
			c.digests = slices.Grow(c.digests, max(len(c.digests), len(t)/takenSize*hasher.DigestSize))
		}
		c.digests = append(c.digests, t[4:takenSize]...)
		if len(c.digests)%(chunk*hasher.DigestSize) == 0 {
			if err := c.tidy(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Group implements contacts.Memory.
func (m *ContactsMemory) Group(key contacts.Key) []byte {
	m.group = slices.IndexFunc(m.fresh.groups, func(g group) bool { return g.key == key })
	if m.group < 0 && len(m.fresh.groups) < maxGroups {
		m.group = len(m.fresh.groups)
		m.fresh.groups = append(m.fresh.groups, group{key: key})
	}
	if m.group < 0 {
		m.group = 0 // without a state; settings do not allow as many
		return nil
	}
	for _, g := range m.old.groups {
		if g.key == key {
			return slices.Clone(g.state)
		}
	}
	return nil
}

// Stay implements contacts.Memory.
func (m *ContactsMemory) Stay(changed map[contacts.Key]bool) (out contacts.Outcome) {
	for i := range m.old.files {
		f := &m.old.files[i]
		if m.old.groups[f.group].key == m.fresh.groups[m.group].key && !changed[f.Key] {
			f.now = uint8(m.group)
			m.again(i, &out)
		}
	}
	return out
}

// State implements contacts.Memory.
func (m *ContactsMemory) State(state []byte) {
	if len(state) <= maxState && m.group > 0 {
		m.fresh.groups[m.group].state = slices.Clone(state)
	}
}

// Seal ends the memory. It returns what is to be stored after Report, and whether it differs from what was stored before.
func (m *ContactsMemory) Seal() (sealed []byte, changed bool) {
	if !m.changed() {
		return nil, false
	}
	next := m.merge()
	plain := next.append(append(make([]byte, 0, next.size()+len(m.binding)), m.binding[:]...))
	m.old, m.fresh = memo{}, memo{}
	return m.aead.Seal([]byte(memoryMagic), nil, plain, []byte(memoryMagic)), true
}

func (m *ContactsMemory) changed() bool {
	if m.stale || slices.Contains(m.kept, true) || slices.Contains(m.alive, false) {
		return true
	}
	return !slices.EqualFunc(m.old.groups, m.fresh.groups, func(a, b group) bool {
		return a.key == b.key && string(a.state) == string(b.state)
	}) && (len(m.old.groups) > 0 || len(m.fresh.groups) > 1)
}

// merge returns what stayed as it was and what was read.
func (m *ContactsMemory) merge() *memo {
	if len(m.old.files) == 0 && !slices.Contains(m.kept, false) && m.lost == [maxGroups]int{} {
		return &m.fresh // the first pass, in which everything was read to its end
	}
	next := &memo{groups: m.fresh.groups}
	lost := m.lost
	for _, part := range []struct {
		from *memo
		keep []bool
		now  bool
	}{{&m.old, m.alive, true}, {&m.fresh, m.kept, false}} {
		renumbered := make([]uint32, len(part.from.files))
		for i, f := range part.from.files {
			renumbered[i] = nobody
			if !part.keep[i] {
				continue
			}
			if part.now {
				f.group = f.now
			}
			notes := part.from.notesOf(i)
			if len(next.files) == maxItems || len(next.notes)+len(notes) > maxNotes {
				lost[f.group]++
				continue
			}
			for _, n := range notes {
				n.word = next.word(part.from.words[n.word])
				next.notes = append(next.notes, n)
			}
			renumbered[i] = uint32(len(next.files))
			f.notes = uint32(len(next.notes))
			next.files = append(next.files, f)
		}
		next.taken = slices.Grow(next.taken, len(part.from.taken))
		for t := part.from.taken; len(t) > 0; t = t[takenSize:] {
			if to := renumbered[binary.LittleEndian.Uint32(t)]; to != nobody {
				next.taken = binary.LittleEndian.AppendUint32(next.taken, to)
				next.taken = append(next.taken, t[4:takenSize]...)
			}
		}
	}
	if len(next.taken) > maxTaken*takenSize {
		return &memo{groups: []group{{}}} // more than a report can carry: the next pass begins anew
	}
	for i := range next.groups {
		if lost[i] > 0 { // what changed since that state would not be the whole
			next.groups[i].state = nil
		}
	}
	return next
}
