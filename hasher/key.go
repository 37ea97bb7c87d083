package hasher

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/scruple-agent/scruple/hasher/internal/lanes"
)

// EpochKeySize is the size of an epoch key in bytes.
const EpochKeySize = 32

// keyInfo opens the HKDF info of every key; kind and form version follow.
const keyInfo = "scruple/contacts/1"

// Key is the HMAC key of one epoch, one kind of identifier and one form version
// (the number of the canonicalisation rules), ready for use: the states after the
// inner and the outer pad are computed once. So the domain separation costs
// nothing per identifier.
//
// A Key prints as "hasher.Key(redacted)". It may be used by several goroutines.
type Key struct{ k *keyState }

type keyState struct {
	mu   sync.RWMutex // held for reading while digests are made: Destroy waits
	gone bool
	mac  lanes.HMAC
}

// NewKey derives a key: HKDF-SHA256 of the 32-byte epoch key without salt, with
// info "scruple/contacts/1", the byte of the kind and the form version as four
// bytes, big-endian. The epoch key is not kept.
func NewKey(epochKey []byte, kind Kind, form uint32) (*Key, error) {
	if len(epochKey) != EpochKeySize {
		return nil, fmt.Errorf("derive contact key: epoch key has %d bytes, want %d", len(epochKey), EpochKeySize)
	}
	if !kind.valid() {
		return nil, fmt.Errorf("derive contact key: unknown kind %d", uint8(kind))
	}
	info := binary.BigEndian.AppendUint32(append([]byte(keyInfo), byte(kind)), form)
	mac, err := hkdf.Key(sha256.New, epochKey, nil, string(info), sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive contact key: %w", err)
	}
	k := &Key{k: new(keyState)}
	k.k.mac.Init(mac)
	clear(mac)
	return k, nil
}

// AppendDigests appends the digest of every identifier of b to dst, in order,
// DigestSize bytes each, and returns the extended slice. It does not allocate if
// dst has room, and uses all cores for large batches.
//
// A destroyed key makes no digests: dst comes back as it is. That can happen only
// when a withdrawal overtakes a collection, whose report is refused anyway.
func (k *Key) AppendDigests(dst []byte, b *Batch) []byte {
	k.k.mu.RLock()
	defer k.k.mu.RUnlock()
	n := b.Len()
	if k.k.gone || n == 0 {
		return dst
	}
	start := len(dst)
	if need := start + n*DigestSize; need > cap(dst) {
		grown := make([]byte, start, max(need, start+start/4))
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:start+n*DigestSize]
	k.k.mac.Sum(dst[start:], b.data, b.offs)
	return dst
}

// Digest returns the digest of one identifier. For more than a handful use a
// Batch. A destroyed key returns zeroes.
func (k *Key) Digest(id []byte) (d [DigestSize]byte) {
	k.k.mu.RLock()
	defer k.k.mu.RUnlock()
	if !k.k.gone {
		k.k.mac.SumOne(&d, id)
	}
	return d
}

// Destroy overwrites the key, after the digests under way are done. It may be
// called again.
func (k *Key) Destroy() {
	k.k.mu.Lock()
	defer k.k.mu.Unlock()
	k.k.mac.Wipe()
	k.k.gone = true
}

const redacted = "hasher.Key(redacted)"

// String returns "hasher.Key(redacted)".
func (k Key) String() string { return redacted }

// GoString is String.
func (k Key) GoString() string { return redacted }

// Format prints String whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText is String.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
