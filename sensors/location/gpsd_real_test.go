package location_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/location"
)

// sentence frames a sentence.
func sentence(body string) string {
	sum := byte(0)
	for _, c := range []byte(body) {
		sum ^= c
	}
	return fmt.Sprintf("$%s*%02X\r\n", body, sum)
}

// nmea is an invented receiver's output: a fix near 39.9 N, 116.4 E, moving a little, one second apart.
func nmea() []byte {
	var b bytes.Buffer
	for i := range 60 {
		for _, body := range []string{
			fmt.Sprintf("GPGGA,1000%02d.00,3954.%04d,N,11623.0000,E,1,08,0.9,45.0,M,0.0,M,,", i, 2500+i),
			"GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.5,0.9,1.2",
			fmt.Sprintf("GPRMC,1000%02d.00,A,3954.%04d,N,11623.0000,E,0.5,0.0,231126,,,A", i, 2500+i),
		} {
			b.WriteString(sentence(body))
		}
	}
	return b.Bytes()
}

// free returns a port where nobody listens.
func free(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(15000 + rand.IntN(15000)) // below those that the system gives to whoever asks for any
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// feedOf serves a receiver's output over TCP to one client after the other, a line at a time.
func feedOf(t *testing.T, log []byte, pause time.Duration, end func(net.Conn)) string {
	t.Helper()
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
			go func() {
				defer c.Close()
				for line := range bytes.SplitAfterSeq(log, []byte("\n")) {
					if _, err := c.Write(line); err != nil {
						return
					}
					time.Sleep(pause)
				}
				end(c)
			}()
		}
	}()
	return l.Addr().String()
}

// startGPSD starts a real gpsd that reads from feed; the function ends it.
func startGPSD(t *testing.T, feed, port string) func() {
	t.Helper()
	path, err := exec.LookPath("gpsd")
	if err != nil {
		if _, err = os.Stat("/usr/sbin/gpsd"); err != nil {
			t.Skip("MISSING: gpsd (Debian package gpsd): location was not read from a real one")
		}
		path = "/usr/sbin/gpsd"
	}
	cmd := exec.Command(path, "-N", "-S", port, "tcp://"+feed) // it opens the feed when somebody watches
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
}

// openSoon opens the source as soon as it is there.
func openSoon(t *testing.T, ctx context.Context, open func() (*location.Source, error)) *location.Source {
	t.Helper()
	for {
		s, err := open()
		if err == nil {
			return s
		}
		if !errors.Is(err, sensors.ErrAbsent) || ctx.Err() != nil {
			t.Fatalf("it did not start: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestRealGPSD feeds a real gpsd over TCP and reads positions from it; the gpsd is ended in between and started again.
func TestRealGPSD(t *testing.T) {
	port := free(t)
	feed := feedOf(t, nmea(), 5*time.Millisecond, stay)
	stop := startGPSD(t, feed, port)
	defer func() { stop() }()
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s := openSoon(t, ctx, func() (*location.Source, error) {
		return location.OpenEvery(ctx, p, location.Sources{GPSD: "127.0.0.1:" + port}, 0)
	})
	defer s.Close()
	var last time.Time
	for i := range 10 {
		if i == 5 {
			stop()
			stop = startGPSD(t, feed, port)
		}
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

// TestCaptures feeds the captures of real receivers to a real gpsd and to our own reading of NMEA, and compares the two where
// both have a position.
func TestCaptures(t *testing.T) {
	dir := os.Getenv("SCRUPLE_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	captures, err := filepath.Glob(filepath.Join(dir, "gpsd", "*.log.gz"))
	if err != nil || len(captures) == 0 {
		t.Skip("MISSING: captures of receivers (SCRUPLE_DATA/gpsd/*.log.gz): neither gpsd nor NMEA was tried on them")
	}
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	compared, theirs := 0, make([]map[int64]location.Fix, len(captures))
	var running sync.WaitGroup
	limit := make(chan struct{}, 8)
	for i, file := range captures {
		log := unpack(t, file)
		running.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			theirs[i] = throughGPSD(t, p, log)
		})
	}
	running.Wait()
	t.Logf("%-36s %6s %6s %6s %6s %9s", "capture", "lines", "NMEA", "gpsd", "both", "worst, m")
	for i, file := range captures {
		log := unpack(t, file)
		ours := map[int64]location.Fix{}
		var parser location.NMEA
		lines := 0
		for line := range bytes.SplitSeq(log, []byte("\n")) {
			lines++
			if fix, kind := parser.Parse(line); kind == location.Position {
				ours[timeOfDay(fix)] = fix
			}
		}
		both, worst := 0, 0.0
		for when, fix := range theirs[i] {
			if own, ok := ours[when]; ok {
				both++
				worst = max(worst, metres(own, fix))
			}
		}
		compared += both
		t.Logf("%-36s %6d %6d %6d %6d %9.2f", strings.TrimSuffix(filepath.Base(file), ".log.gz"), lines, len(ours), len(theirs[i]), both, worst)
		if worst > 1 {
			t.Errorf("%s: a position differs from gpsd's by %.1f m", filepath.Base(file), worst)
		}
	}
	if compared < 100 {
		t.Errorf("only %d positions could be compared", compared)
	}
}

// throughGPSD returns the positions that a real gpsd makes of a log, by their time of day.
func throughGPSD(t *testing.T, p consent.Permit, log []byte) map[int64]location.Fix {
	fixes := map[int64]location.Fix{}
	fed := make(chan struct{})
	feed := feedOf(t, log, time.Millisecond, func(c net.Conn) { close(fed); stay(c) })
	port := free(t)
	defer startGPSD(t, feed, port)()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	s := openSoon(t, ctx, func() (*location.Source, error) {
		return location.OpenEvery(ctx, p, location.Sources{GPSD: "127.0.0.1:" + port}, 0)
	})
	defer s.Close()
	go func() {
		<-fed
		time.Sleep(500 * time.Millisecond) // what gpsd still thinks about
		cancel()
	}()
	for {
		fix, err := s.Read(ctx)
		if err != nil {
			return fixes
		}
		fixes[timeOfDay(fix)] = fix
	}
}

// timeOfDay is in milliseconds. The days differ: gpsd adds the weeks that old receivers have lost count of.
func timeOfDay(f location.Fix) int64 { return f.Time.UnixMilli() % (24 * time.Hour).Milliseconds() }

func metres(a, b location.Fix) float64 {
	const degree = 111_195
	return math.Hypot((a.Lat-b.Lat)*degree, (a.Lon-b.Lon)*degree*math.Cos(a.Lat*math.Pi/180))
}

func unpack(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.LimitReader(z, 16<<20))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
