package control

// The statuses of a consent, in the words of W3C DPV. StatusNever is "never asked".
const (
	StatusNever       = ""
	StatusRequested   = "requested"
	StatusDeferred    = "deferred"
	StatusGiven       = "given"
	StatusRefused     = "refused"
	StatusWithdrawn   = "withdrawn"
	StatusExpired     = "expired"
	StatusInvalidated = "invalidated"
)

// Statuses lists every status, so that a client can test that it has words for each.
func Statuses() []string {
	return []string{
		StatusNever, StatusRequested, StatusDeferred, StatusGiven, StatusRefused, StatusWithdrawn, StatusExpired,
		StatusInvalidated,
	}
}

// Kernel enforcement, as Enforcement.Kernel says it.
const (
	KernelEnforced    = "enforced"
	KernelPartly      = "partly"
	KernelNotEnforced = "not enforced"
)

// Reason says why a tuple is not collecting. The list is closed.
type Reason string

// The reasons.
const (
	ReasonNotAsked      Reason = "not-asked"
	ReasonRequested     Reason = "requested"
	ReasonDeferred      Reason = "deferred"
	ReasonRefused       Reason = "refused"
	ReasonWithdrawn     Reason = "withdrawn"
	ReasonExpired       Reason = "expired"
	ReasonInvalidated   Reason = "invalidated"
	ReasonPolicyChanged Reason = "policy-changed"
	// ReasonNoSession: read only while the application's use session is open.
	ReasonNoSession Reason = "no-session"
	// ReasonSubmitted: nothing is read, the application submits.
	ReasonSubmitted    Reason = "submitted"
	ReasonSourceAbsent Reason = "source-absent"
	ReasonSourceError  Reason = "source-error"
	ReasonNoEpoch      Reason = "no-epoch" // contacts: the controller's epoch key has not arrived
	ReasonSpoolFull    Reason = "spool-full"
	ReasonClock        Reason = "clock"
	ReasonNotEnforced  Reason = "not-enforced"
	ReasonStopping     Reason = "stopping"
	// ReasonGuardian: given without a guardian, and the person is a minor.
	ReasonGuardian Reason = "guardian-needed"
)

// Reasons lists every reason, so that a client can test that it has words for each.
func Reasons() []Reason {
	return []Reason{
		ReasonNotAsked, ReasonRequested, ReasonDeferred, ReasonRefused, ReasonWithdrawn, ReasonExpired,
		ReasonInvalidated, ReasonPolicyChanged, ReasonNoSession, ReasonSubmitted, ReasonSourceAbsent,
		ReasonSourceError, ReasonNoEpoch, ReasonSpoolFull, ReasonClock, ReasonNotEnforced, ReasonStopping, ReasonGuardian,
	}
}
