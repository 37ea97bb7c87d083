package cli

import (
	"context"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
)

// The fake's controller has announced a breach; every other id is unknown.

func fakeBreach() control.Announcement {
	return control.Announcement{
		ID: "messenger/1", Controller: "messenger", Number: 1, Kind: "breach", Time: fakeNow, Received: fakeNow, Since: fakeNow.Add(-24 * time.Hour),
		Categories: []string{"location"}, Unread: true, Decide: true,
		What: control.Text{"en": "Somebody read positions.", "zh-CN": "有人读取了位置。"},
		Do:   control.Text{"en": "Decide.", "zh-CN": "请作出决定。"},
	}
}

func (f *fake) Announcements(context.Context) ([]control.Announcement, error) {
	return []control.Announcement{fakeBreach()}, nil
}

func (f *fake) ShowAnnouncement(_ context.Context, id string) (control.Announcement, error) {
	if id != "messenger/1" && id != "1" {
		return control.Announcement{}, control.NewProblem(control.KindNoAnnouncement, "", "")
	}
	return fakeBreach(), nil
}

func (f *fake) PullAnnouncements(context.Context) (control.AnnouncementsPulled, error) {
	return control.AnnouncementsPulled{Asked: []string{"messenger"}}, nil
}

func (f *fake) DecideAnnouncement(ctx context.Context, _ server.Actor, r control.DecideRequest) (control.Decided, error) {
	if _, err := f.ShowAnnouncement(ctx, r.ID); err != nil {
		return control.Decided{}, err
	}
	return control.Decided{ID: "messenger/1", Continued: r.Continue}, nil
}
