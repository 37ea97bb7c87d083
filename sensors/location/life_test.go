package location_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/location"
)

// script is a gpsd, connection by connection: what the nth one does. Where there is none left, nobody listens.
type script struct {
	connections []func(net.Conn)
	dials       []time.Time
}

func (s *script) dial(context.Context) (net.Conn, error) {
	n := len(s.dials)
	s.dials = append(s.dials, time.Now())
	if n >= len(s.connections) || s.connections[n] == nil {
		return nil, errors.New("nobody listens")
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		if b := make([]byte, 256); true {
			if _, err := server.Read(b); err != nil {
				return
			}
		}
		s.connections[n](server)
	}()
	return client, nil
}

// say writes the lines and closes.
func say(lines ...string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, strings.Join(lines, "")) }
}

// sayAndStay writes the lines and waits to be closed.
func sayAndStay(lines ...string) func(net.Conn) {
	return func(c net.Conn) {
		say(lines...)(c)
		stay(c)
	}
}

// live runs a test in fake time with a use session of ten minutes.
func live(t *testing.T, connections []func(net.Conn), every time.Duration, test func(*testing.T, *location.Source, *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{connections: connections}
		p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
		source, err := location.OpenDial(t.Context(), p, s.dial, every)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		test(t, source, s)
	})
}

func TestReconnects(t *testing.T) {
	live(t, []func(net.Conn){say(tpv(1, 1, 1)), nil, nil, say(), sayAndStay(tpv(2, 2, 2))}, 0,
		func(t *testing.T, s *location.Source, _ *script) {
			start := time.Now()
			for want := 1.0; want <= 2; want++ {
				fix, err := s.Read(t.Context())
				if err != nil || fix.Lat != want {
					t.Fatalf("fix %v: %v", want, err)
				}
			}
			if waited := time.Since(start); waited < 15*time.Second || waited > 19*time.Second {
				t.Errorf("four waits took %v, want 1+2+4+8 s and up to a quarter more", waited)
			}
			if err := s.Problem(); err != nil {
				t.Errorf("there is still a problem: %v", err)
			}
		})
}

// TestDeadGPSDIsNotAskedHot: for a whole session nobody listens any more.
func TestDeadGPSDIsNotAskedHot(t *testing.T) {
	live(t, []func(net.Conn){say(hello)}, 0, func(t *testing.T, s *location.Source, gpsd *script) {
		_, err := s.Read(t.Context())
		if !errors.Is(err, consent.ErrNotInForce) {
			t.Errorf("got %v, want the end of the session", err)
		}
		if n := len(gpsd.dials); n < 10 || n > 18 {
			t.Errorf("%d connections in ten minutes", n)
		}
		if err := s.Problem(); !errors.Is(err, sensors.ErrAbsent) {
			t.Errorf("status would say: %v", err)
		}
	})
}

