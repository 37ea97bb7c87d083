package agent_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/sensors/sensortest"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
)

const (
	loginName = "org.freedesktop.login1"
	loginPath = dbus.ObjectPath("/org/freedesktop/login1")
)

// logind is one that puts the machine to sleep when it is told to. It hands out delay inhibitors.
type logind struct {
	t    *testing.T
	conn *dbus.Conn

	sent  sync.WaitGroup // inhibitors whose other end we still have
	mu    sync.Mutex
	locks []*os.File // our ends; a read ends when the other side is released
	asked []string
}

func newLogind(t *testing.T, address string) *logind {
	t.Helper()
	l := &logind{t: t}
	var err error
	if l.conn, err = dbus.Connect(address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.conn.Close() })
	if err := l.conn.ExportMethodTable(map[string]any{"Inhibit": l.inhibit}, loginPath, loginName+".Manager"); err != nil {
		t.Fatal(err)
	}
	l.own()
	return l
}

func (l *logind) own() {
	l.t.Helper()
	if r, err := l.conn.RequestName(loginName, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		l.t.Fatal(r, err)
	}
}

func (l *logind) inhibit(what, _, _, mode string) (dbus.UnixFD, *dbus.Error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.locks, l.asked = append(l.locks, ours), append(l.asked, what+" "+mode)
	l.t.Cleanup(func() { ours.Close() })
	fd := dbus.UnixFD(theirs.Fd())
	l.sent.Add(1)
	time.AfterFunc(100*time.Millisecond, func() { // after it was sent
		theirs.Close()
		l.sent.Done()
	})
	return fd, nil
}

// held returns how many inhibitors were ever taken.
func (l *logind) held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.locks)
}

// released waits until the last inhibitor is released.
func (l *logind) released() {
	l.t.Helper()
	l.mu.Lock()
	last := l.locks[len(l.locks)-1]
	l.mu.Unlock()
	if _, err := io.ReadAll(last); err != nil {
		l.t.Fatal(err)
	}
}

func (l *logind) prepare(asleep bool) {
	l.t.Helper()
	l.sent.Wait()
	if err := l.conn.Emit(loginPath, loginName+".Manager.PrepareForSleep", asleep); err != nil {
		l.t.Fatal(err)
	}
}

// gpsdDouble answers whoever watches with one position after the other, and counts who does.
func gpsdDouble(t *testing.T) (address string, watching *atomic.Int32) {
	t.Helper()
	watching = new(atomic.Int32)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			watching.Add(1)
			go func() {
				_, _ = io.Copy(io.Discard, c)
				watching.Add(-1)
				c.Close()
			}()
			go func() {
				for i := 0; ; i++ {
					if _, err := fmt.Fprintf(c, "{\"class\":\"TPV\",\"mode\":3,\"time\":%q,\"lat\":39.904,\"lon\":116.383,\"eph\":5}\n",
						time.Unix(1_790_000_000+int64(i), 0).UTC().Format(time.RFC3339)); err != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			}()
		}
	}()
	return l.Addr().String(), watching
}

// TestSleep: before the machine sleeps everything that senses is closed, and only then is logind's inhibitor released; no session
// opens any more. When it wakes up the background goes on, a session does not. A logind that goes away leaves nobody asleep.
func TestSleep(t *testing.T) {
	bus := sensortest.Bus(t, "no logind put the machine to sleep")
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
	gpsd, watching := gpsdDouble(t)
	h := &house{newDaemon(t), receivertest.New(t, receivertest.Options{})}
	m, err := sensortest.NewMachine(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	h.write("note", h.far.Note)
	h.configure(h.far.Key, fmt.Sprintf("upload:\n  slot: 24h\niio_dev: %q\ngpsd: %q\n", filepath.Join(h.dir, "dev"), gpsd))
	login := newLogind(t, bus)
	h.start()
	t.Cleanup(h.stop)
	eventually(t, "an inhibitor is held", func() bool { return login.held() == 1 })
	if login.asked[0] != "sleep delay" {
		t.Errorf("asked for %q", login.asked[0])
	}

	const steps, nearby = "steps/compare", "location/nearby"
	on := func() bool { return m.Attribute("iio:device0", "buffer/enable") == "1" }
	h.give(steps)
	h.give(nearby)
	eventually(t, "steps are counted", on)
	open := func() error {
		_, err := h.client.OpenSession(t.Context(), nearby, time.Minute)
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "positions are read", func() bool { return watching.Load() == 1 })

	// Somebody else says it: nothing follows, which is seen after the next word of logind's.
	stranger, err := dbus.Connect(bus)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for _, name := range h.names(login.conn) {
		msg := &dbus.Message{Type: dbus.TypeSignal, Body: []any{true}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(name), dbus.FieldPath: dbus.MakeVariant(loginPath),
			dbus.FieldInterface: dbus.MakeVariant(loginName + ".Manager"), dbus.FieldMember: dbus.MakeVariant("PrepareForSleep"),
			dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(true)),
		}}
		stranger.Send(msg, nil)
	}
	if wait(); !on() || watching.Load() != 1 {
		t.Error("a stranger on the bus put the machine to sleep")
	}

	login.prepare(true)
	login.released()
	if on() {
		t.Error("the accelerometer runs when the machine falls asleep")
	}
	if n := watching.Load(); n != 0 {
		eventually(t, "the positions' source sees its end", func() bool { return watching.Load() == 0 })
	}
	if err := open(); err == nil || control.ExitCode(err) != control.ExitRefused {
		t.Errorf("a session on a sleeping machine: %v", err)
	}
	if row := h.tuple(nearby); !row.Session.IsZero() || row.Reason != control.ReasonNoSession {
		t.Errorf("asleep: %q, session until %v", row.Reason, row.Session)
	}

	login.prepare(false)
	eventually(t, "steps are counted again", on)
	eventually(t, "another inhibitor is held", func() bool { return login.held() == 2 })
	if n := watching.Load(); n != 0 {
		t.Error("the session goes on after the sleep")
	}
	if err := open(); err != nil {
		t.Errorf("a session after the sleep: %v", err)
	}
	eventually(t, "positions are read again", func() bool { return watching.Load() == 1 })

	// It goes to sleep, and logind goes away.
	login.prepare(true)
	login.released()
	if _, err := login.conn.ReleaseName(loginName); err != nil {
		t.Fatal(err)
	}
	eventually(t, "steps are counted although nobody says that the machine woke up", on)
	login.own()
	eventually(t, "an inhibitor of the new one is held", func() bool { return login.held() == 3 })
}

// names returns the connections of a bus, aside from the bus itself and ours.
func (h *house) names(conn *dbus.Conn) (others []string) {
	h.t.Helper()
	var all []string
	if err := conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&all); err != nil {
		h.t.Fatal(err)
	}
	for _, n := range all {
		if strings.HasPrefix(n, ":") && n != conn.Names()[0] {
			others = append(others, n)
		}
	}
	return others
}
