package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// ApprovalKind names what a guardian approves or orders; it is part of what is signed.
type ApprovalKind string

// The kinds.
const (
	// ApproveGrant: that the minor agrees to one purpose, to exactly one notice.
	ApproveGrant ApprovalKind = "grant"
	// ApprovePolicy: that the minor accepts the policy of one version and digest.
	ApprovePolicy ApprovalKind = "policy"
	// ApproveAge: another age band, which protects less.
	ApproveAge ApprovalKind = "age"
	// ApproveKey: another guardian key in place of this one.
	ApproveKey ApprovalKind = "key"
	// OrderWithdraw: the guardian takes a consent back.
	OrderWithdraw ApprovalKind = "withdraw"
)

// Question is what a guardian is asked, or orders: one thing, once, for a limited time. The device asks with a fresh nonce;
// only what it asked itself is ever accepted, except for orders, whose nonce the guardian draws.
type Question struct {
	Kind ApprovalKind `cbor:"1,keyasint"`
	// Subject commits to the device and the account: salted, so it links nothing. In an order it is the device's number.
	Subject       Hash   `cbor:"2,keyasint"`
	Controller    string `cbor:"3,keyasint,omitempty"`
	Category      string `cbor:"4,keyasint,omitempty"`
	Purpose       string `cbor:"5,keyasint,omitempty"`
	Notice        Hash   `cbor:"6,keyasint"`           // grant: SHA-256 of the notice's text
	Lang          string `cbor:"7,keyasint,omitempty"` // grant: of the notice
	PolicyID      string `cbor:"8,keyasint,omitempty"`
	PolicyVersion uint   `cbor:"9,keyasint,omitempty"`
	Policy        Hash   `cbor:"10,keyasint"`           // digest of the policy
	Band          string `cbor:"11,keyasint,omitempty"` // age
	NewKey        []byte `cbor:"12,keyasint,omitempty"` // key
	Clear         bool   `cbor:"13,keyasint,omitempty"` // withdraw: with erasure at the controller
	Nonce         Hash   `cbor:"14,keyasint"`
	Expiry        int64  `cbor:"15,keyasint"` // unix seconds
}

// maxQuestionText is the longest name in a question, in bytes.
const maxQuestionText = 256

// check reports whether everything is there that the kind needs, and nothing that it has no use for.
func (q Question) check() bool {
	for _, s := range []string{q.Controller, q.Category, q.Purpose, q.Lang, q.PolicyID, q.Band} {
		if len(s) > maxQuestionText || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return false
		}
	}
	tuple := q.Controller != "" && q.Category != "" && q.Purpose != ""
	noTuple := q.Controller == "" && q.Category == "" && q.Purpose == ""
	noNotice := q.Notice.IsZero() && q.Lang == ""
	policy := q.PolicyID != "" && q.PolicyVersion != 0 && !q.Policy.IsZero()
	noPolicy := q.PolicyID == "" && q.PolicyVersion == 0 && q.Policy.IsZero()
	if q.Subject.IsZero() || q.Nonce.IsZero() || q.Expiry <= 0 || q.Clear && q.Kind != OrderWithdraw ||
		(q.Band != "") != (q.Kind == ApproveAge) || (len(q.NewKey) != 0) != (q.Kind == ApproveKey) {
		return false
	}
	switch q.Kind {
	case ApproveGrant:
		return tuple && !q.Notice.IsZero() && q.Lang != "" && policy
	case ApprovePolicy:
		return noTuple && noNotice && policy
	case ApproveAge:
		return noTuple && noNotice && noPolicy
	case ApproveKey:
		return noTuple && noNotice && noPolicy && len(q.NewKey) == ed25519.PublicKeySize
	case OrderWithdraw:
		return tuple && noNotice && noPolicy
	}
	return false
}

// Encode returns the question in its deterministic encoding: what is signed. ErrMalformed when it is not whole.
func (q Question) Encode() ([]byte, error) {
	if !q.check() {
		return nil, fmt.Errorf("question: %w: a field", ErrMalformed)
	}
	return Marshal(q)
}

// DecodeQuestion reads what Encode wrote. ErrMalformed for anything else.
func DecodeQuestion(b []byte) (Question, error) {
	var q Question
	if len(b) > MaxApproval {
		return q, fmt.Errorf("question: %w: too long", ErrMalformed)
	}
	if err := Unmarshal(b, &q); err != nil {
		return q, fmt.Errorf("question: %w", err)
	}
	if !q.check() {
		return q, fmt.Errorf("question: %w: a field", ErrMalformed)
	}
	return q, nil
}

