// Package wire holds everything that crosses the connection between the agent and a controller's
// receiver, and nothing else: identifiers, reports inside batches, signed consent messages, receipts,
// and the closed list of refusals. It is what both ends agree on; the schema is in schema.cddl.
//
// Everything is deterministic CBOR (RFC 8949 section 4.2.1) with small integer keys. Decoders refuse
// unknown keys, duplicate keys, indefinite lengths, floats, tags and trailing bytes, so that one
// meaning has one spelling and a signature over bytes is a signature over a meaning.
//
// The package knows no policy, no consent and no network.
package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// UUID is a random version 4 UUID (RFC 9562 section 5.4). The zero value is "none".
type UUID [16]byte

// ErrUUID says that a text is not a canonical version 4 UUID.
var ErrUUID = errors.New("not a version 4 UUID")

// NewUUID returns a fresh random UUID.
func NewUUID() UUID {
	var u UUID
	rand.Read(u[:])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// ParseUUID reads the canonical lower-case text form with hyphens.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, ErrUUID
	}
	hexed := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(u[:], []byte(hexed)); err != nil || !u.valid() || u.String() != s {
		return UUID{}, ErrUUID
	}
	return u, nil
}

func (u UUID) valid() bool { return u[6]>>4 == 4 && u[8]>>6 == 2 }

// IsZero reports whether u is "none".
func (u UUID) IsZero() bool { return u == UUID{} }

// String returns the canonical text form.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// MarshalText implements encoding.TextMarshaler, so that JSON shows the canonical form.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it accepts only a version 4 UUID.
func (u *UUID) UnmarshalText(b []byte) error {
	v, err := ParseUUID(string(b))
	if err != nil {
		return err
	}
	*u = v
	return nil
}

// Hash is a SHA-256 value: of a policy subtree, of a notice, of a body.
type Hash [32]byte

// ErrHash says that a text is not 64 lower-case hexadecimal digits.
var ErrHash = errors.New("not a SHA-256 in hexadecimal")

// HashOf returns the SHA-256 of b.
func HashOf(b []byte) Hash { return sha256.Sum256(b) }

// ParseHash reads 64 lower-case hexadecimal digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 64 {
		return Hash{}, ErrHash
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil || h.String() != s {
		return Hash{}, ErrHash
	}
	return h, nil
}

// IsZero reports whether h is "none".
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(b []byte) error {
	v, err := ParseHash(string(b))
	if err != nil {
		return err
	}
	*h = v
	return nil
}
