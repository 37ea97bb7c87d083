package spool

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"time"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Sending is a batch as it is sent, the same bytes every time.
type Sending struct {
	ID    wire.UUID
	Body  []byte    // zstd of the deterministic CBOR of a wire.Batch
	Hash  wire.Hash // of Body
	Items int
	// Oldest is the hour of the oldest report in it.
	Oldest time.Time
}

// Next returns the batch to be sent next: the one that has not been acknowledged yet, or a new one made of the oldest reports,
// which is on the disk when Next returns. ErrEmpty when there is none; keyring.ErrNoKey when the consent has
// ended.
func (s *Spool) Next(consent wire.UUID) (Sending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sending, err := s.nextSending(consent)
	if err != nil && !errors.Is(err, ErrEmpty) {
		return Sending{}, fmt.Errorf("next batch of consent %s: %w", consent, err)
	}
	return sending, err
}

func (s *Spool) nextSending(consent wire.UUID) (Sending, error) {
	q := s.queues[consent]
	if q == nil {
		return Sending{}, ErrEmpty
	}
	aead, err := s.ready(q)
	if err != nil {
		return Sending{}, err
	}
	s.expire(q)
	if q.pending != nil {
		sending, err := q.resend(aead)
		if err == nil {
			return sending, nil
		}
		// The stored batch is damaged; its reports are in the segments.
		name := q.pending.name
		q.pending = nil
		if err := durable.Remove(q.path(name)); err != nil {
			q.spoilt(err)
			return Sending{}, err
		}
	}
	sending, err := q.build(aead)
	if err != nil && !errors.Is(err, ErrEmpty) {
		q.spoilt(err)
	}
	return sending, err
}

func (q *queue) resend(aead cipher.AEAD) (Sending, error) {
	st, _, err := q.readStored(aead, q.pending.name)
	if err != nil {
		return Sending{}, err
	}
	return st.sending(), nil
}

func (st stored) sending() Sending {
	return Sending{ID: st.id, Body: st.body, Hash: wire.HashOf(st.body), Items: st.items, Oldest: time.Unix(st.hour, 0).UTC()}
}

// build makes a batch of the oldest segments and stores it.
func (q *queue) build(aead cipher.AEAD) (Sending, error) {
	b := wire.Batch{Version: wire.BatchVersion, ID: wire.NewUUID(), Consent: q.consent}
	var last uint32
	size, hour := 0, int64(0)
	for i, seg := range q.segments {
		if len(b.Items) > 0 && (size+int(seg.bytes) > batchBytes || len(b.Items)+seg.reports > wire.MaxReports) {
			break
		}
		if i == len(q.segments)-1 {
			q.close() // what a batch was made of is not appended to
		}
		reports, err := q.readSegment(aead, seg.number)
		if err != nil {
			return Sending{}, err
		}
		if len(b.Items) > 0 && len(reports) > 0 && reports[0].Subtree != b.Subtree {
			break // made under another version of the policy: a batch of its own
		}
		for _, r := range reports {
			b.Subtree = r.Subtree
			b.Items = append(b.Items, r.Item)
		}
		if i == 0 || seg.oldest < hour {
			hour = seg.oldest
		}
		last, size = seg.number, size+int(seg.bytes)
	}
	if len(b.Items) == 0 {
		return Sending{}, ErrEmpty
	}
	plain, err := wire.EncodeBatch(b)
	if err != nil {
		return Sending{}, err
	}
	body, err := wire.Compress(plain)
	if err != nil {
		return Sending{}, err
	}
	name := fileName{a: q.segments[0].number, b: last, fate: "batch"}
	st := stored{hour, b.ID, len(b.Items), body}
	file := encodeStored(aead, q.consent, name.a, name.b, st)
	if err := durable.WriteFile(q.path(name), file, 0o600); err != nil {
		return Sending{}, err
	}
	q.pending = &batch{name: name, bytes: int64(len(file)), id: b.ID, items: st.items, hour: hour}
	return st.sending(), nil
}

