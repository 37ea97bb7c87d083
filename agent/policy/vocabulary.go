// Package policy is the vocabulary of the product and the policy document: which categories of
// personal data exist, for which purposes, to which controller, how they are made small, how long
// they stay, and the words in which a person is asked.
//
// The document is data: what it does not declare cannot be collected, stored or sent. It is read
// strictly (Parse, Load), compared (Diff), hashed per (category, purpose) (Effective.SubtreeHash),
// and turned into the notice a person is shown (Effective.Notice), so that the text and what is
// enforced cannot differ. The words are those of the GDPR and of W3C DPV.
//
// Daemons want Load, which checks the signature; tools that show or compare want Parse. A Document is
// not changed once it is made and may be shared between goroutines.
//
// The package collects nothing, knows no consent and opens no file: it takes bytes.
package policy

import "time"

// Identifiers of the document. All are lower-case ASCII letters, digits and hyphens, starting with a letter.
type (
	// Subject names the data subject on this device: one user account. It never leaves the device.
	Subject string
	// ControllerID names a controller (GDPR Art. 4(7)) of the document.
	ControllerID string
	// CategoryID names a category of personal data.
	CategoryID string
	// PurposeID names a purpose within its category.
	PurposeID string
	// FeatureID names the feature that stops working when its consent is refused.
	FeatureID string
	// Lang is a BCP 47 language tag; the product speaks LangZH and LangEN.
	Lang string
)

// The two languages every text of a policy must have.
const (
	LangZH Lang = "zh-CN"
	LangEN Lang = "en"
)

// Tuple is the unit of everything: consent, keys, spool, batches, pseudonym and erasure are per tuple.
type Tuple struct {
	Subject    Subject      `json:"subject"`
	Controller ControllerID `json:"controller"`
	Category   CategoryID   `json:"category"`
	Purpose    PurposeID    `json:"purpose"`
}

// String returns "category/purpose", the name a person uses on the command line. The controller is
// implied: within one policy a (category, purpose) has exactly one. A tuple that names neither has no name.
func (t Tuple) String() string {
	if t.Category == "" && t.Purpose == "" {
		return ""
	}
	return string(t.Category) + "/" + string(t.Purpose)
}

// Text is one message in every language of the document.
type Text map[Lang]string

// In returns the text in lang, or in English where the language is unknown.
func (t Text) In(lang Lang) string {
	if s, ok := t[lang]; ok {
		return s
	}
	return t[LangEN]
}

// Sensitivity of a category: basic or sensitive. A sensitive category needs a separate consent,
// asked alone (PIPL Art. 29).
type Sensitivity string

// The sensitivities.
const (
	Basic     Sensitivity = "basic"
	Sensitive Sensitivity = "sensitive"
)

// DataSubject says whose data a category holds.
type DataSubject string

// The data subjects.
const (
	DeviceUser DataSubject = "device-user"
	// OtherPeople are third parties, as in an address book.
	OtherPeople DataSubject = "other-people"
)

// Source names where raw values come from; one reader each.
type Source string

// The sources. SourceApplication is submitted by the host application through the local API;
// SourceAgent are the counts that the agent itself can make.
const (
	SourceDevice        Source = "device"
	SourceAccelerometer Source = "accelerometer"
	SourceSteps         Source = "steps"
	SourceLocation      Source = "location"
	SourceContacts      Source = "contacts"
	SourceApplication   Source = "application"
	SourceAgent         Source = "agent"
	// SourceConnection marks what a controller sees of any connection (its address); nothing is read for it.
	SourceConnection Source = "connection"
)

// LawfulBasis of a purpose. Everything that is collected here rests on consent; "contract" marks what an
// application must submit for an account to exist.
type LawfulBasis string

// The lawful bases.
const (
	BasisConsent  LawfulBasis = "consent"
	BasisContract LawfulBasis = "contract"
)

// Lane of a purpose's data. Lane A (consent messages, erasure, cases) belongs to no purpose.
type Lane string

// The lanes a purpose can name.
const (
	// LaneFeatures is lane B: consented features, pseudonymous.
	LaneFeatures Lane = "features"
	// LaneAnalytics is lane C: without identifier and without consent id.
	LaneAnalytics Lane = "analytics"
)

// Mode says when a source is read.
type Mode string

// The modes.
const (
	// ModeBackground reads on the declared schedule (Collect.Every).
	ModeBackground Mode = "background"
	// ModeSession reads only within a use session that the application opens and that ends by itself.
	ModeSession Mode = "session"
	// ModeSubmitted reads nothing: the application submits.
	ModeSubmitted Mode = "submitted"
	// ModeConnection reads nothing and submits nothing: any connection shows it.
	ModeConnection Mode = "connection"
)

// Collect is the declared schedule of a purpose.
type Collect struct {
	Mode       Mode
	Every      time.Duration // ModeBackground: at most once per
	MaxSession time.Duration // ModeSession: longest session
}

// MinimiserName names the function of package minimise that a purpose's raw values go through.
type MinimiserName string

// The minimisers.
const (
	MinimiseDevice MinimiserName = "device"
	MinimiseMotion MinimiserName = "motion"
	MinimiseSteps  MinimiserName = "steps"
	// MinimiseBuckets keeps of a day's steps only in which of a few ranges the total falls.
	MinimiseBuckets  MinimiserName = "buckets"
	MinimiseLocation MinimiserName = "location"
	MinimiseContacts MinimiserName = "contacts"
	MinimiseFields   MinimiserName = "fields"
	MinimiseCounts   MinimiserName = "counts"
)

