// Package control is the local API of the daemon as its clients see it: the JSON types, the closed list
// of refusals, and Client, which speaks HTTP over the daemon's unix socket. The command line, the page
// and tests are ordinary users of it; curl works as well:
//
//	curl --unix-socket "$XDG_RUNTIME_DIR/scruple/scruple.sock" http://scruple/v1/status
//
// The package knows no policy, no consent and no file but the socket: names are text here, and the
// server (package server) gives them their meaning. What a type does not have a field for cannot reach
// a client.
//
// Keys are lower-case and stable: a field may be added, none is renamed or given another meaning under
// /v1. Times are RFC 3339 in UTC; an absent time means "never" or "not known". Sizes are bytes.
package control

import (
	"encoding/json"
	"time"
)

// Host is the HTTP host name of the daemon on its socket.
const Host = "scruple"

// Headers by which a client says how a person reaches it, or which application it is.
const (
	// HeaderChannel is ChannelCLI or ChannelPage. Only these two stand for the person; other clients
	// leave it out. It is a statement, not a proof: SECURITY.md says what hostile code under the
	// person's own account can do.
	HeaderChannel = "Scruple-Channel"
	// HeaderApplication is the name of an application that speaks for itself. The server then grants no
	// more than an application may do, whoever the peer is.
	HeaderApplication = "Scruple-Application"
)

// The channels that stand for the person.
const (
	ChannelCLI  = "cli"
	ChannelPage = "page"
)

// Text is one message in every language of the policy, by BCP 47 tag.
type Text map[string]string

// In returns the text in lang, in English where the language is not there, or "".
func (t Text) In(lang string) string {
	if s, ok := t[lang]; ok {
		return s
	}
	return t["en"]
}

// Status is the answer of "scruple status": every category of the policy, on or off and why.
type Status struct {
	State    string     `json:"state"` // "running" or "stopping"
	Version  string     `json:"version"`
	PID      int        `json:"pid"`
	Started  time.Time  `json:"started,omitzero"`
	Subject  string     `json:"subject"` // the user account that the daemon keeps
	StateDir string     `json:"state_dir"`
	Policy   PolicyInfo `json:"policy"`
	// PolicyRefused says why the policy's files, read again, were not taken over: the policy in force stays. "" when they were.
	PolicyRefused string      `json:"policy_refused,omitempty"`
	Enforcement   Enforcement `json:"enforcement"`
	Clock         Clock       `json:"clock"`
	Tuples        []Tuple     `json:"tuples"`
	Features      []Feature   `json:"features"` // filled by the server from Tuples
	Lanes         []Lane      `json:"lanes"`    // lane A, one per controller
	// Analytics are the purposes of the analytics lane with what is spent of their privacy budgets.
	Analytics []Analytics `json:"analytics"`
	// Unfinished are the steps of withdrawals and erasures that have not succeeded yet and are repeated.
	Unfinished []Step `json:"unfinished"`
	// Notices says what of the controllers' announcements waits for the person.
	Notices AnnouncementStatus `json:"notices"`
	// Age says who has to answer.
	Age Age `json:"age"`
}

// PolicyInfo names the policy in force.
type PolicyInfo struct {
	ID        string    `json:"id"`
	Version   int       `json:"version"`
	Effective time.Time `json:"effective,omitzero"`
	SHA256    string    `json:"sha256"` // of the file as read
	Signed    bool      `json:"signed"` // by the key pinned at install
	File      string    `json:"file"`   // "built in" when the settings name none
}

// Policy is the policy in force with its text. Where a specific document is laid over a general one, the text is what they say
// together.
type Policy struct {
	PolicyInfo
	YAML string `json:"yaml"`
	// Layers are the documents it is made of, general first; none where it is one.
	Layers []PolicyLayer `json:"layers,omitempty"`
	// Conflicts say where a later layer has the last word, with what it replaces.
	Conflicts []PolicyChange `json:"conflicts,omitempty"`
}

