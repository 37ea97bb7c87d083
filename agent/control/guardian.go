package control

import (
	"context"
	"time"
)

// Age is what the daemon knows of the person's age and of who answers for a minor.
type Age struct {
	Band  string    `json:"band"` // "under-14", "14-17", "18+", "" while none was declared
	Since time.Time `json:"since,omitzero"`
	// Minor: a guardian has to accept the policy and approve every consent. Whoever has declared nothing counts as one.
	Minor         bool      `json:"minor"`
	Guardian      string    `json:"guardian,omitempty"` // public key, as text
	GuardianSince time.Time `json:"guardian_since,omitzero"`
	// PolicyAccepted: the guardian has accepted the policy in force.
	PolicyAccepted bool   `json:"policy_accepted"`
	Device         string `json:"device,omitempty"` // under which the guardian's orders name this device
	// Questions wait for the guardian, Approved for the person's own answer.
	Questions []GuardianQuestion `json:"questions"`
	Approved  []GuardianQuestion `json:"approved"`
}

// GuardianQuestion is one thing that a guardian is asked.
type GuardianQuestion struct {
	Kind    string    `json:"kind"` // "grant", "policy", "age", "key" or "withdraw"
	Tuple   string    `json:"tuple,omitempty"`
	Policy  uint      `json:"policy,omitempty"` // version
	Notice  string    `json:"notice,omitempty"` // SHA-256
	Band    string    `json:"band,omitempty"`
	Expires time.Time `json:"expires"`
}

// GuardianRequest asks for a question to the guardian.
type GuardianRequest struct {
	Kind  string `json:"kind"` // "grant", "policy", "age" or "key"
	Tuple string `json:"tuple,omitempty"`
	Lang  string `json:"lang,omitempty"` // of the notice; "" for the daemon's own
	Band  string `json:"band,omitempty"`
	Key   string `json:"key,omitempty"` // the new public key
}

// GuardianRequested is a question to carry to the guardian's device.
type GuardianRequested struct {
	GuardianQuestion
	Text string `json:"text"` // the request, one line
	Code string `json:"code"` // the same without the text of notice or policy, short enough for a QR code
}

// GuardianReport is what a guardian may see: kinds and amounts, no content.
type GuardianReport struct {
	Band   string              `json:"band"`
	Device string              `json:"device"`
	Made   time.Time           `json:"made"`
	Tuples []GuardianReportRow `json:"tuples"`
	// Breaches are what controllers have announced, with their signatures.
	Breaches []Announcement `json:"breaches"`
}

// GuardianReportRow is one purpose.
type GuardianReportRow struct {
	Tuple      string    `json:"tuple"`
	Controller string    `json:"controller"`
	Category   Text      `json:"category"`
	Purpose    Text      `json:"purpose"`
	Status     string    `json:"status"`
	Since      time.Time `json:"since,omitzero"`
	Stored     int       `json:"stored"` // reports on the device
	Sent       int       `json:"sent"`   // batches that the controller has confirmed
	Bytes      int64     `json:"bytes"`  // of these
	LastSent   time.Time `json:"last_sent,omitzero"`
}

// Bodies of requests about age and guardian.
type (
	// DeclareRequest declares an age band.
	DeclareRequest struct {
		Band string `json:"band"`
	}
	// EnrolRequest enrols a guardian's public key.
	EnrolRequest struct {
		Key string `json:"key"`
	}
	// ApproveRequest brings what the guardian has signed.
	ApproveRequest struct {
		Text string `json:"text"`
	}
)

// Age returns what is known of age and guardian.
func (c *Client) Age(ctx context.Context) (Age, error) { return get[Age](ctx, c, "/v1/age") }

// DeclareAge declares an age band.
func (c *Client) DeclareAge(ctx context.Context, band string) (Age, error) {
	return do[Age](ctx, c, "POST", "/v1/age", DeclareRequest{band})
}

// EnrolGuardian enrols a guardian's public key, as text.
func (c *Client) EnrolGuardian(ctx context.Context, key string) (Age, error) {
	return do[Age](ctx, c, "POST", "/v1/guardian/enrol", EnrolRequest{key})
}

// AskGuardian makes a question for the guardian's device.
func (c *Client) AskGuardian(ctx context.Context, r GuardianRequest) (GuardianRequested, error) {
	return do[GuardianRequested](ctx, c, "POST", "/v1/guardian/request", r)
}

// Approve brings what the guardian has signed.
func (c *Client) Approve(ctx context.Context, text string) (GuardianQuestion, error) {
	return do[GuardianQuestion](ctx, c, "POST", "/v1/guardian/approve", ApproveRequest{text})
}

// GuardianReport returns what a guardian may see.
func (c *Client) GuardianReport(ctx context.Context) (GuardianReport, error) {
	return get[GuardianReport](ctx, c, "/v1/guardian/report")
}
