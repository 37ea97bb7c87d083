package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"
)

var (
	someUUID = UUID{0: 1, 6: 0x40, 8: 0x80, 15: 7}
	nextUUID = UUID{0: 2, 6: 0x4f, 8: 0xbf, 15: 8}
	someHash = HashOf([]byte("subtree"))
	someKey  = ed25519.NewKeyFromSeed(make([]byte, 32))
)

func someBatch() Batch {
	return Batch{Version: BatchVersion, ID: someUUID, Consent: nextUUID, Subtree: someHash, Items: []Item{
		{Time: 1_790_000_000, Fields: map[string]any{"model": "Example 1", "still": int64(900), "moving": false, "digests": []byte{1, 2}, "sensors": []string{"a", "b"}}},
		{Time: -5, Fields: map[string]any{"total": int64(-1), "none": []byte{}, "empty": []string{}}},
	}}
}

func someReport() Report {
	return Report{Consent: nextUUID, Subtree: someHash, Item: someBatch().Items[0]}
}

func someConsent() Consent {
	return Consent{
		Consent: someUUID, Controller: "messenger", Category: "device", Purpose: "compatibility", PolicyVersion: 1, Subtree: someHash,
		Notice: HashOf([]byte("notice")), Lang: "en", Time: 1_790_000_000, Expiry: 1_800_000_000,
	}
}

func someEpoch() Epoch {
	return Epoch{ID: 3, NotBefore: 1, NotAfter: 2, Mode: "keyed", Length: 16, Form: 1, Key: bytes.Repeat([]byte{0xca}, 32)}
}

func mustBytes(t testing.TB, b []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBatchRoundTrip(t *testing.T) {
	want := someBatch()
	b, err := EncodeBatch(want)
	got, err2 := DecodeBatch(mustBytes(t, b, err))
	if err2 != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("DecodeBatch: got %v, %v, want %v", got, err2, want)
	}
	r := someReport()
	b, err = EncodeReport(r)
	again, err2 := DecodeReport(mustBytes(t, b, err))
	if err2 != nil || !reflect.DeepEqual(again, r) {
		t.Fatalf("DecodeReport: got %v, %v, want %v", again, err2, r)
	}
}

