package canonical

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// phoneForms are invented numbers and ones that regulators keep for fiction, in
// the spellings that libphonenumber's rules are about.
var phoneForms = []struct {
	region, input string
	want          string // E.164, or the word of an error
}{
	// International prefix: plus sign, the region's own, none.
	{"ZZ", "+442079460123", "+442079460123"},
	{"", "+44 (0) 7700 900123", "+447700900123"},
	{"CN", "0044 7700 900123", "+447700900123"},
	{"US", "011 44 7700 900123", "+447700900123"},
	{"AU", "0011 44 7700 900123", "+447700900123"},
	{"RU", "8~10 44 7700 900123", "+447700900123"},
	{"GB", "44 7700 900123", "+447700900123"},
	{"CN", "++44 7700 900123", "+447700900123"},
	{"CN", "+0044 7700 900123", "+447700900123"}, // a plus before the prefix
	{"DE", "+0 44 7700", "country-code"},
	{"CN", "00 0 44 7700 900123", "+8600447700900123"},

	// National prefix, carrier code, rules that put something in its place.
	{"US", "(202) 555-0143", "+12025550143"},
	{"US", "1 202 555 0143", "+12025550143"},
	{"GB", "07700 900123", "+447700900123"},
	{"AU", "0491 570 156", "+61491570156"},
	{"FR", "01 99 00 12 34", "+33199001234"},
	{"IT", "06 0000 0123", "+390600000123"}, // the zero is part of the number
	{"SM", "0549 812345", "+3780549812345"},
	{"SM", "812345", "+3780549812345"},
	{"AR", "011 15-5555-0123", "+5491155550123"},
	{"BR", "0 15 11 5555-0123", "+551155550123"},
	{"CN", "17951 13800138000", "+8613800138000"},
	{"CN", "86 138 0013 8000", "+8613800138000"},
	{"BB", "429 0123", "+12464290123"},
	{"JP", "000 2123456", "+810002123456"},
	{"CN", "10086", "+8610086"},

	// Scripts and punctuation.
	{"CN", "\uff0b\uff14\uff14 \uff17\uff17\uff10\uff10 \uff19\uff10\uff10\uff11\uff12\uff13", "+447700900123"},
	{"EG", "\u0660\u0662 \u0660\u0660\u0660\u0660 \u0661\u0662\u0663\u0664", "+20200001234"},
	{"US", "202\u2011555\u20110143", "+12025550143"},
	{"US", "\u202a202-555-0143\u202c", "+12025550143"},
	{"US", "202.555.0143.", "+12025550143"},
	{"US", "202-555-0143\u30fc", "+12025550143"},

	// Words around, second numbers, extensions.
	{"US", "call 202-555-0143 (home)", "+120255501434663"}, // a vanity number, alas
	{"US", "call 202-555-0143 (me)", "+12025550143"},
	{"US", "tel:202-555-0143", "+12025550143"},
	{"US", "202-555-0143 x12/x34", "+12025550143"},
	{"US", "202-555-0143/202-555-0144", "too-long"},
	{"US", "202-555-0143 ext. 12", "+12025550143"},
	{"US", "202-555-0143 EXTENSI\u00d3N: 12", "+12025550143"},
	{"US", "202-555-0143 extensio\u0301n 12", "+12025550143"},
	{"RU", "8 800 000-01-23 \u0414\u043e\u0431. 12", "+78000000123"},
	{"JP", "03-0000-0123 \uff45\uff58\uff54\uff4e12", "+81300000123"},
	{"US", "202-555-0143 anexo 12", "+12025550143"},
	{"US", "202-555-0143 #12", "+12025550143"},
	{"US", "202-555-0143 - 12#", "+12025550143"},
	{"US", "202-555-0143,,123456789012345", "+12025550143"},
	{"US", "202-555-0143,1234567890", "not-a-number"}, // ten digits after one comma
	{"US", "202-555-0143;12", "+12025550143"},
	{"US", "202-555-0143, , -12", "+12025550143"},
	{"US", "202-555-0143, :12", "not-a-number"},
	{"US", "12x345", "+112"},

	// RFC 3966.
	{"ZZ", "tel:7700-900123;phone-context=+44", "+447700900123"},
	{"GB", "tel:07700900123;phone-context=example.com", "+447700900123"},
	{"GB", "tel:07700900123;phone-context=", "not-a-number"},
	{"GB", "tel:07700900123;phone-context=-bad", "not-a-number"},
	{"ZZ", "tel:+44-7700-900123;isub=12345", "+447700900123"},
	{"ZZ", "tel:+44-7700-900123;ext=12", "+447700900123"},
	{"GB", "07700900123;phone-context=a;tel:+442079460123", "+442079460123"},

	// Letters for digits; two letters are a slip of the pen.
	{"US", "202-555-CALL", "+12025552255"},
	{"US", "202-555k0143", "+12025550143"},
	{"US", "202-\uff15\uff15\uff15-0143 abc", "+12020143222"},

	// Errors.
	{"ZZ", "202-555-0143", "country-code"},
	{"XX", "202-555-0143", "country-code"},
	{"us", "202-555-0143", "country-code"},
	{"ZZ", "+999 202 555 0143", "country-code"},
	{"US", "", "not-a-number"},
	{"US", "home", "not-a-number"},
	{"US", "1", "not-a-number"},
	{"US", "\x01 202-555-0143", "not-a-number"},
	{"US", "202-555-0143 \xff", "not-a-number"},
	{"US", "1-2", "not-a-number"},
	{"US", "12", "+112"},
	{"US", "011 44", "too-short-after-idd"},
	{"US", "+4+4", "not-a-number"},
	{"ZZ", "+443", "too-short"},
	{"US", "011 443", "too-short"},
	{"CN", "138001380001380013800", "too-long"},
}

