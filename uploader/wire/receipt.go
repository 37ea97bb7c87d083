package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"golang.org/x/mod/sumdb/note"
)

// Receipt is what a controller signs when it has durably done what a message asked. It travels as a signed
// note (golang.org/x/mod/sumdb/note), so that a person can read it and check it with the
// controller's public key alone.
type Receipt struct {
	Controller string
	Kind       ReceiptKind
	Consent    UUID
	// Body is the SHA-256 of the message that was answered.
	Body Hash
	// Time is when it was done, to the second.
	Time time.Time
	// Erased is the number of stored batches that were erased (withdrawal with clear, erasure).
	Erased int
	// Matches is the number of registered users found in a contacts batch.
	Matches int
}

// ReceiptKind names what was done.
type ReceiptKind string

// The kinds of receipts.
const (
	ReceiptConsent    ReceiptKind = "consent"
	ReceiptBatch      ReceiptKind = "batch"
	ReceiptWithdrawal ReceiptKind = "withdrawal"
	// ReceiptErasure answers an erasure and a withdrawal that asked for clearing.
	ReceiptErasure ReceiptKind = "erasure"
)

// ErrReceipt says that bytes are not a receipt signed by the controller's key.
var ErrReceipt = errors.New("not a receipt signed by the controller")

const receiptFirstLine = "scruple/receipt/1"

// MaxReceipt is the largest answer an agent reads, in bytes: a receipt is about 500, a problem smaller than 4096.
const MaxReceipt = 16 << 10

func (r Receipt) text() string {
	return fmt.Sprintf("%s\ncontroller %s\nkind %s\nconsent %s\nbody %s\ntime %s\nerased %d\nmatches %d\n",
		receiptFirstLine, r.Controller, r.Kind, r.Consent, r.Body, r.Time.UTC().Format(time.RFC3339), r.Erased, r.Matches)
}

// SignReceipt returns the signed note.
func SignReceipt(r Receipt, key note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: r.text()}, key)
}

// OpenReceipt checks the signature against the controller's verifier key and reads the receipt. It returns
// ErrReceipt for anything else.
func OpenReceipt(b []byte, verifierKey string) (Receipt, error) {
	if len(b) > MaxReceipt {
		return Receipt{}, fmt.Errorf("%w: longer than %d bytes", ErrReceipt, MaxReceipt)
	}
	v, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: verifier key", ErrReceipt)
	}
	n, err := note.Open(b, note.VerifierList(v))
	if err != nil {
		return Receipt{}, ErrReceipt
	}
	var (
		r                   Receipt
		consent, body, when string
		kind                string
	)
	if _, err := fmt.Sscanf(n.Text, receiptFirstLine+"\ncontroller %s\nkind %s\nconsent %s\nbody %s\ntime %s\nerased %d\nmatches %d\n",
		&r.Controller, &kind, &consent, &body, &when, &r.Erased, &r.Matches); err != nil {
		return Receipt{}, fmt.Errorf("%w: layout", ErrReceipt)
	}
	r.Kind = ReceiptKind(kind)
	var errs [3]error
	r.Consent, errs[0] = ParseUUID(consent)
	r.Body, errs[1] = ParseHash(body)
	r.Time, errs[2] = time.Parse(time.RFC3339, when)
	if errors.Join(errs[:]...) != nil || r.text() != n.Text || r.Erased < 0 || r.Matches < 0 {
		return Receipt{}, fmt.Errorf("%w: layout", ErrReceipt)
	}
	switch r.Kind {
	case ReceiptConsent, ReceiptBatch, ReceiptWithdrawal, ReceiptErasure, ReceiptCase:
		return r, nil
	}
	return Receipt{}, fmt.Errorf("%w: kind", ErrReceipt)
}

// Answers returns nil when r is the answer of this controller, of this kind, to exactly the message with
// this SHA-256 under this consent, and otherwise an ErrReceipt that names what differs. A good signature alone says only that the
// controller confirmed something.
func (r Receipt) Answers(controller string, kind ReceiptKind, consent UUID, body Hash) error {
	switch {
	case r.Controller != controller:
		return fmt.Errorf("%w: it names another controller", ErrReceipt)
	case r.Kind != kind:
		return fmt.Errorf("%w: it confirms another kind of message, not %s", ErrReceipt, kind)
	case r.Consent != consent:
		return fmt.Errorf("%w: it names another consent", ErrReceipt)
	case r.Body != body:
		return fmt.Errorf("%w: it confirms other bytes", ErrReceipt)
	}
	return nil
}

// ProblemType is the type member of a refusal (RFC 9457), from a closed list.
type ProblemType string

