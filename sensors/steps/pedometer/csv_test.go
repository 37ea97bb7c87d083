package pedometer_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/scruple-agent/scruple/sensors/steps/pedometer"
)

// TestRead reads the same walk in every layout.
func TestRead(t *testing.T) {
	axes := csvOf(newWalker(50, 1.9, 29), 60)
	rows := strings.Split(strings.TrimSpace(axes), "\n")[1:]
	build := func(header string, row func(f []string) string) string {
		var b strings.Builder
		if header != "" {
			b.WriteString(header + "\n")
		}
		for _, line := range rows {
			b.WriteString(row(strings.Split(line, ",")) + "\n")
		}
		return b.String()
	}
	seconds := func(ns string) string { // from nanoseconds, all positive or a little below 0
		var n int64
		fmt.Sscan(ns, &n)
		return fmt.Sprintf("%.9f", float64(n)/1e9)
	}
	var want pedometer.Counter
	if err := pedometer.Read(strings.NewReader(axes), &want); err != nil {
		t.Fatal(err)
	}
	near(t, "by names", want.Steps(), 114, 4)
	for name, text := range map[string]string{
		"without names":       build("", func(f []string) string { return strings.Join(f, ",") }),
		"four columns":        build("", func(f []string) string { return f[0] + "," + strings.Join(f[2:], ",") }),
		"another order":       build("az,note,t_ns,ay,ax", func(f []string) string { return f[4] + ",\"a, b\"," + f[0] + "," + f[3] + "," + f[2] }),
		"x, y, z":             build(" T_ns , X , Y , Z ", func(f []string) string { return f[0] + " , " + strings.Join(f[2:], " , ") }),
		"seconds":             build("timestamp,ax,ay,az", func(f []string) string { return seconds(f[0]) + "," + strings.Join(f[2:], ",") }),
		"CRLF, BOM, comments": "\xef\xbb\xbf# a walk\r\n\r\n" + strings.ReplaceAll(axes, "\n", "\r\n"),
		"quoted names":        build(`"t_ns","accuracy","ax","ay","az"`, func(f []string) string { return strings.Join(f, ",") }),
		"no end of line":      strings.TrimSpace(axes),
	} {
		var c pedometer.Counter
		if err := pedometer.Read(iotest.OneByteReader(strings.NewReader(text)), &c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.Steps() != want.Steps() || c.Stats().Samples != want.Stats().Samples {
			t.Errorf("%s: %d steps of %d samples, want %d of %d", name, c.Steps(), c.Stats().Samples, want.Steps(), want.Stats().Samples)
		}
	}
}

// TestReadBad refuses what is no recording, and says where, not what.
func TestReadBad(t *testing.T) {
	for name, tc := range map[string]struct {
		text, says string
		is         error
	}{
		"empty":              {"", "line 1: ", pedometer.ErrFormat},
		"only comments":      {"# CANARY\n\n", "line 3: ", pedometer.ErrFormat},
		"no names":           {"CANARY,b\n", "line 1: ", pedometer.ErrFormat},
		"no time":            {"ax,ay,az\n", "line 1: ", pedometer.ErrFormat},
		"no acceleration":    {"t_ns,ax,ay\n", "line 1: ", pedometer.ErrFormat},
		"three columns":      {"1,2,3\n", "line 1: ", pedometer.ErrFormat},
		"too few":            {"t_ns,ax,ay,az\n1,2,3,4\n5,6,7\n", "line 3: too few columns", pedometer.ErrFormat},
		"word for time":      {"1,2,3,4\nCANARY,2,3,4\n", "line 2: the time", pedometer.ErrFormat},
		"endless time":       {"1,2,3,4\n1e300,2,3,4\n", "line 2: the time", pedometer.ErrFormat},
		"word":               {"1,2,3,4\n2,3,CANARY,4\n", "line 2: ay", pedometer.ErrFormat},
		"empty field":        {"1,2,3,4\n2,3,4,\n", "line 2: az", pedometer.ErrFormat},
		"NaN":                {"1,2,3,4\n2,3,nan,4\n", "line 2: ax, ay, az", pedometer.ErrValue},
		"infinite":           {"1,2\n2,inf\n", "line 2: magnitude", pedometer.ErrValue},
		"too large":          {"1,2\n2,1e400\n", "line 2: magnitude", pedometer.ErrValue},
		"below nothing":      {"1,2\n2,-3\n", "line 2: magnitude", pedometer.ErrValue},
		"a line without end": {"1,2\n2," + strings.Repeat("1", 100_000), "line 2: ", pedometer.ErrFormat},
		"binary":             {"\x00\x01\xff\xfe,\x02\n", "line 1: ", pedometer.ErrFormat},
	} {
		var c pedometer.Counter
		err := pedometer.Read(strings.NewReader(tc.text), &c)
		if !errors.Is(err, tc.is) || !strings.HasPrefix(err.Error(), tc.says) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v, want an error at %q", name, err, tc.says)
		}
	}
	broken := io.MultiReader(strings.NewReader("1,2\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	var c pedometer.Counter
	if err := pedometer.Read(broken, &c); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reader that breaks off: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("t_ns,accuracy,ax,ay,az\n1,3,0,0,9.8\n20000001,3,0,1,9.7\n"))
	f.Add([]byte("1,9.8\n40000000,9.9\n-5,1\n"))
	f.Add([]byte("\xef\xbb\xbf# x\r\n\"timestamp\",Magnitude,Steps,\"a, b\"\r\n0.0,17130,133,\"{'a': 1, 'b': 2}\"\r\n0.04,16518,,\r\n"))
	f.Add([]byte("9223372036854775807,1\n-9223372036854775808,1\n0,1e9\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c pedometer.Counter
		err := pedometer.Read(newReader(b), &c)
		if err != nil && !errors.Is(err, pedometer.ErrFormat) && !errors.Is(err, pedometer.ErrValue) {
			t.Errorf("an error of another kind: %v", err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("the line is missing: %v", err)
		}
		if float64(c.Steps()) > c.Stats().Duration.Seconds()*5+2*float64(c.Stats().Gaps+1) {
			t.Errorf("%d steps in %v", c.Steps(), c.Stats().Duration)
		}
	})
}
