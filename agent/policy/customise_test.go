package policy_test

import (
	"errors"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
)

func TestCustomise(t *testing.T) {
	_, key, err := policy.GenerateKey("dev.example.com")
	if err != nil {
		t.Fatal(err)
	}
	pin := "sha256/MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	data, err := policy.Customise(configs.PolicyYAML, map[policy.ControllerID]policy.ControllerOverride{
		"messenger": {Endpoint: "https://127.0.0.1:8443", Key: key, Pins: []string{pin}},
	})
	if err != nil {
		t.Fatal(err)
	}
	before := example(t)
	after, err := policy.Parse("customised", data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := after.Controller("messenger")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := before.Controller("messenger")
	if got.Endpoint != "https://127.0.0.1:8443" || got.Key != key || len(got.Pins) != 1 || got.Pins[0] != pin {
		t.Errorf("the override was not applied: %+v", got)
	}
	if got.Region != want.Region || got.Name[policy.LangEN] != want.Name[policy.LangEN] {
		t.Errorf("what was not overridden changed: %+v", got)
	}
	for _, c := range policy.Diff(before, after) {
		for _, d := range c.Details {
			switch d.Field {
			case "endpoint", "key", "pins", "controller.endpoint":
			default:
				t.Errorf("%s: %s changed as well", c.Subject(), d.Field)
			}
		}
		if c.Controller == "payments" {
			t.Errorf("%s changed as well", c.Subject())
		}
	}
}

func TestCustomiseRefuses(t *testing.T) {
	for name, o := range map[string]struct {
		id policy.ControllerID
		o  policy.ControllerOverride
	}{
		"another region":   {"messenger", policy.ControllerOverride{Region: "SG"}},
		"plain http":       {"messenger", policy.ControllerOverride{Endpoint: "http://127.0.0.1:8080"}},
		"a bad pin":        {"messenger", policy.ControllerOverride{Pins: []string{"sha256/short"}}},
		"a bad key":        {"messenger", policy.ControllerOverride{Key: "nonsense"}},
		"an unknown party": {"nobody", policy.ControllerOverride{}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := policy.Customise(configs.PolicyYAML, map[policy.ControllerID]policy.ControllerOverride{o.id: o.o})
			var faults policy.Faults
			if !errors.As(err, &faults) && !errors.Is(err, policy.ErrUndeclared) {
				t.Errorf("got %v, want faults", err)
			}
		})
	}
}
