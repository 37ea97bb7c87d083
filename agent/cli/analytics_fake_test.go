package cli

import (
	"context"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
)

func (f *fake) Analytics(context.Context) ([]control.Analytics, error) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	return []control.Analytics{
		{
			Tuple: "usage/statistics", Controller: "messenger", Status: control.StatusGiven, Epsilon: "1", Budget: "2", Spent: "2", Left: "0",
			Renewed: at, True: 0.475, Ranges: []int64{0, 1, 10}, Fields: []string{"opened"}, Delay: "6d", Since: at, Until: at, Waiting: 2, Next: at,
		},
		{Tuple: "steps/statistics", Controller: "messenger", Status: control.StatusNever, Epsilon: "2", Budget: "2", Spent: "0", Left: "2", Renewed: at},
	}, nil
}
