package wire

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// MsgCase is a request of the person under one of their rights: PUT /v1/cases/{id}, signed by the tuple's key and sent on the
// tuple's own connection. GET /v1/cases/{id} gives the controller's signed answer of the moment.
const MsgCase MessageKind = "case"

// ReceiptCase confirms that a case has been stored and that its signature was checked: the time to answer counts from it.
const ReceiptCase ReceiptKind = "case"

// CaseKind is the right that a case makes use of.
type CaseKind string

// The kinds of cases.
const (
	CaseAccess     CaseKind = "access"
	CaseCorrection CaseKind = "correction"
	CaseErasure    CaseKind = "erasure"
	CaseClosure    CaseKind = "closure"
	CaseComplaint  CaseKind = "complaint"
)

// CaseKinds lists the kinds.
var CaseKinds = []CaseKind{CaseAccess, CaseCorrection, CaseErasure, CaseClosure, CaseComplaint}

// CaseState is how far a controller has come with a case.
type CaseState string

// The states. A case that is done, refused or answered stays so.
const (
	CaseReceived CaseState = "received"
	CaseAnswered CaseState = "answered" // a complaint
	CaseDone     CaseState = "done"
	CaseRefused  CaseState = "refused"
)

// Final reports whether a state is the last one.
func (s CaseState) Final() bool { return s == CaseAnswered || s == CaseDone || s == CaseRefused }

// CaseReason says why a case ended as it did, from a closed list.
type CaseReason string

// The reasons. The zero value goes with CaseReceived.
const (
	// ReasonFulfilled: what was asked has been done.
	ReasonFulfilled CaseReason = "fulfilled"
	// ReasonNothingHeld: nothing that the case is about is held.
	ReasonNothingHeld CaseReason = "nothing-held"
	// ReasonImmutableKept: done, but fields that the policy declares immutable were left.
	ReasonImmutableKept CaseReason = "immutable-kept"
	// ReasonImmutable: it names a field that the policy declares immutable.
	ReasonImmutable CaseReason = "immutable-field"
	// ReasonUndeclared: it names a field that the policy does not declare.
	ReasonUndeclared CaseReason = "undeclared-field"
	// ReasonInvalid: a value is not one that the policy allows for its field.
	ReasonInvalid CaseReason = "invalid-value"
	// ReasonConsentEnded: under a consent that is over nothing new is taken.
	ReasonConsentEnded CaseReason = "consent-ended"
	// ReasonNotCorrectable: what a device measured is not corrected but erased.
	ReasonNotCorrectable CaseReason = "not-correctable"
	// ReasonAccountClosed: the account was closed before.
	ReasonAccountClosed CaseReason = "account-closed"
	// ReasonJustified, ReasonUnfounded and ReasonLegal are the outcomes that people decide.
	ReasonJustified CaseReason = "justified"
	ReasonUnfounded CaseReason = "unfounded"
	ReasonLegal     CaseReason = "legal-obligation"
)

// CaseReasons lists the reasons.
var CaseReasons = []CaseReason{
	ReasonFulfilled, ReasonNothingHeld, ReasonImmutableKept, ReasonImmutable, ReasonUndeclared, ReasonInvalid, ReasonConsentEnded,
	ReasonNotCorrectable, ReasonAccountClosed, ReasonJustified, ReasonUnfounded, ReasonLegal,
}

// Limits of a case.
const (
	// MaxCaseText is the longest text of a complaint, and of an answer, in bytes: four pages.
	MaxCaseText = 8 << 10
	// MaxCase is the largest signed case in bytes; a correction may hold a picture.
	MaxCase = 1 << 20
	// MaxCaseItem is the longest name of an item in bytes.
	MaxCaseItem = 256
	// CaseTime is how long a controller may take to answer, from its receipt on.
	CaseTime = 30 * 24 * time.Hour
)

// Case asks a controller, under one consent, for what a right gives. What it is about is what was sent under that consent: all
// of it, or what the selectors leave: Item (the value of the field "item"), Names (fields), From and Until.
type Case struct {
	ID         UUID     `cbor:"1,keyasint"`
	Consent    UUID     `cbor:"2,keyasint"`
	Controller string   `cbor:"3,keyasint"`
	Kind       CaseKind `cbor:"4,keyasint"`
	Category   string   `cbor:"5,keyasint"`
	Purpose    string   `cbor:"6,keyasint"`
	Time       int64    `cbor:"7,keyasint"`           // unix seconds
	Text       string   `cbor:"8,keyasint,omitempty"` // complaint
	Item       string   `cbor:"9,keyasint,omitempty"` // correction, erasure
	// Fields are the new values of a correction, of the types that Item.Fields has.
	Fields map[string]any `cbor:"10,keyasint,omitempty"`
	Names  []string       `cbor:"11,keyasint,omitempty"` // erasure: only these fields, sorted
	// From and Until: erasure of the items of every hour (UTC) that the range touches. A controller knows no more of an item's time
	// than its hour, and nothing that the range names may be left there.
	From  int64 `cbor:"12,keyasint,omitempty"`
	Until int64 `cbor:"13,keyasint,omitempty"`
}

