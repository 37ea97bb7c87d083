package consenttest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// keys returns the note keys of a controller of Document, the same ones each time.
func keys(id policy.ControllerID) (signer, verifier string) {
	seed := sha256.Sum256([]byte("consenttest controller " + string(id)))
	private := ed25519.NewKeyFromSeed(seed[:])
	name := string(id) + ".example.com"
	verifier, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		panic(fmt.Sprintf("consenttest: %v", err))
	}
	v, err := note.NewVerifier(verifier)
	if err != nil {
		panic(fmt.Sprintf("consenttest: %v", err))
	}
	const ed25519Algorithm = 1
	signer = fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, v.KeyHash(),
		base64.StdEncoding.EncodeToString(append([]byte{ed25519Algorithm}, seed[:]...)))
	return signer, verifier
}

// Verifier returns the note verifier key of a controller of Document.
func Verifier(id policy.ControllerID) string {
	_, v := keys(id)
	return v
}

// Receipt returns the receipt with which the controller answers a message.
func Receipt(t testing.TB, controller policy.ControllerID, m consent.Message, at time.Time) []byte {
	t.Helper()
	kind := map[wire.MessageKind]wire.ReceiptKind{
		wire.MsgConsent: wire.ReceiptConsent, wire.MsgWithdrawal: wire.ReceiptWithdrawal, wire.MsgErasure: wire.ReceiptErasure,
	}[m.Kind]
	if m.Kind == wire.MsgWithdrawal {
		w, key, err := wire.Open[wire.Withdrawal](m.Body)
		if err != nil || len(key) != ed25519.PublicKeySize {
			t.Fatal("receipt: not a signed withdrawal")
		}
		if w.Clear {
			kind = wire.ReceiptErasure
		}
	}
	signer, _ := keys(controller)
	s, err := note.NewSigner(signer)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.SignReceipt(wire.Receipt{
		Controller: string(controller), Kind: kind, Consent: m.Consent, Body: wire.HashOf(m.Body), Time: at,
	}, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// AcknowledgeAll answers every waiting message of a controller.
func AcknowledgeAll(t testing.TB, reg *consent.Register, controller policy.ControllerID) {
	t.Helper()
	for _, m := range reg.Outbox(controller) {
		if err := reg.Acknowledge(controller, m.Seq, Receipt(t, controller, m, time.Now())); err != nil {
			t.Fatal(err)
		}
	}
}
