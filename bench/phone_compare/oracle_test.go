package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/scruple-agent/scruple/hasher/canonical"
)

// oracle does what PhoneNumberUtil::Parse and Format (E164) of Google's C++
// library do, step by step and with its regular expressions, on the same
// metadata that package canonical compiled. It is slow and plain on purpose.
type oracle struct {
	regions map[string]*phonenumbers.PhoneMetadata
	codes   map[int]*phonenumbers.PhoneMetadata
	cache   map[string]*regexp.Regexp
}

const (
	plusChars   = "+\uff0b"
	punctuation = "-x\u2010-\u2015\u2212\u30fc\uff0d-\uff0f \u00a0\u00ad\u200b\u2060\u3000()\uff08\uff09\uff3b\uff3d.\\[\\]/~\u2053\u223c"
	digitsOf    = `([\p{Nd}]{1,%d})`
	before      = "[ \u00a0\\t,]*"
	blanksOnly  = "[ \u00a0\\t]*"
	after       = "[:\\.\uff0e]?[ \u00a0\\t,-]*"
	explicit    = "(?:e?xt(?:ensi(?:o\u0301?|\u00f3))?n?|(?:\uff45)?\uff58\uff54(?:\uff4e)?|\u0434\u043e\u0431|anexo)"
	ambiguous   = "(?:[x\uff58#\uff03~\uff5e]|int|\uff49\uff4e\uff54)"
)

var (
	extension = ";ext=" + fmt.Sprintf(digitsOf, 20) +
		"|" + before + explicit + after + fmt.Sprintf(digitsOf, 20) + "#?" +
		"|" + before + ambiguous + after + fmt.Sprintf(digitsOf, 9) + "#?" +
		"|[- ]+" + fmt.Sprintf(digitsOf, 6) + "#" +
		"|" + blanksOnly + "(?:,{2}|;)" + after + fmt.Sprintf(digitsOf, 15) + "#?" +
		"|" + blanksOnly + "(?:,)+" + after + fmt.Sprintf(digitsOf, 9) + "#?"
	extensionRE = regexp.MustCompile("(?i)(?:" + extension + ")$")
	viableRE    = regexp.MustCompile(`^(?:(?i)\p{Nd}{2}|[` + plusChars + `]*(?:[` + punctuation + `*]*\p{Nd}){3,}[` + punctuation + `*a-z\p{Nd}]*(?:` + extension + `)?)$`)
	startRE     = regexp.MustCompile(`[` + plusChars + `\p{Nd}]`)
	unwantedRE  = regexp.MustCompile(`[^\p{N}\p{L}#]+$`)
	secondRE    = regexp.MustCompile("([^\n\v\f\r\u0085\u2028\u2029]*)[\\\\/] *x")
	alphaRE     = regexp.MustCompile(`(?i)(?:.*?[a-z]){3}`)
	plusRE      = regexp.MustCompile("^[" + plusChars + "]+")
	nonDigitRE  = regexp.MustCompile(`[^\p{Nd}]`)
	globalRE    = regexp.MustCompile(`^\+(?:\p{Nd}|[-.()])*\p{Nd}(?:\p{Nd}|[-.()])*$`)
	domainRE    = regexp.MustCompile(`^(?:[A-Za-z\p{Nd}]+(?:-*[A-Za-z\p{Nd}])*\.)*[A-Za-z]+(?:-*[A-Za-z\p{Nd}])*\.?$`)
)

func newOracle() (*oracle, error) {
	meta, err := phonenumbers.MetadataCollection()
	if err != nil {
		return nil, err
	}
	o := &oracle{make(map[string]*phonenumbers.PhoneMetadata), make(map[int]*phonenumbers.PhoneMetadata), make(map[string]*regexp.Regexp)}
	for _, m := range meta.GetMetadata() {
		if m.GetId() != "001" {
			o.regions[m.GetId()] = m
		}
		code := int(m.GetCountryCode())
		if o.codes[code] == nil || m.GetMainCountryForCode() {
			o.codes[code] = m
		}
	}
	return o, nil
}

func (o *oracle) re(pattern string) *regexp.Regexp {
	if o.cache[pattern] == nil {
		o.cache[pattern] = regexp.MustCompile(pattern)
	}
	return o.cache[pattern]
}