// Selects reports whether an item is one that the case is about. The item's time may be exact or only its hour.
func (c Case) Selects(it Item) bool {
	if c.Item != "" {
		if name, _ := it.Fields[itemField].(string); name != c.Item {
			return false
		}
	}
	const hour = 3600
	start := it.Time - it.Time%hour
	return (c.From == 0 || start+hour > c.From) && (c.Until == 0 || start < c.Until)
}

// itemField names an item, in categories that have items.
const itemField = "item"

// Apply returns what a correction or an erasure makes of an item's fields, and whether that is a change. An erasure leaves the fields
// that are immutable, unless it names others; no field is left of an item that goes. Both ends use it.
func (c Case) Apply(it Item, immutable []string) (fields map[string]any, change bool) {
	if !c.Selects(it) {
		return nil, false
	}
	left := maps.Clone(it.Fields)
	switch c.Kind {
	case CaseCorrection:
		// Without an item, what has none of the fields is not what is corrected.
		has := func(name string) bool { _, ok := it.Fields[name]; return ok }
		if c.Item == "" && !slices.ContainsFunc(slices.Collect(maps.Keys(c.Fields)), has) {
			return nil, false
		}
		maps.Copy(left, c.Fields)
		return left, true
	case CaseErasure:
		maps.DeleteFunc(left, func(name string, _ any) bool {
			if len(c.Names) > 0 {
				return slices.Contains(c.Names, name)
			}
			return !slices.Contains(immutable, name)
		})
		if _, item := left[itemField]; item && len(left) == 1 && len(it.Fields) > 1 {
			left = nil // the name of an item without anything in it
		}
		return left, len(left) != len(it.Fields)
	}
	return nil, false
}

// whole reports whether everything is there that the kind needs, and nothing else.
func (c Case) whole() bool {
	if !c.ID.valid() || !c.Consent.valid() || c.Controller == "" || c.Category == "" || c.Purpose == "" || c.Time < 0 ||
		len(c.Controller)+len(c.Category)+len(c.Purpose) > 256 || !ValidCaseItem(c.Item) ||
		!printable(c.Controller+c.Category+c.Purpose, false) {
		return false
	}
	selected := c.Item != "" || len(c.Names) > 0 || c.From != 0 || c.Until != 0
	switch c.Kind {
	case CaseAccess, CaseClosure:
		return c.Text == "" && len(c.Fields) == 0 && !selected
	case CaseComplaint:
		return ValidCaseText(c.Text) && len(c.Fields) == 0 && !selected
	case CaseCorrection:
		return c.Text == "" && len(c.Names) == 0 && c.From == 0 && c.Until == 0 && Item{Fields: c.Fields}.check() == nil
	case CaseErasure:
		names := slices.IsSorted(c.Names) && len(slices.Compact(slices.Clone(c.Names))) == len(c.Names) && len(c.Names) <= MaxFields &&
			!slices.Contains(c.Names, "")
		return c.Text == "" && len(c.Fields) == 0 && names && c.From >= 0 && c.Until >= 0 && (c.Until == 0 || c.From < c.Until)
	}
	return false
}

// ValidCaseText reports whether a text can be that of a complaint or of an answer: not empty, at most MaxCaseText bytes, UTF-8, and
// nothing in it that a terminal obeys but line feeds.
func ValidCaseText(s string) bool {
	return strings.TrimSpace(s) != "" && len(s) <= MaxCaseText && printable(s, true)
}

// ValidCaseItem reports whether a case can name an item so: at most MaxCaseItem bytes of characters that are shown.
func ValidCaseItem(s string) bool { return len(s) <= MaxCaseItem && printable(s, false) }

func printable(s string, lines bool) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) && r != '\u3000' && r != '\u00a0' && !(lines && r == '\n')
	})
}

