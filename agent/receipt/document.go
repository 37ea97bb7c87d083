package receipt

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

type (
	object = map[string]any
	list   = []any
)

// The schemas of DPV's guide to 27560.
const (
	schemaReceipt = "https://w3id.org/dpv/schema/dpv-27560#receipt"
	schemaRecord  = "https://w3id.org/dpv/schema/dpv-27560#record"
)

// states are the events of which there are receipts, in the words of DPV.
var states = map[consent.Event]string{
	consent.EventRequested:   "dpv:ConsentRequested",
	consent.EventDeferred:    "dpv:ConsentRequestDeferred",
	consent.EventGiven:       "dpv:ConsentGiven",
	consent.EventRefused:     "dpv:ConsentRefused",
	consent.EventWithdrawn:   "dpv:ConsentWithdrawn",
	consent.EventExpired:     "dpv:ConsentExpired",
	consent.EventInvalidated: "dpv:ConsentInvalidated",
}

// context is what every receipt carries, so that it can be read as linked data without fetching anything. It is the one
// that configs/context.jsonld publishes.
func context() object {
	return object{
		"dct":           "http://purl.org/dc/terms/",
		"dpv":           "https://w3id.org/dpv#",
		"loc":           "https://w3id.org/dpv/loc#",
		"pd":            "https://w3id.org/dpv/pd#",
		"scruple":       "https://scruple-agent.github.io/ns#",
		"skos":          "http://www.w3.org/2004/02/skos/core#",
		"scruple:terms": object{"@id": "scruple:terms", "@type": "@json"},
	}
}

// document is the receipt without its evidence. It is a function of what the evidence proves and of nothing else: no
// clock, no policy, no chance. That is how Verify knows every field.
func document(s *consent.Statement, salt wire.Hash, t policy.Terms, text string) object {
	return object{
		"@context":       context(),
		"@type":          "dpv:ConsentReceipt",
		"dct:conformsTo": id(schemaReceipt),
		"dct:created":    instant(s.Time),
		"dct:identifier": uuid("receipt", salt),
		"dpv:hasRecordOfActivity": list{
			record(s, salt, t, text),
		},
	}
}

func record(s *consent.Statement, salt wire.Hash, t policy.Terms, text string) object {
	lang := s.Lang
	if lang == "" {
		lang = policy.LangEN
	}
	in := func(key string) string { return t[key+"."+string(lang)] }
	r := object{
		"@type":                 "dpv:ConsentRecord",
		"dct:conformsTo":        id(schemaRecord),
		"dct:identifier":        uuid("record", salt),
		"dpv:hasDataSubject":    object{"@id": uuid("subject", salt), "@type": "dpv:DataSubject"},
		"dpv:hasJurisdiction":   id("loc:" + t["controller.region"]),
		"dpv:hasLegalBasis":     id("dpv:ExplicitlyExpressedConsent"),
		"dpv:hasProcess":        list{process(s, t, in)},
		"dpv:hasDuration":       validity(s),
		"scruple:policy":        s.PolicyID,
		"scruple:policyVersion": strconv.FormatUint(uint64(s.PolicyVersion), 10),
		"scruple:terms":         object{},
	}
	for key, value := range t {
		r["scruple:terms"].(object)[key] = value
	}
	by := "scruple:Application"
	switch {
	case s.Person:
		by = "dpv:DataSubject"
	case s.Channel == "agent":
		by = "scruple:Agent"
	}
	status := object{
		"@type": states[s.Event], "dpv:isIndicatedAtTime": instant(s.Time), "dpv:isIndicatedBy": id(by), "scruple:channel": s.Channel,
	}
	if s.Event == consent.EventWithdrawn || s.Event == consent.EventInvalidated {
		status["scruple:erasureAsked"] = strconv.FormatBool(s.Clear)
	}
	r["dpv:hasConsentStatus"] = status
	if !s.Notice.IsZero() {
		r["dpv:hasNotice"] = object{
			"@type": "dpv:ConsentNotice", "dct:language": string(s.Lang), "scruple:text": text, "scruple:sha256": s.Notice.String(),
		}
	}
	if !s.Guardian.IsZero() {
		r["scruple:guardian"] = s.Guardian.String()
	}
	return r
}

