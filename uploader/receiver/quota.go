package receiver

import (
	"sync"
	"time"
)

// class of requests that share a quota.
type class uint8

const (
	unlimited class = iota
	batches
	epochs
	accesses
	// nameless is the analytics lane: its senders are not known, so all of them share one bucket, and no address is kept.
	nameless
)

// Rate is a token bucket: Burst requests at once, and one more per Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// Limits per pseudonym. Lane A has none.
type Limits struct {
	Batches  Rate // PUT /v1/batches
	Epochs   Rate // GET /v1/contacts/epoch
	Accesses Rate // GET /v1/data, GET /v1/controller, GET /v1/notices
	// Analytics is POST /v1/analytics, for all senders together.
	Analytics Rate
}

// DefaultLimits are far above what an honest agent asks for: it sends at most a few batches an hour (a person may flush
// by hand), fetches an epoch once a week, and shows data when the person looks.
var DefaultLimits = Limits{
	Batches:  Rate{Burst: 1000, Every: 10 * time.Second},
	Epochs:   Rate{Burst: 100, Every: 10 * time.Minute},
	Accesses: Rate{Burst: 100, Every: time.Minute},
	// A million devices with ten answers a week send 17 a second.
	Analytics: Rate{Burst: 10_000, Every: 10 * time.Millisecond},
}

func (l Limits) orDefault() Limits {
	if l.Batches == (Rate{}) {
		l.Batches = DefaultLimits.Batches
	}
	if l.Epochs == (Rate{}) {
		l.Epochs = DefaultLimits.Epochs
	}
	if l.Accesses == (Rate{}) {
		l.Accesses = DefaultLimits.Accesses
	}
	if l.Analytics == (Rate{}) {
		l.Analytics = DefaultLimits.Analytics
	}
	return l
}

func (l Limits) of(c class) Rate {
	switch c {
	case batches:
		return l.Batches
	case epochs:
		return l.Epochs
	case accesses:
		return l.Accesses
	case nameless:
		return l.Analytics
	}
	return Rate{}
}

// maxBuckets bounds the memory of a quota: about 100 bytes each. It is more than the pseudonyms that are
// active within the time a bucket needs to fill.
const maxBuckets = 1 << 16

// quota counts requests in memory only: a restart forgives, and nothing about who asked when is stored.
type quota struct {
	mu      sync.Mutex
	buckets map[bucketKey]time.Time // when the bucket will be full again
}

type bucketKey struct {
	p Pseudonym
	c class
}

// take counts one request; it returns how long to wait when there is none left.
func (q *quota) take(p Pseudonym, c class, l Limits, now time.Time) time.Duration {
	r := l.of(c)
	if r.Burst <= 0 || r.Every <= 0 {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.buckets) >= maxBuckets {
		q.drop(now)
	}
	full := q.buckets[bucketKey{p, c}]
	// A bucket that lacks n tokens is full again in n × Every. A clock that was set back does not lock anyone out.
	if full.Before(now) || full.Sub(now) > time.Duration(r.Burst)*r.Every {
		full = now
	}
	full = full.Add(r.Every)
	if lack := full.Sub(now) - time.Duration(r.Burst)*r.Every; lack > 0 {
		return lack
	}
	if q.buckets == nil {
		q.buckets = make(map[bucketKey]time.Time)
	}
	q.buckets[bucketKey{p, c}] = full
	return 0
}

// drop forgets the buckets that are full, or all when none is.
func (q *quota) drop(now time.Time) {
	for k, full := range q.buckets {
		if !full.After(now) {
			delete(q.buckets, k)
		}
	}
	if len(q.buckets) >= maxBuckets {
		clear(q.buckets)
	}
}
