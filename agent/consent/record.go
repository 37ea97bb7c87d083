package consent

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Event is what a record says happened.
type Event string

// The events. A record of EventRequested with a notice says that the notice was shown.
const (
	EventRequested    Event = "requested"
	EventDeferred     Event = "deferred"
	EventGiven        Event = "given"
	EventRefused      Event = "refused"
	EventWithdrawn    Event = "withdrawn"
	EventExpired      Event = "expired"
	EventInvalidated  Event = "invalidated"
	EventErased       Event = "erased"
	EventAcknowledged Event = "acknowledged"
)

// Notice is the text a person was shown.
type Notice struct {
	Lang   policy.Lang `cbor:"1,keyasint" json:"lang"`
	Text   string      `cbor:"2,keyasint" json:"text"`
	SHA256 wire.Hash   `cbor:"3,keyasint" json:"sha256"`
}

// Record is one line of a ledger.
type Record struct {
	Version       uint                `cbor:"1,keyasint" json:"version"` // RecordVersion
	Seq           uint64              `cbor:"2,keyasint" json:"seq"`     // from 0
	Event         Event               `cbor:"3,keyasint" json:"event"`
	Time          int64               `cbor:"4,keyasint" json:"time"`             // unix seconds
	Consent       wire.UUID           `cbor:"5,keyasint" json:"consent,omitzero"` // none while there is none
	Subject       policy.Subject      `cbor:"6,keyasint" json:"subject"`
	Controller    policy.ControllerID `cbor:"7,keyasint" json:"controller"`
	Category      policy.CategoryID   `cbor:"8,keyasint" json:"category"`
	Purpose       policy.PurposeID    `cbor:"9,keyasint" json:"purpose"`
	Expiry        int64               `cbor:"10,keyasint" json:"expiry,omitempty"` // given: unix seconds
	PolicyID      string              `cbor:"11,keyasint" json:"policy"`
	PolicyVersion uint                `cbor:"12,keyasint" json:"policy_version"`
	Subtree       wire.Hash           `cbor:"13,keyasint" json:"subtree,omitzero"` // given, requested
	Notice        Notice              `cbor:"14,keyasint" json:"notice,omitzero"`  // given, requested: what was shown
	Actor         Actor               `cbor:"15,keyasint" json:"actor"`
	Clear         bool                `cbor:"16,keyasint" json:"clear,omitempty"`     // withdrawn: with erasure at the controller
	Message       []byte              `cbor:"17,keyasint" json:"message,omitempty"`   // to the controller, signed
	RefersTo      uint64              `cbor:"18,keyasint" json:"refers_to,omitempty"` // acknowledged: whose message was answered
	Receipt       []byte              `cbor:"19,keyasint" json:"receipt,omitempty"`   // acknowledged: the controller's signed note
	// Counter is the key ring's counter with which the record was committed: a ring that was put back to an older state is
	// behind its records.
	Counter uint64 `cbor:"20,keyasint" json:"counter"`
	// Erased says that the body of this record has been erased: only Seq is known.
	Erased bool `cbor:"-" json:"erased,omitempty"`
}

// RecordVersion is the version of Record's schema.
const RecordVersion = 1

// Bounds of one record, in bytes: a notice of the largest category in Chinese is below 16 KiB, a message or a
// receipt below 2 KiB.
const (
	maxNotice  = 64 << 10
	maxMessage = 16 << 10
	maxRecord  = maxNotice + 2*maxMessage + 4096
)

// Tuple returns the tuple the record is about.
func (r *Record) Tuple() policy.Tuple {
	return policy.Tuple{Subject: r.Subject, Controller: r.Controller, Category: r.Category, Purpose: r.Purpose}
}

// EncodeRecord returns the deterministic encoding that the leaf hash covers.
func EncodeRecord(r *Record) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return wire.Marshal(r)
}

// DecodeRecord reads what EncodeRecord wrote. It returns wire.ErrMalformed for anything else.
func DecodeRecord(b []byte) (*Record, error) {
	if len(b) > maxRecord {
		return nil, fmt.Errorf("record: %w: too long", wire.ErrMalformed)
	}
	r := &Record{}
	if err := wire.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return r, r.check()
}

// check reports the first thing that does not fit together.
func (r *Record) check() error {
	bad := func(field string) error { return fmt.Errorf("record %d: %w: %s", r.Seq, wire.ErrMalformed, field) }
	hasNotice := r.Notice != Notice{}
	switch {
	case r.Version != RecordVersion:
		return bad("version")
	case r.Time < 0 || r.Expiry < 0:
		return bad("time")
	case r.Subject == "" || r.Controller == "" || r.Category == "" || r.Purpose == "":
		return bad("tuple")
	case len(r.Subject)+len(r.Controller)+len(r.Category)+len(r.Purpose)+len(r.PolicyID) > 1024:
		return bad("tuple")
	case r.Actor.known() != nil:
		return bad("actor")
	case len(r.Notice.Text) > maxNotice || len(r.Message) > maxMessage || len(r.Receipt) > maxMessage:
		return bad("length")
	case hasNotice && (r.Notice.Lang == "" || r.Notice.SHA256 != wire.HashOf([]byte(r.Notice.Text))):
		return bad("notice")
	case !r.Consent.IsZero() && !validUUID(r.Consent):
		return bad("consent")
	}
	consent, message, answer := false, false, false
	switch r.Event {
	case EventRequested, EventDeferred, EventRefused:
		if !r.Consent.IsZero() {
			return bad("consent")
		}
	case EventGiven:
		if !hasNotice || r.Subtree.IsZero() || r.Expiry <= r.Time || r.Actor.person() != nil || len(r.Message) == 0 {
			return bad("given")
		}
		consent, message = true, true
	case EventWithdrawn, EventInvalidated:
		consent, message = true, true
	case EventErased:
		if len(r.Message) == 0 {
			return bad("message")
		}
		consent, message = true, true
	case EventExpired:
		consent = true
	case EventAcknowledged:
		if r.RefersTo >= r.Seq || len(r.Receipt) == 0 {
			return bad("receipt")
		}
		consent, answer = true, true
	default:
		return bad("event")
	}
	switch {
	case consent && r.Consent.IsZero():
		return bad("consent")
	case !message && len(r.Message) > 0:
		return bad("message")
	case !answer && (r.RefersTo != 0 || len(r.Receipt) > 0):
		return bad("receipt")
	case r.Clear && r.Event != EventWithdrawn && r.Event != EventInvalidated:
		return bad("clear")
	case r.Expiry != 0 && r.Event != EventGiven:
		return bad("expiry")
	}
	return nil
}

func validUUID(u wire.UUID) bool { return u[6]>>4 == 4 && u[8]>>6 == 2 }

// MarshalJSON shows the record as it is; an erased one shows only its number.
func (r *Record) MarshalJSON() ([]byte, error) {
	if r.Erased {
		return json.Marshal(struct {
			Seq    uint64 `json:"seq"`
			Erased bool   `json:"erased"`
		}{r.Seq, true})
	}
	type plain Record
	return json.Marshal((*plain)(r))
}

// salt makes a leaf say nothing about a record whose body is erased.
type salt [32]byte

func newSalt() (s salt) {
	rand.Read(s[:])
	return s
}

// leafOf returns the data of the Merkle tree's leaf: SHA-256(salt || record).
func leafOf(s salt, record []byte) wire.Hash {
	h := sha256.New()
	h.Write(s[:])
	h.Write(record)
	return wire.Hash(h.Sum(nil))
}
