package control

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Kind is the type of a refusal, from a closed list. The URI on the wire is ProblemBase followed by it.
type Kind string

// The refusals.
const (
	// KindBadRequest: the request is not one of this API.
	KindBadRequest Kind = "bad-request"
	// KindUnknownTuple: no such category/purpose in the policy; Problem.Near lists similar names.
	KindUnknownTuple Kind = "unknown-tuple"
	// KindNotFound: no such route or entry.
	KindNotFound Kind = "not-found"
	// KindNotAllowed: this caller may not use the route.
	KindNotAllowed Kind = "not-allowed"
	// KindNotPerson: only the person answers, through the command line or the page.
	KindNotPerson Kind = "not-person"
	// KindNotShown: the notice has to be shown first.
	KindNotShown Kind = "not-shown"
	// KindNoticeDiffers: the hash is not that of the notice that was shown.
	KindNoticeDiffers Kind = "notice-differs"
	// KindLedger: the ledger is damaged, so its consents do not count.
	KindLedger Kind = "ledger-damaged"
	// KindClock: the clock is behind the time already seen.
	KindClock Kind = "clock"
	// KindNotGiven: no consent in force.
	KindNotGiven Kind = "not-given"
	// KindGiven: the consent is given already; it can be withdrawn.
	KindGiven Kind = "given"
	// KindQuiet: refused lately; an application may not ask again yet.
	KindQuiet Kind = "quiet-period"
	// KindNoSession: only within a use session.
	KindNoSession Kind = "no-session"
	// KindPolicy: the policy does not allow it.
	KindPolicy Kind = "policy"
	// KindSourceAbsent: the device does not have it.
	KindSourceAbsent Kind = "source-absent"
	// KindUnreadable: the key was destroyed at withdrawal.
	KindUnreadable Kind = "unreadable"
	// KindNothing: there is nothing to show or send.
	KindNothing Kind = "nothing"
	// KindNoAnnouncement: the controllers have announced no such thing, or it asks for no decision.
	KindNoAnnouncement Kind = "no-announcement"
	// KindStopped: nothing is sent to the controller after a breach, until the person decides.
	KindStopped Kind = "stopped"
	// KindGuardian: a guardian has to approve it, for a minor.
	KindGuardian Kind = "guardian-needed"
	// KindApproval: not the guardian's answer to an open question of this device.
	KindApproval Kind = "approval-refused"
	// KindEnrolled: a guardian key is enrolled already.
	KindEnrolled Kind = "guardian-enrolled"
	// KindReceiver: the controller's receiver was not reached or did not accept.
	KindReceiver Kind = "receiver"
	// KindNotEnforced: the settings demand enforcement that this kernel does not give.
	KindNotEnforced Kind = "not-enforced"
	// KindStopping: the daemon is going down.
	KindStopping Kind = "stopping"
	// KindNotRegistered: the application is not one that the person has registered.
	KindNotRegistered Kind = "not-registered"
	// KindNoAccess: the person has not let this application use it, or no longer.
	KindNoAccess Kind = "no-access"
	// KindImmutable: it names a field that the policy declares immutable.
	KindImmutable Kind = "immutable"
	// KindClosed: the person has closed the account at this controller.
	KindClosed Kind = "account-closed"
	// KindNoIdentity: no key is left with which the controller knows the person, so a case cannot be filed.
	KindNoIdentity Kind = "no-identity"
	// KindSubmission: what was submitted is not what the policy declares; Problem.Detail names the field.
	KindSubmission Kind = "submission"
	// KindFailed: anything else.
	KindFailed Kind = "failed"
)

// ProblemBase is the prefix of every problem's type URI.
const ProblemBase = "urn:scruple:control:"

// Exit codes of the command line.
const (
	ExitDone         = 0
	ExitFailed       = 1
	ExitUsage        = 2
	ExitRefused      = 3 // by consent or policy
	ExitNotReachable = 4
	ExitNotEnforced  = 5
)

// kindInfo is what goes with a kind: HTTP status, exit code and title.
type kindInfo struct {
	kind   Kind
	status int
	exit   int
	title  string
}

