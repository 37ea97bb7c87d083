// Package consent is the gate. It keeps, for one data subject, what the person was asked, what was shown, and
// what the person answered, per tuple (subject, controller, category, purpose), and it hands out the
// Permit without which no source can be opened.
//
// Register is the entrance: Request, Show, Grant, Refuse, Defer, Withdraw and Erase change things; Permit,
// OpenSession, InForce and Context ask. There is one ledger per controller: an append-only file of sealed
// records. Every change is one atomic replacement of the key ring that holds the new record and creates or
// destroys the keys in the same instant; the ledger's file follows and is completed at the next start if a
// crash came between. So when Withdraw has returned nil, nothing stored under the consent is readable and nothing can
// be sent under it, also after a power cut.
//
// Consent is given by the person alone, after the exact notice was shown. A refusal, an expiry, a
// change of the policy, a clock that was set back, a damaged ledger: each means that nothing is
// collected, and State says why.
//
// Left out: the package reads no source, opens no connection and shows no page. What has to reach a controller
// (the introduction, the withdrawal, the erasure request) waits in Outbox, derived from the ledger, until
// Acknowledge has recorded the controller's signed receipt.
package consent

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Status of a consent, in the words of W3C DPV. The zero value means that it was never asked for.
type Status string

// The states.
const (
	NeverAsked  Status = ""
	Requested   Status = "requested"
	Deferred    Status = "deferred"
	Given       Status = "given"
	Refused     Status = "refused"
	Withdrawn   Status = "withdrawn"
	Expired     Status = "expired"
	Invalidated Status = "invalidated"
)

// Actor is who asked for a change, as the record will say.
type Actor struct {
	UID     int    `json:"uid"`
	Channel string `json:"channel"` // "cli", "page", "app:NAME", "agent", "guardian"
	// Person says that the person answered, which only the channels "cli" and "page" can say.
	Person bool `json:"person"`
}

// person returns ErrNotPerson unless a person acts through a channel of ours.
func (a Actor) person() error {
	if !a.Person || (a.Channel != "cli" && a.Channel != "page") {
		return ErrNotPerson
	}
	return nil
}

// known reports whether the channel is one of the closed list, so that no free text gets into a record.
func (a Actor) known() error {
	switch name, app := strings.CutPrefix(a.Channel, "app:"); {
	case a.Channel == "cli", a.Channel == "page", a.Channel == "agent", a.Channel == "guardian":
		return nil
	case app && len(name) > 0 && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == "":
		return nil
	}
	return fmt.Errorf("actor: %w: unknown channel", ErrNotPerson)
}

// agentItself is the actor of what happens by itself: expiry, receipts.
var agentItself = Actor{UID: -1, Channel: "agent"}

// refusal is a reason why nothing may be collected or sent; all of them are ErrNotInForce.
type refusal string

func (r refusal) Error() string { return string(r) }

// Is makes every reason an ErrNotInForce.
func (r refusal) Is(target error) bool { return target == error(ErrNotInForce) }

// Reasons why a consent is not in force. errors.Is(err, ErrNotInForce) holds for every one of them.
const (
	ErrNotInForce    = refusal("consent is not in force")
	ErrNoPermit      = refusal("no permit: it was not made by a consent register")
	ErrNotGiven      = refusal("consent is not given")
	ErrWithdrawn     = refusal("consent has been withdrawn")
	ErrExpired       = refusal("consent has expired: ask again")
	ErrPolicyChanged = refusal("policy changed since consent was given: ask again")
	ErrUndeclared    = refusal("not declared in the policy")
	ErrClock         = refusal("the clock is behind the time already seen: set it right")
	ErrDamaged       = refusal("the consent ledger is damaged: its consents no longer count; withdraw one, which begins a new ledger, then agree again")
	ErrRolledBack    = refusal("the consent ledger was put back to an older state: something later was signed here; what was agreed to no longer counts, ask again")
	ErrUnfinished    = refusal("a withdrawal could not be written to the disk: nothing is collected, withdraw again")
	ErrSessionOnly   = refusal("collected only in a use session")
	ErrSessionEnded  = refusal("the use session has ended")
	ErrClosed        = refusal("the consent register is closed")
)

var (
	// ErrNotPerson says that an application, or an unknown channel, tried what only the person may do.
	ErrNotPerson = errors.New("only the person can answer, through the page or the command line")
	// ErrNotShown says that an answer came without the notice having been shown before.
	ErrNotShown = errors.New("the notice has not been shown: show it first")
	// ErrNoticeDiffers says that the accepted notice is not the one that was shown, or no longer what the policy says.
	ErrNoticeDiffers = errors.New("not the notice that was shown: show it again")
	// ErrQuiet says that an application asks again although the person said no a short time ago.
	ErrQuiet = errors.New("the person said no; the quiet period is not over")
	// ErrGiven says that the consent is given, so that there is nothing to refuse: it can be withdrawn.
	ErrGiven = errors.New("consent is given: withdraw it instead")
	// ErrNoSession says that the purpose is not one of use sessions.
	ErrNoSession = errors.New("not a purpose of use sessions")
	// ErrTooMany says that MaxSessions use sessions are open.
	ErrTooMany = errors.New("too many open use sessions")
	// ErrFull says that a ledger has no room for anything but withdrawals.
	ErrFull = errors.New("consent ledger is full")
	// ErrReceipt says that a receipt does not answer the message, or is not signed by the controller.
	ErrReceipt = wire.ErrReceipt
	// ErrNoMessage says that there is no such message.
	ErrNoMessage = errors.New("no such message")
)

// ClockTolerance is how far the clock may be behind the latest time seen before nothing is collected.
const ClockTolerance = 5 * time.Minute

// State is what holds for a tuple now.
type State struct {
	Tuple   policy.Tuple `json:"tuple"`
	Status  Status       `json:"status"`
	Consent wire.UUID    `json:"consent,omitzero"` // while given
	Since   time.Time    `json:"since,omitzero"`   // of Status
	Expiry  time.Time    `json:"expiry,omitzero"`  // while given
	Subtree wire.Hash    `json:"subtree,omitzero"` // of the policy that was agreed to
	// Notice is what was agreed to while given, and what was last shown while a question is open.
	Notice NoticeShown `json:"notice,omitzero"`
	// Asked says that a question waits for the person's answer.
	Asked bool `json:"asked,omitempty"`
	// QuietUntil is when an application may ask again after a refusal or withdrawal.
	QuietUntil time.Time `json:"quiet_until,omitzero"`
	// InForce says that data may be collected now (in a use session, where the purpose needs one).
	InForce bool `json:"in_force"`
	// Reason says in words why nothing is collected; "" while in force.
	Reason string `json:"reason,omitempty"`
	// Err is the reason as an error to test; nil while in force.
	Err error `json:"-"`
	// Ended are consents of this tuple that are over but whose data the controller may still keep,
	// so that clearing it can be asked for.
	Ended []wire.UUID `json:"ended,omitempty"`
}

// NoticeShown identifies a notice: the language and the SHA-256 of its exact text.
type NoticeShown struct {
	Lang   policy.Lang `json:"lang"`
	SHA256 wire.Hash   `json:"sha256"`
}