func (o *oracle) full(pattern, s string) bool {
	return pattern != "" && o.re("^(?:"+pattern+")$").MatchString(s)
}

func viable(s string) bool { return len(s) >= 2 && viableRE.MatchString(s) }

func interchange(s string) bool {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return false
			}
		}
		if r <= 8 || r == 0xb || 0xe <= r && r <= 0x1f || 0x7f <= r && r <= 0x9f || 0xfdd0 <= r && r <= 0xfdef || r&0xfffe == 0xfffe {
			return false
		}
	}
	return true
}

func (o *oracle) build(in string) (string, bool) {
	var national string
	if at := strings.Index(in, ";phone-context="); at >= 0 {
		context, _, _ := strings.Cut(in[at+len(";phone-context="):], ";")
		if !globalRE.MatchString(context) && !domainRE.MatchString(context) {
			return "", false
		}
		if context[0] == '+' {
			national = context
		}
		from := 0
		if tel := strings.Index(in, "tel:"); tel >= 0 {
			from = tel + 4
		}
		if from > at {
			national += in[from:]
		} else {
			national += in[from:at]
		}
	} else if interchange(in) {
		if at := startRE.FindStringIndex(in); at != nil {
			national = unwantedRE.ReplaceAllString(in[at[0]:], "")
			if m := secondRE.FindStringSubmatch(national); m != nil {
				national = m[1]
			}
		}
	}
	national, _, _ = strings.Cut(national, ";isub=")
	return national, true
}

func normalise(s string) string {
	if alphaRE.MatchString(s) {
		var b strings.Builder
		for _, r := range s {
			switch {
			case '0' <= r && r <= '9':
				b.WriteRune(r)
			case 'a' <= r && r <= 'z':
				b.WriteByte("22233344455566677778889999"[r-'a'])
			case 'A' <= r && r <= 'Z':
				b.WriteByte("22233344455566677778889999"[r-'A'])
			}
		}
		return b.String()
	}
	var b strings.Builder
	for _, r := range nonDigitRE.ReplaceAllString(s, "") {
		b.WriteByte('0' + byte(digitValue(r)))
	}
	return b.String()
}

// digitValue relies on decimal digits standing in runs of ten that start at
// multiples of ten from the run's first character.
func digitValue(r rune) int {
	first := r
	for !nonDigitRE.MatchString(string(first - 1)) {
		first--
	}
	return int(r-first) % 10
}

func (o *oracle) stripNational(m *phonenumbers.PhoneMetadata, num string) string {
	pattern := m.GetNationalPrefixForParsing()
	if num == "" || pattern == "" {
		return num
	}
	re := o.re("^(?:" + pattern + ")")
	at := re.FindStringSubmatchIndex(num)
	if at == nil {
		return num
	}
	general := m.GetGeneralDesc().GetNationalNumberPattern()
	wasViable := o.full(general, num)
	rule := m.GetNationalPrefixTransformRule()
	cut := num[at[1]:]
	if groups := re.NumSubexp(); rule != "" && groups > 0 {
		g := min(groups, 2)
		if at[2*g] >= 0 && at[2*g] < at[2*g+1] {
			cut = string(re.ExpandString(nil, regexp.MustCompile(`\$(\d)`).ReplaceAllString(rule, "$${$1}"), num, at)) + num[at[1]:]
		}
	}
	if wasViable && !o.full(general, cut) {
		return num
	}
	return cut
}

const (
	possible = iota
	localOnly
	tooShort
	tooLong
	invalidLength
)

func testLength(m *phonenumbers.PhoneMetadata, n int) int {
	lengths := m.GetGeneralDesc().GetPossibleLength()
	switch {
	case slices.Contains(m.GetGeneralDesc().GetPossibleLengthLocalOnly(), int32(n)):
		return localOnly
	case int(lengths[0]) == n:
		return possible
	case int(lengths[0]) > n:
		return tooShort
	case int(lengths[len(lengths)-1]) < n:
		return tooLong
	case slices.Contains(lengths, int32(n)):
		return possible
	}
	return invalidLength
}