// PolicyLayer is one document of a policy that is made of several.
type PolicyLayer struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	File    string `json:"file"`
}

// PolicyChange is what differs between two policies in one tuple, one controller, or the document itself.
type PolicyChange struct {
	Kind    string `json:"kind"`    // "added", "removed" or "changed"
	Subject string `json:"subject"` // "category/purpose", "controller ID" or "document"
	Tuple   string `json:"tuple,omitempty"`
	// Narrower: the later one provably asks for no more, so that a consent given before covers it.
	Narrower bool `json:"narrower"`
	// GoesOn: a consent given before is in force now.
	GoesOn  bool           `json:"goes_on"`
	Details []PolicyDetail `json:"details"`
}

// PolicyDetail is one value that differs, by its name in the policy.
type PolicyDetail struct {
	Field string `json:"field"`
	Old   string `json:"old,omitempty"`
	New   string `json:"new,omitempty"`
}

// PolicyUpdate is the answer to a later version of the policy.
type PolicyUpdate struct {
	PolicyInfo
	Before  int            `json:"before"` // the version until now
	Changes []PolicyChange `json:"changes"`
}

// Enforcement says what the operating system itself prevents.
type Enforcement struct {
	// Kernel is "enforced", "partly" or "not enforced".
	Kernel string `json:"kernel"`
	Detail string `json:"detail,omitempty"`
}

// Clock compares the wall clock with the latest time that was durably recorded.
type Clock struct {
	Now       time.Time `json:"now"`
	HighWater time.Time `json:"high_water,omitzero"`
	// Trouble is set when Now is more than five minutes behind HighWater.
	Trouble bool `json:"trouble"`
}

// ConsentState is what the register holds about one tuple.
type ConsentState struct {
	Tuple      string `json:"tuple"` // "category/purpose"
	Controller string `json:"controller"`
	Category   Text   `json:"category"`
	Purpose    Text   `json:"purpose"`
	Sensitive  bool   `json:"sensitive"`
	Clause     string `json:"clause,omitempty"` // of the guideline
	// Status is a word of W3C DPV: requested, deferred, given, refused, withdrawn, expired,
	// invalidated; "" when never asked.
	Status     string    `json:"status"`
	Consent    string    `json:"consent,omitempty"` // UUID
	Since      time.Time `json:"since,omitzero"`
	Expiry     time.Time `json:"expiry,omitzero"`
	QuietUntil time.Time `json:"quiet_until,omitzero"` // not asked again before
	// NotInForce says why a consent that was given does not count now: what was agreed to is not what the policy says, a guardian
	// is missing, the clock is behind; "" while it counts.
	NotInForce Reason `json:"not_in_force,omitempty"`
	Notice     string `json:"notice,omitempty"` // SHA-256 of the notice agreed to
	Lang       string `json:"lang,omitempty"`   // of that notice
}

// Tuple is one row of Status: one category for one purpose.
type Tuple struct {
	ConsentState
	// Collecting is true when the source is read, or will be at Due, or may be within the open session.
	Collecting bool   `json:"collecting"`
	Reason     Reason `json:"reason,omitempty"` // why not; "" when Collecting
	Detail     string `json:"detail,omitempty"` // more about Reason, in English, without any value
	Feature    string `json:"feature,omitempty"`
	// FeatureName is what the person knows the feature as.
	FeatureName Text      `json:"feature_name,omitempty"`
	Mode        string    `json:"mode"` // "background", "session" or "submitted"
	Source      Source    `json:"source"`
	Books       []Book    `json:"books,omitempty"` // of contacts: what is read together
	Spool       Spool     `json:"spool"`
	Collected   time.Time `json:"collected,omitzero"` // last report made
	Sent        time.Time `json:"sent,omitzero"`      // last batch acknowledged
	Due         time.Time `json:"due,omitzero"`       // next reading, also after one that failed
	Session     time.Time `json:"session,omitzero"`   // open use session ends
	Lane        Lane      `json:"lane"`
}