// process is what is done with which data, by whom, for what, for how long, and how it is stopped.
func process(s *consent.Statement, t policy.Terms, in func(string) string) object {
	tuple := string(s.Category) + "/" + string(s.Purpose)
	region := id("loc:" + t["controller.region"])
	recipients := list{object{"@type": "dpv:DataController", "dpv:hasName": in("controller.name")}}
	for name := range strings.SplitSeq(t["purpose.recipients"], "\n") {
		if name != "" {
			recipients = append(recipients, object{"@type": "dpv:ThirdParty", "dpv:hasName": name})
		}
	}
	var controls list
	for _, c := range [][2]string{{"WithdrawConsent", "withdraw"}, {"RefuseConsent", "refuse"}, {"ProvideConsent", "give"}} {
		controls = append(controls, object{
			"@type": "dpv:" + c[0], "scruple:command": "scruple consent " + c[1] + " " + tuple,
			"dpv:isExercisedAt": "/v1/consents/" + tuple + "/" + c[1],
		})
	}
	return object{
		"@type": "dpv:Process", "dct:identifier": tuple,
		"dpv:hasPurpose":      object{"@type": or(t["purpose.dpv"], "dpv:Purpose"), "dct:description": in("purpose.text")},
		"dpv:hasPersonalData": personalData(t, in),
		"dpv:hasDataController": list{object{
			"@type": "dpv:DataController", "dct:identifier": string(s.Controller), "dpv:hasName": in("controller.name"),
			"dpv:hasAddress": t["controller.endpoint"], "dpv:hasContact": s.Contact, "dpv:hasLocation": region,
		}},
		"dpv:hasRecipient": recipients,
		"dpv:hasStorageCondition": list{
			object{"@type": "dpv:StorageLocation", "dpv:hasLocation": id("dpv:WithinDevice")},
			object{"@type": "dpv:StorageDuration", "dpv:hasLocation": id("dpv:WithinDevice"), "dpv:hasDuration": retention(t["retention.device"])},
			object{"@type": "dpv:StorageLocation", "dpv:hasLocation": region},
			object{"@type": "dpv:StorageDuration", "dpv:hasLocation": region, "dpv:hasDuration": retention(t["retention.controller"])},
		},
		"dpv:hasConsentControl": controls,
	}
}

// personalData lists the declared fields; what the policy drops before it is stored is not among them.
func personalData(t policy.Terms, in func(string) string) list {
	kind := "dpv:PersonalData"
	if t["category.sensitivity"] == string(policy.Sensitive) {
		kind = "dpv:SensitivePersonalData"
	}
	data := list{}
	for _, key := range slices.Sorted(maps.Keys(t)) {
		name, ok := strings.CutSuffix(key, ".type")
		if !ok || !strings.HasPrefix(name, "fields.") || t[name+".rule"] == string(policy.RuleDrop) {
			continue
		}
		necessity := "dpv:Optional"
		if t[name+".required"] == "true" {
			necessity = "dpv:Required"
		}
		data = append(data, object{
			"@type": kind, "dct:title": in(name + ".label"), "skos:broader": id(or(t[name+".dpv"], "dpv:PersonalData")),
			"dpv:hasNecessity": id(necessity),
		})
	}
	return data
}

// validity is how long what the record says holds: a consent until it expires, anything else until the next answer.
func validity(s *consent.Statement) object {
	if s.Event == consent.EventGiven {
		return object{"@type": "dpv:UntilTimeDuration", "scruple:until": instant(s.Expiry)}
	}
	return object{"@type": "dpv:UntilEventDuration", "scruple:until": id("dpv:ConsentGiven")}
}

func retention(r string) object {
	if event, ok := strings.CutPrefix(r, "until "); ok {
		return object{"@type": "dpv:UntilEventDuration", "scruple:until": event}
	}
	return object{"@type": "dpv:TemporalDuration", "scruple:duration": r}
}

func id(iri string) object { return object{"@id": iri} }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func instant(sec int64) string { return time.Unix(sec, 0).UTC().Format(time.RFC3339) }

// uuid returns an id that belongs to this record alone: a UUIDv4 whose random bits come from the record's salt.
func uuid(what string, salt wire.Hash) string {
	h := sha256.New()
	fmt.Fprintf(h, "scruple-receipt/1 %s\n", what)
	h.Write(salt[:])
	u := wire.UUID(h.Sum(nil)[:16])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return "urn:uuid:" + u.String()
}
