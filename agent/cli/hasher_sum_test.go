package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/hasher"
)

// TestSumTooMany: the memory of the pass ends where a report does, with an answer.
func TestSumTooMany(t *testing.T) {
	var book bytes.Buffer
	book.WriteString("BEGIN:VCARD\r\nVERSION:3.0\r\n")
	for i := range hasher.MaxPadded + 1 {
		fmt.Fprintf(&book, "EMAIL:p%d@example.com\r\n", i)
	}
	book.WriteString("END:VCARD\r\n")
	name := filepath.Join(t.TempDir(), "book.vcf")
	if err := os.WriteFile(name, book.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SCRUPLE_STATE_DIR", t.TempDir())
	var out, errs bytes.Buffer
	code := Main(context.Background(), []string{"hasher", "sum", name, "--lang", "en", "--region", "ZZ"}, Options{Stdin: &bytes.Buffer{}, Stdout: &out, Stderr: &errs})
	if code != 1 || out.Len() != 0 || !strings.Contains(errs.String(), "more than 524288") {
		t.Errorf("exit code %d, %q, %q", code, out.String(), errs.String())
	}
}