// Source says whether the device has what the tuple reads.
type Source struct {
	Name    string `json:"name"`
	Present bool   `json:"present"`
	Reason  string `json:"reason,omitempty"` // why absent
}

// Spool is what of a tuple lies on the device, not yet acknowledged.
type Spool struct {
	Reports int            `json:"reports"`
	Bytes   int64          `json:"bytes"`
	Oldest  time.Time      `json:"oldest,omitzero"`
	Dropped map[string]int `json:"dropped,omitempty"` // reports, by reason
	Parked  int            `json:"parked,omitempty"`  // reports made under an earlier policy
}

// Lane is the state of one queue to a controller.
type Lane struct {
	Lane       string    `json:"lane"` // "consent" (A), "features" (B) or "analytics" (C)
	Controller string    `json:"controller"`
	Waiting    int       `json:"waiting"` // messages or batches
	LastError  string    `json:"last_error,omitempty"`
	LastTry    time.Time `json:"last_try,omitzero"`
	NextTry    time.Time `json:"next_try,omitzero"`
	LastSent   time.Time `json:"last_sent,omitzero"`
}

// Feature is something the person uses, and whether their consents leave it on.
type Feature struct {
	ID   string `json:"id"`
	Name Text   `json:"name"`
	On   bool   `json:"on"`
	// Off names the tuples whose consent is missing.
	Off []string `json:"off,omitempty"`
}

