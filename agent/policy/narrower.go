package policy

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reason is one difference between what a person agreed to and what a later policy says, and what follows from it.
type Reason struct {
	Detail
	// Narrower says that this difference provably asks for less than before. False means that it asks for more, or for
	// something else, or that nobody can prove that it does not.
	Narrower bool `json:"narrower"`
}

// Narrower reports whether newer asks for nothing that older did not already allow, so that a consent given to older covers
// it: nothing finer, nothing more often, kept no longer, told to nobody else. The reasons are all differences, as Diff shows
// them; without a difference it is true. It proves each difference by itself and believes no text: a changed word
// of a notice is a difference that it cannot prove narrower.
func Narrower(older, newer Effective) (bool, []Reason) {
	narrower, reasons := true, []Reason(nil)
	for _, d := range details(older.facts(), newer.facts()) {
		ok := narrows(d.Field, older, newer)
		narrower = narrower && ok
		reasons = append(reasons, Reason{d, ok})
	}
	return narrower, reasons
}

// SameContent reports whether a report made under either says the same: the same fields, made by the same minimiser
// with the same parameters. Where newer is narrower as well, a report made under older may still leave under newer.
func SameContent(older, newer Effective) bool {
	return !slices.ContainsFunc(details(older.facts(), newer.facts()), func(d Detail) bool {
		return strings.HasPrefix(d.Field, "fields.") || strings.HasPrefix(d.Field, "minimiser.")
	})
}

// decision says what follows from a difference in one declared value. Every field of the vocabulary has one; a test compares
// the table with the types, so that a new field cannot be added without deciding.
type decision struct {
	field string // as the types name it: "Purpose.Expiry"
	// key of the canonical form; with a dot at its end, every key below it. Empty: it belongs to no consent, see why.
	key string
	// narrower is nil where no change can be proven narrower.
	narrower func(o, n Effective) bool
	why      string
}

// onField returns a judge of one field of the category that both sides have.
func onField(judge func(o, n Field) bool) func(name string, o, n Effective) bool {
	return func(name string, o, n Effective) bool {
		before, err := o.Field(name)
		if err != nil {
			return false // a field more
		}
		after, err := n.Field(name)
		if err != nil {
			return true // a field less
		}
		return judge != nil && judge(before, after)
	}
}

func shorter(o, n time.Duration) bool { return o > 0 && n > 0 && n < o }

// coarser reports whether a step of n units is a multiple of a step of o: every value rounded by n can then be made of
// one rounded by o. A step that is merely larger is something else: 15 and 10 together tell more than 10 alone.
func coarser[N int | time.Duration](o, n N) bool { return o > 0 && n > o && n%o == 0 }

func (r Retention) within(o Retention) bool {
	return r.Until == "" && o.Until == "" && shorter(o.For, r.For)
}

func subset(n, o []string) bool {
	return !slices.ContainsFunc(n, func(s string) bool { return !slices.Contains(o, s) })
}