// The bytes of a batch are part of the contract with other implementations of the receiver.
func TestBatchBytes(t *testing.T) {
	b, err := EncodeBatch(Batch{
		Version: 1, ID: someUUID, Consent: nextUUID, Subtree: Hash{1},
		Items: []Item{{Time: 7, Fields: map[string]any{"b": int64(1), "a": "x", "aa": true}}},
	})
	got := hex.EncodeToString(mustBytes(t, b, err))
	want := "a50101" + "0250" + hex.EncodeToString(someUUID[:]) + "0350" + hex.EncodeToString(nextUUID[:]) +
		"045820" + "01" + strings.Repeat("00", 31) + "0581a2010702a3" + "61616178" + "616201" + "626161f5"
	if got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestNilAndEmptyAreOneSpelling(t *testing.T) {
	one, err := EncodeReport(Report{Consent: someUUID, Item: Item{Fields: map[string]any{"x": []byte(nil), "y": []string(nil)}}})
	two, err2 := EncodeReport(Report{Consent: someUUID, Item: Item{Fields: map[string]any{"x": []byte{}, "y": []string{}}}})
	if err != nil || err2 != nil || !bytes.Equal(one, two) {
		t.Fatalf("got %x and %x (%v, %v)", one, two, err, err2)
	}
	if _, err := DecodeReport(one); err != nil {
		t.Fatal(err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	many := map[string]any{}
	for i := range MaxFields + 1 {
		many[fmt.Sprint(i)] = int64(1)
	}
	for name, fields := range map[string]map[string]any{
		"none": nil, "float": {"x": 1.5}, "int": {"x": 1}, "nil": {"x": nil}, "map": {"x": map[string]any{}}, "time": {"x": time.Time{}}, "too many": many,
	} {
		if _, err := EncodeReport(Report{Consent: someUUID, Item: Item{Fields: fields}}); !errors.Is(err, ErrMalformed) {
			t.Errorf("report with fields %s: got %v, want ErrMalformed", name, err)
		}
		b := someBatch()
		b.Items[1].Fields = fields
		if _, err := EncodeBatch(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("batch with fields %s: got %v, want ErrMalformed", name, err)
		}
	}
	for name, change := range map[string]func(*Batch){
		"version": func(b *Batch) { b.Version = 2 }, "id": func(b *Batch) { b.ID = UUID{} }, "consent": func(b *Batch) { b.Consent = UUID{} },
		"no items": func(b *Batch) { b.Items = nil }, "many items": func(b *Batch) { b.Items = make([]Item, MaxReports+1) },
	} {
		b := someBatch()
		change(&b)
		if _, err := EncodeBatch(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("EncodeBatch, %s: got %v, want ErrMalformed", name, err)
		}
		raw, err := Marshal(b)
		if _, err := DecodeBatch(mustBytes(t, raw, err)); !errors.Is(err, ErrMalformed) {
			t.Errorf("DecodeBatch, %s: got %v, want ErrMalformed", name, err)
		}
	}
}

// Damaged inputs: each differs from a good report in one way. No error may hold a value.
func TestDecodeRefusesDamage(t *testing.T) {
	head := "a30150" + hex.EncodeToString(someUUID[:]) + "025820" + strings.Repeat("00", 32)
	cases := map[string]string{
		"good":                     head + "03a2010002a1617801",
		"empty":                    "",
		"cut":                      head + "03a20100",
		"trailing byte":            head + "03a2010002a161780100",
		"no item":                  "a2" + head[2:],
		"unknown key":              head + "03a3010002a16178010900",
		"duplicate key":            head + "03a2010001",
		"duplicate field":          head + "03a2010002a261780161" + "7802",
		"long integer":             head + "03a201180002a1617801",
		"indefinite map":           head + "03bf010002a1617801ff",
		"indefinite text":          head + "03a2010002a17f6178ff01",
		"tag":                      head + "03a2010002a16178c101",
		"float":                    head + "03a2010002a16178f93c00",
		"null field":               head + "03a2010002a16178f6",
		"null fields":              head + "03a2010002f6",
		"undefined":                head + "03a2010002a16178f7",
		"unsorted fields":          head + "03a2010002a26179016178" + "02",
		"field name no text":       head + "03a2010002a14178" + "01",
		"invalid UTF-8":            head + "03a2010002a161ff01",
		"list of integers":         head + "03a2010002a161788101",
		"nested list":              head + "03a2010002a16178818101",
		"integer beyond int64":     head + "03a2010002a161781bffffffffffffffff",
		"negative beyond int64":    head + "03a2010002a161783bffffffffffffffff",
		"no fields":                head + "03a2010002a0",
		"short consent":            "a3014f" + hex.EncodeToString(someUUID[:15]) + "025820" + strings.Repeat("00", 32) + "03a2010002a1617801",
		"long consent":             "a30151" + hex.EncodeToString(someUUID[:]) + "00025820" + strings.Repeat("00", 32) + "03a2010002a1617801",
		"consent no version 4":     "a30150" + strings.Repeat("00", 16) + "025820" + strings.Repeat("00", 32) + "03a2010002a1617801",
		"text where bytes belong":  "a30170" + hex.EncodeToString(bytes.Repeat([]byte("a"), 16)) + "025820" + strings.Repeat("00", 32) + "03a2010002a1617801",
		"time a text":              head + "03a2016c63616e617279" + "63616e61" + "02a1617801",
		"length beyond the end":    head + "03a2010002a161785affffffff",
		"array beyond the end":     head + "03a2010002a161789affffffff",
		"nested beyond all levels": strings.Repeat("81", 4096) + "00",
	}
	for name, h := range cases {
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = DecodeReport(b)
		switch {
		case name == "good" && err != nil:
			t.Errorf("good: %v", err)
		case name != "good" && !errors.Is(err, ErrMalformed):
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		case err != nil && strings.Contains(err.Error(), "cana"):
			t.Errorf("%s: the error holds a value: %v", name, err)
		}
	}
}

// A small body that unpacks to millions of tiny values must not cost memory by the hundred megabytes.
func TestUnmarshalBoundsElements(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("\x9a\x00\x00\x10\x00")
	for range 4096 {
		b.WriteString("\x99\x00\x50" + strings.Repeat("\x60", 80))
	}
	var v any
	if err := Unmarshal(b.Bytes(), &v); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "elements") {
		t.Fatalf("got %v, want too many elements", err)
	}
	if err := Unmarshal(make([]byte, MaxPlain+1), &v); !errors.Is(err, ErrMalformed) {
		t.Fatalf("got %v, want ErrMalformed", err)
	}
}

func TestBatchProperties(t *testing.T) {
	value := rapid.OneOf(
		rapid.String().AsAny(), rapid.Int64().AsAny(), rapid.Bool().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(), rapid.SliceOf(rapid.String()).AsAny(),
	)
	rapid.Check(t, func(t *rapid.T) {
		want := Batch{Version: BatchVersion, ID: NewUUID(), Consent: NewUUID(), Subtree: someHash}
		for range rapid.IntRange(1, 4).Draw(t, "items") {
			want.Items = append(want.Items, Item{
				Time: rapid.Int64().Draw(t, "time"), Fields: rapid.MapOfN(rapid.String(), value, 1, 5).Draw(t, "fields"),
			})
		}
		plain, err := EncodeBatch(want)
		if err != nil {
			t.Fatal(err)
		}
		body, err := Compress(plain)
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := Decompress(body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeBatch(unpacked)
		if err != nil {
			t.Fatal(err)
		}
		again, err := EncodeBatch(got)
		if err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("encoding again differs (%v)", err)
		}
	})
}

func TestIDs(t *testing.T) {
	u := NewUUID()
	if got, err := ParseUUID(u.String()); got != u || err != nil {
		t.Fatalf("ParseUUID(%s): got %s, %v", u, got, err)
	}
	var asJSON UUID
	b, err := json.Marshal(u)
	if err = errors.Join(err, json.Unmarshal(b, &asJSON)); err != nil || asJSON != u {
		t.Fatalf("JSON: got %s, %v, want %s", asJSON, err, u)
	}
	s := someUUID.String()
	for _, bad := range []string{
		"", s[:35], s + "0", strings.ToUpper(nextUUID.String()), strings.Replace(s, "-", "0", 1), "{" + s[:34] + "}",
		"00000000-0000-0000-0000-000000000000", s[:14] + "1" + s[15:], s[:19] + "c" + s[20:], "zz" + s[2:],
	} {
		if _, err := ParseUUID(bad); !errors.Is(err, ErrUUID) {
			t.Errorf("ParseUUID(%q): got %v, want ErrUUID", bad, err)
		}
	}
	if got, err := ParseHash(someHash.String()); got != someHash || err != nil {
		t.Fatalf("ParseHash: got %s, %v", got, err)
	}
	for _, bad := range []string{"", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("A", 64), strings.Repeat("g", 64)} {
		if _, err := ParseHash(bad); !errors.Is(err, ErrHash) {
			t.Errorf("ParseHash(%q): got %v, want ErrHash", bad, err)
		}
	}
	if !(UUID{}).IsZero() || u.IsZero() || !(Hash{}).IsZero() || someHash.IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestMessages(t *testing.T) {
	w := Withdrawal{Consent: someUUID, Controller: "messenger", Time: 9, Clear: true}
	e := Erasure{ID: nextUUID, Consent: someUUID, Controller: "messenger", Time: 9}
	signed := map[MessageKind][]byte{}
	for kind, m := range map[MessageKind]any{MsgConsent: someConsent(), MsgWithdrawal: w, MsgErasure: e} {
		b, err := Sign(someKey, m)
		signed[kind] = mustBytes(t, b, err)
	}
	gotC, key, err := Open[Consent](signed[MsgConsent])
	if err != nil || gotC != someConsent() || !key.Equal(someKey.Public()) {
		t.Errorf("consent: got %v, %x, %v", gotC, key, err)
	}
	if got, _, err := Open[Withdrawal](signed[MsgWithdrawal]); err != nil || got != w {
		t.Errorf("withdrawal: got %v, %v", got, err)
	}
	if got, _, err := Open[Erasure](signed[MsgErasure]); err != nil || got != e {
		t.Errorf("erasure: got %v, %v", got, err)
	}
	// A message of one kind is not one of another, even with the kind rewritten.
	if _, _, err := Open[Withdrawal](signed[MsgErasure]); !errors.Is(err, ErrMalformed) {
		t.Errorf("erasure as withdrawal: got %v, want ErrMalformed", err)
	}
	var s Signed
	if err := Unmarshal(signed[MsgErasure], &s); err != nil {
		t.Fatal(err)
	}
	forge := func(change func(*Signed)) []byte {
		c := Signed{Kind: s.Kind, Payload: bytes.Clone(s.Payload), Key: bytes.Clone(s.Key), Signature: bytes.Clone(s.Signature)}
		change(&c)
		b, err := Marshal(c)
		return mustBytes(t, b, err)
	}
	incomplete, err := Marshal(Erasure{ID: nextUUID, Controller: "messenger"})
	mustBytes(t, incomplete, err)
	for name, b := range map[string][]byte{
		"kind":           forge(func(s *Signed) { s.Kind = MsgWithdrawal }),
		"payload":        forge(func(s *Signed) { s.Payload[20] ^= 1 }),
		"key":            forge(func(s *Signed) { s.Key[3] ^= 1 }),
		"short key":      forge(func(s *Signed) { s.Key = s.Key[:31] }),
		"no key":         forge(func(s *Signed) { s.Key = nil }),
		"signature":      forge(func(s *Signed) { s.Signature[0] ^= 1 }),
		"no signature":   forge(func(s *Signed) { s.Signature = nil }),
		"long signature": forge(func(s *Signed) { s.Signature = append(s.Signature, 0) }),
		"signed without its field": forge(func(s *Signed) {
			s.Payload, s.Signature = incomplete, ed25519.Sign(someKey, signedBytes(MsgErasure, incomplete))
		}),
		"signed payload cut": forge(func(s *Signed) {
			s.Payload = s.Payload[:9]
			s.Signature = ed25519.Sign(someKey, signedBytes(MsgErasure, s.Payload))
		}),
		"cut": signed[MsgErasure][:40], "empty": nil, "payload alone": s.Payload,
	} {
		if _, _, err := Open[Erasure](b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
	for name, m := range map[string]any{"nothing": nil, "batch": someBatch(), "no consent": Withdrawal{Controller: "x"}, "no notice": Consent{}} {
		if _, err := Sign(someKey, m); !errors.Is(err, ErrMalformed) {
			t.Errorf("Sign(%s): got %v, want ErrMalformed", name, err)
		}
	}
}

func controllerKeys(t testing.TB, name string) (note.Signer, string) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return s, vkey
}

func TestReceipts(t *testing.T) {
	signer, vkey := controllerKeys(t, "messenger.example")
	other, _ := controllerKeys(t, "messenger.example")
	want := Receipt{
		Controller: "messenger", Kind: ReceiptErasure, Consent: someUUID, Body: HashOf([]byte("body")), Time: time.Unix(1_790_000_000, 0).UTC(), Erased: 3, Matches: 40,
	}
	b, err := SignReceipt(want, signer)
	got, err2 := OpenReceipt(mustBytes(t, b, err), vkey)
	if err2 != nil || got != want {
		t.Fatalf("got %+v, %v, want %+v", got, err2, want)
	}
	raw := func(text string, by note.Signer) []byte {
		b, err := note.Sign(&note.Note{Text: text}, by)
		return mustBytes(t, b, err)
	}
	text := want.text()
	for name, b := range map[string][]byte{
		"empty": nil, "no note": []byte(text), "another's key": raw(text, other),
		"changed":           bytes.Replace(b, []byte("erased 3"), []byte("erased 4"), 1),
		"cut":               b[:len(b)-9],
		"unknown kind":      raw(strings.Replace(text, "kind erasure", "kind party", 1), signer),
		"second line more":  raw(text+"erased 9\n", signer),
		"spaces":            raw(strings.Replace(text, "erased 3", "erased  3", 1), signer),
		"negative":          raw(strings.Replace(text, "erased 3", "erased -3", 1), signer),
		"other version":     raw(strings.Replace(text, "receipt/1", "receipt/2", 1), signer),
		"time zone":         raw(strings.Replace(text, "Z\n", "+00:00\n", 1), signer),
		"consent not a v4":  raw(strings.Replace(text, someUUID.String(), UUID{}.String(), 1), signer),
		"too long":          append(bytes.Clone(b), bytes.Repeat([]byte("x"), MaxReceipt)...),
		"another statement": raw("hello\n", signer),
	} {
		if _, err := OpenReceipt(b, vkey); !errors.Is(err, ErrReceipt) {
			t.Errorf("%s: got %v, want ErrReceipt", name, err)
		}
	}
	if _, err := OpenReceipt(b, "nonsense"); !errors.Is(err, ErrReceipt) {
		t.Errorf("bad verifier key: got %v, want ErrReceipt", err)
	}
	if err := want.Answers("messenger", ReceiptErasure, someUUID, want.Body); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"controller": want.Answers("payments", ReceiptErasure, someUUID, want.Body), "kind": want.Answers("messenger", ReceiptBatch, someUUID, want.Body),
		"consent": want.Answers("messenger", ReceiptErasure, nextUUID, want.Body), "body": want.Answers("messenger", ReceiptErasure, someUUID, Hash{}),
	} {
		if !errors.Is(err, ErrReceipt) {
			t.Errorf("receipt for another %s: got %v, want ErrReceipt", name, err)
		}
	}
}

func TestProblems(t *testing.T) {
	p, err := DecodeProblem([]byte(`{"type":"urn:scruple:problem:consent-withdrawn","title":"a\u001b[31mb","status":403,"detail":"` +
		strings.Repeat("é", 300) + `","instance":"x"}`))
	if err != nil || p.Kind() != ProblemConsentWithdrawn || p.Title != "a[31mb" || len(p.Detail) > 200 {
		t.Fatalf("got %+v, %v", p, err)
	}
	for _, bad := range []string{"", "null", "[]", "{}", `{"type":7}`, "<html>", `{"type":"x"` + strings.Repeat(" ", MaxReceipt) + "}"} {
		if _, err := DecodeProblem([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("DecodeProblem(%.20q): got %v, want ErrMalformed", bad, err)
		}
	}
	for _, other := range []string{"about:blank", "urn:scruple:problem:", "urn:scruple:problem:unheard-of", "consent-withdrawn"} {
		if k := (Problem{Type: other}).Kind(); k != "" {
			t.Errorf("Kind of %q: got %q, want none", other, k)
		}
	}
	for p, want := range map[ProblemType]int{
		ProblemBodyDiffers: http.StatusConflict, ProblemTooLarge: http.StatusRequestEntityTooLarge, ProblemSlowDown: http.StatusTooManyRequests,
		ProblemMalformed: http.StatusBadRequest, ProblemConsentUnknown: http.StatusForbidden, ProblemChanged: http.StatusConflict,
	} {
		if got := p.Status(); got != want {
			t.Errorf("status of %s: got %d, want %d", p, got, want)
		}
	}
}

func TestEpoch(t *testing.T) {
	want := someEpoch()
	b, err := Marshal(want)
	got, err2 := DecodeEpoch(mustBytes(t, b, err))
	if err2 != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, %v", got, err2)
	}
	for name, change := range map[string]func(*Epoch){
		"unkeyed": func(e *Epoch) { e.Mode = "plain" }, "length": func(e *Epoch) { e.Length = 32 }, "no key": func(e *Epoch) { e.Key = nil },
		"short key": func(e *Epoch) { e.Key = e.Key[:31] }, "never valid": func(e *Epoch) { e.NotAfter = e.NotBefore },
	} {
		e := someEpoch()
		change(&e)
		b, err := Marshal(e)
		if _, err := DecodeEpoch(mustBytes(t, b, err)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
	asJSON, err := json.Marshal(want)
	for how, s := range map[string]string{
		"%v": fmt.Sprintf("%v", want), "%+v": fmt.Sprintf("%+v", want), "%#v": fmt.Sprintf("%#v", want), "%s": fmt.Sprintf("%s", want), "%x": fmt.Sprintf("%x", want), "%d": fmt.Sprintf("%d", want),
		"%v of a pointer": fmt.Sprintf("%v", &want), "JSON": string(mustBytes(t, asJSON, err)),
	} {
		if strings.Contains(s, "202") || strings.Contains(strings.ToLower(s), "caca") || strings.Contains(s, "ysrK") {
			t.Errorf("%s shows the key: %s", how, s)
		}
	}
}

func TestCompression(t *testing.T) {
	for _, n := range []int{0, 1, 1000, window + 1, 3 << 20} {
		plain := bytes.Repeat([]byte("scruple "), n/8+1)[:n]
		one, err := Compress(plain)
		two, err2 := Compress(plain)
		if err != nil || err2 != nil || !bytes.Equal(one, two) {
			t.Fatalf("%d bytes: %v, %v, same bytes: %v", n, err, err2, bytes.Equal(one, two))
		}
		if got, err := Decompress(one); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: got %d bytes back, %v", n, len(got), err)
		}
	}
	bomb, err := Compress(make([]byte, MaxPlain))
	mustBytes(t, bomb, err)
	if _, err := Decompress(bomb); err != nil {
		t.Errorf("largest body: %v", err)
	}
	one, err := Compress([]byte("x"))
	mustBytes(t, one, err)
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"bomb":            {append(bytes.Clone(bomb), one...), ErrTooLarge},
		"body over limit": {make([]byte, MaxBody+1), ErrTooLarge},
		"declares 1 TiB":  {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0}, ErrTooLarge},
		"garbage":         {[]byte("no zstd here"), ErrMalformed},
		"cut":             {one[:len(one)-2], ErrMalformed},
		"gzip":            {[]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0}, ErrMalformed},
	} {
		if _, err := Decompress(c.body); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := Compress(make([]byte, MaxPlain+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}
