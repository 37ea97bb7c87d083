package server

import (
	"context"

	"github.com/scruple-agent/scruple/agent/control"
)

// NoticeBackend is the part of Backend that is about what controllers announce.
type NoticeBackend interface {
	Announcements(ctx context.Context) ([]control.Announcement, error)
	// ShowAnnouncement notes that the person has seen it.
	ShowAnnouncement(ctx context.Context, id string) (control.Announcement, error)
	PullAnnouncements(ctx context.Context) (control.AnnouncementsPulled, error)
	DecideAnnouncement(ctx context.Context, a Actor, r control.DecideRequest) (control.Decided, error)
}

func getAnnouncements(s *Server, ctx context.Context, _ *request) (any, error) {
	return list(s.backend.Announcements(ctx))
}

func postAnnouncementShow(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.AnnouncementRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	return s.backend.ShowAnnouncement(ctx, body.ID)
}

func postAnnouncementsPull(s *Server, ctx context.Context, _ *request) (any, error) {
	p, err := s.backend.PullAnnouncements(ctx)
	p.Asked, p.New = notNil(p.Asked), notNil(p.New)
	return p, err
}

func postAnnouncementDecide(s *Server, ctx context.Context, r *request) (any, error) {
	var body control.DecideRequest
	if err := decode(r.body, &body); err != nil {
		return nil, err
	}
	if body.Continue == body.Stop || body.Clear && !body.Stop {
		return nil, control.NewProblem(control.KindBadRequest, "", "either continue, or stop with or without clear")
	}
	d, err := s.backend.DecideAnnouncement(ctx, r.actor, body)
	d.Withdrawn = notNil(d.Withdrawn)
	return d, err
}
