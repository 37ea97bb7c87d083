package location

import (
	"bytes"
	"strconv"
	"time"
)

// NMEA puts positions together from the sentences of one receiver (NMEA 0183): RMC has position and date, GGA has
// position and precision, GSA has precision and whether there is a fix. Both RMC and GGA give a position, so that a
// receiver with either works once the date is known; the two of one epoch have one time. The zero value is ready.
type NMEA struct {
	date    time.Time     // midnight, UTC, of the last RMC; zero while unknown
	clock   time.Duration // time of day of the last RMC
	hdop    float64       // last horizontal dilution of precision
	hdopAge int           // positions since it was told
	noFix   bool          // GSA says that there is no fix
}

const (
	// nmeaLine is the longest sentence that is read. The standard says 82 bytes; receivers with long proprietary
	// sentences exceed it.
	nmeaLine = 512
	// metresPerHDOP turns a dilution of precision into metres with 95 %: twice the 5 metres that the ranges of
	// a plain receiver are off (GPS SPS performance standard, 5th edition, user range error and a receiver's share).
	metresPerHDOP = 10
	// hdopLasts is for how many positions a dilution of precision is believed: a receiver tells it every epoch, or
	// every few.
	hdopLasts = 20
)

// Parse reads one sentence, with or without its end of line. A sentence that is damaged or has no checksum is
// nonsense; one of no use, or one that says there is no fix, is no fix. Simulated, estimated and typed-in positions
// are none.
func (n *NMEA) Parse(line []byte) (Fix, Kind) {
	body, ok := unwrap(bytes.TrimRight(line, "\r\n"))
	if !ok {
		return Fix{}, Nonsense
	}
	var fields [24][]byte
	count := 0
	for count < len(fields) {
		field, rest, more := bytes.Cut(body, []byte{','})
		fields[count] = field
		count++
		if body = rest; !more {
			break
		}
	}
	if len(fields[0]) != 5 || fields[0][0] == 'P' { // proprietary ones have no talker
		return Fix{}, NoFix
	}
	switch string(fields[0][2:]) {
	case "RMC":
		return n.rmc(fields[1:count])
	case "GGA":
		return n.gga(fields[1:count])
	case "GSA":
		return n.gsa(fields[1:count])
	}
	return Fix{}, NoFix
}

// unwrap returns what stands between "$" and "*" when the checksum after it is right.
func unwrap(line []byte) ([]byte, bool) {
	const frame = len("$*hh")
	if len(line) < frame || line[0] != '$' || line[len(line)-3] != '*' {
		return nil, false
	}
	body := line[1 : len(line)-3]
	want, err := strconv.ParseUint(string(line[len(line)-2:]), 16, 8)
	if err != nil {
		return nil, false
	}
	var sum byte
	for _, c := range body {
		if c < ' ' || c > '~' {
			return nil, false
		}
		sum ^= c
	}
	return body, sum == byte(want)
}

// rmc: time, status, latitude, N or S, longitude, E or W, knots, degrees, date, variation, E or W, mode.
func (n *NMEA) rmc(f [][]byte) (Fix, Kind) {
	if len(f) < 9 {
		return Fix{}, Nonsense
	}
	// The date is good even where the position is not.
	clock, haveClock := timeOfDay(f[0])
	if date, ok := calendar(f[8]); ok && haveClock {
		n.date, n.clock = date, clock
	}
	if string(f[1]) != "A" || !haveClock || n.noFix || len(f) > 11 && !measured(f[11]) {
		return Fix{}, NoFix
	}
	if n.date.IsZero() {
		return Fix{}, NoFix
	}
	return n.fix(clock, f[2:6])
}

// gga: time, latitude, N or S, longitude, E or W, quality, satellites, HDOP, ...
func (n *NMEA) gga(f [][]byte) (Fix, Kind) {
	if len(f) < 8 {
		return Fix{}, Nonsense
	}
	n.dilution(f[7])
	clock, ok := timeOfDay(f[0])
	if !ok || n.date.IsZero() || n.noFix || !qualified(f[5]) {
		return Fix{}, NoFix
	}
	return n.fix(clock, f[1:5])
}

// gsa: automatic or manual, 1 (no fix), 2 or 3, twelve satellites, PDOP, HDOP, VDOP.
func (n *NMEA) gsa(f [][]byte) (Fix, Kind) {
	if len(f) < 17 {
		return Fix{}, Nonsense
	}
	switch string(f[1]) {
	case "1":
		n.noFix = true
	case "2", "3":
		n.noFix = false
		n.dilution(f[15])
	}
	return Fix{}, NoFix
}