var decisions = []decision{
	{"Controller.ID", "controller.id", nil, "another controller is another recipient: succession asks again"},
	{"Controller.Name", "controller.name.", nil, "a person agreed to a name"},
	{"Controller.Contact", "", nil, "where to complain may change"},
	{"Controller.Endpoint", "controller.endpoint", nil, "where data goes"},
	{"Controller.Region", "controller.region", nil, "where data is kept"},
	{"Controller.Key", "", nil, "keys are replaced without changing who holds them"},
	{"Controller.Pins", "", nil, "certificates are replaced without changing who holds them"},

	{"Category.ID", "category.id", nil, "another category"},
	{"Category.Clause", "purpose.clause", nil, "another promise of the guideline"},
	{"Category.Name", "category.name.", nil, "a text is not provable"},
	{"Category.Description", "category.description.", nil, "a text is not provable"},
	{"Category.Sensitivity", "category.sensitivity", nil, "either way the question was another one"},
	{"Category.Subject", "category.subject", nil, "somebody else's data"},
	{"Category.Origin", "category.origin", nil, "another source"},
	{"Category.Source", "category.source", nil, "another source"},
	{
		"Category.Residency", "category.residency",
		func(o, n Effective) bool { return o.Category.Residency == "" }, "a region that was not promised before",
	},
	{"Category.Fields", "", nil, "field by field, see Field"},
	{"Category.Purposes", "", nil, "each is compared by itself"},

	{"Purpose.ID", "purpose.id", nil, "another purpose"},
	{"Purpose.Clause", "purpose.clause", nil, "another promise of the guideline"},
	{"Purpose.Text", "purpose.text.", nil, "a text is not provable"},
	{"Purpose.Necessity", "purpose.necessity.", nil, "a text is not provable"},
	{"Purpose.Effect", "purpose.effect.", nil, "a text is not provable"},
	{"Purpose.Feature", "purpose.feature", nil, "something else is switched off by a refusal"},
	{"Feature.ID", "purpose.feature", nil, "something else is switched off by a refusal"},
	{"Feature.Name", "purpose.feature.name.", nil, "a text is not provable"},
	{"Purpose.Controller", "controller.id", nil, "another recipient"},
	{
		"Purpose.Recipients", "purpose.recipients",
		func(o, n Effective) bool { return subset(n.Purpose.Recipients, o.Purpose.Recipients) }, "fewer recipients",
	},
	{"Purpose.Basis", "purpose.basis", nil, "another kind of agreement"},
	{"Purpose.Separate", "purpose.separate", nil, "an agreement given with others is not one given alone, nor the reverse"},
	{"Purpose.Lane", "purpose.lane", nil, "another way out"},
	{"Purpose.Collect", "", nil, "see Collect"},
	{"Collect.Mode", "collect.mode", nil, "read at other times"},
	{
		"Collect.Every", "collect.every",
		func(o, n Effective) bool { return shorter(n.Purpose.Collect.Every, o.Purpose.Collect.Every) }, "less often",
	},
	{
		"Collect.MaxSession", "collect.max-session",
		func(o, n Effective) bool { return shorter(o.Purpose.Collect.MaxSession, n.Purpose.Collect.MaxSession) }, "for less time",
	},
	{"Purpose.Minimiser", "", nil, "see Minimiser"},
	{"Minimiser.Name", "minimiser.name", nil, "another rule"},
	{
		"Minimiser.Level", "minimiser.level",
		func(o, n Effective) bool { return n.Purpose.Minimiser.Level < o.Purpose.Minimiser.Level }, "larger cells, each made of whole ones",
	},
	{
		"Minimiser.DailyCap", "minimiser.daily-cap",
		func(o, n Effective) bool {
			return n.Purpose.Minimiser.DailyCap > 0 && n.Purpose.Minimiser.DailyCap < o.Purpose.Minimiser.DailyCap
		}, "fewer reports",
	},
	{
		"Minimiser.Window", "minimiser.window",
		func(o, n Effective) bool { return coarser(o.Purpose.Minimiser.Window, n.Purpose.Minimiser.Window) }, "windows made of whole ones",
	},
	{
		"Minimiser.Round", "minimiser.round",
		func(o, n Effective) bool { return coarser(o.Purpose.Minimiser.Round, n.Purpose.Minimiser.Round) }, "steps made of whole ones",
	},
	{"Minimiser.Buckets", "minimiser.buckets", nil, "other bounds: fewer buckets are not always made of whole ones"},
	{"Minimiser.Mode", "minimiser.mode", nil, "another strength of the digests"},
	{
		"Minimiser.PadFrom", "minimiser.pad-from",
		func(o, n Effective) bool { return coarser(o.Purpose.Minimiser.PadFrom, n.Purpose.Minimiser.PadFrom) }, "the size tells less",
	},
	{
		"Minimiser.FoldEmail", "minimiser.fold-email",
		func(o, n Effective) bool { return !n.Purpose.Minimiser.FoldEmail }, "fewer digests",
	},
	{"Purpose.Fields", "", nil, "field by field, see Field"},
	{
		"Purpose.Device", "retention.device",
		func(o, n Effective) bool { return n.Purpose.Device.within(o.Purpose.Device) }, "kept for less time",
	},
	{
		"Purpose.Kept", "retention.controller",
		func(o, n Effective) bool { return n.Purpose.Kept.within(o.Purpose.Kept) }, "kept for less time",
	},
	{"Retention.For", "", nil, "see Purpose.Device and Purpose.Kept"},
	{"Retention.Until", "", nil, "an event can be earlier or later than a duration, so it is not provable"},
	{
		"Purpose.Quiet", "quiet",
		func(o, n Effective) bool { return shorter(n.Purpose.Quiet, o.Purpose.Quiet) }, "asked again later",
	},
	{
		"Purpose.Expiry", "expiry",
		func(o, n Effective) bool { return shorter(o.Purpose.Expiry, n.Purpose.Expiry) }, "asked again sooner",
	},
	{"Purpose.DataUse", "purpose.data-use", nil, "another use"},
	{"Purpose.DPV", "purpose.dpv", nil, "another use"},
	// What the policy says of the address that any connection shows; it is another purpose's text and retention.
	{"Purpose.Text", "connection.text.", nil, "a text is not provable"},
	{
		"Purpose.Kept", "connection.retention", func(o, n Effective) bool {
			before, had := o.address()
			after, has := n.address()
			return had && has && after.Purpose.Kept.within(before.Purpose.Kept)
		}, "kept for less time",
	},
}

