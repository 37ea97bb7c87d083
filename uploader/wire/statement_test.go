package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
)

// What a message of any kind says about its consent is what it says when its kind is known.
func TestOpenAny(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
	for kind, m := range map[MessageKind]any{
		MsgConsent: Consent{
			Consent: someUUID, Controller: "messenger", Category: "c", Purpose: "p", Subtree: someHash, Notice: someHash, Time: 1, Expiry: 2, Sequence: 1,
		},
		MsgWithdrawal: Withdrawal{Consent: someUUID, Controller: "messenger", Sequence: 7},
		MsgErasure:    Erasure{ID: NewUUID(), Consent: someUUID, Controller: "messenger", Sequence: 3},
	} {
		b, err := Sign(key, m)
		if err != nil {
			t.Fatal(err)
		}
		s, by, err := OpenAny(b)
		want := map[MessageKind]uint64{MsgConsent: 1, MsgWithdrawal: 7, MsgErasure: 3}[kind]
		if err != nil || s != (Statement{kind, someUUID, "messenger", want}) || !by.Equal(key.Public()) {
			t.Errorf("%s: %+v, %v", kind, s, err)
		}
		b[len(b)-1] ^= 1
		if s, _, err := OpenAny(b); !errors.Is(err, ErrMalformed) || s != (Statement{}) {
			t.Errorf("%s, changed: %+v, %v", kind, s, err)
		}
	}
	// A message that does not count has the bytes it had before there were numbers.
	with, err := Marshal(Withdrawal{Consent: someUUID, Controller: "messenger"})
	if err != nil || with[0] != 0xa4 {
		t.Errorf("%x, %v", with, err)
	}
}

func FuzzOpenAny(f *testing.F) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
	for _, m := range []any{
		Withdrawal{Consent: someUUID, Controller: "c", Sequence: 9}, Erasure{ID: someUUID, Consent: someUUID, Controller: "c"},
	} {
		b, err := Sign(key, m)
		f.Add(mustBytes(f, b, err))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, by, err := OpenAny(b)
		if err != nil && s != (Statement{}) {
			t.Fatalf("a statement beside an error: %+v", s)
		}
		if err == nil && (len(by) != ed25519.PublicKeySize || s.Kind == "" || s.Consent.IsZero()) {
			t.Fatalf("half a statement: %+v", s)
		}
	})
}
