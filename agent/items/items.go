// Package items keeps the latest state of what applications submitted (a profile, posts, bank cards, settings), so that the
// person sees it, corrects it and deletes it item by item, for as long as the policy's retention on the device says.
//
// Each consent has one file, replaced atomically at every change and sealed under a key derived from the consent's data
// key: it dies with the key. What is in it went through package minimise, so it holds nothing that the policy
// does not declare. Reading JSON from applications is here too (Decode): strict, bounded, and without a value in any error.
//
// The package sends nothing, and asks nobody for consent but the Permit it is given, under the lock that Erase takes.
//
// BUG: someone who can write to the state folder can put back an older file of a consent that is still in force.
package items

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/sealed"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var (
	// ErrFull says that a consent holds as many items, or as many bytes, as one may.
	ErrFull = errors.New("no room for another item")
	// ErrOther says that another application submitted the item.
	ErrOther = errors.New("the item was submitted by another application")
	// ErrConsent says that the report and the permit it came with rest on different consents.
	ErrConsent = errors.New("the item was made under another consent")
)

// The bounds of one consent: a few years of posts, or as many pictures as a profile has.
const (
	MaxItems = 2048
	MaxBytes = 8 << 20 // of the file
)

// FieldName is the field whose value names an item. A category without it has one item, Only.
const FieldName = "item"

// Only is the name of the one item of a category that does not declare FieldName.
const Only = "-"

// Item is the latest state of one item.
type Item struct {
	Name string `cbor:"1,keyasint"`
	// Stored is when this state came, in unix seconds.
	Stored int64 `cbor:"2,keyasint"`
	// Client is the application that submitted it, "" for the person.
	Client string `cbor:"3,keyasint"`
	// Origin is the third party that it comes from, "" where it comes from the person or the device.
	Origin string         `cbor:"4,keyasint"`
	Fields map[string]any `cbor:"5,keyasint"`
}

// Store is safe for concurrent use.
type Store struct {
	files sealed.Folder
	mu    sync.Mutex
}

// Open opens the store in dir and makes dir if needed. Files of consents without a data key are erased: their withdrawal had
// been decided.
func Open(dir string, ring *keyring.Ring) (*Store, error) {
	s := &Store{files: sealed.Folder{
		Dir: dir, Suffix: ".items", Kind: sealed.Kind{Magic: "scruple-items/1\n", Max: MaxBytes}, Key: ring.DataKey,
	}}
	if err := durable.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open items: %w", err)
	}
	for _, id := range s.Consents() {
		key, err := ring.DataKey(id)
		clear(key)
		if errors.Is(err, keyring.ErrNoKey) {
			_ = s.Erase(id) // its owner repeats what failed
		}
	}
	return s, nil
}

// Permit is what the store asks of a consent.Permit.
type Permit interface {
	Check() error
	Consent() wire.UUID
}

// Put stores the state of an item; it replaces an earlier one that the same client submitted, and gives ErrOther
// where another did. With person set it replaces any.
func (s *Store) Put(p Permit, it Item, person bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := p.Check(); err != nil {
		return fmt.Errorf("store item: %w", err)
	}
	list, err := s.load(p.Consent())
	if err != nil {
		return fmt.Errorf("store item: %w", err)
	}
	at := slices.IndexFunc(list, func(old Item) bool { return old.Name == it.Name })
	switch {
	case at < 0 && len(list) >= MaxItems:
		return fmt.Errorf("store item: %w", ErrFull)
	case at < 0:
		list = append(list, it)
	case list[at].Client != it.Client && !person:
		return fmt.Errorf("store item: %w", ErrOther)
	default:
		if person { // it stays the application's to see and to delete
			it.Client = list[at].Client
		}
		list[at] = it
	}
	if err := s.save(p.Consent(), list); err != nil {
		return fmt.Errorf("store item: %w", err)
	}
	return nil
}

// Owner returns who submitted an item; ok is false where there is none of that name.
func (s *Store) Owner(consent wire.UUID, name string) (client string, ok bool, err error) {
	list, err := s.List(consent)
	for _, it := range list {
		if it.Name == name {
			return it.Client, true, nil
		}
	}
	return "", false, err
}

