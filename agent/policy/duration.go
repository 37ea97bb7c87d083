package policy

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Day is what "d" means in a duration: 24 hours.
const Day = 24 * time.Hour

var errDuration = errors.New("not a duration")

// ParseDuration reads a Go duration that may begin with days, as in "30d", "1d12h" or "90m". The error does
// not hold the text.
func ParseDuration(s string) (time.Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "0", s
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || s == "" || n > uint64(math.MaxInt64/Day)-1 {
		return 0, errDuration
	}
	var d time.Duration
	if rest != "" {
		if d, err = time.ParseDuration(rest); err != nil || d < 0 {
			return 0, errDuration
		}
	}
	if d > math.MaxInt64-time.Duration(n)*Day {
		return 0, errDuration
	}
	return time.Duration(n)*Day + d, nil
}

// FormatDuration returns the shortest form that ParseDuration reads: "30d", "1d12h0m0s", "1h", "10m".
func FormatDuration(d time.Duration) string {
	var b strings.Builder
	if d >= Day {
		b.WriteString(strconv.FormatInt(int64(d/Day), 10) + "d")
		if d %= Day; d == 0 {
			return b.String()
		}
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	b.WriteString(s)
	return b.String()
}
