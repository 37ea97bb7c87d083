package control

import (
	"context"
	"time"
)

// Analytics is one purpose of the analytics lane, with its privacy budget.
type Analytics struct {
	Tuple      string `json:"tuple"`
	Controller string `json:"controller"`
	Status     string `json:"status"` // of the consent
	// Epsilon is the privacy loss of one answer, Budget of all answers of a week, Spent and Left of the present week: decimal
	// numbers. What is spent stays spent, whatever becomes of the consent.
	Epsilon string    `json:"epsilon"`
	Budget  string    `json:"budget"`
	Spent   string    `json:"spent"`
	Left    string    `json:"left"`
	Renewed time.Time `json:"renewed"` // when the next week begins
	// True is the probability, 0 to 1, that an answer is the true range.
	True float64 `json:"true"`
	// Ranges are the lower bounds of the ranges that a count can fall in.
	Ranges []int64  `json:"ranges"`
	Fields []string `json:"fields"`
	Delay  string   `json:"delay"` // longest random delay of an answer
	// Since is when the present counting began and Until when answers are made of it; both absent without a consent.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Waiting answers are sent at random times, the first one at Next.
	Waiting int       `json:"waiting"`
	Next    time.Time `json:"next,omitzero"`
}

// Analytics returns every purpose of the analytics lane.
func (c *Client) Analytics(ctx context.Context) ([]Analytics, error) {
	return get[[]Analytics](ctx, c, "/v1/analytics")
}
