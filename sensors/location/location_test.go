package location_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/location"
)

// gpsd serves one connection with the given lines and then does what end says.
func gpsd(t *testing.T, lines string, end func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		watch, _ := bufio.NewReader(c).ReadString('\n')
		if !strings.HasPrefix(watch, "?WATCH=") {
			t.Errorf("the client did not ask to watch")
		}
		_, _ = io.WriteString(c, lines)
		if end != nil {
			end(c)
		}
	}()
	return l.Addr().String()
}

// stay keeps the connection open until the client closes it.
func stay(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func tpv(second int, lat, lon float64) string {
	return fmt.Sprintf(`{"class":"TPV","mode":3,"time":"2026-11-23T10:00:%02d.000Z","lat":%f,"lon":%f,"eph":4.5}`+"\n", second, lat, lon)
}

const hello = `{"class":"VERSION","release":"3.22","proto_major":3}` + "\n" + `{"class":"SKY","satellites":[]}` + "\n" + `{"class":"TPV","mode":1}` + "\n"

func TestRead(t *testing.T) {
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	addr := gpsd(t, hello+tpv(1, 39.9, 116.4)+tpv(1, 39.9, 116.4)+"not json\n"+tpv(2, 39.91, 116.41), stay)
	s, err := location.Open(t.Context(), p, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, lat := range []float64{39.9, 39.91} {
		fix, err := s.Read(t.Context())
		if err != nil || fix.Lat != lat || fix.Accuracy != 4.5 {
			t.Errorf("fix %d: wrong, %v", i, err)
		}
	}
}

func TestZeroPermitConnectsNowhere(t *testing.T) {
	if _, err := location.Open(t.Context(), consent.Permit{}, "127.0.0.1:1"); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("got %v, want ErrNoPermit", err)
	}
}

// TestBadGPSD: a gpsd that is not there, goes away, or talks nonsense.
func TestBadGPSD(t *testing.T) {
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	if _, err := location.Open(t.Context(), p, "127.0.0.1:1"); !errors.Is(err, sensors.ErrAbsent) {
		t.Errorf("nobody listens: got %v, want absent", err)
	}
	for name, tc := range map[string]struct {
		lines string
		end   func(net.Conn)
		want  error
	}{
		"closes":       {hello, nil, sensors.ErrAbsent},
		"nonsense":     {strings.Repeat("nonsense canary\n", 1000), stay, location.ErrProtocol},
		"binary":       {strings.Repeat("\x00\xff\n", 1000), stay, location.ErrProtocol},
		"endless line": {strings.Repeat("canary", 100_000), stay, location.ErrProtocol},
		"off the map":  {strings.Repeat(tpv(1, 91, 181), 100), stay, location.ErrProtocol},
	} {
		s, err := location.Open(t.Context(), p, gpsd(t, tc.lines, tc.end))
		if err == nil {
			_, err = s.Read(t.Context())
			s.Close()
		}
		if !errors.Is(err, tc.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

// TestEndOfSessionEndsABlockedRead closes a read that waits for a silent gpsd.
func TestEndOfSessionEndsABlockedRead(t *testing.T) {
	doc := consenttest.Document(t)
	reg, tuple := consenttest.New(t, doc), consenttest.Tuple(t, doc, "location", "nearby")
	consenttest.Give(t, reg, tuple)
	for name, end := range map[string]func(*consent.Session){
		"session closed": (*consent.Session).Close,
		"withdrawn":      func(*consent.Session) { _ = reg.Withdraw(tuple, false, consenttest.Person) },
	} {
		if reg.State(tuple).Status != consent.Given {
			consenttest.Give(t, reg, tuple)
		}
		session, err := reg.OpenSession(tuple, 0, consenttest.App)
		if err != nil {
			t.Fatal(err)
		}
		s, err := location.Open(t.Context(), session.Permit(), gpsd(t, hello, stay))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := s.Read(context.Background())
			done <- err
		}()
		time.Sleep(10 * time.Millisecond)
		end(session)
		if err := <-done; !errors.Is(err, consent.ErrNotInForce) {
			t.Errorf("%s: got %v, want a reason why it is not in force", name, err)
		}
		s.Close()
	}
}

// nmea is an invented receiver's output: a fix near 39.9 N, 116.4 E, moving a little, one second apart.
func nmea() []byte {
	var b bytes.Buffer
	for i := range 30 {
		for _, body := range []string{
			fmt.Sprintf("GPGGA,1000%02d.00,3954.%04d,N,11623.0000,E,1,08,0.9,45.0,M,0.0,M,,", i, 2500+i),
			"GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.5,0.9,1.2",
			fmt.Sprintf("GPRMC,1000%02d.00,A,3954.%04d,N,11623.0000,E,0.5,0.0,231126,,,A", i, 2500+i),
		} {
			sum := byte(0)
			for _, c := range []byte(body) {
				sum ^= c
			}
			fmt.Fprintf(&b, "$%s*%02X\r\n", body, sum)
		}
	}
	return b.Bytes()
}

// TestRealGPSD feeds a real gpsd over TCP and reads positions from it.
func TestRealGPSD(t *testing.T) {
	path, err := exec.LookPath("gpsd")
	if err != nil {
		if _, err = os.Stat("/usr/sbin/gpsd"); err != nil {
			t.Skip("MISSING: gpsd (Debian package gpsd): location was not read from a real one")
		}
		path = "/usr/sbin/gpsd"
	}
	feed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	go func() {
		c, err := feed.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for _, line := range bytes.SplitAfter(nmea(), []byte("\n")) {
			if _, err := c.Write(line); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		stay(c)
	}()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	cmd := exec.Command(path, "-N", "-n", "-S", port, "tcp://"+feed.Addr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var s *location.Source
	for s == nil {
		if s, err = location.Open(ctx, p, "127.0.0.1:"+port); err != nil {
			if ctx.Err() != nil {
				t.Fatal("gpsd did not start to listen")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	defer s.Close()
	var last time.Time
	for i := range 5 {
		fix, err := s.Read(ctx)
		if err != nil {
			t.Fatalf("fix %d: %v", i, err)
		}
		if fix.Lat < 39.90 || fix.Lat > 39.91 || fix.Lon < 116.38 || fix.Lon > 116.39 {
			t.Errorf("fix %d is elsewhere", i)
		}
		if !fix.Time.After(last) {
			t.Errorf("fix %d repeats an epoch", i)
		}
		last = fix.Time
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(tpv(1, 39.9, 116.4)))
	f.Add([]byte(hello))
	f.Add([]byte(`{"class":"TPV","mode":3,"lat":1e999,"lon":0}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		fix, kind := location.Parse(line)
		if kind == location.Position && (fix.Lat < -90 || fix.Lat > 90 || fix.Lon < -180 || fix.Lon > 180 || fix.Time.IsZero()) {
			t.Error("a position that is none")
		}
	})
}
