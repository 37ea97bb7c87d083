package consent

import (
	"fmt"

	"github.com/scruple-agent/scruple/agent/policy"
)

// End takes a consent back with erasure, as Withdraw does, because its controller has announced that the service ends and the
// day has come. What was collected under it is of no use to anybody then; the person has been told and need not answer.
func (r *Register) End(t policy.Tuple) error {
	if err := r.takeBack(t, true, agentItself); err != nil {
		return fmt.Errorf("end consent: %w", err)
	}
	return nil
}

// FirstGiven returns when a consent for a controller was given first, in unix seconds; 0 when none is known of. Of what the
// controller announced before, package notices says what concerns this person. A ledger that cannot be read answers 1: then everything does.
func (r *Register) FirstGiven(controller policy.ControllerID) int64 {
	records, err := r.Records(controller)
	if err != nil {
		return 1
	}
	for _, rec := range records {
		if rec.Erased {
			return 1 // it may have been that one
		}
		if rec.Event == EventGiven {
			return rec.Time
		}
	}
	return 0
}
