package receiver

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Accessor is who reads what is stored, for the record of accesses.
type Accessor struct {
	Who     string // "uid 1000", or "data subject"
	Command string // "show --open"
	Now     time.Time
}

func (a Accessor) record(tx queryer, what string) error {
	if a.Who == "" || a.Command == "" || a.Now.IsZero() {
		return errors.New("an access needs who, command and time")
	}
	_, err := tx.Exec("INSERT INTO accesses (time, who, command, what) VALUES (?, ?, ?, ?)", a.Now.Unix(), a.Who, a.Command, what)
	return err
}

// Access is one line of the record of accesses.
type Access struct {
	Time    time.Time `json:"time"`
	Who     string    `json:"who"`
	Command string    `json:"command"`
	What    string    `json:"what"`
}

// Accesses returns the record of accesses, oldest first.
func (s *Store) Accesses(ctx context.Context) ([]Access, error) {
	var list []Access
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		list, err = collect(tx, func(rows *sql.Rows) (a Access, err error) {
			var at int64
			err = rows.Scan(&at, &a.Who, &a.Command, &a.What)
			a.Time = time.Unix(at, 0).UTC()
			return a, err
		}, "SELECT time, who, command, what FROM accesses ORDER BY time, rowid")
		return err
	})
	return list, err
}

// Status of a consent at the receiver.
const (
	StatusGiven     = "given"
	StatusExpired   = "expired"
	StatusWithdrawn = "withdrawn"
)

// Holding is what is held under one consent: counts, nothing opened.
type Holding struct {
	Pseudonym Pseudonym         `json:"pseudonym"`
	Consent   wire.UUID         `json:"consent"`
	Category  policy.CategoryID `json:"category,omitempty"` // empty when only the tombstone is left
	Purpose   policy.PurposeID  `json:"purpose,omitempty"`
	Status    string            `json:"status"`
	Since     time.Time         `json:"since"`            // when this status began here
	Expiry    *time.Time        `json:"expiry,omitempty"` // of a given or expired consent
	Batches   int               `json:"batches"`          // of which something is held
	Items     int               `json:"items"`            // in these batches
	Bytes     int               `json:"bytes"`            // sealed
	Matches   int               `json:"matches"`          // digests of registered users, kept
}

// Holdings lists what is held, per pseudonym and consent, the withdrawn ones included.
func (s *Store) Holdings(ctx context.Context, now time.Time) ([]Holding, error) {
	var list []Holding
	err := s.update(ctx, func(tx *sql.Tx) (err error) {
		list, err = holdings(tx, now, "")
		return err
	})
	return list, err
}

// sealOverhead is what sealing adds: a nonce of 12 bytes and a tag of 16.
const sealOverhead = 12 + 16

func holdings(tx queryer, now time.Time, where string, args ...any) ([]Holding, error) {
	return collect(tx, func(rows *sql.Rows) (Holding, error) {
		var (
			h                                      Holding
			consent, pseud                         []byte
			received, expiry, withdrawn, matchSize int64
		)
		if err := rows.Scan(&consent, &pseud, &h.Category, &h.Purpose, &received, &expiry, &withdrawn,
			&h.Batches, &h.Items, &h.Bytes, &matchSize); err != nil {
			return h, err
		}
		copy(h.Consent[:], consent)
		copy(h.Pseudonym[:], pseud)
		h.Bytes += int(matchSize)
		h.Matches = int(max(0, matchSize-sealOverhead) / hasher.DigestSize)
		end := time.Unix(expiry, 0).UTC()
		switch {
		case withdrawn != 0:
			h.Status, h.Since = StatusWithdrawn, time.Unix(withdrawn, 0).UTC()
		case expiry <= now.Unix():
			h.Status, h.Since, h.Expiry = StatusExpired, end, &end
		default:
			h.Status, h.Since, h.Expiry = StatusGiven, time.Unix(received, 0).UTC(), &end
		}
		return h, nil
	}, `SELECT i.consent, coalesce(c.pseudonym, t.pseudonym), coalesce(c.category, ''), coalesce(c.purpose, ''),
			coalesce(c.received, 0), coalesce(c.expiry, 0), coalesce(t.withdrawn, 0),
			(SELECT count(*) FROM batches b WHERE b.consent = i.consent AND b.held),
			(SELECT coalesce(sum(b.items), 0) FROM batches b WHERE b.consent = i.consent AND b.held),
			(SELECT coalesce(sum(length(b.sealed)), 0) FROM batches b WHERE b.consent = i.consent AND b.held),
			(SELECT coalesce(sum(length(m.sealed)), 0) FROM matches m WHERE m.consent = i.consent)
		FROM (SELECT id AS consent FROM consents UNION SELECT consent FROM tombstones) i
		LEFT JOIN consents c ON c.id = i.consent LEFT JOIN tombstones t ON t.consent = i.consent `+
		where+` ORDER BY 2, coalesce(c.received, t.withdrawn), 1`, args...)
}

