package canonical

import "testing"

func BenchmarkAppendPhone(b *testing.B) {
	for _, c := range []struct{ name, input, region string }{
		{"plain", "+8613800138000", "ZZ"},
		{"spaced", "+44 7700 900123", "CN"},
		{"national", "(202) 555-0143", "US"},
		{"idd", "0044 7700 900123", "CN"},
		{"extension", "202-555-0143 ext. 12", "US"},
		{"wrapped", "\u202a+44 7700 900123\u202c", "CN"},
		{"context", "tel:7700900123;phone-context=+44", "CN"},
		{"fullwidth", "＋４４ ７７００ ９００１２３", "CN"},
		{"vanity", "1-800-EXAMPLE", "US"},
		{"nonsense", "see card", "US"},
	} {
		b.Run("input="+c.name, func(b *testing.B) {
			in, dst := []byte(c.input), make([]byte, 0, 32)
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = AppendPhone(dst[:0], in, c.region)
			}
		})
	}
}

func BenchmarkAppendEmail(b *testing.B) {
	for _, c := range []struct{ name, input string }{
		{"short", "Jane.Doe@Example.com"},
		{"long", "  jane.doe+newsletters@mail.department.example.org\r\n"},
		{"longer", "jane.doe+everything-that-is-not-for-the-inbox-of-the-family@lists.students.department.example.org"},
		{"idna", "info@b\u00fccher.example"},
	} {
		b.Run("input="+c.name, func(b *testing.B) {
			in, dst := []byte(c.input), make([]byte, 0, 128)
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = AppendEmail(dst[:0], in)
			}
		})
	}
	b.Run("input=folded", func(b *testing.B) {
		in, dst := []byte("Jane.Doe+x@GoogleMail.com"), make([]byte, 0, 64)
		b.ReportAllocs()
		for b.Loop() {
			dst, _, _ = AppendEmailFolded(dst[:0], in)
		}
	})
}
