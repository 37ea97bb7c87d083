package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

var (
	// ErrUndeclared says that the policy declares no such (category, purpose), so nothing may be collected for it.
	ErrUndeclared = errors.New("not declared in the policy")
	// ErrUndeclaredField says that the policy declares no such field for the purpose.
	ErrUndeclaredField = errors.New("field not declared in the policy")
	// ErrFieldValue says that the value of a declared field is not what the policy declares: another type, none
	// of the choices, longer or finer than the field's rule leaves it.
	ErrFieldValue = errors.New("field value is not as declared in the policy")
)

// Effective is what holds for one (category, purpose): everything that is asked, collected, kept and sent
// under one consent. Its parts belong to the Document and must not be changed.
type Effective struct {
	Document   *Document
	Controller *Controller
	Category   *Category
	Purpose    *Purpose
}

// Effective returns what holds for a (category, purpose), or ErrUndeclared.
func (d *Document) Effective(c CategoryID, p PurposeID) (Effective, error) {
	for i := range d.Categories {
		cat := &d.Categories[i]
		if cat.ID != c {
			continue
		}
		for j := range cat.Purposes {
			if pur := &cat.Purposes[j]; pur.ID == p {
				ctl, err := d.Controller(pur.Controller)
				if err != nil {
					return Effective{}, err
				}
				return Effective{d, ctl, cat, pur}, nil
			}
		}
	}
	return Effective{}, fmt.Errorf("%s/%s: %w", shown(string(c)), shown(string(p)), ErrUndeclared)
}

// Controller returns the named controller, or ErrUndeclared.
func (d *Document) Controller(id ControllerID) (*Controller, error) {
	for i := range d.Controllers {
		if d.Controllers[i].ID == id {
			return &d.Controllers[i], nil
		}
	}
	return nil, fmt.Errorf("controller %s: %w", shown(string(id)), ErrUndeclared)
}

// Feature returns the named feature; a parsed document has every feature that it refers to.
func (d *Document) Feature(id FeatureID) Feature {
	for _, f := range d.Features {
		if f.ID == id {
			return f
		}
	}
	return Feature{ID: id}
}

// Asked reports whether a person is asked about the category. What a connection shows of itself is not
// asked: it comes with every other consent to the same controller, and every such notice says so.
func (c *Category) Asked() bool { return c.Source != SourceConnection }

// Tuples returns every tuple a person can be asked about, in the order of the document.
func (d *Document) Tuples(s Subject) []Tuple {
	var out []Tuple
	for i := range d.Categories {
		c := &d.Categories[i]
		for j := range c.Purposes {
			if c.Asked() {
				out = append(out, Tuple{s, c.Purposes[j].Controller, c.ID, c.Purposes[j].ID})
			}
		}
	}
	return out
}

// Tuple returns the tuple named "category/purpose", or ErrUndeclared.
func (d *Document) Tuple(s Subject, name string) (Tuple, error) {
	c, p, _ := strings.Cut(name, "/")
	e, err := d.Effective(CategoryID(c), PurposeID(p))
	if err != nil {
		return Tuple{}, err
	}
	if !e.Category.Asked() {
		return Tuple{}, fmt.Errorf("%s: any connection shows it, so it is not asked on its own: %w", name, ErrUndeclared)
	}
	return e.Tuple(s), nil
}

// Tuple returns the tuple of the effective (category, purpose) for a subject.
func (e Effective) Tuple(s Subject) Tuple {
	return Tuple{s, e.Controller.ID, e.Category.ID, e.Purpose.ID}
}

// Clause returns the clause of the guideline that the purpose belongs to.
func (e Effective) Clause() string {
	if e.Purpose.Clause != "" {
		return e.Purpose.Clause
	}
	return e.Category.Clause
}

// Fields returns the fields that the purpose uses, in the order of the category.
func (e Effective) Fields() []Field {
	var out []Field
	for _, f := range e.Category.Fields {
		if e.Purpose.uses(f.Name) {
			out = append(out, f)
		}
	}
	return out
}

// Field returns a field that the purpose uses, or ErrUndeclaredField.
func (e Effective) Field(name string) (Field, error) {
	for _, f := range e.Category.Fields {
		if f.Name == name && e.Purpose.uses(name) {
			return f, nil
		}
	}
	return Field{}, fmt.Errorf("%s/%s: %s: %w", e.Category.ID, e.Purpose.ID, shown(name), ErrUndeclaredField)
}

