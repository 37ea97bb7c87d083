package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/ledger"
	"github.com/scruple-agent/scruple/agent/receipt"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var update = flag.Bool("update", false, "write the golden receipts anew, which no released version may need")

type doc = map[string]any

// node returns an inner object of a receipt.
func node(d doc, path ...any) doc {
	var v any = d
	for _, step := range path {
		switch step := step.(type) {
		case string:
			v = v.(doc)[step]
		case int:
			v = v.([]any)[step]
		}
	}
	return v.(doc)
}

func record(d doc) doc   { return node(d, "dpv:hasRecordOfActivity", 0) }
func process(d doc) doc  { return node(record(d), "dpv:hasProcess", 0) }
func evidence(d doc) doc { return node(d, "scruple:evidence") }

// inProof changes the parsed proof of a receipt.
func inProof(change func(*ledger.Proof)) func(t testing.TB, d, other doc) {
	return func(t testing.TB, d, _ doc) {
		p, err := ledger.ParseProof([]byte(evidence(d)["scruple:proof"].(string)))
		if err != nil {
			t.Fatal(err)
		}
		change(&p)
		evidence(d)["scruple:proof"] = string(p.Encode())
	}
}

func set(of func(doc) doc, key string, value any) func(testing.TB, doc, doc) {
	return func(_ testing.TB, d, _ doc) { of(d)[key] = value }
}

func flip(of func(doc) doc, key string) func(testing.TB, doc, doc) {
	return func(t testing.TB, d, _ doc) {
		b, err := base64.StdEncoding.DecodeString(of(d)[key].(string))
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		of(d)[key] = base64.StdEncoding.EncodeToString(b)
	}
}

func take(of func(doc) doc, key string) func(testing.TB, doc, doc) {
	return func(_ testing.TB, d, other doc) { of(d)[key] = of(other)[key] }
}

func whole(d doc) doc { return d }

func within(of func(doc) doc, path ...any) func(doc) doc {
	return func(d doc) doc { return node(of(d), path...) }
}

