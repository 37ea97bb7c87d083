// Package clients knows the applications that a person has registered: which process is which of them, what each may use, and
// every time at which one was told a location.
//
// A process is known by what the kernel says of it, its account and the program it runs, never by what it says itself.
// This tells programs apart; against hostile code under the person's own account it is no barrier, since such
// code can run inside a registered program (SECURITY.md).
//
// The package gives nothing to anybody: the agent asks it first.
package clients

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/keyring"
)

// The bounds: more than a device has of such applications.
const (
	MaxClients = 256
	MaxAccess  = 256 // of one application
	MaxName    = 64  // bytes
)

// Mistakes of who registers.
var (
	ErrName    = errors.New("a name has 1 to 64 of a-z, 0-9, dot and hyphen")
	ErrProgram = errors.New("the program is an absolute path to a file")
	ErrNobody  = errors.New("an application needs the path of its program, or the number of its account")
	ErrMany    = errors.New("too many applications")
	ErrTaken   = errors.New("another application of that name is registered")
)

// Reserved is the name of callers that are not registered.
const Reserved = "unnamed"

// ValidName reports whether an application may have this name.
func ValidName(name string) bool {
	return name != "" && name != Reserved && len(name) <= MaxName && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// Process is what the system says of the caller.
type Process struct {
	UID int    // -1 where the system has other names for accounts
	Exe string // absolute path of the program it runs, "" where the system does not tell
}

// fits reports whether a process is the application.
func fits(c *keyring.Client, p Process) bool {
	return (c.Exe == "" || p.Exe != "" && c.Exe == p.Exe) && (c.UID < 0 || c.UID == p.UID)
}

// Identify returns the name under which a process is registered. A process that names itself must fit that very
// application; one that does not is the only one that fits, or nobody.
func Identify(all map[string]*keyring.Client, name string, p Process) (string, bool) {
	if name != "" {
		c := all[name]
		return name, c != nil && fits(c, p)
	}
	var found []string
	for _, n := range slices.Sorted(maps.Keys(all)) {
		if fits(all[n], p) {
			found = append(found, n)
		}
	}
	if len(found) != 1 {
		return "", false
	}
	return found[0], true
}

// Register adds an application; uid -1 is any account. One that says the very same is no error. Several names may have one
// program: it then keeps apart itself what runs in it, as a host of mini-programs does.
func Register(s *keyring.State, name, exe string, uid int, now time.Time) error {
	switch {
	case !ValidName(name):
		return ErrName
	case exe == "" && uid < 0:
		return ErrNobody
	case exe != "" && (!filepath.IsAbs(exe) || filepath.Clean(exe) != exe || len(exe) > 4096):
		return ErrProgram
	case len(s.Clients) >= MaxClients:
		return ErrMany
	}
	if c := s.Clients[name]; c != nil {
		if c.Exe == exe && c.UID == max(uid, -1) {
			return nil
		}
		return ErrTaken
	}
	if s.Clients == nil {
		s.Clients = map[string]*keyring.Client{}
	}
	s.Clients[name] = &keyring.Client{Exe: exe, UID: max(uid, -1), Since: now.Unix()}
	return nil
}

// Refusals of an access.
var (
	ErrUnknown  = errors.New("the application is not registered")
	ErrNoAccess = errors.New("the application has no access to it")
	ErrEnded    = errors.New("the application's access to it has ended")
)

// Access returns what an application may do with a tuple at a time.
func Access(all map[string]*keyring.Client, name, tuple string, now time.Time) (keyring.ClientAccess, error) {
	c := all[name]
	if c == nil {
		return keyring.ClientAccess{}, ErrUnknown
	}
	a, ok := c.Access[tuple]
	switch {
	case !ok:
		return a, ErrNoAccess
	case now.Unix() >= a.Until:
		return a, ErrEnded
	}
	return a, nil
}

// Allow gives an application access to a tuple.
func Allow(s *keyring.State, name, tuple string, a keyring.ClientAccess) error {
	c := s.Clients[name]
	if c == nil {
		return ErrUnknown
	}
	if _, ok := c.Access[tuple]; !ok && len(c.Access) >= MaxAccess {
		return fmt.Errorf("%s: %w", name, ErrMany)
	}
	if c.Access == nil {
		c.Access = map[string]keyring.ClientAccess{}
	}
	c.Access[tuple] = a
	return nil
}
