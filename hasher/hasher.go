// Package hasher turns packed contact identifiers into keyed digests, many at a
// time.
//
// It owns the path from a [Batch] of canonical identifiers (E.164 numbers,
// canonical e-mail addresses) to 16-byte HMAC-SHA256 digests under a [Key], and
// from there to the sorted, duplicate-free, padded set that a report carries
// ([SortDedupe], [Pad]). The kernels that make it fast live in internal/lanes.
//
// It leaves out how an identifier gets its canonical form (package canonical),
// where an epoch key comes from, and what may be done with a digest. A keyed
// digest is pseudonymous, not anonymous: whoever holds the epoch key can reverse
// the digest of a phone number by trying them all. There is no unkeyed mode.
package hasher

import "fmt"

// DigestSize is the number of bytes of the HMAC-SHA256 that a digest keeps.
const DigestSize = 16

// Kind is the kind of identifier that a key serves. Each kind has a key of its
// own, so that a phone number and an e-mail address that happen to be spelt alike
// have unrelated digests. The numbers are part of the key derivation and do not
// change.
type Kind uint8

// The kinds of identifier.
const (
	Phone       Kind = 1 // E.164 number
	Email       Kind = 2 // canonical e-mail address
	EmailFolded Kind = 3 // e-mail address with its provider's aliases folded
)

// String returns "phone", "email" or "email-folded".
func (k Kind) String() string {
	switch k {
	case Phone:
		return "phone"
	case Email:
		return "email"
	case EmailFolded:
		return "email-folded"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

func (k Kind) valid() bool { return k >= Phone && k <= EmailFolded }
