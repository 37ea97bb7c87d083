package pedometer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/sensors/steps/pedometer"
)

type sample struct {
	t       int64
	x, y, z float64
}

// walker makes samples of a walk: 1 g in an odd direction, a wave at the cadence, a weaker one at the stride, noise.
type walker struct {
	hz, cadence float64 // cadence in steps a second, 0 to stand
	amplitude   float64 // m/s2
	harmonic    float64 // of the step's second harmonic
	stride      float64 // amplitude at half the cadence
	jitter      float64 // of the times, as a share of the period
	noise       float64
	rand        *rand.Rand
	i           int
}

func newWalker(hz, cadence float64, seed uint64) *walker {
	return &walker{hz: hz, cadence: cadence, amplitude: 2.5, harmonic: 0.8, stride: 0.5, jitter: 0.2, noise: 0.3, rand: rand.New(rand.NewPCG(seed, 1))}
}

func (w *walker) next() sample {
	s := w.at((float64(w.i) + w.jitter*(w.rand.Float64()-0.5)) / w.hz)
	w.i++
	return s
}

func (w *walker) at(seconds float64) sample {
	p := 2 * math.Pi * w.cadence * seconds
	v := 9.81 + w.noise*w.rand.NormFloat64()
	if w.cadence > 0 {
		v += w.amplitude*math.Sin(p) + w.harmonic*math.Sin(2*p+1) + w.stride*math.Sin(p/2+2)
	}
	return sample{int64(seconds * 1e9), v * 0.48, v * -0.6, v * 0.64}
}

// count counts n seconds of a walk.
func (w *walker) count(t *testing.T, c *pedometer.Counter, seconds float64) {
	t.Helper()
	for range int(seconds * w.hz) {
		s := w.next()
		if err := c.Add(s.t, s.x, s.y, s.z); err != nil {
			t.Fatal(err)
		}
	}
}

func near(t *testing.T, what string, got uint64, want, tolerance float64) {
	t.Helper()
	if math.Abs(float64(got)-want) > tolerance {
		t.Errorf("%s: counted %d steps, want %.0f +- %.0f", what, got, want, tolerance)
	}
}

// TestCadenceAndRate walks 100 s at every cadence and rate.
func TestCadenceAndRate(t *testing.T) {
	for _, hz := range []float64{12.5, 20, 25, 31.25, 50, 100, 200, 400} {
		for _, cadence := range []float64{1.2, 1.5, 1.8, 2.1, 2.6} {
			var c pedometer.Counter
			newWalker(hz, cadence, 7).count(t, &c, 100)
			c.Flush()
			near(t, fmt.Sprintf("%v Hz, %v steps/s", hz, cadence), c.Steps(), 100*cadence, 3+cadence)
		}
	}
}

// TestOneFoot walks with a sensor that hardly feels one of the feet: one impact a stride, and a shadow of another.
func TestOneFoot(t *testing.T) {
	for _, stride := range []float64{0.85, 0.95, 1.05} {
		var c pedometer.Counter
		r := rand.New(rand.NewPCG(3, 3))
		for i := range 100 * 50 {
			seconds := float64(i) / 50
			strike := func(at, height float64) float64 {
				d := math.Mod(seconds*stride-at+1.5, 1) - 0.5
				return height * math.Exp(-d*d/(2*0.06*0.06))
			}
			v := 9.5 + strike(0, 8) + strike(0.5, 2.5) + 0.2*r.NormFloat64()
			if err := c.Add(int64(seconds*1e9), 0, 0, v); err != nil {
				t.Fatal(err)
			}
		}
		c.Flush()
		near(t, fmt.Sprintf("%v strides/s", stride), c.Steps(), 200*stride, 6)
	}
}