// forgeries change one thing of the receipt of a consent that was given, each its own; other is the receipt of its
// withdrawal, of the same ledger.
var forgeries = map[string]struct {
	part  receipt.Part
	forge func(t testing.TB, d, other doc)
}{
	"evidence missing":          {"format", func(_ testing.TB, d, _ doc) { delete(d, "scruple:evidence") }},
	"evidence with another key": {"format", set(evidence, "scruple:more", "x")},
	"salt too short":            {"format", set(evidence, "scruple:salt", "AAAA")},
	"salt not base64":           {"format", set(evidence, "scruple:salt", "!")},
	"record in two lines": {"format", func(_ testing.TB, d, _ doc) {
		evidence(d)["scruple:record"] = "\n" + evidence(d)["scruple:record"].(string)
	}},
	"a number":                {"format", set(record, "scruple:policyVersion", 1)},
	"null":                    {"format", set(record, "dpv:hasNotice", nil)},
	"key missing":             {"key", set(evidence, "scruple:key", "")},
	"key of another ledger":   {"key", func(t testing.TB, d, _ doc) { evidence(d)["scruple:key"] = otherKey(t) }},
	"proof not one":           {"proof", set(evidence, "scruple:proof", "proof")},
	"proof of another format": {"proof", set(evidence, "scruple:proof", "c2sp.org/tlog-proof@v2\nindex 0\n\n")},
	"checkpoint missing":      {"checkpoint", inProof(func(p *ledger.Proof) { p.Checkpoint = nil })},
	"signature missing": {"checkpoint", inProof(func(p *ledger.Proof) {
		p.Checkpoint = p.Checkpoint[:bytes.LastIndexByte(p.Checkpoint[:len(p.Checkpoint)-1], '\n')+1]
	})},
	"signature altered":          {"checkpoint", inProof(func(p *ledger.Proof) { p.Checkpoint[len(p.Checkpoint)-10] ^= 1 })},
	"size raised":                {"checkpoint", inProof(func(p *ledger.Proof) { p.Checkpoint = bytes.Replace(p.Checkpoint, []byte("\n"), []byte("\n1"), 1) })},
	"name altered":               {"checkpoint", inProof(func(p *ledger.Proof) { p.Checkpoint[0] ^= 1 })},
	"root altered":               {"checkpoint", inProof(func(p *ledger.Proof) { i := bytes.Index(p.Checkpoint, []byte("\n\n")); p.Checkpoint[i-10] ^= 1 })},
	"index altered":              {"proof", inProof(func(p *ledger.Proof) { p.Index-- })},
	"index beyond the ledger":    {"proof", inProof(func(p *ledger.Proof) { p.Index = 1 << 40 })},
	"path altered":               {"proof", inProof(func(p *ledger.Proof) { p.Path[0][5] ^= 1 })},
	"path too short":             {"proof", inProof(func(p *ledger.Proof) { p.Path = p.Path[1:] })},
	"path too long":              {"proof", inProof(func(p *ledger.Proof) { p.Path = append(p.Path, [32]byte{}) })},
	"path in another order":      {"proof", inProof(func(p *ledger.Proof) { slices.Reverse(p.Path) })},
	"proof of another record":    {"proof", take(evidence, "scruple:proof")},
	"salt of another record":     {"proof", take(evidence, "scruple:salt")},
	"salt altered":               {"proof", flip(evidence, "scruple:salt")},
	"record of another receipt":  {"proof", take(evidence, "scruple:record")},
	"record altered":             {"proof", flip(evidence, "scruple:record")},
	"record empty":               {"proof", set(evidence, "scruple:record", "")},
	"evidence of another record": {"field", func(_ testing.TB, d, other doc) { d["scruple:evidence"] = other["scruple:evidence"] }},
	"terms missing":              {"terms", func(_ testing.TB, d, _ doc) { delete(record(d), "scruple:terms") }},
	"terms no object":            {"terms", set(record, "scruple:terms", "all of them")},
	"terms with a list":          {"terms", set(within(record, "scruple:terms"), "retention.device", []any{"30d"})},
	"terms altered":              {"terms", set(within(record, "scruple:terms"), "retention.device", "3650d")},
	"terms with one more":        {"terms", set(within(record, "scruple:terms"), "purpose.recipients", "Somebody Ltd.")},
	"terms without one":          {"terms", func(_ testing.TB, d, _ doc) { delete(record(d)["scruple:terms"].(doc), "purpose.feature") }},
	"records missing":            {"terms", set(whole, "dpv:hasRecordOfActivity", []any{})},
	"notice missing":             {"notice", func(_ testing.TB, d, _ doc) { delete(record(d), "dpv:hasNotice") }},
	"notice altered": {"notice", func(_ testing.TB, d, _ doc) {
		n := node(record(d), "dpv:hasNotice")
		n["scruple:text"] = n["scruple:text"].(string) + " "
	}},
	"notice with a surrogate":     {"notice", set(within(record, "dpv:hasNotice"), "scruple:text", "SURROGATE")},
	"hash of the notice altered":  {"field", set(within(record, "dpv:hasNotice"), "scruple:sha256", strings.Repeat("0", 64))},
	"notice in another language":  {"field", set(within(record, "dpv:hasNotice"), "dct:language", "zh-CN")},
	"context altered":             {"field", set(within(whole, "@context"), "dpv", "https://example.com/#")},
	"type altered":                {"field", set(whole, "@type", "dpv:ConsentRecord")},
	"schema altered":              {"field", set(within(whole, "dct:conformsTo"), "@id", "https://example.com/schema")},
	"receipt id of another":       {"field", take(whole, "dct:identifier")},
	"record id of another":        {"field", take(record, "dct:identifier")},
	"subject id of another":       {"field", take(record, "dpv:hasDataSubject")},
	"time of making altered":      {"field", set(whole, "dct:created", "2020-01-01T00:00:00Z")},
	"time altered":                {"field", set(within(record, "dpv:hasConsentStatus"), "dpv:isIndicatedAtTime", "2020-01-01T00:00:00Z")},
	"given for withdrawn":         {"field", set(within(record, "dpv:hasConsentStatus"), "@type", "dpv:ConsentWithdrawn")},
	"status of another":           {"field", take(record, "dpv:hasConsentStatus")},
	"indicated by somebody else":  {"field", set(within(record, "dpv:hasConsentStatus", "dpv:isIndicatedBy"), "@id", "dpv:GuardianOfDataSubject")},
	"consent made implied":        {"field", set(within(record, "dpv:hasLegalBasis"), "@id", "dpv:ImpliedConsent")},
	"expiry altered":              {"field", set(within(record, "dpv:hasDuration"), "scruple:until", "2099-01-01T00:00:00Z")},
	"endless":                     {"field", set(within(record, "dpv:hasDuration"), "@type", "dpv:EndlessDuration")},
	"jurisdiction altered":        {"field", set(within(record, "dpv:hasJurisdiction"), "@id", "loc:US")},
	"policy altered":              {"field", set(record, "scruple:policy", "another")},
	"policy version altered":      {"field", set(record, "scruple:policyVersion", "2")},
	"guardian added":              {"field", set(record, "scruple:guardian", strings.Repeat("0", 64))},
	"purpose altered":             {"field", set(within(process, "dpv:hasPurpose"), "dct:description", "anything")},
	"name of the purpose altered": {"field", set(process, "dct:identifier", "steps/sell")},
	"data added": {"field", func(_ testing.TB, d, _ doc) {
		list := process(d)["dpv:hasPersonalData"].([]any)
		process(d)["dpv:hasPersonalData"] = append(list, list[0])
	}},
	"data made basic":    {"field", set(within(process, "dpv:hasPersonalData", 0), "@type", "dpv:PersonalData")},
	"data made required": {"field", set(within(process, "dpv:hasPersonalData", 0, "dpv:hasNecessity"), "@id", "dpv:Required")},
	"controller altered": {"field", set(within(process, "dpv:hasDataController", 0), "dpv:hasName", "Somebody Ltd.")},
	"contact altered":    {"field", set(within(process, "dpv:hasDataController", 0), "dpv:hasContact", "nobody@example.com")},
	"address altered":    {"field", set(within(process, "dpv:hasDataController", 0), "dpv:hasAddress", "https://example.com")},
	"recipient added": {"field", func(_ testing.TB, d, _ doc) {
		process(d)["dpv:hasRecipient"] = append(process(d)["dpv:hasRecipient"].([]any), doc{"@type": "dpv:ThirdParty", "dpv:hasName": "Somebody Ltd."})
	}},
	"retention altered":  {"field", set(within(process, "dpv:hasStorageCondition", 1, "dpv:hasDuration"), "scruple:duration", "1d")},
	"storage elsewhere":  {"field", set(within(process, "dpv:hasStorageCondition", 2, "dpv:hasLocation"), "@id", "loc:US")},
	"way back removed":   {"field", func(_ testing.TB, d, _ doc) { process(d)["dpv:hasConsentControl"] = []any{} }},
	"way back altered":   {"field", set(within(process, "dpv:hasConsentControl", 0), "scruple:command", "scruple consent give steps/compare")},
	"field added":        {"field", set(whole, "dct:title", "x")},
	"field removed":      {"field", func(_ testing.TB, d, _ doc) { delete(record(d), "scruple:policy") }},
	"second record":      {"field", func(_ testing.TB, d, other doc) { d["dpv:hasRecordOfActivity"] = []any{record(d), record(other)} }},
	"list for an object": {"field", set(record, "dpv:hasConsentStatus", []any{})},
	"object for a text":  {"field", set(record, "scruple:policy", doc{})},
}

