package policy

import (
	"crypto/sha256"
	"fmt"
)

// Digest returns the SHA-256 of what the document declares: its id, its version, and the subtree of every (category, purpose). It
// is what a guardian approves who accepts the policy for a minor; the same digest asks for the same.
func (d *Document) Digest() [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "scruple/policy-digest/1\n%s\n%d\n", d.ID, d.Version)
	for _, t := range d.Tuples("") {
		eff, err := d.Effective(t.Category, t.Purpose)
		if err != nil { // the tuple was listed by the same document
			continue
		}
		subtree := eff.SubtreeHash()
		fmt.Fprintf(h, "%s %s %x\n", t.Controller, t, subtree[:])
	}
	return [32]byte(h.Sum(nil))
}
