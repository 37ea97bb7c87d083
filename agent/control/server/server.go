// Package server serves the local API of package control on a unix socket: who may call what, the
// guard in front, and the socket itself.
//
// The whole surface is the table in routes.go. A request passes the guard (guard.go: no browser, the
// right host, a bounded strict body), the peer's credentials as the kernel tells them (peer_*.go) decide
// what the caller is, and only then the table is looked at. What the routes do is behind Backend,
// which package agent implements; this package holds no consent, key or datum.
package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Actor is who acts, as the ledger records it.
type Actor struct {
	UID int // of the peer, as the kernel says; -1 where a platform has other names for its users
	PID int // of the peer; 0 where the platform does not tell
	// Channel is "cli", "page" or "app:NAME"; "app:unnamed" for one that is not registered.
	Channel string
	// Person is true for the owner who came through the command line or the page.
	Person bool
}

// Backend is the daemon behind the routes. Every method is called concurrently. Errors that are a
// *control.Problem (also wrapped) go to the caller as they are; those of package consent are given
// their kind; any other becomes control.KindFailed with its text, so it must not hold a personal value. The
// context ends with the request or its deadline.
type Backend interface {
	// Tuples lists the tuples of the policy in force, in its order.
	Tuples() []policy.Tuple

	Status(ctx context.Context) (control.Status, error)
	Policy(ctx context.Context) (control.Policy, error)
	// UpdatePolicy puts a later version of a document of the policy into force; without one the files of the settings are
	// read again. It is no answer to any question.
	UpdatePolicy(ctx context.Context, a Actor, note []byte) (control.PolicyUpdate, error)
	PolicyChanges(ctx context.Context) ([]control.PolicyChange, error)

	Consents(ctx context.Context) ([]control.ConsentState, error)
	// Show returns the notice in lang ("" for the daemon's own) and records that the person was shown it.
	Show(ctx context.Context, a Actor, t policy.Tuple, lang policy.Lang) (control.Notice, error)
	Request(ctx context.Context, a Actor, t policy.Tuple) (control.ConsentState, error)
	Give(ctx context.Context, a Actor, t policy.Tuple, lang policy.Lang, notice wire.Hash) (control.ConsentState, error)
	Refuse(ctx context.Context, a Actor, t policy.Tuple) (control.ConsentState, error)
	Defer(ctx context.Context, a Actor, t policy.Tuple) (control.ConsentState, error)
	// Withdraw returns when nothing of the tuple is readable or sendable. It is not stopped by ctx.
	Withdraw(ctx context.Context, a Actor, t policy.Tuple, erase bool) (control.Withdrawal, error)

	// OpenSession opens a use session of that many seconds, 0 for the longest allowed.
	OpenSession(ctx context.Context, a Actor, t policy.Tuple, seconds int) (control.Session, error)
	CloseSession(ctx context.Context, a Actor, t policy.Tuple) error

	// Collect reads the source now, Flush sends now, because the person asks.
	Collect(ctx context.Context, a Actor, t policy.Tuple) (control.Collected, error)
	Flush(ctx context.Context, t policy.Tuple) (control.Sent, error)

	EgressList(ctx context.Context) ([]control.Egress, error)
	EgressBody(ctx context.Context, id string) (control.EgressBody, error)
	EgressPreview(ctx context.Context, t policy.Tuple) (control.EgressBody, error)

	// Data returns what is held for the tuples; with remote the receivers are asked, and a receiver that
	// does not answer is a RemoteError in its entry, not an error.
	Data(ctx context.Context, tuples []policy.Tuple, remote bool) (control.Data, error)
	Erase(ctx context.Context, a Actor, t policy.Tuple) (control.Erasure, error)
	Receipts(ctx context.Context) ([]control.Receipt, error)
	ReceiptBackend
	RightsBackend
	LedgerBackend
	AnalyticsBackend
	ApplicationBackend
	NoticeBackend
	GuardianBackend
}
