package receipt

import (
	"fmt"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Receipt is one receipt with what a list shows of it.
type Receipt struct {
	Event consent.Event
	Time  time.Time
	Seq   uint64 // number of the record in its ledger
	File  []byte
}

// Export returns the receipts of what was recorded about a tuple, oldest first, each with a proof as of now. A record
// whose body has been erased has none, nor has one whose notice or terms were erased with another record. The errors are those
// of Register.InclusionProof; a tuple of which nothing is recorded has no receipts and no error.
func Export(reg *consent.Register, t policy.Tuple) ([]Receipt, error) {
	records, err := reg.Records(t.Controller)
	if err != nil {
		return nil, fmt.Errorf("export receipts: %w", err)
	}
	texts, agreed := map[wire.Hash]string{}, map[wire.Hash]policy.Terms{}
	if e, err := reg.Policy().Effective(t.Category, t.Purpose); err == nil {
		agreed[e.SubtreeHash()] = e.Terms()
	}
	for _, rec := range records {
		if rec.Erased || rec.Tuple() != t {
			continue
		}
		if rec.Notice.Text != "" {
			texts[rec.Notice.SHA256] = rec.Notice.Text
		}
		if len(rec.Terms) > 0 {
			terms, err := policy.DecodeTerms(rec.Terms)
			if err != nil {
				return nil, fmt.Errorf("export receipts: record %d: %w", rec.Seq, err)
			}
			agreed[rec.Subtree] = terms
		}
	}
	var out []Receipt
	for _, rec := range records {
		terms, known := agreed[rec.Subtree]
		if rec.Erased || rec.Tuple() != t || !known {
			continue
		}
		text, shown := texts[rec.Notice.SHA256]
		if !shown && !rec.Notice.SHA256.IsZero() || !of(rec.Event, rec.Subtree, rec.Notice.SHA256) {
			continue
		}
		r, err := export(reg, rec, terms, text)
		if err != nil {
			return nil, fmt.Errorf("export receipts: record %d: %w", rec.Seq, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func export(reg *consent.Register, rec *consent.Record, terms policy.Terms, text string) (Receipt, error) {
	key, err := reg.LedgerKey(rec.Controller)
	if err != nil {
		return Receipt{}, err
	}
	in, err := reg.InclusionProof(rec.Controller, rec.Seq)
	if err != nil {
		return Receipt{}, err
	}
	file, err := Make(Evidence{Statement: in.Statement, Salt: in.Salt, Terms: terms, Text: text, Proof: in.Proof, Key: key})
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{Event: rec.Event, Time: time.Unix(rec.Time, 0).UTC(), Seq: rec.Seq, File: file}, nil
}
