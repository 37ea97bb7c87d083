package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// KeySize is the length in bytes of every key and seed here.
const KeySize = 32

// MaxEpoch is the longest sealed epoch descriptor, in bytes.
const MaxEpoch = 4096

// Secret is key material that answers for its own secrecy: printed, logged or put into JSON, it shows only its
// length.
type Secret []byte

// String hides the bytes.
func (s Secret) String() string { return fmt.Sprintf("secret(%d bytes)", len(s)) }

// Format hides the bytes from every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalJSON hides the bytes.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// State is the content of the ring.
type State struct {
	// Counter rises by one with every update. A file system restored to an older ring shows by it.
	Counter uint64 `cbor:"1,keyasint"`
	// Ledgers has one entry per controller.
	Ledgers map[policy.ControllerID]*LedgerState `cbor:"2,keyasint"`
	// Grants has one entry per consent whose keys are not all destroyed.
	Grants map[wire.UUID]*Grant `cbor:"3,keyasint"`
	// HighWater is the latest time that was seen, in unix seconds.
	HighWater int64 `cbor:"4,keyasint"`
	// PolicyKey is the note verifier key of the policy, pinned at installation.
	PolicyKey string `cbor:"5,keyasint"`
	// PolicyVersion is the highest version of the policy that was in force.
	PolicyVersion int `cbor:"6,keyasint"`
	// Policies has the mark of every document that the policy in force is made of, by its id.
	Policies map[string]PolicyMark `cbor:"7,keyasint,omitempty"`
	// Controllers has every controller with a ledger, as the last policy that named it says how it is reached.
	Controllers map[policy.ControllerID]Controller `cbor:"8,keyasint,omitempty"`
	// Places has the secret of places of every controller that is told of any.
	Places map[policy.ControllerID]*Place `cbor:"9,keyasint,omitempty"`
	// Clients has every application that the person has registered, by its name.
	Clients map[string]*Client `cbor:"16,keyasint,omitempty"`
	// ClientKey seals the record of what applications were told.
	ClientKey Secret `cbor:"17,keyasint,omitempty"`
	// Age is the declared age band, nil while none was declared.
	Age *Age `cbor:"11,keyasint,omitempty"`
	// Guardian is who answers for a minor, nil while there is nothing to know.
	Guardian *Guardian `cbor:"12,keyasint,omitempty"`
	// Notices has what was seen of every controller's notices.
	Notices map[policy.ControllerID]*NoticeMark `cbor:"13,keyasint,omitempty"`
	// Memo is the secret of the permanent answers of the analytics lane; Budgets what each of its purposes has spent.
	Memo    Secret           `cbor:"14,keyasint,omitempty"`
	Budgets map[string]Spent `cbor:"15,keyasint,omitempty"`
	// Rights has the keys of the person's cases and the closed accounts. It is never nil.
	Rights *Rights `cbor:"10,keyasint,omitempty"`
}

// LedgerState is what the ring knows of one ledger.
type LedgerState struct {
	// Generation counts the ledgers of this controller; a damaged one is followed by a new one.
	Generation uint64 `cbor:"1,keyasint"`
	// Seed is the ledger's Ed25519 key.
	Seed Secret `cbor:"2,keyasint"`
	// Size is the number of records.
	Size uint64 `cbor:"3,keyasint"`
	// Root is the RFC 6962 tree head over the leaves of all Size records, nil when there are none.
	Root []byte `cbor:"4,keyasint"`
	// RecordKeys holds one key per record number. Without it the record's body is erased.
	RecordKeys map[uint64]Secret `cbor:"5,keyasint"`
	// Pending holds the last records as sealed frames until they are known to be in the ledger's file.
	Pending [][]byte `cbor:"6,keyasint"`
	// Retired are the earlier generations, kept so that what is readable of a damaged ledger stays so.
	Retired []*LedgerState `cbor:"7,keyasint"`
	// Tombstones say of records whose body is erased that a consent was withdrawn, or erasure asked for.
	Tombstones []Tombstone `cbor:"8,keyasint,omitempty"`
}

// Tombstone is the least that has to survive the erasure of a record: that a consent ended, or that erasure was asked
// for, and that the controller confirmed it. It names no category, purpose, notice or person.
type Tombstone struct {
	Generation uint64    `cbor:"1,keyasint"`
	Seq        uint64    `cbor:"2,keyasint"` // of the record
	Consent    wire.UUID `cbor:"3,keyasint"`
	Event      string    `cbor:"4,keyasint"` // "withdrawn" or "erased"
	Time       int64     `cbor:"5,keyasint"` // unix seconds
	Clear      bool      `cbor:"6,keyasint"` // withdrawn: with erasure at the controller
	Confirmed  int64     `cbor:"7,keyasint"` // unix seconds of the controller's receipt, 0 when there was none
	Until      int64     `cbor:"8,keyasint"` // unix seconds at which it goes too
}

// Grant holds the keys of one consent.
type Grant struct {
	Tuple policy.Tuple `cbor:"1,keyasint"`
	// DataKey seals everything stored under the consent; nil once destroyed.
	DataKey Secret `cbor:"2,keyasint"`
	// Identity is an Ed25519 seed: the pseudonym at the controller. It outlives the data key until
	// the controller has confirmed what was asked of it.
	Identity Secret `cbor:"3,keyasint"`
	// Epoch is the contacts epoch descriptor with its key; it goes with the data key.
	Epoch Secret `cbor:"4,keyasint"`
	// Clear says that erasure of everything was asked for, so that this is not forgotten with a damaged ledger.
	Clear bool `cbor:"5,keyasint"`
	// Sequence counts the messages that were signed about the consent; Latest is the SHA-256 of the last one. A
	// controller that has seen a later one shows that this ring was put back to an older state.
	Sequence uint64    `cbor:"6,keyasint"`
	Latest   wire.Hash `cbor:"7,keyasint"`
}

