package canonical

import (
	"bufio"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unique"
)

// sample is one line of the reference: an input, its region, and what
// libphonenumber answers.
type sample struct {
	class, region string
	input, answer string
}

// errorNumbers are the reference's names for errors.
var errorNumbers = map[string]error{
	"ERR1": ErrCountryCode, "ERR2": ErrNotANumber, "ERR3": ErrTooShortAfterIDD, "ERR4": ErrTooShort, "ERR5": ErrTooLong,
}

// reference reads the answers of Google's library, which are not part of the
// repository.
func reference(tb testing.TB) []sample {
	dir := os.Getenv("SCRUPLE_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	file, err := os.Open(filepath.Join(dir, "phones", "libphonenumber-9.0.32.tsv.gz"))
	if err != nil {
		tb.Skip("MISSING: reference answers of libphonenumber; SCRUPLE_DATA names the folder that has phones/")
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		tb.Fatal(err)
	}
	var list []sample
	for in := bufio.NewScanner(z); in.Scan(); {
		f := strings.Split(in.Text(), "\t")
		if len(f) != 5 || strings.HasPrefix(f[0], "#") {
			continue
		}
		list = append(list, sample{f[0], unique.Make(f[1]).Value(), f[2], f[3]})
	}
	return list
}

// TestReference counts where AppendPhone differs from Google's library; the
// promise is nowhere.
func TestReference(t *testing.T) {
	list := reference(t)
	perClass := make(map[string]int)
	differ := 0
	for line, s := range list {
		got, err := AppendPhone(nil, []byte(s.input), s.region)
		if want, isError := errorNumbers[s.answer]; isError && err == want || !isError && string(got) == s.answer {
			continue
		}
		perClass[s.class]++
		if differ++; differ <= 20 {
			t.Errorf("sample %d (%s, %s): %q got %q %v want %s", line+1, s.class, s.region, s.input, got, err, s.answer)
		}
	}
	t.Logf("%d samples, %d differ %v", len(list), differ, perClass)
}

// BenchmarkReference is the mean over the reference's inputs.
func BenchmarkReference(b *testing.B) {
	list := reference(b)
	inputs := make([][]byte, len(list))
	for i, s := range list {
		inputs[i] = []byte(s.input)
	}
	dst := make([]byte, 0, 32)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		dst, _ = AppendPhone(dst[:0], inputs[i], list[i].region)
		if i++; i == len(list) {
			i = 0
		}
	}
}
