package policy

import (
	"slices"
	"strconv"
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
	return newer.Terms().Within(older.Terms())
}

// Within is Narrower for terms, such as those that a consent record holds: whether t asks for nothing that older did not
// already allow, with every difference. Terms that cannot be read as what they should be are not within any others.
func (t Terms) Within(older Terms) (bool, []Reason) {
	narrower, reasons := true, []Reason(nil)
	for _, d := range details(facts(older), facts(t)) {
		ok := narrows(d.Field, older, t)
		narrower = narrower && ok
		reasons = append(reasons, Reason{d, ok})
	}
	return narrower, reasons
}

// SameContent reports whether a report made under either says the same: the same fields, made by the same minimiser
// with the same parameters. Where t is also within older, a report made under older may still leave under t.
func (t Terms) SameContent(older Terms) bool {
	return !slices.ContainsFunc(details(facts(older), facts(t)), func(d Detail) bool {
		return strings.HasPrefix(d.Field, "fields.") || strings.HasPrefix(d.Field, "minimiser.")
	})
}

// Device returns how long data is kept on the device; zero where the terms do not say.
func (t Terms) Device() Retention { return retentionOf(t["retention.device"]) }

// Kept returns how long the controller keeps data; zero where the terms do not say.
func (t Terms) Kept() Retention { return retentionOf(t["retention.controller"]) }

// Expiry returns the longest life of a consent; zero where the terms do not say.
func (t Terms) Expiry() time.Duration { return durationOf(t["expiry"]) }

// retentionOf reads what Retention.String wrote.
func retentionOf(s string) Retention {
	if event, ok := strings.CutPrefix(s, "until "); ok {
		return Retention{Until: Event(event)}
	}
	return Retention{For: durationOf(s)}
}

func durationOf(s string) time.Duration {
	d, err := ParseDuration(s)
	if err != nil || d < 0 {
		return 0
	}
	return d
}

// decision says what follows from a difference in one declared value. Every field of the vocabulary has one; a test compares
// the table with the types, so that a new field cannot be added without deciding.
type decision struct {
	field string // as the types name it: "Purpose.Expiry"
	// key of the canonical form; with a dot at its end, every key below it. Empty: it belongs to no consent, see why.
	key string
	// narrower judges the old and the new value, "" where there is none; nil where no change can be proven narrower.
	narrower func(o, n string) bool
	why      string
}

func shorter(o, n string) bool { return within(durationOf(o), durationOf(n)) }

func longer(o, n string) bool { return within(durationOf(n), durationOf(o)) }

// within reports whether n is less than o, and both are there.
func within[N int | time.Duration](o, n N) bool { return n > 0 && n < o }

// keptShorter compares two durations; an event can be earlier or later than any of them.
func keptShorter(o, n string) bool { return within(retentionOf(o).For, retentionOf(n).For) }

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

func less(o, n string) bool { return within(number(o), number(n)) }

func lessEpsilon(o, n string) bool {
	before, err := ParseEpsilon(o)
	after, err2 := ParseEpsilon(n)
	return err == nil && err2 == nil && within(int(before), int(after))
}

// lessLevel is less with 0 as a level like others.
func lessLevel(o, n string) bool {
	before, err := strconv.Atoi(o)
	after, err2 := strconv.Atoi(n)
	return err == nil && err2 == nil && after >= 0 && after < before
}

// coarser reports whether a step of n units is a multiple of a step of o: every value rounded by n can then be made of
// one rounded by o. A step that is merely larger is something else: 15 and 10 together tell more than 10 alone.
func coarser(o, n string) bool { return multiple(number(o), number(n)) }

func coarserTime(o, n string) bool { return multiple(durationOf(o), durationOf(n)) }

func multiple[N int | time.Duration](o, n N) bool { return o > 0 && n > o && n%o == 0 }

// fewer reports whether every element of n is in o.
func fewer(o, n string) bool {
	had := strings.Split(o, "\n")
	return n == "" || !slices.ContainsFunc(strings.Split(n, "\n"), func(s string) bool { return !slices.Contains(had, s) })
}

