package main

import (
	"path/filepath"
	"testing"

	"github.com/scruple-agent/scruple/sensors/contacts/booktest"
)

// BenchmarkWhole is the whole path over one book of 20,000 people, for profiles.
func BenchmarkWhole(b *testing.B) {
	const n = 20_000
	d, err := openDesk(filepath.Join(b.TempDir(), "desk"))
	if err != nil {
		b.Fatal(err)
	}
	defer d.close()
	s, err := newStack()
	if err != nil {
		b.Fatal(err)
	}
	for name, photos := range map[string]float64{"photos=0": 0, "photos=0.1": 0.1} {
		path := filepath.Join(b.TempDir(), "book.vcf")
		if err := booktest.Generate(1, n, booktest.Options{Photos: photos}).WriteFile(path); err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/impl=ours", func(b *testing.B) {
			for b.Loop() {
				if _, err := d.ours(path); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/contact")
		})
		b.Run(name+"/impl=theirs", func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.theirs(path); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/contact")
		})
	}
}

// BenchmarkFolder is a folder of 2,000 cards, for profiles.
func BenchmarkFolder(b *testing.B) {
	const n = 2000
	d, err := openDesk(filepath.Join(b.TempDir(), "desk"))
	if err != nil {
		b.Fatal(err)
	}
	defer d.close()
	dir := b.TempDir()
	if err := booktest.Generate(2, n, booktest.Options{}).WriteFolder(dir); err != nil {
		b.Fatal(err)
	}
	b.Run("impl=ours", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.ours(dir); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/file")
	})
	b.Run("impl=file-system", func(b *testing.B) {
		for b.Loop() {
			if err := readAll(dir); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/file")
	})
}
