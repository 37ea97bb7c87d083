package location_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/location"
)

// pty returns the receiver's end of a pseudo terminal and the path of the other.
func pty(t *testing.T) (*os.File, string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("MISSING: pseudo terminals: no serial receiver was read (%v)", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("/dev/pts/%d", n)
}

// settings returns the terminal's settings.
func settings(t *testing.T, master *os.File) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

func TestSerial(t *testing.T) {
	receiver, path := pty(t)
	before := settings(t, receiver)
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	s, err := location.OpenEvery(t.Context(), p, location.Sources{GPSD: "127.0.0.1:1", Serial: path + ",9600"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := settings(t, receiver); got.Lflag != 0 || got.Cflag&unix.CBAUD != unix.B9600 {
		t.Error("the line is not raw, or not as fast as it was to be")
	}
	garbage := "\xb5\x62\x01\x07half a sentence*00\r\n" + strings.Repeat("x", 2000) + "\n"
	for _, text := range []string{garbage, sentence(gga), sentence(gsa), sentence(rmc), sentence(gga), garbage, sentence(strings.Replace(rmc, "100000.00", "100001.00", 1))} {
		if _, err := receiver.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		fix, err := s.Read(t.Context())
		if err != nil || fix.Time.Second() != i || fix.Accuracy != 9 || fix.Lat < 39.9 || fix.Lat > 39.91 {
			t.Errorf("fix %d: wrong, %v", i, err)
		}
	}
	if s.Name() != "serial receiver" {
		t.Errorf("it is called %q", s.Name())
	}
	s.Close()
	if settings(t, receiver) != before {
		t.Error("the line did not get its settings back")
	}
}

// TestSerialEndsWithTheSession ends a read of a mute line.
func TestSerialEndsWithTheSession(t *testing.T) {
	_, path := pty(t)
	doc := consenttest.Document(t)
	reg, tuple := consenttest.New(t, doc), consenttest.Tuple(t, doc, "location", "nearby")
	consenttest.Give(t, reg, tuple)
	session, err := reg.OpenSession(tuple, 0, consenttest.App)
	if err != nil {
		t.Fatal(err)
	}
	s, err := location.Open(t.Context(), session.Permit(), location.Sources{Serial: path})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { _ = reg.Withdraw(tuple, false, consenttest.Person) })
	if _, err := s.Read(context.Background()); !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("got %v, want a reason why it is not in force", err)
	}
	s.Close()
	if n := opened(t, path); n != 0 {
		t.Errorf("the line is open %d times after the withdrawal", n)
	}
}

// opened counts the descriptors of this process that are on a path.
func opened(t *testing.T, path string) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == path {
			n++
		}
	}
	return n
}

// TestSerialUnplugged: the receiver goes away, and status says so.
func TestSerialUnplugged(t *testing.T) {
	receiver, path := pty(t)
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	s, err := location.Open(t.Context(), p, location.Sources{Serial: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	receiver.Close()
	for s.Problem() == nil {
		time.Sleep(time.Millisecond)
	}
	if !errors.Is(s.Problem(), sensors.ErrAbsent) {
		t.Errorf("status would say %v", s.Problem())
	}
}

func TestNotASerialLine(t *testing.T) {
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	file := filepath.Join(t.TempDir(), "canary")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{file, t.TempDir(), "/dev/null", "/dev/null,9601", "/dev/null,"} {
		s, err := location.Open(t.Context(), p, location.Sources{Serial: device})
		if err == nil {
			s.Close()
			t.Errorf("%s was opened", device)
		} else if errors.Is(err, sensors.ErrAbsent) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", device, err)
		}
	}
}
