package receiver

import (
	"database/sql"
	"net/http"
	"time"

	"github.com/scruple-agent/scruple/hasher/canonical"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// getController: GET /v1/controller
func (rv *Receiver) getController(_ http.ResponseWriter, r *http.Request, _ caller) (answer, error) {
	ctrl, err := rv.cfg.Policy.Controller(rv.cfg.Controller)
	if err != nil {
		return answer{}, err
	}
	m := wire.Metadata{Controller: string(ctrl.ID), Endpoint: ctrl.Endpoint, Region: ctrl.Region, Time: rv.cfg.Now(), Pins: ctrl.Pins}
	if err := rv.cfg.Store.update(r.Context(), func(tx *sql.Tx) error {
		m.Epochs, err = collect(tx, func(rows *sql.Rows) (e wire.EpochInfo, err error) {
			var from, to int64
			err = rows.Scan(&e.ID, &from, &to, &e.Form)
			e.NotBefore, e.NotAfter = time.Unix(from, 0), time.Unix(to, 0)
			return e, err
		}, "SELECT id, not_before, not_after, form FROM epochs WHERE not_after > ? AND form = ?", m.Time.Unix(), canonical.PhoneForm)
		return err
	}); err != nil {
		return answer{}, err
	}
	signed, err := wire.SignMetadata(m, rv.cfg.Signer)
	return receiptAnswer(signed), err
}
