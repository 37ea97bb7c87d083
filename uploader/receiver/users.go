package receiver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/hasher/canonical"
)

// Identifier of a registered user, as typed: a phone number or an e-mail address.
type Identifier struct {
	Name  string // the controller's own id of the user; it is stored
	Phone string // either Phone
	Email string // or Email; neither is stored, only its digest
}

// ErrName says that a user's name is empty, longer than 64 bytes, or holds a control character.
var ErrName = errors.New("not a usable name")

// UserError says which identifier cannot be registered, and why; it holds no value.
type UserError struct {
	Index int // in the list, from 0
	Err   error
}

func (e *UserError) Error() string { return fmt.Sprintf("user %d: %v", e.Index+1, e.Err) }

// Unwrap returns the reason.
func (e *UserError) Unwrap() error { return e.Err }

// AddUsers registers users for matching: each identifier is spelt canonically (phone numbers as dialled in region, see
// package canonical), digested under the epoch in force, and forgotten. It returns the number of digests. All are added or
// none: the error is a *UserError where one has no canonical form.
func (s *Store) AddUsers(ctx context.Context, list []Identifier, region string, now time.Time) (added int, err error) {
	err = s.update(ctx, func(tx *sql.Tx) error {
		epoch, err := s.epoch(tx, now)
		if err != nil {
			return err
		}
		defer clear(epoch.Key)
		var keys [hasher.EmailFolded + 1]*hasher.Key
		for kind := hasher.Phone; kind <= hasher.EmailFolded; kind++ {
			if keys[kind], err = hasher.NewKey(epoch.Key, kind, epoch.Form); err != nil {
				return err
			}
			defer keys[kind].Destroy()
		}
		for i, id := range list {
			forms, err := id.forms(region)
			if err != nil {
				return &UserError{i, err}
			}
			for kind, form := range forms {
				d := keys[kind].Digest(form)
				clear(form)
				n, err := changed(tx, "INSERT INTO users (epoch, digest, name, kind) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name",
					epoch.ID, d[:], id.Name, kind.String())
				if err != nil {
					return err
				}
				added += n
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return added, nil
}

// forms returns the canonical spellings that digests are made of.
func (id Identifier) forms(region string) (map[hasher.Kind][]byte, error) {
	if id.Name == "" || len(id.Name) > 64 {
		return nil, ErrName
	}
	for _, r := range id.Name {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return nil, ErrName
		}
	}
	switch {
	case (id.Phone == "") == (id.Email == ""):
		return nil, errors.New("either a phone number or an e-mail address is needed")
	case id.Phone != "":
		p, err := canonical.AppendPhone(nil, []byte(id.Phone), region)
		return map[hasher.Kind][]byte{hasher.Phone: p}, err
	}
	mail, err := canonical.AppendEmail(nil, []byte(id.Email))
	if err != nil {
		return nil, err
	}
	// The folded form is registered even where folding changes nothing: others may have written the address with
	// a dot or a tag more.
	folded, _, err := canonical.AppendEmailFolded(nil, []byte(id.Email))
	return map[hasher.Kind][]byte{hasher.Email: mail, hasher.EmailFolded: folded}, err
}

// User is a registered user as the store knows it.
type User struct {
	Name    string `json:"name"`
	Phones  int    `json:"phones"` // how many phone numbers
	Emails  int    `json:"emails"` // how many e-mail addresses
	Epoch   uint   `json:"epoch"`
	Digests int    `json:"digests"`
}

// Users lists the registered users by name.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	var list []User
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		list, err = collect(tx, func(rows *sql.Rows) (u User, err error) {
			return u, rows.Scan(&u.Name, &u.Epoch, &u.Phones, &u.Emails, &u.Digests)
		}, "SELECT name, epoch, sum(kind = 'phone'), sum(kind = 'email'), count(*) FROM users GROUP BY name, epoch ORDER BY name")
		return err
	})
	return list, err
}

// RemoveUser forgets a registered user, also where others' address books had matched it, and reports whether there
// was one.
func (s *Store) RemoveUser(ctx context.Context, name string) (bool, error) {
	found := false
	err := s.update(ctx, func(tx *sql.Tx) error {
		digests, err := collect(tx, func(rows *sql.Rows) (d []byte, err error) {
			return d, rows.Scan(&d)
		}, "SELECT digest FROM users WHERE name = ?", name)
		if err != nil || len(digests) == 0 {
			return err
		}
		found = true
		if _, err := tx.Exec("DELETE FROM users WHERE name = ?", name); err != nil {
			return err
		}
		gone := map[string]bool{}
		for _, d := range digests {
			gone[string(d)] = true
		}
		return s.unmatch(tx, gone)
	})
	return found, err
}

// unmatch takes digests out of everything that was matched.
func (s *Store) unmatch(tx queryer, gone map[string]bool) error {
	consents, err := collect(tx, scanUUID, "SELECT consent FROM matches")
	if err != nil {
		return err
	}
	for _, consent := range consents {
		digests, _, err := s.matches(tx, consent)
		if err != nil {
			return err
		}
		var kept []byte
		for d := range slices.Chunk(digests, hasher.DigestSize) {
			if !gone[string(d)] {
				kept = append(kept, d...)
			}
		}
		if len(kept) == len(digests) {
			continue
		}
		if len(kept) == 0 {
			if _, err := eraseBodies(tx, consent); err != nil {
				return err
			}
			continue
		}
		key, err := s.consentKey(tx, consent, false)
		if err != nil {
			return err
		}
		if _, err := tx.Exec("UPDATE matches SET sealed = ? WHERE consent = ?",
			key.Seal(nil, nil, kept, bound("matches", consent)), consent[:]); err != nil {
			return err
		}
	}
	return nil
}
