package receiver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var noLimits = receiver.Limits{Batches: receiver.Rate{Burst: 1 << 30, Every: time.Nanosecond}}

// BenchmarkBatch is a batch from its bytes to the receipt, TLS, two syncs to disk and all.
func BenchmarkBatch(b *testing.B) {
	r := receivertest.New(b, receivertest.Options{Limits: noLimits})
	c := r.Client(b, "steps", "compare")
	c.Give(b)
	for b.Loop() {
		c.Receipt(b, c.Send(b, wire.Item{Fields: map[string]any{"total": int64(1)}}))
	}
}

// BenchmarkMatch is a contacts batch against 10,000 registered users.
func BenchmarkMatch(b *testing.B) {
	r := receivertest.New(b, receivertest.Options{Limits: noLimits})
	var list []receiver.Identifier
	for i := range 10000 {
		list = append(list, receiver.Identifier{Name: fmt.Sprint(i), Phone: number(i)})
	}
	if _, err := r.Store.AddUsers(b.Context(), list, "US", r.Now()); err != nil {
		b.Fatal(err)
	}
	c := r.Client(b, "contacts", "find-friends")
	c.Give(b)
	e := c.Epoch(b)
	for _, n := range []int{1024, 8192} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			var numbers []string
			for i := range n {
				numbers = append(numbers, number(2*i))
			}
			item := receivertest.Contacts(b, e, r.Now(), numbers...)
			for b.Loop() {
				c.Receipt(b, c.Send(b, item))
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "digests/s")
		})
	}
}