// extractCountry is MaybeExtractCountryCode.
func (o *oracle) extractCountry(m *phonenumbers.PhoneMetadata, num string) (int, string, error) {
	international := false
	if p := plusRE.FindString(num); p != "" {
		num = normalise(num[len(p):])
		international = true
	} else {
		num = normalise(num)
		if m != nil {
			if p := o.re("^(?:" + m.GetInternationalPrefix() + ")").FindStringIndex(num); p != nil && !strings.HasPrefix(num[p[1]:], "0") {
				num = num[p[1]:]
				international = true
			}
		}
	}
	if international {
		if len(num) <= 2 {
			return 0, num, canonical.ErrTooShortAfterIDD
		}
		if num[0] != '0' {
			for n := 1; n <= 3; n++ {
				code, _ := strconv.Atoi(num[:n])
				if o.codes[code] != nil {
					return code, num[n:], nil
				}
			}
		}
		return 0, num, canonical.ErrCountryCode
	}
	if m != nil {
		if rest, ok := strings.CutPrefix(num, strconv.Itoa(int(m.GetCountryCode()))); ok {
			general := m.GetGeneralDesc().GetNationalNumberPattern()
			rest = o.stripNational(m, rest)
			if !o.full(general, num) && o.full(general, rest) || testLength(m, len(num)) == tooLong {
				return int(m.GetCountryCode()), rest, nil
			}
		}
	}
	return 0, num, nil
}

func (o *oracle) e164(in, region string) (string, error) {
	national, ok := o.build(in)
	if !ok || !viable(national) {
		return "", canonical.ErrNotANumber
	}
	m := o.regions[region]
	if m == nil && !plusRE.MatchString(national) {
		return "", canonical.ErrCountryCode
	}
	if at := extensionRE.FindStringIndex(national); at != nil && viable(national[:at[0]]) {
		national = national[:at[0]]
	}
	code, num, err := o.extractCountry(m, national)
	if err != nil {
		p := plusRE.FindString(national)
		if !errors.Is(err, canonical.ErrCountryCode) || p == "" {
			return "", err
		}
		if code, num, _ = o.extractCountry(m, national[len(p):]); code == 0 {
			return "", canonical.ErrCountryCode
		}
	}
	if code != 0 {
		m = o.codes[code]
	} else {
		code = int(m.GetCountryCode())
	}
	if len(num) < 2 {
		return "", canonical.ErrTooShort
	}
	cut := o.stripNational(m, num)
	if l := testLength(m, len(cut)); l == possible || l == tooLong {
		num = cut
	}
	if len(num) < 2 {
		return "", canonical.ErrTooShort
	}
	if len(num) > 17 {
		return "", canonical.ErrTooLong
	}
	return "+" + strconv.Itoa(code) + num, nil
}

// inventor makes inputs that visit the rules: prefixes of every plan, pieces of
// every pattern, and junk of every class in between.
type inventor struct {
	*rand.Rand
	regions []string
}

var pieces = []string{
	"0", "00", "1", "2", "3", "11", "15", "8", "9", "10", "86", "44", "810", "011", "119", "0011", "000", "+", "+", "++", "\uff0b", "+0",
	" ", "-", "(", ")", ".", "/", "*", "~", "x", "X", "\u00a0", "\u2011", "\u3000", "\uff0e", "[", "]", "\u200b", "\u30fc",
	"ext", " ext. ", "extension", "extensi\u00f3n", "extensio\u0301n", "\uff45\uff58\uff54\uff4e", "\u0434\u043e\u0431", "\u0414\u041e\u0411.", "anexo", "int", "\uff49\uff4e\uff54", "#", "\uff03", "\uff5e", "\uff58",
	",", ",,", ", ,", ";", ";ext=", ":", ";isub=12", ";phone-context=+", ";phone-context=example.com", ";phone-context=", "tel:", "\t", "\n", "\u2028",
	"/x", "\\ x", "CALL", "abc", "k", "\u212a", "\u017f", "\u00e9", "\u8f6c", "\u202a", "\u202c", "\u200e", "\u00bd", "\u2167", "\x01", "\xff", "\u0085", "\ufdd0", "'", "\"", "_", "@",
}

