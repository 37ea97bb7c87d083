package keyring

import (
	"crypto/ed25519"
	"fmt"
	"slices"
)

// Age is the age band that was declared; never a date of birth.
type Age struct {
	Band  string `cbor:"1,keyasint"`
	Since int64  `cbor:"2,keyasint"` // unix seconds
}

// Guardian is who answers for a minor, and what was asked of them.
type Guardian struct {
	// Key is the guardian's Ed25519 public key, nil while none is enrolled.
	Key   []byte `cbor:"1,keyasint,omitempty"`
	Since int64  `cbor:"2,keyasint,omitempty"` // of Key, unix seconds
	// Device is the random number under which the guardian's orders name this device.
	Device []byte `cbor:"3,keyasint"`
	// Asked are the questions that were asked, oldest first, until their answer is used or their time is over.
	Asked []*GuardianAsked `cbor:"4,keyasint,omitempty"`
	// Policies are the digests of the policies that the guardian has accepted.
	Policies [][]byte `cbor:"5,keyasint,omitempty"`
	// Orders are the nonces of the orders that were carried out.
	Orders []GuardianOrder `cbor:"6,keyasint,omitempty"`
}

// GuardianAsked is one question with its secret, and its answer once there is one.
type GuardianAsked struct {
	Nonce    []byte `cbor:"1,keyasint"`
	Question []byte `cbor:"2,keyasint"` // as encoded
	Salt     Secret `cbor:"3,keyasint"` // of the commitment in it
	Expiry   int64  `cbor:"4,keyasint"` // unix seconds
	Approval []byte `cbor:"5,keyasint,omitempty"`
}

// GuardianOrder is an order that was carried out; it is remembered until it would be refused as too old.
type GuardianOrder struct {
	Nonce []byte `cbor:"1,keyasint"`
	Until int64  `cbor:"2,keyasint"` // unix seconds
}

// Bounds of what is kept about a guardian.
const (
	MaxGuardianAsked    = 64
	MaxGuardianPolicies = 16
	MaxGuardianOrders   = 256
)

// Format shows how much there is.
func (g Guardian) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "guardian, enrolled %t, %d questions", len(g.Key) > 0, len(g.Asked))
}

// Format shows that there is a question.
func (a GuardianAsked) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "question, answered %t", len(a.Approval) > 0)
}

// cloneGuardian gives s its own copy of what another state knows of age and guardian.
func (s *State) cloneGuardian(from *State) {
	if from.Age != nil {
		age := *from.Age
		s.Age = &age
	}
	if from.Guardian == nil {
		return
	}
	g := *from.Guardian
	g.Key, g.Device, g.Orders = slices.Clone(g.Key), slices.Clone(g.Device), slices.Clone(g.Orders)
	g.Policies = slices.Clone(g.Policies)
	g.Asked = nil
	for _, a := range from.Guardian.Asked {
		c := *a
		c.Salt = slices.Clone(a.Salt)
		g.Asked = append(g.Asked, &c)
	}
	s.Guardian = &g
}

func (s *State) wipeGuardian() {
	if s.Guardian != nil {
		for _, a := range s.Guardian.Asked {
			clear(a.Salt)
		}
	}
}

// guardianOK reports whether what is known of age and guardian can be so.
func (s *State) guardianOK() bool {
	if s.Age != nil && (s.Age.Band == "" || s.Age.Since < 0) {
		return false
	}
	g := s.Guardian
	if g == nil {
		return true
	}
	if len(g.Key) != 0 && len(g.Key) != ed25519.PublicKeySize || len(g.Device) != 32 || len(g.Asked) > MaxGuardianAsked ||
		len(g.Policies) > MaxGuardianPolicies || len(g.Orders) > MaxGuardianOrders {
		return false
	}
	for _, a := range g.Asked {
		if a == nil || len(a.Nonce) != 32 || len(a.Salt) != KeySize || len(a.Question) == 0 {
			return false
		}
	}
	return !slices.ContainsFunc(g.Policies, func(p []byte) bool { return len(p) != 32 }) &&
		!slices.ContainsFunc(g.Orders, func(o GuardianOrder) bool { return len(o.Nonce) != 32 })
}