// otherKey is the key of a ledger of somebody else.
func otherKey(t testing.TB) string {
	_, keys := life(t)
	return keys["messenger"]
}

// files are damaged as bytes.
func files(good []byte) map[string][]byte {
	return map[string][]byte{
		"empty":               {},
		"no JSON":             []byte("receipt"),
		"a list":              []byte("[]"),
		"a text":              []byte(`"receipt"`),
		"an empty object":     []byte("{}"),
		"cut off":             good[:len(good)/2],
		"twice":               slices.Concat(good, good),
		"a key twice":         bytes.Replace(good, []byte(`"@type"`), []byte(`"@type": "dpv:ConsentReceipt", "@type"`), 1),
		"not UTF-8":           bytes.Replace(good, []byte("Example"), []byte("Ex\xffmple"), 1),
		"a control character": bytes.Replace(good, []byte("Example"), []byte("Ex\x01mple"), 1),
		"a comma too many":    bytes.Replace(good, []byte("\n}"), []byte(",\n}"), 1),
		"huge":                slices.Concat(good, bytes.Repeat([]byte(" "), receipt.MaxSize)),
		"deep":                bytes.Repeat([]byte("["), 100_000),
		"deep and whole":      slices.Concat(bytes.Repeat([]byte("["), 50_000), bytes.Repeat([]byte("]"), 50_000)),
		"a mark before it":    slices.Concat([]byte("\ufeff"), good),
	}
}

