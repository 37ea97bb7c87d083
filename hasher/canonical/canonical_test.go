package canonical

import (
	"bytes"
	"testing"
)

func FuzzAppendEmail(f *testing.F) {
	for _, s := range []string{"Jane.Doe+x@Example.COM", " a@b ", "a@b@c", "J\u00f6rg@b\u00fccher.example", "\u212a@x.example", "a@xn--bcher-kva.example", "\u202aa@b.example\u202c", "@", "a@-b", "a@b..c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := AppendEmail(nil, in)
		if err != nil {
			if Word(err) == "" || len(got) != 0 {
				t.Fatalf("error without a word, or output beside it")
			}
			return
		}
		again, err := AppendEmail(nil, got)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("form %q is not its own form: %q, %v", got, again, err)
		}
	})
}