// readSegment returns the reports of a segment. Frames that cannot be used were counted when the segment was loaded.
func (q *queue) readSegment(aead cipher.AEAD, number uint32) ([]wire.Report, error) {
	file, err := readFile(q.segmentPath(number), maxSegment)
	if err != nil {
		return nil, err
	}
	var reports []wire.Report
	_, err = scanSegment(file, aead, q.consent, number, func(rec record) error {
		if r, err := wire.DecodeReport(rec.report); err == nil {
			reports = append(reports, r)
		}
		return nil
	})
	return reports, err
}

// Preview returns the batch that will be sent next, unpacked and as it goes over the wire. It fixes the batch: what
// was previewed is what is sent. Errors are those of Next.
func (s *Spool) Preview(consent wire.UUID) (plain wire.Batch, body []byte, err error) {
	sending, err := s.Next(consent)
	if err != nil {
		return wire.Batch{}, nil, err
	}
	plain, err = unpack(sending.Body)
	if err != nil {
		return wire.Batch{}, nil, fmt.Errorf("preview: %w", err)
	}
	return plain, sending.Body, nil
}

func unpack(body []byte) (wire.Batch, error) {
	plain, err := wire.Decompress(body)
	if err != nil {
		return wire.Batch{}, err
	}
	return wire.DecodeBatch(plain)
}

// Acked says that the controller has the batch: its reports go. ErrNotPending when another batch is the next one.
// A consent that has been erased in the meantime is no error.
func (s *Spool) Acked(consent, id wire.UUID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(consent, id, "acked", ""); err != nil {
		return fmt.Errorf("acknowledge batch %s: %w", id, err)
	}
	return nil
}

// Rejected says that the controller refuses the batch for good. It is parked: kept, shown and counted under the
// reason (lower-case letters and hyphens), not sent again, and dropped with its retention or before
// anything else when space is short. Errors are those of Acked.
func (s *Spool) Rejected(consent, id wire.UUID, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !validReason(reason) {
		return fmt.Errorf("park batch %s: reason is not made of lower-case letters and hyphens", id)
	}
	if err := s.settle(consent, id, "parked", reason); err != nil {
		return fmt.Errorf("park batch %s: %w", id, err)
	}
	return nil
}

// settle checks that the batch is the pending one and gives it its fate.
func (s *Spool) settle(consent, id wire.UUID, fate, reason string) error {
	q := s.queues[consent]
	if q == nil {
		return nil
	}
	if _, err := s.ready(q); err != nil {
		return err
	}
	if q.pending == nil || q.pending.id != id {
		return ErrNotPending
	}
	if err := q.settle(fate, reason); err != nil {
		q.spoilt(err)
		return err
	}
	return nil
}

// Reports returns everything the spool holds of a consent, parked batches included: for the person's own copy.
func (s *Spool) Reports(consent wire.UUID) ([]wire.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[consent]
	if q == nil {
		return nil, nil
	}
	reports, err := s.reports(q)
	if err != nil {
		return nil, fmt.Errorf("reports of consent %s: %w", consent, err)
	}
	return reports, nil
}

func (s *Spool) reports(q *queue) ([]wire.Report, error) {
	aead, err := s.ready(q)
	if err != nil {
		return nil, err
	}
	var all []wire.Report
	for _, p := range q.parked {
		st, _, err := q.readStored(aead, p.name)
		if err != nil {
			return nil, err
		}
		b, err := unpack(st.body)
		if err != nil {
			return nil, err
		}
		for _, it := range b.Items {
			all = append(all, wire.Report{Consent: b.Consent, Subtree: b.Subtree, Item: it})
		}
	}
	for _, seg := range q.segments {
		reports, err := q.readSegment(aead, seg.number)
		if err != nil {
			return nil, err
		}
		all = append(all, reports...)
	}
	return all, nil
}
