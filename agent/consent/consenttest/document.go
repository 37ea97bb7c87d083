package consenttest

import (
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
)

// text is an invented text in both languages.
func text(s string) policy.Text {
	return policy.Text{policy.LangEN: s, policy.LangZH: "（" + s + "）"}
}

// Document returns a small policy with two controllers and one purpose of each kind: "device/service" (background),
// "contacts/find" (background, sensitive), "location/nearby" (use session), "steps/compare" (background), and
// "payment/pay" (submitted, to the controller "payments"). The caller may change it.
func Document(t testing.TB) *policy.Document {
	t.Helper()
	const day = 24 * time.Hour
	purpose := func(id policy.PurposeID, c policy.ControllerID, m policy.MinimiserName, collect policy.Collect) policy.Purpose {
		return policy.Purpose{
			ID: id, Text: text("purpose " + string(id)), Necessity: text("needed for it"), Effect: text("it can be seen"),
			Feature: "feature", Controller: c, Basis: policy.BasisConsent, Separate: true, Lane: policy.LaneFeatures,
			Collect: collect, Minimiser: policy.Minimiser{Name: m, Level: 12, DailyCap: 48, Window: time.Hour, Round: 1, Mode: "keyed", PadFrom: 64},
			Device: policy.Retention{For: 7 * day}, Kept: policy.Retention{For: 90 * day}, Quiet: 30 * day, Expiry: 365 * day,
		}
	}
	category := func(id policy.CategoryID, s policy.Sensitivity, src policy.Source, p ...policy.Purpose) policy.Category {
		fields := []policy.Field{{Name: "value", Type: policy.FieldText, Rule: policy.RuleKeep, Label: text("value")}}
		return policy.Category{
			ID: id, Clause: "1", Name: text(string(id)), Description: text("what it is"), Sensitivity: s,
			Subject: policy.DeviceUser, Origin: "device", Source: src, Residency: "CN", Fields: fields, Purposes: p,
		}
	}
	background := policy.Collect{Mode: policy.ModeBackground, Every: day}
	controller := func(id policy.ControllerID) policy.Controller {
		return policy.Controller{
			ID: id, Name: text(string(id)), Contact: "privacy@example.com", Endpoint: "https://" + string(id) + ".example.com",
			Region: "CN", Key: Verifier(id), Pins: []string{"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
		}
	}
	return &policy.Document{
		ID: "example", Version: 1,
		Controllers: []policy.Controller{controller("messenger"), controller("payments")},
		Features:    []policy.Feature{{ID: "feature", Name: text("a feature")}},
		Categories: []policy.Category{
			category("device", policy.Basic, policy.SourceDevice, purpose("service", "messenger", policy.MinimiseDevice, background)),
			category("contacts", policy.Sensitive, policy.SourceContacts, purpose("find", "messenger", policy.MinimiseContacts, background)),
			category("location", policy.Sensitive, policy.SourceLocation, purpose("nearby", "messenger", policy.MinimiseLocation,
				policy.Collect{Mode: policy.ModeSession, MaxSession: 10 * time.Minute})),
			category("steps", policy.Sensitive, policy.SourceSteps, purpose("compare", "messenger", policy.MinimiseSteps, background)),
			category("payment", policy.Sensitive, policy.SourceApplication, purpose("pay", "payments", policy.MinimiseFields,
				policy.Collect{Mode: policy.ModeSubmitted})),
		},
	}
}
