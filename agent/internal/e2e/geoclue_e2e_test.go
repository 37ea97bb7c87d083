//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/scruple-agent/scruple/sensors/sensortest"
)

const (
	clueName    = "org.freedesktop.GeoClue2"
	clueManager = dbus.ObjectPath("/org/freedesktop/GeoClue2/Manager")
)

// clueConfig lets our agent in and leaves only the receiver behind a socket switched on: nothing asks the network.
const clueConfig = `[agent]
whitelist=scruple-test
[network-nmea]
enable=true
nmea-socket=%s
[3g]
enable=false
[cdma]
enable=false
[modem-gps]
enable=false
[wifi]
enable=false
submit-data=false
[compass]
enable=false
`

// geoclueRig has a real GeoClue on a bus of its own read an invented receiver, and the daemon ask the GeoClue.
func geoclueRig(t *testing.T) {
	clue := &geoclue{t: t, address: sensortest.Bus(t, "no GeoClue was spoken to"), program: need(t, "geoclue-2.0", "/usr/libexec/geoclue")}
	if os.Geteuid() != 0 {
		t.Skip("MISSING: root: a real GeoClue needs a mount namespace for its configuration")
	}
	clue.serve()
	bus := newMonitor(t, clue.address)
	h := newHouse(t, clue.address, nearby, "gpsd: \"\"\nlocation:\n  geoclue: true\n")
	clue.start()

	t.Run("only-cells-arrive", func(t *testing.T) {
		consent := h.give(nearby)
		h.use(t)
		if n := clue.listeners.Load(); n != 1 {
			t.Errorf("GeoClue has %d connections to the receiver", n)
		}
		h.cells(t, h.arrived(consent, cellFields...))
		if n := bus.count("Set"); n < 4 {
			t.Errorf("%d properties were set before the start", n)
		}
		must(t, h.app.CloseSession(t.Context(), nearby))
		eventually(t, "the session's end stops the receiver", func() bool { return clue.listeners.Load() == 0 })
		_, err := h.person.Withdraw(t.Context(), nearby, false)
		must(t, err)
	})
	t.Run("withdrawal", func(t *testing.T) {
		var stopped, freed []time.Duration
		for range 5 {
			h.give(nearby)
			h.use(t)
			start, answered := time.Now(), make(chan error, 1)
			go func() {
				_, err := h.person.Withdraw(t.Context(), nearby, false)
				answered <- err
			}()
			stop, last := bus.next(t, "Stop", start), bus.next(t, "DeleteClient", start)
			if took := max(stop, last); took > promptly && len(answered) > 0 {
				t.Errorf("the client was deleted %v after the withdrawal, the promise is %v", took, promptly)
			}
			for clue.listeners.Load() != 0 {
				if time.Since(start) > 30*time.Second {
					t.Fatal("GeoClue still reads the receiver")
				}
				time.Sleep(time.Millisecond)
			}
			stopped, freed = append(stopped, max(stop, last).Round(100*time.Microsecond)), append(freed, time.Since(start).Round(time.Millisecond))
			must(t, <-answered)
		}
		t.Logf("Stop and DeleteClient on the bus after %v; GeoClue closed the receiver after %v", stopped, freed)
	})
	t.Run("restart", func(t *testing.T) {
		h.give(nearby)
		h.use(t)
		clue.kill()
		var en, zh string
		eventually(t, "the loss is in status", func() bool {
			en, zh = h.says(nearby)
			return h.row(nearby).Reason != ""
		})
		t.Logf("%s\n%s", en, zh)
		if !strings.Contains(en, "GeoClue") || !strings.Contains(zh, "GeoClue") {
			t.Error("status does not name it")
		}
		clue.start()
		took := eventually(t, "status is clear again", func() bool { r := h.row(nearby); return r.Collecting && r.Source.Present })
		t.Logf("read again %v after the restart", took)
		must(t, h.app.CloseSession(t.Context(), nearby))
	})
}

// geoclue is the real service with an invented receiver behind it.
type geoclue struct {
	t                *testing.T
	address, program string
	dir              string
	listeners        atomic.Int32
	cmd              *exec.Cmd
	agent            *dbus.Conn
}

