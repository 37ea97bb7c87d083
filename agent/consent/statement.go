package consent

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// A record has two halves. The Statement says what happened, of which purpose, to which notice and terms; its bytes
// are what the leaf of the tree covers, so a receipt shows exactly them. What another record of the person may also carry
// (the consent's id, the account, the signed message with the pseudonym's key, a receipt, a counter) is withheld: the
// Statement has only a salted commitment to it. So two receipts of one person have no identifier in common in what they
// say, and still the person can prove later, by opening two commitments, that both are of one consent.

// Statement is the half of a Record that a receipt shows.
type Statement struct {
	Version       uint                `cbor:"1,keyasint"`
	Seq           uint64              `cbor:"2,keyasint"`
	Event         Event               `cbor:"3,keyasint"`
	Time          int64               `cbor:"4,keyasint"` // unix seconds
	Controller    policy.ControllerID `cbor:"5,keyasint"`
	Category      policy.CategoryID   `cbor:"6,keyasint"`
	Purpose       policy.PurposeID    `cbor:"7,keyasint"`
	Expiry        int64               `cbor:"8,keyasint"` // given: unix seconds
	PolicyID      string              `cbor:"9,keyasint"`
	PolicyVersion uint                `cbor:"10,keyasint"`
	Subtree       wire.Hash           `cbor:"11,keyasint"` // zero where no terms were known
	Lang          policy.Lang         `cbor:"12,keyasint"` // of the notice; "" where none was shown
	Notice        wire.Hash           `cbor:"13,keyasint"`
	Channel       string              `cbor:"14,keyasint"` // Actor.Channel
	Person        bool                `cbor:"15,keyasint"` // Actor.Person
	Clear         bool                `cbor:"16,keyasint"`
	Withheld      wire.Hash           `cbor:"17,keyasint"` // commitment to the other half
	Contact       string              `cbor:"18,keyasint"` // of the controller
	// Guardian is a salted commitment to the key of the guardian who approved what a minor agreed to; zero for an adult.
	Guardian wire.Hash `cbor:"19,keyasint"`
}

// withheld is the other half of a Record.
type withheld struct {
	Consent  wire.UUID      `cbor:"1,keyasint"`
	Subject  policy.Subject `cbor:"2,keyasint"`
	UID      int            `cbor:"3,keyasint"`
	Text     string         `cbor:"4,keyasint"` // of the notice
	Terms    []byte         `cbor:"5,keyasint"`
	Message  []byte         `cbor:"6,keyasint"`
	RefersTo uint64         `cbor:"7,keyasint"`
	Receipt  []byte         `cbor:"8,keyasint"`
	Counter  uint64         `cbor:"9,keyasint"`
	Cause    Cause          `cbor:"10,keyasint,omitempty"`
	Evidence []byte         `cbor:"11,keyasint,omitempty"`
	Guardian []byte         `cbor:"12,keyasint,omitempty"`
}

// seed is the secret of one record, from which its salt and its blind come. Showing one of them tells nothing of the other.
type seed [32]byte

func newSeed() (s seed) {
	rand.Read(s[:])
	return s
}

func (s seed) derive(what string) wire.Hash {
	h := hmac.New(sha256.New, s[:])
	h.Write([]byte("scruple-record/1 " + what))
	return wire.Hash(h.Sum(nil))
}

// salt makes a leaf say nothing about a record whose body is erased. A receipt shows it.
func (s seed) salt() wire.Hash { return s.derive("salt") }

// blind makes the commitment say nothing about what is withheld. No receipt shows it.
func (s seed) blind() wire.Hash { return s.derive("blind") }

// commitment binds a Statement to what is withheld from it.
func commitment(blind wire.Hash, rest []byte) wire.Hash {
	h := sha256.New()
	h.Write([]byte("scruple-withheld/1\n"))
	h.Write(blind[:])
	h.Write(rest)
	return wire.Hash(h.Sum(nil))
}

// Leaf returns the data of the Merkle tree's leaf for a statement's bytes: SHA-256(salt || statement).
func Leaf(salt wire.Hash, statement []byte) wire.Hash {
	h := sha256.New()
	h.Write(salt[:])
	h.Write(statement)
	return wire.Hash(h.Sum(nil))
}

// encodeRecord returns the two halves in their deterministic encoding.
func encodeRecord(r *Record, blind wire.Hash) (statement, rest []byte, err error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	rest, err = wire.Marshal(withheld{
		r.Consent, r.Subject, r.Actor.UID, r.Notice.Text, r.Terms, r.Message, r.RefersTo, r.Receipt, r.Counter,
		r.Cause, r.Evidence, r.Guardian,
	})
	if err != nil {
		return nil, nil, err
	}
	guardian, err := guardianOf(r.Guardian)
	if err != nil {
		return nil, nil, err
	}
	statement, err = wire.Marshal(Statement{
		Version: r.Version, Seq: r.Seq, Event: r.Event, Time: r.Time, Controller: r.Controller, Category: r.Category,
		Purpose: r.Purpose, Expiry: r.Expiry, PolicyID: r.PolicyID, PolicyVersion: r.PolicyVersion, Subtree: r.Subtree,
		Lang: r.Notice.Lang, Notice: r.Notice.SHA256, Channel: r.Actor.Channel, Person: r.Actor.Person, Clear: r.Clear,
		Withheld: commitment(blind, rest), Contact: r.Contact, Guardian: guardian,
	})
	return statement, rest, err
}

