package location_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/consent/consenttest"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/location"
	"github.com/scruple-agent/scruple/sensors/sensortest"
)

// bus starts a private bus and returns its address.
func bus(t *testing.T) string {
	t.Helper()
	return sensortest.Bus(t, "no GeoClue was spoken to")
}

const (
	clientPath   = dbus.ObjectPath("/org/freedesktop/GeoClue2/Client/1")
	locationPath = dbus.ObjectPath("/org/freedesktop/GeoClue2/Client/1/Location/%d")
)

// double is a GeoClue as far as a client sees it.
type double struct {
	conn   *dbus.Conn
	level  uint32        // AvailableAccuracyLevel
	mute   chan struct{} // GetClient waits for it: no agent
	refuse bool          // Start is refused

	mu     sync.Mutex
	set    map[string]any
	calls  []string
	fixes  []map[string]dbus.Variant
	locate chan struct{} // closed by Start
}

// startDouble puts a GeoClue on the bus.
func startDouble(t *testing.T, address string, d *double) *double {
	t.Helper()
	d.set, d.locate = map[string]any{}, make(chan struct{})
	if d.level == 0 {
		d.level = 8
	}
	var err error
	if d.conn, err = dbus.Connect(address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.conn.Close() })
	export := func(v map[string]any, path dbus.ObjectPath, iface string) {
		if err := d.conn.ExportMethodTable(v, path, iface); err != nil {
			t.Fatal(err)
		}
	}
	export(map[string]any{"GetClient": d.getClient, "DeleteClient": d.deleteClient}, "/org/freedesktop/GeoClue2/Manager", "org.freedesktop.GeoClue2.Manager")
	export(map[string]any{"Get": d.get}, "/org/freedesktop/GeoClue2/Manager", "org.freedesktop.DBus.Properties")
	export(map[string]any{"Start": d.start, "Stop": d.stop}, clientPath, "org.freedesktop.GeoClue2.Client")
	export(map[string]any{"Set": d.setProperty}, clientPath, "org.freedesktop.DBus.Properties")
	if r, err := d.conn.RequestName("org.freedesktop.GeoClue2", dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal("the name is taken")
	}
	return d
}

func (d *double) called(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, what)
}

func (d *double) has(what string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.calls, what)
}

func (d *double) get(_, name string) (dbus.Variant, *dbus.Error) {
	return dbus.MakeVariant(d.level), nil
}

func (d *double) getClient() (dbus.ObjectPath, *dbus.Error) {
	d.called("GetClient")
	if d.mute != nil {
		<-d.mute
	}
	return clientPath, nil
}

func (d *double) deleteClient(p dbus.ObjectPath) *dbus.Error {
	d.called("DeleteClient")
	return nil
}

func (d *double) start() *dbus.Error {
	d.called("Start")
	if d.refuse {
		return dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"canary"})
	}
	close(d.locate)
	return nil
}

func (d *double) stop() *dbus.Error {
	d.called("Stop")
	return nil
}

func (d *double) setProperty(_, name string, v dbus.Variant) *dbus.Error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set[name] = v.Value()
	return nil
}

// tell makes a location of the properties and tells the client.
func (d *double) tell(t *testing.T, values map[string]dbus.Variant) {
	t.Helper()
	<-d.locate
	d.mu.Lock()
	d.fixes = append(d.fixes, values)
	path := dbus.ObjectPath(fmt.Sprintf(string(locationPath), len(d.fixes)))
	d.mu.Unlock()
	if err := d.conn.ExportMethodTable(map[string]any{
		"GetAll": func(string) (map[string]dbus.Variant, *dbus.Error) { return values, nil },
	}, path, "org.freedesktop.DBus.Properties"); err != nil {
		t.Error(err)
	}
	d.emit(t, "org.freedesktop.GeoClue2.Client.LocationUpdated", dbus.ObjectPath("/"), path)
}

func (d *double) emit(t *testing.T, name string, values ...any) {
	t.Helper()
	if err := d.conn.Emit(clientPath, name, values...); err != nil {
		t.Error(err)
	}
}

// place is what GeoClue says of a position.
func place(lat, lon, accuracy float64, seconds uint64) map[string]dbus.Variant {
	return map[string]dbus.Variant{
		"Latitude": dbus.MakeVariant(lat), "Longitude": dbus.MakeVariant(lon), "Accuracy": dbus.MakeVariant(accuracy),
		"Altitude": dbus.MakeVariant(-math.MaxFloat64), "Speed": dbus.MakeVariant(-1.0), "Heading": dbus.MakeVariant(-1.0),
		"Timestamp": dbus.MakeVariant(struct{ S, M uint64 }{seconds, 5}),
	}
}