// TestNoSteps moves without walking.
func TestNoSteps(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	road := 0.0
	sine := func(hz, amplitude float64) func(float64) float64 {
		return func(s float64) float64 { return amplitude * math.Sin(2*math.Pi*hz*s) }
	}
	for name, move := range map[string]func(seconds float64) float64{
		"still":           func(float64) float64 { return 0.02 * r.NormFloat64() },
		"noisy sensor":    func(float64) float64 { return 0.3 * r.NormFloat64() },
		"shaking at 5 Hz": sine(5, 8),
		"shaking at 4 Hz": sine(4, 12),
		"engine at 11 Hz": sine(11, 3),
		"a slow swing":    sine(0.2, 3),
		"faint wave":      sine(1.9, 0.25),
		"driving": func(float64) float64 {
			road += 0.2*r.NormFloat64() - 0.05*road // bumps, coloured noise
			return road + 0.4*r.NormFloat64()
		},
		"picked up now and then": func(s float64) float64 {
			if d := math.Mod(s, 20); d < 2 {
				return 4 * math.Sin(7*d*d)
			}
			return 0.03 * r.NormFloat64()
		},
	} {
		var c pedometer.Counter
		const minutes = 10
		for i := range minutes * 60 * 100 {
			seconds := float64(i) / 100
			if err := c.Add(int64(i)*10_000_000, 0, 0, 9.81+move(seconds)); err != nil {
				t.Fatal(err)
			}
		}
		c.Flush()
		near(t, name, c.Steps(), 0, 10)
	}
}

// TestWalksAndPauses counts each of several walks from its first step to its last.
func TestWalksAndPauses(t *testing.T) {
	var c pedometer.Counter
	w := newWalker(50, 1.8, 11)
	for range 6 {
		w.cadence = 1.8
		w.count(t, &c, 20)
		w.cadence = 0
		w.count(t, &c, 15)
	}
	c.Flush()
	near(t, "six walks of 36 steps", c.Steps(), 6*36, 12)
}

// TestGapsAndJitter loses samples, single ones and seconds of them.
func TestGapsAndJitter(t *testing.T) {
	var c pedometer.Counter
	w := newWalker(100, 1.9, 13)
	w.jitter = 1
	lost := 0.0
	for i := 0; i < 200*100; i++ {
		s := w.next()
		switch {
		case i%4000 > 3000 && i%4000 < 3500: // 5 s every 40 s
			lost += 0.01
			continue
		case w.rand.IntN(4) == 0:
			continue
		}
		if err := c.Add(s.t, s.x, s.y, s.z); err != nil {
			t.Fatal(err)
		}
	}
	c.Flush()
	near(t, "with gaps", c.Steps(), (200-lost)*1.9, 16)
	st := c.Stats()
	if st.Gaps != 5 {
		t.Errorf("%d gaps, want 5", st.Gaps)
	}
	if got := st.Duration.Seconds(); math.Abs(got-(200-lost)) > 1 {
		t.Errorf("observed %.1f s, want %.1f", got, 200-lost)
	}
}

// TestDisorder gives every sample twice, some late, and sets the clock back by an hour.
func TestDisorder(t *testing.T) {
	var c, tidy pedometer.Counter
	w, same := newWalker(50, 1.9, 17), newWalker(50, 1.9, 17)
	same.count(t, &tidy, 60)
	tidy.Flush()
	add := func(s sample) {
		if err := c.Add(s.t, s.x, s.y, s.z); err != nil {
			t.Fatal(err)
		}
	}
	var last sample
	for range 60 * 50 {
		s := w.next()
		add(s)
		add(s)
		add(last)
		last = s
	}
	c.Flush()
	if c.Steps() != tidy.Steps() {
		t.Errorf("repeated and late samples change the count from %d to %d", tidy.Steps(), c.Steps())
	}
	if late := c.Stats().Late; late != 2*60*50-1 {
		t.Errorf("%d late samples, want %d", late, 2*60*50-1)
	}
	before := c.Steps()
	w.i = -3600 * 50
	w.count(t, &c, 60)
	c.Flush()
	near(t, "after the clock was set back", c.Steps()-before, 60*1.9, 6)
}

// TestUnits counts the same from magnitudes in any unit.
func TestUnits(t *testing.T) {
	for _, unit := range []float64{1, 1 / 9.80665, 1000 / 9.80665, 2300, 1e-6} {
		var c pedometer.Counter
		w := newWalker(25, 1.7, 19)
		for range 90 * 25 {
			s := w.next()
			if err := c.AddMagnitude(s.t, unit*math.Sqrt(s.x*s.x+s.y*s.y+s.z*s.z)); err != nil {
				t.Fatal(err)
			}
		}
		c.Flush()
		near(t, fmt.Sprintf("unit %v", unit), c.Steps(), 90*1.7, 5)
		if level := c.Stats().Level / unit; math.Abs(level-9.81) > 1 {
			t.Errorf("unit %v: 1 g taken for %.2f of it", unit, level)
		}
	}
}

