package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
)

// small is a whole document with one of each part, in which the tests make one fault at a time.
const small = `policy: small
version: 3
effective: 2026-01-31
controllers:
  - id: shop
    name: {zh-CN: 商店, en: Shop}
    contact: privacy@shop.example.com
    endpoint: https://collect.shop.example.com
    region: CN
    key: messenger.example.com+9948442c+AZ0NTtyWfVlGeBX0tjV7NDNEOd+a9t8qkHWXvDfrVUCh
    pins: [sha256/26IJd5Y5vcLEmUcKgM/zu3CEZwJl5ZrT6U8sQiI3erQ=]
features:
  - id: map
    name: {zh-CN: 地图, en: map}
categories:
  - id: location
    clause: "1.5"
    name: {zh-CN: 位置, en: Location}
    description: {zh-CN: 大致区域, en: the rough area}
    sensitivity: sensitive
    origin: device
    source: location
    residency: CN
    fields:
      - {name: cell, type: text, label: {zh-CN: 区域, en: area}, fideslang: user.location.coarse, dpv: "scruple:CoarseLocation"}
    purposes:
      - id: nearby
        text: {zh-CN: 显示附近的人, en: to show people nearby}
        necessity: {zh-CN: 需要区域, en: the area is needed}
        effect: {zh-CN: 他人会看到, en: others see it}
        feature: map
        controller: shop
        separate: true
        collect: {mode: session, max-session: 30m}
        minimiser: {name: location, level: 12, daily-cap: 24}
        retention: {device: {for: 1d}, controller: {for: 1d}}
        expiry: 180d
        data-use: functional.service
        dpv: "dpv:ServiceProvision"
  - id: profile
    clause: "1.1"
    name: {zh-CN: 资料, en: Profile}
    description: {zh-CN: 您的资料, en: what you enter}
    sensitivity: basic
    origin: person
    source: application
    residency: CN
    fields:
      - {name: nickname, type: text, rule: truncate, limit: 12, label: {zh-CN: 昵称, en: nickname}, fideslang: user.name, dpv: "pd:Name"}
      - {name: sex, type: choice, choices: [female, male], default: male, label: {zh-CN: 性别, en: sex}, fideslang: user.demographic.gender, dpv: "pd:Gender"}
    purposes:
      - id: account
        text: {zh-CN: 开立账号, en: to open an account}
        feature: map
        controller: shop
        collect: {mode: submitted}
        minimiser: {name: fields}
        retention: {device: {until: account-closed}, controller: {until: account-closed}}
        quiet: 60d
        expiry: 365d
        data-use: functional.service
        dpv: "dpv:ServiceProvision"
`

func parseSmall(t testing.TB, old, replacement string) (*policy.Document, error) {
	t.Helper()
	text := small
	if old != "" {
		if !strings.Contains(text, old) {
			t.Fatalf("the small document has no %q", old)
		}
		text = strings.Replace(text, old, replacement, 1)
	}
	return policy.Parse("p.yaml", []byte(text))
}

