package location

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/scruple-agent/scruple/sensors"
)

// Names of GeoClue 2 on the bus (geoclue 2.6, org.freedesktop.GeoClue2.*.xml).
const (
	clueName     = "org.freedesktop.GeoClue2"
	clueManager  = dbus.ObjectPath("/org/freedesktop/GeoClue2/Manager")
	clueClient   = clueName + ".Client"
	clueLocation = clueName + ".Location"
	clueUpdated  = clueClient + ".LocationUpdated"
	busName      = "org.freedesktop.DBus"
	busOwner     = busName + ".NameOwnerChanged"
)

const (
	// exact is the accuracy level that is asked for, always. A coarser one does not blur what a receiver says:
	// GeoClue then leaves the receiver alone and asks a server on the network where it is.
	exact = uint32(8)
	// desktopID is the name by which GeoClue's configuration and agents know the program.
	desktopID = "scruple"
	// partingDeadline is how long stopping a client may take; then the connection is cut, and GeoClue notices.
	partingDeadline = 500 * time.Millisecond
)

// clue is a client of GeoClue, on a connection of its own.
type clue struct {
	conn    *dbus.Conn
	signals *signals
	owner   string // unique name of the GeoClue that the client belongs to
	client  dbus.ObjectPath
	cut     context.CancelFunc
	stop    func() bool
}

// geoclue connects to the GeoClue of a bus: of the system bus where address is empty. Every call has a deadline: without
// an agent GeoClue never answers at all.
func geoclue(address string) opener {
	return func(ctx context.Context) (feed, error) {
		c, err := dialClue(ctx, address)
		if err != nil {
			return nil, err
		}
		if err := c.start(ctx); err != nil {
			c.close()
			return nil, err
		}
		return c, nil
	}
}

// dialClue connects to the bus. The connection does not end with ctx, as the client is to be stopped through it; close
// cuts it, and an ending ctx does so after partingDeadline.
func dialClue(ctx context.Context, address string) (*clue, error) {
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	late := time.AfterFunc(answerDeadline, cut)
	defer late.Stop()
	dialing := context.AfterFunc(ctx, cut)
	c := &clue{signals: newSignals(), cut: cut}
	options := []dbus.ConnOption{dbus.WithContext(life), dbus.WithSignalHandler(c.signals)}
	var err error
	if address == "" {
		c.conn, err = dbus.ConnectSystemBus(options...)
	} else {
		c.conn, err = dbus.Connect(address, options...)
	}
	if err != nil || !dialing() {
		cut()
		return nil, sensors.Absent("the system bus")
	}
	c.stop = context.AfterFunc(ctx, func() { time.AfterFunc(2*partingDeadline, cut) })
	return c, nil
}

// call calls a method with a deadline and stores what it returns.
func (c *clue) call(ctx context.Context, dest string, path dbus.ObjectPath, method string, args []any, results ...any) error {
	ctx, cancel := context.WithTimeout(ctx, answerDeadline)
	defer cancel()
	err := c.conn.Object(dest, path).CallWithContext(ctx, method, 0, args...).Store(results...)
	var refused dbus.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		switch refused.Name {
		case busName + ".Error.ServiceUnknown", busName + ".Error.NameHasNoOwner", busName + ".Error.UnknownMethod",
			busName + ".Error.UnknownObject", busName + ".Error.UnknownInterface":
			return sensors.Absent("GeoClue")
		case busName + ".Error.AccessDenied":
			return errDenied
		}
		return ErrProtocol // its words are not ours to show
	case ctx.Err() != nil:
		return ErrSilent
	case errors.Is(err, dbus.ErrClosed):
		return sensors.Absent("the system bus (it closed the connection)")
	}
	return ErrProtocol
}

// errDenied says that GeoClue or the bus refuses us: by configuration, or because an agent said no.
var errDenied = errors.New("GeoClue refuses to tell positions")

// start makes a client that reports exact positions.
func (c *clue) start(ctx context.Context) error {
	var level dbus.Variant
	if err := c.call(ctx, clueName, clueManager, busName+".Properties.Get",
		[]any{clueName + ".Manager", "AvailableAccuracyLevel"}, &level); err != nil {
		return err
	}
	if v, ok := level.Value().(uint32); !ok || v < exact {
		return sensors.Absent("an exact source in GeoClue")
	}
	if err := c.call(ctx, busName, "/org/freedesktop/DBus", busName+".GetNameOwner", []any{clueName}, &c.owner); err != nil {
		return err
	}
	if err := c.call(ctx, c.owner, clueManager, clueName+".Manager.GetClient", nil, &c.client); err != nil {
		return err
	}
	for _, p := range []struct {
		name  string
		value any
	}{
		{"DesktopId", desktopID},
		{"RequestedAccuracyLevel", exact},
		{"DistanceThreshold", uint32(0)},
		{"TimeThreshold", uint32(Every / time.Second)},
	} {
		if err := c.call(ctx, c.owner, c.client, busName+".Properties.Set",
			[]any{clueClient, p.name, dbus.MakeVariant(p.value)}); err != nil {
			return err
		}
	}
	for _, match := range []string{
		fmt.Sprintf("type='signal',sender='%s',path='%s'", c.owner, c.client),
		fmt.Sprintf("type='signal',sender='%s',member='NameOwnerChanged',arg0='%s'", busName, clueName),
	} {
		if err := c.call(ctx, busName, "/org/freedesktop/DBus", busName+".AddMatch", []any{match}); err != nil {
			return err
		}
	}
	return c.call(ctx, c.owner, c.client, clueClient+".Start", nil)
}

