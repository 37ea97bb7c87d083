package control

import (
	"context"
	"time"
)

// Announcement is what a controller has announced, signed with its key. (A Notice is what a person is shown before they
// answer.)
type Announcement struct {
	ID         string    `json:"id"` // "controller/number"
	Controller string    `json:"controller"`
	Number     uint64    `json:"number"`
	Kind       string    `json:"kind"` // "policy-change", "breach" or "end-of-service"
	Time       time.Time `json:"time"` // when it was signed
	Received   time.Time `json:"received"`
	Since      time.Time `json:"since,omitzero"`       // breach
	Categories []string  `json:"categories,omitempty"` // breach: of which data
	Ends       time.Time `json:"ends,omitzero"`        // end of service
	Policy     uint      `json:"policy,omitempty"`     // policy change: the version
	What       Text      `json:"what"`
	Do         Text      `json:"do,omitempty"`
	Unread     bool      `json:"unread"` // not shown to the person yet
	// Decide: nothing but consent messages is sent to the controller until the person decides.
	Decide bool `json:"decide"`
	// Before: announced before the person's first consent, and so without effect.
	Before bool `json:"before,omitempty"`
	// Erased is when the controller confirmed the last erasure that an end of service led to.
	Erased time.Time `json:"erased,omitzero"`
	Note   string    `json:"note,omitempty"` // the signed note itself
}

// AnnouncementsPulled is the answer to asking the controllers now.
type AnnouncementsPulled struct {
	Asked []string `json:"asked"` // controllers
	New   []string `json:"new"`   // ids
	// Failed says why a controller could not be asked, or what it said was refused.
	Failed map[string]string `json:"failed,omitempty"`
}

// AnnouncementStatus is what the status says of announcements.
type AnnouncementStatus struct {
	Unread []string `json:"unread"` // ids
	// Stopped are the controllers to which nothing but consent messages is sent until the person decides.
	Stopped []string `json:"stopped"`
}

// AnnouncementRequest names one announcement.
type AnnouncementRequest struct {
	ID string `json:"id"`
}

// DecideRequest is what the person decides after a breach.
type DecideRequest struct {
	ID string `json:"id"`
	// Continue goes on sending; otherwise every consent of the controller is withdrawn, with erasure where Clear is set.
	Continue bool `json:"continue,omitempty"`
	Stop     bool `json:"stop,omitempty"`
	Clear    bool `json:"clear,omitempty"`
}

// Decided is what followed.
type Decided struct {
	ID        string   `json:"id"`
	Continued bool     `json:"continued"`
	Withdrawn []string `json:"withdrawn"` // tuples
}

// Announcements returns what the controllers have announced, without the signed notes.
func (c *Client) Announcements(ctx context.Context) ([]Announcement, error) {
	return get[[]Announcement](ctx, c, "/v1/notices")
}

// ShowAnnouncement returns one announcement with its signed note, and notes that the person has seen it.
func (c *Client) ShowAnnouncement(ctx context.Context, id string) (Announcement, error) {
	return do[Announcement](ctx, c, "POST", "/v1/notices/show", AnnouncementRequest{id})
}

// PullAnnouncements asks the controllers now.
func (c *Client) PullAnnouncements(ctx context.Context) (AnnouncementsPulled, error) {
	return do[AnnouncementsPulled](ctx, c, "POST", "/v1/notices/pull", struct{}{})
}

// DecideAnnouncement takes the decision that a breach waits for.
func (c *Client) DecideAnnouncement(ctx context.Context, r DecideRequest) (Decided, error) {
	return do[Decided](ctx, c, "POST", "/v1/notices/decide", r)
}