func TestParseReadsEverything(t *testing.T) {
	d, err := parseSmall(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Effective("location", "nearby")
	if err != nil {
		t.Fatal(err)
	}
	p := e.Purpose
	want := policy.Purpose{
		ID: "nearby", Text: p.Text, Necessity: p.Necessity, Effect: p.Effect, Feature: "map", Controller: "shop",
		Basis: policy.BasisConsent, Separate: true, Lane: policy.LaneFeatures,
		Collect:   policy.Collect{Mode: policy.ModeSession, MaxSession: 30 * time.Minute},
		Minimiser: policy.Minimiser{Name: policy.MinimiseLocation, Level: 12, DailyCap: 24},
		Device:    policy.Retention{For: policy.Day}, Kept: policy.Retention{For: policy.Day},
		Quiet: policy.DefaultQuiet, Expiry: 180 * policy.Day,
		DataUse: "functional.service", DPV: "dpv:ServiceProvision",
	}
	if got := *p; !equalPurpose(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if p.Text[policy.LangZH] != "显示附近的人" || p.Text.In("de") != "to show people nearby" {
		t.Errorf("text: %v", p.Text)
	}
	if d.Version != 3 || !d.From.Equal(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("version %d from %v", d.Version, d.From)
	}
	other, _ := d.Effective("profile", "account")
	if other.Purpose.Quiet != 60*policy.Day || other.Purpose.Kept.Until != policy.UntilAccountClosed {
		t.Errorf("profile: %+v", other.Purpose)
	}
	if f := other.Category.Fields[1]; f.Default != "male" || len(f.Choices) != 2 || f.Rule != policy.RuleKeep {
		t.Errorf("field: %+v", f)
	}
}

// equalPurpose compares all but the texts, which are compared on their own.
func equalPurpose(a, b policy.Purpose) bool {
	a.Text, a.Necessity, a.Effect, a.Recipients, a.Fields = nil, nil, nil, nil, nil
	b.Text, b.Necessity, b.Effect, b.Recipients, b.Fields = nil, nil, nil, nil, nil
	return a.Minimiser == b.Minimiser && a.Collect == b.Collect && a.Device == b.Device && a.Kept == b.Kept &&
		a.ID == b.ID && a.Feature == b.Feature && a.Controller == b.Controller && a.Basis == b.Basis &&
		a.Separate == b.Separate && a.Lane == b.Lane && a.Quiet == b.Quiet && a.Expiry == b.Expiry &&
		a.DataUse == b.DataUse && a.DPV == b.DPV && a.Clause == b.Clause
}

func TestParseRefuses(t *testing.T) {
	const loc = "categories[location]"
	const near = loc + ".purposes[nearby]"
	for _, tt := range []struct{ name, old, new, field, problem string }{
		{"unknown key at the top", "version: 3", "version: 3\nowner: nobody", "owner", "unknown key"},
		{"unknown key in a purpose", "separate: true", "separate: true\n        colour: red", near + ".colour", "unknown key"},
		{"duplicate key", "residency: CN", "residency: CN\n    residency: CN", loc + ".residency", "duplicate key"},
		{"duplicate category", "id: profile", "id: location", loc, "duplicate id"},
		{"duplicate field", "name: sex", "name: nickname", "categories[profile].fields[nickname]", "duplicate id"},
		{"missing version", "version: 3\n", "", "version", "missing"},
		{"no effective date", "effective: 2026-01-31", "effective: soon", "effective", "must be a date"},
		{"missing text", "text: {zh-CN: 显示附近的人, en: to show people nearby}\n        ", "", near + ".text", "missing"},
		{"missing Chinese", "name: {zh-CN: 位置, en: Location}", "name: {en: Location}", loc + ".name.zh-CN", "missing"},
		{"missing English", "effect: {zh-CN: 他人会看到, en: others see it}", "effect: {zh-CN: 他人会看到}", near + ".effect.en", "missing"},
		{"empty text", "en: others see it", `en: "  "`, near + ".effect.en", "missing"},
		{"a third language", "{zh-CN: 位置, en: Location}", "{zh-CN: 位置, en: Location, fr: Position}", loc + ".name.fr", "unknown key"},
		{"terminal escape in a text", "en: others see it", `en: "others \e[31m see it"`, near + ".effect.en", "control"},
		{"text direction mark", "en: others see it", `en: "others \u202E see it"`, near + ".effect.en", "control"},
		{"no purposes", "    purposes:\n      - id: account", "    other:\n      - id: account", "categories[profile].purposes", "a category without a purpose"},
		{"no retention", "        retention: {device: {for: 1d}, controller: {for: 1d}}\n", "", near + ".retention", "missing"},
		{"no retention at the controller", "{device: {for: 1d}, controller: {for: 1d}}", "{device: {for: 1d}}", near + ".retention.controller", "must end"},
		{"endless retention", "controller: {for: 1d}", "controller: {for: forever}", near + ".retention.controller.for", "endless"},
		{"zero retention", "controller: {for: 1d}", "controller: {for: 0s}", near + ".retention.controller.for", "endless"},
		{"a century", "controller: {for: 1d}", "controller: {for: 36500d}", near + ".retention.controller.for", "endless"},
		{"both ends", "controller: {for: 1d}", "controller: {for: 1d, until: withdrawn}", near + ".retention.controller", "either"},
		{"unknown event", "until: account-closed}, controller", "until: doomsday}, controller", "categories[profile].purposes[account].retention.device.until", "must be one of"},
		{"event of another source", "controller: {for: 1d}", "controller: {until: connection-closed}", near + ".retention.controller.until", "only an address"},
		{"sensitive, not separate", "        separate: true\n", "", near + ".separate", "separate consent"},
		{"sensitive, without necessity", "        necessity: {zh-CN: 需要区域, en: the area is needed}\n", "", near + ".necessity", "sensitive"},
		{"sensitive, without effect", "        effect: {zh-CN: 他人会看到, en: others see it}\n", "", near + ".effect", "sensitive"},
		{"recipient, not separate", "        quiet: 60d\n", "        recipients: [Somebody]\n        quiet: 60d\n", "categories[profile].purposes[account].separate", "recipient"},
		{"third-party origin, not separate", "origin: person", "origin: Somebody Ltd.", "categories[profile].purposes[account].separate", "third party"},
		{"unknown controller", "controller: shop\n        separate", "controller: market\n        separate", near + ".controller", "no such controller"},
		{"unknown feature", "feature: map\n        controller: shop\n        separate", "feature: globe\n        controller: shop\n        separate", near + ".feature", "no such feature"},
		{"unknown field", "separate: true", "separate: true\n        fields: [cell, street]", near + ".fields[1]", "no such field"},
		{"unused field", "        quiet: 60d\n", "        fields: [nickname]\n        quiet: 60d\n", "categories[profile].fields[sex]", "no purpose uses"},
		{"a field the source does not have", "name: cell", "name: serial-number", loc + ".fields[serial-number].name", "no such field"},
		{"type the source does not give", "{name: cell, type: text", "{name: cell, type: integer", loc + ".fields[cell].type", "must be text"},
		{"required sensor", "{name: cell, type: text", "{name: cell, type: text, required: true", loc + ".fields[cell].required", "nothing that is read"},
		{"contract for a sensor", "separate: true", "separate: true\n        basis: contract", near + ".basis", "only what an application"},
		{"minimiser of another source", "{name: location, level: 12, daily-cap: 24}", "{name: device}", near + ".minimiser.name", "does not fit"},
		{"no minimiser", "        minimiser: {name: location, level: 12, daily-cap: 24}\n", "", near + ".minimiser", "missing"},
		{"unknown minimiser", "{name: location, level: 12, daily-cap: 24}", "{name: blur}", near + ".minimiser.name", "must be one of"},
		{"parameter of another minimiser", "daily-cap: 24}", "daily-cap: 24, round: 10}", near + ".minimiser.round", "not a parameter"},
		{"missing parameter", ", daily-cap: 24}", "}", near + ".minimiser.daily-cap", "missing"},
		{"level too fine", "level: 12", "level: 20", near + ".minimiser.level", "from 0 to 16"},
		{"level not an integer", "level: 12", "level: 0x0c", near + ".minimiser.level", "from 0 to 16"},
		{"location in the background", "{mode: session, max-session: 30m}", "{mode: background, every: 1h}", near + ".collect.mode", "not possible"},
		{"schedule of a session", "max-session: 30m", "max-session: 30m, every: 1h", near + ".collect.every", "only background"},
		{"no end of a session", "{mode: session, max-session: 30m}", "{mode: session}", near + ".collect.max-session", "missing"},
		{"analytics lane for a cell", "separate: true", "separate: true\n        lane: analytics", near + ".lane", "only counts"},
		{"plain http", "https://collect", "http://collect", "controllers[shop].endpoint", "https"},
		{"endpoint with a user", "https://collect", "https://me@collect", "controllers[shop].endpoint", "https"},
		{"endpoint with a query", "collect.shop.example.com", "collect.shop.example.com/?q=1", "controllers[shop].endpoint", "https"},
		{"another region", "region: CN", "region: SG", near + ".controller", "another region"},
		{"no region code", "region: CN", "region: China", "controllers[shop].region", "ISO 3166"},
		{"pin too short", "sha256/26IJd5Y5vcLEmUcKgM/zu3CEZwJl5ZrT6U8sQiI3erQ=", "sha256/26IJ", "controllers[shop].pins[0]", "sha256/"},
		{"no pins", "pins: [sha256/26IJd5Y5vcLEmUcKgM/zu3CEZwJl5ZrT6U8sQiI3erQ=]", "pins: []", "controllers[shop].pins", "must not be empty"},
		{"broken verifier key", "+9948442c+", "+9948442d+", "controllers[shop].key", "verifier key"},
		{"choices on a text", "{name: nickname, type: text", "{name: nickname, choices: [a], type: text", "categories[profile].fields[nickname].choices", "only a field of type choice"},
		{"choice without choices", "choices: [female, male], default: male, ", "", "categories[profile].fields[sex].choices", "missing"},
		{"default is no choice", "default: male", "default: none", "categories[profile].fields[sex].default", "does not fit"},
		{"truncated without a limit", "limit: 12, ", "", "categories[profile].fields[nickname].limit", "missing"},
		{"rounded text", "rule: truncate", "rule: round", "categories[profile].fields[nickname].rule", "only an integer"},
		{"no fideslang key", "fideslang: user.name, ", "", "categories[profile].fields[nickname].fideslang", "missing"},
		{"no DPV term", `, dpv: "pd:Name"`, "", "categories[profile].fields[nickname].dpv", "missing"},
		{"no data use", "        data-use: functional.service\n", "", near + ".data-use", "missing"},
		{"no such clause", `clause: "1.5"`, `clause: "one"`, loc + ".clause", "clause"},
		{"bad id", "id: map", "id: Map_1", "features[0].id", "lower-case"},
		{"expiry too long", "expiry: 180d", "expiry: 4000d", near + ".expiry", "duration from"},
		{"a text where a list belongs", "pins: [sha256/26IJd5Y5vcLEmUcKgM/zu3CEZwJl5ZrT6U8sQiI3erQ=]", "pins: sha256", "controllers[shop].pins", "must be a list"},
		{"a list where a mapping belongs", "retention: {device: {for: 1d}, controller: {for: 1d}}", "retention: [1d, 1d]", near + ".retention", "must be a mapping"},
		{"alias", "residency: CN", "residency: &here CN\n    origin: *here", loc + ".residency", "anchor"},
		{"merge key", "separate: true", "separate: true\n        <<: {quiet: 1d}", near, "merge key"},
		{"custom tag", "origin: device", "origin: !thing device", loc + ".origin", "YAML tag"},
		{"standard tag", "origin: device", "origin: !!str device", loc + ".origin", "YAML tag"},
		{"two documents", "policy: small", "policy: small\n---\npolicy: small", "", "more than one"},
		{"not YAML", "policy: small", "policy: {small", "", "well-formed"},
		{"unknown alias", "origin: device", "origin: *nowhere", "", "well-formed"},
		{"secret under its name", "contact:", "client-secret: hunter2\n    contact:", "controllers[shop].client-secret", "secret"},
		{"epoch key", "version: 3", "version: 3\nepoch-key: 0123", "epoch-key", "secret"},
		{"signer key for a verifier key", "key: messenger", "key: PRIVATE+KEY+messenger", "controllers[shop].key", "secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := parseSmall(t, tt.old, tt.new)
			if d != nil {
				t.Error("a faulty document was returned")
			}
			var faults policy.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %v, want faults", err)
			}
			for _, f := range faults {
				if f.Line < 1 || f.File != "p.yaml" {
					t.Errorf("no place in %v", f)
				}
			}
			if !hasFault(faults, tt.field, tt.problem) {
				t.Errorf("got\n%v\nwant %s: %s", faults, tt.field, tt.problem)
			}
		})
	}
}

