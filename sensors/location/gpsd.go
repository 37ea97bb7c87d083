package location

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net"
	"time"

	"github.com/scruple-agent/scruple/sensors"
)

const (
	// watch asks a gpsd for reports in JSON.
	watch = "?WATCH={\"enable\":true,\"json\":true};\n"
	// gpsdLine is the longest line of a gpsd that is read: a SKY report with all satellites is under 10 KiB.
	gpsdLine = 64 << 10
)

// gpsd connects to a gpsd and asks for reports.
func gpsd(address string) opener {
	dialer := net.Dialer{Timeout: answerDeadline}
	return gpsdOver(func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) })
}

func gpsdOver(dial func(context.Context) (net.Conn, error)) opener {
	return func(ctx context.Context) (feed, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, sensors.Absent("a gpsd")
		}
		_ = conn.SetWriteDeadline(time.Now().Add(answerDeadline))
		if _, err := io.WriteString(conn, watch); err != nil {
			conn.Close()
			return nil, ErrSilent
		}
		return newLines(ctx, conn, gpsdLine, Parse), nil
	}
}

// report is a line of the protocol, as far as it is of use.
type report struct {
	Class  string   `json:"class"`
	Mode   int      `json:"mode"`
	Status int      `json:"status"`
	Time   string   `json:"time"`
	Lat    *float64 `json:"lat"`
	Lon    *float64 `json:"lon"`
	EPH    *float64 `json:"eph"`
	EPX    *float64 `json:"epx"`
	EPY    *float64 `json:"epy"`
}

// The values of TPV that matter.
const (
	mode2D          = 2 // 0 is unknown, 1 is no fix, 3 is with altitude
	statusSimulated = 8
)

// Parse reads one line of gpsd's JSON. A position without a time is no fix, since it cannot be put in order.
func Parse(line []byte) (Fix, Kind) {
	var r report
	if err := json.Unmarshal(line, &r); err != nil || r.Class == "" {
		return Fix{}, Nonsense
	}
	if r.Class != "TPV" || r.Mode < mode2D || r.Lat == nil || r.Lon == nil || r.Status == statusSimulated {
		return Fix{}, NoFix
	}
	when, err := time.Parse(time.RFC3339Nano, r.Time)
	if err != nil { // a receiver may give a position before it knows the time
		return Fix{}, NoFix
	}
	fix := Fix{Time: when, Lat: *r.Lat, Lon: *r.Lon}
	if !fix.placed() {
		return Fix{}, Nonsense
	}
	switch {
	case r.EPH != nil:
		fix.Accuracy = max(0, *r.EPH)
	case r.EPX != nil && r.EPY != nil:
		fix.Accuracy = math.Hypot(*r.EPX, *r.EPY)
	}
	return fix, Position
}