// serve is the receiver: a socket that speaks NMEA to whoever connects.
func (g *geoclue) serve() {
	g.t.Helper()
	dir, err := os.MkdirTemp("", "clue-")
	must(g.t, err)
	g.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(g.t, os.Chmod(dir, 0o755))
	g.dir = dir
	socket := filepath.Join(dir, "nmea")
	must(g.t, os.WriteFile(filepath.Join(dir, "geoclue.conf"), fmt.Appendf(nil, clueConfig, socket), 0o644))
	l, err := net.Listen("unix", socket)
	must(g.t, err)
	g.t.Cleanup(func() { l.Close() })
	must(g.t, os.Chmod(socket, 0o777))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.listeners.Add(1)
			go func() {
				_, _ = io.Copy(io.Discard, c) // until GeoClue closes it
				g.listeners.Add(-1)
				c.Close()
			}()
			go func() {
				for line := range bytes.SplitAfterSeq(satellites(), []byte("\n")) {
					if _, err := c.Write(line); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			}()
		}
	}()
}

// start starts the service, with the agent without which it answers nobody.
func (g *geoclue) start() {
	g.t.Helper()
	g.cmd = exec.Command("unshare", "-m", "sh", "-c", "mount --bind \"$1\" /etc/geoclue && exec \"$2\"", "sh", g.dir, g.program)
	g.cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+g.address)
	must(g.t, g.cmd.Start())
	g.t.Cleanup(g.kill)
	conn, err := dbus.Connect(g.address)
	must(g.t, err)
	g.agent = conn
	const path, iface = dbus.ObjectPath("/org/freedesktop/GeoClue2/Agent"), clueName + ".Agent"
	must(g.t, conn.ExportMethodTable(map[string]any{
		"AuthorizeApp": func(_ string, level uint32) (bool, uint32, *dbus.Error) { return true, level, nil },
	}, path, iface))
	must(g.t, conn.ExportMethodTable(map[string]any{
		"Get": func(_, _ string) (dbus.Variant, *dbus.Error) { return dbus.MakeVariant(uint32(8)), nil },
		"GetAll": func(string) (map[string]dbus.Variant, *dbus.Error) {
			return map[string]dbus.Variant{"MaxAccuracyLevel": dbus.MakeVariant(uint32(8))}, nil
		},
	}, path, "org.freedesktop.DBus.Properties"))
	eventually(g.t, "GeoClue takes an agent", func() bool {
		ctx, cancel := context.WithTimeout(g.t.Context(), time.Second)
		defer cancel()
		return conn.Object(clueName, clueManager).CallWithContext(ctx, clueName+".Manager.AddAgent", 0, "scruple-test").Err == nil
	})
}

func (g *geoclue) kill() {
	if g.cmd != nil {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		g.agent.Close()
		g.cmd = nil
	}
}

// monitor sees every call on a bus.
type monitor struct {
	mu    sync.Mutex
	calls []call
}

// call is a method call that somebody made.
type call struct {
	at           time.Time
	from, to, do string
}

func newMonitor(t *testing.T, address string) *monitor {
	t.Helper()
	conn, err := dbus.Connect(address)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, []string{"type='method_call'"}, uint32(0)).Err)
	seen, m := make(chan *dbus.Message, 4096), &monitor{}
	conn.Eavesdrop(seen)
	go func() {
		for msg := range seen {
			field := func(f dbus.HeaderField) string { s, _ := msg.Headers[f].Value().(string); return s }
			m.mu.Lock()
			m.calls = append(m.calls, call{time.Now(), field(dbus.FieldSender), field(dbus.FieldDestination), field(dbus.FieldMember)})
			m.mu.Unlock()
		}
	}()
	return m
}

// all returns what was called so far.
func (m *monitor) all() []call {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls)
}

// count returns how often a method was called.
func (m *monitor) count(method string) (n int) {
	for _, c := range m.all() {
		if c.do == method {
			n++
		}
	}
	return n
}

// next waits for a call of a method after a time, and returns how long after.
func (m *monitor) next(t *testing.T, method string, after time.Time) (took time.Duration) {
	t.Helper()
	eventually(t, method+" is called", func() bool {
		for _, c := range m.all() {
			if c.do == method && c.at.After(after) {
				took = c.at.Sub(after)
				return true
			}
		}
		return false
	})
	return took
}