func hasFault(faults policy.Faults, field, problem string) bool {
	for _, f := range faults {
		if (f.Field == field || strings.HasPrefix(f.Field, field) && field != "") && strings.Contains(f.Problem, problem) ||
			field == "" && f.Field == "" && strings.Contains(f.Problem, problem) {
			return true
		}
	}
	return false
}

func TestFaultsNameTheLine(t *testing.T) {
	_, err := parseSmall(t, "level: 12", "level: 99")
	want := "p.yaml:35: categories[location].purposes[nearby].minimiser.level: must be an integer from 0 to 16"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
	var f policy.Fault
	if !errors.As(err, &f) || f.Line != 35 {
		t.Errorf("a single fault is not found in %v", err)
	}
}

func TestAllFaultsAreCollected(t *testing.T) {
	text := strings.NewReplacer("region: CN", "region: China", "level: 12", "level: 99", "expiry: 365d", "expiry: never").Replace(small)
	_, err := policy.Parse("p.yaml", []byte(text))
	var faults policy.Faults
	if !errors.As(err, &faults) || len(faults) != 3 {
		t.Fatalf("got %v, want three faults", err)
	}
	for i := 1; i < len(faults); i++ {
		if faults[i].Line < faults[i-1].Line {
			t.Errorf("not in the order of lines: %v", faults)
		}
	}
}

