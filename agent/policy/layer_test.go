package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
)

const layerHead = "policy: shop-maps\nversion: 2\neffective: 2026-06-01\nover: small\n"

func layered(t testing.TB, body string) (policy.Loaded, error) {
	t.Helper()
	return policy.LoadAll([]policy.File{
		{Name: "general.yaml", Data: []byte(small)}, {Name: "specific.yaml", Data: []byte(layerHead + body)},
	}, policy.LoadOptions{Dev: true})
}

// TestClause_9_TheSpecificOneWins: value by value, and the effective policy can be read again and says the same.
func TestClause_9_TheSpecificOneWins(t *testing.T) {
	l, err := layered(t, `
categories:
  - id: location
    purposes:
      - id: nearby
        minimiser: {level: 10}
        retention: {controller: {until: withdrawn}}
        text: {zh-CN: 另一用途, en: something else}
  - id: profile
    fields:
      - {name: nickname, limit: 6}
`)
	if err != nil {
		t.Fatal(err)
	}
	d := l.Document
	if d.ID != "shop-maps" || d.Version != 5 {
		t.Errorf("got %s version %d, want the specific id and the sum of versions", d.ID, d.Version)
	}
	e, err := d.Effective("location", "nearby")
	if err != nil {
		t.Fatal(err)
	}
	p := e.Purpose
	if p.Minimiser != (policy.Minimiser{Name: policy.MinimiseLocation, Level: 10, DailyCap: 24}) ||
		p.Kept != (policy.Retention{Until: policy.UntilWithdrawn}) || p.Device != (policy.Retention{For: policy.Day}) ||
		p.Text[policy.LangEN] != "something else" || p.Feature != "map" {
		t.Errorf("effective: %+v", p)
	}
	again, err := policy.Parse("effective", l.YAML)
	if err != nil || len(policy.Diff(again, d)) != 0 {
		t.Errorf("what is printed is not what is in force: %v", err)
	}
	var got []string
	for _, c := range l.Conflicts {
		for _, x := range c.Details {
			got = append(got, c.Subject()+" "+x.Field)
		}
	}
	for _, want := range []string{"location/nearby minimiser.level", "location/nearby retention.controller", "location/nearby purpose.text.en"} {
		if !slices.Contains(got, want) {
			t.Errorf("the conflict %s is not explained: %v", want, got)
		}
	}
}