func TestGeoClue(t *testing.T) {
	address := bus(t)
	d := startDouble(t, address, &double{})
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	s, err := location.OpenClue(t.Context(), p, address, 0)
	if err != nil {
		t.Fatal(err)
	}
	good := place(39.9, 116.4, 12, 1795428001)
	bad := place(91, 116.4, 12, 1795428002)
	none := place(math.NaN(), 116.4, 12, 1795428003)
	unknown := place(1, 1, -1, 1795428004)
	wrongType := map[string]dbus.Variant{"Latitude": dbus.MakeVariant("canary")}
	later := place(39.91, 116.41, 0, 1795428009)
	go func() {
		for _, values := range []map[string]dbus.Variant{good, good, bad, none, unknown, wrongType, {}, later} {
			d.tell(t, values)
		}
		d.emit(t, "org.freedesktop.GeoClue2.Client.LocationUpdated", "canary")
		d.emit(t, "org.freedesktop.GeoClue2.Client.LocationUpdated", dbus.ObjectPath("/"), dbus.ObjectPath("/elsewhere"))
		d.tell(t, place(39.92, 116.42, 30, 1795428010))
	}()
	for i, want := range []location.Fix{{Lat: 39.9, Accuracy: 12}, {Lat: 39.91}, {Lat: 39.92, Accuracy: 30}} {
		fix, err := s.Read(t.Context())
		if err != nil || fix.Lat != want.Lat || fix.Accuracy != want.Accuracy || fix.Time.Unix() < 1795428001 {
			t.Fatalf("fix %d: wrong, %v", i, err)
		}
	}
	d.mu.Lock()
	if d.set["RequestedAccuracyLevel"] != uint32(8) {
		t.Errorf("asked for accuracy level %v, want exact", d.set["RequestedAccuracyLevel"])
	}
	if d.set["DesktopId"] == "" || d.set["DesktopId"] == nil {
		t.Error("no desktop id")
	}
	d.mu.Unlock()
	s.Close()
	for range 500 { // the calls are sent, not waited for
		if d.has("Stop") && d.has("DeleteClient") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("at the end: no Stop, or no DeleteClient")
}

// TestGeoClueEndsWithTheSession: the client is stopped and deleted although nobody closes the source.
func TestGeoClueEndsWithTheSession(t *testing.T) {
	address := bus(t)
	d := startDouble(t, address, &double{})
	doc := consenttest.Document(t)
	reg, tuple := consenttest.New(t, doc), consenttest.Tuple(t, doc, "location", "nearby")
	consenttest.Give(t, reg, tuple)
	session, err := reg.OpenSession(tuple, 0, consenttest.App)
	if err != nil {
		t.Fatal(err)
	}
	s, err := location.OpenClue(t.Context(), session.Permit(), address, 0)
	if err != nil {
		t.Fatal(err)
	}
	session.Close()
	if _, err := s.Read(context.Background()); !errors.Is(err, consent.ErrNotInForce) {
		t.Errorf("got %v", err)
	}
	for i := 0; !d.has("DeleteClient"); i++ {
		if i > 2000 {
			t.Fatal("the client was not deleted")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestGeoClueGoesAway: it is restarted, and refuses in between.
func TestGeoClueGoesAway(t *testing.T) {
	address := bus(t)
	first := startDouble(t, address, &double{})
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	s, err := location.OpenClue(t.Context(), p, address, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first.conn.Close()
	for s.Problem() == nil {
		time.Sleep(time.Millisecond)
	}
	if !errors.Is(s.Problem(), sensors.ErrAbsent) {
		t.Errorf("status would say %v", s.Problem())
	}
	second := startDouble(t, address, &double{})
	go func() { second.tell(t, place(1, 1, 1, 1795428001)) }()
	if fix, err := s.Read(t.Context()); err != nil || fix.Lat != 1 {
		t.Errorf("after the restart: %v", err)
	}
	second.emit(t, "org.freedesktop.DBus.Properties.PropertiesChanged", "org.freedesktop.GeoClue2.Client",
		map[string]dbus.Variant{"Active": dbus.MakeVariant(false)}, []string{})
	for s.Problem() == nil {
		time.Sleep(time.Millisecond)
	}
	if errors.Is(s.Problem(), sensors.ErrAbsent) || !second.has("DeleteClient") {
		t.Errorf("after it was switched off: %v", s.Problem())
	}
}

func TestGeoClueThatIsOfNoUse(t *testing.T) {
	address := bus(t)
	p := consenttest.Permit(t, consenttest.Document(t), "location", "nearby")
	if _, err := location.OpenClue(t.Context(), p, address, 0); !errors.Is(err, sensors.ErrAbsent) {
		t.Errorf("not there: got %v, want absent", err)
	}
	if _, err := location.OpenClue(t.Context(), p, "unix:path="+filepath.Join(t.TempDir(), "none"), 0); !errors.Is(err, sensors.ErrAbsent) {
		t.Errorf("no bus: got %v, want absent", err)
	}

	coarse := startDouble(t, address, &double{level: 6})
	if _, err := location.OpenClue(t.Context(), p, address, 0); !errors.Is(err, sensors.ErrAbsent) || coarse.has("GetClient") {
		t.Errorf("only coarse: got %v, want absent and no client", err)
	}
	coarse.conn.Close()

	refusing := startDouble(t, address, &double{refuse: true})
	_, err := location.OpenClue(t.Context(), p, address, 0)
	if err == nil || errors.Is(err, sensors.ErrAbsent) || strings.Contains(err.Error(), "canary") {
		t.Errorf("refused: got %v", err)
	}
	if !refusing.has("DeleteClient") {
		t.Error("refused: the client was not deleted")
	}
	refusing.conn.Close()

	mute := startDouble(t, address, &double{mute: make(chan struct{})})
	defer close(mute.mute)
	if _, err := location.OpenClue(t.Context(), p, address, 0); !errors.Is(err, location.ErrSilent) {
		t.Errorf("without an agent it never answers: got %v, want silent", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := location.OpenClue(ctx, p, address, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("given up while it does not answer: got %v", err)
	}
}
