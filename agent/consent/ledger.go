package consent

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Bounds of one ledger. The last part of it is kept for what must always be possible.
const (
	// MaxRecords is the largest number of records of one ledger.
	MaxRecords = 1 << 16
	// reservedRecords can only be refusals, withdrawals, expiries, erasures and receipts.
	reservedRecords = 1 << 12
	// maxPending bounds what waits in the ring for a ledger file that cannot be written, in bytes.
	maxPending = 4 << 20
)

// ledger is one controller's records: the file, the tree over it, and what of it is still only in the ring.
// Its fields are guarded by Register.commit, except damage, which changes only under Register.mu too.
type ledger struct {
	dir        string
	controller policy.ControllerID
	generation uint64
	public     ed25519.PublicKey
	size       uint64   // records, as in the ring
	pending    [][]byte // frames size-len(pending)..size, not known to be in the file
	hashes     []tlog.Hash
	file       *durable.File // nil while the file cannot be used
	good       int64         // bytes of the file that are whole and flushed, header included; 0 before the header
	damage     error         // why its consents do not count
	problem    error         // why pending could not be written
}

func (l *ledger) path() string {
	return filepath.Join(l.dir, fmt.Sprintf("%s-%d.ledger", l.controller, l.generation))
}

// safeName keeps a controller's id, which names a file, to what a policy allows.
func safeName(id policy.ControllerID) bool {
	return id != "" && len(id) <= 64 && strings.Trim(string(id), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// ReadHashes implements tlog.HashReader over the hashes in memory.
func (l *ledger) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(l.hashes)) {
			return nil, errors.New("hash is not stored")
		}
		out[i] = l.hashes[x]
	}
	return out, nil
}

// addLeaf extends the tree by one leaf.
func (l *ledger) addLeaf(n uint64, leaf wire.Hash) error {
	more, err := tlog.StoredHashesForRecordHash(int64(n), tlog.RecordHash(leaf[:]), l)
	l.hashes = append(l.hashes, more...)
	return err
}

// root returns the RFC 6962 tree head over the first n leaves, nil for none.
func (l *ledger) root(n uint64) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	h, err := tlog.TreeHash(int64(n), l)
	return h[:], err
}

