package consent

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// samples returns one valid record of each shape.
func samples() []*Record {
	base := Record{
		Version: RecordVersion, Time: 1772366400, Subject: "1000", Controller: "messenger", Category: "contacts", Purpose: "find",
		PolicyID: "example", PolicyVersion: 1, Actor: Actor{UID: 1000, Channel: "cli", Person: true}, Counter: 3,
	}
	notice := Notice{Lang: "en", Text: "May the messenger?", SHA256: wire.HashOf([]byte("May the messenger?"))}
	with := func(change func(*Record)) *Record { r := base; change(&r); return &r }
	id := wire.NewUUID()
	return []*Record{
		with(func(r *Record) { r.Event = EventRequested }),
		with(func(r *Record) { r.Event, r.Notice, r.Subtree = EventRequested, notice, wire.Hash{1} }),
		with(func(r *Record) { r.Event = EventRefused }),
		with(func(r *Record) {
			r.Event, r.Notice, r.Subtree, r.Consent, r.Expiry, r.Message = EventGiven, notice, wire.Hash{1}, id, r.Time+1, []byte("m")
		}),
		with(func(r *Record) { r.Event, r.Consent, r.Message, r.Clear = EventWithdrawn, id, []byte("m"), true }),
		with(func(r *Record) { r.Event, r.Consent = EventExpired, id }),
		with(func(r *Record) { r.Event, r.Consent, r.Message = EventErased, id, []byte("m") }),
		with(func(r *Record) {
			r.Seq, r.Event, r.Consent, r.RefersTo, r.Receipt, r.Actor = 5, EventAcknowledged, id, 3, []byte("r"), agentItself
		}),
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range samples() {
		statement, rest, err := encodeRecord(r, wire.Hash{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(joinHalves(seed{}, statement, rest))
	}
	f.Add([]byte{})
	f.Add(joinHalves(seed{}, []byte{0xb2}, []byte{0xa9}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, statement, rest, err := splitHalves(b)
		if err != nil {
			return
		}
		if s, err := DecodeStatement(statement); err == nil {
			// The commitment is put right, or nothing but what is in the corpus would get further.
			s.Withheld = commitment(wire.Hash{}, rest)
			if statement, err = wire.Marshal(s); err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("unexpected kind of error: %v", err)
		}
		r, err := decodeRecord(statement, rest, wire.Hash{})
		if err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("unexpected kind of error: %v", err)
			}
			return
		}
		again, restAgain, err := encodeRecord(r, wire.Hash{})
		if err != nil || !bytes.Equal(again, statement) || !bytes.Equal(restAgain, rest) {
			t.Errorf("does not write what it read: %v", err)
		}
		if _, err := r.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzScanFrames(f *testing.F) {
	key := bytes.Repeat([]byte{1}, 32)
	var all []byte
	for i, r := range samples()[:4] {
		r.Seq = uint64(i)
		frame, _, err := sealFrame("messenger", 1, r, key)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, frame...)
		f.Add(all)
		f.Add(all[:len(all)-1])
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		good, err := scanFrames(bytes.NewReader(b), func(frame []byte, end int64) error {
			total += len(frame)
			if int(end) != total || !bytes.Equal(frame, b[total-len(frame):total]) {
				t.Error("a frame is not what is there")
			}
			if rec, err := openFrame(frame, "messenger", 1, uint64(0), key); err == nil && rec.Seq != 0 {
				t.Error("opened in another place")
			}
			return nil
		})
		if err != nil || int(good) != total || total > len(b) {
			t.Errorf("good %d of %d: %v", good, len(b), err)
		}
		if rest, err := readFrame(bytes.NewReader(b[good:])); err == nil {
			t.Errorf("stopped before a whole frame of %d bytes", len(rest))
		} else if good == int64(len(b)) && !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	})
}

// A record that does not fit together is not written and not read.
func TestRecordCheck(t *testing.T) {
	for i, r := range samples() {
		if err := r.check(); err != nil {
			t.Fatalf("sample %d: %v", i, err)
		}
	}
	for name, spoil := range map[string]func([]*Record) *Record{
		"version":                    func(s []*Record) *Record { s[0].Version = 1; return s[0] },
		"unknown event":              func(s []*Record) *Record { s[0].Event = "implied"; return s[0] },
		"no purpose":                 func(s []*Record) *Record { s[0].Purpose = ""; return s[0] },
		"unknown channel":            func(s []*Record) *Record { s[0].Actor.Channel = "?"; return s[0] },
		"negative time":              func(s []*Record) *Record { s[0].Time = -1; return s[0] },
		"notice of another hash":     func(s []*Record) *Record { s[1].Notice.SHA256[0]++; return s[1] },
		"refused with a consent":     func(s []*Record) *Record { s[2].Consent = wire.NewUUID(); return s[2] },
		"given by an application":    func(s []*Record) *Record { s[3].Actor = Actor{Channel: "app:example"}; return s[3] },
		"given without a notice":     func(s []*Record) *Record { s[3].Notice = Notice{}; return s[3] },
		"given without a message":    func(s []*Record) *Record { s[3].Message = nil; return s[3] },
		"given without an expiry":    func(s []*Record) *Record { s[3].Expiry = 0; return s[3] },
		"given without a consent":    func(s []*Record) *Record { s[3].Consent = wire.UUID{}; return s[3] },
		"a consent that is no UUID4": func(s []*Record) *Record { s[3].Consent[6] = 0; return s[3] },
		"expired with a message":     func(s []*Record) *Record { s[5].Message = []byte("m"); return s[5] },
		"expired with clear":         func(s []*Record) *Record { s[5].Clear = true; return s[5] },
		"erased without a message":   func(s []*Record) *Record { s[6].Message = nil; return s[6] },
		"receipt for a later record": func(s []*Record) *Record { s[7].RefersTo = 5; return s[7] },
		"receipt missing":            func(s []*Record) *Record { s[7].Receipt = nil; return s[7] },
		"huge notice": func(s []*Record) *Record {
			s[1].Notice.Text = string(make([]byte, maxNotice+1))
			s[1].Notice.SHA256 = wire.HashOf([]byte(s[1].Notice.Text))
			return s[1]
		},
	} {
		if _, _, err := encodeRecord(spoil(samples()), wire.Hash{}); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A frame opens only with its key and in its own place.
func TestFrameBelongsToItsPlace(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	r := samples()[0]
	r.Seq = 4
	frame, leaf, err := sealFrame("messenger", 1, r, key)
	if err != nil {
		t.Fatal(err)
	}
	if leafIn(frame) != leaf {
		t.Error("the leaf in the frame is another one")
	}
	if _, err := openFrame(frame, "messenger", 1, 4, key); err != nil {
		t.Error(err)
	}
	other := bytes.Repeat([]byte{2}, 32)
	for name, open := range map[string]func() (*Record, error){
		"other ledger":     func() (*Record, error) { return openFrame(frame, "payments", 1, 4, key) },
		"other generation": func() (*Record, error) { return openFrame(frame, "messenger", 2, 4, key) },
		"other number":     func() (*Record, error) { return openFrame(frame, "messenger", 1, 5, key) },
		"other key":        func() (*Record, error) { return openFrame(frame, "messenger", 1, 4, other) },
	} {
		if _, err := open(); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The same record twice has two leaves: a leaf says nothing about a guessed record.
	if _, again, _ := sealFrame("messenger", 1, r, key); again == leaf {
		t.Error("the leaf is not salted")
	}
}
