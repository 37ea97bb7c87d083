package consent

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/scruple-agent/scruple/agent/keyring"
	proof "github.com/scruple-agent/scruple/agent/ledger"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

var (
	// ErrNoLedger says that nothing has been recorded for a controller yet, so that there is no ledger to prove anything with.
	ErrNoLedger = errors.New("nothing is recorded for this controller yet")
	// ErrNoRecord says that the ledger has no record of that number, or not that many.
	ErrNoRecord = errors.New("the ledger has no such record")
)

// Inclusion is the proof that a record is in a ledger, with what it takes to check it.
type Inclusion struct {
	// Proof is a tlog-proof (package ledger) without extra data, for the ledger as it is now.
	Proof []byte
	// Leaf is the data of the record's leaf: SHA-256(Salt || Statement).
	Leaf wire.Hash
	// Salt and Statement are what the leaf covers; Record is the whole of it. All are zero once the body is erased.
	Salt      wire.Hash
	Statement []byte
	Record    *Record
}

// LedgerKey returns the note verifier key of a controller's ledger; its name is the ledger's origin. ErrNoLedger, ErrDamaged.
func (r *Register) LedgerKey(controller policy.ControllerID) (string, error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	l, err := r.provable(controller)
	if err != nil {
		return "", fmt.Errorf("ledger key: %w", err)
	}
	return proof.Key(l.public)
}

// Checkpoint returns the ledger of a controller as it is now: its size and tree head, signed with the ledger's key. It is
// never about a state that a power cut could take back. ErrNoLedger, ErrDamaged.
//
// All consents of one controller share one checkpoint, so it is for the person and for whom they show it to; it is
// never sent on a consent's connection.
func (r *Register) Checkpoint(controller policy.ControllerID) ([]byte, error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	l, err := r.provable(controller)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	signed, err := r.checkpoint(l, l.size)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return signed, nil
}

// provable returns a ledger about which statements can be signed. The caller holds commit.
func (r *Register) provable(controller policy.ControllerID) (*ledger, error) {
	l := r.ledgers[controller]
	switch {
	case r.closed:
		return nil, ErrClosed
	case l == nil:
		return nil, fmt.Errorf("%s: %w", controller, ErrNoLedger)
	case l.damage != nil:
		return nil, l.damage
	case l.size == 0:
		return nil, fmt.Errorf("%s: %w", controller, ErrNoLedger)
	}
	return l, nil
}

// checkpoint signs the first size records of a ledger. The caller holds commit.
func (r *Register) checkpoint(l *ledger, size uint64) ([]byte, error) {
	// What is signed must stay true: an update whose survival is unknown is made sure of first.
	if err := r.ring.Flush(); err != nil {
		return nil, err
	}
	c := proof.Checkpoint{Origin: proof.Origin(l.public), Size: size}
	root, err := l.root(size)
	if err != nil || len(root) != len(c.Root) {
		return nil, fmt.Errorf("%s: %w", l.controller, ErrNoRecord)
	}
	c.Root = [32]byte(root)
	var signed []byte
	r.ring.View(func(s *keyring.State) {
		ls := s.Ledgers[l.controller]
		if ls == nil || len(ls.Seed) != ed25519.SeedSize {
			err = fmt.Errorf("%s: %w", l.controller, ErrNoLedger)
			return
		}
		key := ed25519.NewKeyFromSeed(ls.Seed)
		defer clear(key)
		signed, err = c.Sign(key)
	})
	return signed, err
}

// InclusionProof returns the proof that record number seq is in a controller's ledger. The record's salt and statement are
// with it unless its body is erased; the proof holds all the same. ErrNoRecord, ErrNoLedger, ErrDamaged.
func (r *Register) InclusionProof(controller policy.ControllerID, seq uint64) (Inclusion, error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	in, err := r.inclusion(controller, seq)
	if err != nil {
		return Inclusion{}, fmt.Errorf("inclusion proof: %w", err)
	}
	return in, nil
}

func (r *Register) inclusion(controller policy.ControllerID, seq uint64) (in Inclusion, err error) {
	l, err := r.provable(controller)
	if err != nil {
		return in, err
	}
	if seq >= l.size {
		return in, fmt.Errorf("%s: record %d of %d: %w", controller, seq, l.size, ErrNoRecord)
	}
	frame, err := l.frame(seq)
	if err != nil {
		return in, err
	}
	in.Leaf = leafIn(frame)
	r.ring.View(func(s *keyring.State) {
		if key, ok := s.Ledgers[controller].RecordKeys[seq]; ok {
			in.Record, in.Statement, in.Salt, err = openHalves(frame, controller, l.generation, seq, key)
		}
	})
	if err != nil {
		return Inclusion{}, err
	}
	path, err := tlog.ProveRecord(int64(l.size), int64(seq), l)
	if err != nil {
		return Inclusion{}, err
	}
	p := proof.Proof{Index: seq}
	for _, h := range path {
		p.Path = append(p.Path, h)
	}
	if p.Checkpoint, err = r.checkpoint(l, l.size); err != nil {
		return Inclusion{}, err
	}
	in.Proof = p.Encode()
	return in, nil
}

// ConsistencyProof returns the proof (package ledger's Growth) that the ledger of size records begins with the first
// old ones. A size of 0 is the present one. ErrNoRecord when there are not as many, ErrNoLedger, ErrDamaged.
func (r *Register) ConsistencyProof(controller policy.ControllerID, old, size uint64) ([]byte, error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	b, err := r.growth(controller, old, size)
	if err != nil {
		return nil, fmt.Errorf("consistency proof: %w", err)
	}
	return b, nil
}

