package agent

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/clients"
	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
)

// registered returns the applications. They must not be changed: the ring's copy is replaced at every update, never edited.
func (a *Agent) registered() (all map[string]*keyring.Client) {
	a.ring.View(func(s *keyring.State) { all = s.Clients })
	return all
}

// Identify implements server.Backend.
func (a *Agent) Identify(name string, p server.Peer) (string, bool) {
	return clients.Identify(a.registered(), name, clients.Process{UID: p.UID, Exe: p.Exe})
}

// clientOf returns the registered name of a caller, "" for the person and for who is not registered.
func clientOf(by server.Actor) string {
	name, ok := strings.CutPrefix(by.Channel, "app:")
	if !ok || name == clients.Reserved || by.Person {
		return ""
	}
	return name
}

// mayUse reports whether a caller may use a tuple: the person, and a registered application that the person lets. It
// returns the application's name, "" for the person. Whether the person agreed to the tuple itself is another question, which the
// register answers.
func (a *Agent) mayUse(by server.Actor, t policy.Tuple) (string, error) {
	if by.Person {
		return "", nil
	}
	_, err := a.access(by, t)
	return clientOf(by), err
}

func (a *Agent) access(by server.Actor, t policy.Tuple) (keyring.ClientAccess, error) {
	name := clientOf(by)
	access, err := clients.Access(a.registered(), name, t.String(), time.Now())
	switch {
	case errors.Is(err, clients.ErrUnknown):
		return access, control.NewProblem(control.KindNotRegistered, t.String(), "")
	case err != nil:
		return access, control.NewProblem(control.KindNoAccess, t.String(), err.Error())
	}
	return access, nil
}

// MayUse implements server.Backend.
func (a *Agent) MayUse(by server.Actor, t policy.Tuple) bool {
	_, err := a.mayUse(by, t)
	return err == nil
}

// mayAsk reports whether a caller may ask the person for a consent: a registered application may, about anything, and learns
// nothing by it where it has no access; its question is then already put, which asked says.
func (a *Agent) mayAsk(by server.Actor, t policy.Tuple) (asked bool, err error) {
	if by.Person {
		return false, nil
	}
	if clientOf(by) == "" {
		return false, control.NewProblem(control.KindNotRegistered, t.String(), "")
	}
	if _, err := a.access(by, t); err == nil {
		return false, nil
	}
	err = a.register.Request(t, actor(by))
	if errors.Is(err, consent.ErrGiven) || errors.Is(err, consent.ErrQuiet) { // what the person said is not its business
		err = nil
	}
	return err == nil, err
}

// Clients implements server.Backend.
func (a *Agent) Clients(context.Context) ([]control.Registered, error) {
	all := a.registered()
	list := make([]control.Registered, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, a.client(name, all[name]))
	}
	return list, nil
}

func (a *Agent) client(name string, c *keyring.Client) control.Registered {
	out := control.Registered{Name: name, Exe: c.Exe, Since: unixTime(c.Since), Access: []control.ClientAccess{}}
	if c.UID >= 0 {
		out.UID = &c.UID
	}
	for _, tuple := range slices.Sorted(maps.Keys(c.Access)) {
		access := c.Access[tuple]
		row := control.ClientAccess{Tuple: tuple, Since: unixTime(access.Since), Until: unixTime(access.Until), Level: access.Level}
		if t, err := a.document().Tuple(a.subject, tuple); err == nil { // a later policy may not have it
			row.Recipients, row.Controller = a.collection(t).rules().Purpose.Recipients, string(t.Controller)
			row.InForce = time.Now().Unix() < access.Until && a.register.State(t).InForce
		}
		out.Access = append(out.Access, row)
	}
	return out
}

// RegisterClient implements server.Backend.
func (a *Agent) RegisterClient(_ context.Context, _ server.Actor, r control.ClientRequest) (control.Registered, error) {
	uid := -1
	if r.UID != nil {
		uid = *r.UID
	}
	refuse := func(detail string) error { return control.NewProblem(control.KindBadRequest, "", detail) }
	switch {
	case r.UID != nil && uid < 0:
		return control.Registered{}, refuse("uid: below 0")
	case r.Exe == "" && uid == os.Getuid():
		return control.Registered{}, refuse("every program of this account would be that application: it needs a program")
	}
	if r.Exe != "" {
		exe, err := filepath.EvalSymlinks(r.Exe)
		info, statErr := os.Stat(exe)
		if err != nil || statErr != nil || !info.Mode().IsRegular() || !filepath.IsAbs(r.Exe) {
			return control.Registered{}, refuse("exe: " + clients.ErrProgram.Error())
		}
		r.Exe = exe // as the system will name it
	}
	var out control.Registered
	err := a.ring.Update(func(s *keyring.State) error {
		if err := clients.Register(s, r.Name, r.Exe, uid, time.Now()); err != nil {
			return err
		}
		c := *s.Clients[r.Name]
		out = a.client(r.Name, &c)
		return nil
	})
	for _, mistake := range []error{clients.ErrName, clients.ErrNobody, clients.ErrProgram, clients.ErrTaken, clients.ErrMany} {
		if errors.Is(err, mistake) {
			return control.Registered{}, refuse(err.Error())
		}
	}
	return out, err
}