// Format shows how much there is, of whatever verb: fmt would print the keys behind a pointer as bytes for some verbs.
func (s State) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "key ring %d with %d ledgers, %d grants", s.Counter, len(s.Ledgers), len(s.Grants))
}

// Format shows how much there is.
func (l LedgerState) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "ledger %d with %d records", l.Generation, l.Size)
}

// Format shows what the keys are for.
func (g Grant) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "keys of %s", g.Tuple) }

// DestroyData wipes what makes the stored data of the consent readable.
func (g *Grant) DestroyData() {
	clear(g.DataKey)
	clear(g.Epoch)
	g.DataKey, g.Epoch = nil, nil
}

func newState() *State {
	return &State{
		Ledgers: map[policy.ControllerID]*LedgerState{}, Grants: map[wire.UUID]*Grant{},
		Places: map[policy.ControllerID]*Place{}, Rights: new(Rights).clone(),
	}
}

func (s *State) clone() *State {
	c := *s
	c.clonePolicy(s)
	c.clonePlaces(s)
	c.cloneClients(s)
	c.cloneNotices(s)
	c.cloneAnalytics(s)
	c.cloneGuardian(s)
	c.Rights = s.Rights.clone()
	c.Ledgers = make(map[policy.ControllerID]*LedgerState, len(s.Ledgers))
	for id, l := range s.Ledgers {
		c.Ledgers[id] = l.clone()
	}
	c.Grants = make(map[wire.UUID]*Grant, len(s.Grants)+1)
	for id, g := range s.Grants {
		c.Grants[id] = &Grant{
			Tuple: g.Tuple, DataKey: slices.Clone(g.DataKey),
			Identity: slices.Clone(g.Identity), Epoch: slices.Clone(g.Epoch), Clear: g.Clear,
			Sequence: g.Sequence, Latest: g.Latest,
		}
	}
	return &c
}

func (l *LedgerState) clone() *LedgerState {
	n := *l
	n.Seed, n.Root = slices.Clone(l.Seed), slices.Clone(l.Root)
	n.RecordKeys = make(map[uint64]Secret, len(l.RecordKeys)+1)
	for seq, k := range l.RecordKeys {
		n.RecordKeys[seq] = slices.Clone(k)
	}
	n.Pending = slices.Clone(l.Pending) // the frames themselves never change
	n.Tombstones = slices.Clone(l.Tombstones)
	n.Retired = make([]*LedgerState, len(l.Retired))
	for i, old := range l.Retired {
		n.Retired[i] = old.clone()
	}
	return &n
}

func (l *LedgerState) wipe() {
	clear(l.Seed)
	for _, k := range l.RecordKeys {
		clear(k)
	}
	for _, old := range l.Retired {
		old.wipe()
	}
}

// check reports whether the parts fit together, and gives an empty ledger its map.
func (l *LedgerState) check() bool {
	if l == nil || len(l.Seed) != KeySize || uint64(len(l.Pending)) > l.Size ||
		(l.Size == 0) != (len(l.Root) == 0) || (l.Size > 0 && len(l.Root) != 32) {
		return false
	}
	for seq, k := range l.RecordKeys {
		if seq >= l.Size || len(k) != KeySize {
			return false
		}
	}
	if l.RecordKeys == nil {
		l.RecordKeys = map[uint64]Secret{}
	}
	for _, old := range l.Retired {
		if !old.check() || len(old.Retired) != 0 {
			return false
		}
	}
	return true
}

// wipe zeroes every secret. Go may have copied some of them when it moved memory; this is an effort, not a promise.
func (s *State) wipe() {
	for _, l := range s.Ledgers {
		l.wipe()
	}
	for _, g := range s.Grants {
		clear(g.Identity)
		g.DestroyData()
	}
	s.wipePlaces()
	clear(s.ClientKey)
	s.wipeNotices()
	clear(s.Memo)
	s.wipeGuardian()
	s.Rights.wipe()
}

var errState = errors.New("not a key ring")

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxArrayElements:  1 << 16,
		MaxMapPairs:       1 << 20,
		MaxNestedLevels:   8,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (s *State) encode() ([]byte, error) { return encMode.Marshal(s) }

// decodeState reads what encode wrote and refuses anything that does not fit together.
func decodeState(plain []byte) (*State, error) {
	s := newState()
	if err := decMode.Unmarshal(plain, s); err != nil {
		return nil, errState
	}
	for id, l := range s.Ledgers {
		if id == "" || !l.check() {
			return nil, errState
		}
	}
	for _, g := range s.Grants {
		if g == nil || (len(g.DataKey) != 0 && len(g.DataKey) != KeySize) ||
			(len(g.Identity) != 0 && len(g.Identity) != KeySize) || len(g.Epoch) > MaxEpoch {
			return nil, errState
		}
	}
	if s.Rights == nil {
		s.Rights = new(Rights).clone()
	}
	if !s.noticesOK() || !s.guardianOK() || !s.analyticsOK() || !s.placesOK() || !s.clientsOK() || !s.Rights.ok() || s.Ledgers == nil || s.Grants == nil || s.HighWater < 0 || s.PolicyVersion < 0 || !s.checkPolicy() {
		return nil, errState
	}
	return s, nil
}
