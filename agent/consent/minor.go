package consent

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Band is an age band; a date of birth is never asked for. Whoever has declared none counts as a minor.
type Band string

// The bands, the most protected first.
const (
	BandUnknown Band = ""
	BandUnder14 Band = "under-14"
	Band14To17  Band = "14-17"
	BandAdult   Band = "18+"
)

// Bands are those that can be declared.
var Bands = []Band{BandUnder14, Band14To17, BandAdult}

// Minor reports whether a guardian has to approve.
func (b Band) Minor() bool { return b != BandAdult }

// Reasons that have to do with age. ErrGuardian is an ErrNotInForce: a consent that was given without a guardian does not
// count while the person is a minor.
const ErrGuardian = refusal("a guardian has to approve this for a minor")

var (
	// ErrBand says that a band is none of Bands.
	ErrBand = errors.New("the age bands are under-14, 14-17 and 18+")
	// ErrLessProtected says that a band which protects less needs the guardian.
	ErrLessProtected = errors.New("moving to a less protected age band needs the guardian's approval")
	// ErrEnrolled says that a guardian key is enrolled already, which only that key replaces.
	ErrEnrolled = errors.New("a guardian key is enrolled: replacing it needs the approval of that key")
	// ErrNoGuardian says that no guardian key is enrolled.
	ErrNoGuardian = errors.New("no guardian key is enrolled")
	// ErrApproval says that an approval is not the guardian's answer to a question that this device has asked and that is
	// still open: forged, used, expired, of something else.
	ErrApproval = errors.New("not the guardian's answer to an open question of this device")
	// ErrAsked says that too many questions wait for the guardian.
	ErrAsked = errors.New("too many open questions to the guardian")
)

// approvalLife is how long a question to a guardian is open, and an order valid, in seconds.
const approvalLife = 30 * 24 * 3600

// AgeState is what is known of age and guardian.
type AgeState struct {
	Band  Band
	Since int64 // unix seconds, 0 while undeclared
	// Guardian is the enrolled public key, nil while there is none, and GuardianSince when it was enrolled.
	Guardian      ed25519.PublicKey
	GuardianSince int64
	// PolicyAccepted says that the guardian has accepted the policy in force.
	PolicyAccepted bool
	// Device is the number under which the guardian's orders name this device, zero while there is none.
	Device wire.Hash
	// Questions wait for the guardian; Approved wait for the person's own answer.
	Questions, Approved []wire.Question
}

// Age returns what is known of age and guardian.
func (r *Register) Age() (a AgeState) {
	doc := r.Policy()
	digest := doc.Digest()
	now, _ := r.now()
	r.ring.View(func(s *keyring.State) {
		if s.Age != nil {
			a.Band, a.Since = Band(s.Age.Band), s.Age.Since
		}
		g := s.Guardian
		if g == nil {
			return
		}
		a.Guardian, a.GuardianSince, a.Device = slices.Clone(g.Key), g.Since, wire.Hash(g.Device)
		a.PolicyAccepted = accepted(g, digest)
		for _, asked := range g.Asked {
			q, err := wire.DecodeQuestion(asked.Question)
			switch {
			case err != nil || asked.Expiry < now:
			case len(asked.Approval) > 0:
				a.Approved = append(a.Approved, q)
			default:
				a.Questions = append(a.Questions, q)
			}
		}
	})
	return a
}

func accepted(g *keyring.Guardian, digest [32]byte) bool {
	return slices.ContainsFunc(g.Policies, func(p []byte) bool { return [32]byte(p) == digest })
}