// Each forgery is refused with the part that does not hold, here and by the program in another language, and the reason
// holds no value.
func TestForgedReceipts(t *testing.T) {
	receipts, keys := life(t)
	good, other, key := receipts["steps/compare given"], receipts["steps/compare withdrawn"], keys["messenger"]
	var (
		forged [][]byte
		parts  []string
	)
	check := func(name string, file []byte, part receipt.Part) {
		t.Helper()
		_, err := receipt.Verify(file, key)
		var fault *receipt.Fault
		if !errors.As(err, &fault) || fault.Part != part {
			t.Errorf("%s: %v, want a fault of the %s", name, err, part)
			return
		}
		for _, value := range []string{"Somebody", "nobody@", "2099", "Example Messenger"} {
			if strings.Contains(err.Error(), value) {
				t.Errorf("%s: the error holds a value", name)
			}
		}
		forged = append(forged, file)
		parts = append(parts, name+": "+string(part))
	}
	for _, name := range slices.Sorted(maps.Keys(forgeries)) {
		f, d := forgeries[name], decode(t, good)
		f.forge(t, d, decode(t, other))
		file := bytes.Replace(encode(t, d), []byte("SURROGATE"), []byte(`\ud800`), 1)
		check(name, file, f.part)
	}
	damaged := files(good)
	for _, name := range slices.Sorted(maps.Keys(damaged)) {
		check(name, damaged[name], receipt.PartFormat)
	}
	check("a receipt of somebody else", func() []byte { r, _ := life(t); return r["steps/compare given"] }(), receipt.PartKey)
	if _, err := receipt.Verify(good, "no key"); err == nil {
		t.Error("verified with no key at all")
	}
	said := inPython(t, key, forged...)
	for i, want := range parts {
		if name, part, _ := strings.Cut(want, ": "); said[i] != part {
			t.Errorf("%s: verify.py says %q, want %q", name, said[i], part)
		}
	}
}

// Whatever single value of a receipt is altered, taken away or added, anywhere in it, the receipt does not verify, here nor in another language.
func TestEveryValueIsProven(t *testing.T) {
	receipts, keys := life(t)
	var (
		forged [][]byte
		places []string
	)
	good := receipts["steps/compare given"]
	alter := func(place string, change func(d doc)) {
		t.Helper()
		d := decode(t, good)
		change(d)
		file := encode(t, d)
		if _, err := receipt.Verify(file, keys["messenger"]); err == nil {
			t.Errorf("%s: the altered receipt verifies", place)
		}
		forged, places = append(forged, file), append(places, place)
	}
	var walk func(at string, v any, put func(d doc, v any))
	walk = func(at string, v any, put func(d doc, v any)) {
		switch v := v.(type) {
		case doc:
			for key, inner := range v {
				in := func(d doc) doc { return inside(d, at).(doc) }
				alter(at+"/"+key+" taken away", func(d doc) { delete(in(d), key) })
				walk(at+"/"+key, inner, func(d doc, v any) { in(d)[key] = v })
			}
			alter(at+" with more", func(d doc) { inside(d, at).(doc)["scruple:addition"] = "x" })
		case []any:
			for i, inner := range v {
				walk(at+"/"+strconv.Itoa(i), inner, func(d doc, v any) { inside(d, at).([]any)[i] = v })
			}
			alter(at+" longer", func(d doc) { put(d, append(slices.Clone(v), v[0])) })
		case string:
			alter(at+" longer", func(d doc) { put(d, v+"x") })
			alter(at+" empty", func(d doc) { put(d, "") })
			alter(at+" of another type", func(d doc) { put(d, []any{v}) })
		default:
			alter(at+" of another type", func(d doc) { put(d, "x") })
		}
	}
	walk("", decode(t, good), func(doc, any) {})
	if len(forged) < 100 {
		t.Errorf("only %d places", len(forged))
	}
	for i, said := range inPython(t, keys["messenger"], forged...) {
		if said == "" {
			t.Errorf("%s: verify.py takes it", places[i])
		}
	}
}

// inside returns what lies at a path like "/a/0/b".
func inside(d doc, path string) any {
	var v any = d
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch inner := v.(type) {
		case doc:
			if step != "" {
				v = inner[step]
			}
		case []any:
			i, _ := strconv.Atoi(step)
			v = inner[i]
		}
	}
	return v
}

