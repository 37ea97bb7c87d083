package spool

import (
	"cmp"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// queue is the state of one consent. The spool's lock guards it.
type queue struct {
	consent wire.UUID
	dir     string
	stale   bool  // the memory may differ from the disk: load first
	problem error // why the last operation did not succeed
	erasure error // why the last erasure did not succeed, until one does

	segments []segment     // oldest first
	active   *durable.File // the last segment's, nil when none is being written
	subtree  wire.Hash     // of the active segment's reports: a batch has one
	next     uint32        // number of the next segment
	pending  *batch        // the batch to be sent
	parked   []batch       // oldest first
	dropped  map[string]int
	high     int64 // latest hour seen: a clock that was set back prolongs nothing
}

// segment is one segment file.
type segment struct {
	number          uint32
	bytes           int64
	frames          uint32
	reports         int
	oldest          int64 // hour
	damaged, locked int   // frames that cannot be used: wrong checksum, unreadable
}

// batch is one batch file.
type batch struct {
	name  fileName
	bytes int64
	id    wire.UUID
	items int
	hour  int64
}

// droppedFile holds the counters of what was dropped, as JSON. It is a help for people: a crash may lose the
// last change of it, and what cannot be read counts as nothing.
const droppedFile = "dropped.json"

func (s *Spool) newQueue(consent wire.UUID) *queue {
	return &queue{consent: consent, dir: filepath.Join(s.dir, consent.String()), stale: true, dropped: map[string]int{}}
}

func (q *queue) path(n fileName) string { return filepath.Join(q.dir, n.String()) }

func (q *queue) segmentPath(number uint32) string { return q.path(fileName{a: number, fate: "seg"}) }

// spoilt forgets the open file and lets the next operation look at the disk.
func (q *queue) spoilt(err error) {
	q.close()
	q.stale, q.problem = true, err
}

func (q *queue) close() {
	if q.active != nil {
		q.active.Close()
		q.active = nil
	}
}

// now returns the current hour, or the latest that was seen before.
func (q *queue) now() time.Time {
	q.high = max(q.high, time.Now().Truncate(time.Hour).Unix())
	return time.Unix(q.high, 0)
}

func (q *queue) bytes() int64 {
	var n int64
	for _, s := range q.segments {
		n += s.bytes
	}
	for _, b := range q.parked {
		n += b.bytes
	}
	if q.pending != nil {
		n += q.pending.bytes
	}
	return n
}

func (q *queue) reports() int {
	n := 0
	for _, s := range q.segments {
		n += s.reports
	}
	return n
}

func (q *queue) oldest() (hour int64, ok bool) {
	for _, s := range q.segments {
		if !ok || s.oldest < hour {
			hour, ok = s.oldest, true
		}
	}
	return hour, ok
}

func (q *queue) stat() Stat {
	st := Stat{
		Consent: q.consent, Bytes: q.bytes(), Reports: q.reports(), Parked: map[string]int{}, Dropped: map[string]int{},
	}
	if hour, ok := q.oldest(); ok {
		st.Oldest = time.Unix(hour, 0).UTC()
	}
	for _, b := range q.parked {
		st.Parked[b.name.reason] += b.items
	}
	maps.Copy(st.Dropped, q.dropped)
	for _, s := range q.segments {
		st.Dropped[DroppedDamaged] += s.damaged
		st.Dropped[DroppedUnreadable] += s.locked
	}
	maps.DeleteFunc(st.Dropped, func(_ string, n int) bool { return n == 0 })
	switch {
	case q.erasure != nil:
		st.Problem = "erase: " + q.erasure.Error()
	case q.problem != nil:
		st.Problem = q.problem.Error()
	}
	return st
}

// load reads the folder anew: it finishes what a crash interrupted, cuts torn tails and authenticates every frame.
func (q *queue) load(aead cipher.AEAD) error {
	q.close()
	q.segments, q.pending, q.parked, q.next = nil, nil, nil, 1
	q.loadDropped()
	names, err := q.names()
	if err != nil {
		return err
	}
	for _, n := range names { // in the order of finishing: what was committed first
		switch n.fate {
		case "batch":
			q.loadPending(aead, n)
		case "parked":
			q.loadParked(aead, n)
		}
		q.next = max(q.next, n.a+1, n.b+1)
	}
	done := func(number uint32) bool {
		return slices.ContainsFunc(names, func(n fileName) bool {
			return (n.fate == "acked" || n.fate == "parked") && n.a <= number && number <= n.b
		})
	}
	for _, n := range names {
		if n.fate != "seg" {
			continue
		}
		if done(n.a) {
			err = durable.Remove(q.path(n))
		} else {
			err = q.loadSegment(aead, n)
		}
		if err != nil {
			return err
		}
	}
	for _, n := range names {
		if n.fate == "acked" {
			if err := durable.Remove(q.path(n)); err != nil {
				return err
			}
		}
	}
	// A batch none of whose segments is left has been dropped.
	if p := q.pending; p != nil && !slices.ContainsFunc(q.segments, p.covers) {
		q.pending = nil
		if err := durable.Remove(q.path(p.name)); err != nil {
			return err
		}
	}
	q.stale = false
	return nil
}

// names lists the folder by number, and removes leftovers of interrupted writes.
func (q *queue) names() ([]fileName, error) {
	entries, err := os.ReadDir(q.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []fileName
	for _, e := range entries {
		n, ok := parseName(e.Name())
		switch {
		case ok && n.fate == "tmp":
			if err := durable.Remove(filepath.Join(q.dir, e.Name())); err != nil {
				return nil, err
			}
		case ok:
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(x, y fileName) int { return cmp.Compare(x.a, y.a) })
	return names, nil
}

func (q *queue) loadSegment(aead cipher.AEAD, n fileName) error {
	path := q.path(n)
	file, err := readFile(path, maxSegment)
	if err != nil {
		return err
	}
	seg := segment{number: n.a}
	undecodable := 0
	found, err := scanSegment(file, aead, q.consent, n.a, func(r record) error {
		if _, err := wire.DecodeReport(r.report); err != nil {
			undecodable++ // sealed by us, but in a schema that is no longer ours
			return nil
		}
		return seg.see(r)
	})
	found.unreadable += undecodable
	q.high = max(q.high, seg.oldest)
	if err != nil || seg.reports == 0 {
		// Not a single report in it. An empty file is the trace of a crash at its creation.
		if lost := found.damaged + found.unreadable; lost > 0 {
			q.dropped[DroppedDamaged] += found.damaged
			q.dropped[DroppedUnreadable] += found.unreadable
			q.saveDropped()
		} else if len(file) > len(segmentMagic) {
			q.dropped[DroppedTorn]++
			q.saveDropped()
		}
		return durable.Remove(path)
	}
	seg.bytes, seg.frames, seg.damaged, seg.locked = found.good, found.frames, found.damaged, found.unreadable
	if found.good < int64(len(file)) {
		if err := cut(path, found.good); err != nil {
			return err
		}
		q.dropped[DroppedTorn]++
		q.saveDropped()
	}
	q.segments = append(q.segments, seg)
	return nil
}

// see counts one record.
func (s *segment) see(r record) error {
	if s.reports == 0 || r.hour < s.oldest {
		s.oldest = r.hour
	}
	s.reports++
	return nil
}

func (q *queue) loadPending(aead cipher.AEAD, n fileName) {
	b, err := q.readBatch(aead, n)
	if err != nil || q.pending != nil {
		// Its reports are still in the segments: another batch will be made of them.
		_ = durable.Remove(q.path(n))
		return
	}
	q.pending = &b
}

func (q *queue) loadParked(aead cipher.AEAD, n fileName) {
	b, err := q.readBatch(aead, n)
	if err != nil {
		b = batch{name: n} // listed, and dropped as the oldest of all
	}
	q.parked = append(q.parked, b)
}

func (q *queue) readBatch(aead cipher.AEAD, n fileName) (batch, error) {
	s, size, err := q.readStored(aead, n)
	if err != nil {
		return batch{}, err
	}
	return batch{name: n, bytes: size, id: s.id, items: s.items, hour: s.hour}, nil
}

func (q *queue) readStored(aead cipher.AEAD, n fileName) (stored, int64, error) {
	file, err := readFile(q.path(n), len(batchMagic)+sealOverhead+batchHead+wire.MaxBody)
	if err != nil {
		return stored{}, 0, err
	}
	s, err := decodeStored(aead, q.consent, n.a, n.b, file)
	return s, int64(len(file)), err
}

// readFile reads a file, but no more than limit bytes of it: what is longer was not written by us.
func readFile(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)))
}

