package policy_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
)

func hashes(t testing.TB, d *policy.Document) map[string][32]byte {
	t.Helper()
	out := make(map[string][32]byte)
	for _, tuple := range d.Tuples("person") {
		e, err := d.Effective(tuple.Category, tuple.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		out[tuple.String()] = e.SubtreeHash()
	}
	return out
}

func TestSubtreeHashesDiffer(t *testing.T) {
	seen := make(map[[32]byte]string)
	for name, h := range hashes(t, example(t)) {
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s have the same hash", name, other)
		}
		seen[h] = name
	}
}

// TestSubtreeHashIgnoresTheText shuffles every mapping and every list whose order means nothing, drops the
// comments, and finds every hash unchanged.
func TestSubtreeHashIgnoresTheText(t *testing.T) {
	want := hashes(t, example(t))
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		var doc yaml.Node
		if err := yaml.Unmarshal(configs.PolicyYAML, &doc); err != nil {
			t.Fatal(err)
		}
		shuffle(&doc, random)
		data, err := yaml.Marshal(&doc)
		if err != nil {
			t.Fatal(err)
		}
		d, err := policy.Parse("shuffled", data)
		if err != nil {
			t.Fatal(err)
		}
		got := hashes(t, d)
		for name, h := range want {
			if got[name] != h {
				t.Errorf("%s: the order of the document changed its hash", name)
			}
		}
	}
}

func shuffle(n *yaml.Node, random *rand.Rand) {
	n.HeadComment, n.LineComment, n.FootComment, n.Style = "", "", "", n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle)
	for _, c := range n.Content {
		shuffle(c, random)
	}
	switch n.Kind {
	case yaml.MappingNode:
		random.Shuffle(len(n.Content)/2, func(i, j int) {
			n.Content[2*i], n.Content[2*j] = n.Content[2*j], n.Content[2*i]
			n.Content[2*i+1], n.Content[2*j+1] = n.Content[2*j+1], n.Content[2*i+1]
		})
	case yaml.SequenceNode:
		random.Shuffle(len(n.Content), func(i, j int) { n.Content[i], n.Content[j] = n.Content[j], n.Content[i] })
	}
}

// TestSubtreeHashCoversWhatMatters changes one thing at a time and finds the hash of location/nearby changed, or
// unchanged where the change is no business of that consent.
func TestSubtreeHashCoversWhatMatters(t *testing.T) {
	d, err := parseSmall(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	base := hashes(t, d)["location/nearby"]
	for _, tt := range []struct {
		name, old, new string
		changes        bool
	}{
		{"level", "level: 12", "level: 11", true},
		{"daily cap", "daily-cap: 24", "daily-cap: 25", true},
		{"retention on the device", "device: {for: 1d}", "device: {for: 2d}", true},
		{"retention at the controller", "controller: {for: 1d}", "controller: {for: 2d}", true},
		{"retention by event", "controller: {for: 1d}", "controller: {until: withdrawn}", true},
		{"session", "30m", "31m", true},
		{"purpose text", "to show people nearby", "to show people near", true},
		{"Chinese text", "显示附近的人", "展示附近的人", true},
		{"effect", "others see it", "others saw it", true},
		{"category name", "en: Location", "en: Place", true},
		{"field label", "en: area", "en: region", true},
		{"field type of the law", "user.location.coarse", "user.location.precise", true},
		{"recipient", "separate: true", "separate: true\n        recipients: [Somebody]", true},
		{"expiry", "expiry: 180d", "expiry: 181d", true},
		{"quiet period", "expiry: 180d", "expiry: 180d\n        quiet: 90d", true},
		{"feature's name", "en: map", "en: chart", true},
		{"endpoint", "collect.shop", "gather.shop", true},
		{"controller's name", "en: Shop", "en: Market", true},
		{"a new required field", "dpv: \"scruple:CoarseLocation\"}", "dpv: \"scruple:CoarseLocation\"}\n      - {name: level, type: integer, label: {zh-CN: 级, en: level}, fideslang: user.location.coarse, dpv: \"pd:Location\"}", true},

		{"pin", "26IJd5Y5", "26IJd5Y6", false},
		{"contact", "privacy@shop", "dpo@shop", false},
		{"version", "version: 3", "version: 4", false},
		{"date", "2026-01-31", "2026-02-01", false},
		{"another category's purpose", "en: to open an account", "en: to close an account", false},
		{"another category's field", "limit: 12", "limit: 13", false},
		{"another category's retention", "{until: account-closed}, controller", "{for: 1d}, controller", false},
		{"what is the default", "expiry: 180d", "expiry: 180d\n        quiet: 30d\n        lane: features\n        basis: consent", false},
		{"another spelling", "expiry: 180d", "expiry: 4320h", false},
		{"a trailing slash", "https://collect.shop.example.com", "https://collect.shop.example.com/", false},
		{"a comment", "expiry: 180d", "expiry: 180d # half a year", false},
		{"quotes", "origin: device", `"origin": "device"`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := parseSmall(t, tt.old, tt.new)
			if err != nil {
				t.Fatal(err)
			}
			if got := hashes(t, d)["location/nearby"] != base; got != tt.changes {
				t.Errorf("changed: %v, want %v", got, tt.changes)
			}
		})
	}
}

