// Package ledger holds the formats in which a consent ledger is shown to others, and their verification: signed
// checkpoints, proofs that a record is in the ledger, proofs that the ledger only grew. It needs bytes and a public
// key, no secret and no file, so whoever holds a receipt can check it with this package alone.
//
// The tree is that of RFC 6962 with SHA-256 (golang.org/x/mod/sumdb/tlog). The data of a leaf is
// SHA-256(salt || record), so that a proof says nothing about a record whose salt has been destroyed. The formats
// are C2SP's: tlog-checkpoint in a signed note, tlog-proof, and for growth the body with which a log asks a witness for
// a cosignature (tlog-witness, add-checkpoint). For most uses call VerifyInclusion.
//
// What a proof cannot show: whoever holds the ledger's key can keep two ledgers and show a different one to each.
// One checkpoint in other hands ends that, because later ones must be consistent with it.
package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var (
	// ErrCheckpoint says that bytes are not a checkpoint signed by the ledger's key.
	ErrCheckpoint = errors.New("not a checkpoint signed by this ledger's key")
	// ErrProof says that bytes are not a proof, or that the proof does not hold.
	ErrProof = errors.New("the proof does not hold")
)

// OriginPrefix begins the name of every ledger.
const OriginPrefix = "scruple.example/ledger/"

// Limits of what is read.
const (
	// MaxNote is the largest checkpoint, in bytes: one is about 250, a witness adds about 120.
	MaxNote = 16 << 10
	// MaxProof is the largest proof in bytes; its extra data may hold a record of about 100 KiB.
	MaxProof = 512 << 10
	// maxHashes is the longest path: a tree of 2^62 leaves has less.
	maxHashes = 63
	// maxSize is the largest size that is read, so that nothing overflows.
	maxSize = 1 << 62
)

// SaltSize is the length of a record's salt in bytes.
const SaltSize = 32

// Origin returns the name of the ledger with this key. It is drawn from the key, which is random and belongs to one ledger,
// so it says nothing about who keeps the ledger, for which controller, or about any consent in it.
func Origin(public ed25519.PublicKey) string {
	sum := sha256.Sum256(append([]byte("scruple/ledger-name/1\n"), public...))
	return OriginPrefix + hex.EncodeToString(sum[:16])
}

// Key returns the note verifier key of the ledger with this public key.
func Key(public ed25519.PublicKey) (string, error) {
	key, err := note.NewEd25519VerifierKey(Origin(public), public)
	if err != nil {
		return "", fmt.Errorf("ledger key: %w", err)
	}
	return key, nil
}

// LeafData returns what the tree holds of a record: SHA-256(salt || record).
func LeafData(salt [SaltSize]byte, record []byte) [32]byte {
	h := sha256.New()
	h.Write(salt[:])
	h.Write(record)
	return [32]byte(h.Sum(nil))
}

// Checkpoint is the state of a ledger: how many records, and the head of the tree over them.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   [32]byte
}

// Text returns the body of the note.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Sign returns the checkpoint as a signed note.
func (c Checkpoint) Sign(key ed25519.PrivateKey) ([]byte, error) {
	public := key.Public().(ed25519.PublicKey)
	if c.Origin != Origin(public) {
		return nil, fmt.Errorf("sign checkpoint: %w: another ledger's key", ErrCheckpoint)
	}
	text, err := Key(public)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	b, err := note.Sign(&note.Note{Text: c.Text()}, signer{v, key})
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return b, nil
}

// signer is a note.Signer for a key in memory; package note only reads them from text.
type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// OpenCheckpoint checks a signed checkpoint against the ledger's verifier key and reads it. Signatures of others on it
// (witnesses) are left alone. It returns ErrCheckpoint for anything else.
func OpenCheckpoint(signed []byte, key string) (Checkpoint, error) {
	if len(signed) > MaxNote {
		return Checkpoint{}, fmt.Errorf("%w: longer than %d bytes", ErrCheckpoint, MaxNote)
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: the verifier key is none", ErrCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: signature", ErrCheckpoint)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.Name() {
		return Checkpoint{}, fmt.Errorf("%w: it names another ledger", ErrCheckpoint)
	}
	return c, nil
}

// UnverifiedOrigin returns the name that a checkpoint, a proof or a proof of growth states, to look up its key; "" when
// it is none of these. It is a claim until the signature has been checked.
func UnverifiedOrigin(b []byte) string {
	if p, err := ParseProof(b); err == nil {
		b = p.Checkpoint
	} else if g, err := ParseGrowth(b); err == nil {
		b = g.Checkpoint
	}
	text, _, ok := strings.Cut(string(b), "\n\n")
	if !ok || len(b) > MaxNote {
		return ""
	}
	c, err := parseCheckpoint(text + "\n")
	if err != nil {
		return ""
	}
	return c.Origin
}

