package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
)

// when writes a time as a person reads it, in their own time zone; "-" for none.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

// counts writes a map of counts in a stable order, "" for none.
func counts(m map[string]int) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s %d", key, m[key]))
	}
	return strings.Join(list, ", ")
}

func (a *app) reason(r control.Reason) string {
	if words, ok := reasonWords[r]; ok {
		return a.t(words)
	}
	return string(r)
}

// state says how a consent stands: also that it was given and does not count.
func (a *app) state(c control.ConsentState) string {
	if c.NotInForce == "" {
		return a.status(c.Status)
	}
	return a.status(c.Status) + a.t(T{", but ", "，但"}) + a.reason(c.NotInForce)
}

func (a *app) status(s string) string {
	if words, ok := statusWords[s]; ok {
		return a.t(words)
	}
	return s
}

func (a *app) kernel(s string) string {
	if words, ok := kernelWords[s]; ok {
		return a.t(words)
	}
	return s
}

// join puts the parts that are there behind one another.
func join(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator)
}
