package consent

import (
	"bytes"
	"errors"
	"testing"

	"github.com/scruple-agent/scruple/uploader/wire"
)

// The half of a record that a receipt shows holds nothing that another record of the person holds too: no id, account,
// message, receipt or counter, and its commitment says nothing about them.
func TestStatementCarriesNoIdentifier(t *testing.T) {
	for i, r := range samples() {
		r.Subject, r.Actor.UID, r.Counter, r.Message, r.Receipt = "canary-subject", 717171, 818181, nonEmpty(r.Message), nonEmpty(r.Receipt)
		one, rest, err := encodeRecord(r, newSeed().blind())
		if err != nil {
			t.Fatalf("sample %d: %v", i, err)
		}
		id, err := wire.Marshal(r.Consent)
		if err != nil {
			t.Fatal(err)
		}
		uid, err := wire.Marshal(r.Actor.UID)
		if err != nil {
			t.Fatal(err)
		}
		counter, err := wire.Marshal(r.Counter)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string][]byte{
			"consent": id, "subject": []byte("canary-subject"), "uid": uid, "counter": counter, "message": []byte("canary-message"),
		} {
			if bytes.Contains(one, value) && !(name == "consent" && r.Consent.IsZero()) {
				t.Errorf("sample %d: the statement holds the %s", i, name)
			}
			if name != "message" && !bytes.Contains(rest, value) {
				t.Errorf("sample %d: the %s is nowhere", i, name)
			}
		}
		other, _, err := encodeRecord(r, newSeed().blind())
		if err != nil || bytes.Equal(one, other) {
			t.Errorf("sample %d: two records of the same content have the same commitment (%v)", i, err)
		}
		if _, err := DecodeStatement(one); err != nil {
			t.Errorf("sample %d: %v", i, err)
		}
	}
}

func nonEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return []byte("canary-message")
}

// The salt that a receipt shows does not open what is withheld, and the halves of two records do not fit together.
func TestHalvesBelongTogether(t *testing.T) {
	s, other := newSeed(), newSeed()
	if s.salt() == s.blind() {
		t.Error("salt and blind are the same")
	}
	r := samples()[3]
	statement, rest, err := encodeRecord(r, s.blind())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeRecord(statement, rest, s.blind()); err != nil {
		t.Error(err)
	}
	r.Consent = wire.NewUUID()
	_, otherRest, err := encodeRecord(r, s.blind())
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() (*Record, error){
		"the salt for the blind": func() (*Record, error) { return decodeRecord(statement, rest, s.salt()) },
		"another record's blind": func() (*Record, error) { return decodeRecord(statement, rest, other.blind()) },
		"another record's half":  func() (*Record, error) { return decodeRecord(statement, otherRest, s.blind()) },
	} {
		if _, err := open(); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
