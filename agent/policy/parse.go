package policy

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Bounds of the durations a document may declare.
const (
	// MaxRetention is the longest retention: anything longer is endless in all but name.
	MaxRetention = 15 * 365 * Day
	// MaxExpiry is the longest life of a consent before it is asked again.
	MaxExpiry = 2 * 365 * Day
	// MinQuiet and MaxQuiet bound the time in which a refused question is not asked again; DefaultQuiet is
	// taken where a purpose does not say.
	MinQuiet     = Day
	MaxQuiet     = 365 * Day
	DefaultQuiet = 30 * Day
)

var (
	regionForm   = regexp.MustCompile(`^[A-Z]{2}$`)
	clauseForm   = regexp.MustCompile(`^(iii|ii|iv|i|v|[1-9][0-9]?(\.[1-9][0-9]?)?)$`)
	dataForm     = regexp.MustCompile(`^(user|system)(\.[a-z_]+){0,4}$`)
	useForm      = regexp.MustCompile(`^[a-z_]+(\.[a-z_]+){0,4}$`)
	dataTermForm = regexp.MustCompile(`^(pd|dpv|scruple):[A-Z][A-Za-z]{1,60}$`)
	useTermForm  = regexp.MustCompile(`^(dpv|scruple):[A-Z][A-Za-z]{1,60}$`)
	contactForm  = regexp.MustCompile(`^([^@\s]{1,64}@[A-Za-z0-9.-]{1,190}|https://[^\s]{1,200})$`)
)

// Parse reads an unsigned document strictly. Where anything is wrong it returns Faults, all of them, and no
// document. file is only used in faults.
func Parse(file string, data []byte) (*Document, error) {
	r := &reader{file: file, lines: make(map[string]int)}
	root := r.parse(data)
	r.secrets(data, root)
	if root == nil {
		return nil, r.err()
	}
	d := r.document(root)
	r.check(d)
	if err := r.err(); err != nil {
		return nil, err
	}
	return d, nil
}

func (r *reader) document(n *yaml.Node) *Document {
	o := r.object(n, "", "policy", "version", "effective", "controllers", "features", "categories")
	d := &Document{
		ID:      o.id("policy"),
		Version: o.integer("version", 1, 1<<30),
		From:    o.date("effective"),
	}
	o.list("controllers", true, func(n *yaml.Node, path string) {
		d.Controllers = append(d.Controllers, r.controller(n, path))
	})
	o.list("features", true, func(n *yaml.Node, path string) {
		f := r.object(n, path, "id", "name")
		d.Features = append(d.Features, Feature{ID: FeatureID(f.id("id")), Name: f.text("name")})
	})
	o.list("categories", true, func(n *yaml.Node, path string) {
		d.Categories = append(d.Categories, r.category(n, path))
	})
	return d
}

// date returns a required day, as in 2026-01-31, in UTC.
func (o object) date(key string) time.Time {
	s, ok := o.scalar(key)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		o.fault(key, "must be a date such as 2026-01-31")
	}
	return t
}

func (r *reader) controller(n *yaml.Node, path string) Controller {
	o := r.object(n, path, "id", "name", "contact", "endpoint", "region", "key", "pins")
	return Controller{
		ID:       ControllerID(o.id("id")),
		Name:     o.text("name"),
		Contact:  o.form("contact", contactForm, "an e-mail address or an https address"),
		Endpoint: o.str("endpoint"),
		Region:   o.form("region", regionForm, "an ISO 3166-1 alpha-2 code"),
		Key:      o.str("key"),
		Pins:     o.texts("pins", true),
	}
}

func (r *reader) category(n *yaml.Node, path string) Category {
	o := r.object(n, path, "id", "clause", "name", "description", "sensitivity", "subject", "origin", "source",
		"residency", "fields", "purposes")
	c := Category{
		ID:          CategoryID(o.id("id")),
		Clause:      o.form("clause", clauseForm, "a clause of the guideline"),
		Name:        o.text("name"),
		Description: o.text("description"),
		Sensitivity: oneOf(o, "sensitivity", true, Basic, Sensitive),
		Subject:     oneOf(o, "subject", false, DeviceUser, OtherPeople),
		Origin:      o.str("origin"),
		Source: oneOf(o, "source", true, SourceDevice, SourceAccelerometer, SourceSteps, SourceLocation,
			SourceContacts, SourceApplication, SourceAgent, SourceConnection),
		Residency: o.form("residency", regionForm, "an ISO 3166-1 alpha-2 code"),
	}
	o.list("fields", true, func(n *yaml.Node, path string) {
		c.Fields = append(c.Fields, r.field(n, path))
	})
	if o.fields != nil && !o.has("purposes") {
		o.fault("purposes", "missing: a category without a purpose cannot be collected")
	} else {
		o.list("purposes", true, func(n *yaml.Node, path string) {
			c.Purposes = append(c.Purposes, r.purpose(n, path, c.Sensitivity == Sensitive))
		})
	}
	return c
}