// Minimiser is the rule that makes a Report of raw values. A parameter is meaningful for one minimiser only.
type Minimiser struct {
	Name     MinimiserName
	Level    int // location: S2 cell level, 0..16
	DailyCap int // location: most reports a day
	// LaplaceRadius asks for planar Laplace noise on top of the cell: the distance in metres at which two places give the
	// same report with probabilities that differ by a factor of four at most; 0 is none (location).
	LaplaceRadius int
	LaplaceDraws  int           // location, with LaplaceRadius: most draws of the noise while they can be linked
	Window        time.Duration // motion: length of a window
	Round         int           // steps: totals are rounded down to a multiple; 1 is exact
	Buckets       int           // buckets: number of ranges, 2..64
	Mode          string        // contacts: "keyed"
	PadFrom       int           // contacts: smallest size class, a power of two
	// FoldEmail adds a second, separately tagged digest of the gmail-style folded address (contacts).
	FoldEmail bool
	// Counts and buckets on the analytics lane, all of them or none: what an answer is made of, and how much it hides.
	Ranges  Ranges        // counts: the ranges a count can fall in
	Epsilon Epsilon       // of one answer
	Budget  Epsilon       // of all answers of a week
	Delay   time.Duration // an answer waits for a random part of it
}

// Retention is how long data is kept: a duration, or an event with which it ends. Exactly one is set; endless
// retention cannot be said.
type Retention struct {
	For   time.Duration
	Until Event
}

// Event ends a retention.
type Event string

// The events.
const (
	UntilAccountClosed Event = "account-closed"
	UntilItemDeleted   Event = "item-deleted"
	UntilWithdrawn     Event = "withdrawn"
	// UntilConnectionClosed is for SourceConnection only: nothing is kept.
	UntilConnectionClosed Event = "connection-closed"
)

// FieldType is the type of a declared field.
type FieldType string

// The field types.
const (
	FieldText    FieldType = "text"
	FieldInteger FieldType = "integer"
	FieldBoolean FieldType = "boolean"
	FieldChoice  FieldType = "choice" // one of Field.Choices
	FieldTexts   FieldType = "texts"  // a list of texts
	FieldBytes   FieldType = "bytes"  // media, digests
)

// Rule is what becomes of a declared field's value before it is stored.
type Rule string

// The rules.
const (
	RuleKeep     Rule = "keep"
	RuleRound    Rule = "round"
	RuleTruncate Rule = "truncate"
	RuleDigest   Rule = "digest"
	RuleDrop     Rule = "drop"
)

// Field is one declared field of a category.
type Field struct {
	Name      string
	Type      FieldType
	Choices   []string // FieldChoice only
	Rule      Rule
	Limit     int // RuleTruncate: bytes of text kept; RuleRound: multiple
	Required  bool
	Immutable bool
	Default   string // of a setting: one of Choices, "true" or "false", or an integer; empty: none
	Label     Text
	Fideslang string // fideslang data category key
	DPV       string // DPV personal-data term, ours where DPV has none
}

// Controller decides about purposes and receives data (GDPR Art. 4(7)).
type Controller struct {
	ID       ControllerID
	Name     Text
	Contact  string
	Endpoint string   // https URL
	Region   string   // ISO 3166-1 alpha-2: where the endpoint stores
	Key      string   // its Ed25519 key as a note verifier key
	Pins     []string // SPKI pins, "sha256/" + base64, at least one
}

// Feature is something the person uses and that a refusal switches off.
type Feature struct {
	ID   FeatureID
	Name Text
}

// Purpose is one purpose of a category: the switch a person sees.
type Purpose struct {
	ID         PurposeID
	Clause     string // of the guideline, where it is not the category's
	Text       Text   // what for
	Necessity  Text   // sensitive only: why it is needed (PIPL Art. 30)
	Effect     Text   // sensitive only: what it means for the person (PIPL Art. 30)
	Feature    FeatureID
	Controller ControllerID
	Recipients []string // further recipients, named for the person; each needs its own purpose and so its own consent
	Basis      LawfulBasis
	Separate   bool // asked alone
	Lane       Lane
	Collect    Collect
	Minimiser  Minimiser
	Fields     []string // names of the category's fields that this purpose uses; empty: all
	Device     Retention
	Kept       Retention     // at the controller
	Quiet      time.Duration // not asked again after a refusal
	Expiry     time.Duration // longest life of a consent
	DataUse    string        // fideslang data use key
	DPV        string        // DPV purpose term
}

// The origins of data that comes from no third party.
const (
	OriginPerson = "person"
	OriginDevice = "device"
)

// Category of personal data.
type Category struct {
	ID          CategoryID
	Clause      string // of the guideline
	Name        Text
	Description Text // what, and how it is collected
	Sensitivity Sensitivity
	Subject     DataSubject
	Origin      string // OriginPerson, OriginDevice, or the name of a third party
	Source      Source
	Residency   string // region in which it must stay
	Fields      []Field
	Purposes    []Purpose
}

// Document is one version of a policy.
type Document struct {
	ID          string
	Version     int       // rising
	From        time.Time // day on which it takes effect, UTC
	Controllers []Controller
	Features    []Feature
	Categories  []Category
}