// decodeRecord reads what encodeRecord wrote. It returns wire.ErrMalformed for anything else.
func decodeRecord(statement, rest []byte, blind wire.Hash) (*Record, error) {
	if len(statement)+len(rest) > maxRecord {
		return nil, fmt.Errorf("record: %w: too long", wire.ErrMalformed)
	}
	var (
		s Statement
		w withheld
	)
	if err := wire.Unmarshal(statement, &s); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if commitment(blind, rest) != s.Withheld {
		return nil, fmt.Errorf("record %d: %w: its halves do not belong together", s.Seq, wire.ErrMalformed)
	}
	if err := wire.Unmarshal(rest, &w); err != nil {
		return nil, fmt.Errorf("record %d: %w", s.Seq, err)
	}
	if guardian, err := guardianOf(w.Guardian); err != nil || guardian != s.Guardian {
		return nil, fmt.Errorf("record %d: %w: guardian", s.Seq, wire.ErrMalformed)
	}
	r := &Record{
		Version: s.Version, Seq: s.Seq, Event: s.Event, Time: s.Time, Consent: w.Consent, Subject: w.Subject, Controller: s.Controller,
		Category: s.Category, Purpose: s.Purpose, Expiry: s.Expiry, PolicyID: s.PolicyID, PolicyVersion: s.PolicyVersion,
		Subtree: s.Subtree, Notice: Notice{s.Lang, w.Text, s.Notice}, Actor: Actor{w.UID, s.Channel, s.Person}, Clear: s.Clear,
		Message: w.Message, RefersTo: w.RefersTo, Receipt: w.Receipt, Counter: w.Counter, Terms: w.Terms, Contact: s.Contact,
		Cause: w.Cause, Evidence: w.Evidence, Guardian: w.Guardian,
	}
	return r, r.check()
}

// MaxStatement is the longest encoded Statement, in bytes.
const MaxStatement = 4096

// DecodeStatement reads the half of a record that a receipt shows: strictly, and only what a ledger can hold. It returns
// wire.ErrMalformed for anything else. That it is in a ledger is another question.
func DecodeStatement(b []byte) (*Statement, error) {
	s := &Statement{}
	if len(b) > MaxStatement {
		return nil, fmt.Errorf("statement: %w: too long", wire.ErrMalformed)
	}
	if err := wire.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	bad := func(field string) (*Statement, error) {
		return nil, fmt.Errorf("statement: %w: %s", wire.ErrMalformed, field)
	}
	who := Actor{Channel: s.Channel, Person: s.Person}
	switch {
	case s.Version != RecordVersion:
		return bad("version")
	case s.Time < 0 || s.Expiry < 0 || s.Time > latest || s.Expiry > latest:
		return bad("time")
	case s.Controller == "" || s.Category == "" || s.Purpose == "":
		return bad("tuple")
	case who.known() != nil:
		return bad("actor")
	case (s.Lang == "") != s.Notice.IsZero():
		return bad("notice")
	case s.Event == EventGiven && (s.Notice.IsZero() || s.Subtree.IsZero() || s.Expiry <= s.Time || who.person() != nil):
		return bad("given")
	case s.Event != EventGiven && s.Expiry != 0:
		return bad("expiry")
	case !s.Guardian.IsZero() && s.Event != EventGiven:
		return bad("guardian")
	}
	return s, nil
}

// latest is the last second of the year 9999, the last that has a date of four digits.
const latest = 253402300799

// The halves lie in a frame behind the seed: seed (32) || length of the statement (u32, little endian) || statement ||
// what is withheld.

func joinHalves(s seed, statement, rest []byte) []byte {
	b := binary.LittleEndian.AppendUint32(s[:], uint32(len(statement)))
	return append(append(b, statement...), rest...)
}

func splitHalves(plain []byte) (s seed, statement, rest []byte, err error) {
	if len(plain) < len(s)+4 {
		return s, nil, nil, fmt.Errorf("record: %w: too short", wire.ErrMalformed)
	}
	n := uint64(binary.LittleEndian.Uint32(plain[len(s):]))
	body := plain[len(s)+4:]
	if n > uint64(len(body)) {
		return s, nil, nil, fmt.Errorf("record: %w: length", wire.ErrMalformed)
	}
	return seed(plain[:len(s)]), body[:n], body[n:], nil
}
