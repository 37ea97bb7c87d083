package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/notices"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// board is what the uploader sees of the notices.
type board struct{ *Agent }

// After implements uploader.Notices.
func (b board) After(c policy.ControllerID) uint64 { return b.notices.After(c) }

// Next implements uploader.Notices.
func (b board) Next(c policy.ControllerID) time.Time { return b.notices.Next(c) }

// Stopped implements uploader.Notices.
func (b board) Stopped(c policy.ControllerID) error { return b.notices.Stopped(c) }

// SetNext implements uploader.Notices.
func (b board) SetNext(c policy.ControllerID, at time.Time) error { return b.notices.SetNext(c, at) }

// Take implements uploader.Notices: it keeps what is new and lets it take effect. What stops the lanes is in force when it
// returns; a later policy and an end are followed behind it, and again at the next start.
func (b board) Take(c policy.Controller, list []wire.NoticeBundle) error {
	a := b.Agent
	fresh, err := a.notices.Take(c, list, time.Now(), a.register.FirstGiven(c.ID))
	for _, k := range fresh {
		a.log.Info("a controller has announced something", zap.String("controller", k.Controller), zap.Uint64("number", k.Number),
			zap.String("kind", string(k.Kind)))
	}
	a.followPolicy()
	if len(fresh) > 0 {
		a.wake()
	}
	return err
}

// followPolicy gives the policies that came with notices to the running agent, which believes them for their own signature
// and version, also one that was announced before the person agreed to an earlier one. One that is not believed changes nothing.
func (a *Agent) followPolicy() {
	for _, k := range a.notices.List() {
		if len(k.Policy) == 0 || int(k.Notice.Policy) <= a.document().Version {
			continue
		}
		if _, err := a.updatePolicy(k.Policy); err != nil {
			a.log.Warn("the policy that came with a notice is not used", zap.String("controller", k.Controller),
				zap.Uint64("number", k.Number), zap.Error(err))
		}
	}
}

// endServices withdraws, with erasure, what was agreed to with a controller whose service has ended, and returns when the
// next one ends.
func (a *Agent) endServices(now time.Time) (next time.Time) {
	for id, ends := range a.notices.Ends() {
		if ends.After(now) {
			if next.IsZero() || ends.Before(next) {
				next = ends
			}
			continue
		}
		for _, t := range a.register.TuplesOf(id) {
			s := a.register.State(t)
			if s.Status != consent.Given && len(s.Ended) == 0 {
				continue
			}
			if err := a.register.End(t); err != nil {
				a.log.Warn("cannot end a consent with its service", zap.Stringer("tuple", t), zap.Error(err))
				next = now.Add(retryUnfinished)
				continue
			}
			a.log.Info("the service has ended: withdrawn, erasure asked for", zap.Stringer("tuple", t))
			a.uploader.Kick()
		}
	}
	return next
}

func announcementID(controller string, number uint64) string {
	return controller + "/" + strconv.FormatUint(number, 10)
}

// announcement gives a notice the form that the API has.
func (a *Agent) announcement(k notices.Kept) control.Announcement {
	out := control.Announcement{
		ID: announcementID(k.Controller, k.Number), Controller: k.Controller, Number: k.Number, Kind: string(k.Kind),
		Time: k.Time.UTC(), Received: k.Received, Since: k.Since, Categories: k.Categories, Ends: k.Ends, Policy: k.Notice.Policy,
		What: control.Text(k.What), Do: control.Text(k.Do), Unread: k.Unread, Decide: k.Stops, Before: k.Before,
	}
	if k.Kind == wire.NoticeEnd {
		receipts, err := a.register.Receipts(policy.ControllerID(k.Controller))
		for _, r := range receipts {
			if err == nil && r.Receipt.Kind == wire.ReceiptErasure && r.Receipt.Time.After(out.Erased) && !r.Receipt.Time.Before(k.Ends) {
				out.Erased = r.Receipt.Time.UTC()
			}
		}
	}
	return out
}

