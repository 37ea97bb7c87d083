package spool

import (
	"crypto/cipher"
	"fmt"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Edit calls edit with every item that is held of a consent, waiting, built into a batch or parked, and replaces those it changes: an
// item of which no field is left goes. It returns how many waiting and parked items were changed. It is for the person's
// corrections and erasures; nothing of it is sent meanwhile, and each file is replaced atomically, so that it can be repeated after
// a crash. A batch that was built keeps its id: where the controller had it already, it refuses the changed one, which is then parked.
// Errors are those of Next.
func (s *Spool) Edit(consent wire.UUID, edit func(wire.Item) (fields map[string]any, change bool)) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[consent]
	if q == nil {
		return 0, nil
	}
	aead, err := s.ready(q)
	if err == nil {
		var n int
		if n, err = q.edit(aead, edit); err == nil {
			return n, nil
		}
		q.spoilt(err)
	}
	return 0, fmt.Errorf("edit reports of consent %s: %w", consent, err)
}

// edit changes the files; afterwards the disk is looked at anew. The batch that was built comes first: its reports are in the
// segments as well, so it must not be sent as it was once one of those has changed.
func (q *queue) edit(aead cipher.AEAD, edit func(wire.Item) (map[string]any, bool)) (int, error) {
	q.close()
	total := 0
	if q.pending != nil {
		if _, err := q.editBatch(aead, q.pending.name, edit); err != nil {
			return 0, err
		}
	}
	for _, p := range q.parked {
		n, err := q.editBatch(aead, p.name, edit)
		if err != nil {
			return total, err
		}
		total += n
	}
	for _, seg := range q.segments {
		n, err := q.editSegment(aead, seg.number, edit)
		if err != nil {
			return total, err
		}
		total += n
	}
	q.stale = true
	return total, q.load(aead)
}

func (q *queue) editBatch(aead cipher.AEAD, name fileName, edit func(wire.Item) (map[string]any, bool)) (int, error) {
	st, _, err := q.readStored(aead, name)
	if err != nil {
		return 0, err
	}
	b, err := unpack(st.body)
	if err != nil {
		return 0, err
	}
	n := b.Edit(edit)
	switch {
	case n == 0:
		return 0, nil
	case len(b.Items) == 0:
		return n, durable.Remove(q.path(name))
	}
	if st.body, err = wire.Pack(b); err != nil {
		return 0, err
	}
	st.items = len(b.Items)
	return n, durable.WriteFile(q.path(name), encodeStored(aead, q.consent, name.a, name.b, st), 0o600)
}

func (q *queue) editSegment(aead cipher.AEAD, number uint32, edit func(wire.Item) (map[string]any, bool)) (int, error) {
	file, err := readFile(q.segmentPath(number), maxSegment)
	if err != nil {
		return 0, err
	}
	n, frames := 0, uint32(0)
	out := []byte(segmentMagic)
	_, err = scanSegment(file, aead, q.consent, number, func(rec record) error {
		r, err := wire.DecodeReport(rec.report)
		if err != nil {
			return nil //nolint:nilerr // it was counted as unreadable when the segment was loaded
		}
		if fields, change := edit(r.Item); change {
			n++
			if r.Item.Fields = fields; len(fields) == 0 {
				return nil
			}
			if rec.report, err = wire.EncodeReport(r); err != nil {
				return err
			}
		}
		out = appendFrame(out, aead, q.consent, number, frames, rec)
		frames++
		return nil
	})
	switch {
	case err != nil || n == 0:
		return 0, err
	case frames == 0:
		return n, durable.Remove(q.segmentPath(number))
	case len(out) > maxSegment:
		return 0, ErrTooLarge
	}
	return n, durable.WriteFile(q.segmentPath(number), out, 0o600)
}