// Step is a step of a withdrawal or an erasure that is still to be done.
type Step struct {
	Tuple   string    `json:"tuple"`
	Step    string    `json:"step"`
	Error   string    `json:"error,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	NextTry time.Time `json:"next_try,omitzero"`
}

// Notice is the exact text that a person is shown before they answer.
type Notice struct {
	Tuple     string `json:"tuple"`
	Lang      string `json:"lang"`
	Text      string `json:"text"`
	SHA256    string `json:"sha256"` // of Text
	Sensitive bool   `json:"sensitive"`
}

// Withdrawal is the answer to a withdrawal. When it arrives nothing of the tuple is readable or sendable.
type Withdrawal struct {
	Tuple   string `json:"tuple"`
	Status  string `json:"status"` // afterwards: "withdrawn", or "refused" when nothing was given
	Consent string `json:"consent,omitempty"`
	Clear   bool   `json:"clear"` // the controller is asked to erase
	// Unfinished are steps that failed; they are repeated, and none makes anything readable or sendable.
	Unfinished []Step `json:"unfinished"`
}

// Session is an open use session.
type Session struct {
	Tuple string    `json:"tuple"`
	Until time.Time `json:"until"`
}

// Collected is the answer to a collection that the person asked for.
type Collected struct {
	Tuple   string `json:"tuple"`
	Reports int    `json:"reports"` // made and stored
	// Counts say what was read and what was skipped, by a fixed word ("cards", "skipped"), never a value.
	Counts map[string]int `json:"counts,omitempty"`
}

// Sent is the answer to a sending that the person asked for.
type Sent struct {
	Tuple   string `json:"tuple"`
	Batches int    `json:"batches"`
	Reports int    `json:"reports"`
	Bytes   int64  `json:"bytes"`   // as sent
	Matches int    `json:"matches"` // registered users found, as the controller says
	Waiting int    `json:"waiting"` // reports that stay
}

// Egress is one request of the journal of everything that left.
type Egress struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Lane       string    `json:"lane"`
	Controller string    `json:"controller"`
	Tuple      string    `json:"tuple,omitempty"` // "" once the tuple has been forgotten
	Consent    string    `json:"consent,omitempty"`
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	Bytes      int64     `json:"bytes"`
	SHA256     string    `json:"sha256"` // of the body as sent
	Status     int       `json:"status"` // HTTP; 0 while under way or when no answer came
	Error      string    `json:"error,omitempty"`
	// Readable is false after withdrawal: the key of the stored body has been destroyed.
	Readable bool `json:"readable"`
}

// EgressBody is one body that left, or the next one that would.
type EgressBody struct {
	Egress
	Body []byte `json:"body"` // byte for byte as sent, base64 in JSON
	// Content is what Body means: the decoded batch or message.
	Content json.RawMessage `json:"content,omitempty"`
}

// Data is what is held about the person for each tuple.
type Data struct {
	Tuples []TupleData `json:"tuples"`
}

// TupleData is what is held for one tuple.
type TupleData struct {
	Tuple   string   `json:"tuple"`
	Reports []Record `json:"reports"` // on the device
	Items   []Item   `json:"items"`   // on the device: the latest state of what was submitted
	// Remote is what the receiver says it holds, nil when it was not asked.
	Remote      json.RawMessage `json:"remote,omitempty"`
	RemoteError string          `json:"remote_error,omitempty"`
}

// Record is one stored report.
type Record struct {
	Time    time.Time       `json:"time"`
	Consent string          `json:"consent"`
	Fields  json.RawMessage `json:"fields"`
}

// Erasure is the answer to a request to erase what was sent; the consent goes on.
type Erasure struct {
	ID    string `json:"id"` // of the request
	Tuple string `json:"tuple"`
	// Reports on the device that were erased.
	Reports int `json:"reports"`
}

// Receipt is what a controller signed.
type Receipt struct {
	Controller string    `json:"controller"`
	Kind       string    `json:"kind"`
	Consent    string    `json:"consent"`
	Tuple      string    `json:"tuple,omitempty"`
	Time       time.Time `json:"time"`
	Erased     int       `json:"erased"`
	Note       string    `json:"note"` // the signed note itself
}

// Application is what an application learns about itself.
type Application struct {
	State   string             `json:"state"`
	Version string             `json:"version"`
	Tuples  []ApplicationTuple `json:"tuples"` // those it requested or opened since the daemon started
}

// ApplicationTuple is what an application learns about a tuple that it asked for.
type ApplicationTuple struct {
	Tuple   string    `json:"tuple"`
	Status  string    `json:"status"`
	Session time.Time `json:"session,omitzero"`
}

// Bodies of requests.
type (
	// PolicyRequest brings a later version of a document of the policy; without one the files of the settings are read again.
	PolicyRequest struct {
		Note []byte `json:"note,omitempty"`
	}
	// ShowRequest asks for a notice; Lang "" is the daemon's language.
	ShowRequest struct {
		Lang string `json:"lang,omitempty"`
	}
	// GiveRequest agrees to the notice with this hash in this language.
	GiveRequest struct {
		Lang   string `json:"lang"`
		Notice string `json:"notice"` // SHA-256, 64 hexadecimal digits
	}
	// WithdrawRequest withdraws; Clear asks the controller to erase.
	WithdrawRequest struct {
		Clear bool `json:"clear,omitempty"`
	}
	// SessionRequest opens a use session; 0 seconds is the longest that the policy allows.
	SessionRequest struct {
		Seconds int `json:"seconds,omitempty"`
	}
)

// FillFeatures derives Features from Tuples: a feature is on when every one of its tuples is given, and what was given is what
// the policy says. A clock that is behind stops collecting, but no consent is missing then.
func (s *Status) FillFeatures() {
	at := map[string]int{}
	s.Features = []Feature{}
	for _, t := range s.Tuples {
		if t.Feature == "" {
			continue
		}
		i, ok := at[t.Feature]
		if !ok {
			i = len(s.Features)
			at[t.Feature] = i
			s.Features = append(s.Features, Feature{ID: t.Feature, Name: t.FeatureName, On: true})
		}
		if t.Status != StatusGiven || t.NotInForce != "" && t.NotInForce != ReasonClock {
			s.Features[i].On = false
			s.Features[i].Off = append(s.Features[i].Off, t.Tuple)
		}
	}
}
