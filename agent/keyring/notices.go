package keyring

import (
	"fmt"
	"slices"

	"github.com/scruple-agent/scruple/agent/policy"
)

// NoticeMark is what this device has seen of one controller's notices. It outlives consents: a notice that was seen once is
// never believed to be new.
type NoticeMark struct {
	// Number and Hash are of the latest notice that was verified.
	Number uint64 `cbor:"1,keyasint"`
	Hash   []byte `cbor:"2,keyasint"`
	// Key seals the file of the notices that are kept.
	Key Secret `cbor:"3,keyasint"`
	// Next is when to ask again by itself, in unix seconds.
	Next int64 `cbor:"4,keyasint"`
	// Unread are the numbers that the person has not been shown, ascending.
	Unread []uint64 `cbor:"5,keyasint,omitempty"`
	// Stops are the numbers of the breaches that stop the lanes until the person decides, ascending.
	Stops []uint64 `cbor:"6,keyasint,omitempty"`
	// Ends is when the service ends, in unix seconds, 0 when no end was announced.
	Ends int64 `cbor:"7,keyasint,omitempty"`
}

// Format shows how much there is.
func (m NoticeMark) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "notices up to %d", m.Number) }

// cloneNotices gives s its own copy of the marks of another state.
func (s *State) cloneNotices(from *State) {
	s.Notices = make(map[policy.ControllerID]*NoticeMark, len(from.Notices)+1)
	for id, m := range from.Notices {
		c := *m
		c.Hash, c.Key, c.Unread, c.Stops = slices.Clone(m.Hash), slices.Clone(m.Key), slices.Clone(m.Unread), slices.Clone(m.Stops)
		s.Notices[id] = &c
	}
}

func (s *State) wipeNotices() {
	for _, m := range s.Notices {
		clear(m.Key)
	}
}

// noticesOK reports whether the marks can be such.
func (s *State) noticesOK() bool {
	for id, m := range s.Notices {
		if id == "" || m == nil || len(m.Key) != KeySize || m.Next < 0 || m.Ends < 0 || (m.Number == 0) != (len(m.Hash) == 0) ||
			len(m.Hash) != 0 && len(m.Hash) != 32 {
			return false
		}
		for _, list := range [][]uint64{m.Unread, m.Stops} {
			if !slices.IsSorted(list) || len(list) > 0 && (list[0] == 0 || list[len(list)-1] > m.Number) {
				return false
			}
		}
	}
	return true
}
