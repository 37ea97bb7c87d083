package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/policy"
)

func (b *backend) Announcements(context.Context) ([]control.Announcement, error) {
	return nil, b.call("announcements", Actor{}, policy.Tuple{})
}

func (b *backend) ShowAnnouncement(_ context.Context, id string) (control.Announcement, error) {
	return control.Announcement{ID: id}, b.call("announcement", Actor{}, policy.Tuple{})
}

func (b *backend) PullAnnouncements(context.Context) (control.AnnouncementsPulled, error) {
	return control.AnnouncementsPulled{}, b.call("pull", Actor{}, policy.Tuple{})
}

func (b *backend) DecideAnnouncement(_ context.Context, a Actor, r control.DecideRequest) (control.Decided, error) {
	return control.Decided{ID: r.ID, Continued: r.Continue}, b.call("decide", a, policy.Tuple{})
}
