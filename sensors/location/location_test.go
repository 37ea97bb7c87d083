package location_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
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
	s, err := location.OpenEvery(t.Context(), p, location.Sources{GPSD: addr}, 0)
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
	if s.Name() != "gpsd" || s.Problem() != nil {
		t.Errorf("%s: %v", s.Name(), s.Problem())
	}
}

func TestZeroPermitConnectsNowhere(t *testing.T) {
	if _, err := location.Open(t.Context(), consent.Permit{}, location.Sources{GPSD: "127.0.0.1:1"}); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("got %v, want ErrNoPermit", err)
	}
}

func TestNothingThereIsAbsent(t *testing.T) {
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	for _, from := range []location.Sources{
		{},
		{GPSD: "127.0.0.1:1"},
		{Serial: filepath.Join(t.TempDir(), "ttyACM0")},
		{GPSD: "127.0.0.1:1", Serial: filepath.Join(t.TempDir(), "ttyACM0")},
	} {
		if _, err := location.Open(t.Context(), p, from); !errors.Is(err, sensors.ErrAbsent) {
			t.Errorf("%v: got %v, want absent", from, err)
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
		s, err := location.Open(t.Context(), session.Permit(), location.Sources{GPSD: gpsd(t, hello, stay)})
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

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want location.Kind
	}{
		"mode 0":            {`{"class":"TPV","mode":0,"time":"2026-11-23T10:00:00Z","lat":1,"lon":1}`, location.NoFix},
		"mode 1":            {`{"class":"TPV","mode":1,"time":"2026-11-23T10:00:00Z"}`, location.NoFix},
		"mode 2":            {`{"class":"TPV","mode":2,"time":"2026-11-23T10:00:00Z","lat":1,"lon":1}`, location.Position},
		"mode 2, no time":   {`{"class":"TPV","mode":2,"lat":1,"lon":1}`, location.NoFix},
		"mode 3":            {`{"class":"TPV","mode":3,"time":"2026-11-23T10:00:00.500Z","lat":-90,"lon":180,"epx":3,"epy":4}`, location.Position},
		"mode 3, no place":  {`{"class":"TPV","mode":3,"time":"2026-11-23T10:00:00Z","lat":1}`, location.NoFix},
		"simulated":         {`{"class":"TPV","mode":3,"status":8,"time":"2026-11-23T10:00:00Z","lat":1,"lon":1}`, location.NoFix},
		"off the map":       {`{"class":"TPV","mode":3,"time":"2026-11-23T10:00:00Z","lat":90.1,"lon":1}`, location.Nonsense},
		"infinite":          {`{"class":"TPV","mode":3,"time":"2026-11-23T10:00:00Z","lat":1e999,"lon":1}`, location.Nonsense},
		"another class":     {`{"class":"SKY","hdop":1.2}`, location.NoFix},
		"no class":          {`{"mode":3}`, location.Nonsense},
		"a text for a mode": {`{"class":"TPV","mode":"3"}`, location.Nonsense},
		"empty":             {``, location.Nonsense},
		"half a line":       {`{"class":"TPV","mode":3,"ti`, location.Nonsense},
		"an array":          {`[{"class":"TPV"}]`, location.Nonsense},
	} {
		if _, got := location.Parse([]byte(tc.line)); got != tc.want {
			t.Errorf("%s: got kind %d, want %d", name, got, tc.want)
		}
	}
	fix, _ := location.Parse([]byte(`{"class":"TPV","mode":3,"time":"2026-11-23T10:00:00Z","lat":1,"lon":1,"epx":3,"epy":4}`))
	if fix.Accuracy != 5 {
		t.Errorf("accuracy %v of 3 east and 4 north", fix.Accuracy)
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