// A ledger's own key cannot make a receipt of what is no record of a consent, such as one that an application gave.
func TestSignedNonsense(t *testing.T) {
	receipts, _ := golden(t)
	base, err := base64.StdEncoding.DecodeString(evidence(decode(t, receipts[0]))["scruple:record"].(string))
	if err != nil {
		t.Fatal(err)
	}
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key, err := ledger.Key(private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	forge := func(record []byte) []byte {
		t.Helper()
		leaf := ledger.LeafData([32]byte{}, record)
		c := ledger.Checkpoint{Origin: ledger.Origin(private.Public().(ed25519.PublicKey)), Size: 1, Root: tlog.RecordHash(leaf[:])}
		signed, err := c.Sign(private)
		if err != nil {
			t.Fatal(err)
		}
		d := decode(t, receipts[0])
		e := evidence(d)
		e["scruple:record"], e["scruple:salt"] = base64.StdEncoding.EncodeToString(record), base64.StdEncoding.EncodeToString(make([]byte, 32))
		e["scruple:proof"], e["scruple:key"] = string(ledger.Proof{Checkpoint: signed}.Encode()), key
		return encode(t, d)
	}
	files := [][]byte{forge([]byte("no record")), forge(base)} // the second is of another place
	names := []string{"no record", "another place"}
	for name, spoil := range map[string]func(*consent.Statement){
		"given by an application": func(s *consent.Statement) { s.Person, s.Channel = false, "app:example" },
		"given by the agent":      func(s *consent.Statement) { s.Channel = "agent" },
		"given without a notice":  func(s *consent.Statement) { s.Lang, s.Notice = "", wire.Hash{} },
		"given for no time":       func(s *consent.Statement) { s.Expiry = s.Time },
		"asked without a notice":  func(s *consent.Statement) { s.Event, s.Expiry, s.Lang, s.Notice = "requested", 0, "", wire.Hash{} },
		"implied":                 func(s *consent.Statement) { s.Event, s.Expiry = "implied", 0 },
		"no event of a consent":   func(s *consent.Statement) { s.Event, s.Expiry = "acknowledged", 0 },
		"without terms":           func(s *consent.Statement) { s.Event, s.Expiry, s.Subtree = "withdrawn", 0, wire.Hash{} },
		"of a later version":      func(s *consent.Statement) { s.Version++ },
	} {
		s, err := consent.DecodeStatement(base)
		if err != nil {
			t.Fatal(err)
		}
		s.Seq = 0
		spoil(s)
		b, err := wire.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		files, names = append(files, forge(b)), append(names, name)
	}
	for i, name := range names {
		_, err := receipt.Verify(files[i], key)
		var fault *receipt.Fault
		if !errors.As(err, &fault) || fault.Part != receipt.PartRecord {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i, part := range inPython(t, key, files...) {
		if part != string(receipt.PartRecord) {
			t.Errorf("%s: verify.py says %q", names[i], part)
		}
	}
}

// golden returns receipts that an earlier version exported, with the key of their ledger; -update makes them anew.
func golden(t testing.TB) (receipts [][]byte, key string) {
	t.Helper()
	names := []string{"given.json", "withdrawn.json", "refused-zh.json", "key.txt"}
	if *update {
		made, keys := life(t)
		for name, content := range map[string][]byte{
			names[0]: made["steps/compare given"], names[1]: made["steps/compare withdrawn"],
			names[2]: made["contacts/find-friends refused"], names[3]: []byte(keys["messenger"] + "\n"),
		} {
			if err := os.WriteFile(filepath.Join("testdata", name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, b)
	}
	return receipts[:3], strings.TrimSpace(string(receipts[3]))
}

// A receipt in somebody's hands stays good: what was exported once is verified by every later version.
func TestOldReceiptsStayGood(t *testing.T) {
	receipts, key := golden(t)
	for i, want := range []string{"steps/compare given", "steps/compare withdrawn", "contacts/find-friends refused"} {
		v, err := receipt.Verify(receipts[i], key)
		if err != nil || v.Tuple+" "+v.Event != want {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, part := range inPython(t, key, receipts...) {
		if part != "" {
			t.Errorf("verify.py: %s", part)
		}
	}
}

func FuzzVerify(f *testing.F) {
	receipts, key := golden(f)
	for _, r := range receipts {
		f.Add(r)
	}
	f.Add([]byte(`{"scruple:evidence":{}}`))
	f.Add([]byte(`{"a":["b",{"c":"d"}]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, key := range []string{"", key} {
			v, err := receipt.Verify(file, key)
			var fault *receipt.Fault
			switch {
			case err == nil && v.KeyGiven:
				// Only its layout and the proof's extra line can differ from what was exported.
				got := decode(t, file)
				delete(evidence(got), "scruple:proof")
				if !slices.ContainsFunc(receipts, func(r []byte) bool {
					want := decode(t, r)
					delete(evidence(want), "scruple:proof")
					return bytes.Equal(encode(t, want), encode(t, got))
				}) {
					t.Error("verified what was never exported")
				}
			case err != nil && (!errors.As(err, &fault) || !slices.Contains(receipt.Parts(), fault.Part)):
				t.Errorf("another error: %v", err)
			}
		}
	})
}
