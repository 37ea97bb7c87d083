package wire

import (
	"bytes"
	"testing"
)

// Each target holds the decoder to one rule: what it accepts, encoded again, is the same bytes.

func FuzzReport(f *testing.F) {
	b, err := EncodeReport(someReport())
	f.Add(mustBytes(f, b, err))
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeReport(b)
		if err != nil {
			return
		}
		if again, err := EncodeReport(r); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x (%v)", b, again, err)
		}
	})
}

func FuzzBatch(f *testing.F) {
	b, err := EncodeBatch(someBatch())
	f.Add(mustBytes(f, b, err))
	f.Add([]byte{0xa5, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		batch, err := DecodeBatch(b)
		if err != nil {
			return
		}
		if again, err := EncodeBatch(batch); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x (%v)", b, again, err)
		}
	})
}

func FuzzMessage(f *testing.F) {
	for _, m := range []any{someConsent(), Withdrawal{Consent: someUUID, Controller: "c"}, Erasure{ID: someUUID, Consent: nextUUID, Controller: "c"}} {
		b, err := Sign(someKey, m)
		f.Add(mustBytes(f, b, err))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		opened := 0
		if _, _, err := Open[Consent](b); err == nil {
			opened++
		}
		if _, _, err := Open[Withdrawal](b); err == nil {
			opened++
		}
		if _, _, err := Open[Erasure](b); err == nil {
			opened++
		}
		if opened > 1 {
			t.Fatalf("one message has %d meanings", opened)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	signer, vkey := controllerKeys(f, "controller.example")
	b, err := SignReceipt(Receipt{Controller: "c", Kind: ReceiptBatch, Consent: someUUID}, signer)
	f.Add(mustBytes(f, b, err))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := OpenReceipt(b, vkey)
		if err != nil {
			return
		}
		if again, err := SignReceipt(r, signer); err != nil || !bytes.HasPrefix(b, again[:len(r.text())]) {
			t.Fatalf("%q became %q (%v)", b, again, err)
		}
	})
}

func FuzzProblem(f *testing.F) {
	f.Add([]byte(`{"type":"urn:scruple:problem:slow-down","title":"t","status":429,"detail":"d"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := DecodeProblem(b); err == nil && (len(p.Detail) > 200 || bytes.ContainsAny([]byte(p.Detail), "\n\r\x1b")) {
			t.Fatalf("detail is not tame: %q", p.Detail)
		}
	})
}

func FuzzEpoch(f *testing.F) {
	b, err := Marshal(someEpoch())
	f.Add(mustBytes(f, b, err))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEpoch(b)
		if err != nil {
			return
		}
		if again, err := Marshal(e); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x (%v)", b, again, err)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	b, err := Compress(bytes.Repeat([]byte("scruple"), 99))
	f.Add(mustBytes(f, b, err))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := Decompress(b); err == nil && len(plain) > MaxPlain {
			t.Fatalf("%d bytes came out", len(plain))
		}
	})
}

func FuzzIDs(f *testing.F) {
	f.Add(someUUID.String())
	f.Add(someHash.String())
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := ParseUUID(s); err == nil && u.String() != s {
			t.Fatalf("%q became %s", s, u)
		}
		if h, err := ParseHash(s); err == nil && h.String() != s {
			t.Fatalf("%q became %s", s, h)
		}
	})
}