// TestClause_9_ALoosening: where the specific one is looser, a consent to the general one does not cover it;
// where it is narrower, it does.
func TestClause_9_ALoosening(t *testing.T) {
	general, err := parseSmall(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	before, err := general.Effective("location", "nearby")
	if err != nil {
		t.Fatal(err)
	}
	for level, narrower := range map[string]bool{"14": false, "12": true, "9": true} {
		l, err := layered(t, "categories: [{id: location, purposes: [{id: nearby, minimiser: {level: "+level+"}}]}]\n")
		if err != nil {
			t.Fatal(err)
		}
		after, err := l.Document.Effective("location", "nearby")
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := policy.Narrower(before, after); got != narrower {
			t.Errorf("level 12 to %s: covered %v, want %v", level, got, narrower)
		}
		if level != "12" && (len(l.Conflicts) != 1 || l.Conflicts[0].Narrower != narrower) {
			t.Errorf("level 12 to %s: %+v", level, l.Conflicts)
		}
	}
}

func TestLayerFaults(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"over another", strings.Replace(layerHead, "over: small", "over: large", 1), "specific.yaml:4: over: names another policy"},
		{"over itself", strings.Replace(layerHead, "policy: shop-maps", "policy: small", 1), "policy"},
		{"unknown key", layerHead + "retention: 3d\n", "retention: unknown key"},
		{"unknown key within", layerHead + "categories: [{id: location, colour: red}]\n", "colour: unknown key"},
		{"a key twice", layerHead + "categories: [{id: location, source: steps, source: device}]\n", "source: duplicate key"},
		{"a category twice", layerHead + "categories: [{id: location}, {id: location}]\n", "duplicate id"},
		{"half a new category", layerHead + "categories: [{id: steps, source: steps}]\n", "missing"},
		{"a text in one language", layerHead + "categories: [{id: location, name: {en: Place}}]\n", "zh-CN: missing"},
		{"an alias", layerHead + "features: &a []\ncategories: *a\n", "YAML"},
		{"no mapping", "- over\n", "must be a mapping"},
		{"another region", layerHead + "controllers: [{id: shop, region: US}]\n", "another region"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := policy.Layer("general.yaml", []byte(small), "specific.yaml", []byte(tt.text))
			var faults policy.Faults
			if !errors.As(err, &faults) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestLayersAreSigned: each layer by the same key, a layer is no policy by itself, no layer twice.
func TestLayersAreSigned(t *testing.T) {
	signer, verifier, err := policy.GenerateKey("deployer")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := policy.GenerateKey("somebody")
	if err != nil {
		t.Fatal(err)
	}
	general, err := policy.Sign([]byte(small), signer)
	if err != nil {
		t.Fatal(err)
	}
	under := []policy.File{{Name: "general", Data: general}}
	layer := policy.File{Name: "specific", Data: []byte(layerHead)}
	if _, err := policy.Sign(layer.Data, signer); err == nil {
		t.Error("a layer was signed as if it were a whole policy")
	}
	signed, err := policy.SignLayer(under, layer, signer)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := policy.SignLayer(under, layer, other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.SignLayer(under, policy.File{Name: "specific", Data: []byte(layerHead + "x: 1\n")}, signer); err == nil {
		t.Error("a faulty layer was signed")
	}
	o := policy.LoadOptions{Key: verifier}
	l, err := policy.LoadAll([]policy.File{under[0], {Name: "specific", Data: signed}}, o)
	if err != nil || !l.Signed() || len(l.Parts) != 2 || l.Parts[1].ID != "shop-maps" || l.Parts[1].Version != 2 {
		t.Errorf("got %+v, %v", l.Parts, err)
	}
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{"unsigned": {layer.Data, policy.ErrUnsigned}, "by somebody else": {foreign, policy.ErrUnsigned}} {
		if _, err := policy.LoadAll([]policy.File{under[0], {Name: "specific", Data: tt.data}}, o); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := policy.LoadAll([]policy.File{{Name: "specific", Data: signed}}, o); err == nil {
		t.Error("a layer alone was taken for a policy")
	}
	if _, err := policy.LoadAll([]policy.File{under[0], under[0]}, o); err == nil {
		t.Error("one document twice")
	}
	if _, err := policy.LoadAll(nil, o); err == nil {
		t.Error("nothing was taken for a policy")
	}
}

// TestTwoSignatures: what is signed already gets one more signature, and verifies with either key.
func TestTwoSignatures(t *testing.T) {
	oldSigner, oldKey, err := policy.GenerateKey("deployer")
	if err != nil {
		t.Fatal(err)
	}
	newSigner, newKey, err := policy.GenerateKey("deployer-2")
	if err != nil {
		t.Fatal(err)
	}
	once, err := policy.Sign([]byte(small), oldSigner)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := policy.Sign(once, newSigner)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{oldKey, newKey} {
		if err := policy.SignedBy("p", twice, key); err != nil {
			t.Errorf("with two signatures: %v", err)
		}
	}
	if err := policy.SignedBy("p", once, newKey); !errors.Is(err, policy.ErrUnsigned) {
		t.Errorf("with the old signature only: %v", err)
	}
	damaged := []byte(strings.Replace(string(twice), "level: 12", "level: 16", 1))
	if err := policy.SignedBy("p", damaged, oldKey); !errors.Is(err, policy.ErrSignature) {
		t.Errorf("changed after signing: %v", err)
	}
}

func FuzzLayer(f *testing.F) {
	f.Add([]byte(layerHead))
	f.Add([]byte(layerHead + "categories: [{id: location, purposes: [{id: nearby, minimiser: {level: 10}}]}]\n"))
	f.Add([]byte("over: x"))
	f.Add([]byte("- a\n- b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		policy.IsLayer(data)
		out, err := policy.Layer("general.yaml", []byte(small), "specific.yaml", data)
		if err != nil {
			return
		}
		if _, err := policy.Parse("effective", out); err != nil {
			t.Fatalf("not a policy: %v", err)
		}
	})
}