// drip writes a line that never ends, a byte at a time.
func drip(c net.Conn) {
	for {
		if _, err := c.Write([]byte("{")); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// flood writes bytes without an end of line.
func flood(c net.Conn) {
	for {
		if _, err := c.Write([]byte(strings.Repeat("canary", 1000))); err != nil {
			return
		}
	}
}

// TestBadGPSD: whatever it does, status says so, nothing is shown of what it said, and a good connection later is used.
func TestBadGPSD(t *testing.T) {
	for name, tc := range map[string]struct {
		bad  func(net.Conn)
		want error
	}{
		"closes":         {say(hello), sensors.ErrAbsent},
		"silent":         {sayAndStay(hello), location.ErrSilent},
		"silent at once": {stay, location.ErrSilent},
		"drips":          {drip, location.ErrSilent},
		"nonsense":       {sayAndStay(strings.Repeat("nonsense canary\n", 1000)), location.ErrProtocol},
		"binary":         {sayAndStay(strings.Repeat("\x00\xff\n", 1000)), location.ErrProtocol},
		"endless line":   {flood, location.ErrProtocol},
		"off the map":    {sayAndStay(strings.Repeat(tpv(1, 91, 181), 100)), location.ErrProtocol},
		"half a line":    {say(tpv(1, 5, 5)[:40]), sensors.ErrAbsent},
	} {
		live(t, []func(net.Conn){tc.bad, sayAndStay(tpv(9, 3, 3))}, 0, func(t *testing.T, s *location.Source, _ *script) {
			for range 200 {
				if synctest.Wait(); s.Problem() != nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if err := s.Problem(); !errors.Is(err, tc.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: status would say %v, want %v", name, err, tc.want)
			}
			if fix, err := s.Read(t.Context()); err != nil || fix.Lat != 3 {
				t.Errorf("%s: after it: %v", name, err)
			}
		})
	}
}

func TestHugeLineIsSkipped(t *testing.T) {
	huge := `{"class":"SKY","x":"` + strings.Repeat("x", 500_000) + "\"}\n"
	live(t, []func(net.Conn){sayAndStay(huge, tpv(1, 1, 1), huge, tpv(2, 2, 2))}, 0, func(t *testing.T, s *location.Source, _ *script) {
		for want := 1.0; want <= 2; want++ {
			if fix, err := s.Read(t.Context()); err != nil || fix.Lat != want {
				t.Fatalf("fix %v: %v", want, err)
			}
		}
	})
}

// TestRateLimit: a receiver of 10 Hz.
func TestRateLimit(t *testing.T) {
	fast := func(c net.Conn) {
		for i := range 600 {
			when := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).Add(time.Duration(i) * 100 * time.Millisecond)
			line := fmt.Sprintf(`{"class":"TPV","mode":3,"time":%q,"lat":1,"lon":1}`+"\n", when.Format(time.RFC3339Nano))
			if _, err := io.WriteString(c, line); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		stay(c)
	}
	live(t, []func(net.Conn){fast}, location.Every, func(t *testing.T, s *location.Source, _ *script) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n := 0
		for ; ; n++ {
			if _, err := s.Read(ctx); err != nil {
				break
			}
		}
		if n != 12 {
			t.Errorf("%d fixes in a minute, want 12", n)
		}
	})
}

// TestTimeGoingBackwards is refused, unless it goes on long enough for the time before to have been the wrong one.
func TestTimeGoingBackwards(t *testing.T) {
	future := strings.Replace(tpv(59, 9, 9), "2026", "2098", 1)
	read := func(t *testing.T, s *location.Source) (lats []float64) {
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			fix, err := s.Read(ctx)
			cancel()
			if err != nil {
				return lats
			}
			lats = append(lats, fix.Lat)
		}
	}
	for name, tc := range map[string]struct {
		lines []string
		want  string
	}{
		"one from the past":        {[]string{tpv(10, 1, 1), tpv(5, 2, 2), tpv(11, 3, 3)}, "[1 3]"},
		"repeated":                 {[]string{tpv(10, 1, 1), tpv(10, 2, 2), tpv(10, 3, 3)}, "[1]"},
		"two receivers":            {[]string{tpv(10, 1, 1), tpv(8, 2, 2), tpv(11, 3, 3), tpv(9, 4, 4), tpv(12, 5, 5)}, "[1 3 5]"},
		"a past epoch, repeated":   {append([]string{tpv(10, 1, 1)}, strings.Repeat(tpv(5, 2, 2), 50)), "[1]"},
		"ever further in the past": {[]string{tpv(50, 1, 1), tpv(40, 2, 2), tpv(30, 3, 3), tpv(20, 4, 4)}, "[1]"},
	} {
		live(t, []func(net.Conn){sayAndStay(tc.lines...)}, 0, func(t *testing.T, s *location.Source, _ *script) {
			if got := fmt.Sprint(read(t, s)); got != tc.want {
				t.Errorf("%s: got %s, want %s", name, got, tc.want)
			}
		})
	}
	lines := []string{future}
	for i := range 20 {
		lines = append(lines, tpv(i, float64(10+i), 1))
	}
	live(t, []func(net.Conn){sayAndStay(lines...)}, 0, func(t *testing.T, s *location.Source, _ *script) {
		if got := fmt.Sprint(read(t, s)); got != "[9 25 26 27 28 29]" {
			t.Errorf("after a wild epoch: got %s", got)
		}
	})
}

// TestNobodyReads: a reader that stops asking holds nothing up at the end of the session.
func TestNobodyReads(t *testing.T) {
	live(t, []func(net.Conn){sayAndStay(tpv(1, 1, 1), tpv(2, 2, 2), tpv(3, 3, 3))}, 0, func(t *testing.T, s *location.Source, _ *script) {
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if _, err := s.Read(context.Background()); !errors.Is(err, consent.ErrNotInForce) {
			t.Errorf("a fix of a session that is over: %v", err)
		}
	})
}