// errNoClient says that there is nothing to change.
func errNoClient() error {
	p := control.NewProblem(control.KindNotFound, "", "no application is registered under that name")
	p.Hint = "scruple clients list"
	return p
}

// RemoveClient implements server.Backend. The sessions that the application opened end.
func (a *Agent) RemoveClient(_ context.Context, _ server.Actor, name string) error {
	err := a.ring.Update(func(s *keyring.State) error {
		if s.Clients[name] == nil {
			return errNoClient()
		}
		delete(s.Clients, name)
		return nil
	})
	if err == nil {
		for _, t := range a.Tuples() {
			a.endSessionOf(t, name)
		}
	}
	return err
}

// endSessionOf closes the session of a tuple that an application opened.
func (a *Agent) endSessionOf(t policy.Tuple, name string) {
	c := a.collection(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil && c.opener == "app:"+name {
		c.session.Close()
		c.session = nil
	}
}

// AllowClient implements server.Backend. A purpose that names recipients is the consent to tell those, so one application has
// access to it and no second.
func (a *Agent) AllowClient(_ context.Context, _ server.Actor, name string, t policy.Tuple, r control.AccessRequest) (control.Registered, error) {
	rules := a.collection(t).rules()
	now := time.Now()
	access := keyring.ClientAccess{Since: now.Unix(), Until: now.Add(rules.Purpose.Expiry).Unix()}
	if r.Seconds < 0 || r.Level < 0 {
		return control.Registered{}, control.NewProblem(control.KindBadRequest, t.String(), "seconds and level: not below 0")
	}
	if most := access.Until - access.Since; r.Seconds > 0 && r.Seconds < most {
		access.Until = access.Since + r.Seconds
	}
	if rules.Category.Source == policy.SourceLocation {
		access.Level = rules.Purpose.Minimiser.Level
		if r.Level > access.Level {
			return control.Registered{}, control.NewProblem(control.KindPolicy, t.String(), "level: finer than the policy allows")
		}
		if r.Level > 0 {
			access.Level = r.Level
		}
	} else if r.Level > 0 {
		return control.Registered{}, control.NewProblem(control.KindBadRequest, t.String(), "level: only of a location")
	}
	var out control.Registered
	err := a.ring.Update(func(s *keyring.State) error {
		for other, c := range s.Clients {
			if _, has := c.Access[t.String()]; has && other != name && len(rules.Purpose.Recipients) > 0 {
				return control.NewProblem(control.KindPolicy, t.String(),
					"the application "+other+" has it: the consent is for the recipient that it names, and no other")
			}
		}
		if err := clients.Allow(s, name, t.String(), access); err != nil {
			return err
		}
		c := *s.Clients[name]
		c.Access = maps.Clone(c.Access)
		out = a.client(name, &c)
		return nil
	})
	switch {
	case errors.Is(err, clients.ErrUnknown):
		return out, errNoClient()
	case errors.Is(err, clients.ErrMany):
		return out, control.NewProblem(control.KindBadRequest, t.String(), err.Error())
	}
	return out, err
}

// DenyClient implements server.Backend.
func (a *Agent) DenyClient(_ context.Context, _ server.Actor, name string, t policy.Tuple) error {
	err := a.ring.Update(func(s *keyring.State) error {
		if s.Clients[name] == nil {
			return errNoClient()
		}
		delete(s.Clients[name].Access, t.String())
		return nil
	})
	if err == nil {
		a.endSessionOf(t, name)
	}
	return err
}

// ClientUses implements server.Backend: newest first.
func (a *Agent) ClientUses(context.Context) ([]control.ClientUse, error) {
	uses, err := a.uses.List()
	if err != nil {
		return nil, err
	}
	list := make([]control.ClientUse, 0, len(uses))
	for _, u := range slices.Backward(uses) {
		list = append(list, control.ClientUse{
			Time: unixTime(u.Time), Client: u.Client, Tuple: u.Tuple, Level: u.Level, Recipients: append([]string{}, u.Recipients...),
		})
	}
	return list, nil
}
