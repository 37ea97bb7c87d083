package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// fit says what a source can be read for: when, through which minimisers, and, where the reader is ours, which
// fields exist at all. A hardware identifier is in none of these lists, so no policy can ask for one.
type fit struct {
	modes      []Mode
	minimisers []MinimiserName
	fields     map[string]FieldType
}

var fits = map[Source]fit{
	SourceDevice: {
		[]Mode{ModeBackground},
		[]MinimiserName{MinimiseDevice},
		map[string]FieldType{
			"model": FieldText, "os": FieldText, "os-version": FieldText, "agent-version": FieldText,
			"network": FieldText, "address-family": FieldText, "sensors": FieldTexts,
		},
	},
	SourceAccelerometer: {
		[]Mode{ModeBackground, ModeSession},
		[]MinimiserName{MinimiseMotion},
		map[string]FieldType{"orientation": FieldText, "still": FieldInteger, "moving": FieldInteger},
	},
	SourceSteps: {
		[]Mode{ModeBackground, ModeSession},
		[]MinimiserName{MinimiseSteps, MinimiseBuckets},
		map[string]FieldType{"total": FieldInteger, "bucket": FieldInteger},
	},
	SourceLocation: {
		[]Mode{ModeSession},
		[]MinimiserName{MinimiseLocation},
		map[string]FieldType{"cell": FieldText, "level": FieldInteger, "accuracy": FieldInteger, "kind": FieldText},
	},
	SourceContacts: {
		[]Mode{ModeBackground, ModeSession},
		[]MinimiserName{MinimiseContacts},
		map[string]FieldType{"digests": FieldBytes, "epoch": FieldInteger, "form": FieldInteger, "metadata": FieldText},
	},
	SourceApplication: {[]Mode{ModeSubmitted}, []MinimiserName{MinimiseFields, MinimiseCounts}, nil},
	SourceAgent:       {[]Mode{ModeBackground}, []MinimiserName{MinimiseCounts}, nil},
	SourceConnection:  {[]Mode{ModeConnection}, nil, nil},
}

// check finds what no single value shows: references, and things that do not go together.
func (r *reader) check(d *Document) {
	for i := range d.Controllers {
		r.checkController(&d.Controllers[i], at("controllers", i, string(d.Controllers[i].ID)))
	}
	for i := range d.Categories {
		c := &d.Categories[i]
		path := at("categories", i, string(c.ID))
		r.checkCategory(c, path)
		for j := range c.Purposes {
			r.checkPurpose(d, c, &c.Purposes[j], at(path+".purposes", j, string(c.Purposes[j].ID)))
		}
	}
}

// at is the path of a list element. After a duplicate id the first of the two is named.
func at(path string, i int, id string) string {
	if isID(id) {
		return path + "[" + id + "]"
	}
	return path + "[" + strconv.Itoa(i) + "]"
}

func (r *reader) checkController(c *Controller, path string) {
	if c.Endpoint != "" && !validEndpoint(c.Endpoint) {
		r.at(path+".endpoint", "must be https://HOST or https://HOST:PORT and nothing more")
	}
	if c.Key != "" && !secretValue(c.Key) {
		if _, err := note.NewVerifier(c.Key); err != nil {
			r.at(path+".key", "not a note verifier key of an Ed25519 key")
		}
	}
	for i, pin := range c.Pins {
		if !validPin(pin) {
			r.at(at(path+".pins", i, ""), `must be "sha256/" and the base64 of 32 bytes`)
		}
	}
}

func validEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Opaque == "" &&
		(u.Path == "" || u.Path == "/") && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" &&
		!strings.ContainsAny(s, "#\\ ") && !strings.HasSuffix(u.Host, ":")
}

func validPin(s string) bool {
	b64, ok := strings.CutPrefix(s, "sha256/")
	b, err := base64.StdEncoding.Strict().DecodeString(b64)
	return ok && err == nil && len(b) == sha256.Size
}

func (r *reader) checkCategory(c *Category, path string) {
	own := fits[c.Source].fields
	for i := range c.Fields {
		f := &c.Fields[i]
		p := at(path+".fields", i, f.Name)
		if own != nil && f.Name != "" {
			if t, ok := own[f.Name]; !ok {
				r.at(p+".name", "the source has no such field")
			} else if f.Type != "" && f.Type != t {
				r.at(p+".type", "must be %s: that is what the source gives", t)
			}
		}
		switch {
		case f.Rule == RuleRound && f.Type != FieldInteger:
			r.at(p+".rule", "only an integer can be rounded")
		case f.Rule == RuleTruncate && f.Type != FieldText:
			r.at(p+".rule", "only a text can be truncated")
		case f.Rule == RuleDigest && f.Type != FieldText:
			r.at(p+".rule", "only a text can be replaced by its digest")
		case f.Rule != RuleKeep && f.Rule != "" && c.Source != SourceApplication:
			r.at(p+".rule", "only what an application submits has rules for its fields")
		}
		if f.Required && c.Source != SourceApplication {
			r.at(p+".required", "nothing that is read from a device can be required for an account")
		}
		if f.Default != "" && !f.defaultFits() {
			r.at(p+".default", "does not fit the type of the field")
		}
		if len(c.Purposes) > 0 && !slices.ContainsFunc(c.Purposes, func(p Purpose) bool { return p.uses(f.Name) }) {
			r.at(p, "no purpose uses this field")
		}
	}
}