// open reads the ledger as the ring knows it: it cuts a torn tail, completes the file from the ring, checks
// every leaf against the ring's tree head, and calls each with every record in order. counter is the ring's. A
// difference that a crash cannot explain is returned as ErrDamaged. A disk that does not work is returned as it is.
func (l *ledger) open(ls *keyring.LedgerState, counter uint64, each func(*Record)) error {
	l.generation, l.size, l.pending = ls.Generation, ls.Size, ls.Pending
	l.public = ed25519.NewKeyFromSeed(ls.Seed).Public().(ed25519.PublicKey)
	l.hashes, l.good = nil, 0
	must := l.size - uint64(len(l.pending)) // records that have to be in the file
	damaged := func(why string) error { return fmt.Errorf("%s: %w: %s", l.path(), ErrDamaged, why) }

	head := header(l.controller, l.generation, l.public)
	start, n := make([]byte, len(head)), 0
	switch _, err := os.Stat(l.path()); {
	case errors.Is(err, os.ErrNotExist) && must > 0:
		return damaged("the file is missing")
	case errors.Is(err, os.ErrNotExist):
		// a crash came before it was made: flush makes it
	default:
		file, err := durable.OpenAppend(l.path())
		if err != nil {
			return err
		}
		l.file = file
		if n, err = file.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if !slices.Equal(start[:n], head[:n]) || (n < len(head) && must > 0) {
		return damaged("its first line is not that of this ledger")
	}

	var (
		records []*Record
		latest  uint64
	)
	read := func(seq uint64, frame []byte) error {
		if err := l.addLeaf(seq, leafIn(frame)); err != nil {
			return err
		}
		key, ok := ls.RecordKeys[seq]
		if !ok {
			records = append(records, &Record{Seq: seq, Erased: true})
			return nil
		}
		rec, err := openFrame(frame, l.controller, l.generation, seq, key)
		if err != nil {
			return damaged(err.Error())
		}
		if rec.Counter < latest || rec.Counter > counter {
			return damaged("the key ring is older than its records")
		}
		latest = rec.Counter
		records = append(records, rec)
		return nil
	}
	count := uint64(0)
	if n == len(head) {
		l.good = int64(n)
		body := io.NewSectionReader(l.file, l.good, l.file.Size()-l.good)
		good, err := scanFrames(body, func(frame []byte, _ int64) error {
			if count == l.size {
				return damaged("it holds more than the key ring knows: the ring was put back to an older state")
			}
			count++
			return read(count-1, frame)
		})
		if err != nil {
			return err
		}
		l.good += good
	}
	if count < must {
		return damaged(fmt.Sprintf("%d of %d records are whole", count, l.size))
	}
	// What the file lacks is in the ring.
	for i, frame := range l.pending {
		seq := must + uint64(i)
		whole, err := readFrame(strings.NewReader(string(frame)))
		if err != nil || len(whole) != len(frame) {
			return damaged("a waiting record in the key ring is not whole")
		}
		if seq >= count {
			if err := read(seq, frame); err != nil {
				return err
			}
		}
	}
	root, err := l.root(l.size)
	if err != nil || !slices.Equal(root, ls.Root) {
		return damaged("a record differs from the one that was written")
	}
	l.pending = slices.Clone(l.pending[min(count-must, uint64(len(l.pending))):])
	if err := l.flush(); err != nil {
		l.problem = err // kept in the ring, tried again with the next change
	}
	for _, rec := range records {
		each(rec)
	}
	return nil
}

// flush brings the file up to the ring: it opens it again after a failure, cuts a torn tail, and appends what waits.
func (l *ledger) flush() error {
	if l.file == nil {
		file, err := durable.OpenAppend(l.path())
		if err != nil {
			return err
		}
		l.file = file
	}
	err := l.complete()
	if err != nil {
		l.file.Close()
		l.file = nil
	}
	l.problem = err
	return err
}

func (l *ledger) complete() error {
	switch size := l.file.Size(); {
	case size < l.good:
		return fmt.Errorf("%s: %w: it became shorter", l.path(), ErrDamaged)
	case size > l.good:
		if err := l.file.Truncate(l.good); err != nil {
			return err
		}
	}
	if l.good == 0 {
		head := header(l.controller, l.generation, l.public)
		if err := l.file.Append(head); err != nil {
			return err
		}
		l.good = int64(len(head))
	}
	if len(l.pending) == 0 {
		return nil
	}
	if err := l.file.Append(slices.Concat(l.pending...)); err != nil {
		return err
	}
	l.good = l.file.Size()
	l.pending = nil
	return nil
}

// read returns every record of the ledger that is still readable, oldest first.
func (l *ledger) read(keys map[uint64]keyring.Secret) ([]*Record, error) {
	return l.scan(keys, func([]byte) error { return nil })
}

// scan is read that calls each with every frame.
func (l *ledger) scan(keys map[uint64]keyring.Secret, each func(frame []byte) error) ([]*Record, error) {
	var out []*Record
	add := func(frame []byte) error {
		if err := each(frame); err != nil {
			return err
		}
		seq := uint64(len(out))
		rec := &Record{Seq: seq, Erased: true}
		if key, ok := keys[seq]; ok {
			var err error
			if rec, err = openFrame(frame, l.controller, l.generation, seq, key); err != nil {
				return err
			}
		}
		out = append(out, rec)
		return nil
	}
	if l.good > 0 {
		f, err := os.Open(l.path())
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from := int64(len(header(l.controller, l.generation, l.public)))
		if _, err := scanFrames(io.NewSectionReader(f, from, l.good-from), func(frame []byte, _ int64) error {
			return add(frame)
		}); err != nil {
			return nil, err
		}
	}
	for _, frame := range l.pending {
		if err := add(frame); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *ledger) close() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}