func TestRefused(t *testing.T) {
	var c pedometer.Counter
	nan, inf := math.NaN(), math.Inf(1)
	for i, v := range [][3]float64{{nan, 0, 0}, {0, inf, 0}, {0, 0, -inf}, {1e200, 0, 0}, {inf, nan, 0}} {
		if err := c.Add(int64(i), v[0], v[1], v[2]); !errors.Is(err, pedometer.ErrValue) {
			t.Errorf("%v: %v, want ErrValue", v, err)
		}
	}
	for i, v := range []float64{nan, inf, -inf, -1, 1e300} {
		if err := c.AddMagnitude(int64(i), v); !errors.Is(err, pedometer.ErrValue) {
			t.Errorf("%v: %v, want ErrValue", v, err)
		}
	}
	if st := c.Stats(); st != (pedometer.Stats{}) {
		t.Errorf("refused samples left traces: %+v", st)
	}
}

// TestGrows asks after every sample: the count never goes down, follows within 25 s, and nothing is allocated.
func TestGrows(t *testing.T) {
	var c pedometer.Counter
	w := newWalker(50, 2, 23)
	last := uint64(0)
	for i := range 120 * 50 {
		s := w.next()
		if err := c.Add(s.t, s.x, s.y, s.z); err != nil {
			t.Fatal(err)
		}
		now := c.Steps()
		if now < last {
			t.Fatalf("from %d to %d steps", last, now)
		}
		last = now
		if behind := float64(i)/50*2 - float64(now); behind > 50 {
			t.Fatalf("after %d s %.0f steps behind", i/50, behind)
		}
	}
	if n := testing.AllocsPerRun(5000, func() {
		s := w.next()
		_ = c.Add(s.t, s.x, s.y, s.z)
	}); n != 0 {
		t.Errorf("%v allocations a sample", n)
	}
}

func TestRedacted(t *testing.T) {
	var c pedometer.Counter
	_ = c.Add(1, 4321.125, 0, 0)
	if got := fmt.Sprintf("%v %+v %#v", &c, &c, &c); strings.Contains(got, "4321") {
		t.Errorf("a counter prints what it holds: %.60s", got)
	}
}

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

func csvOf(w *walker, seconds int) string {
	var b strings.Builder
	b.WriteString("t_ns,accuracy,ax,ay,az\n")
	for range seconds * int(w.hz) {
		s := w.next()
		fmt.Fprintf(&b, "%d,3,%.5f,%.5f,%.5f\n", s.t, s.x, s.y, s.z)
	}
	return b.String()
}

// FuzzAdd feeds anything: no panic, nothing counted faster than anybody walks.
func FuzzAdd(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 200, 100, 7, 7, 7})
	f.Add(bytes.Repeat([]byte{40, 120, 40, 20}, 200))
	f.Add(bytes.Repeat([]byte{255, 0}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c pedometer.Counter
		var now int64
		for i := 0; i+1 < len(b); i += 2 {
			switch dt := int64(b[i]); {
			case dt == 255:
				now = math.MaxInt64 - int64(b[i+1])
			case dt == 254:
				now = math.MinInt64 + int64(b[i+1])
			case dt == 253:
				now -= int64(b[i+1]) * int64(100*time.Millisecond)
			default:
				now += dt * dt * int64(100*time.Microsecond)
			}
			v := float64(int8(b[i+1])) / 4
			if i%3 == 0 && b[0]&1 == 1 {
				_ = c.AddMagnitude(now, v)
			} else {
				_ = c.Add(now, v, 3, 4)
			}
		}
		c.Flush()
		if limit := c.Stats().Duration.Seconds()*5 + 2*float64(c.Stats().Gaps+1); float64(c.Steps()) > limit {
			t.Errorf("%d steps in %v", c.Steps(), c.Stats().Duration)
		}
	})
}
