package policy

import (
	"crypto/sha256"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Notice is what a person is shown before being asked: the whole of it comes from the policy. A consent
// record holds the hash, so that it can be shown later what exactly was agreed to.
type Notice struct {
	Lang   Lang
	Text   string
	SHA256 [32]byte // of the bytes of Text
}

// Notice returns the notice of the (category, purpose) in a language; an unknown language gets English.
func (e Effective) Notice(lang Lang) Notice {
	w, ok := phrasebook[lang]
	if !ok {
		lang, w = LangEN, phrasebook[LangEN]
	}
	n := noticeWriter{phrases: w, lang: lang, e: e}
	n.write()
	text := n.b.String()
	return Notice{lang, text, sha256.Sum256([]byte(text))}
}

// phrases are the words of a notice in one language. Verbs are those of package fmt; where the order of a
// language differs, the argument is numbered.
type phrases struct {
	title, intro, introSensitive, introContract string

	who, what, how, small, why, necessity, effect, keep, refuse, back, duty string // headings

	controller, contact, region, recipient, recipients string
	address, analytics, features                       string
	items, required, optional, immutable, list         string
	others, origin                                     string
	source                                             map[Source]string
	background, gathered, session, submitted           string
	counted, relayed                                   string
	minimiser                                          map[MinimiserName]string // sentences, a line each
	exact, rounded, laplace                            string
	response, ranges                                   string
	rule                                               map[Rule]string
	device, kept, last, event, expiry                  string
	events                                             map[Event]string
	refusal, refusalContract, quiet                    string
	withdraw, withdrawn, cleared, analyticsCleared     string
	rights                                             string
	regions                                            map[string]string
	year, years, day, days, hour, hours                string
	minute, minutes, comma                             string
}

var phrasebook = map[Lang]*phrases{LangEN: &english, LangZH: &chinese}

type noticeWriter struct {
	*phrases
	lang Lang
	e    Effective
	b    strings.Builder
}

func (n *noticeWriter) write() {
	e, c, p := n.e, n.e.Category, n.e.Purpose
	title := fmt.Sprintf(n.title, c.Name.In(n.lang), n.feature())
	n.paragraph("", title)
	n.line(strings.Repeat("=", min(textWidth(title), noticeWidth)))
	n.line("")
	intro := n.intro
	switch {
	case p.Basis == BasisContract:
		intro = n.introContract
	case c.Sensitivity == Sensitive:
		intro = n.introSensitive
	}
	n.paragraph("", intro)

	n.heading(n.who)
	n.body(fmt.Sprintf(n.controller, e.Controller.Name.In(n.lang)))
	n.body(fmt.Sprintf(n.contact, e.Controller.Contact))
	n.body(fmt.Sprintf(n.region, n.regionName(e.Controller.Region)))
	switch len(p.Recipients) {
	case 0:
	case 1:
		n.body(fmt.Sprintf(n.recipient, p.Recipients[0]))
	default:
		n.body(fmt.Sprintf(n.recipients, strings.Join(p.Recipients, n.comma)))
	}

	n.heading(n.what)
	n.body(c.Description.In(n.lang))
	n.fields()
	if c.Subject == OtherPeople {
		n.body(n.others)
	}
	if n.thirdParty() {
		n.body(fmt.Sprintf(n.origin, c.Origin))
	}

	n.heading(n.how)
	n.collection()
	if c.Asked() {
		n.heading(n.small)
		n.minimised()
	}
	if p.Lane == LaneAnalytics {
		n.body(n.analytics)
	} else if c.Asked() {
		n.body(n.features)
	}
	if a, ok := e.address(); ok && c.Asked() {
		n.body(n.address + n.space() + a.Purpose.Text.In(n.lang))
	}

	n.heading(n.why)
	n.body(p.Text.In(n.lang))
	if p.Necessity != nil {
		n.heading(n.necessity)
		n.body(p.Necessity.In(n.lang))
	}
	if p.Effect != nil {
		n.heading(n.effect)
		n.body(p.Effect.In(n.lang))
	}

	n.heading(n.keep)
	if c.Asked() {
		n.body(n.device + n.retention(p.Device))
	}
	n.body(n.kept + n.retention(p.Kept))
	n.body(fmt.Sprintf(n.expiry, n.spell(p.Expiry)))

	if c.Asked() {
		n.heading(n.refuse)
		if p.Basis == BasisContract {
			n.body(n.refusalContract)
		} else {
			n.body(fmt.Sprintf(n.refusal, n.feature()))
		}
		n.body(fmt.Sprintf(n.quiet, n.spell(p.Quiet)))
		n.heading(n.back)
		n.body(n.withdraw)
		name := string(c.ID) + "/" + string(p.ID)
		n.command("scruple consent withdraw "+name, n.withdrawn)
		if p.Lane == LaneAnalytics {
			n.command("scruple consent withdraw "+name+" --clear", n.analyticsCleared)
		} else {
			n.command("scruple consent withdraw "+name+" --clear", n.cleared)
		}
	}
	n.heading(n.duty)
	n.body(fmt.Sprintf(n.rights, e.Controller.Contact))
}

func (n *noticeWriter) feature() string {
	return n.e.Document.Feature(n.e.Purpose.Feature).Name.In(n.lang)
}

func (n *noticeWriter) thirdParty() bool {
	return n.e.Category.Origin != OriginPerson && n.e.Category.Origin != OriginDevice
}

// fields lists what is collected, one item a line.
func (n *noticeWriter) fields() {
	n.body(n.items)
	contract := n.e.Purpose.Basis == BasisContract
	for _, f := range n.e.Fields() {
		if f.Rule == RuleDrop {
			continue
		}
		var notes []string
		switch {
		case f.Required:
			notes = append(notes, n.required)
		case f.Immutable:
			notes = append(notes, n.immutable)
		case contract:
			notes = append(notes, n.optional)
		}
		if f.Rule != RuleKeep {
			notes = append(notes, strings.ReplaceAll(n.rule[f.Rule], "%d", strconv.Itoa(f.Limit)))
		}
		text := f.Label.In(n.lang)
		if len(notes) > 0 {
			text += fmt.Sprintf(n.list, strings.Join(notes, n.comma))
		}
		n.item(text)
	}
}

func (n *noticeWriter) collection() {
	collect := n.e.Purpose.Collect
	if collect.Mode == ModeSubmitted && n.e.Purpose.Minimiser.Name == MinimiseCounts {
		n.body(n.counted)
		return
	}
	if n.thirdParty() {
		n.body(n.relayed)
	} else {
		n.body(n.source[n.e.Category.Source])
	}
	switch collect.Mode {
	case ModeBackground:
		often := n.background
		if n.e.Purpose.Lane == LaneAnalytics {
			often = n.gathered // what is counted is looked at more often
		}
		n.body(fmt.Sprintf(often, n.spell(collect.Every)))
	case ModeSession:
		n.body(fmt.Sprintf(n.session, n.spell(collect.MaxSession)))
	case ModeSubmitted:
		n.body(n.submitted)
	}
}

func (n *noticeWriter) minimised() {
	m := n.e.Purpose.Minimiser
	format := n.minimiser[m.Name]
	switch m.Name {
	case MinimiseMotion:
		format = fmt.Sprintf(format, n.spell(m.Window))
	case MinimiseSteps:
		if m.Round == 1 {
			format += n.space() + n.exact
		} else {
			format += n.space() + fmt.Sprintf(n.rounded, m.Round)
		}
	case MinimiseBuckets:
		format = fmt.Sprintf(format, m.Buckets)
		format += "\n" + n.randomised()
	case MinimiseCounts:
		if q := n.e.Questions(); len(q) > 0 {
			format += "\n" + fmt.Sprintf(n.ranges, n.rangeNames(q[0])) + "\n" + n.randomised()
		}
	case MinimiseLocation:
		format = fmt.Sprintf(format, m.Level, cellArea(m.Level), m.DailyCap)
		if m.LaplaceRadius > 0 {
			format += "\n" + fmt.Sprintf(n.laplace, m.LaplaceRadius, m.LaplaceDraws)
		}
	case MinimiseContacts:
		format = fmt.Sprintf(format, m.PadFrom)
	}
	for _, sentence := range strings.Split(format, "\n") {
		n.body(sentence)
	}
}

// randomised says that an answer is not always the truth, how often it is, how many there are, and when they leave.
func (n *noticeWriter) randomised() string {
	questions, m := n.e.Questions(), n.e.Purpose.Minimiser
	if len(questions) == 0 {
		return ""
	}
	keep, _ := questions[0].Probabilities()
	answers := int(m.Budget / m.Epsilon)
	return fmt.Sprintf(n.response, int(math.Round(keep*100)), answers, m.Epsilon, m.Epsilon*Epsilon(answers), n.spell(m.Delay))
}

// rangeNames lists the ranges of a question: "0, 1-9, 10 or more".
func (n *noticeWriter) rangeNames(q Question) string {
	var names []string
	low := int64(0)
	for _, b := range q.Bounds {
		name := strconv.FormatInt(low, 10)
		if b-1 > low {
			name += "-" + strconv.FormatInt(b-1, 10)
		}
		names, low = append(names, name), b
	}
	return strings.Join(append(names, strconv.FormatInt(low, 10)+"+"), n.comma)
}

// cellArea returns the mean area of an S2 cell in square kilometres, rounded for reading: the earth's
// surface over the 6 * 4^level cells.
func cellArea(level int) string {
	area := 510_065_600 / (6 * math.Pow(4, float64(level)))
	unit := math.Pow(10, math.Floor(math.Log10(area))-1)
	if area < 10 {
		unit = math.Pow(10, math.Floor(math.Log10(area)))
	}
	return strconv.FormatFloat(math.Round(area/unit)*unit, 'f', max(0, -int(math.Floor(math.Log10(unit)))), 64)
}

func (n *noticeWriter) retention(r Retention) string {
	if r.Until != "" {
		return fmt.Sprintf(n.event, n.events[r.Until])
	}
	return fmt.Sprintf(n.last, n.spell(r.For))
}

func (n *noticeWriter) regionName(code string) string {
	if name, ok := n.regions[code]; ok {
		return name
	}
	return code
}

// spell writes a duration in words, in its largest whole unit.
func (n *noticeWriter) spell(d time.Duration) string {
	count := func(unit time.Duration, one, many string) string {
		if k := int64(d / unit); k != 1 {
			return fmt.Sprintf(many, k)
		}
		return one
	}
	switch {
	case d%(365*Day) == 0:
		return count(365*Day, n.year, n.years)
	case d%Day == 0:
		return count(Day, n.day, n.days)
	case d%time.Hour == 0:
		return count(time.Hour, n.hour, n.hours)
	case d%time.Minute == 0:
		return count(time.Minute, n.minute, n.minutes)
	}
	return d.String()
}

// space separates sentences: Chinese ones stand together.
func (n *noticeWriter) space() string {
	if n.lang == LangZH {
		return ""
	}
	return " "
}

func (n *noticeWriter) line(s string) { n.b.WriteString(s + "\n") }

func (n *noticeWriter) heading(s string) {
	n.line("")
	n.line(s)
}

func (n *noticeWriter) body(s string) {
	if s != "" {
		n.paragraph("  ", s)
	}
}

func (n *noticeWriter) paragraph(indent, s string) {
	for _, l := range wrap(s, noticeWidth-len(indent)) {
		n.line(indent + l)
	}
}

func (n *noticeWriter) item(s string) {
	for i, l := range wrap(s, noticeWidth-4) {
		if i == 0 {
			n.line("  - " + l)
		} else {
			n.line("    " + l)
		}
	}
}

// command sets a command on a line of its own, unbroken, and what it does below it.
func (n *noticeWriter) command(command, does string) {
	n.line("  $ " + command)
	n.paragraph("      ", does)
}