// getData: GET /v1/data. It writes, as JSON, everything that is held about the caller: {"controller", "pseudonym",
// "cases": [opened], "consents": [holding with "held": [batches opened] and "digests"]}.
//
// It is streamed, one batch in memory at a time, and reads each in a transaction of its own: what is erased
// meanwhile is left out.
func (rv *Receiver) getData(w http.ResponseWriter, r *http.Request, c caller) (answer, error) {
	s, now := rv.cfg.Store, rv.cfg.Now()
	var list []Holding
	err := s.update(r.Context(), func(tx *sql.Tx) (err error) {
		who := Accessor{Who: "data subject", Command: "GET /v1/data", Now: now}
		if err := who.record(tx, "all of pseudonym "+c.pseudonym.String()); err != nil {
			return err
		}
		list, err = holdings(tx, now, "WHERE coalesce(c.pseudonym, t.pseudonym) = ?", c.pseudonym[:])
		return err
	})
	if err != nil {
		return answer{}, err
	}
	cases, err := s.casesOf(r.Context(), c.pseudonym)
	if err != nil {
		return answer{}, err
	}
	w.Header().Set("Content-Type", "application/json")
	out := newJSONStream(w)
	out.open("{")
	out.member("controller", rv.cfg.Controller)
	out.member("pseudonym", c.pseudonym)
	out.member("cases", cases)
	out.name("consents")
	out.open("[")
	for _, h := range list {
		out.element()
		out.open("{")
		out.member("consent", h)
		if err := rv.writeHeld(r.Context(), out, h.Consent); err != nil {
			// The status has gone out: only a broken connection can still say that this is not all.
			rv.cfg.Log.Error("cannot show what is held")
			panic(http.ErrAbortHandler)
		}
		out.close("}")
	}
	out.close("]")
	out.close("}")
	return answer{}, nil
}

func (rv *Receiver) writeHeld(ctx context.Context, out *jsonStream, consent wire.UUID) error {
	s := rv.cfg.Store
	var (
		ids     []wire.UUID
		digests []byte
	)
	if err := s.update(ctx, func(tx *sql.Tx) (err error) {
		if ids, err = batchIDs(tx, consent); err != nil {
			return err
		}
		digests, _, err = s.matches(tx, consent)
		return err
	}); err != nil {
		return err
	}
	matched := []string{}
	for d := range slices.Chunk(digests, hasher.DigestSize) {
		matched = append(matched, base64.StdEncoding.EncodeToString(d))
	}
	out.member("digests", matched)
	out.name("batches")
	out.open("[")
	for _, id := range ids {
		b, ok, err := s.openBatch(ctx, id, consent)
		if err != nil {
			return err
		}
		if ok {
			out.element()
			out.value(b.JSON())
		}
	}
	out.close("]")
	return out.err
}

// BatchJSON is how a stored batch is shown.
type BatchJSON struct {
	ID       wire.UUID  `json:"id"`
	Received time.Time  `json:"received"`
	Subtree  wire.Hash  `json:"subtree"`
	Items    []ItemJSON `json:"items"`
}

// ItemJSON is how an item is shown; bytes are in base64.
type ItemJSON struct {
	Time   time.Time      `json:"time"`
	Fields map[string]any `json:"fields"`
}

// JSON returns the batch in the form in which it is shown.
func (b StoredBatch) JSON() BatchJSON {
	out := BatchJSON{ID: b.ID, Received: b.Received, Subtree: b.Batch.Subtree, Items: []ItemJSON{}}
	for _, it := range b.Batch.Items {
		out.Items = append(out.Items, ItemJSON{Time: time.Unix(it.Time, 0).UTC(), Fields: it.Fields})
	}
	return out
}

// jsonStream writes one JSON value piece by piece. After an error it writes nothing more.
type jsonStream struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	first bool
	err   error
}

// pieceTime is how long the client may take for one piece: the answer as a whole has no limit but its size.
const pieceTime = 30 * time.Second

func newJSONStream(w http.ResponseWriter) *jsonStream {
	return &jsonStream{w: w, rc: http.NewResponseController(w), first: true}
}

func (s *jsonStream) raw(b []byte) {
	if s.err != nil {
		return
	}
	// Not every writer has deadlines; those that have none are not slow clients.
	_ = s.rc.SetWriteDeadline(time.Now().Add(pieceTime))
	_, s.err = s.w.Write(b)
}

func (s *jsonStream) open(bracket string)  { s.raw([]byte(bracket)); s.first = true }
func (s *jsonStream) close(bracket string) { s.raw([]byte(bracket)); s.first = false }

// element begins the next element of a list.
func (s *jsonStream) element() {
	if !s.first {
		s.raw([]byte(","))
	}
	s.first = false
}

func (s *jsonStream) value(v any) {
	b, err := json.Marshal(v)
	if err != nil && s.err == nil {
		s.err = err
	}
	s.raw(b)
}

func (s *jsonStream) name(name string) {
	s.element()
	s.value(name)
	s.raw([]byte(":"))
}

func (s *jsonStream) member(name string, v any) {
	s.name(name)
	s.value(v)
}
