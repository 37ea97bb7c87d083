package keyring

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
)

// Spent is how much of its privacy budget a purpose of the analytics lane has spent, for the week in which it last spent any.
type Spent struct {
	Week   int64          `cbor:"1,keyasint"` // weeks since Monday, 5 January 1970
	Amount policy.Epsilon `cbor:"2,keyasint"`
}

// WeekOf returns the number of the week, from Monday to Sunday in UTC, that unix seconds fall in.
func WeekOf(unix int64) int64 { return (unix - 4*86400) / (7 * 86400) }

// budgetName names a purpose at a controller: a budget belongs to it and to no consent.
func budgetName(controller policy.ControllerID, c policy.CategoryID, p policy.PurposeID) string {
	return string(controller) + " " + string(c) + "/" + string(p)
}

// clone gives the analytics part of a state its own copies.
func (s *State) cloneAnalytics(from *State) {
	s.Memo = slices.Clone(from.Memo)
	s.Budgets = maps.Clone(from.Budgets)
}

func (s *State) analyticsOK() bool {
	for name, b := range s.Budgets {
		if name == "" || b.Amount < 0 || b.Week < 0 {
			return false
		}
	}
	return len(s.Memo) == 0 || len(s.Memo) == KeySize
}

// Memo returns a copy of the secret from which the permanent answers of the analytics lane are drawn, 32 bytes. The first
// call makes it. It outlives every consent: with another one, withdrawing and agreeing again would draw a further answer to the same
// truth, and many of those average the noise away. The caller wipes it.
func (r *Ring) Memo() (secret Secret, err error) {
	r.View(func(s *State) { secret = slices.Clone(s.Memo) })
	if len(secret) == KeySize {
		return secret, nil
	}
	err = r.Update(func(s *State) error {
		if len(s.Memo) != KeySize {
			s.Memo = NewKey()
		}
		secret = slices.Clone(s.Memo)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("memo of answers: %w", err)
	}
	return secret, nil
}

// Budget returns what a purpose has spent in the present week, and that week. now is in unix seconds; a clock that was set back
// counts as the latest time that was seen, so it grants nothing anew.
func (r *Ring) Budget(controller policy.ControllerID, c policy.CategoryID, p policy.PurposeID, now int64) (spent policy.Epsilon, week int64) {
	r.View(func(s *State) { spent, week = s.spent(budgetName(controller, c, p), now) })
	return spent, week
}

func (s *State) spent(name string, now int64) (policy.Epsilon, int64) {
	week := WeekOf(max(now, s.HighWater))
	b := s.Budgets[name]
	if b.Week >= week {
		return b.Amount, b.Week
	}
	return 0, week
}

// Spend takes as many answers of epsilon each out of the week's budget of a purpose as it still holds, at most wanted, and
// returns how many. What it returns is spent for good, whatever comes of the answers: also after a withdrawal, a new consent,
// erasure, or a restart. It is durable when Spend returns.
func (r *Ring) Spend(q policy.Question, budget policy.Epsilon, wanted int, now int64) (answers int, err error) {
	name := budgetName(q.Controller, q.Category, q.Purpose)
	if spent, _ := r.Budget(q.Controller, q.Category, q.Purpose, now); q.Epsilon <= 0 || wanted <= 0 || budget-spent < q.Epsilon {
		return 0, nil
	}
	err = r.Update(func(s *State) error {
		spent, week := s.spent(name, now)
		answers = min(wanted, int(max(0, budget-spent)/q.Epsilon))
		if s.Budgets == nil {
			s.Budgets = map[string]Spent{}
		}
		s.Budgets[name] = Spent{week, spent + policy.Epsilon(answers)*q.Epsilon}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("spend privacy budget: %w", err)
	}
	return answers, nil
}

// WeekBegin returns when a week begins.
func WeekBegin(week int64) time.Time { return time.Unix(week*7*86400+4*86400, 0).UTC() }