// Expire deletes what was stored before a time and returns how many items that were.
func (s *Store) Expire(consent wire.UUID, before time.Time) (int, error) {
	return s.Edit(consent, func(it Item) (map[string]any, bool) { return nil, it.Stored < before.Unix() })
}

// Sweep deletes what has been kept for as long as retention says of its consent; 0 is until an event, which comes by itself.
func (s *Store) Sweep(now time.Time, retention func(consent wire.UUID) time.Duration) error {
	var errs []error
	for _, id := range s.Consents() {
		if keep := retention(id); keep > 0 {
			if _, err := s.Expire(id, now.Add(-keep)); !errors.Is(err, keyring.ErrNoKey) { // what has no key is erased, not swept
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Edit calls edit with every item of a consent and replaces the fields of those it changes; one of which no field is left goes. It
// returns how many were changed. It is for the person's corrections and erasures, and can be repeated.
func (s *Store) Edit(consent wire.UUID, edit func(Item) (fields map[string]any, change bool)) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.load(consent)
	if err != nil {
		return 0, fmt.Errorf("edit items: %w", err)
	}
	n, rest := 0, list[:0:0]
	for _, it := range list {
		fields, change := edit(it)
		if change {
			n++
			it.Fields = fields
		}
		if len(it.Fields) > 0 {
			rest = append(rest, it)
		}
	}
	switch {
	case n == 0:
		return 0, nil
	case len(rest) == 0:
		err = s.files.Erase(consent)
	default:
		err = s.save(consent, rest)
	}
	if err != nil {
		return 0, fmt.Errorf("edit items: %w", err)
	}
	return n, nil
}

// List returns the items of a consent in the order in which they first came.
func (s *Store) List(consent wire.UUID) ([]Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.load(consent)
	if err != nil {
		return nil, fmt.Errorf("list items: %w", err)
	}
	return list, nil
}

// Erase removes everything of a consent. It is idempotent and needs no key and no free space.
func (s *Store) Erase(consent wire.UUID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.files.Erase(consent); err != nil {
		return fmt.Errorf("erase items of consent %s: %w", consent, err)
	}
	return nil
}

// Consents returns the consents that have a file.
func (s *Store) Consents() []wire.UUID { return s.files.Consents() }

// load reads a consent's file; none is no item.
func (s *Store) load(consent wire.UUID) ([]Item, error) {
	plain, err := s.files.Load(consent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return decodeFile(plain)
}

func (s *Store) save(consent wire.UUID, list []Item) error {
	plain, err := encMode.Marshal(list)
	if err != nil {
		return err
	}
	defer clear(plain)
	err = s.files.Save(consent, plain)
	if errors.Is(err, sealed.ErrTooLarge) {
		return ErrFull
	}
	return err
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, UTF8: cbor.UTF8RejectInvalid, IntDec: cbor.IntDecConvertSignedOrFail,
		MaxArrayElements: MaxItems, MaxMapPairs: 64, MaxNestedLevels: 5,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// decodeFile reads what save wrote.
func decodeFile(plain []byte) ([]Item, error) {
	var list []Item
	if err := decMode.Unmarshal(plain, &list); err != nil {
		return nil, sealed.ErrDamaged
	}
	seen := map[string]bool{}
	for _, it := range list {
		if it.Name == "" || seen[it.Name] {
			return nil, sealed.ErrDamaged
		}
		seen[it.Name] = true
		for name, value := range it.Fields {
			v, ok := typed(value)
			if !ok {
				return nil, sealed.ErrDamaged
			}
			it.Fields[name] = v
		}
	}
	return list, nil
}

// typed gives a decoded value the type that the schema has for it.
func typed(value any) (any, bool) {
	switch v := value.(type) {
	case string, int64, bool, []byte:
		return v, true
	case []any:
		list := make([]string, len(v))
		for i := range v {
			s, ok := v[i].(string)
			if !ok {
				return nil, false
			}
			list[i] = s
		}
		return list, true
	}
	return nil, false
}
