package spool

import (
	"crypto/cipher"
	"errors"
	"fmt"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Remove takes the reports for which gone says so out of what waits to be sent, and returns how many that were: the person has
// deleted an item. The batch that was to be sent next, and parked ones, are given up where they hold such a report: what
// else was in the first is sent in another batch, which may repeat to the controller what the first had brought; the rest
// of a parked one is dropped with it. A consent without a key has nothing left, which is no error.
//
// Each segment is replaced atomically; after an error some reports may be left: repeat it.
func (s *Spool) Remove(consent wire.UUID, gone func(wire.Report) bool) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[consent]
	if q == nil {
		return 0, nil
	}
	aead, err := s.ready(q)
	if errors.Is(err, keyring.ErrNoKey) {
		return 0, nil
	}
	if err == nil {
		var n int
		if n, err = s.remove(q, aead, gone); err == nil {
			return n, nil
		}
		q.spoilt(err)
	}
	return 0, fmt.Errorf("remove reports of consent %s: %w", consent, err)
}

func (s *Spool) remove(q *queue, aead cipher.AEAD, gone func(wire.Report) bool) (n int, err error) {
	q.close() // a file that was replaced is not appended to
	for i := len(q.parked) - 1; i >= 0; i-- {
		found, err := q.holds(aead, q.parked[i], gone)
		if err != nil {
			return n, err
		}
		if found > 0 {
			n += found
			if err := q.removeParked(i); err != nil {
				return n, err
			}
		}
	}
	if p := q.pending; p != nil {
		found, err := q.holds(aead, *p, gone)
		if err != nil {
			return n, err
		}
		if found > 0 { // its reports are in the segments too
			if err := durable.Remove(q.path(p.name)); err != nil {
				return n, err
			}
			q.pending = nil
		}
	}
	for _, seg := range q.segments {
		if p := q.pending; p != nil && p.covers(seg) {
			continue
		}
		removed, err := q.rewrite(aead, seg.number, gone)
		if err != nil {
			return n, err
		}
		n += removed
	}
	q.stale = true // what is in memory about the segments is read anew
	return n, nil
}

// holds counts the reports of a stored batch for which gone says so.
func (q *queue) holds(aead cipher.AEAD, b batch, gone func(wire.Report) bool) (n int, err error) {
	stored, _, err := q.readStored(aead, b.name)
	if err != nil {
		return 0, err
	}
	content, err := unpack(stored.body)
	if err != nil {
		return 0, err
	}
	for _, item := range content.Items {
		if gone(wire.Report{Consent: content.Consent, Subtree: content.Subtree, Item: item}) {
			n++
		}
	}
	return n, nil
}

// rewrite replaces a segment by one without the reports for which gone says so.
func (q *queue) rewrite(aead cipher.AEAD, number uint32, gone func(wire.Report) bool) (removed int, err error) {
	path := q.segmentPath(number)
	file, err := readFile(path, maxSegment)
	if err != nil {
		return 0, err
	}
	rest, frames := []byte(segmentMagic), uint32(0)
	if _, err := scanSegment(file, aead, q.consent, number, func(rec record) error {
		if r, err := wire.DecodeReport(rec.report); err == nil && gone(r) {
			removed++
			return nil
		}
		rest = appendFrame(rest, aead, q.consent, number, frames, rec)
		frames++
		return nil
	}); err != nil {
		return 0, err
	}
	switch {
	case removed == 0:
		return 0, nil
	case frames == 0:
		return removed, durable.Remove(path)
	}
	return removed, durable.WriteFile(path, rest, 0o600)
}