// TestSubtreeHashIsStable pins one hash: consents refer to it, so the canonical form must not change by accident.
func TestSubtreeHashIsStable(t *testing.T) {
	d, err := parseSmall(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Effective("location", "nearby")
	if err != nil {
		t.Fatal(err)
	}
	const want = "8b8076e8002c5e37d678e557970e7af8a73c76449b5f6887b5274f21b04480ac"
	if got := hexOf(e.SubtreeHash()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAddressBelongsToEveryConsent: what becomes of the connection's address is part of what is agreed to with
// the same controller, and of nothing else.
func TestAddressBelongsToEveryConsent(t *testing.T) {
	const said = "is dropped when the connection is closed, and is not recorded."
	text := strings.Replace(string(configs.PolicyYAML), said, "is kept in a list.", 1)
	d, err := policy.Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	before, after := hashes(t, example(t)), hashes(t, d)
	for _, tuple := range d.Tuples("person") {
		changed := before[tuple.String()] != after[tuple.String()]
		if want := tuple.Controller == "messenger"; changed != want {
			t.Errorf("%s of %s: changed %v, want %v", tuple, tuple.Controller, changed, want)
		}
		e, _ := d.Effective(tuple.Category, tuple.Purpose)
		if tuple.Controller == "messenger" && !strings.Contains(flat(e.Notice(policy.LangEN).Text), "is kept in a list.") {
			t.Errorf("%s: the notice does not say what becomes of the address", tuple)
		}
	}
}

func TestUndeclared(t *testing.T) {
	d := example(t)
	for _, name := range []string{"", "/", "location", "location/", "location/sale", "Location/nearby", "nothing/nearby", "location/nearby/x", "network-address/service"} {
		if _, err := d.Tuple("person", name); !errors.Is(err, policy.ErrUndeclared) {
			t.Errorf("%q: got %v, want ErrUndeclared", name, err)
		}
	}
	if _, err := d.Effective("location", "my number is 5550123"); err == nil || strings.Contains(err.Error(), "5550123") {
		t.Errorf("the error holds what was asked for: %v", err)
	}
	if _, err := d.Controller("nobody"); !errors.Is(err, policy.ErrUndeclared) {
		t.Errorf("controller: %v", err)
	}
}

func TestTuples(t *testing.T) {
	d := example(t)
	want, err := d.Tuple("person", "payment/pay")
	if err != nil {
		t.Fatal(err)
	}
	if want != (policy.Tuple{Subject: "person", Controller: "payments", Category: "payment", Purpose: "pay"}) {
		t.Errorf("got %+v", want)
	}
	found := false
	for _, tuple := range d.Tuples("person") {
		found = found || tuple == want
		if tuple.Category == "network-address" {
			t.Error("the address of a connection is asked for")
		}
	}
	if !found {
		t.Error("Tuples and Tuple differ")
	}
}

func TestCheckFields(t *testing.T) {
	text := strings.Replace(small, "    fields:\n      - {name: nickname", `    fields:
      - {name: age, type: integer, rule: round, limit: 10, label: {zh-CN: 年龄, en: age}, fideslang: user.demographic, dpv: "pd:Age"}
      - {name: qq, type: text, rule: digest, label: {zh-CN: 号, en: number}, fideslang: user.unique_id, dpv: "pd:UID"}
      - {name: birthday, type: text, rule: drop, label: {zh-CN: 生日, en: birthday}, fideslang: user.demographic, dpv: "pd:BirthDate"}
      - {name: friend, type: boolean, label: {zh-CN: 好友, en: friend}, fideslang: user.social_activity, dpv: "pd:Friend"}
      - {name: tags, type: texts, label: {zh-CN: 标签, en: tags}, fideslang: user.content, dpv: "pd:Interest"}
      - {name: picture, type: bytes, required: true, label: {zh-CN: 头像, en: picture}, fideslang: user.content, dpv: "pd:Picture"}
      - {name: nickname`, 1)
	d, err := policy.Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Effective("profile", "account")
	if err != nil {
		t.Fatal(err)
	}
	const digest = "00112233445566778899aabbccddeeff"
	for _, tt := range []struct {
		name            string
		fields          map[string]any
		fieldsOK, repOK bool
		undeclared      bool
	}{
		{"nothing", nil, true, true, false},
		{"everything as declared", map[string]any{
			"nickname": "Ann", "sex": "female", "age": int64(30), "qq": digest, "friend": true,
			"tags": []string{"a"}, "picture": []byte{1},
		}, true, true, false},
		{"undeclared", map[string]any{"shoe-size": int64(43)}, false, false, true},
		{"undeclared beside declared", map[string]any{"nickname": "Ann", "5550123": "x"}, false, false, true},
		{"other case", map[string]any{"Nickname": "Ann"}, false, false, true},
		{"field of another category", map[string]any{"cell": "x"}, false, false, true},
		{"no choice", map[string]any{"sex": "canary"}, false, false, false},
		{"text for integer", map[string]any{"age": "30"}, false, false, false},
		{"integer for text", map[string]any{"nickname": int64(5550123)}, false, false, false},
		{"Go int", map[string]any{"age": 30}, false, false, false},
		{"float", map[string]any{"age": 30.0}, false, false, false},
		{"nil", map[string]any{"age": nil}, false, false, false},
		{"nested", map[string]any{"nickname": map[string]any{"x": "canary"}}, false, false, false},
		{"text for bytes", map[string]any{"picture": "canary"}, false, false, false},
		{"text for list", map[string]any{"tags": "canary"}, false, false, false},
		{"text for boolean", map[string]any{"friend": "true"}, false, false, false},
		{"not UTF-8", map[string]any{"nickname": "\xff"}, false, false, false},
		{"not UTF-8 in a list", map[string]any{"tags": []string{"\xff"}}, false, false, false},
		{"too long", map[string]any{"nickname": "a very long nickname"}, true, false, false},
		{"not rounded", map[string]any{"age": int64(34)}, true, false, false},
		{"no digest", map[string]any{"qq": "5550123"}, true, false, false},
		{"to be dropped", map[string]any{"birthday": "1 January"}, true, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, check := range []struct {
				name string
				err  error
				ok   bool
			}{{"CheckFields", e.CheckFields(tt.fields), tt.fieldsOK}, {"CheckReport", e.CheckReport(tt.fields), tt.repOK}} {
				if (check.err == nil) != check.ok {
					t.Errorf("%s: got %v", check.name, check.err)
				}
				if check.err == nil {
					continue
				}
				if errors.Is(check.err, policy.ErrUndeclaredField) != tt.undeclared || errors.Is(check.err, policy.ErrFieldValue) == tt.undeclared {
					t.Errorf("%s: wrong kind of error: %v", check.name, check.err)
				}
				for _, canary := range []string{"canary", "5550123", "January", "30"} {
					if strings.Contains(check.err.Error(), canary) {
						t.Errorf("%s: the error holds a value: %v", check.name, check.err)
					}
				}
			}
		})
	}
	if got := e.Missing(map[string]any{"nickname": "Ann"}); len(got) != 1 || got[0] != "picture" {
		t.Errorf("missing: %v", got)
	}
}

// TestPurposeNarrowsFields: a purpose that names its fields gets no others of its category.
func TestPurposeNarrowsFields(t *testing.T) {
	e, err := example(t).Effective("profile", "account")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.CheckFields(map[string]any{"nickname": "Ann", "phone": "+12025550123"}); err != nil {
		t.Error(err)
	}
	if err := e.CheckFields(map[string]any{"sex": "female"}); !errors.Is(err, policy.ErrUndeclaredField) {
		t.Errorf("got %v, want ErrUndeclaredField", err)
	}
}
