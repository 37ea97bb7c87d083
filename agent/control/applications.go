package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Item is the latest state of one item that was submitted.
type Item struct {
	Item    string    `json:"item"` // its name; "-" where the category has one item only
	Time    time.Time `json:"time"`
	Consent string    `json:"consent"`
	// Client is the application that submitted it, "" for the person.
	Client string `json:"client,omitempty"`
	// Origin is the third party that it comes from.
	Origin string          `json:"origin,omitempty"`
	Fields json.RawMessage `json:"fields"`
}

// Submission is what an application submits: records of declared fields, bytes as base64.
type Submission struct {
	// Origin is the third party that the records come from; it has to be the one that the policy declares, and is left out
	// where the policy declares none.
	Origin  string            `json:"origin,omitempty"`
	Records []json.RawMessage `json:"records"`
}

// Submitted is the answer: when it arrives, everything is on the disk.
type Submitted struct {
	Tuple string   `json:"tuple"`
	Items []string `json:"items"` // their names, in order
}

// ItemDeleted is the answer to the deletion of one item.
type ItemDeleted struct {
	Tuple string `json:"tuple"`
	Item  string `json:"item"`
	Here  bool   `json:"here"` // it was on this device
	// Unsent counts the reports of it that had not left yet, and now never do.
	Unsent int `json:"unsent"`
	// Request is the id of the request to the controller to erase the item, "" where nothing is asked of it.
	Request string `json:"request,omitempty"`
}

// Setting is one privacy setting of the policy.
type Setting struct {
	Name    string   `json:"name"`
	Label   Text     `json:"label"`
	Type    string   `json:"type"` // "boolean", "choice", "texts", "text" or "integer"
	Choices []string `json:"choices,omitempty"`
	Default any      `json:"default"`
	Value   any      `json:"value"`
	Set     bool     `json:"set"` // Value is not the default
}

// Settings are the privacy settings of the policy.
type Settings struct {
	Tuple string `json:"tuple"`
	// Status is that of the consent; only with StatusGiven a setting can be changed and is told to the controller.
	Status   string    `json:"status"`
	Settings []Setting `json:"settings"`
	// Delivered says, in the answer to a change, whether the controller has confirmed it; otherwise it follows by itself.
	Delivered bool `json:"delivered,omitempty"`
}

// Registered is an application that the person has registered.
type Registered struct {
	Name   string         `json:"name"`
	Exe    string         `json:"exe,omitempty"`
	UID    *int           `json:"uid,omitempty"` // its account; any where left out
	Since  time.Time      `json:"since"`
	Access []ClientAccess `json:"access"`
}

// ClientAccess is what a registered application may use.
type ClientAccess struct {
	Tuple string    `json:"tuple"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// Level is the finest S2 cell that a location is told as, where the tuple is one of location.
	Level int `json:"level,omitempty"`
	// Recipients are those that the policy names for it, and Controller who receives it besides.
	Recipients []string `json:"recipients,omitempty"`
	Controller string   `json:"controller"`
	// InForce is false where the person's consent to the tuple itself is not given, or the time is up.
	InForce bool `json:"in_force"`
}

// ClientUse is one time at which an application was told a location. It does not say which location.
type ClientUse struct {
	Time       time.Time `json:"time"`
	Client     string    `json:"client"`
	Tuple      string    `json:"tuple"`
	Level      int       `json:"level"`
	Recipients []string  `json:"recipients"`
}

// Location is what an application is told: a grid cell and never a point.
type Location struct {
	Tuple    string    `json:"tuple"`
	Cell     string    `json:"cell"` // S2 token
	Level    int       `json:"level"`
	Accuracy int64     `json:"accuracy"` // metres, never less than the cell
	Kind     string    `json:"kind"`     // "true" or "offset"
	Time     time.Time `json:"time"`     // to the hour
}

// Bodies of requests.
type (
	// SettingRequest changes one setting: Value replaces it, Add and Remove change one entry of a list.
	SettingRequest struct {
		Name   string  `json:"name"`
		Value  *string `json:"value,omitempty"` // as text: "true", a choice, a number
		Add    *string `json:"add,omitempty"`
		Remove *string `json:"remove,omitempty"`
		Reset  bool    `json:"reset,omitempty"` // back to the default
	}
	// ClientRequest registers an application.
	ClientRequest struct {
		Name string `json:"name"`
		Exe  string `json:"exe,omitempty"`
		UID  *int   `json:"uid,omitempty"`
	}
	// AccessRequest lets an application use a tuple.
	AccessRequest struct {
		Tuple string `json:"tuple"`
		// Seconds is how long; 0 is as long as the policy's consent lasts at most.
		Seconds int64 `json:"seconds,omitempty"`
		// Level is the finest S2 cell of a location; 0 is what the policy allows.
		Level int `json:"level,omitempty"`
	}
	// LocationRequest asks where the person is.
	LocationRequest struct {
		Tuple string `json:"tuple"`
	}
)

// Submit submits records of declared fields. body is the JSON of a Submission.
func (c *Client) Submit(ctx context.Context, tuple string, body []byte) (Submitted, error) {
	return post[Submitted](ctx, c, "/v1/submissions/"+escape(tuple), json.RawMessage(body))
}

// DeleteItem deletes one item, here and at the controller.
func (c *Client) DeleteItem(ctx context.Context, tuple, item string) (ItemDeleted, error) {
	return do[ItemDeleted](ctx, c, http.MethodDelete, "/v1/items/"+escape(tuple)+"/"+url.PathEscape(item), nil)
}

// Location asks for the area that the person is in; only a registered application is told.
func (c *Client) Location(ctx context.Context, tuple string) (Location, error) {
	return post[Location](ctx, c, "/v1/location", LocationRequest{Tuple: tuple})
}

// Settings returns the privacy settings.
func (c *Client) Settings(ctx context.Context) (Settings, error) {
	return get[Settings](ctx, c, "/v1/settings")
}

// ChangeSetting changes one privacy setting and returns all.
func (c *Client) ChangeSetting(ctx context.Context, r SettingRequest) (Settings, error) {
	return post[Settings](ctx, c, "/v1/settings", r)
}

// Clients returns the registered applications by name.
func (c *Client) Clients(ctx context.Context) ([]Registered, error) {
	return get[[]Registered](ctx, c, "/v1/clients")
}

// ClientUses returns every time an application was told a location, newest first.
func (c *Client) ClientUses(ctx context.Context) ([]ClientUse, error) {
	return get[[]ClientUse](ctx, c, "/v1/clients/uses")
}

// RegisterClient registers an application; it has no access to anything by that.
func (c *Client) RegisterClient(ctx context.Context, r ClientRequest) (Registered, error) {
	return post[Registered](ctx, c, "/v1/clients", r)
}

// RemoveClient ends an application's registration and all its access.
func (c *Client) RemoveClient(ctx context.Context, name string) error {
	_, err := do[struct{}](ctx, c, http.MethodDelete, "/v1/clients/"+url.PathEscape(name), nil)
	return err
}

// AllowClient lets an application use a tuple.
func (c *Client) AllowClient(ctx context.Context, name string, r AccessRequest) (Registered, error) {
	return post[Registered](ctx, c, "/v1/clients/"+url.PathEscape(name)+"/access", r)
}

// DenyClient ends an application's access to a tuple.
func (c *Client) DenyClient(ctx context.Context, name, tuple string) error {
	_, err := do[struct{}](ctx, c, http.MethodDelete, "/v1/clients/"+url.PathEscape(name)+"/access/"+escape(tuple), nil)
	return err
}