var kinds = []kindInfo{
	{KindBadRequest, http.StatusBadRequest, ExitUsage, "not a request of this API"},
	{KindUnknownTuple, http.StatusNotFound, ExitUsage, "no such category/purpose in the policy"},
	{KindNotFound, http.StatusNotFound, ExitFailed, "not found"},
	{KindNotAllowed, http.StatusForbidden, ExitRefused, "this caller may not do that"},
	{KindNotPerson, http.StatusForbidden, ExitRefused, "only the person answers"},
	{KindNotShown, http.StatusConflict, ExitRefused, "the notice has not been shown"},
	{KindNoticeDiffers, http.StatusConflict, ExitRefused, "the notice differs from the one that was shown"},
	{KindLedger, http.StatusConflict, ExitRefused, "the consent ledger is damaged"},
	{KindClock, http.StatusConflict, ExitRefused, "the clock is behind the time already seen"},
	{KindNotGiven, http.StatusForbidden, ExitRefused, "no consent in force"},
	{KindGiven, http.StatusConflict, ExitRefused, "the consent is given: withdraw it instead"},
	{KindQuiet, http.StatusForbidden, ExitRefused, "refused lately, not to be asked again yet"},
	{KindNoSession, http.StatusForbidden, ExitRefused, "only within a use session"},
	{KindPolicy, http.StatusForbidden, ExitRefused, "the policy does not allow it"},
	{KindSourceAbsent, http.StatusConflict, ExitFailed, "this device does not have the source"},
	{KindUnreadable, http.StatusGone, ExitFailed, "the key was destroyed at withdrawal"},
	{KindNothing, http.StatusNotFound, ExitFailed, "nothing there"},
	{KindNoAnnouncement, http.StatusNotFound, ExitFailed, "no such announcement"},
	{KindStopped, http.StatusForbidden, ExitRefused, "stopped after a breach until the person decides"},
	{KindGuardian, http.StatusForbidden, ExitRefused, "a guardian has to approve this for a minor"},
	{KindApproval, http.StatusForbidden, ExitRefused, "not the guardian's answer to an open question of this device"},
	{KindEnrolled, http.StatusConflict, ExitRefused, "a guardian key is enrolled already"},
	{KindReceiver, http.StatusBadGateway, ExitFailed, "the controller's receiver did not accept or answer"},
	{KindNotEnforced, http.StatusForbidden, ExitNotEnforced, "the kernel does not enforce what the settings demand"},
	{KindStopping, http.StatusServiceUnavailable, ExitNotReachable, "the daemon is stopping"},
	{KindNotRegistered, http.StatusForbidden, ExitRefused, "the application is not registered"},
	{KindNoAccess, http.StatusForbidden, ExitRefused, "the application has no access to it"},
	{KindImmutable, http.StatusForbidden, ExitRefused, "declared as immutable"},
	{KindClosed, http.StatusForbidden, ExitRefused, "the account at this controller was closed"},
	{KindNoIdentity, http.StatusConflict, ExitRefused, "no key is left with which the controller knows you"},
	{KindSubmission, http.StatusUnprocessableEntity, ExitRefused, "not what the policy declares"},
	{KindFailed, http.StatusInternalServerError, ExitFailed, "failed"},
}

// Kinds lists every refusal, so that a client can test that it has words for each.
func Kinds() []Kind {
	list := make([]Kind, len(kinds))
	for i := range kinds {
		list[i] = kinds[i].kind
	}
	return list
}

// Problem is the JSON body of every refusal (RFC 9457) and the error that Client returns for it. Title
// and Detail are English; a client that speaks to a person has its own words for each Kind. No
// member holds a personal value.
type Problem struct {
	Type   string `json:"type"` // ProblemBase + kind
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"` // a command to try, where the kind alone does not say it
	Tuple  string `json:"tuple,omitempty"`
	// Near lists names like the unknown one.
	Near []string `json:"near,omitempty"`
}

// NewProblem returns a problem of a kind with what happened in this case; detail may be "". A kind that
// is not in the list becomes KindFailed.
func NewProblem(kind Kind, tuple, detail string) *Problem {
	k := kind.info()
	return &Problem{Type: ProblemBase + string(k.kind), Title: k.title, Status: k.status, Detail: detail, Tuple: tuple}
}

// info returns what goes with k; a kind that is not in the list is KindFailed.
func (k Kind) info() kindInfo {
	i := slices.IndexFunc(kinds, func(info kindInfo) bool { return info.kind == k })
	if i < 0 {
		i = len(kinds) - 1
	}
	return kinds[i]
}

// Kind returns the problem's place in the closed list; what is not in it is KindFailed.
func (p *Problem) Kind() Kind {
	name, _ := strings.CutPrefix(p.Type, ProblemBase)
	return Kind(name).info().kind
}

// Error returns one line: the title, the tuple and the detail.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Tuple != "" {
		fmt.Fprintf(&b, "%s: ", p.Tuple)
	}
	b.WriteString(p.Title)
	if p.Detail != "" {
		fmt.Fprintf(&b, ": %s", p.Detail)
	}
	return b.String()
}

// ExitCode returns the exit code of the command line that goes with err; 0 for nil.
func ExitCode(err error) int {
	var p *Problem
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, ErrNotReachable):
		return ExitNotReachable
	case errors.As(err, &p):
		return p.Kind().info().exit
	}
	return ExitFailed
}