// Announcements implements server.Backend.
func (a *Agent) Announcements(context.Context) ([]control.Announcement, error) {
	list := []control.Announcement{}
	for _, k := range a.notices.List() {
		list = append(list, a.announcement(k))
	}
	return list, nil
}

// findAnnouncement reads "controller/number", or a number alone where just one controller has it.
func (a *Agent) findAnnouncement(id string) (notices.Kept, error) {
	unknown := func(detail string) error { return control.NewProblem(control.KindNoAnnouncement, "", detail) }
	controller, digits, both := strings.Cut(id, "/")
	if !both {
		controller, digits = "", id
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return notices.Kept{}, unknown("the name is CONTROLLER/NUMBER")
	}
	var found []notices.Kept
	for _, k := range a.notices.List() {
		if k.Number == number && (controller == "" || k.Controller == controller) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return notices.Kept{}, unknown("")
	case 1:
		return found[0], nil
	}
	return notices.Kept{}, unknown("several controllers have one with this number: say CONTROLLER/NUMBER")
}

// ShowAnnouncement implements server.Backend.
func (a *Agent) ShowAnnouncement(_ context.Context, id string) (control.Announcement, error) {
	k, err := a.findAnnouncement(id)
	if err != nil {
		return control.Announcement{}, err
	}
	out := a.announcement(k)
	out.Note = string(k.Signed)
	return out, a.notices.Shown(policy.ControllerID(k.Controller), k.Number)
}

// PullAnnouncements implements server.Backend.
func (a *Agent) PullAnnouncements(ctx context.Context) (p control.AnnouncementsPulled, err error) {
	before := map[string]bool{}
	for _, k := range a.notices.List() {
		before[a.announcement(k).ID] = true
	}
	asked, errs := a.uploader.AskNotices(ctx)
	for _, id := range asked {
		p.Asked = append(p.Asked, string(id))
	}
	slices.Sort(p.Asked)
	for id, err := range errs {
		if p.Failed == nil {
			p.Failed = map[string]string{}
		}
		p.Failed[string(id)] = err.Error()
	}
	for _, k := range a.notices.List() {
		if id := a.announcement(k).ID; !before[id] {
			p.New = append(p.New, id)
		}
	}
	return p, nil
}

// DecideAnnouncement implements server.Backend: after a breach it goes on, or withdraws everything from the controller. The
// withdrawals come first, so that a crash in between leaves the lanes stopped.
func (a *Agent) DecideAnnouncement(_ context.Context, by server.Actor, r control.DecideRequest) (d control.Decided, err error) {
	k, err := a.findAnnouncement(r.ID)
	if err != nil {
		return d, err
	}
	id := policy.ControllerID(k.Controller)
	d = control.Decided{ID: a.announcement(k).ID, Continued: r.Continue}
	if !k.Stops {
		return d, control.NewProblem(control.KindNoAnnouncement, "", notices.ErrNoDecision.Error())
	}
	if r.Stop {
		for _, t := range a.register.TuplesOf(id) {
			s := a.register.State(t)
			if s.Status != consent.Given && (!r.Clear || len(s.Ended) == 0) {
				continue
			}
			if err := a.register.Withdraw(t, r.Clear, actor(by)); err != nil {
				return d, problem(t, err)
			}
			d.Withdrawn = append(d.Withdrawn, t.String())
		}
	}
	if err := a.notices.Decide(id, k.Number); err != nil && !errors.Is(err, notices.ErrNoDecision) {
		return d, err
	}
	if err := a.notices.Shown(id, k.Number); err != nil {
		return d, err
	}
	if a.notices.Stopped(id) == nil {
		a.uploader.Resume(id)
	}
	a.uploader.Kick()
	return d, nil
}

// announcementStatus says what waits for the person.
func (a *Agent) announcementStatus() (s control.AnnouncementStatus) {
	all := a.notices.Waiting()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		w := all[id]
		for _, number := range w.Unread {
			s.Unread = append(s.Unread, announcementID(string(id), number))
		}
		if len(w.Stops) > 0 {
			s.Stopped = append(s.Stopped, string(id))
		}
	}
	return s
}
