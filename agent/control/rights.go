package control

import (
	"context"
	"encoding/json"
	"net/url"
	"time"
)

// Case is something the person has asked a controller for.
type Case struct {
	ID         string `json:"id"`
	Kind       string `json:"kind"` // "access", "correction", "erasure", "closure" or "complaint"
	Controller string `json:"controller"`
	Tuple      string `json:"tuple"`
	Consent    string `json:"consent"`
	// State is "open" (the controller has not confirmed it), "received", "answered", "done" or "refused".
	State    string    `json:"state"`
	Overdue  bool      `json:"overdue"`
	Created  time.Time `json:"created"`
	Received time.Time `json:"received,omitzero"` // by the controller, which has signed for it
	Due      time.Time `json:"due,omitzero"`      // thirty days later
	Ended    time.Time `json:"ended,omitzero"`
	Reason   string    `json:"reason,omitempty"` // from a closed list
	Text     string    `json:"text,omitempty"`   // the person's words
	Answer   string    `json:"answer,omitempty"` // the controller's words
	// What it is about.
	Item   string    `json:"item,omitempty"`
	Fields []string  `json:"fields,omitempty"`
	From   time.Time `json:"from,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	Here   int       `json:"here"`  // items changed or erased on this device
	There  int       `json:"there"` // at the controller
	Notes  []string  `json:"notes"` // the controller's signed answers
	// Problem is set where the case cannot be read any more.
	Problem string `json:"problem,omitempty"`
}

// Erased is what came of the request to erase parts of what is held.
type Erased struct {
	Parts []ErasedPart `json:"parts"`
}

// ErasedPart is what came of it for one consent.
type ErasedPart struct {
	Tuple string `json:"tuple"`
	Here  int    `json:"here"` // items and reports erased on this device
	// Request is the case or, where everything goes, the erasure that the controller is asked for.
	Request string `json:"request"`
	// Kept are the fields that cannot be deleted while the account exists.
	Kept []string `json:"kept,omitempty"`
}

// Account is the person's account at one controller.
type Account struct {
	Controller string    `json:"controller"`
	Name       Text      `json:"name"`
	Contact    string    `json:"contact"`
	State      string    `json:"state"` // "open", "closing" or "closed"
	Since      time.Time `json:"since,omitzero"`
	Done       time.Time `json:"done,omitzero"` // when the last signed answer was there
	Consents   int       `json:"consents"`      // in force
	Waiting    int       `json:"waiting"`       // signed answers that are not there yet
}

// Right is one right of the person: what it is, how it is used, and what it covers under the policy in force.
type Right struct {
	ID       string         `json:"id"` // "access", "correct", "delete", "withdraw", "close", "complain" or "settings"
	Clause   string         `json:"clause"`
	Name     Text           `json:"name"`
	Does     Text           `json:"does"`
	Commands []string       `json:"commands"`
	Covers   []string       `json:"covers"` // tuples
	Contacts []RightContact `json:"contacts"`
}

// RightContact is a controller to which a right is addressed.
type RightContact struct {
	Controller string `json:"controller"`
	Name       Text   `json:"name"`
	Contact    string `json:"contact"`
}

// Explanation says why something was collected.
type Explanation struct {
	Tuple       string         `json:"tuple"`
	Clause      string         `json:"clause"` // of the guideline
	Category    Text           `json:"category"`
	Description Text           `json:"description"`
	Purpose     Text           `json:"purpose"`
	Policy      PolicyInfo     `json:"policy"`
	Controller  RightContact   `json:"controller"`
	Status      string         `json:"status"`
	Consents    []ConsentBasis `json:"consents"` // newest first
	Sent        []Egress       `json:"sent"`     // newest first
	// Batch is the one that was asked about, with its content where it is readable.
	Batch *EgressBody `json:"batch,omitempty"`
}

// ConsentBasis is a consent on which something rests or rested.
type ConsentBasis struct {
	Consent       string    `json:"consent"`
	Given         time.Time `json:"given"`
	Expiry        time.Time `json:"expiry,omitzero"`
	Ended         time.Time `json:"ended,omitzero"`
	Channel       string    `json:"channel"`
	Lang          string    `json:"lang"`
	Notice        string    `json:"notice"` // SHA-256 of the text that was shown
	PolicyVersion int       `json:"policy_version"`
	Record        uint64    `json:"record"` // in the controller's ledger
}

// Export is everything that is held about the person, here and at every receiver.
type Export struct {
	Time     time.Time         `json:"time"`
	Subject  string            `json:"subject"`
	Version  string            `json:"version"`
	Policy   PolicyInfo        `json:"policy"`
	Tuples   []TupleData       `json:"tuples"`
	Consents []ConsentState    `json:"consents"`
	Sent     []EgressBody      `json:"sent"` // what left and is still readable
	Ledger   []json.RawMessage `json:"ledger"`
	Receipts []Receipt         `json:"receipts"`
	Cases    []Case            `json:"cases"`
	Accounts []Account         `json:"accounts"`
	Settings *Settings         `json:"settings,omitempty"`
	Clients  []Registered      `json:"clients"`
	Uses     []ClientUse       `json:"uses"`
	Missing  []string          `json:"missing"` // what could not be read or fetched, in words without values
}

// Bodies of requests about rights.
type (
	// ComplaintRequest files a complaint. Subject is a tuple or a controller; "" is the policy's first controller.
	ComplaintRequest struct {
		Subject string `json:"subject,omitempty"`
		Text    string `json:"text"`
	}
	// CorrectRequest changes fields; a list repeats its field. Item is needed where the policy declares items.
	CorrectRequest struct {
		Item   string  `json:"item,omitempty"`
		Fields []Field `json:"fields"`
	}
	// Field is a field's new value, as text. A value of bytes is base64; one of another type is where Base64 says so, as what comes
	// from a file.
	Field struct {
		Name   string `json:"name"`
		Value  string `json:"value"`
		Base64 bool   `json:"base64,omitempty"`
	}
	// EraseRequest selects what is erased: Subject is a tuple, a category, or "" with All.
	EraseRequest struct {
		Subject string    `json:"subject,omitempty"`
		All     bool      `json:"all,omitempty"`
		Item    string    `json:"item,omitempty"`
		Fields  []string  `json:"fields,omitempty"`
		From    time.Time `json:"from,omitzero"`
		Until   time.Time `json:"until,omitzero"`
	}
	// AccountRequest names a controller.
	AccountRequest struct {
		Controller string `json:"controller,omitempty"` // "" is the policy's first
		All        bool   `json:"all,omitempty"`
	}
)

// Cases returns what the person has asked for, oldest first.
func (c *Client) Cases(ctx context.Context) ([]Case, error) { return get[[]Case](ctx, c, "/v1/cases") }

// Case returns one case, after asking the controller how far it has come.
func (c *Client) Case(ctx context.Context, id string) (Case, error) {
	return get[Case](ctx, c, "/v1/cases/"+url.PathEscape(id))
}

// Complain files a complaint.
func (c *Client) Complain(ctx context.Context, r ComplaintRequest) (Case, error) {
	return post[Case](ctx, c, "/v1/complaints", r)
}

// Correct corrects fields, here and at the controller.
func (c *Client) Correct(ctx context.Context, tuple string, r CorrectRequest) (Case, error) {
	return post[Case](ctx, c, "/v1/data/"+escape(tuple)+"/correct", r)
}

// EraseParts erases a selection, here and at the controllers.
func (c *Client) EraseParts(ctx context.Context, r EraseRequest) (Erased, error) {
	return post[Erased](ctx, c, "/v1/erasures", r)
}

// Accounts returns the person's account at every controller.
func (c *Client) Accounts(ctx context.Context) ([]Account, error) {
	return get[[]Account](ctx, c, "/v1/accounts")
}

// CloseAccount closes the account at one controller, or at all.
func (c *Client) CloseAccount(ctx context.Context, r AccountRequest) ([]Account, error) {
	return post[[]Account](ctx, c, "/v1/accounts/close", r)
}

// ReopenAccount lets the person agree to something at a controller again.
func (c *Client) ReopenAccount(ctx context.Context, r AccountRequest) ([]Account, error) {
	return post[[]Account](ctx, c, "/v1/accounts/reopen", r)
}

// Rights returns the index of the rights, made of the policy in force.
func (c *Client) Rights(ctx context.Context) ([]Right, error) {
	return get[[]Right](ctx, c, "/v1/rights")
}

// ExplainTuple says why something is collected.
func (c *Client) ExplainTuple(ctx context.Context, tuple string) (Explanation, error) {
	return get[Explanation](ctx, c, "/v1/explain/tuple/"+escape(tuple))
}

// ExplainBatch says why a batch was collected.
func (c *Client) ExplainBatch(ctx context.Context, id string) (Explanation, error) {
	return get[Explanation](ctx, c, "/v1/explain/batch/"+url.PathEscape(id))
}

// Export returns everything that is held, here and at the receivers, of one tuple or of all when tuple is "".
func (c *Client) Export(ctx context.Context, tuple string) (Export, error) {
	if tuple == "" {
		return get[Export](ctx, c, "/v1/export")
	}
	return get[Export](ctx, c, "/v1/export/"+escape(tuple))
}