// SignCase encodes and signs a case. ErrMalformed for one that OpenCase would refuse.
func SignCase(key ed25519.PrivateKey, c Case) ([]byte, error) {
	if !c.whole() {
		return nil, fmt.Errorf("sign case: %w: a field", ErrMalformed)
	}
	payload, err := Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("sign case: %w", err)
	}
	b, err := Marshal(Signed{
		Kind: MsgCase, Payload: payload, Key: key.Public().(ed25519.PublicKey), Signature: ed25519.Sign(key, signedBytes(MsgCase, payload)),
	})
	if err == nil && len(b) > MaxCase {
		return nil, fmt.Errorf("sign case: %w: more than %d bytes", ErrTooLarge, MaxCase)
	}
	return b, err
}

// OpenCase checks the signature of a case and returns it with the key that signed. ErrMalformed for anything else.
func OpenCase(b []byte) (Case, ed25519.PublicKey, error) {
	var s Signed
	if len(b) > MaxCase {
		return Case{}, nil, fmt.Errorf("case: %w: longer than %d bytes", ErrMalformed, MaxCase)
	}
	if err := Unmarshal(b, &s); err != nil {
		return Case{}, nil, fmt.Errorf("case: %w", err)
	}
	if s.Kind != MsgCase || len(s.Key) != ed25519.PublicKeySize || !ed25519.Verify(s.Key, signedBytes(MsgCase, s.Payload), s.Signature) {
		return Case{}, nil, fmt.Errorf("case: %w: signature", ErrMalformed)
	}
	var c Case
	if err := Unmarshal(s.Payload, &c); err != nil {
		return Case{}, nil, fmt.Errorf("case: %w", err)
	}
	if len(c.Fields) > 0 {
		if err := (Item{Fields: c.Fields}).normalise(); err != nil {
			return Case{}, nil, fmt.Errorf("case: %w", err)
		}
	}
	if !c.whole() {
		return Case{}, nil, fmt.Errorf("case: %w: a field", ErrMalformed)
	}
	return c, s.Key, nil
}

// CaseAnswer is what a controller says about a case at one moment. It travels as a signed note that a person can read.
type CaseAnswer struct {
	Controller string
	Case       UUID
	Consent    UUID
	Message    Hash // SHA-256 of the signed case
	// Number rises by one with each answer to the case, from 1.
	Number   uint64
	State    CaseState
	Reason   CaseReason // none while CaseReceived
	Received time.Time  // when the case came and its signature was checked
	Due      time.Time  // by when a final answer has to be there
	Time     time.Time  // of this answer
	Items    int        // items that were changed or erased, or with CaseAccess are held
	Text     string     // the controller's words, may be empty
}

// ErrCaseAnswer says that bytes are not an answer to a case signed by the controller's key, or one to another case.
var ErrCaseAnswer = errors.New("not the controller's signed answer to this case")

// MaxCaseAnswer is the largest signed answer in bytes.
const MaxCaseAnswer = 2*MaxCaseText + 2048

const caseFirstLine = "scruple/case/1"

func (a CaseAnswer) note() string {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	reason := a.Reason
	if reason == "" {
		reason = "-"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\ncontroller %s\ncase %s\nconsent %s\nmessage %s\nnumber %d\nstate %s\nreason %s\nreceived %s\ndue %s\ntime %s\nitems %d\n",
		caseFirstLine, a.Controller, a.Case, a.Consent, a.Message, a.Number, a.State, reason, stamp(a.Received), stamp(a.Due), stamp(a.Time), a.Items)
	if a.Text != "" {
		for line := range strings.SplitSeq(a.Text, "\n") {
			b.WriteString("> " + line + "\n")
		}
	}
	return b.String()
}

func (a CaseAnswer) check() bool {
	known := slices.Contains([]CaseState{CaseReceived, CaseAnswered, CaseDone, CaseRefused}, a.State)
	reason := slices.Contains(CaseReasons, a.Reason) && a.State.Final() || a.Reason == "" && a.State == CaseReceived
	return a.Controller != "" && len(a.Controller) <= 256 && !strings.ContainsAny(a.Controller, " \n") && a.Case.valid() && a.Consent.valid() && a.Number > 0 && known && reason &&
		a.Items >= 0 && (a.Text == "" || ValidCaseText(a.Text))
}

// SignCaseAnswer returns the signed note. ErrMalformed for an answer that OpenCaseAnswer would refuse.
func SignCaseAnswer(a CaseAnswer, key note.Signer) ([]byte, error) {
	if !a.check() {
		return nil, fmt.Errorf("sign answer: %w: a field", ErrMalformed)
	}
	return note.Sign(&note.Note{Text: a.note()}, key)
}

