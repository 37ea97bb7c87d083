// Package receipt makes and verifies consent receipts: the copy of one consent record that the person keeps. A
// receipt is one JSON file, a dpv:ConsentReceipt of W3C DPV 2.3 with the fields of ISO/IEC TS 27560, the record embedded,
// the exact notice with its hash, and the evidence: the record's bytes, their salt, and a C2SP tlog-proof with the
// ledger's signed checkpoint. Make writes one, Verify checks one with nothing but the file and, better, the public key.
//
// Nothing in a receipt is a mere claim. The leaf covers the record's bytes; the record has the hashes of the notice
// and of the terms (the part of the policy that was agreed to), and both are in the file; and the whole document is
// the one that Make would write for these three, word for word, or Verify names the first field that is not.
//
// # What links receipts
//
// No receipt carries an identifier that another one carries. The ids of receipt, record and person are drawn from the
// record's random salt, so every record has its own and a second export of one record is the same receipt; the
// consent's id, the account and the pseudonym at the controller are in no receipt (consent.Statement). Three things
// cannot be hidden. The ledger's key and name are those of one ledger, which belongs to one person and one controller:
// who is shown two receipts of that controller's ledger sees that they are of one person, and two that were exported together
// share the checkpoint. Receipts of two controllers have nothing in common. And a receipt says when
// something happened, to the second. A signature per receipt would not help: only the ledger's key is one that
// a verifier can know beforehand.
//
// Left out: what a controller signed (wire.Receipt), and where receipts come from (package agent).
package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// MaxSize is the largest file that is read, in bytes. The largest of the example policy is below 64 KiB.
const MaxSize = 1 << 20

// ErrNoReceipt says that there can be no receipt of a record: it is no event of a consent, or its terms or notice are not
// known any more.
var ErrNoReceipt = errors.New("no receipt can be made of this record")

// Evidence is what a receipt is made of.
type Evidence struct {
	Statement []byte       // the record's bytes that the leaf covers
	Salt      wire.Hash    // the leaf's data is SHA-256(Salt || Statement)
	Terms     policy.Terms // of which the record has the hash
	Text      string       // of the notice of which the record has the hash; "" where none was shown
	Proof     []byte       // tlog-proof of the leaf, with the signed checkpoint
	Key       string       // verifier key of the ledger
}

// Make returns the receipt. It verifies what it has made: an error that is a *Fault says which part of the evidence
// does not fit, ErrNoReceipt that there is nothing to give a receipt of.
func Make(e Evidence) ([]byte, error) {
	s, err := consent.DecodeStatement(e.Statement)
	if err != nil {
		return nil, fmt.Errorf("make receipt: %w", err)
	}
	if !Of(s) {
		return nil, fmt.Errorf("make receipt: %w", ErrNoReceipt)
	}
	d := document(s, e.Salt, e.Terms, e.Text)
	d["scruple:evidence"] = object{
		"@type":          "scruple:Evidence",
		"scruple:record": base64.StdEncoding.EncodeToString(e.Statement),
		"scruple:salt":   base64.StdEncoding.EncodeToString(e.Salt[:]),
		"scruple:proof":  string(e.Proof),
		"scruple:key":    e.Key,
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("make receipt: %w", err)
	}
	if _, err := Verify(b.Bytes(), e.Key); err != nil {
		return nil, fmt.Errorf("make receipt: %w", err)
	}
	return b.Bytes(), nil
}

// Of reports whether there are receipts of such a record: it says what became of a consent, and of which terms. A
// question that showed no notice has told the person nothing; erasures and their answers are the controller's to sign.
func Of(s *consent.Statement) bool { return of(s.Event, s.Subtree, s.Notice) }

func of(e consent.Event, subtree, notice wire.Hash) bool {
	_, known := states[e]
	return known && !subtree.IsZero() && (e != consent.EventRequested || !notice.IsZero())
}