func (r *reader) field(n *yaml.Node, path string) Field {
	o := r.object(n, path, "name", "type", "choices", "rule", "limit", "required", "immutable", "default", "label",
		"fideslang", "dpv")
	f := Field{
		Name: o.id("name"),
		Type: oneOf(o, "type", true, FieldText, FieldInteger, FieldBoolean, FieldChoice, FieldTexts,
			FieldBytes),
		Rule:      oneOf(o, "rule", false, RuleKeep, RuleRound, RuleTruncate, RuleDigest, RuleDrop),
		Required:  o.boolean("required"),
		Immutable: o.boolean("immutable"),
		Label:     o.text("label"),
		Fideslang: o.form("fideslang", dataForm, "a fideslang data category"),
		DPV:       o.form("dpv", dataTermForm, "a DPV term such as pd:Location, or one of ours (scruple:...)"),
	}
	f.Choices = o.texts("choices", f.Type == FieldChoice)
	if f.Type != FieldChoice && o.has("choices") {
		o.fault("choices", "only a field of type choice has choices")
	}
	switch {
	case f.Rule == RuleRound || f.Rule == RuleTruncate:
		f.Limit = o.integer("limit", 1, 1<<20)
	case o.has("limit"):
		o.fault("limit", "only the rules round and truncate have a limit")
	}
	if o.has("default") {
		f.Default, _ = o.scalar("default")
	}
	return f
}

func (r *reader) purpose(n *yaml.Node, path string, sensitive bool) Purpose {
	o := r.object(n, path, "id", "clause", "text", "necessity", "effect", "feature", "controller", "recipients",
		"basis", "separate", "lane", "collect", "minimiser", "fields", "retention", "quiet", "expiry", "data-use", "dpv")
	p := Purpose{
		ID:         PurposeID(o.id("id")),
		Text:       o.text("text"),
		Feature:    FeatureID(o.id("feature")),
		Controller: ControllerID(o.id("controller")),
		Recipients: o.texts("recipients", false),
		Basis:      oneOf(o, "basis", false, BasisConsent, BasisContract),
		Separate:   o.boolean("separate"),
		Lane:       oneOf(o, "lane", false, LaneFeatures, LaneAnalytics),
		Fields:     o.texts("fields", false),
		Quiet:      DefaultQuiet,
		Expiry:     o.duration("expiry", Day, MaxExpiry),
		DataUse:    o.form("data-use", useForm, "a fideslang data use"),
		DPV:        o.form("dpv", useTermForm, "a DPV purpose such as dpv:ServiceProvision, or one of ours (scruple:...)"),
	}
	if o.has("clause") {
		p.Clause = o.form("clause", clauseForm, "a clause of the guideline")
	}
	if o.has("quiet") {
		p.Quiet = o.duration("quiet", MinQuiet, MaxQuiet)
	}
	for _, t := range []struct {
		key  string
		text *Text
	}{{"necessity", &p.Necessity}, {"effect", &p.Effect}} {
		switch {
		case sensitive && o.fields != nil && !o.has(t.key):
			o.fault(t.key, "missing: a sensitive category needs it (PIPL Art. 30)")
		case o.has(t.key):
			*t.text = o.text(t.key)
		}
	}
	if n := o.need("collect"); n != nil {
		p.Collect = r.collect(n, join(path, "collect"))
	}
	if o.has("minimiser") {
		p.Minimiser = r.minimiser(o.fields["minimiser"], join(path, "minimiser"))
	}
	if n := o.need("retention"); n != nil {
		k := r.object(n, join(path, "retention"), "device", "controller")
		p.Device, p.Kept = k.retention("device"), k.retention("controller")
	}
	return p
}

func (r *reader) collect(n *yaml.Node, path string) Collect {
	o := r.object(n, path, "mode", "every", "max-session")
	c := Collect{Mode: oneOf(o, "mode", true, ModeBackground, ModeSession, ModeSubmitted, ModeConnection)}
	switch {
	case c.Mode == ModeBackground:
		c.Every = o.duration("every", time.Minute, 365*Day)
	case o.has("every"):
		o.fault("every", "only background collection has a schedule")
	}
	switch {
	case c.Mode == ModeSession:
		c.MaxSession = o.duration("max-session", time.Second, Day)
	case o.has("max-session"):
		o.fault("max-session", "only collection in a session has a longest session")
	}
	return c
}

// retention reads {for: DURATION} or {until: EVENT}. There is no way to say "for ever".
func (o object) retention(key string) Retention {
	n := o.fields[key]
	if o.fields == nil {
		return Retention{}
	}
	if n == nil {
		o.fault(key, "missing: retention must end")
		return Retention{}
	}
	k := o.r.object(n, join(o.path, key), "for", "until")
	var ret Retention
	switch {
	case k.fields == nil:
	case k.has("for") == k.has("until"):
		o.fault(key, "must have either for or until: retention must end")
	case k.has("for"):
		if s, ok := k.scalar("for"); ok {
			d, err := ParseDuration(s)
			switch {
			case err != nil:
				k.fault("for", "must be a duration such as 30d or 12h; endless retention cannot be declared")
			case d < time.Minute || d > MaxRetention:
				k.fault("for", "must be a duration from 1m to %s; endless retention cannot be declared",
					FormatDuration(MaxRetention))
			default:
				ret.For = d
			}
		}
	default:
		ret.Until = oneOf(k, "until", true, UntilAccountClosed, UntilItemDeleted, UntilWithdrawn, UntilConnectionClosed)
	}
	return ret
}