// next waits for the next position. GeoClue says nothing while nothing changes, so there is no deadline; that it went
// away is said by the bus.
func (c *clue) next(ctx context.Context) (Fix, Kind, error) {
	var s *dbus.Signal
	select {
	case <-ctx.Done():
		return Fix{}, Nonsense, ctx.Err()
	case <-c.conn.Context().Done():
		return Fix{}, Nonsense, sensors.Absent("the system bus (it closed the connection)")
	case s = <-c.signals.pending:
	}
	switch {
	case s.Name == busOwner && s.Sender == busName:
		return Fix{}, Nonsense, sensors.Absent("GeoClue (it went away)")
	case s.Sender != c.owner || s.Path != c.client:
		return Fix{}, NoFix, nil
	case s.Name == busName+".Properties.PropertiesChanged" && stopped(s.Body):
		return Fix{}, Nonsense, errDenied
	case s.Name != clueUpdated:
		return Fix{}, NoFix, nil
	}
	if len(s.Body) != 2 {
		return Fix{}, Nonsense, nil
	}
	path, ok := s.Body[1].(dbus.ObjectPath)
	if !ok || !strings.HasPrefix(string(path), "/org/freedesktop/GeoClue2/") {
		return Fix{}, Nonsense, nil
	}
	var values map[string]dbus.Variant
	if err := c.call(ctx, c.owner, path, busName+".Properties.GetAll", []any{clueLocation}, &values); err != nil {
		if errors.Is(err, sensors.ErrAbsent) { // GeoClue keeps a location only until the next
			return Fix{}, NoFix, nil
		}
		return Fix{}, Nonsense, err
	}
	fix, kind := parseClue(values)
	return fix, kind, nil
}

// stopped reports whether changed properties say that the client is no longer served.
func stopped(body []any) bool {
	if len(body) < 2 {
		return false
	}
	changed, _ := body[1].(map[string]dbus.Variant)
	active, ok := changed["Active"].Value().(bool)
	return ok && !active
}

// parseClue reads the properties of a Location. Accuracy 0 is what GeoClue says of receivers: unknown.
func parseClue(values map[string]dbus.Variant) (Fix, Kind) {
	number := func(name string) float64 {
		if v, ok := values[name].Value().(float64); ok {
			return v
		}
		return math.NaN()
	}
	fix := Fix{Time: time.Now(), Lat: number("Latitude"), Lon: number("Longitude"), Accuracy: number("Accuracy")}
	if !fix.placed() || !(fix.Accuracy >= 0) || math.IsInf(fix.Accuracy, 0) {
		return Fix{}, Nonsense
	}
	// Timestamp is (tt): seconds and microseconds since 1970.
	if t, ok := values["Timestamp"].Value().([]any); ok && len(t) == 2 {
		seconds, okS := t[0].(uint64)
		micros, okM := t[1].(uint64)
		if okS && okM && seconds > 0 && seconds < 1<<40 && micros < 1_000_000 {
			fix.Time = time.Unix(int64(seconds), int64(micros)*1000)
		}
	}
	return fix, Position
}

// close stops the client and deletes it, both at once and with a deadline, and cuts the connection.
func (c *clue) close() {
	defer c.cut()
	c.stop()
	if c.client == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), partingDeadline)
	defer cancel()
	client := c.conn.Object(c.owner, c.client)
	client.GoWithContext(ctx, clueClient+".Stop", 0, nil)
	parting := c.conn.Object(c.owner, clueManager).GoWithContext(ctx, clueName+".Manager.DeleteClient", 0, nil, c.client)
	select {
	case <-parting.Done:
	case <-ctx.Done():
	}
}

// signals keeps the last few signals of a connection: a flood of them is neither memory nor goroutines.
type signals struct {
	mu      sync.Mutex
	pending chan *dbus.Signal
}

func newSignals() *signals { return &signals{pending: make(chan *dbus.Signal, 16)} }

// DeliverSignal implements dbus.SignalHandler. It throws the oldest away where there is no room.
func (s *signals) DeliverSignal(_, _ string, signal *dbus.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		select {
		case s.pending <- signal:
			return
		default:
		}
		select {
		case <-s.pending:
		default:
		}
	}
}
