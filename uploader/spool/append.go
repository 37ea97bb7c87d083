package spool

import (
	"fmt"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/minimise"
)

// Append stores a report under the permit it was made with. The permit is checked inside the lock that Erase takes, so a
// withdrawal cannot slip between. When Append returns nil the report survives a power cut; after an error it is
// not stored (a fsync that failed may still have stored it). To make room, the oldest reports are dropped and
// counted. Errors: the permit's, ErrTooLarge, ErrOtherConsent, keyring.ErrNoKey, and those of the disk.
func (s *Spool) Append(p consent.Permit, r minimise.Report) error {
	if err := s.add(p, r.Encode()); err != nil {
		return fmt.Errorf("append report: %w", err)
	}
	return nil
}
