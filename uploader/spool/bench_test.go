package spool

import "testing"

// BenchmarkAppend is one durable append of a small report: mostly the disk's fsync.
func BenchmarkAppend(b *testing.B) {
	f := newFixture(b)
	f.limit.Reports = 1 << 30
	f.reopen(b)
	for n := int64(0); b.Loop(); n++ {
		f.mustPut(b, n)
	}
}

// BenchmarkOpen is a start with 5,000 reports waiting, every one of which is authenticated.
func BenchmarkOpen(b *testing.B) {
	f := newFixture(b)
	for n := range int64(5000) {
		f.mustPut(b, n)
	}
	for b.Loop() {
		f.reopen(b)
	}
}
