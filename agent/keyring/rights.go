package keyring

import (
	"fmt"
	"slices"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Rights is what the ring keeps for the cases of package rights.
type Rights struct {
	// Cases has the keys of every case.
	Cases map[wire.UUID]*CaseKeys `cbor:"1,keyasint"`
	// Closed has every controller at which the person has closed the account.
	Closed map[policy.ControllerID]Closed `cbor:"2,keyasint"`
}

// CaseKeys are the keys of one case.
type CaseKeys struct {
	// Generation counts the files of the case: each is sealed under a key of its own, and only the latest has one.
	Generation uint64 `cbor:"1,keyasint"`
	Key        Secret `cbor:"2,keyasint"`
	// Consent is the one under which the case was filed, and Identity a copy of its identity, which may be retired before the
	// controller has answered. It goes with the final answer.
	Consent  wire.UUID `cbor:"3,keyasint"`
	Identity Secret    `cbor:"4,keyasint"`
}

// Closed is the tombstone of an account.
type Closed struct {
	Since int64 `cbor:"1,keyasint"` // unix seconds
	Done  int64 `cbor:"2,keyasint"` // unix seconds at which the last signed answer was there; 0 before
}

// Format shows what the keys are for.
func (k CaseKeys) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "keys of a case under consent %s", k.Consent)
}

// Format shows how much there is.
func (r Rights) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "keys of %d cases, %d closed accounts", len(r.Cases), len(r.Closed))
}

func (k *CaseKeys) wipe() {
	clear(k.Key)
	clear(k.Identity)
}

func (r *Rights) clone() *Rights {
	c := &Rights{Cases: map[wire.UUID]*CaseKeys{}, Closed: map[policy.ControllerID]Closed{}}
	for id, k := range r.Cases {
		c.Cases[id] = &CaseKeys{Generation: k.Generation, Key: slices.Clone(k.Key), Consent: k.Consent, Identity: slices.Clone(k.Identity)}
	}
	for id, closed := range r.Closed {
		c.Closed[id] = closed
	}
	return c
}

func (r *Rights) wipe() {
	for _, k := range r.Cases {
		k.wipe()
	}
}

// ok reports whether the keys can be such.
func (r *Rights) ok() bool {
	for _, k := range r.Cases {
		if k == nil || len(k.Key) != KeySize || len(k.Identity) != 0 && len(k.Identity) != KeySize {
			return false
		}
	}
	for id, c := range r.Closed {
		if id == "" || c.Since < 0 || c.Done < 0 {
			return false
		}
	}
	return true
}
