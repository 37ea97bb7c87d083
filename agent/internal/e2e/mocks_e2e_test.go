//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/scruple-agent/scruple/sensors/sensortest"
)

const (
	loginName = "org.freedesktop.login1"
	manager   = "org.freedesktop.NetworkManager"
)

// mocksRig has a logind and a NetworkManager on a bus of their own, as python-dbusmock plays them.
func mocksRig(t *testing.T) {
	address := sensortest.Bus(t, "neither logind nor NetworkManager was there")
	python := need(t, "python3-dbusmock", "/usr/bin/python3")
	if exec.Command(python, "-c", "import dbusmock").Run() != nil {
		t.Skip("MISSING: dbusmock (Debian package python3-dbusmock)")
	}
	bus := newMonitor(t, address)
	conn, err := dbus.Connect(address)
	must(t, err)
	defer conn.Close()
	login := mock(t, conn, python, address, "logind", loginName, "/org/freedesktop/login1")
	mock(t, conn, python, address, "networkmanager", manager, "/org/freedesktop/NetworkManager")
	port := freePort(t)
	proxy := newTap(t, "127.0.0.1:"+port)
	defer startGPSD(t, satellites(), port)()
	h := newHouse(t, address, nearby, fmt.Sprintf("gpsd: %q\n", proxy.address))
	inhibitors := func() (held int) {
		var list [][]any
		must(t, login.Call(loginName+".Manager.ListInhibitors", 0).Store(&list))
		for _, i := range list {
			if i[0] == "sleep" && i[3] == "delay" {
				held++
			}
		}
		return held
	}
	sleep := func(asleep bool) {
		must(t, login.Call("org.freedesktop.DBus.Mock.EmitSignal", 0, loginName+".Manager", "PrepareForSleep", "b", []dbus.Variant{dbus.MakeVariant(asleep)}).Err)
	}

	t.Run("sleep", func(t *testing.T) {
		eventually(t, "an inhibitor is held", func() bool { return inhibitors() == 1 })
		h.give(nearby)
		for range 3 {
			h.watch(t, proxy)
			proxy.forget()
			sleep(true)
			eventually(t, "the inhibitor is released", func() bool { return inhibitors() == 0 })
			eventually(t, "the connection to gpsd is closed", func() bool { return len(proxy.closed) == 1 })
			if _, err := h.app.OpenSession(t.Context(), nearby, time.Minute); err == nil {
				t.Error("a session opened on a machine that sleeps")
			}
			sleep(false)
			eventually(t, "an inhibitor is held again", func() bool { return inhibitors() == 1 })
			eventually(t, "sessions open again", func() bool { _, err := h.app.OpenSession(t.Context(), nearby, time.Minute); return err == nil })
			must(t, h.app.CloseSession(t.Context(), nearby))
		}
	})
	t.Run("network-type-without-NetworkManager", func(t *testing.T) {
		consent := h.give("device/service")
		eventually(t, "the device is told", func() bool { return len(h.far.Stored(t, consent)) > 0 })
		for _, b := range h.far.Stored(t, consent) {
			for _, it := range b.Batch.Items {
				kind, _ := it.Fields["network"].(string)
				if !slices.Contains([]string{"wifi", "ethernet", "cellular", "virtual", "unknown", "none"}, kind) {
					t.Errorf("network %q", kind)
				}
				t.Logf("network %q", kind)
			}
		}
		var owner string
		must(t, conn.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, manager).Store(&owner))
		heard := 0
		for _, c := range bus.all() {
			if c.from == conn.Names()[0] {
				continue
			}
			heard++
			if c.to == manager || c.to == owner {
				t.Errorf("NetworkManager was asked %s", c.do)
			}
		}
		t.Logf("%d calls of others on the bus, none to NetworkManager", heard)
	})
}

// mock starts a mock of a service and waits until it is on the bus.
func mock(t *testing.T, conn *dbus.Conn, python, address, template, name string, path dbus.ObjectPath) dbus.BusObject {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), template))
	must(t, err)
	defer log.Close()
	cmd := exec.Command(python, "-m", "dbusmock", "--system", "--template", template)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+address)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, template+" is on the bus", func() bool {
		return conn.Object(name, path).Call("org.freedesktop.DBus.Peer.Ping", dbus.FlagNoAutoStart).Err == nil
	})
	return conn.Object(name, path)
}