// OpenCaseAnswer checks the signature against the controller's verifier key and reads the answer. ErrCaseAnswer for anything
// else.
func OpenCaseAnswer(b []byte, verifierKey string) (CaseAnswer, error) {
	if len(b) > MaxCaseAnswer {
		return CaseAnswer{}, fmt.Errorf("%w: longer than %d bytes", ErrCaseAnswer, MaxCaseAnswer)
	}
	v, err := note.NewVerifier(verifierKey)
	if err != nil {
		return CaseAnswer{}, fmt.Errorf("%w: verifier key", ErrCaseAnswer)
	}
	n, err := note.Open(b, note.VerifierList(v))
	if err != nil {
		return CaseAnswer{}, ErrCaseAnswer
	}
	a, ok := parseCaseAnswer(n.Text)
	if !ok {
		return CaseAnswer{}, fmt.Errorf("%w: layout", ErrCaseAnswer)
	}
	return a, nil
}

// parseCaseAnswer reads the text of the note: it must be spelled as note spells it.
func parseCaseAnswer(text string) (CaseAnswer, bool) {
	head, rest := text, ""
	if i := strings.Index(text, "\n> "); i >= 0 {
		head, rest = text[:i+1], text[i+1:]
	}
	lines := strings.Split(head, "\n")
	names := []string{"controller", "case", "consent", "message", "number", "state", "reason", "received", "due", "time", "items"}
	if len(lines) != len(names)+2 || lines[0] != caseFirstLine || lines[len(lines)-1] != "" {
		return CaseAnswer{}, false
	}
	value := make(map[string]string, len(names))
	for i, name := range names {
		v, ok := strings.CutPrefix(lines[i+1], name+" ")
		if !ok {
			return CaseAnswer{}, false
		}
		value[name] = v
	}
	var (
		a    = CaseAnswer{Controller: value["controller"], State: CaseState(value["state"]), Reason: CaseReason(value["reason"])}
		errs [8]error
	)
	if a.Reason == "-" {
		a.Reason = ""
	}
	a.Case, errs[0] = ParseUUID(value["case"])
	a.Consent, errs[1] = ParseUUID(value["consent"])
	a.Message, errs[2] = ParseHash(value["message"])
	a.Number, errs[3] = strconv.ParseUint(value["number"], 10, 64)
	a.Received, errs[4] = time.Parse(time.RFC3339, value["received"])
	a.Due, errs[5] = time.Parse(time.RFC3339, value["due"])
	a.Time, errs[6] = time.Parse(time.RFC3339, value["time"])
	a.Items, errs[7] = strconv.Atoi(value["items"])
	if rest != "" {
		var words []string
		for line := range strings.SplitSeq(strings.TrimSuffix(rest, "\n"), "\n") {
			words = append(words, strings.TrimPrefix(line, "> "))
		}
		a.Text = strings.Join(words, "\n")
	}
	return a, errors.Join(errs[:]...) == nil && a.check() && a.note() == text
}

// Answers returns nil when a is this controller's answer to exactly the case with this id, consent and message, and otherwise an
// ErrCaseAnswer that names what differs.
func (a CaseAnswer) Answers(controller string, id, consent UUID, message Hash) error {
	switch {
	case a.Controller != controller:
		return fmt.Errorf("%w: it names another controller", ErrCaseAnswer)
	case a.Case != id:
		return fmt.Errorf("%w: it names another case", ErrCaseAnswer)
	case a.Consent != consent:
		return fmt.Errorf("%w: it names another consent", ErrCaseAnswer)
	case a.Message != message:
		return fmt.Errorf("%w: it is about other bytes", ErrCaseAnswer)
	}
	return nil
}

// Edit calls edit with every item and replaces those it changes: an item of which no field is left goes. It returns how many were
// changed.
func (b *Batch) Edit(edit func(Item) (fields map[string]any, change bool)) int {
	var (
		kept []Item
		n    int
	)
	for _, it := range b.Items {
		fields, change := edit(it)
		if change {
			n++
			it.Fields = fields
		}
		if len(it.Fields) > 0 {
			kept = append(kept, it)
		}
	}
	b.Items = kept
	return n
}

// Pack encodes and compresses a batch: the body as it is sent.
func Pack(b Batch) ([]byte, error) {
	plain, err := EncodeBatch(b)
	if err != nil {
		return nil, err
	}
	return Compress(plain)
}