// measured reports whether a mode of RMC says that the position was measured: autonomous, differential, precise, RTK.
func measured(mode []byte) bool {
	switch string(mode) {
	case "A", "D", "P", "R", "F", "": // empty in receivers from before NMEA 2.3
		return true
	}
	return false // not valid, estimated, manual, simulator
}

// qualified reports the same of a quality of GGA. Some receivers give 9 with a satellite-based correction.
func qualified(quality []byte) bool {
	switch string(quality) {
	case "1", "2", "3", "4", "5", "9":
		return true
	}
	return false // 0 no fix, 6 estimated, 7 manual, 8 simulator
}

func (n *NMEA) dilution(field []byte) {
	// 99.9 and the like mean that it is unknown.
	if h, ok := decimal(field); ok && h > 0 && h < 50 {
		n.hdop, n.hdopAge = h, 0
	}
}

// fix puts a position together; f is latitude, N or S, longitude, E or W.
func (n *NMEA) fix(clock time.Duration, f [][]byte) (Fix, Kind) {
	lat, ok := angle(f[0], 2, 90, f[1], 'N', 'S')
	if !ok {
		return Fix{}, kindOfBlank(f[0], f[2])
	}
	lon, ok := angle(f[2], 3, 180, f[3], 'E', 'W')
	if !ok {
		return Fix{}, kindOfBlank(f[0], f[2])
	}
	when := n.date.Add(clock)
	switch { // the date is that of the last RMC, which may be of the other side of midnight
	case clock < n.clock-12*time.Hour:
		when = when.AddDate(0, 0, 1)
	case clock > n.clock+12*time.Hour:
		when = when.AddDate(0, 0, -1)
	}
	fix := Fix{Time: when, Lat: lat, Lon: lon}
	if n.hdopAge++; n.hdop > 0 && n.hdopAge <= hdopLasts {
		fix.Accuracy = n.hdop * metresPerHDOP
	}
	return fix, Position
}

// kindOfBlank tells an empty position, which is no fix, from a wrong one.
func kindOfBlank(lat, lon []byte) Kind {
	if len(lat) == 0 || len(lon) == 0 {
		return NoFix
	}
	return Nonsense
}

// digits reads exactly len(b) digits.
func digits(b []byte) (int, bool) {
	v := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, len(b) > 0
}

// decimal reads digits with at most one point: no sign, no exponent, nothing that is not a number.
func decimal(b []byte) (float64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	for _, c := range b {
		if c != '.' && (c < '0' || c > '9') {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

// timeOfDay reads hhmmss with an optional fraction. Second 60 is a leap second.
func timeOfDay(b []byte) (time.Duration, bool) {
	if len(b) < 6 {
		return 0, false
	}
	h, okH := digits(b[:2])
	m, okM := digits(b[2:4])
	s, okS := decimal(b[4:])
	if !okH || !okM || !okS || h > 23 || m > 59 || s >= 61 {
		return 0, false
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s*1000+0.5)*time.Millisecond, true
}

// calendar reads ddmmyy.
func calendar(b []byte) (time.Time, bool) {
	if len(b) != 6 {
		return time.Time{}, false
	}
	d, okD := digits(b[:2])
	m, okM := digits(b[2:4])
	y, okY := digits(b[4:])
	if !okD || !okM || !okY || m < 1 || m > 12 || d < 1 {
		return time.Time{}, false
	}
	if y += 2000; y >= 2080 { // GPS began in 1980
		y -= 100
	}
	date := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return date, date.Day() == d
}

// angle reads degrees (two or three digits) and minutes with a fraction, and the side. The result is in degrees, at
// most limit.
func angle(b []byte, degreeDigits int, limit float64, side []byte, plus, minus byte) (float64, bool) {
	if len(b) < degreeDigits+2 || len(side) != 1 || side[0] != plus && side[0] != minus {
		return 0, false
	}
	deg, ok := digits(b[:degreeDigits])
	minutes, okMinutes := decimal(b[degreeDigits:])
	if !ok || !okMinutes || minutes >= 60 {
		return 0, false
	}
	v := float64(deg) + minutes/60
	if v > limit {
		return 0, false
	}
	if side[0] == minus {
		v = -v
	}
	return v, true
}
