package rights

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Request is what the person asks for.
type Request struct {
	Kind    wire.CaseKind
	Tuple   policy.Tuple
	Consent wire.UUID // under which it was sent what this is about
	Text    string    // complaint
	Item    string    // correction, erasure
	Fields  map[string]any
	Names   []string
	From    int64
	Until   int64
	// Local says that something has to be done on this device first: the case is not sent before LocalDone.
	Local bool
}

// File makes a case and signs it. It is durable when it returns. ErrNoIdentity, ErrClosed, ErrFull; wire.ErrMalformed for a request
// that cannot be one.
func (s *Store) File(r Request) (Case, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, closed := s.Closed(r.Tuple.Controller); closed {
		return Case{}, fmt.Errorf("file %s: %w", r.Kind, ErrClosed)
	}
	list, err := s.file([]Request{r}, nil)
	if err != nil {
		return Case{}, fmt.Errorf("file %s: %w", r.Kind, err)
	}
	return list[0], nil
}

// CloseAccount closes the account at a controller: in one step it is marked as closed and the requests, of kind closure, are filed.
// A consent whose identity is gone is left out: nothing of it can be asked any more. ErrClosed.
func (s *Store) CloseAccount(controller policy.ControllerID, requests []Request) ([]Case, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, closed := s.Closed(controller); closed {
		return nil, fmt.Errorf("close account: %w", ErrClosed)
	}
	requests = slices.DeleteFunc(slices.Clone(requests), func(r Request) bool {
		_, err := s.Identity(r.Consent)
		return err != nil
	})
	now := s.o.Now().Unix()
	list, err := s.file(requests, func(st *keyring.State) error {
		st.Rights.Closed[controller] = keyring.Closed{Since: now}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("close account: %w", err)
	}
	return list, nil
}

// file makes the cases. The caller holds mu.
func (s *Store) file(requests []Request, change func(*keyring.State) error) ([]Case, error) {
	var (
		cases      []*Case
		identities = map[wire.UUID]keyring.Secret{}
		err        error
	)
	defer func() {
		for _, seed := range identities {
			clear(seed)
		}
	}()
	for _, r := range requests {
		c, seed, fault := s.make(r)
		if fault != nil {
			return nil, fault
		}
		identities[c.ID] = seed
		cases = append(cases, c)
	}
	dropped, err := s.room(requests)
	if err != nil {
		return nil, err
	}
	if err := s.put(cases, identities, dropped, change); err != nil {
		return nil, err
	}
	var out []Case
	for _, c := range cases {
		out = append(out, *c)
	}
	return out, nil
}

func (s *Store) make(r Request) (*Case, keyring.Secret, error) {
	var seed keyring.Secret
	s.ring.View(func(st *keyring.State) { seed = slices.Clone(identity(st, r.Consent)) })
	if seed == nil {
		return nil, nil, ErrNoIdentity
	}
	now := s.o.Now().Unix()
	slices.Sort(r.Names)
	m := wire.Case{
		ID: wire.NewUUID(), Consent: r.Consent, Controller: string(r.Tuple.Controller), Kind: r.Kind,
		Category: string(r.Tuple.Category), Purpose: string(r.Tuple.Purpose), Time: now,
		Text: r.Text, Item: r.Item, Fields: r.Fields, Names: r.Names, From: r.From, Until: r.Until,
	}
	key := ed25519.NewKeyFromSeed(seed)
	defer clear(key)
	signed, err := wire.SignCase(key, m)
	if err != nil {
		clear(seed)
		return nil, nil, err
	}
	c := &Case{
		ID: m.ID, Kind: r.Kind, Tuple: r.Tuple, Consent: r.Consent, Created: now, Text: r.Text, Item: r.Item, Names: r.Names,
		From: r.From, Until: r.Until, Local: !r.Local, Message: signed, Hash: wire.HashOf(signed),
	}
	for name := range r.Fields {
		c.Names = append(c.Names, name)
	}
	slices.Sort(c.Names)
	return c, seed, nil
}

// room returns the cases that go for new ones: an answered access for the same consent, and the oldest answered ones where there
// would be too many. ErrFull when they are all open, but not for the closing of an account: there are no more of those than consents.
func (s *Store) room(requests []Request) (out []wire.UUID, err error) {
	list := s.list()
	for _, c := range list {
		same := slices.ContainsFunc(requests, func(r Request) bool { return r.Kind == wire.CaseAccess && r.Consent == c.Consent })
		if c.Kind == wire.CaseAccess && c.State.Final() && same {
			out = append(out, c.ID)
		}
	}
	fits := func(what func(wire.CaseKind) bool, most int) bool {
		left := slices.DeleteFunc(slices.Clone(list), func(c Case) bool { return !what(c.Kind) || slices.Contains(out, c.ID) })
		n := len(left)
		for _, r := range requests {
			if what(r.Kind) {
				n++
			}
		}
		for _, c := range left {
			if n > most && c.State.Final() {
				out, n = append(out, c.ID), n-1
			}
		}
		return n <= most
	}
	erasure := func(k wire.CaseKind) bool { return k == wire.CaseErasure }
	closing := !slices.ContainsFunc(requests, func(r Request) bool { return r.Kind != wire.CaseClosure })
	if !fits(erasure, MaxErasures) || !fits(func(wire.CaseKind) bool { return true }, MaxCases) && !closing {
		return nil, ErrFull
	}
	return out, nil
}

// change applies f to a copy of a case and makes it durable.
func (s *Store) change(id wire.UUID, f func(*Case) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cases[id]
	if c == nil {
		return ErrUnknown
	}
	next := *c
	next.Answers = slices.Clone(c.Answers)
	if err := f(&next); err != nil {
		return err
	}
	return s.put([]*Case{&next}, nil, nil, nil)
}

// LocalDone records that what had to be done on this device has been done, and how many items it changed. Only now the case is
// sent.
func (s *Store) LocalDone(id wire.UUID, here int) error {
	err := s.change(id, func(c *Case) error {
		c.Local, c.Here = true, here
		return nil
	})
	if err != nil {
		return fmt.Errorf("case %s: %w", id, err)
	}
	return nil
}

// Confirm records the controller's receipt. wire.ErrReceipt when it is not signed by the controller's key or confirms something else;
// nothing is lost then.
func (s *Store) Confirm(id wire.UUID, receipt []byte) error {
	err := s.change(id, func(c *Case) error {
		key, err := s.o.Key(c.Tuple.Controller)
		if err != nil {
			return err
		}
		r, err := wire.OpenReceipt(receipt, key)
		if err != nil {
			return err
		}
		if err := r.Answers(string(c.Tuple.Controller), wire.ReceiptCase, c.Consent, c.Hash); err != nil {
			return err
		}
		// A controller whose clock runs ahead gains no time, nor does one that forgets the case and confirms it again.
		received := max(1, min(r.Time.Unix(), s.o.Now().Unix()))
		if c.Received != 0 {
			received = min(received, c.Received)
		}
		c.Receipt, c.Received = slices.Clone(receipt), received
		if c.State == "" {
			c.State = wire.CaseReceived
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("confirm case %s: %w", id, err)
	}
	return nil
}

// Answer records what the controller says about a case. wire.ErrCaseAnswer when it is not signed by the controller's key, is about
// another case or consent, or contradicts a final answer; ErrOld for one that is older than what came before. Nothing changes then. With the final
// answer the signed case, with its values, and the copy of the identity are destroyed.
func (s *Store) Answer(id wire.UUID, signed []byte) error {
	now := s.o.Now().Unix()
	err := s.change(id, func(c *Case) error {
		key, err := s.o.Key(c.Tuple.Controller)
		if err != nil {
			return err
		}
		a, err := wire.OpenCaseAnswer(signed, key)
		if err != nil {
			return err
		}
		if err := a.Answers(string(c.Tuple.Controller), c.ID, c.Consent, c.Hash); err != nil {
			return err
		}
		c.Asked = now
		switch last := len(c.Answers) - 1; {
		case a.Number < c.Number:
			return ErrOld
		case a.Number == c.Number && last >= 0 && !slices.Equal(c.Answers[last], signed):
			return fmt.Errorf("%w: two answers have one number", wire.ErrCaseAnswer)
		case a.Number == c.Number && last >= 0:
			return nil
		case c.State.Final():
			return fmt.Errorf("%w: the final answer was another", wire.ErrCaseAnswer)
		}
		c.Answers = append(c.Answers, slices.Clone(signed))
		c.Answers = c.Answers[max(0, len(c.Answers)-maxAnswers):]
		c.Number, c.State, c.Reason, c.Words, c.Items = a.Number, a.State, a.Reason, a.Text, a.Items
		if a.State.Final() {
			c.Message, c.Ended = nil, max(now, 1)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("answer to case %s: %w", id, err)
	}
	return nil
}

// Unknown says that the controller does not know a case that it has confirmed: it is sent again, and its answers are counted anew.
// The time to answer goes on.
func (s *Store) Unknown(id wire.UUID) error {
	err := s.change(id, func(c *Case) error {
		if !c.State.Final() {
			c.Receipt, c.Asked, c.Number = nil, 0, 0
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("case %s: %w", id, err)
	}
	return nil
}

// Waiting is a case about which something has to be said to its controller now.
type Waiting struct {
	Case
	// Ask is set where the controller has confirmed it and is only asked how far it has come.
	Ask bool
}

// Waiting returns what is to be sent or asked now, oldest first, and when the next case is to be asked about, zero for never.
func (s *Store) Waiting() (out []Waiting, next time.Time) {
	now := s.o.Now()
	for _, c := range s.List() {
		switch {
		case c.State.Final() || !c.Local || len(c.Message) == 0:
			continue
		case len(c.Receipt) == 0:
			out = append(out, Waiting{Case: c})
			continue
		}
		at := time.Unix(c.Asked, 0).Add(AskEvery)
		if c.Asked == 0 || !at.After(now) || time.Unix(c.Asked, 0).After(now) {
			out = append(out, Waiting{Case: c, Ask: true})
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return out, next
}

// Undone returns the cases of which something has still to be done on this device.
func (s *Store) Undone() []Case {
	return slices.DeleteFunc(s.List(), func(c Case) bool { return c.Local || c.State.Final() })
}

// Sweep removes the cases that have been kept for long enough after their final answer.
func (s *Store) Sweep() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.o.Now().Add(-Kept).Unix()
	var gone []wire.UUID
	for id, c := range s.cases {
		if c.State.Final() && c.Ended <= before {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := s.put(nil, nil, gone, nil); err != nil {
		return fmt.Errorf("sweep cases: %w", err)
	}
	return nil
}

// AskNow lets Waiting name a case although the controller was asked a short time ago: the person wants to know.
func (s *Store) AskNow(id wire.UUID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cases[id]
	if c == nil {
		return fmt.Errorf("case %s: %w", id, ErrUnknown)
	}
	c.Asked = 0
	return nil
}