// cut shortens a file to size bytes.
func cut(path string, size int64) error {
	f, err := durable.OpenAppend(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(size)
}

// also adds to err, which matters, what happened when its traces were removed.
func also(err, second error) error {
	if second == nil {
		return err
	}
	return fmt.Errorf("%w; and then: %w", err, second)
}

// append writes one record to the active segment, or to a new one when that is full, older than age, or holds
// reports of another policy subtree.
func (q *queue) append(aead cipher.AEAD, r record, subtree wire.Hash, age time.Duration) error {
	if q.active != nil {
		last := q.segments[len(q.segments)-1]
		if subtree != q.subtree || last.bytes+int64(len(r.report)) > segmentBytes || last.reports >= segmentReports ||
			time.Duration(r.hour-last.oldest)*time.Second >= age {
			q.close()
		}
	}
	if q.active == nil {
		q.subtree = subtree
		return q.begin(aead, r)
	}
	last := &q.segments[len(q.segments)-1]
	frame := appendFrame(nil, aead, q.consent, last.number, last.frames, r)
	if err := q.active.Append(frame); err != nil {
		// Cut what may have been written of it; the file is not appended to again in any case.
		q.close()
		return also(err, cut(q.segmentPath(last.number), last.bytes))
	}
	last.frames++
	last.bytes += int64(len(frame))
	return last.see(r)
}

// begin starts a new segment with r as its first record.
func (q *queue) begin(aead cipher.AEAD, r record) error {
	seg := segment{number: q.next}
	path := q.segmentPath(seg.number)
	f, err := durable.OpenAppend(path)
	if err != nil {
		return also(err, durable.Remove(path))
	}
	b := appendFrame([]byte(segmentMagic), aead, q.consent, seg.number, 0, r)
	if err := f.Append(b); err != nil {
		f.Close()
		return also(err, durable.Remove(path))
	}
	seg.frames, seg.bytes = 1, int64(len(b))
	q.next++
	q.active = f
	q.segments = append(q.segments, seg)
	return q.segments[len(q.segments)-1].see(r)
}

// covers reports whether a segment is in the batch.
func (b *batch) covers(s segment) bool { return b.name.a <= s.number && s.number <= b.name.b }

// removeSegments unlinks the segments from a to b. What could not be used in them is counted now.
func (q *queue) removeSegments(a, b uint32) error {
	for len(q.segments) > 0 && q.segments[0].number <= b {
		s := q.segments[0]
		if len(q.segments) == 1 {
			q.close()
		}
		if err := durable.Remove(q.segmentPath(s.number)); err != nil {
			return fmt.Errorf("segments %08x-%08x: %w", a, b, err)
		}
		q.segments = q.segments[1:]
		if s.damaged+s.locked > 0 {
			q.dropped[DroppedDamaged] += s.damaged
			q.dropped[DroppedUnreadable] += s.locked
			q.saveDropped()
		}
	}
	return nil
}

// dropFirst removes the oldest segment, with its batch if it is in one, and returns the number of reports.
func (q *queue) dropFirst() (int, error) {
	if len(q.segments) == 0 {
		return 0, nil
	}
	before := q.reports()
	var err error
	if p := q.pending; p != nil && p.covers(q.segments[0]) {
		err = q.settle("acked", "")
	} else {
		err = q.removeSegments(q.segments[0].number, q.segments[0].number)
	}
	return before - q.reports(), err
}

// settle gives the pending batch its fate. The system calls of the happy path:
//
//	rename(a-b.batch, a-b.acked) fsync(dir) { unlink(segment) fsync(dir) }... unlink(a-b.acked) fsync(dir)
func (q *queue) settle(fate, reason string) error {
	settled := *q.pending
	settled.name.fate, settled.name.reason = fate, reason
	if err := os.Rename(q.path(q.pending.name), q.path(settled.name)); err != nil {
		return err
	}
	if err := durable.SyncDir(q.dir); err != nil {
		return err
	}
	q.pending = nil
	if fate == "parked" {
		q.parked = append(q.parked, settled)
	}
	if err := q.removeSegments(settled.name.a, settled.name.b); err != nil {
		return err
	}
	if fate == "acked" {
		return durable.Remove(q.path(settled.name))
	}
	return nil
}

func (q *queue) removeParked(i int) error {
	if err := durable.Remove(q.path(q.parked[i].name)); err != nil {
		return err
	}
	q.parked = slices.Delete(q.parked, i, i+1)
	return nil
}

func (q *queue) loadDropped() {
	q.dropped = map[string]int{}
	if b, err := readFile(filepath.Join(q.dir, droppedFile), 4096); err == nil {
		counters := map[string]int{}
		if json.Unmarshal(b, &counters) == nil {
			for reason, n := range counters {
				if validReason(reason) && n > 0 {
					q.dropped[reason] = n
				}
			}
		}
	}
}

func (q *queue) saveDropped() {
	if b, err := json.Marshal(q.dropped); err == nil {
		_ = durable.WriteFile(filepath.Join(q.dir, droppedFile), b, 0o600) // see droppedFile
	}
}