// Bounds of what travels between the two devices, in bytes.
const (
	// MaxApproval bounds a question and an approval.
	MaxApproval = 4096
	// MaxApprovalRequest bounds a request with the text of its notice or its policy.
	MaxApprovalRequest = 1 << 20
)

// ApprovalRequest carries a question to the guardian's device.
type ApprovalRequest struct {
	Question []byte `cbor:"1,keyasint"`
	// Notice is the text that Question.Notice is the hash of; "" where it did not fit, as in a QR code.
	Notice string `cbor:"2,keyasint,omitempty"`
	// Device is the number under which the guardian's orders name the device. It goes to no controller.
	Device Hash `cbor:"3,keyasint"`
	// Policy is the document that Question.Policy is the digest of, where a policy is to be accepted; "" where it did not fit. Who
	// shows it checks that.
	Policy string `cbor:"4,keyasint,omitempty"`
}

// Approval is a guardian's answer. Two keys have signed: the guardian's own, which the device knows, and one that is derived
// from it for this answer alone, which is all that a controller is shown. So no controller can tell whether two consents
// have the same guardian.
type Approval struct {
	Question  []byte `cbor:"1,keyasint"`
	Derived   []byte `cbor:"2,keyasint"` // public key of this answer
	Evidence  []byte `cbor:"3,keyasint"` // signature of the derived key over the question
	Signature []byte `cbor:"4,keyasint"` // signature of the guardian's key over both
}

// GuardianEvidence is the part of an approval that a controller gets with the consent of a minor.
type GuardianEvidence struct {
	Question  []byte `cbor:"1,keyasint"`
	Derived   []byte `cbor:"2,keyasint"`
	Signature []byte `cbor:"3,keyasint"`
}

func evidenceBytes(question []byte) []byte {
	return append([]byte("scruple/guardian-evidence/1\n"), question...)
}

func approvalBytes(derived, question []byte) []byte {
	return append(append([]byte("scruple/guardian-approval/1\n"), derived...), question...)
}

// SignApproval answers a question with the guardian's key. ErrMalformed for what is no question.
func SignApproval(key ed25519.PrivateKey, question []byte) (Approval, error) {
	q, err := DecodeQuestion(question)
	if err != nil {
		return Approval{}, err
	}
	seed, err := hkdf.Key(sha256.New, key.Seed(), nil, "scruple/guardian-answer/1"+string(q.Nonce[:]), ed25519.SeedSize)
	if err != nil {
		return Approval{}, err
	}
	defer clear(seed)
	one := ed25519.NewKeyFromSeed(seed)
	derived := one.Public().(ed25519.PublicKey)
	return Approval{
		Question: question, Derived: derived, Evidence: ed25519.Sign(one, evidenceBytes(question)),
		Signature: ed25519.Sign(key, approvalBytes(derived, question)),
	}, nil
}

// Verify checks both signatures against the guardian's key and returns the question that was answered. ErrMalformed for
// anything else.
func (a Approval) Verify(guardian ed25519.PublicKey) (Question, error) {
	q, err := a.GuardianEvidence().Verify()
	if err != nil {
		return Question{}, err
	}
	if len(guardian) != ed25519.PublicKeySize || !ed25519.Verify(guardian, approvalBytes(a.Derived, a.Question), a.Signature) {
		return Question{}, fmt.Errorf("approval: %w: not signed with the guardian's key", ErrMalformed)
	}
	return q, nil
}

// GuardianEvidence returns what a controller gets.
func (a Approval) GuardianEvidence() GuardianEvidence {
	return GuardianEvidence{a.Question, a.Derived, a.Evidence}
}

// Verify checks the signature and returns the question that was answered. Whose the key is it cannot tell.
func (e GuardianEvidence) Verify() (Question, error) {
	q, err := DecodeQuestion(e.Question)
	if err != nil {
		return Question{}, err
	}
	if len(e.Derived) != ed25519.PublicKeySize || !ed25519.Verify(e.Derived, evidenceBytes(e.Question), e.Signature) {
		return Question{}, fmt.Errorf("approval: %w: signature", ErrMalformed)
	}
	return q, nil
}