// fieldDecision says what follows from a difference in one value of a field that both sides have.
type fieldDecision struct {
	field, key string
	narrower   func(o, n Field) bool
	why        string
}

var fieldDecisions = []fieldDecision{
	{"Field.Name", "", nil, "a field less is narrower, a field more is not"},
	{"Field.Type", "type", nil, "another kind of value"},
	{"Field.Choices", "choices", func(o, n Field) bool { return len(n.Choices) > 0 && subset(n.Choices, o.Choices) }, "fewer values"},
	{
		"Field.Rule", "rule", func(o, n Field) bool {
			keep := o.Rule == RuleKeep || o.Rule == ""
			return n.Rule == RuleDrop || keep && (n.Rule == RuleRound || n.Rule == RuleTruncate)
		}, "less of the value; a digest is another form of the whole",
	},
	{
		"Field.Limit", "limit", func(o, n Field) bool {
			switch keep := o.Rule == RuleKeep || o.Rule == ""; {
			case n.Rule == RuleDrop, keep && n.Limit > 0:
				return true
			case o.Rule == RuleTruncate && n.Rule == RuleTruncate:
				return n.Limit > 0 && n.Limit < o.Limit
			case o.Rule == RuleRound && n.Rule == RuleRound:
				return coarser(o.Limit, n.Limit)
			}
			return false
		}, "less of the value",
	},
	{"Field.Required", "required", func(o, n Field) bool { return !n.Required }, "may be left out"},
	{"Field.Immutable", "immutable", func(o, n Field) bool { return !n.Immutable }, "may be corrected"},
	{"Field.Default", "default", nil, "a choice made for the person"},
	{"Field.Label", "label.", nil, "a text is not provable"},
	{"Field.Fideslang", "fideslang", nil, "another kind of data"},
	{"Field.DPV", "dpv", nil, "another kind of data"},
}

func matches(pattern, key string) bool {
	return pattern != "" && (key == pattern || strings.HasSuffix(pattern, ".") && strings.HasPrefix(key, pattern))
}

// narrows reports whether the difference under one key of the canonical form is narrower. A key that no decision names is
// not.
func narrows(key string, o, n Effective) bool {
	if rest, ok := strings.CutPrefix(key, "fields."); ok {
		name, attribute, _ := strings.Cut(rest, ".")
		for _, d := range fieldDecisions {
			if matches(d.key, attribute) {
				return onField(d.narrower)(name, o, n)
			}
		}
		return false
	}
	for _, d := range decisions {
		if matches(d.key, key) {
			return d.narrower != nil && d.narrower(o, n)
		}
	}
	return false
}

// Digest identifies everything that the document declares: SHA-256 of the deterministic CBOR of its own values, those of
// its controllers, keys and pins among them, and of every (category, purpose). Layout and comments do not
// change it.
func (d *Document) Digest() [32]byte {
	all := map[string]facts{"document": d.own()}
	for i := range d.Controllers {
		all["controller "+string(d.Controllers[i].ID)] = d.Controllers[i].own()
	}
	d.each(func(e Effective) {
		all[fmt.Sprintf("purpose %s/%s", e.Category.ID, e.Purpose.ID)] = e.facts()
	})
	b, err := canonical.Marshal(all)
	if err != nil {
		panic(err) // a map of texts always encodes
	}
	return sha256.Sum256(b)
}