// parameters says which parameters each minimiser has; all of them must be given. Those of noise are besides.
var parameters = map[MinimiserName][]string{
	MinimiseDevice:   nil,
	MinimiseMotion:   {"window"},
	MinimiseSteps:    {"round"},
	MinimiseBuckets:  {"buckets"},
	MinimiseLocation: {"level", "daily-cap"},
	MinimiseContacts: {"mode", "pad-from"},
	MinimiseFields:   nil,
	MinimiseCounts:   nil,
}

func (r *reader) minimiser(n *yaml.Node, path string) Minimiser {
	o := r.object(n, path, "name", "level", "daily-cap", "laplace-radius", "laplace-draws", "window", "round", "buckets", "mode", "pad-from",
		"ranges", "epsilon", "budget", "delay")
	m := Minimiser{Name: oneOf(o, "name", true, MinimiseDevice, MinimiseMotion, MinimiseSteps, MinimiseBuckets,
		MinimiseLocation, MinimiseContacts, MinimiseFields, MinimiseCounts)}
	own := make(map[string]bool)
	for _, p := range parameters[m.Name] {
		own[p] = true
	}
	noise := m.Name == MinimiseLocation && (o.has("laplace-radius") || o.has("laplace-draws")) // both or none
	own["laplace-radius"], own["laplace-draws"] = noise, noise
	response := o.has("epsilon") || o.has("budget") || o.has("delay") || o.has("ranges")
	response = response && m.Name == MinimiseCounts || m.Name == MinimiseBuckets
	own["epsilon"], own["budget"], own["delay"], own["ranges"] = response, response, response, response && m.Name == MinimiseCounts
	for key := range o.fields {
		if key != "name" && m.Name != "" && !own[key] {
			o.fault(key, "not a parameter of this minimiser")
		}
	}
	if own["level"] {
		m.Level = o.integer("level", 0, 16)
	}
	if own["daily-cap"] {
		m.DailyCap = o.integer("daily-cap", 1, 1000)
	}
	if noise {
		m.LaplaceRadius = o.integer("laplace-radius", 100, 100_000)
		m.LaplaceDraws = o.integer("laplace-draws", 1, 10_000)
	}
	if own["window"] {
		m.Window = o.duration("window", time.Minute, Day)
	}
	if own["round"] {
		m.Round = o.integer("round", 1, 100_000)
	}
	if own["buckets"] {
		m.Buckets = o.integer("buckets", 2, 64)
	}
	if own["ranges"] {
		m.Ranges = o.ranges("ranges")
	}
	if response {
		m.Epsilon = o.epsilon("epsilon", MinEpsilon, MaxEpsilon)
		m.Budget = o.epsilon("budget", MinEpsilon, MaxBudget)
		m.Delay = o.duration("delay", time.Second, 30*Day)
		if m.Budget > 0 && m.Budget < m.Epsilon {
			o.fault("budget", "less than the epsilon of one answer")
		}
	}
	if own["mode"] {
		m.Mode = oneOf(o, "mode", true, "keyed")
	}
	if own["pad-from"] {
		m.PadFrom = o.integer("pad-from", 64, 1<<16)
		if m.PadFrom&(m.PadFrom-1) != 0 {
			o.fault("pad-from", "must be a power of two")
		}
	}
	return m
}

// ranges returns a required list of rising numbers.
func (o object) ranges(key string) Ranges {
	list := o.texts(key, true)
	slices.SortFunc(list, func(a, b string) int { // the order of a list in a policy says nothing
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	r := Ranges(strings.Join(list, ","))
	if len(list) > 0 && (len(list) >= MaxRanges || r.Bounds() == nil) {
		o.fault(key, "must be at most %d different integers, from 1", MaxRanges-1)
		return ""
	}
	return r
}

// epsilon returns a required number.
func (o object) epsilon(key string, lo, hi Epsilon) Epsilon {
	s, ok := o.scalar(key)
	if !ok {
		return 0
	}
	e, err := ParseEpsilon(s)
	if err != nil || e < lo || e > hi {
		o.fault(key, "must be a number from %s to %s with at most two decimal places", lo, hi)
		return 0
	}
	return e
}

// defaultFits reports whether a setting's default fits its type.
func (f Field) defaultFits() bool {
	switch f.Type {
	case FieldBoolean:
		return f.Default == "true" || f.Default == "false"
	case FieldInteger:
		_, err := strconv.ParseInt(f.Default, 10, 64)
		return err == nil
	case FieldChoice:
		for _, c := range f.Choices {
			if c == f.Default {
				return true
			}
		}
	}
	return false
}
