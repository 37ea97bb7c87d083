//go:build e2e && linux

package location_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors/location"
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

// TestRealGeoClue runs a real GeoClue on a private bus, with a configuration of its own in a mount namespace of its own and an
// invented receiver behind it. The session's end stops it: it closes the receiver.
func TestRealGeoClue(t *testing.T) {
	const program = "/usr/libexec/geoclue"
	if _, err := os.Stat(program); err != nil {
		t.Skip("MISSING: GeoClue 2 (Debian package geoclue-2.0): location was not read from a real one")
	}
	if os.Geteuid() != 0 {
		t.Skip("MISSING: root: a real GeoClue needs a mount namespace for its configuration")
	}
	address := bus(t)
	dir := t.TempDir()
	socket := filepath.Join(dir, "nmea")
	if err := os.WriteFile(filepath.Join(dir, "geoclue.conf"), fmt.Appendf(nil, clueConfig, socket), 0o644); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		_ = os.Chmod(d, 0o755)
	}
	receiver, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	_ = os.Chmod(socket, 0o777)
	var listeners atomic.Int32
	go func() {
		for {
			c, err := receiver.Accept()
			if err != nil {
				return
			}
			listeners.Add(1)
			go func() {
				defer listeners.Add(-1)
				defer c.Close()
				gone := make(chan struct{})
				go func() { stay(c); close(gone) }()
				for {
					for line := range bytes.SplitAfterSeq(nmea(), []byte("\n")) {
						if _, err := c.Write(line); err != nil {
							return
						}
						select {
						case <-gone:
							return
						case <-time.After(20 * time.Millisecond):
						}
					}
				}
			}()
		}
	}()

	cmd := exec.Command("unshare", "-m", "sh", "-c", "mount --bind \"$1\" /etc/geoclue && exec \"$2\"", "sh", dir, program)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+address)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s", said.Bytes())
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	letIn(t, ctx, address)

	doc := consenttest.Document(t)
	reg, tuple := consenttest.New(t, doc), consenttest.Tuple(t, doc, "location", "nearby")
	consenttest.Give(t, reg, tuple)
	session, err := reg.OpenSession(tuple, 0, consenttest.App)
	if err != nil {
		t.Fatal(err)
	}
	s := openSoon(t, ctx, func() (*location.Source, error) { return location.OpenClue(ctx, session.Permit(), address, 0) })
	for i := range 3 {
		fix, err := s.Read(ctx)
		if err != nil {
			t.Fatalf("fix %d: %v (%v)", i, err, s.Problem())
		}
		if fix.Lat < 39.90 || fix.Lat > 39.91 || fix.Lon < 116.38 || fix.Lon > 116.39 {
			t.Errorf("fix %d is elsewhere", i)
		}
	}
	if listeners.Load() != 1 {
		t.Errorf("%d connections to the receiver during the session", listeners.Load())
	}
	start := time.Now()
	if err := reg.Withdraw(tuple, false, consenttest.Person); err != nil {
		t.Fatal(err)
	}
	for listeners.Load() != 0 {
		if time.Since(start) > 10*time.Second {
			t.Fatal("GeoClue still reads the receiver after the withdrawal")
		}
		time.Sleep(time.Millisecond)
	}
	t.Logf("GeoClue closed the receiver %v after the withdrawal", time.Since(start).Round(time.Millisecond))
}

// letIn is the agent without which GeoClue answers nobody: it agrees to everything.
func letIn(t *testing.T, ctx context.Context, address string) {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	const path, iface = dbus.ObjectPath("/org/freedesktop/GeoClue2/Agent"), "org.freedesktop.GeoClue2.Agent"
	if err := conn.ExportMethodTable(map[string]any{
		"AuthorizeApp": func(_ string, level uint32) (bool, uint32, *dbus.Error) { return true, level, nil },
	}, path, iface); err != nil {
		t.Fatal(err)
	}
	if err := conn.ExportMethodTable(map[string]any{
		"Get": func(_, _ string) (dbus.Variant, *dbus.Error) { return dbus.MakeVariant(uint32(8)), nil },
		"GetAll": func(string) (map[string]dbus.Variant, *dbus.Error) {
			return map[string]dbus.Variant{"MaxAccuracyLevel": dbus.MakeVariant(uint32(8))}, nil
		},
	}, path, "org.freedesktop.DBus.Properties"); err != nil {
		t.Fatal(err)
	}
	for {
		call, cancel := context.WithTimeout(ctx, time.Second)
		err := conn.Object("org.freedesktop.GeoClue2", "/org/freedesktop/GeoClue2/Manager").CallWithContext(call,
			"org.freedesktop.GeoClue2.Manager.AddAgent", 0, "scruple-test").Err
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("GeoClue took no agent: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