// Answers returns nil when the evidence approves exactly this consent, and otherwise an ErrMalformed that says what differs.
func (e GuardianEvidence) Answers(c Consent) error {
	q, err := e.Verify()
	switch {
	case err != nil:
		return err
	case q.Kind != ApproveGrant:
		return fmt.Errorf("approval: %w: of something else than a consent", ErrMalformed)
	case q.Controller != c.Controller || q.Category != c.Category || q.Purpose != c.Purpose:
		return fmt.Errorf("approval: %w: of another purpose", ErrMalformed)
	case q.Notice != c.Notice || q.Lang != c.Lang:
		return fmt.Errorf("approval: %w: of another notice", ErrMalformed)
	case c.Time > q.Expiry:
		return fmt.Errorf("approval: %w: it had expired when the consent was given", ErrMalformed)
	}
	return nil
}

// What travels between two devices does so as one line of text, in a file or a QR code.
const (
	requestPrefix  = "scruple-request:"
	approvalPrefix = "scruple-approval:"
)

// EncodeRequest returns a request as one line of text.
func EncodeRequest(r ApprovalRequest) (string, error) { return armour(requestPrefix, r) }

// DecodeRequest reads a request, white space around and within it aside, with the question in it. ErrMalformed for anything else, also
// for a notice that is not the one that the question is about.
func DecodeRequest(text string) (r ApprovalRequest, q Question, err error) {
	if err := unarmour(text, requestPrefix, MaxApprovalRequest, &r); err != nil {
		return ApprovalRequest{}, q, fmt.Errorf("request: %w", err)
	}
	if q, err = DecodeQuestion(r.Question); err != nil {
		return ApprovalRequest{}, Question{}, err
	}
	if r.Notice != "" && HashOf([]byte(r.Notice)) != q.Notice || r.Policy != "" && q.Kind != ApprovePolicy || r.Device.IsZero() {
		return ApprovalRequest{}, Question{}, fmt.Errorf("request: %w: its notice or policy is another one", ErrMalformed)
	}
	return r, q, nil
}

// EncodeApproval returns an approval as one line of text.
func EncodeApproval(a Approval) (string, error) { return armour(approvalPrefix, a) }

// DecodeApproval reads an approval; its signatures are not checked. ErrMalformed for anything else.
func DecodeApproval(text string) (a Approval, err error) {
	if err := unarmour(text, approvalPrefix, MaxApproval, &a); err != nil {
		return Approval{}, fmt.Errorf("approval: %w", err)
	}
	return a, nil
}

func armour(prefix string, v any) (string, error) {
	b, err := Marshal(v)
	return prefix + base64.RawURLEncoding.EncodeToString(b), err
}

func unarmour(text, prefix string, most int, v any) error {
	if len(text) > 2*most {
		return fmt.Errorf("%w: too long", ErrMalformed)
	}
	encoded, ok := strings.CutPrefix(strings.Join(strings.Fields(text), ""), prefix)
	if !ok {
		return fmt.Errorf("%w: it does not begin with %s", ErrMalformed, prefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(b) > most {
		return fmt.Errorf("%w: not its text", ErrMalformed)
	}
	return Unmarshal(b, v)
}

const (
	guardianKeyPrefix    = "scruple-guardian-key:"
	guardianSecretPrefix = "scruple-guardian-secret:"
)

// NewGuardianKey returns a fresh guardian key as two lines of text: the secret, for the guardian's device, and the public key, for
// the minor's.
func NewGuardianKey() (secret, public string) {
	seed := make([]byte, ed25519.SeedSize)
	defer clear(seed)
	rand.Read(seed)
	key := ed25519.NewKeyFromSeed(seed)
	return guardianSecretPrefix + base64.RawURLEncoding.EncodeToString(seed), FormatGuardianKey(key.Public().(ed25519.PublicKey))
}

// FormatGuardianKey returns a public key as a line of text.
func FormatGuardianKey(key ed25519.PublicKey) string {
	return guardianKeyPrefix + base64.RawURLEncoding.EncodeToString(key)
}

// ParseGuardianKey reads a public key. ErrMalformed for anything else, also for a secret.
func ParseGuardianKey(text string) (ed25519.PublicKey, error) {
	b, err := keyBytes(text, guardianKeyPrefix)
	return ed25519.PublicKey(b), err
}

// ParseGuardianSecret reads a secret key. ErrMalformed for anything else.
func ParseGuardianSecret(text string) (ed25519.PrivateKey, error) {
	seed, err := keyBytes(text, guardianSecretPrefix)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed), nil
}

func keyBytes(text, prefix string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), prefix)
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(b) != 32 || len(bytes.TrimLeft(b, "\x00")) == 0 {
		return nil, fmt.Errorf("guardian key: %w: it is a line that begins with %s", ErrMalformed, prefix)
	}
	return b, nil
}
