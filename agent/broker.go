package agent

import (
	"context"
	"time"

	"github.com/scruple-agent/scruple/agent/clients"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/minimise"
	"github.com/scruple-agent/scruple/agent/policy"
)

// How long an application waits for the first fix of a session, and how often it is looked for.
const (
	brokerWait = 20 * time.Second
	brokerLook = 50 * time.Millisecond
)

// Location implements server.Backend: the broker. A registered application is told the area the person is in when the person agreed
// to a purpose that names its recipient, lets this application use it, and a session of the feature is open; and
// it is told no finer cell than the person lets it have. The use is on the disk before the answer.
func (a *Agent) Location(ctx context.Context, by server.Actor, t policy.Tuple) (control.Location, error) {
	name := clientOf(by)
	if name == "" {
		return control.Location{}, control.NewProblem(control.KindNotRegistered, t.String(), "")
	}
	access, err := a.access(by, t)
	if err != nil {
		return control.Location{}, err
	}
	c := a.collection(t)
	rules := c.rules()
	if rules.Category.Source != policy.SourceLocation || len(rules.Purpose.Recipients) == 0 {
		return control.Location{}, control.NewProblem(control.KindPolicy, t.String(), "the policy names nobody who is told the location for this purpose")
	}
	told, err := c.whereabouts(ctx, by)
	if err != nil {
		return control.Location{}, err
	}
	area, err := told.Area(min(access.Level, rules.Purpose.Minimiser.Level))
	if err != nil {
		return control.Location{}, err
	}
	if err := a.uses.Add(clients.Use{
		Time: time.Now().Unix(), Client: name, Tuple: t.String(), Level: area.Level, Recipients: rules.Purpose.Recipients,
	}); err != nil {
		return control.Location{}, err
	}
	if _, err := a.access(by, t); err != nil { // the person may have changed their mind meanwhile
		return control.Location{}, err
	}
	if err := c.openTo(by); err != nil {
		return control.Location{}, err
	}
	return control.Location{
		Tuple: t.String(), Cell: area.Cell, Level: area.Level, Accuracy: area.Accuracy, Kind: area.Kind, Time: area.Time,
	}, nil
}

// openTo reports whether a session is open in which an application may be told: its own, or one that the person opened.
func (c *collection) openTo(by server.Actor) error {
	if err := c.agent.register.InForce(c.agent.register.State(c.tuple).Consent); err != nil {
		return err
	}
	c.mu.Lock()
	session, opener := c.session, c.opener
	c.mu.Unlock()
	if session == nil || session.Permit().Check() != nil {
		return control.NewProblem(control.KindNoSession, c.tuple.String(), "")
	}
	if opener != by.Channel && opener != control.ChannelCLI && opener != control.ChannelPage {
		return control.NewProblem(control.KindNoAccess, c.tuple.String(), "the session is another application's")
	}
	return nil
}

// whereabouts returns the report that tells where the person is, once there is one in the open session.
func (c *collection) whereabouts(ctx context.Context, by server.Actor) (minimise.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, brokerWait)
	defer cancel()
	look := time.NewTicker(brokerLook)
	defer look.Stop()
	for {
		if err := c.openTo(by); err != nil {
			return minimise.Report{}, err
		}
		c.mu.Lock()
		told, here, trouble := c.told, c.here, c.problem
		c.mu.Unlock()
		switch {
		case trouble != nil:
			return minimise.Report{}, problem(c.tuple, trouble)
		case here && !told.Empty():
			return told, nil
		}
		select {
		case <-ctx.Done():
			return minimise.Report{}, control.NewProblem(control.KindNothing, c.tuple.String(), "no location is known, or no more may be told today")
		case <-look.C:
		}
	}
}