func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return Checkpoint{}, fmt.Errorf("%w: layout", ErrCheckpoint)
	}
	c := Checkpoint{Origin: lines[0]}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	root, ok := hash(lines[2])
	if err != nil || size > maxSize || !ok {
		return Checkpoint{}, fmt.Errorf("%w: layout", ErrCheckpoint)
	}
	c.Size, c.Root = size, root
	if c.Text() != text || size == 0 && root != sha256.Sum256(nil) {
		return Checkpoint{}, fmt.Errorf("%w: layout", ErrCheckpoint)
	}
	return c, nil
}

// hash reads a line that is one hash in base64, in its one spelling.
func hash(line string) (h [32]byte, ok bool) {
	b, err := base64.StdEncoding.DecodeString(line)
	if err != nil || len(b) != len(h) || base64.StdEncoding.EncodeToString(b) != line {
		return h, false
	}
	return [32]byte(b), true
}

const proofFirstLine = "c2sp.org/tlog-proof@v1"

// Proof is the content of a tlog-proof: record number Index is in the ledger of Checkpoint.
type Proof struct {
	// Extra travels with the proof and is not covered by it. ExtraOf puts salt and record there.
	Extra      []byte
	Index      uint64
	Path       [][32]byte // from the leaf's sibling up
	Checkpoint []byte     // signed, as it was issued
}

// Encode returns the proof in the format c2sp.org/tlog-proof@v1.
func (p Proof) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, proofFirstLine)
	if len(p.Extra) > 0 {
		fmt.Fprintf(&b, "extra %s\n", base64.StdEncoding.EncodeToString(p.Extra))
	}
	fmt.Fprintf(&b, "index %d\n", p.Index)
	writeHashes(&b, p.Path)
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

func writeHashes(b *bytes.Buffer, hashes [][32]byte) {
	for _, h := range hashes {
		fmt.Fprintln(b, base64.StdEncoding.EncodeToString(h[:]))
	}
}

// ParseProof reads a proof without verifying anything. It returns ErrProof for anything but what Encode writes.
func ParseProof(b []byte) (Proof, error) {
	head, rest, ok := split(b)
	if !ok || len(head) < 2 || head[0] != proofFirstLine {
		return Proof{}, fmt.Errorf("%w: not a %s", ErrProof, proofFirstLine)
	}
	p, head := Proof{Checkpoint: rest}, head[1:]
	if extra, found := strings.CutPrefix(head[0], "extra "); found {
		var err error
		if p.Extra, err = base64.StdEncoding.DecodeString(extra); err != nil || len(p.Extra) == 0 {
			return Proof{}, fmt.Errorf("%w: extra line", ErrProof)
		}
		head = head[1:]
	}
	if len(head) == 0 {
		return Proof{}, fmt.Errorf("%w: index line", ErrProof)
	}
	if p.Index, ok = number(head[0], "index "); !ok {
		return Proof{}, fmt.Errorf("%w: index line", ErrProof)
	}
	if p.Path, ok = hashes(head[1:]); !ok {
		return Proof{}, fmt.Errorf("%w: a hash", ErrProof)
	}
	if !bytes.Equal(p.Encode(), b) {
		return Proof{}, fmt.Errorf("%w: layout", ErrProof)
	}
	return p, nil
}

// split cuts off the lines before the first empty one.
func split(b []byte) (head []string, rest []byte, ok bool) {
	if len(b) > MaxProof || !utf8.Valid(b) {
		return nil, nil, false
	}
	before, rest, ok := bytes.Cut(b, []byte("\n\n"))
	return strings.Split(string(before), "\n"), rest, ok
}