func becomes(value string) func(o, n string) bool {
	return func(_, n string) bool { return n == value }
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
	{"Category.Residency", "category.residency", func(o, _ string) bool { return o == "" }, "a region that was not promised before"},
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
	{"Purpose.Recipients", "purpose.recipients", fewer, "fewer recipients"},
	{"Purpose.Basis", "purpose.basis", nil, "another kind of agreement"},
	{"Purpose.Separate", "purpose.separate", nil, "an agreement given with others is not one given alone, nor the reverse"},
	{"Purpose.Lane", "purpose.lane", nil, "another way out"},
	{"Purpose.Collect", "", nil, "see Collect"},
	{"Collect.Mode", "collect.mode", nil, "read at other times"},
	{"Collect.Every", "collect.every", longer, "less often"},
	{"Collect.MaxSession", "collect.max-session", shorter, "for less time"},
	{"Purpose.Minimiser", "", nil, "see Minimiser"},
	{"Minimiser.Name", "minimiser.name", nil, "another rule"},
	{"Minimiser.Level", "minimiser.level", lessLevel, "larger cells, each made of whole ones"},
	{"Minimiser.DailyCap", "minimiser.daily-cap", less, "fewer reports"},
	{"Minimiser.LaplaceRadius", "minimiser.laplace-radius", nil, "another noise"},
	{"Minimiser.LaplaceDraws", "minimiser.laplace-draws", nil, "another noise"},
	{"Minimiser.Window", "minimiser.window", coarserTime, "windows made of whole ones"},
	{"Minimiser.Round", "minimiser.round", coarser, "steps made of whole ones"},
	{"Minimiser.Buckets", "minimiser.buckets", nil, "other bounds: fewer buckets are not always made of whole ones"},
	{"Minimiser.Mode", "minimiser.mode", nil, "another strength of the digests"},
	{"Minimiser.PadFrom", "minimiser.pad-from", coarser, "the size tells less"},
	{"Minimiser.FoldEmail", "minimiser.fold-email", becomes(""), "fewer digests"},
	{"Minimiser.Ranges", "minimiser.ranges", nil, "other bounds"},
	{"Minimiser.Epsilon", "minimiser.epsilon", nil, "another noise"},
	{"Minimiser.Budget", "minimiser.budget", lessEpsilon, "fewer answers"},
	{"Minimiser.Delay", "minimiser.delay", nil, "sent at other times"},
	{"Purpose.Fields", "", nil, "field by field, see Field"},
	{"Purpose.Device", "retention.device", keptShorter, "kept for less time"},
	{"Purpose.Kept", "retention.controller", keptShorter, "kept for less time"},
	{"Retention.For", "", nil, "see Purpose.Device and Purpose.Kept"},
	{"Retention.Until", "", nil, "an event can be earlier or later than a duration, so it is not provable"},
	{"Purpose.Quiet", "quiet", longer, "asked again later"},
	{"Purpose.Expiry", "expiry", shorter, "asked again sooner"},
	{"Purpose.DataUse", "purpose.data-use", nil, "another use"},
	{"Purpose.DPV", "purpose.dpv", nil, "another use"},
	// What the policy says of the address that any connection shows; it is another purpose's text and retention.
	{"Purpose.Text", "connection.text.", nil, "a text is not provable"},
	{"Purpose.Kept", "connection.retention", keptShorter, "kept for less time"},
}

// fieldDecisions are those about one field of the category that both sides have; the keys are below the field's.
var fieldDecisions = []decision{
	{"Field.Name", "", nil, "a field less is narrower, a field more is not"},
	{"Field.Type", "type", nil, "another kind of value"},
	{"Field.Choices", "choices", func(o, n string) bool { return n != "" && fewer(o, n) }, "fewer values"},
	{"Field.Rule", "rule", lessOfIt, "less of the value; a digest is another form of the whole"},
	{"Field.Limit", "limit", nil, "less of the value; see lessLimit"},
	{"Field.Required", "required", becomes("false"), "may be left out"},
	{"Field.Immutable", "immutable", becomes("false"), "may be corrected"},
	{"Field.Default", "default", nil, "a choice made for the person"},
	{"Field.Label", "label.", nil, "a text is not provable"},
	{"Field.Fideslang", "fideslang", nil, "another kind of data"},
	{"Field.DPV", "dpv", nil, "another kind of data"},
}

// lessOfIt judges rules. What the limit means is judged with it.
func lessOfIt(o, n string) bool {
	switch Rule(n) {
	case RuleDrop:
		return true
	case RuleRound, RuleTruncate:
		return Rule(o) == RuleKeep
	}
	return false
}

// lessLimit judges a limit, which means what the rule beside it says.
func lessLimit(oldRule, newRule Rule, o, n string) bool {
	switch {
	case newRule == RuleDrop, oldRule == RuleKeep && number(n) > 0:
		return true // the rule decides
	case oldRule == RuleTruncate && newRule == RuleTruncate:
		return less(o, n)
	case oldRule == RuleRound && newRule == RuleRound:
		return coarser(o, n)
	}
	return false
}

func matches(pattern, key string) bool {
	return pattern != "" && (key == pattern || strings.HasSuffix(pattern, ".") && strings.HasPrefix(key, pattern))
}

// narrows reports whether the difference under one key of the terms is narrower. A key that no decision names is not.
func narrows(key string, older, newer Terms) bool {
	o, n, table, sub := older[key], newer[key], decisions, key
	if rest, ok := strings.CutPrefix(key, "fields."); ok {
		name, attribute, _ := strings.Cut(rest, ".")
		field := "fields." + name + "."
		switch {
		case newer[field+"type"] == "":
			return older[field+"type"] != "" // a field less
		case older[field+"type"] == "":
			return false // a field more
		case attribute == "limit":
			return lessLimit(Rule(older[field+"rule"]), Rule(newer[field+"rule"]), o, n)
		}
		table, sub = fieldDecisions, attribute
	}
	for _, d := range table {
		if matches(d.key, sub) {
			return d.narrower != nil && d.narrower(o, n)
		}
	}
	return false
}