// CheckFields reports whether the fields of one item are all declared and of the declared type. Values are
// string, int64, bool, []byte or []string. The errors are ErrUndeclaredField and ErrFieldValue; they name the
// field and hold no value. It holds for what an application submits as well as for what is left of it; see
// CheckReport for the latter.
func (e Effective) CheckFields(fields map[string]any) error {
	return e.checkEach(fields, Field.checkType)
}

// CheckReport reports what CheckFields does, and whether the rule of every field has been kept: nothing is
// longer or finer than declared, and what is declared to be dropped is not there. It holds for everything that
// may be stored or may leave.
func (e Effective) CheckReport(fields map[string]any) error {
	return e.checkEach(fields, func(f Field, value any) string {
		if problem := f.checkType(value); problem != "" {
			return problem
		}
		return f.checkRule(value)
	})
}

func (e Effective) checkEach(fields map[string]any, check func(Field, any) string) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f, err := e.Field(name)
		if err != nil {
			return err
		}
		if problem := check(f, fields[name]); problem != "" {
			return fmt.Errorf("%s/%s: %s: %s: %w", e.Category.ID, e.Purpose.ID, name, problem, ErrFieldValue)
		}
	}
	return nil
}

// Missing returns the names of the required fields that are not among fields.
func (e Effective) Missing(fields map[string]any) []string {
	var out []string
	for _, f := range e.Fields() {
		if _, ok := fields[f.Name]; f.Required && !ok {
			out = append(out, f.Name)
		}
	}
	return out
}

// checkType returns how a value differs from the declared type, or "".
func (f Field) checkType(value any) string {
	var t FieldType
	switch v := value.(type) {
	case string:
		t = FieldText
		if f.Type == FieldChoice {
			if !slices.Contains(f.Choices, v) {
				return "is none of the declared choices"
			}
			t = FieldChoice
		}
		if !utf8.ValidString(v) {
			return "is not UTF-8"
		}
	case int64:
		t = FieldInteger
	case bool:
		t = FieldBoolean
	case []byte:
		t = FieldBytes
	case []string:
		t = FieldTexts
		if slices.ContainsFunc(v, func(s string) bool { return !utf8.ValidString(s) }) {
			return "is not UTF-8"
		}
	default:
		return "has a type that no field has"
	}
	if t != f.Type {
		return "is declared as " + string(f.Type)
	}
	return ""
}

// digestForm is what RuleDigest leaves of a text: the hexadecimal form of 16 bytes.
var digestForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// checkRule returns how a value of the declared type breaks the field's rule, or "".
func (f Field) checkRule(value any) string {
	s, _ := value.(string)
	n, _ := value.(int64)
	switch {
	case f.Rule == RuleDrop:
		return "is declared to be dropped"
	case f.Rule == RuleTruncate && len(s) > f.Limit:
		return "is longer than declared"
	case f.Rule == RuleRound && n%int64(max(f.Limit, 1)) != 0:
		return "is not rounded as declared"
	case f.Rule == RuleDigest && !digestForm.MatchString(s):
		return "is not a digest"
	}
	return ""
}

var canonical = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// SubtreeHash identifies everything that a consent for this (category, purpose) is about: SHA-256 of the
// deterministic CBOR of facts. The order of the document, its comments, and other categories and purposes do
// not change it, nor do the controller's contact, key and pins.
func (e Effective) SubtreeHash() [32]byte {
	b, err := canonical.Marshal(e.facts())
	if err != nil {
		panic(err) // a map of texts always encodes
	}
	return sha256.Sum256(b)
}

