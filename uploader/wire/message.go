package wire

import (
	"crypto/ed25519"
	"fmt"
)

// MessageKind names what a signed message of lane A says; it is part of what is signed.
type MessageKind string

// The kinds of lane A messages.
const (
	// MsgConsent introduces a tuple: PUT /v1/consents/{consent}.
	MsgConsent MessageKind = "consent"
	// MsgWithdrawal ends a consent: PUT /v1/consents/{consent}/withdrawal.
	MsgWithdrawal MessageKind = "withdrawal"
	// MsgErasure asks for erasure of all that was sent under a consent, which goes on:
	// PUT /v1/erasures/{id}.
	MsgErasure MessageKind = "erasure"
)

// Every message counts the messages of its consent: Sequence is 1 for the introduction and rises by one with each that
// is signed after it, 0 where it is not stated. A receiver keeps the latest, so that a device whose state was put back to an
// older one can be shown what it has signed since. The count is per consent: it says nothing about any other.

// Consent is the statement that a consent was given, as far as the controller needs to know it.
type Consent struct {
	Consent       UUID   `cbor:"1,keyasint"`
	Controller    string `cbor:"2,keyasint"`
	Category      string `cbor:"3,keyasint"`
	Purpose       string `cbor:"4,keyasint"`
	PolicyVersion uint   `cbor:"5,keyasint"`
	Subtree       Hash   `cbor:"6,keyasint"`
	Notice        Hash   `cbor:"7,keyasint"`
	Lang          string `cbor:"8,keyasint"`
	Time          int64  `cbor:"9,keyasint"`  // unix seconds
	Expiry        int64  `cbor:"10,keyasint"` // unix seconds
	Sequence      uint64 `cbor:"11,keyasint,omitempty"`
	// Guardian is the evidence that a guardian approved this, of a minor; nil of an adult.
	Guardian *GuardianEvidence `cbor:"12,keyasint,omitempty"`
}

// Withdrawal is the statement that a consent ended. It says all that a receiver needs that has never heard
// of the consent before.
type Withdrawal struct {
	Consent    UUID   `cbor:"1,keyasint"`
	Controller string `cbor:"2,keyasint"`
	Time       int64  `cbor:"3,keyasint"` // unix seconds
	Clear      bool   `cbor:"4,keyasint"` // erase what was sent
	Sequence   uint64 `cbor:"5,keyasint,omitempty"`
}

// Erasure asks to erase what was sent under a consent up to Time.
type Erasure struct {
	ID         UUID   `cbor:"1,keyasint"`
	Consent    UUID   `cbor:"2,keyasint"`
	Controller string `cbor:"3,keyasint"`
	Time       int64  `cbor:"4,keyasint"` // unix seconds
	Sequence   uint64 `cbor:"5,keyasint,omitempty"`
}

func (c Consent) check() bool {
	return c.Consent.valid() && c.Controller != "" && c.Category != "" && c.Purpose != "" && !c.Subtree.IsZero() &&
		!c.Notice.IsZero() && c.Expiry > c.Time && (c.Guardian == nil || len(c.Guardian.Question) <= MaxApproval)
}

func (w Withdrawal) check() bool { return w.Consent.valid() && w.Controller != "" }

func (e Erasure) check() bool { return e.ID.valid() && e.Consent.valid() && e.Controller != "" }

// kindOf returns the kind and whether the message is whole: nothing that both ends must know is missing.
func kindOf(message any) (kind MessageKind, whole bool) {
	switch m := message.(type) {
	case Consent:
		return MsgConsent, m.check()
	case Withdrawal:
		return MsgWithdrawal, m.check()
	case Erasure:
		return MsgErasure, m.check()
	}
	return "", false
}

// Signed is a lane A message as it travels: the payload's bytes, the tuple's public key, and its
// Ed25519 signature over "scruple/" kind "/1\n" and the payload.
type Signed struct {
	Kind      MessageKind `cbor:"1,keyasint"`
	Payload   []byte      `cbor:"2,keyasint"`
	Key       []byte      `cbor:"3,keyasint"`
	Signature []byte      `cbor:"4,keyasint"`
}

func signedBytes(kind MessageKind, payload []byte) []byte {
	return append([]byte("scruple/"+string(kind)+"/1\n"), payload...)
}

// Sign encodes and signs message, which must be a Consent, Withdrawal or Erasure. It returns ErrMalformed for
// another type and for a message without its ids, hashes or names.
func Sign(key ed25519.PrivateKey, message any) ([]byte, error) {
	kind, whole := kindOf(message)
	if !whole {
		return nil, fmt.Errorf("sign: %w: kind %q or a missing field", ErrMalformed, kind)
	}
	payload, err := Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", kind, err)
	}
	return Marshal(Signed{
		Kind: kind, Payload: payload,
		Key:       key.Public().(ed25519.PublicKey),
		Signature: ed25519.Sign(key, signedBytes(kind, payload)),
	})
}

// Open checks the signature of a lane A message of the wanted type and returns it with the key that signed.
// It returns ErrMalformed when the bytes are no such message or the signature does not fit.
func Open[T Consent | Withdrawal | Erasure](b []byte) (T, ed25519.PublicKey, error) {
	var (
		message, zero T
		s             Signed
	)
	kind, _ := kindOf(zero)
	if err := Unmarshal(b, &s); err != nil {
		return zero, nil, fmt.Errorf("%s message: %w", kind, err)
	}
	if s.Kind != kind || len(s.Key) != ed25519.PublicKeySize ||
		!ed25519.Verify(s.Key, signedBytes(kind, s.Payload), s.Signature) {
		return zero, nil, fmt.Errorf("%s message: %w: signature", kind, ErrMalformed)
	}
	if err := Unmarshal(s.Payload, &message); err != nil {
		return zero, nil, fmt.Errorf("%s message: %w", kind, err)
	}
	if _, whole := kindOf(message); !whole {
		return zero, nil, fmt.Errorf("%s message: %w: a missing field", kind, ErrMalformed)
	}
	return message, s.Key, nil
}

// Statement is what a lane A message says about its consent, whatever its kind.
type Statement struct {
	Kind       MessageKind
	Consent    UUID
	Controller string
	Sequence   uint64
}

// OpenAny checks the signature of a lane A message of any kind and returns what it says about its consent with the key
// that signed. ErrMalformed, as for Open.
func OpenAny(b []byte) (Statement, ed25519.PublicKey, error) {
	var s Signed
	if err := Unmarshal(b, &s); err != nil {
		return Statement{}, nil, fmt.Errorf("message: %w", err)
	}
	switch s.Kind {
	case MsgConsent:
		m, key, err := Open[Consent](b)
		return statement(s.Kind, m.Consent, m.Controller, m.Sequence, err), key, err
	case MsgWithdrawal:
		m, key, err := Open[Withdrawal](b)
		return statement(s.Kind, m.Consent, m.Controller, m.Sequence, err), key, err
	case MsgErasure:
		m, key, err := Open[Erasure](b)
		return statement(s.Kind, m.Consent, m.Controller, m.Sequence, err), key, err
	}
	return Statement{}, nil, fmt.Errorf("message: %w: kind", ErrMalformed)
}

func statement(kind MessageKind, consent UUID, controller string, sequence uint64, err error) Statement {
	if err != nil {
		return Statement{}
	}
	return Statement{kind, consent, controller, sequence}
}
