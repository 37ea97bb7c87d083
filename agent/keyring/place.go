package keyring

import (
	"fmt"
	"maps"
	"slices"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Place is what keeps places apart from what one controller is told of them: the secret of their offsets. It outlives
// withdrawals: while the controller may still hold cells of an earlier consent, the same place must have the same
// cell. It goes with the last of the consents it was used under, that is, when that consent's entry in Grants
// goes: after the controller's receipt for an erasure, or at the end of what it may keep.
type Place struct {
	Secret Secret `cbor:"1,keyasint"`
	// Consents are those of Grants under which the secret was used.
	Consents []wire.UUID `cbor:"2,keyasint"`
	// Spent is how many draws of its budget each purpose has used up, by "category/purpose".
	Spent map[string]uint64 `cbor:"3,keyasint,omitempty"`
}

// Format shows how much there is.
func (p Place) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "place secret of %d consents", len(p.Consents))
}

func (p *Place) clone() *Place {
	return &Place{Secret: slices.Clone(p.Secret), Consents: slices.Clone(p.Consents), Spent: maps.Clone(p.Spent)}
}

// clonePlaces gives s its own copy of the places of another state.
func (s *State) clonePlaces(from *State) {
	s.Places = make(map[policy.ControllerID]*Place, len(from.Places)+1)
	for id, p := range from.Places {
		s.Places[id] = p.clone()
	}
}

// dropPlaces destroys the secrets under which nothing can be linked any more.
func (s *State) dropPlaces() {
	for id, p := range s.Places {
		p.Consents = slices.DeleteFunc(p.Consents, func(c wire.UUID) bool { return s.Grants[c] == nil })
		if len(p.Consents) == 0 {
			clear(p.Secret)
			delete(s.Places, id)
		}
	}
}

func (s *State) wipePlaces() {
	for _, p := range s.Places {
		clear(p.Secret)
	}
}

// placesOK reports whether the places fit together.
func (s *State) placesOK() bool {
	for id, p := range s.Places {
		if id == "" || p == nil || len(p.Secret) != KeySize {
			return false
		}
	}
	return true
}

// PlaceSecret returns a copy of the secret of places (32 bytes) that a consent shares with every other consent of its controller, and
// how much of its budget the purpose has spent. The first call makes it. ErrNoKey where the consent has no data
// key. The caller wipes the copy with clear when done.
func (r *Ring) PlaceSecret(consent wire.UUID) (secret Secret, spent uint64, err error) {
	look := func(s *State) bool {
		g := s.Grants[consent]
		if g == nil || len(g.DataKey) == 0 {
			err = fmt.Errorf("place secret: consent %s: %w", consent, ErrNoKey)
			return true
		}
		p := s.Places[g.Tuple.Controller]
		if p == nil || !slices.Contains(p.Consents, consent) {
			return false
		}
		secret, spent = slices.Clone(p.Secret), p.Spent[g.Tuple.String()]
		return true
	}
	found := false
	r.View(func(s *State) { found = look(s) })
	if found {
		return secret, spent, err
	}
	if updated := r.Update(func(s *State) error {
		if look(s) {
			return err
		}
		controller := s.Grants[consent].Tuple.Controller
		p := s.Places[controller]
		if p == nil {
			p = &Place{Secret: NewKey()}
			s.Places[controller] = p
		}
		p.Consents = append(p.Consents, consent)
		look(s)
		return nil
	}); updated != nil {
		clear(secret)
		return nil, 0, updated
	}
	return secret, spent, nil
}

// SpendPlace records how much of its budget the purpose of a consent has spent. It never falls. ErrNoKey where
// PlaceSecret was not called before, or the consent has ended.
func (r *Ring) SpendPlace(consent wire.UUID, spent uint64) error {
	return r.Update(func(s *State) error {
		g := s.Grants[consent]
		if g == nil || len(g.DataKey) == 0 || s.Places[g.Tuple.Controller] == nil {
			return fmt.Errorf("spend place budget: consent %s: %w", consent, ErrNoKey)
		}
		p, name := s.Places[g.Tuple.Controller], g.Tuple.String()
		if p.Spent == nil {
			p.Spent = map[string]uint64{}
		}
		p.Spent[name] = max(p.Spent[name], spent)
		return nil
	})
}
