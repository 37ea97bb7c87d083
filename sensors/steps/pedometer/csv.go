package pedometer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// ErrFormat says that a recording is not as Read wants it.
var ErrFormat = errors.New("not as a recording is written")

// maxLine is the longest line of a recording, in bytes.
const maxLine = 64 << 10

// columns are where a line's values are, -1 for those it has not.
type columns struct {
	time    int
	seconds bool // the time, else nanoseconds
	axes    [3]int
	mag     int
	last    int // of those needed
}

// columnsWithout are the columns of a recording without a header, by their number. Android's own dumps have the
// accuracy in second place.
var columnsWithout = map[int]columns{
	2: {time: 0, mag: 1, axes: [3]int{-1, -1, -1}, last: 1},
	4: {time: 0, mag: -1, axes: [3]int{1, 2, 3}, last: 3},
	5: {time: 0, mag: -1, axes: [3]int{2, 3, 4}, last: 4},
}

// Read feeds a recording to c, as comma-separated lines, and flushes it. The first line may name the columns: t_ns (or
// timestamp, in seconds), and ax, ay, az in m/s2 (or x, y, z) or else magnitude in any unit; others are passed over.
// Without such a line there are 2 (t_ns, magnitude), 4 (t_ns, ax, ay, az) or 5 columns (t_ns, accuracy, ax, ay, az).
// Empty lines and lines that begin with # do not count.
//
// Memory is bounded whatever comes. An error that matches ErrFormat or ErrValue names the line and the column, never
// a value; what was read before it has been counted.
func Read(r io.Reader, c *Counter) error {
	defer c.Flush()
	in := bufio.NewReaderSize(r, maxLine)
	var (
		cols   columns
		known  bool
		fields [][]byte
	)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("line %d: %w: longer than %d bytes", n, ErrFormat, maxLine)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0 || line[0] == '#':
		case !known:
			fields = split(fields[:0], line)
			var header bool
			if cols, header, known = layout(fields); !known {
				return fmt.Errorf("line %d: %w: neither names of columns (t_ns, and ax, ay, az or magnitude) nor 2, 4 or 5 columns of numbers", n, ErrFormat)
			}
			if header {
				break
			}
			fallthrough
		default:
			fields = split(fields[:0], line)
			if column, err := cols.feed(c, fields); err != nil {
				return fmt.Errorf("line %d: %s: %w", n, column, err)
			}
		}
		if err != nil {
			if !known {
				return fmt.Errorf("line %d: %w: empty", n, ErrFormat)
			}
			return nil
		}
	}
}

// split appends the fields of a line. A quoted one may hold commas; its quotes stay.
func split(fields [][]byte, line []byte) [][]byte {
	quoted, start := false, 0
	for i, b := range line {
		switch {
		case b == '"':
			quoted = !quoted
		case b == ',' && !quoted:
			fields = append(fields, bytes.TrimSpace(line[start:i]))
			start = i + 1
		}
	}
	return append(fields, bytes.TrimSpace(line[start:]))
}

// layout finds the columns from the first line.
func layout(first [][]byte) (cols columns, header, ok bool) {
	if _, err := strconv.ParseFloat(string(first[0]), 64); err == nil {
		cols, ok = columnsWithout[len(first)]
		return cols, false, ok
	}
	cols = columns{time: -1, mag: -1, axes: [3]int{-1, -1, -1}}
	for i, name := range first {
		switch string(bytes.ToLower(bytes.Trim(name, `" `))) {
		case "t_ns":
			cols.time, cols.seconds = i, false
		case "timestamp":
			if cols.time < 0 {
				cols.time, cols.seconds = i, true
			}
		case "ax", "x":
			cols.axes[0] = i
		case "ay", "y":
			cols.axes[1] = i
		case "az", "z":
			cols.axes[2] = i
		case "magnitude":
			cols.mag = i
		}
	}
	axes := min(cols.axes[0], cols.axes[1], cols.axes[2]) >= 0
	if axes {
		cols.mag = -1
	}
	cols.last = max(cols.time, cols.mag)
	if axes {
		cols.last = max(cols.last, cols.axes[0], cols.axes[1], cols.axes[2])
	}
	return cols, true, cols.time >= 0 && (axes || cols.mag >= 0)
}

// feed hands one line to c. With an error it returns what it is about.
func (cols *columns) feed(c *Counter, fields [][]byte) (column string, err error) {
	if len(fields) <= cols.last {
		return "too few columns", ErrFormat
	}
	t, ok := nanoseconds(fields[cols.time], cols.seconds)
	if !ok {
		return "the time", ErrFormat
	}
	if cols.mag >= 0 {
		m, err := strconv.ParseFloat(string(fields[cols.mag]), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return "magnitude", ErrFormat
		}
		return "magnitude", c.AddMagnitude(t, m)
	}
	var a [3]float64
	for i, at := range cols.axes {
		if a[i], err = strconv.ParseFloat(string(fields[at]), 64); err != nil && !errors.Is(err, strconv.ErrRange) {
			return [3]string{"ax", "ay", "az"}[i], ErrFormat
		}
	}
	return "ax, ay, az", c.Add(t, a[0], a[1], a[2])
}

func nanoseconds(field []byte, seconds bool) (int64, bool) {
	if !seconds {
		if t, err := strconv.ParseInt(string(field), 10, 64); err == nil {
			return t, true
		}
	}
	t, err := strconv.ParseFloat(string(field), 64)
	if seconds {
		t *= 1e9
	}
	if err != nil || !(math.Abs(t) < 1<<62) {
		return 0, false
	}
	return int64(math.Round(t)), true
}
