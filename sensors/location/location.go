// Package location reads positions from a gpsd (JSON protocol, gpsd_json(5)) over TCP. A position is raw: package
// minimise turns it into a cell. The permit it is opened with is a use session's, which ends by itself.
//
// It leaves out GeoClue and serial receivers.
package location

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/sensors"
)

// Fix is one position. It redacts itself.
type Fix struct {
	sensors.Raw
	Time     time.Time
	Lat, Lon float64 // degrees, WGS 84
	Accuracy float64 // metres, horizontal, 95 %; 0 where unknown
}

var (
	// ErrProtocol says that the other end does not talk as a gpsd does.
	ErrProtocol = errors.New("gpsd talks nonsense")
	// ErrSilent says that the other end said nothing for longer than Silence.
	ErrSilent = errors.New("gpsd is silent")
)

const (
	// Silence is how long a gpsd may say nothing before it is given up; a receiver reports every second.
	Silence = 15 * time.Second
	// maxLine bounds a line of the protocol: a SKY report with all satellites is under 10 KiB.
	maxLine = 64 << 10
	// maxNonsense is how many lines in a row may be unreadable before the connection is given up.
	maxNonsense  = 64
	dialDeadline = 5 * time.Second
)

// Source reads fixes while its permit holds.
type Source struct {
	permit consent.Permit
	conn   net.Conn
	lines  *bufio.Scanner
	last   time.Time
	closed chan struct{}
	once   sync.Once
}

// Open connects to the gpsd at address ("127.0.0.1:2947") and asks for reports. It returns
// sensors.ErrAbsent where nothing listens. The connection is closed as soon as the permit ends.
func Open(ctx context.Context, p consent.Permit, address string) (*Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open location: %w", err)
	}
	dialer := net.Dialer{Timeout: dialDeadline}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, sensors.Absent("a gpsd")
	}
	s := &Source{permit: p, conn: conn, lines: bufio.NewScanner(conn), closed: make(chan struct{})}
	s.lines.Buffer(make([]byte, 0, 4096), maxLine)
	_ = conn.SetDeadline(time.Now().Add(Silence))
	if _, err := io.WriteString(conn, "?WATCH={\"enable\":true,\"json\":true};\n"); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open location: %w", ErrSilent)
	}
	go func() {
		select {
		case <-p.Done():
			conn.Close()
		case <-s.closed:
		}
	}()
	return s, nil
}

// Close ends the connection.
func (s *Source) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.conn.Close()
}

// report is a line of the protocol, as far as it is of use.
type report struct {
	Class string   `json:"class"`
	Mode  int      `json:"mode"`
	Time  string   `json:"time"`
	Lat   *float64 `json:"lat"`
	Lon   *float64 `json:"lon"`
	EPH   *float64 `json:"eph"`
	EPX   *float64 `json:"epx"`
	EPY   *float64 `json:"epy"`
}

// Read returns the next fix of a later time than the one before; a receiver that reports one epoch several times
// gives it once. It fails when the permit or the context ends, or the gpsd is silent or talks nonsense.
func (s *Source) Read(ctx context.Context) (Fix, error) {
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })()
	for nonsense := 0; nonsense < maxNonsense; {
		if err := s.permit.Check(); err != nil {
			return Fix{}, fmt.Errorf("read location: %w", err)
		}
		if ctx.Err() == nil {
			_ = s.conn.SetReadDeadline(time.Now().Add(Silence))
		}
		if !s.lines.Scan() {
			return Fix{}, s.ended(ctx)
		}
		fix, kind := Parse(s.lines.Bytes())
		switch {
		case kind == Nonsense:
			nonsense++
			continue
		case kind == NoFix, !fix.Time.After(s.last):
			continue
		}
		if err := s.permit.Check(); err != nil {
			return Fix{}, fmt.Errorf("read location: %w", err)
		}
		s.last = fix.Time
		return fix, nil
	}
	return Fix{}, fmt.Errorf("read location: %w", ErrProtocol)
}

// ended says why no further line came.
func (s *Source) ended(ctx context.Context) error {
	if err := s.permit.Check(); err != nil {
		return fmt.Errorf("read location: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read location: %w", err)
	}
	var timeout net.Error
	switch err := s.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("read location: %w: endless line", ErrProtocol)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("read location: %w", ErrSilent)
	}
	return sensors.Absent("the gpsd (it closed the connection)")
}

// Kind is what a line of the protocol turned out to be.
type Kind int

// The kinds of lines.
const (
	Nonsense Kind = iota // no report of the protocol
	NoFix                // a report without a usable position
	Position             // a usable position
)

// Parse reads one line of gpsd's JSON. It needs no permit: it takes bytes.
func Parse(line []byte) (Fix, Kind) {
	var r report
	if err := json.Unmarshal(line, &r); err != nil || r.Class == "" {
		return Fix{}, Nonsense
	}
	if r.Class != "TPV" || r.Mode < 2 || r.Lat == nil || r.Lon == nil {
		return Fix{}, NoFix
	}
	when, err := time.Parse(time.RFC3339Nano, r.Time)
	if err != nil { // a receiver may give a position before it knows the time
		return Fix{}, NoFix
	}
	if math.Abs(*r.Lat) > 90 || math.Abs(*r.Lon) > 180 {
		return Fix{}, Nonsense
	}
	fix := Fix{Time: when, Lat: *r.Lat, Lon: *r.Lon}
	switch {
	case r.EPH != nil:
		fix.Accuracy = *r.EPH
	case r.EPX != nil && r.EPY != nil:
		fix.Accuracy = math.Hypot(*r.EPX, *r.EPY)
	}
	if fix.Accuracy < 0 {
		fix.Accuracy = 0
	}
	return fix, Position
}
