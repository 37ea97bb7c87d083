package receiver

import (
	"database/sql"
	"errors"
	"net/http"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// remember keeps a lane A message as the latest of its consent: the one with the highest number, but a withdrawal is
// followed by nothing. With it a device whose state was put back to an older copy can be shown what it has signed since:
// the message is its own, so it need not believe this receiver.
func remember(tx queryer, consent wire.UUID, number uint64, withdrawal bool, body []byte) error {
	if number == 0 || number > 1<<62 { // not stated
		return nil
	}
	_, err := tx.Exec(`INSERT INTO latest (consent, number, withdrawal, body) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET number = excluded.number, withdrawal = excluded.withdrawal, body = excluded.body
		WHERE excluded.withdrawal > latest.withdrawal OR excluded.withdrawal = latest.withdrawal AND excluded.number > latest.number`,
		consent[:], int64(number), withdrawal, body)
	return err
}

// getConsent: GET /v1/consents/{consent}. It answers with the latest message that the caller has signed about the consent, as
// it came, or with 204 when none with a number has come.
func (rv *Receiver) getConsent(w http.ResponseWriter, r *http.Request, c caller) (answer, error) {
	id, err := pathUUID(r, "consent")
	if err != nil {
		return answer{}, err
	}
	var body []byte
	err = rv.cfg.Store.update(r.Context(), func(tx *sql.Tx) error {
		if by, taken, err := owner(tx, id); err != nil {
			return err
		} else if !taken || by != c.pseudonym {
			return errNotYours
		}
		err := tx.QueryRow("SELECT body FROM latest WHERE consent = ?", id[:]).Scan(&body)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return answer{}, err
	}
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return answer{}, nil
	}
	return answer{"application/cbor", body}, nil
}
