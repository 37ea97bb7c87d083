package keyring

import (
	"maps"
	"slices"

	"github.com/scruple-agent/scruple/agent/policy"
)

// PolicyMark is the latest version of one policy document that was in force, and what it said.
type PolicyMark struct {
	Version int `cbor:"1,keyasint"`
	// Digest is the SHA-256 of what the document declares: the same version never says two things.
	Digest []byte `cbor:"2,keyasint"`
}

// Controller is how a controller was reached by the last policy that named it.
type Controller struct {
	Endpoint string   `cbor:"1,keyasint"`
	Region   string   `cbor:"2,keyasint"`
	Key      string   `cbor:"3,keyasint"`
	Pins     []string `cbor:"4,keyasint"`
}

// clonePolicy copies what a policy has left in the ring.
func (s *State) clonePolicy(from *State) {
	s.Policies = maps.Clone(from.Policies)
	for id, m := range s.Policies {
		m.Digest = slices.Clone(m.Digest)
		s.Policies[id] = m
	}
	s.Controllers = maps.Clone(from.Controllers)
	for id, c := range s.Controllers {
		c.Pins = slices.Clone(c.Pins)
		s.Controllers[id] = c
	}
}

// checkPolicy reports whether the marks can be such.
func (s *State) checkPolicy() bool {
	for id, m := range s.Policies {
		if id == "" || m.Version < 1 || len(m.Digest) != 32 {
			return false
		}
	}
	for id := range s.Controllers {
		if id == policy.ControllerID("") {
			return false
		}
	}
	return true
}
