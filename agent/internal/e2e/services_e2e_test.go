//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/geo/s2"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestServices runs the built daemon against real services of this machine, on loopback and on buses of their own.
func TestServices(t *testing.T) {
	t.Run("gpsd", gpsdRig)
	t.Run("geoclue", geoclueRig)
	t.Run("radicale", radicaleRig)
	t.Run("mocks", mocksRig)
	t.Run("gpsd-lies", liesRig)
	t.Run("books-misbehave", booksRig)
}

const nearby = "location/nearby"

// cellFields are what of a place may leave, and nothing else.
var cellFields = []string{"cell", "level", "accuracy", "kind"}

// gpsdRig has a real gpsd read captures of real receivers, and the daemon read the gpsd.
func gpsdRig(t *testing.T) {
	port := freePort(t)
	proxy := newTap(t, "127.0.0.1:"+port)
	h := newHouse(t, "", nearby, fmt.Sprintf("gpsd: %q\n", proxy.address))
	consent := h.give(nearby)

	places := 0
	t.Run("captures", func(t *testing.T) {
		before := 0
		for name, log := range captures(t) {
			stop := startGPSD(t, log, port)
			_, err := h.app.OpenSession(t.Context(), nearby, 10*time.Minute)
			must(t, err)
			deadline := time.Now().Add(6 * time.Second) // some of them have no fix
			cells := 0
			for cells == 0 && time.Now().Before(deadline) {
				time.Sleep(50 * time.Millisecond)
				cells = len(h.arrived(consent, cellFields...)) - before
			}
			must(t, h.app.CloseSession(t.Context(), nearby))
			stop()
			t.Logf("%-36s %d cells", name, cells)
			before += cells
			if cells > 0 {
				places++
			}
			if name == invented && cells != 1 {
				t.Errorf("%d cells of the invented receiver", cells)
			}
		}
	})
	t.Run("only-cells-arrive", func(t *testing.T) {
		items := h.arrived(consent, cellFields...)
		h.cells(t, items)
		t.Logf("%d cells of %d places", len(items), places)
	})
	t.Run("withdrawal", func(t *testing.T) {
		defer startGPSD(t, satellites(), port)()
		var times []time.Duration
		for range 5 {
			h.give(nearby)
			h.watch(t, proxy)
			times = append(times, h.withdraw(nearby, proxy))
		}
		if open, _ := proxy.connections(); open != 0 {
			t.Errorf("%d connections are open", open)
		}
		t.Logf("connection closed after %v", times)
	})
	t.Run("restart", func(t *testing.T) {
		stop := startGPSD(t, satellites(), port)
		h.give(nearby)
		h.watch(t, proxy)
		_, before := proxy.connections()
		stop()
		var en, zh string
		eventually(t, "the loss is in status", func() bool {
			en, zh = h.says(nearby)
			return h.row(nearby).Reason != ""
		})
		t.Logf("%s\n%s", en, zh)
		if !strings.Contains(en, "gpsd") || !strings.Contains(zh, "gpsd") {
			t.Error("status does not name it")
		}
		stop = startGPSD(t, satellites(), port)
		defer stop()
		took := eventually(t, "status is clear again", func() bool { r := h.row(nearby); return r.Collecting && r.Source.Present })
		if _, after := proxy.connections(); after <= before {
			t.Error("it is clear without a new connection")
		}
		t.Logf("read again %v after the restart", took)
		must(t, h.app.CloseSession(t.Context(), nearby))
		eventually(t, "no connection outlives the session", func() bool { open, _ := proxy.connections(); return open == 0 })
	})
}

// use has the application open a session, and waits until a cell arrives.
func (h *house) use(t *testing.T) {
	t.Helper()
	_, err := h.app.OpenSession(t.Context(), nearby, 10*time.Minute)
	must(t, err)
	consent, ok := h.consent(nearby)
	if !ok {
		t.Fatal("no consent")
	}
	eventually(t, "a cell arrives", func() bool { return len(h.arrived(consent, cellFields...)) > 0 })
}

// cells checks that what arrived, and what left, is cells of the granted level and the hour.
func (h *house) cells(t *testing.T, items []wire.Item) {
	t.Helper()
	if len(items) == 0 {
		t.Error("nothing arrived")
	}
	for _, it := range items {
		token, _ := it.Fields["cell"].(string)
		if cell := s2.CellIDFromToken(token); !cell.IsValid() || cell.Level() > 12 || it.Time%3600 != 0 {
			t.Errorf("level %d, time %d", cell.Level(), it.Time%3600)
		}
	}
	for _, body := range h.left(nearby) {
		for _, word := range []string{"lat", "lon", "alt", "speed", "track", "3954.", "39.9", "116.3"} {
			if strings.Contains(body, word) {
				t.Errorf("%q stands in what left", word)
			}
		}
	}
}

// watch uses the location, through the proxy.
func (h *house) watch(t *testing.T, proxy *tap) {
	t.Helper()
	h.use(t)
	eventually(t, "one connection is open", func() bool { open, _ := proxy.connections(); return open == 1 })
}

// invented is the name of the capture that is always there.
const invented = "invented"

// captures are logs of receivers by name: those of SCRUPLE_DATA, or beside the repository, and one that is invented.
func captures(t *testing.T) map[string][]byte {
	t.Helper()
	dir := os.Getenv("SCRUPLE_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	logs := map[string][]byte{invented: satellites()}
	files, err := filepath.Glob(filepath.Join(dir, "gpsd", "*.log.gz"))
	must(t, err)
	if len(files) == 0 {
		t.Log("no captures of real receivers here (SCRUPLE_DATA/gpsd/*.log.gz): the invented one alone")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		z, err := gzip.NewReader(bytes.NewReader(b))
		must(t, err)
		log, err := io.ReadAll(io.LimitReader(z, 16<<20))
		must(t, err)
		logs[strings.TrimSuffix(filepath.Base(file), ".log.gz")] = log
	}
	return logs
}

// satellites is an invented receiver's output of an hour: near 39.9 N, 116.4 E, one epoch a second.
func satellites() []byte {
	var b bytes.Buffer
	for i := range 3600 {
		clock := fmt.Sprintf("10%02d%02d.00", i/60, i%60)
		for _, body := range []string{
			"GPGGA," + clock + ",3954.2500,N,11623.0000,E,1,08,0.9,45.0,M,0.0,M,,",
			"GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.5,0.9,1.2",
			"GPRMC," + clock + ",A,3954.2500,N,11623.0000,E,0.5,0.0,231126,,,A",
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

// startGPSD starts a real gpsd on the port that reads this receiver, and waits until it answers; the function kills it.
func startGPSD(t *testing.T, log []byte, port string) (stop func()) {
	t.Helper()
	path := need(t, "gpsd", "gpsd", "/usr/sbin/gpsd")
	feed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() {
		for {
			c, err := feed.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for line := range bytes.SplitAfterSeq(log, []byte("\n")) {
					if _, err := c.Write(line); err != nil {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	cmd := exec.Command(path, "-N", "-S", port, "tcp://"+feed.Addr().String()) // it opens the feed when somebody watches
	must(t, cmd.Start())
	eventually(t, "gpsd answers", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		feed.Close()
	}
}

// freePort returns a port where nobody listens.
func freePort(t *testing.T) string {
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