var zeros = []rune{'0', '0', '0', '0', 0x660, 0x6f0, 0xff10, 0x966, 0x1d7ce}

func (v *inventor) digits(n int) string {
	zero := zeros[v.IntN(len(zeros))]
	var b strings.Builder
	for range n {
		b.WriteRune(zero + rune(v.IntN(10)))
	}
	return b.String()
}

func (v *inventor) input(o *oracle) (in, region string) {
	region = v.regions[v.IntN(len(v.regions))]
	var b strings.Builder
	switch m := o.regions[region]; v.IntN(4) {
	case 0:
		for range 1 + v.IntN(8) {
			if v.IntN(2) == 0 {
				b.WriteString(v.digits(1 + v.IntN(7)))
			} else {
				b.WriteString(pieces[v.IntN(len(pieces))])
			}
		}
	case 1:
		if v.IntN(2) == 0 {
			b.WriteString(pieces[v.IntN(len(pieces))])
		}
		if m != nil && v.IntN(2) == 0 {
			b.WriteString(fmt.Sprint(m.GetCountryCode()))
		}
		b.WriteString(v.digits(3 + v.IntN(14)))
		for range v.IntN(4) {
			b.WriteString(pieces[v.IntN(len(pieces))])
		}
		b.WriteString(v.digits(v.IntN(8)))
	default:
		if m == nil {
			m = o.regions[v.regions[v.IntN(len(v.regions)-1)]]
		}
		num := v.sample(m)
		prefix := []string{"", "", m.GetNationalPrefix(), "00", "+", "011", fmt.Sprint(m.GetCountryCode()), fmt.Sprint("+", m.GetCountryCode()), fmt.Sprint("00", m.GetCountryCode(), m.GetNationalPrefix()), "0", "1", "8", "+0"}
		b.WriteString(prefix[v.IntN(len(prefix))])
		b.WriteString(num)
		if v.IntN(3) == 0 {
			b.WriteString(pieces[v.IntN(len(pieces))])
		}
		if v.IntN(6) == 0 {
			b.WriteString(v.digits(v.IntN(5)))
		}
	}
	return b.String(), region
}

// sample changes some digits, or the length, of an example of m's region.
func (v *inventor) sample(m *phonenumbers.PhoneMetadata) string {
	descs := []*phonenumbers.PhoneNumberDesc{m.GetFixedLine(), m.GetMobile(), m.GetTollFree(), m.GetVoip(), m.GetUan(), m.GetPremiumRate()}
	num := []byte(descs[v.IntN(len(descs))].GetExampleNumber())
	if len(num) == 0 {
		return v.digits(4 + v.IntN(9))
	}
	for range v.IntN(4) {
		num[v.IntN(len(num))] = '0' + byte(v.IntN(10))
	}
	switch v.IntN(8) {
	case 0:
		num = num[:v.IntN(len(num))]
	case 1:
		num = append(num, v.digits(v.IntN(4))...)
	case 2:
		num = num[min(v.IntN(4), len(num)):]
	}
	return string(num)
}

var (
	oracleSeed   = flag.Int("oracle-seed", 1, "seed of the invented inputs")
	oracleInputs = flag.Int("oracle-inputs", 30_000, "number of invented inputs")
)

// TestOracle compares the compiled tables with the regular expressions on
// invented inputs of every region.
func TestOracle(t *testing.T) {
	o, err := newOracle()
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(*oracleSeed)
	v := &inventor{rand.New(rand.NewPCG(seed, 2)), append(canonical.Regions(), "ZZ")}
	var dst []byte
	failed, good := 0, 0
	for range *oracleInputs {
		in, region := v.input(o)
		want, wantErr := o.e164(in, region)
		dst, err = canonical.AppendPhone(dst[:0], []byte(in), region)
		if !errors.Is(err, wantErr) || !bytes.Equal(dst, []byte(want)) {
			if failed++; failed < 20 {
				t.Errorf("%s %q: got %q %v, want %q %v", region, in, dst, err, want, wantErr)
			}
		}
		if err == nil {
			good++
		}
	}
	t.Logf("%d inputs, %d with a number, %d differ", *oracleInputs, good, failed)
}
