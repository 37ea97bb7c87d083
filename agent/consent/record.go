package consent

import (
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

// Notice is the text a person was shown. In a record that refers to a notice shown earlier, Text is empty.
type Notice struct {
	Lang   policy.Lang `json:"lang"`
	Text   string      `json:"text,omitempty"`
	SHA256 wire.Hash   `json:"sha256"`
}

// Record is one line of a ledger. Its leaf covers it as a Statement, in which what would link one record to another is
// only a commitment.
type Record struct {
	Version       uint                `json:"version"` // RecordVersion
	Seq           uint64              `json:"seq"`     // from 0
	Event         Event               `json:"event"`
	Time          int64               `json:"time"`             // unix seconds
	Consent       wire.UUID           `json:"consent,omitzero"` // none while there is none
	Subject       policy.Subject      `json:"subject"`
	Controller    policy.ControllerID `json:"controller"`
	Category      policy.CategoryID   `json:"category"`
	Purpose       policy.PurposeID    `json:"purpose"`
	Expiry        int64               `json:"expiry,omitempty"` // given: unix seconds
	PolicyID      string              `json:"policy"`
	PolicyVersion uint                `json:"policy_version"`
	Contact       string              `json:"contact,omitempty"` // of the controller, as that policy says
	Subtree       wire.Hash           `json:"subtree,omitzero"`  // of the terms that the record is about
	Notice        Notice              `json:"notice,omitzero"`   // given, requested: what was shown; later ones refer to it
	Actor         Actor               `json:"actor"`
	Clear         bool                `json:"clear,omitempty"`     // withdrawn: with erasure at the controller
	Message       []byte              `json:"message,omitempty"`   // to the controller, signed
	RefersTo      uint64              `json:"refers_to,omitempty"` // acknowledged: whose message was answered
	Receipt       []byte              `json:"receipt,omitempty"`   // acknowledged: the controller's signed note
	// Counter is the key ring's counter with which the record was committed: a ring that was put back to an older state is
	// behind its records.
	Counter uint64 `json:"counter"`
	// Terms are the encoded policy.Terms that Subtree is the hash of, beside every notice that was shown.
	Terms []byte `json:"-"`
	// Cause says why a consent was invalidated; "" for a change of its terms or a restarted ledger.
	Cause Cause `json:"cause,omitempty"`
	// Evidence is what showed it: with CauseRolledBack the later message or checkpoint, as it was signed here.
	Evidence []byte `json:"evidence,omitempty"`
	// Guardian is the guardian's approval of what a minor agreed to, with a salt: given only, nil of an adult.
	Guardian []byte `json:"guardian,omitempty"`
	// Erased says that the body of this record has been erased: only Seq is known.
	Erased bool `json:"erased,omitempty"`

	sequence uint64 // of Message, for the key ring
}

// Cause says why a consent was invalidated, from a closed list.
type Cause string

// CauseRolledBack: something signed here is later than this ledger, which therefore was put back to an older state.
const CauseRolledBack Cause = "rolled-back"

// RecordVersion is the version of Record's schema. Version 1 had the ids in the open and was never released.
const RecordVersion = 2

// Bounds of one record, in bytes: a notice of the largest category in Chinese is below 16 KiB, its terms are below
// 20 KiB, a message or a receipt below 2 KiB.
const (
	maxNotice  = 64 << 10
	maxMessage = 16 << 10
	maxRecord  = maxNotice + policy.MaxTerms + 4*maxMessage + 4096
)

// Tuple returns the tuple the record is about.
func (r *Record) Tuple() policy.Tuple {
	return policy.Tuple{Subject: r.Subject, Controller: r.Controller, Category: r.Category, Purpose: r.Purpose}
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
	case len(r.Subject)+len(r.Controller)+len(r.Category)+len(r.Purpose)+len(r.PolicyID)+len(r.Contact) > 1024:
		return bad("tuple")
	case r.Actor.known() != nil:
		return bad("actor")
	case len(r.Terms) > policy.MaxTerms || len(r.Terms) > 0 && wire.HashOf(r.Terms) != r.Subtree:
		return bad("terms")
	case len(r.Notice.Text) > maxNotice || len(r.Message) > maxMessage || len(r.Receipt) > maxMessage || len(r.Evidence) > maxMessage || len(r.Guardian) > maxMessage:
		return bad("length")
	case hasNotice && (r.Notice.Lang == "" || len(r.Notice.Lang) > 64 || r.Notice.SHA256.IsZero()),
		r.Notice.Text != "" && r.Notice.SHA256 != wire.HashOf([]byte(r.Notice.Text)):
		return bad("notice")
	case !r.Consent.IsZero() && !validUUID(r.Consent):
		return bad("consent")
	}
	consent, message, answer := false, false, false
	switch r.Event {
	case EventRequested:
		if !r.Consent.IsZero() || hasNotice && r.Notice.Text == "" {
			return bad("requested")
		}
	case EventDeferred, EventRefused:
		if !r.Consent.IsZero() {
			return bad("consent")
		}
	case EventGiven:
		if r.Notice.Text == "" || r.Subtree.IsZero() || r.Expiry <= r.Time || r.Actor.person() != nil || len(r.Message) == 0 {
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
	case len(r.Guardian) > 0 && r.Event != EventGiven:
		return bad("guardian")
	case r.Expiry != 0 && r.Event != EventGiven:
		return bad("expiry")
	case r.Cause != "" && (r.Cause != CauseRolledBack || r.Event != EventInvalidated), len(r.Evidence) > 0 && r.Cause == "":
		return bad("cause")
	case r.Notice.Text != "" && r.Event != EventGiven && r.Event != EventRequested:
		return bad("notice")
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