func number(line, prefix string) (uint64, bool) {
	digits, ok := strings.CutPrefix(line, prefix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, ok && err == nil && n <= maxSize
}

func hashes(lines []string) (list [][32]byte, ok bool) {
	if len(lines) > maxHashes {
		return nil, false
	}
	for _, line := range lines {
		h, ok := hash(line)
		if !ok {
			return nil, false
		}
		list = append(list, h)
	}
	return list, true
}

// ExtraOf returns the extra data with which a proof can be checked without anything else: salt || record. Its SHA-256
// is the leaf's data.
func ExtraOf(salt [SaltSize]byte, record []byte) []byte { return append(salt[:], record...) }

// Record returns salt and record of the extra data; ok is false when there is none. They are what the proof is about
// only after VerifyWhole.
func (p Proof) Record() (salt [SaltSize]byte, record []byte, ok bool) {
	if len(p.Extra) <= SaltSize {
		return salt, nil, false
	}
	return [SaltSize]byte(p.Extra), p.Extra[SaltSize:], true
}

// VerifyInclusion checks a tlog-proof: the checkpoint is signed by the ledger's key, and leaf data (SHA-256 of salt and
// record) is that of record number Index in it. It returns the checkpoint and the number. ErrCheckpoint, ErrProof.
func VerifyInclusion(proof []byte, leafData [32]byte, key string) (Checkpoint, uint64, error) {
	p, err := ParseProof(proof)
	if err != nil {
		return Checkpoint{}, 0, err
	}
	c, err := OpenCheckpoint(p.Checkpoint, key)
	if err != nil {
		return Checkpoint{}, 0, err
	}
	if p.Index >= c.Size {
		return Checkpoint{}, 0, fmt.Errorf("%w: the ledger of the checkpoint has no record of that number", ErrProof)
	}
	if tlog.CheckRecord(tlogHashes(p.Path), int64(c.Size), c.Root, int64(p.Index), tlog.RecordHash(leafData[:])) != nil {
		return Checkpoint{}, 0, fmt.Errorf("%w: it does not lead to the tree head", ErrProof)
	}
	return c, p.Index, nil
}

// VerifyWhole checks a tlog-proof whose extra data holds salt and record, and returns the record with the number and the
// checkpoint. ErrCheckpoint, ErrProof.
func VerifyWhole(proof []byte, key string) (Checkpoint, uint64, []byte, error) {
	p, err := ParseProof(proof)
	if err != nil {
		return Checkpoint{}, 0, nil, err
	}
	_, record, ok := p.Record()
	if !ok {
		return Checkpoint{}, 0, nil, fmt.Errorf("%w: it holds no record", ErrProof)
	}
	c, n, err := VerifyInclusion(proof, sha256.Sum256(p.Extra), key)
	return c, n, record, err
}

// Growth is the proof that the ledger of Checkpoint begins with the first Old records of an earlier checkpoint.
type Growth struct {
	Old        uint64
	Path       [][32]byte
	Checkpoint []byte // signed, of the larger ledger
}

// Encode returns the proof in the form of the body of tlog-witness's add-checkpoint.
func (g Growth) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", g.Old)
	writeHashes(&b, g.Path)
	b.WriteByte('\n')
	b.Write(g.Checkpoint)
	return b.Bytes()
}

// ParseGrowth reads a proof of growth without verifying anything. It returns ErrProof for anything but what Encode writes.
func ParseGrowth(b []byte) (Growth, error) {
	head, rest, ok := split(b)
	if !ok {
		return Growth{}, fmt.Errorf("%w: not a proof of growth", ErrProof)
	}
	g := Growth{Checkpoint: rest}
	if g.Old, ok = number(head[0], "old "); !ok {
		return Growth{}, fmt.Errorf("%w: not a proof of growth", ErrProof)
	}
	if g.Path, ok = hashes(head[1:]); !ok {
		return Growth{}, fmt.Errorf("%w: a hash", ErrProof)
	}
	if !bytes.Equal(g.Encode(), b) {
		return Growth{}, fmt.Errorf("%w: layout", ErrProof)
	}
	return g, nil
}

// VerifyGrowth checks that the ledger only grew since old, a checkpoint that the caller has verified before: nothing of
// it was taken out, changed or put in between. It returns the later checkpoint. ErrCheckpoint, ErrProof.
func VerifyGrowth(growth []byte, old Checkpoint, key string) (Checkpoint, error) {
	g, err := ParseGrowth(growth)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := OpenCheckpoint(g.Checkpoint, key)
	if err != nil {
		return Checkpoint{}, err
	}
	switch {
	case c.Origin != old.Origin:
		return Checkpoint{}, fmt.Errorf("%w: the checkpoints are of two ledgers", ErrProof)
	case g.Old != old.Size:
		return Checkpoint{}, fmt.Errorf("%w: it begins at another size than the earlier checkpoint", ErrProof)
	case c.Size < old.Size:
		return Checkpoint{}, fmt.Errorf("%w: the ledger became smaller", ErrProof)
	case old.Size == 0 && len(g.Path) == 0:
		return c, nil // every ledger began empty
	case old.Size == 0 || tlog.CheckTree(tlogHashes(g.Path), int64(c.Size), c.Root, int64(old.Size), old.Root) != nil:
		return Checkpoint{}, fmt.Errorf("%w: the later ledger does not begin with the earlier one", ErrProof)
	}
	return c, nil
}

func tlogHashes(in [][32]byte) []tlog.Hash {
	out := make([]tlog.Hash, len(in))
	for i, h := range in {
		out[i] = h
	}
	return out
}