// DeclareAge records the person's own statement of their age band. The first one is believed, but that of an adult only while no
// guardian is enrolled; afterwards only a more protected one is. ErrLessProtected answers any other: that needs the guardian
// (AskGuardian, Approve). It is durable when it returns, and what was agreed to without a guardian stops counting at once for
// whoever is a minor now.
func (r *Register) DeclareAge(band Band, who Actor) error {
	if err := who.person(); err != nil {
		return fmt.Errorf("declare age: %w", err)
	}
	rank := slices.Index(Bands, band)
	if rank < 0 {
		return fmt.Errorf("declare age: %w", ErrBand)
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	old := r.band()
	if old == band {
		return r.ring.Flush()
	}
	if old != BandUnknown && rank > slices.Index(Bands, old) || old == BandUnknown && !band.Minor() && r.Age().Guardian != nil {
		return fmt.Errorf("declare age: %w", ErrLessProtected)
	}
	if err := r.setBand(band, nil); err != nil {
		return fmt.Errorf("declare age: %w", err)
	}
	return nil
}

// band returns the band in the ring.
func (r *Register) band() (b Band) {
	r.ring.View(func(s *keyring.State) {
		if s.Age != nil {
			b = Band(s.Age.Band)
		}
	})
	return b
}

// setBand writes a band and lets it take effect; also, which may be nil, changes the ring in the same instant. The caller
// holds commit.
func (r *Register) setBand(band Band, also func(*keyring.State)) error {
	now, _ := r.now()
	err := r.ring.Update(func(s *keyring.State) error {
		s.Age = &keyring.Age{Band: string(band), Since: now}
		if also != nil {
			also(s)
		}
		return nil
	})
	r.mu.Lock()
	r.minor = r.band().Minor()
	r.renewLeases()
	r.mu.Unlock()
	return err
}

// guardianIn returns the guardian's part of a state that is being changed.
func guardianIn(s *keyring.State) *keyring.Guardian {
	if s.Guardian == nil {
		s.Guardian = &keyring.Guardian{Device: keyring.NewKey()}
	}
	return s.Guardian
}

// EnrolGuardian records the guardian's public key by the person's word, while there is none. ErrEnrolled when there is:
// only the key itself makes way for another (ApproveKey).
func (r *Register) EnrolGuardian(key ed25519.PublicKey, who Actor) error {
	if err := who.person(); err != nil {
		return fmt.Errorf("enrol guardian: %w", err)
	}
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("enrol guardian: %w", wire.ErrMalformed)
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	now, _ := r.now()
	err := r.ring.Update(func(s *keyring.State) error {
		g := guardianIn(s)
		if len(g.Key) > 0 {
			if slices.Equal(g.Key, key) {
				return nil
			}
			return ErrEnrolled
		}
		g.Key, g.Since = slices.Clone(key), now
		return nil
	})
	if err != nil {
		return fmt.Errorf("enrol guardian: %w", err)
	}
	return nil
}

// Ask is what a guardian is to be asked.
type Ask struct {
	Kind   wire.ApprovalKind // grant, policy, age, key
	Tuple  policy.Tuple      // grant
	Lang   policy.Lang       // grant: of the notice
	Band   Band              // age
	NewKey ed25519.PublicKey // key
}

// AskGuardian returns a question for the guardian's device, with a nonce of its own that is kept here until the answer comes
// or thirty days have gone. Asking answers nothing.
func (r *Register) AskGuardian(ask Ask, who Actor) (wire.ApprovalRequest, error) {
	request, err := r.askGuardian(ask, who)
	if err != nil {
		return request, fmt.Errorf("ask the guardian: %w", err)
	}
	return request, nil
}

func (r *Register) askGuardian(ask Ask, who Actor) (out wire.ApprovalRequest, err error) {
	if err := who.person(); err != nil {
		return out, err
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	now, _ := r.now()
	salt, nonce := keyring.NewKey(), wire.Hash(keyring.NewKey())
	q := wire.Question{Kind: ask.Kind, Subject: r.subjectCommitment(salt), Nonce: nonce, Expiry: now + approvalLife}
	doc := r.Policy()
	switch ask.Kind {
	case wire.ApproveGrant:
		eff, _, err := r.look(ask.Tuple)
		if err != nil {
			return out, err
		}
		n := eff.Notice(ask.Lang)
		q.Controller, q.Category, q.Purpose = string(ask.Tuple.Controller), string(ask.Tuple.Category), string(ask.Tuple.Purpose)
		q.Notice, q.Lang, out.Notice = wire.Hash(n.SHA256), string(n.Lang), n.Text
		q.PolicyID, q.PolicyVersion, q.Policy = doc.ID, uint(doc.Version), doc.Digest()
	case wire.ApprovePolicy:
		q.PolicyID, q.PolicyVersion, q.Policy = doc.ID, uint(doc.Version), doc.Digest()
	case wire.ApproveAge:
		if !slices.Contains(Bands, ask.Band) {
			return out, ErrBand
		}
		q.Band = string(ask.Band)
	case wire.ApproveKey:
		q.NewKey = ask.NewKey
	default:
		return out, ErrApproval
	}
	if out.Question, err = q.Encode(); err != nil {
		return out, err
	}
	err = r.ring.Update(func(s *keyring.State) error {
		g := guardianIn(s)
		if len(g.Key) == 0 {
			return ErrNoGuardian
		}
		g.Asked = slices.DeleteFunc(g.Asked, func(a *keyring.GuardianAsked) bool { return a.Expiry < now })
		if len(g.Asked) >= keyring.MaxGuardianAsked {
			return ErrAsked
		}
		g.Asked = append(g.Asked, &keyring.GuardianAsked{Nonce: nonce[:], Question: out.Question, Salt: salt, Expiry: q.Expiry})
		out.Device = wire.Hash(g.Device)
		return nil
	})
	return out, err
}

// subjectCommitment binds a question to the account and hides which it is.
func (r *Register) subjectCommitment(salt []byte) wire.Hash {
	h := sha256.New()
	h.Write([]byte("scruple/approval-subject/1\n"))
	h.Write(salt)
	h.Write([]byte(r.subject))
	return wire.Hash(h.Sum(nil))
}

// Approve takes what the guardian has signed, whoever brings it: the answer to an open question of this device, or an order
// to withdraw. An answer to a question about a purpose waits for the person's own consent; any other takes effect at
// once. Each is taken once. ErrApproval says why it is refused; nothing has changed then.
func (r *Register) Approve(a wire.Approval) (wire.Question, error) {
	q, err := r.approve(a)
	if err != nil {
		return q, fmt.Errorf("guardian's approval: %w", err)
	}
	return q, nil
}

func (r *Register) approve(a wire.Approval) (q wire.Question, err error) {
	age := r.Age()
	if age.Guardian == nil {
		return q, ErrNoGuardian
	}
	if q, err = a.Verify(age.Guardian); err != nil {
		return wire.Question{}, fmt.Errorf("%w: %w", ErrApproval, err)
	}
	now, _ := r.now()
	if q.Expiry < now {
		return q, fmt.Errorf("%w: it has expired", ErrApproval)
	}
	if q.Kind == wire.OrderWithdraw {
		return q, r.order(q, now)
	}
	encoded, err := wire.Marshal(a)
	if err != nil {
		return q, err
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	apply := func(s *keyring.State) error {
		g := guardianIn(s)
		i := slices.IndexFunc(g.Asked, func(asked *keyring.GuardianAsked) bool { return slices.Equal(asked.Question, a.Question) })
		if i < 0 {
			return fmt.Errorf("%w: it was not asked, or has been used", ErrApproval)
		}
		asked := g.Asked[i]
		if len(asked.Approval) > 0 {
			return fmt.Errorf("%w: it has been answered", ErrApproval)
		}
		if r.subjectCommitment(asked.Salt) != q.Subject {
			return fmt.Errorf("%w: it is for another account", ErrApproval)
		}
		if !slices.Equal(g.Key, age.Guardian) {
			return fmt.Errorf("%w: the guardian has changed", ErrApproval)
		}
		if q.Kind == wire.ApproveGrant {
			asked.Approval = encoded
			return nil
		}
		g.Asked = slices.Delete(g.Asked, i, i+1)
		switch q.Kind {
		case wire.ApprovePolicy:
			if !accepted(g, q.Policy) {
				g.Policies = append(g.Policies, q.Policy[:])
			}
			g.Policies = g.Policies[max(0, len(g.Policies)-keyring.MaxGuardianPolicies):]
		case wire.ApproveKey:
			// What the old key has answered and the person has not used yet goes with it.
			g.Key, g.Since, g.Asked = slices.Clone(q.NewKey), now, nil
		}
		return nil
	}
	if q.Kind != wire.ApproveAge {
		return q, r.ring.Update(apply)
	}
	if !slices.Contains(Bands, Band(q.Band)) {
		return q, ErrBand
	}
	var refused error
	err = r.ring.Update(func(s *keyring.State) error {
		if refused = apply(s); refused == nil {
			s.Age = &keyring.Age{Band: q.Band, Since: now}
		}
		return refused
	})
	r.mu.Lock()
	r.minor = r.band().Minor()
	r.renewLeases()
	r.mu.Unlock()
	return q, err
}

// order carries out the guardian's order to withdraw a consent, and takes back what the guardian has approved for it before and the
// person has not used: neither that nor an answer still on its way counts any more. Afterwards the order is remembered until it
// expires, so that it cannot be repeated; one that was cut off can be.
func (r *Register) order(q wire.Question, now int64) error {
	t := policy.Tuple{Subject: r.subject, Controller: policy.ControllerID(q.Controller), Category: policy.CategoryID(q.Category), Purpose: policy.PurposeID(q.Purpose)}
	switch {
	case q.Expiry > now+2*approvalLife:
		return fmt.Errorf("%w: it is valid for too long", ErrApproval)
	case !r.band().Minor():
		return fmt.Errorf("%w: the person is of age", ErrApproval)
	case !slices.Contains(r.TuplesOf(t.Controller), t):
		return fmt.Errorf("%w: there is no such purpose", ErrApproval)
	}
	var refused error
	r.ring.View(func(s *keyring.State) { refused = orderable(s.Guardian, q, now) })
	if refused != nil {
		return refused
	}
	if err := r.takeBack(t, q.Clear, guardianActor); err != nil {
		return err
	}
	r.commit.Lock()
	defer r.commit.Unlock()
	return r.ring.Update(func(s *keyring.State) error {
		g := guardianIn(s)
		if err := orderable(g, q, now); err != nil {
			return err
		}
		g.Asked = slices.DeleteFunc(g.Asked, func(asked *keyring.GuardianAsked) bool {
			old, err := wire.DecodeQuestion(asked.Question)
			return err == nil && old.Kind == wire.ApproveGrant && old.Controller == q.Controller && old.Category == q.Category && old.Purpose == q.Purpose
		})
		g.Orders = slices.DeleteFunc(g.Orders, func(o keyring.GuardianOrder) bool { return o.Until < now })
		g.Orders = append(g.Orders, keyring.GuardianOrder{Nonce: q.Nonce[:], Until: q.Expiry})
		return nil
	})
}

// orderable returns why an order is not carried out.
func orderable(g *keyring.Guardian, q wire.Question, now int64) error {
	known := 0
	if g != nil {
		for _, o := range g.Orders {
			if wire.Hash(o.Nonce) == q.Nonce {
				return fmt.Errorf("%w: it has been carried out", ErrApproval)
			}
			if o.Until >= now {
				known++
			}
		}
	}
	switch {
	case g == nil || wire.Hash(g.Device) != q.Subject:
		return fmt.Errorf("%w: it is for another device", ErrApproval)
	case known >= keyring.MaxGuardianOrders:
		return ErrAsked
	}
	return nil
}

// guardianActor is the actor of a guardian's order.
var guardianActor = Actor{UID: -1, Channel: "guardian"}

// guardianProof is what a record keeps of the guardian of a consent, withheld from receipts.
type guardianProof struct {
	Salt     wire.Hash     `cbor:"1,keyasint"`
	Key      []byte        `cbor:"2,keyasint"`
	Approval wire.Approval `cbor:"3,keyasint"`
}

// commitment is what a receipt shows of it.
func (p guardianProof) commitment() wire.Hash {
	h := sha256.New()
	h.Write([]byte("scruple-guardian/1\n"))
	h.Write(p.Salt[:])
	h.Write(p.Key)
	return wire.Hash(h.Sum(nil))
}

// guardianOf reads what a record keeps of a guardian and returns the commitment to the key; zero for none.
func guardianOf(b []byte) (wire.Hash, error) {
	if len(b) == 0 {
		return wire.Hash{}, nil
	}
	var p guardianProof
	if err := wire.Unmarshal(b, &p); err != nil {
		return wire.Hash{}, err
	}
	if _, err := p.Approval.Verify(p.Key); err != nil {
		return wire.Hash{}, err
	}
	return p.commitment(), nil
}

// approval is a guardian's answer that covers one consent that is about to be given.
type approval struct {
	proof    []byte // for the record
	evidence *wire.GuardianEvidence
	nonce    []byte
}

// approved finds the guardian's approval of a consent to a notice. It returns nil for an adult, and ErrGuardian for a minor
// without one, or whose guardian has not accepted the policy in force. The caller holds commit.
func (r *Register) approved(t policy.Tuple, lang policy.Lang, notice wire.Hash, now int64) (*approval, error) {
	if !r.band().Minor() {
		return nil, nil
	}
	if r.band() == BandUnknown {
		return nil, fmt.Errorf("%w: no age band has been declared, which counts as one", ErrGuardian)
	}
	digest := r.Policy().Digest()
	var (
		found *approval
		err   error
	)
	r.ring.View(func(s *keyring.State) {
		g := s.Guardian
		switch {
		case g == nil || len(g.Key) == 0:
			err = fmt.Errorf("%w: no guardian key is enrolled", ErrGuardian)
			return
		case !accepted(g, digest):
			err = fmt.Errorf("%w: the guardian has not accepted the policy in force", ErrGuardian)
			return
		}
		err = ErrGuardian
		for _, asked := range g.Asked {
			var a wire.Approval
			if len(asked.Approval) == 0 || asked.Expiry < now || wire.Unmarshal(asked.Approval, &a) != nil {
				continue
			}
			q, bad := a.Verify(g.Key)
			if bad != nil || q.Kind != wire.ApproveGrant || q.Controller != string(t.Controller) || q.Category != string(t.Category) ||
				q.Purpose != string(t.Purpose) || q.Notice != notice || q.Lang != string(lang) || r.subjectCommitment(asked.Salt) != q.Subject {
				continue
			}
			evidence := a.GuardianEvidence()
			found = &approval{evidence: &evidence, nonce: slices.Clone(asked.Nonce)}
			found.proof, err = wire.Marshal(guardianProof{wire.Hash(keyring.NewKey()), slices.Clone(g.Key), a})
			return
		}
	})
	return found, err
}

// use takes an approval out of the ring: it covers one consent.
func (a *approval) use(s *keyring.State) {
	if a != nil && s.Guardian != nil {
		s.Guardian.Asked = slices.DeleteFunc(s.Guardian.Asked, func(asked *keyring.GuardianAsked) bool {
			return slices.Equal(asked.Nonce, a.nonce)
		})
	}
}