// The refusals. The URI on the wire is ProblemBase followed by one of these.
const (
	ProblemConsentUnknown   ProblemType = "consent-unknown"
	ProblemConsentWithdrawn ProblemType = "consent-withdrawn"
	ProblemConsentExpired   ProblemType = "consent-expired"
	ProblemPolicyMismatch   ProblemType = "policy-mismatch"
	ProblemUndeclaredField  ProblemType = "undeclared-field"
	ProblemWrongController  ProblemType = "wrong-controller"
	ProblemWrongEpoch       ProblemType = "wrong-epoch"
	ProblemBodyDiffers      ProblemType = "body-differs"
	ProblemTooLarge         ProblemType = "too-large"
	ProblemSlowDown         ProblemType = "slow-down"
	// ProblemGuardian answers a minor's consent without its guardian's approval, or with one of something else.
	ProblemGuardian ProblemType = "guardian-approval"
	// ProblemMalformed answers what is not a message of this schema or not signed by the connection's key.
	ProblemMalformed ProblemType = "malformed"
	// ProblemCaseUnknown answers whoever asks about a case that did not come with this key.
	ProblemCaseUnknown ProblemType = "case-unknown"
	// ProblemChanged answers a batch that was sent before the latest change of what is held of its consent: an erasure, a correction, the
	// closing of the account. Problem.Changes is the number that it has to name.
	ProblemChanged ProblemType = "changed-since"
)

// ChangesParameter is the parameter of PUT /v1/batches/{id} that names how many changes of its consent the sender knew of; absent is 0.
const ChangesParameter = "changes"

// ProblemBase is the prefix of every problem's type URI.
const ProblemBase = "urn:scruple:problem:"

// Status returns the HTTP status that goes with a refusal.
func (p ProblemType) Status() int {
	switch p {
	case ProblemBodyDiffers, ProblemChanged:
		return http.StatusConflict
	case ProblemTooLarge:
		return http.StatusRequestEntityTooLarge
	case ProblemSlowDown:
		return http.StatusTooManyRequests
	case ProblemMalformed, ProblemUndeclaredField:
		return http.StatusBadRequest
	default:
		return http.StatusForbidden
	}
}

// Problem is the JSON body of a refusal. Detail names what is wrong, never a value.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Changes comes with ProblemChanged.
	Changes uint64 `json:"changes,omitempty"`
}

// Kind returns the problem's place in the closed list, or "" when it is not in it.
func (p Problem) Kind() ProblemType {
	kind, ok := strings.CutPrefix(p.Type, ProblemBase)
	if !ok {
		return ""
	}
	switch p := ProblemType(kind); p {
	case ProblemConsentUnknown, ProblemConsentWithdrawn, ProblemConsentExpired, ProblemPolicyMismatch, ProblemUndeclaredField,
		ProblemWrongController, ProblemWrongEpoch, ProblemBodyDiffers, ProblemTooLarge, ProblemSlowDown, ProblemGuardian, ProblemMalformed,
		ProblemCaseUnknown, ProblemChanged:
		return p
	}
	return ""
}

// DecodeProblem reads the JSON body of a refusal (RFC 9457); unknown members are ignored, as that RFC demands. Title and
// Detail are the other end's words: control characters are taken out and the rest is cut at 200 bytes. It
// returns ErrMalformed for what is no problem.
func DecodeProblem(b []byte) (Problem, error) {
	var p Problem
	if len(b) > MaxReceipt || json.Unmarshal(b, &p) != nil || p.Type == "" {
		return Problem{}, fmt.Errorf("problem: %w", ErrMalformed)
	}
	p.Title, p.Detail = tame(p.Title), tame(p.Detail)
	return p, nil
}

// tame makes a text of the other end fit for one line of a terminal or a log.
func tame(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// Epoch describes a keyed mode epoch of the contacts category. Key is present only on the contacts tuple's own
// connection (GET /v1/contacts/epoch), never in a file.
type Epoch struct {
	ID        uint   `cbor:"1,keyasint"`
	NotBefore int64  `cbor:"2,keyasint"` // unix seconds
	NotAfter  int64  `cbor:"3,keyasint"` // unix seconds
	Mode      string `cbor:"4,keyasint"` // "keyed"
	Length    uint   `cbor:"5,keyasint"` // bytes of a digest: 16
	Form      uint32 `cbor:"6,keyasint"` // canonical form version
	Key       []byte `cbor:"7,keyasint"` // 32 bytes
}

// DecodeEpoch reads and checks an epoch descriptor with its key.
func DecodeEpoch(b []byte) (Epoch, error) {
	var e Epoch
	if err := Unmarshal(b, &e); err != nil {
		return Epoch{}, fmt.Errorf("epoch: %w", err)
	}
	if e.Mode != "keyed" || e.Length != 16 || len(e.Key) != 32 || e.NotAfter <= e.NotBefore {
		return Epoch{}, fmt.Errorf("epoch: %w: a field", ErrMalformed)
	}
	return e, nil
}

// String redacts the key.
func (e Epoch) String() string { return fmt.Sprintf("epoch %d", e.ID) }

// Format redacts the key whatever the verb.
func (e Epoch) Format(f fmt.State, _ rune) { io.WriteString(f, e.String()) }

// MarshalJSON redacts the key.
func (e Epoch) MarshalJSON() ([]byte, error) { return []byte(fmt.Sprintf(`{"id":%d}`, e.ID)), nil }
