package minimise

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/contacts/vcard"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var (
	// ErrEpoch says that the controller's epoch asks for a canonical form that this agent does not offer, or is
	// not valid now.
	ErrEpoch = errors.New("the controller's contacts epoch cannot be used")
	// ErrTooManyContacts says that the address book has more distinct values than one batch can carry.
	ErrTooManyContacts = errors.New("the address book has more values than a batch can carry")
)

const (
	// chunk is how many identifiers wait in an arena before they become digests. It bounds the raw values in memory
	// to about 1 MB, and is enough to keep every lane of the hasher busy.
	chunk = 1 << 15
	// slack is how many digests may wait beyond twice the distinct ones before they are sorted for the first or the
	// next time: sorting is a tenth of the pass, and most address books then need it once, for 4 MB of memory.
	slack = 1 << 18
)

// Contacts makes one pass over an address book. Values become canonical identifiers in packed arenas as they come,
// and keyed digests as soon as a chunk is full; names, labels and photos are never taken in. Memory is
// bounded by the number of distinct values.
type Contacts struct {
	sensors.Raw
	permit  consent.Permit
	rules   policy.Effective
	region  string
	epoch   wire.Epoch
	lanes   [3]lane // phone, e-mail, folded e-mail
	digests []byte
	sorted  int // digests up to here are sorted and distinct
	skipped map[string]int
	values  int
	memory  *ContactsMemory // nil for none
}

// lane is the arena and the key of one kind of identifier.
type lane struct {
	key    *hasher.Key
	batch  hasher.Batch
	owners []uint32 // of each entry of the batch, with a memory
}

const (
	lanePhone = iota
	laneEmail
	laneFolded
)

// NewContacts starts a pass. region (ISO 3166-1 alpha-2) is how a phone number without a country code is read; "ZZ"
// for none. It returns ErrEpoch when the epoch cannot be used.
func NewContacts(p consent.Permit, region string, epoch wire.Epoch, now time.Time) (*Contacts, error) {
	e, err := begin(p, policy.MinimiseContacts)
	if err != nil {
		return nil, err
	}
	if epoch.Form != canonical.PhoneForm || now.Unix() < epoch.NotBefore || now.Unix() >= epoch.NotAfter {
		return nil, fmt.Errorf("minimise %s: %w", p.Tuple(), ErrEpoch)
	}
	c := &Contacts{permit: p, rules: e, region: region, epoch: epoch, skipped: map[string]int{}}
	for i, kind := range [...]hasher.Kind{hasher.Phone, hasher.Email, hasher.EmailFolded} {
		if c.lanes[i].key, err = hasher.NewKey(epoch.Key, kind, epoch.Form); err != nil {
			c.Close()
			return nil, fmt.Errorf("minimise %s: %w", p.Tuple(), err)
		}
	}
	return c, nil
}

// Add takes in one value of an address book. A value that has no canonical form is counted under the word that
// says why, and left out. The error is ErrTooManyContacts.
func (c *Contacts) Add(kind vcard.Kind, value []byte) error {
	c.values++
	switch kind {
	case vcard.Tel:
		l := &c.lanes[lanePhone]
		out, err := canonical.AppendPhone(l.batch.Buf(), value, c.region)
		return c.commit(l, out, err)
	case vcard.Email:
		l := &c.lanes[laneEmail]
		out, err := canonical.AppendEmail(l.batch.Buf(), value)
		if err != nil || !c.rules.Purpose.Minimiser.FoldEmail {
			return c.commit(l, out, err)
		}
		if err := c.commit(l, out, nil); err != nil {
			return err
		}
		l = &c.lanes[laneFolded]
		if out, changed, err := canonical.AppendEmailFolded(l.batch.Buf(), value); err == nil && changed {
			return c.commit(l, out, nil)
		}
	}
	return nil
}

func (c *Contacts) commit(l *lane, out []byte, err error) error {
	if err != nil {
		word := canonical.Word(err)
		c.skipped[word]++
		if c.memory != nil {
			c.memory.miss(word)
		}
		return nil
	}
	if err := l.batch.Commit(out); err != nil {
		return fmt.Errorf("minimise %s: %w", c.permit.Tuple(), err)
	}
	if c.memory != nil {
		l.owners = append(l.owners, c.memory.current)
	}
	if l.batch.Len() < chunk {
		return nil
	}
	return c.flush(l)
}

// flush turns an arena into digests and forgets the identifiers.
func (c *Contacts) flush(l *lane) error {
	if need := l.batch.Len() * hasher.DigestSize; need > cap(c.digests)-len(c.digests) {
		c.digests = slices.Grow(c.digests, max(need, len(c.digests)))
	}
	from := len(c.digests)
	c.digests = l.key.AppendDigests(c.digests, &l.batch)
	l.batch.Reset()
	if c.memory != nil {
		c.memory.learn(l.owners, c.digests[from:])
		l.owners = l.owners[:0]
	}
	return c.tidy()
}

// tidy sorts what has come when it is much, and tells when it is too much.
func (c *Contacts) tidy() error {
	if n := len(c.digests) / hasher.DigestSize; n >= 2*c.sorted+slack {
		c.digests = hasher.SortDedupe(c.digests)
		c.sorted = len(c.digests) / hasher.DigestSize
	}
	if c.sorted > hasher.MaxPadded {
		return fmt.Errorf("minimise %s: %w", c.permit.Tuple(), ErrTooManyContacts)
	}
	return nil
}

// Values returns how many values were taken in, with repetitions and those left out.
func (c *Contacts) Values() int { return c.values }

// Skipped returns how many values were left out, by the word that says why.
func (c *Contacts) Skipped() map[string]int { return c.skipped }

// Report ends the pass: the whole set of keyed digests, deduplicated, sorted, and padded to a size class with stable
// dummies derived from padKey (32 bytes, secret to this tuple), so that neither the exact number nor the order of
// entries is told. Time is to the hour. An empty book gives a set of dummies.
func (c *Contacts) Report(padKey []byte, now time.Time) (Report, error) {
	defer c.Close()
	for i := range c.lanes {
		if err := c.flush(&c.lanes[i]); err != nil {
			return Report{}, err
		}
	}
	if c.memory != nil {
		if err := c.memory.take(c); err != nil {
			return Report{}, err
		}
	}
	digests := hasher.SortDedupe(c.digests)
	if len(digests)/hasher.DigestSize > hasher.MaxPadded {
		return Report{}, fmt.Errorf("minimise %s: %w", c.permit.Tuple(), ErrTooManyContacts)
	}
	return finish(c.permit, c.rules, hour(now), map[string]any{
		"digests":  hasher.Pad(digests, padKey),
		"epoch":    int64(c.epoch.ID),
		"form":     int64(c.epoch.Form),
		"metadata": canonical.MetadataVersion,
	})
}

// Close forgets everything. It may be called at any time and more than once.
func (c *Contacts) Close() {
	for i := range c.lanes {
		if c.lanes[i].key != nil {
			c.lanes[i].key.Destroy()
		}
		c.lanes[i].batch.Reset()
	}
	c.digests, c.sorted = nil, 0
}
