package uploader

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// The retry times. The wait before the n-th repetition is random between nothing and base doubled n-1 times, at most top ("full
// jitter"), so that devices which a failure has synchronised do not come back together.
const (
	// A withdrawal matters to the person now; an hour is what a receiver's outage may add to it.
	baseA, topA = 5 * time.Second, time.Hour
	baseB, topB = 30 * time.Second, 4 * time.Hour
	// leastWait keeps full jitter from repeating at once.
	leastWait = time.Second
	// A server may ask for patience, but not for ever: it must not switch off withdrawals, and a spool is bounded in age.
	maxRetryAfterA, maxRetryAfterB = time.Hour, 24 * time.Hour
	// parkedWait is the longest wait after a refusal that a repetition will not change by itself: it waits for the person,
	// the policy or the controller. Half of it is the shortest.
	parkedWait = 24 * time.Hour
	// notInForceWait is the longest wait when the consent does not count at this moment, which costs no connection to ask.
	notInForceWait = time.Hour
)

// backoff returns how long to wait after the n-th failure in a row, n from 1.
func backoff(lane Lane, n int, err error) time.Duration {
	base, top, most := baseB, topB, maxRetryAfterB
	if lane == LaneA {
		base, top, most = baseA, topA, maxRetryAfterA
	}
	var r *Refusal
	if errors.As(err, &r) {
		if lane == LaneB && forGood(r.Kind) {
			return between(parkedWait/2, parkedWait)
		}
		if r.RetryAfter > 0 {
			wait := min(r.RetryAfter, most)
			return wait + between(0, wait/8) // never earlier, and not all at once
		}
	}
	if errors.Is(err, ErrRegion) {
		return between(parkedWait/2, parkedWait)
	}
	if errors.Is(err, consent.ErrNotInForce) {
		return between(notInForceWait/2, notInForceWait)
	}
	ceiling := top
	if doublings := n - 1; doublings < bits.Len64(uint64(top/base)) {
		ceiling = min(top, base<<doublings)
	}
	return between(leastWait, ceiling)
}

// between returns a random duration from low to high. The runtime's generator is seeded by the system.
func between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + rand.N(high-low)
}

// forGood reports whether a refusal concerns the consent as such: the controller will refuse every batch of it.
func forGood(kind wire.ProblemType) bool {
	switch kind {
	case wire.ProblemConsentWithdrawn, wire.ProblemConsentExpired, wire.ProblemPolicyMismatch, wire.ProblemWrongController:
		return true
	}
	return false
}

// spoilt reports whether a refusal concerns this one batch: others may be taken.
func spoilt(kind wire.ProblemType) bool {
	switch kind {
	case wire.ProblemUndeclaredField, wire.ProblemWrongEpoch, wire.ProblemBodyDiffers, wire.ProblemTooLarge, wire.ProblemMalformed:
		return true
	}
	return false
}

// retryAfter reads a Retry-After field (RFC 9110 section 10.2.3): seconds or a date. It returns 0 for anything else.
func retryAfter(field string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(field, 10, 64); err == nil && n > 0 {
		return time.Duration(min(n, int64(365*24*time.Hour/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(field); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// instant returns the next time after now at which lane B of a consent may send. Time is cut into halves of a slot,
// and each half has one instant, drawn without regard to when anything was read or stored; so the time of an upload tells
// no more than that something waited, and nothing waits longer than a slot. Different consents have different
// instants, which keeps their pseudonyms apart.
func (u *Uploader) instant(consent wire.UUID, now time.Time) time.Time {
	half := u.o.Slot / 2
	if half <= 0 {
		return now
	}
	for n := now.UnixNano() / int64(half); ; n++ {
		draw := append(u.secret[:], consent[:]...)
		draw = binary.BigEndian.AppendUint64(draw, uint64(n))
		sum := sha256.Sum256(draw)
		at := time.Unix(0, n*int64(half)+int64(binary.BigEndian.Uint64(sum[:])%uint64(half)))
		if at.After(now) {
			return at
		}
	}
}