// TestFaultsHoldNoValue puts a canary where any value or key may stand and looks for it in every message.
func TestFaultsHoldNoValue(t *testing.T) {
	const canary = "Kanari 5550123 x"
	for _, line := range strings.Split(strings.TrimSpace(small), "\n") {
		for _, spoilt := range []string{
			line[:strings.Index(line, ":")+1] + " " + canary,
			line[:strings.Index(line, ":")+1] + " {" + canary + ": " + canary + "}",
			line[:strings.Index(line, ":")+1] + " *" + canary,
			line[:strings.Index(line, ":")+1] + " !<" + canary + "> 1",
			canary,
			"? [" + canary + "]",
		} {
			_, err := policy.Parse("p.yaml", []byte(strings.Replace(small, line, spoilt, 1)))
			if err != nil && strings.Contains(err.Error(), "5550123") {
				t.Errorf("%q: the message holds the value: %v", spoilt, err)
			}
		}
	}
}

func TestParseIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"empty":          "",
		"only a comment": "# nothing\n",
		"a scalar":       "policy",
		"a list":         "[policy]",
		"null":           "null",
		"deep lists":     strings.Repeat("[", 9000),
		"deep mappings":  strings.Repeat("{a: ", 9000),
		"deep blocks":    strings.Repeat("- ", 9000) + "a",
		"long line":      "policy: " + strings.Repeat("a", policy.MaxDocument-20),
		"many keys":      strings.Repeat("a: 1\n", policy.MaxDocument/5),
		"many nodes":     "[" + strings.Repeat("1,", 100_000) + "]",
		"too large":      strings.Repeat("#\n", policy.MaxDocument),
		"not UTF-8":      "policy: \xff\xfe",
		"NUL":            "policy: a\x00b",
		"UTF-16":         "\xff\xfep\x00o\x00",
		"byte-order":     "\ufeffpolicy: small\n",
		"alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
	} {
		t.Run(name, func(t *testing.T) {
			d, err := policy.Parse("p.yaml", []byte(text))
			var faults policy.Faults
			if d != nil || !errors.As(err, &faults) || len(faults) == 0 || len(faults) > 200 {
				t.Errorf("got %v and %d faults", d != nil, len(faults))
			}
		})
	}
}