// uses reports whether the purpose uses the named field of its category.
func (p *Purpose) uses(field string) bool {
	return len(p.Fields) == 0 || slices.Contains(p.Fields, field)
}

func (r *reader) checkPurpose(d *Document, c *Category, p *Purpose, path string) {
	if p.Feature != "" && !slices.ContainsFunc(d.Features, func(f Feature) bool { return f.ID == p.Feature }) {
		r.at(path+".feature", "no such feature is declared")
	}
	ctl, err := d.Controller(p.Controller)
	switch {
	case p.Controller == "":
	case err != nil:
		r.at(path+".controller", "no such controller is declared")
	case c.Residency != "" && ctl.Region != "" && c.Residency != ctl.Region:
		r.at(path+".controller", "this controller stores in another region than the category's residency")
	}
	for i, name := range p.Fields {
		if !slices.ContainsFunc(c.Fields, func(f Field) bool { return f.Name == name }) {
			r.at(at(path+".fields", i, ""), "no such field is declared in this category")
		}
	}
	if c.Sensitivity == Sensitive && !p.Separate {
		r.at(path+".separate", "must be true: a sensitive category needs a separate consent (PIPL Art. 29)")
	}
	if p.Basis == BasisContract && c.Source != SourceApplication {
		r.at(path+".basis", "only what an application submits for an account can rest on a contract")
	}
	if len(p.Recipients) > 0 && !p.Separate {
		r.at(path+".separate", "must be true: a further recipient needs a separate consent (PIPL Art. 23)")
	}
	if c.Origin != "" && c.Origin != OriginPerson && c.Origin != OriginDevice && !p.Separate {
		r.at(path+".separate", "must be true: data from a third party needs a separate consent")
	}
	r.checkCollection(c, p, path)
	for key, ret := range map[string]Retention{".retention.device.until": p.Device, ".retention.controller.until": p.Kept} {
		if ret.Until == UntilConnectionClosed && c.Source != SourceConnection {
			r.at(path+key, "only an address of a connection is kept until that is closed")
		}
	}
}

func (r *reader) checkCollection(c *Category, p *Purpose, path string) {
	if c.Source == "" {
		return
	}
	f := fits[c.Source]
	if p.Collect.Mode != "" && !slices.Contains(f.modes, p.Collect.Mode) {
		r.at(path+".collect.mode", "not possible for this source")
	}
	name := p.Minimiser.Name
	switch {
	case f.minimisers == nil:
		if name != "" {
			r.at(path+".minimiser", "nothing is read from this source, so nothing is minimised")
		}
	case name == "":
		r.at(path+".minimiser", "missing")
	case !slices.Contains(f.minimisers, name):
		r.at(path+".minimiser.name", "does not fit the source")
	}
	switch {
	case p.Lane == LaneAnalytics && name != "" && name != MinimiseCounts && name != MinimiseBuckets:
		r.at(path+".lane", "only counts and buckets may go through the analytics lane")
	case p.Lane == LaneFeatures && name == MinimiseBuckets:
		r.at(path+".lane", "buckets go through the analytics lane only")
	case p.Lane == LaneAnalytics && name == MinimiseCounts && p.Minimiser.Epsilon == 0 && p.Minimiser.Ranges == "":
		r.at(path+".minimiser", "on the analytics lane counts need ranges, epsilon, budget and delay")
	case p.Lane == LaneFeatures && name == MinimiseCounts && p.Minimiser.Ranges != "":
		r.at(path+".minimiser.ranges", "only what goes through the analytics lane is exchanged at random")
	case p.Device.For > 0 && p.Minimiser.Delay > p.Device.For:
		r.at(path+".minimiser.delay", "longer than the retention on the device")
	case p.Lane == LaneAnalytics && p.Kept.Until != "":
		r.at(path+".retention.controller.until", "must be a duration: what carries no identifier cannot be found again at an event")
	case p.Lane == LaneAnalytics && p.Collect.Mode == ModeSession:
		r.at(path+".collect.mode", "statistics are not taken in a use session: its time would tell")
	case p.Lane == LaneAnalytics && len(p.Recipients) > 0:
		r.at(path+".recipients", "what goes through the analytics lane goes to the controller alone")
	}
	for _, fd := range c.Fields {
		if name == MinimiseCounts && p.uses(fd.Name) && fd.Type != FieldInteger && fd.Type != "" {
			r.at(path+".minimiser.name", "counts need fields of type integer")
			break
		}
	}
}