// facts is the flat canonical form of the effective (category, purpose): what SubtreeHash hashes and what Diff
// compares, so that the two cannot disagree. Absent values are absent, lists whose order means nothing are
// sorted.
func (e Effective) facts() facts {
	f := facts{"form": "scruple/subtree/1"}
	c, p, ctl := e.Category, e.Purpose, e.Controller
	f.put("controller.id", string(ctl.ID))
	f.text("controller.name", ctl.Name)
	f.put("controller.endpoint", strings.TrimSuffix(ctl.Endpoint, "/"))
	f.put("controller.region", ctl.Region)

	f.put("category.id", string(c.ID))
	f.text("category.name", c.Name)
	f.text("category.description", c.Description)
	f.put("category.sensitivity", string(c.Sensitivity))
	f.put("category.subject", string(c.Subject))
	f.put("category.origin", c.Origin)
	f.put("category.source", string(c.Source))
	f.put("category.residency", c.Residency)
	for _, fd := range e.Fields() {
		f.field("fields."+fd.Name, fd)
	}

	f.put("purpose.id", string(p.ID))
	f.put("purpose.clause", e.Clause())
	f.text("purpose.text", p.Text)
	f.text("purpose.necessity", p.Necessity)
	f.text("purpose.effect", p.Effect)
	f.put("purpose.feature", string(p.Feature))
	f.text("purpose.feature.name", e.Document.Feature(p.Feature).Name)
	f.list("purpose.recipients", p.Recipients)
	f.put("purpose.basis", string(p.Basis))
	f.put("purpose.separate", strconv.FormatBool(p.Separate))
	f.put("purpose.lane", string(p.Lane))
	f.put("purpose.data-use", p.DataUse)
	f.put("purpose.dpv", p.DPV)
	f.put("collect.mode", string(p.Collect.Mode))
	if p.Collect.Every > 0 {
		f.put("collect.every", FormatDuration(p.Collect.Every))
	}
	if p.Collect.MaxSession > 0 {
		f.put("collect.max-session", FormatDuration(p.Collect.MaxSession))
	}
	f.minimiser(p.Minimiser)
	f.put("retention.device", p.Device.String())
	f.put("retention.controller", p.Kept.String())
	f.put("quiet", FormatDuration(p.Quiet))
	f.put("expiry", FormatDuration(p.Expiry))

	// What becomes of the connection's address is part of every agreement that makes a connection.
	if a, ok := e.address(); ok && c.Asked() {
		f.text("connection.text", a.Purpose.Text)
		f.put("connection.retention", a.Purpose.Kept.String())
	}
	return f
}

// address returns what the policy says of the network address that the controller sees of a connection.
func (e Effective) address() (Effective, bool) {
	for i := range e.Document.Categories {
		c := &e.Document.Categories[i]
		for j := range c.Purposes {
			if !c.Asked() && c.Purposes[j].Controller == e.Controller.ID {
				return Effective{e.Document, e.Controller, c, &c.Purposes[j]}, true
			}
		}
	}
	return Effective{}, false
}

// String returns "30d" or "until account-closed".
func (r Retention) String() string {
	if r.Until != "" {
		return "until " + string(r.Until)
	}
	return FormatDuration(r.For)
}

type facts map[string]string

func (f facts) put(key, value string) {
	if value != "" {
		f[key] = value
	}
}

func (f facts) text(key string, t Text) {
	for lang, s := range t {
		f.put(key+"."+string(lang), s)
	}
}

// list joins with a character that scalar refuses in any value.
func (f facts) list(key string, list []string) {
	f.put(key, strings.Join(slices.Sorted(slices.Values(list)), "\n"))
}

func (f facts) field(key string, fd Field) {
	f.put(key+".type", string(fd.Type))
	f.list(key+".choices", fd.Choices)
	f.put(key+".rule", string(fd.Rule))
	if fd.Limit > 0 {
		f.put(key+".limit", strconv.Itoa(fd.Limit))
	}
	f.put(key+".required", strconv.FormatBool(fd.Required))
	f.put(key+".immutable", strconv.FormatBool(fd.Immutable))
	f.put(key+".default", fd.Default)
	f.text(key+".label", fd.Label)
	f.put(key+".fideslang", fd.Fideslang)
	f.put(key+".dpv", fd.DPV)
}

func (f facts) minimiser(m Minimiser) {
	f.put("minimiser.name", string(m.Name))
	f.put("minimiser.mode", m.Mode)
	if m.FoldEmail {
		f.put("minimiser.fold-email", "true")
	}
	f.put("minimiser.ranges", string(m.Ranges))
	for key, e := range map[string]Epsilon{"minimiser.epsilon": m.Epsilon, "minimiser.budget": m.Budget} {
		if e > 0 {
			f.put(key, e.String())
		}
	}
	if m.Delay > 0 {
		f.put("minimiser.delay", FormatDuration(m.Delay))
	}
	if m.Window > 0 {
		f.put("minimiser.window", FormatDuration(m.Window))
	}
	if m.Name == MinimiseLocation {
		f.put("minimiser.level", strconv.Itoa(m.Level))
	}
	for key, n := range map[string]int{
		"minimiser.daily-cap": m.DailyCap, "minimiser.round": m.Round,
		"minimiser.buckets": m.Buckets, "minimiser.pad-from": m.PadFrom,
		"minimiser.laplace-radius": m.LaplaceRadius, "minimiser.laplace-draws": m.LaplaceDraws,
	} {
		if n > 0 {
			f.put(key, strconv.Itoa(n))
		}
	}
}