func TestAppendPhone(t *testing.T) {
	for _, c := range phoneForms {
		got, err := AppendPhone(nil, []byte(c.input), c.region)
		form := string(got)
		if err != nil {
			form += Word(err)
		}
		if form != c.want {
			t.Errorf("region %q, input %q: got %s, want %s", c.region, c.input, form, c.want)
		}
	}
}

// TestPhoneAgain: a form that stands for a number is its own form, wherever it is read.
func TestPhoneAgain(t *testing.T) {
	for _, c := range phoneForms {
		if c.want[0] != '+' || len(c.want) > 15 {
			continue
		}
		for _, region := range []string{"ZZ", "US", c.region} {
			if got, err := AppendPhone(nil, []byte(c.want), region); err != nil || string(got) != c.want {
				t.Errorf("%s read in %s: got %s, %v", c.want, region, got, err)
			}
		}
	}
}

func TestAppendPhoneKeepsDst(t *testing.T) {
	dst := []byte("before ")
	got, err := AppendPhone(dst, []byte("202-555-0143"), "US")
	if err != nil || string(got) != "before +12025550143" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, c := range phoneForms {
		if c.want[0] == '+' {
			continue
		}
		if got, _ := AppendPhone(dst, []byte(c.input), c.region); string(got) != "before " {
			t.Errorf("%q: an error left %q", c.input, got)
		}
	}
}

// TestLongPhones: size changes neither the answer's kind nor what is allocated
// beyond the input's own size, and time is linear in it.
func TestLongPhones(t *testing.T) {
	const n = 1 << 20
	for _, c := range []struct {
		name, input string
		want        error
	}{
		{"digits", strings.Repeat("7", n), ErrTooLong},
		{"digits behind a plus", "+44" + strings.Repeat("7", n), ErrTooLong},
		{"blanks before an extension", "202-555-0143" + strings.Repeat(" ", n) + "x12", nil},
		{"dashes before an extension", "202-555-0143" + strings.Repeat("- ", n/2) + "12#", nil},
		{"commas before an extension", "202-555-0143" + strings.Repeat(",", n) + "12", nil},
		{"slashes", "202-555-0143" + strings.Repeat("/", n) + "x", nil},
		{"slashes and blanks", "2" + strings.Repeat("/ ", n/2) + "x1", ErrNotANumber},
		{"words before", strings.Repeat("tel:", n/4) + "202-555-0143", nil},
		{"junk behind", "202-555-0143" + strings.Repeat("\u202c", n/3), nil},
		{"zeros", strings.Repeat("0", n), ErrTooLong},
	} {
		if _, err := AppendPhone(nil, []byte(c.input), "US"); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestPhoneAllocations(t *testing.T) {
	dst := make([]byte, 0, 32)
	for _, c := range phoneForms {
		in := []byte(c.input)
		if n := testing.AllocsPerRun(10, func() { dst, _ = AppendPhone(dst[:0], in, c.region) }); n != 0 {
			t.Errorf("%q: %v allocations", c.input, n)
		}
	}
}

func TestRegions(t *testing.T) {
	list := Regions()
	if len(list) != 245 || !slices.IsSorted(list) {
		t.Errorf("%d regions, sorted %v; want 245, true", len(list), slices.IsSorted(list))
	}
	for _, region := range list {
		if !ValidRegion(region) {
			t.Errorf("region %s of the list is not valid", region)
		}
	}
	for _, region := range []string{"", "ZZ", "001", "us", "U", "USA", "\xff\xff"} {
		if ValidRegion(region) {
			t.Errorf("region %q is valid", region)
		}
	}
}

func TestWord(t *testing.T) {
	words := make(map[string]bool)
	for _, err := range []error{ErrCountryCode, ErrNotANumber, ErrTooShortAfterIDD, ErrTooShort, ErrTooLong, ErrNotAnAddress, ErrBadDomain} {
		word := Word(fmt.Errorf("card 17: %w", err))
		if word == "" || words[word] || strings.ContainsAny(word, " \t") {
			t.Errorf("%v has the word %q", err, word)
		}
		words[word] = true
	}
	if Word(nil) != "" || Word(errors.ErrUnsupported) != "" {
		t.Error("a foreign error has a word")
	}
}

func FuzzAppendPhone(f *testing.F) {
	for _, c := range phoneForms {
		f.Add([]byte(c.input), c.region)
	}
	f.Fuzz(func(t *testing.T, in []byte, region string) {
		kept := bytes.Clone(in)
		got, err := AppendPhone([]byte("|"), in, region)
		if !bytes.Equal(in, kept) {
			t.Fatal("input was changed")
		}
		if err != nil {
			if Word(err) == "" || string(got) != "|" {
				t.Fatalf("error %v left %q", err, got)
			}
			return
		}
		form, ok := bytes.CutPrefix(got, []byte("|+"))
		if !ok || len(form) < 3 || len(form) > 20 {
			t.Fatalf("%q is not E.164 in shape", got)
		}
		for _, c := range form {
			if c < '0' || c > '9' {
				t.Fatalf("%q is not E.164 in shape", got)
			}
		}
		// The general reader and the plain case's must agree.
		slow, err := appendSlow(nil, in, planOf(region))
		if err != nil || !bytes.Equal(slow, got[1:]) {
			t.Fatalf("the general reader gives %q, %v; the plain one %q", slow, err, got)
		}
		// A country is stated now, so the region has no say any more.
		again, err := AppendPhone(nil, got[1:], region)
		nowhere, err2 := AppendPhone(nil, got[1:], "ZZ")
		if err == nil && err2 == nil && !bytes.Equal(again, nowhere) {
			t.Fatalf("%q reads %q here and %q nowhere", got, again, nowhere)
		}
	})
}
