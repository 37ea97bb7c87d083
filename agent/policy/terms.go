package policy

import (
	"crypto/sha256"
	"errors"

	"github.com/fxamacker/cbor/v2"
)

// Terms are everything that a consent for one (category, purpose) is about, as flat keys ("retention.device",
// "fields.total.label.en") with their values in the words of the document. SubtreeHash is their hash, so whoever holds the
// terms and a signed hash can check every word without the document.
type Terms map[string]string

// Bounds of encoded terms: the largest (category, purpose) of the example policy has below 200 keys in 10 KiB.
const (
	// MaxTerms is the longest encoding of terms, in bytes.
	MaxTerms = 64 << 10
	maxTerms = 4096 // keys
)

// ErrTerms says that bytes are not the encoding of terms.
var ErrTerms = errors.New("not the terms of a consent")

// Terms returns what a consent for the (category, purpose) is about.
func (e Effective) Terms() Terms { return Terms(e.facts()) }

// Encode returns the deterministic CBOR of which Hash is the SHA-256.
func (t Terms) Encode() []byte {
	b, err := canonical.Marshal(map[string]string(t))
	if err != nil {
		panic(err) // a map of texts always encodes
	}
	return b
}

// Hash returns the subtree hash.
func (t Terms) Hash() [32]byte { return sha256.Sum256(t.Encode()) }

var termsMode = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		UTF8: cbor.UTF8RejectInvalid, MaxMapPairs: maxTerms, MaxNestedLevels: 4,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// DecodeTerms reads what Encode wrote; ErrTerms for anything else.
func DecodeTerms(b []byte) (Terms, error) {
	var t map[string]string
	if len(b) > MaxTerms || termsMode.Unmarshal(b, &t) != nil || string(Terms(t).Encode()) != string(b) || len(t) == 0 {
		return nil, ErrTerms
	}
	return t, nil
}
