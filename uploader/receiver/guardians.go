package receiver

import (
	"github.com/scruple-agent/scruple/uploader/wire"
)

// schemaGuardians has the approvals that came with the consents of minors, each good for one consent. The evidence goes with
// the consent's record; the random number of the question stays, so that it cannot be used again.
const schemaGuardians = `
CREATE TABLE IF NOT EXISTS approvals (
	nonce BLOB PRIMARY KEY, consent BLOB NOT NULL, evidence BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS approvals_consent ON approvals (consent);
`

// admitGuardian checks the guardian's approval that a minor's consent comes with, and keeps it. Whose guardian it is cannot be
// known here: the key is derived for this one answer.
func (rv *Receiver) admitGuardian(tx queryer, m wire.Consent) error {
	if m.Guardian == nil {
		if rv.cfg.Guardians {
			return refuse(wire.ProblemGuardian, "this service is for minors: a consent comes with its guardian's approval")
		}
		return nil
	}
	if err := m.Guardian.Answers(m); err != nil {
		return refuse(wire.ProblemGuardian, "the approval is not one of this consent")
	}
	q, err := m.Guardian.Verify()
	if err != nil {
		return err
	}
	evidence, err := wire.Marshal(m.Guardian)
	if err != nil {
		return err
	}
	n, err := changed(tx, "INSERT INTO approvals (nonce, consent, evidence) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", q.Nonce[:], m.Consent[:], evidence)
	if err != nil {
		return err
	}
	if n == 0 {
		return refuse(wire.ProblemGuardian, "the approval was used before")
	}
	return nil
}
