package receipt_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/configs"
)

// dpv are the terms of DPV 2.3, of its personal data and locations, and of Dublin Core and SKOS, that receipts of the
// example policy use.
var dpv = strings.Fields(`
	dct:conformsTo dct:created dct:description dct:identifier dct:language dct:title skos:broader

	dpv:ConsentReceipt dpv:ConsentRecord dpv:ConsentNotice dpv:DataSubject dpv:DataController dpv:ThirdParty dpv:Process
	dpv:PersonalData dpv:SensitivePersonalData dpv:Required dpv:Optional dpv:WithinDevice dpv:StorageLocation dpv:StorageDuration
	dpv:TemporalDuration dpv:UntilTimeDuration dpv:UntilEventDuration dpv:ExplicitlyExpressedConsent
	dpv:ConsentRequested dpv:ConsentRequestDeferred dpv:ConsentGiven dpv:ConsentRefused dpv:ConsentWithdrawn dpv:ConsentExpired
	dpv:ConsentInvalidated dpv:ProvideConsent dpv:RefuseConsent dpv:WithdrawConsent

	dpv:hasAddress dpv:hasConsentControl dpv:hasConsentStatus dpv:hasContact dpv:hasDataController dpv:hasDataSubject dpv:hasDuration
	dpv:hasJurisdiction dpv:hasLegalBasis dpv:hasLocation dpv:hasName dpv:hasNecessity dpv:hasNotice dpv:hasPersonalData dpv:hasProcess
	dpv:hasPurpose dpv:hasRecipient dpv:hasRecordOfActivity dpv:hasStorageCondition dpv:isExercisedAt dpv:isIndicatedAtTime
	dpv:isIndicatedBy

	dpv:PaymentManagement dpv:RequestedServiceProvision dpv:ServiceOptimisation dpv:ServiceProvision dpv:TechnicalServiceProvision
	pd:Contact pd:DeviceBased pd:DeviceOperatingSystem pd:DeviceSoftware pd:EmailAddress pd:Name pd:SocialNetwork pd:TelephoneNumber
	pd:Transaction loc:CN`)

var term = regexp.MustCompile(`^(dct|dpv|loc|pd|scruple|skos):[A-Za-z0-9]+$`)

// Every term of a receipt is DPV's, or is defined in the vocabulary that we publish.
func TestTermsAreKnown(t *testing.T) {
	var vocabulary struct {
		Context map[string]any `json:"@context"`
		Graph   []struct {
			ID         string `json:"@id"`
			Definition any    `json:"skos:definition"`
		} `json:"@graph"`
	}
	if err := json.Unmarshal(configs.Context, &vocabulary); err != nil {
		t.Fatal(err)
	}
	minted := map[string]bool{}
	for _, d := range vocabulary.Graph {
		if minted[d.ID] || d.Definition == nil || !strings.HasPrefix(d.ID, "scruple:") {
			t.Errorf("%s: defined twice, not at all, or not ours to define", d.ID)
		}
		minted[d.ID] = true
	}
	receipts, _ := life(t)
	used := map[string]bool{}
	for name, file := range receipts {
		receipt := decode(t, file)
		if got := receipt["@context"]; string(encode(t, got)) != string(encode(t, vocabulary.Context)) {
			t.Fatalf("%s: its context is not the published one", name)
		}
		delete(receipt, "@context")
		delete(node(receipt, "dpv:hasRecordOfActivity", 0), "scruple:terms") // keys and values of the policy, not terms
		used["scruple:terms"] = true
		walk(receipt, func(key bool, s string) {
			switch {
			case term.MatchString(s):
				used[s] = true
			case key && !strings.HasPrefix(s, "@"):
				t.Errorf("%s: a key that is no term: %s", name, s)
			}
		})
	}
	for _, s := range slices.Sorted(maps.Keys(used)) {
		if !minted[s] && !slices.Contains(dpv, s) {
			t.Errorf("%s is neither DPV's nor ours", s)
		}
	}
	for _, s := range dpv {
		if !used[s] && strings.HasPrefix(s, "dpv:has") {
			t.Errorf("%s is not used", s)
		}
	}
}

// The terms that the example policy mints are in the vocabulary.
func TestTermsOfThePolicyAreMinted(t *testing.T) {
	for _, s := range regexp.MustCompile(`"(scruple:[A-Za-z]+)"`).FindAllStringSubmatch(string(configs.PolicyYAML), -1) {
		if !strings.Contains(string(configs.Context), `"@id": "`+s[1]+`"`) {
			t.Errorf("%s is not in the vocabulary", s[1])
		}
	}
}

// The fields that ISO/IEC TS 27560 demands are there in the receipt of a consent, none of them empty.
func TestMandatoryFieldsOf27560(t *testing.T) {
	receipts, _ := life(t)
	for name, file := range receipts {
		d := decode(t, file)
		has := func(of doc, keys ...string) {
			for _, key := range keys {
				v := string(encode(t, of[key]))
				if v == "null" || v == `""` || v == "[]" || strings.Contains(v, `""`) {
					t.Errorf("%s: %s is missing or has an empty part", name, key)
				}
			}
		}
		has(d, "dct:conformsTo", "dct:identifier", "dct:created")
		has(record(d), "dct:conformsTo", "dct:identifier", "dpv:hasDataSubject", "dpv:hasJurisdiction", "dpv:hasDuration",
			"dpv:hasLegalBasis", "dpv:hasConsentStatus")
		has(process(d), "dpv:hasPurpose", "dpv:hasPersonalData", "dpv:hasDataController", "dpv:hasStorageCondition", "dpv:hasRecipient",
			"dpv:hasConsentControl")
		has(node(process(d), "dpv:hasDataController", 0), "dct:identifier", "dpv:hasName", "dpv:hasAddress", "dpv:hasContact")
		if name != "device/service refused" { // nothing was shown
			has(node(record(d), "dpv:hasNotice"), "dct:language", "scruple:text", "scruple:sha256")
		}
	}
}

func walk(v any, each func(key bool, s string)) {
	switch v := v.(type) {
	case doc:
		for key, value := range v {
			each(true, key)
			walk(value, each)
		}
	case []any:
		for _, value := range v {
			walk(value, each)
		}
	case string:
		each(false, v)
	}
}