func TestSecretsAreFound(t *testing.T) {
	signer, verifier, err := policy.GenerateKey("canary.example.com")
	if err != nil {
		t.Fatal(err)
	}
	const key32 = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="
	const hex32 = "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
	for name, secret := range map[string]string{
		"PEM":          "-----BEGIN EC PRIVATE KEY-----",
		"note signer":  signer,
		"base64":       key32,
		"base64 raw":   strings.TrimRight(key32, "="),
		"base64 url":   "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNF_4k",
		"hexadecimal":  hex32,
		"upper case":   strings.ToUpper(hex32),
		"64 bytes hex": hex32 + hex32,
		"with a word":  "use " + key32 + " here",
		"age":          "AGE-SECRET-KEY-1" + strings.Repeat("Q", 58),
	} {
		for place, edit := range map[string][2]string{
			"a text":            {"en: others see it", "en: " + quoted(secret)},
			"a folded text":     {"effect: {zh-CN: 他人会看到, en: others see it}", "effect:\n          zh-CN: 他人会看到\n          en: >-\n            others\n            " + secret},
			"a comment":         {"features:", "features: # " + secret},
			"a line of its own": {"features:", "# " + secret + "\nfeatures:"},
			"an unknown key":    {"features:", "extra: " + quoted(secret) + "\nfeatures:"},
			"a key's name":      {"features:", quoted(secret) + ": 1\nfeatures:"},
		} {
			_, err := parseSmall(t, edit[0], edit[1])
			var faults policy.Faults
			if !errors.As(err, &faults) || !strings.Contains(err.Error(), "secret") {
				t.Errorf("%s in %s: not found: %v", name, place, err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s in %s: the message holds it", name, place)
			}
		}
	}
	// What is public may stand there.
	if _, err := parseSmall(t, "messenger.example.com+9948442c+AZ0NTtyWfVlGeBX0tjV7NDNEOd+a9t8qkHWXvDfrVUCh", verifier); err != nil {
		t.Errorf("a verifier key is no secret: %v", err)
	}
}

func quoted(s string) string { return `"` + s + `"` }

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 30 * policy.Day, "36h": 36 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute,
		"0d": 0, "1m30s": 90 * time.Second,
	} {
		got, err := policy.ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
		again, err := policy.ParseDuration(policy.FormatDuration(want))
		if err != nil || again != want {
			t.Errorf("%v: formatted as %s, read as %v, %v", want, policy.FormatDuration(want), again, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1d-2h", "-5m", "1.5d", "30", "99999999999d", "106751d48h", "1w", "forever", "1d1d"} {
		if got, err := policy.ParseDuration(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	for _, text := range []string{"", "a: *a", "a: &a {<<: *a}", "? [1]\n: 2", "- - - {}", "policy: !!int x", "{policy: small, version: 0x10}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := policy.Parse("p.yaml", data)
		if err != nil {
			var faults policy.Faults
			if d != nil || !errors.As(err, &faults) {
				t.Fatalf("got %v, %v", d, err)
			}
			return
		}
		// What was accepted can be used to the end without a panic.
		for _, tuple := range d.Tuples("person") {
			e, err := d.Effective(tuple.Category, tuple.Purpose)
			if err != nil {
				t.Fatal(err)
			}
			if e.SubtreeHash() == [32]byte{} || e.Notice(policy.LangZH).Text == "" {
				t.Fatalf("%s: nothing", tuple)
			}
		}
		if changes := policy.Diff(d, d); len(changes) != 0 {
			t.Fatalf("differs from itself: %v", changes)
		}
		if _, err := policy.Customise(data, nil); err != nil {
			t.Fatal(err)
		}
	})
}