func (r *Register) growth(controller policy.ControllerID, old, size uint64) ([]byte, error) {
	l, err := r.provable(controller)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		size = l.size
	}
	if old > size || size > l.size {
		return nil, fmt.Errorf("%s: from %d to %d of %d: %w", controller, old, size, l.size, ErrNoRecord)
	}
	g := proof.Growth{Old: old}
	if old > 0 {
		path, err := tlog.ProveTree(int64(size), int64(old), l)
		if err != nil {
			return nil, err
		}
		for _, h := range path {
			g.Path = append(g.Path, h)
		}
	}
	if g.Checkpoint, err = r.checkpoint(l, size); err != nil {
		return nil, err
	}
	return g.Encode(), nil
}

// errFound ends a scan.
var errFound = errors.New("found")

// frame returns one frame, from the ring while it waits there, from the file otherwise; ErrDamaged when the file no longer
// has it.
func (l *ledger) frame(seq uint64) (frame []byte, err error) {
	if first := l.size - uint64(len(l.pending)); seq >= first {
		return l.pending[seq-first], nil
	}
	f, err := os.Open(l.path())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n := uint64(0)
	from := int64(len(header(l.controller, l.generation, l.public)))
	_, err = scanFrames(io.NewSectionReader(f, from, l.good-from), func(b []byte, _ int64) error {
		if n == seq {
			frame = b
			return errFound
		}
		n++
		return nil
	})
	if !errors.Is(err, errFound) {
		return nil, errors.Join(fmt.Errorf("%s: %w: record %d is not in it any more", l.path(), ErrDamaged, seq), err)
	}
	h, err := l.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(seq))})
	if leaf := leafIn(frame); err != nil || h[0] != tlog.RecordHash(leaf[:]) {
		return nil, fmt.Errorf("%s: %w: record %d differs from the one that was written", l.path(), ErrDamaged, seq)
	}
	return frame, nil
}

// Audit is what a ledger looks like when it is read anew from the disk.
type Audit struct {
	Controller policy.ControllerID
	Generation uint64
	Origin     string // "" while nothing is recorded
	Key        string // note verifier key
	Size       uint64
	Root       wire.Hash
	Readable   int    // records whose body is readable
	Erased     int    // records whose body is erased
	Waiting    int    // records in the key ring that are not in the file yet
	Unsent     int    // messages that no receipt has answered
	Tombstones int    // of erased records
	Checkpoint []byte // signed; nil when Problem is set or nothing is recorded
	// Problem says why the ledger's consents do not count, or what could not be written. Nil when all is well.
	Problem error
}

// Audit reads every ledger anew from the disk and checks it as a start does: each leaf against the tree head in the key
// ring, each readable body against its leaf. It changes nothing. The order is that of Controllers.
func (r *Register) Audit() []Audit {
	var out []Audit
	for _, id := range r.Controllers() {
		unsent := len(r.Outbox(id))
		r.commit.Lock()
		a := r.audit(id)
		r.commit.Unlock()
		a.Unsent = unsent
		out = append(out, a)
	}
	return out
}

// audit reads one ledger anew. The caller holds commit.
func (r *Register) audit(id policy.ControllerID) Audit {
	l := r.ledgers[id]
	a := Audit{Controller: id, Generation: l.generation, Problem: errors.Join(l.damage, l.problem)}
	r.ring.View(func(s *keyring.State) {
		if ls := s.Ledgers[id]; ls != nil {
			a.Tombstones = len(ls.Tombstones)
		}
	})
	if r.closed {
		a.Problem = ErrClosed
	}
	if l.damage != nil || r.closed || l.size == 0 {
		return a
	}
	a.Origin, a.Size, a.Waiting = proof.Origin(l.public), l.size, len(l.pending)
	fail := func(err error) Audit {
		a.Problem = errors.Join(a.Problem, err)
		return a
	}
	var err error
	if a.Key, err = proof.Key(l.public); err != nil {
		return fail(err)
	}
	fresh := &ledger{dir: l.dir, controller: l.controller, generation: l.generation, public: l.public, good: l.good, pending: l.pending}
	r.ring.View(func(s *keyring.State) {
		var records []*Record
		ls := s.Ledgers[id]
		records, err = fresh.readLeaves(ls.RecordKeys)
		for _, rec := range records {
			if rec.Erased {
				a.Erased++
			} else {
				a.Readable++
			}
		}
		root, rootErr := fresh.root(uint64(len(records)))
		switch {
		case err != nil:
		case rootErr != nil || uint64(len(records)) != ls.Size || string(root) != string(ls.Root):
			err = fmt.Errorf("%s: %w: a record differs from the one that was written", l.path(), ErrDamaged)
		default:
			a.Root = wire.Hash(root)
		}
	})
	if err != nil {
		return fail(err)
	}
	if a.Checkpoint, err = r.checkpoint(l, l.size); err != nil {
		return fail(err)
	}
	return a
}

// readLeaves is read that builds the tree as well.
func (l *ledger) readLeaves(keys map[uint64]keyring.Secret) ([]*Record, error) {
	l.hashes = nil
	n := uint64(0)
	return l.scan(keys, func(frame []byte) error {
		n++
		return l.addLeaf(n-1, leafIn(frame))
	})
}
