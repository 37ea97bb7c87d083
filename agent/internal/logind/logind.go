// Package logind tells that the machine is about to sleep, and that it woke up, as systemd-logind says it on the
// system bus. Until what is to be stopped has been stopped it holds a delay inhibitor, for which logind waits a few
// seconds (InhibitDelayMaxSec).
//
// Nothing depends on it: without a bus or a logind nothing is said, and what holds by the clocks that count sleep holds
// all the same. It waits for messages only, so it costs nothing while there are none.
package logind

import (
	"context"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names of logind on the bus (org.freedesktop.login1(5)).
const (
	name     = "org.freedesktop.login1"
	path     = dbus.ObjectPath("/org/freedesktop/login1")
	manager  = name + ".Manager"
	prepare  = manager + ".PrepareForSleep"
	busName  = "org.freedesktop.DBus"
	busPath  = dbus.ObjectPath("/org/freedesktop/DBus")
	busOwner = busName + ".NameOwnerChanged"
)

// answerDeadline is how long a call may take; one for an inhibitor may have to ask polkit.
const answerDeadline = 5 * time.Second

// Watch calls sleep(true) when the machine is about to sleep, which then waits until sleep returns, and sleep(false) when it woke up,
// or when nobody is left who would say so. It returns when ctx ends, when there is no system bus, or when that
// goes away; sleep(true) is never the last.
func Watch(ctx context.Context, sleep func(asleep bool)) {
	said := make(signals, 16)
	life, cut := context.WithCancel(ctx)
	defer cut()
	late := time.AfterFunc(answerDeadline, cut)
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(life), dbus.WithSignalHandler(said))
	if err != nil || !late.Stop() {
		return
	}
	defer conn.Close()
	w := &watcher{conn: conn, sleep: sleep}
	defer w.wake()
	defer w.release()
	for _, match := range []string{
		"type='signal',sender='" + name + "',interface='" + manager + "',member='PrepareForSleep'",
		"type='signal',sender='" + busName + "',member='NameOwnerChanged',arg0='" + name + "'",
	} {
		if err := w.call(ctx, busName, busPath, busName+".AddMatch", []any{match}); err != nil {
			return
		}
	}
	if w.call(ctx, busName, busPath, busName+".GetNameOwner", []any{name}, &w.owner) == nil {
		w.inhibit(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-conn.Context().Done():
			return
		case s := <-said:
			w.take(ctx, s)
		}
	}
}

// watcher is a connection to the bus.
type watcher struct {
	conn   *dbus.Conn
	sleep  func(bool)
	owner  string // unique name of logind, "" while there is none
	asleep bool
	lock   *os.File // the inhibitor; nil while none is held
}

// call calls a method with a deadline, starts no service for it, and stores what it returns.
func (w *watcher) call(ctx context.Context, dest string, at dbus.ObjectPath, method string, args []any, results ...any) error {
	ctx, cancel := context.WithTimeout(ctx, answerDeadline)
	defer cancel()
	return w.conn.Object(dest, at).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...).Store(results...)
}

// take follows a signal. Anybody on the bus can send one, so it counts only from the bus itself, and from logind.
func (w *watcher) take(ctx context.Context, s *dbus.Signal) {
	switch {
	case s.Name == busOwner && s.Sender == busName:
		var of, before, after string
		if dbus.Store(s.Body, &of, &before, &after) != nil || of != name {
			return
		}
		w.release()
		w.wake() // whoever took it to sleep cannot say any more that it woke up
		if w.owner = after; after != "" {
			w.inhibit(ctx)
		}
	case s.Name == prepare && s.Sender == w.owner && w.owner != "":
		var asleep bool
		if dbus.Store(s.Body, &asleep) != nil {
			return
		}
		if !asleep {
			w.inhibit(ctx)
			w.wake()
			return
		}
		if !w.asleep {
			w.asleep = true
			w.sleep(true)
		}
		w.release()
	}
}

// wake says that the machine is awake, if the last word was another.
func (w *watcher) wake() {
	if w.asleep {
		w.asleep = false
		w.sleep(false)
	}
}

// inhibit takes a delay inhibitor. Without one logind does not wait, which is no reason not to stop.
func (w *watcher) inhibit(ctx context.Context) {
	if w.lock != nil {
		return
	}
	var fd dbus.UnixFD
	if w.call(ctx, w.owner, path, manager+".Inhibit", []any{"sleep", "Scruple", "Sensors are switched off", "delay"}, &fd) == nil {
		w.lock = os.NewFile(uintptr(fd), "inhibitor")
	}
}

// release lets the machine sleep.
func (w *watcher) release() {
	if w.lock != nil {
		_ = w.lock.Close()
		w.lock = nil
	}
}

// signals keeps the last few that were received: a flood of them is neither memory nor goroutines nor descriptors.
type signals chan *dbus.Signal

// DeliverSignal implements dbus.SignalHandler.
func (c signals) DeliverSignal(_, _ string, s *dbus.Signal) {
	for _, v := range s.Body {
		if fd, ok := v.(dbus.UnixFD); ok {
			_ = os.NewFile(uintptr(fd), "unwanted").Close()
		}
	}
	if s.Name != prepare && s.Name != busOwner {
		return
	}
	for {
		select {
		case c <- s:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}
