package minimise

import (
	"math"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/sensors"
	"github.com/scruple-agent/scruple/sensors/accel"
)

// Motion collects one window of acceleration. Of every burst it keeps two words, its orientation class and
// whether the device moved; the vectors are gone when Add returns. The zero value is an empty window.
type Motion struct {
	sensors.Raw
	bursts, moving int
	orientations   map[string]int
}

// stillDeviation is the standard deviation of |a| within a burst, in m/s2, below which the device lay still:
// above the noise of cheap chips (about 0.05), below a hand's tremor while walking (above 0.6).
const stillDeviation = 0.3

// Add takes in one burst.
func (m *Motion) Add(burst []accel.Sample) {
	if len(burst) == 0 {
		return
	}
	var x, y, z, sum, squares float64
	for _, s := range burst {
		n := s.Norm()
		x, y, z, sum, squares = x+s.X, y+s.Y, z+s.Z, sum+n, squares+n*n
	}
	n := float64(len(burst))
	mean := sum / n
	if m.orientations == nil {
		m.orientations = map[string]int{}
	}
	m.bursts++
	m.orientations[orientation(x/n, y/n, z/n)]++
	if math.Sqrt(max(0, squares/n-mean*mean)) >= stillDeviation {
		m.moving++
	}
}

// orientation names the axis that gravity lies along, as screens name their postures: an axis counts when it holds at
// least 0.8 of the vector.
func orientation(x, y, z float64) string {
	n := math.Sqrt(x*x + y*y + z*z)
	switch {
	case n < 1:
		return "unknown"
	case z > 0.8*n:
		return "face-up"
	case z < -0.8*n:
		return "face-down"
	case y > 0.8*n:
		return "portrait"
	case y < -0.8*n:
		return "portrait-reversed"
	case x > 0.8*n:
		return "landscape"
	case x < -0.8*n:
		return "landscape-reversed"
	}
	return "tilted"
}

// Empty reports whether the window holds no burst.
func (m *Motion) Empty() bool { return m.bursts == 0 }

// Report closes the window: the most frequent orientation class and the shares of still and moving bursts in
// permille. Time is to the hour. The window starts anew.
func (m *Motion) Report(p consent.Permit, now time.Time) (Report, error) {
	e, err := begin(p, policy.MinimiseMotion)
	if err != nil {
		return Report{}, err
	}
	best, count := "unknown", 0
	for name, n := range m.orientations {
		if n > count || n == count && name < best {
			best, count = name, n
		}
	}
	moving := int64(0)
	if m.bursts > 0 {
		moving = int64(1000 * m.moving / m.bursts)
	}
	r, err := finish(p, e, hour(now), map[string]any{
		"orientation": best, "still": 1000 - moving, "moving": moving,
	})
	if err != nil {
		return Report{}, err
	}
	*m = Motion{}
	return r, nil
}
