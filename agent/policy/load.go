package policy

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

var (
	// ErrUnsigned says that a document is not a signed note, or that no key was pinned to check it with.
	ErrUnsigned = errors.New("policy is not signed by the pinned key")
	// ErrSignature says that a document's signature does not verify: it was changed after signing.
	ErrSignature = errors.New("policy signature does not verify")
	// ErrKey says that a key is not the note key that is needed.
	ErrKey = errors.New("not a note key")
)

// LoadOptions say what a document must prove before it is believed.
type LoadOptions struct {
	// Key is the note verifier key of the policy key, pinned when the agent was installed.
	Key string
	// Dev accepts a document without signature, for development only. A signature that is there is still
	// verified where Key is set.
	Dev bool
}

// Load reads a document as Parse does, after it has verified its signature. data is a signed note around
// the YAML, as Sign makes it; bare YAML is accepted with Dev only. The errors are ErrUnsigned,
// ErrSignature, ErrKey and Faults.
func Load(file string, data []byte, o LoadOptions) (*Document, error) {
	text, _, err := open(file, data, o)
	if err != nil {
		return nil, err
	}
	return Parse(file, text)
}

// noteText returns the text of a well-formed note, whoever signed it, or data itself.
func noteText(data []byte) ([]byte, bool) {
	_, err := note.Open(data, nil)
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return []byte(unverified.Note.Text), true
	}
	return data, false
}

// verify accepts a note that the verifier's key has signed; other signatures beside it do no harm.
func verify(file string, data []byte, v note.Verifier) error {
	_, err := note.Open(data, note.VerifierList(v))
	var (
		invalid    *note.InvalidSignatureError
		unverified *note.UnverifiedNoteError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return fmt.Errorf("%s: %w", file, ErrSignature)
	case errors.As(err, &unverified):
		return fmt.Errorf("%s: %w", file, ErrUnsigned)
	}
	return fmt.Errorf("%s: malformed note: %w", file, ErrSignature)
}

// Sign returns the document as a signed note. It refuses what Parse refuses, so that nothing faulty gets a
// signature. What is a note already gets one more signature, as the rotation of a policy key needs it: by the old key and
// the new one. signerKey is the private note key; it appears in no error.
func Sign(data []byte, signerKey string) ([]byte, error) {
	text, _ := noteText(data)
	if _, err := Parse("policy", text); err != nil {
		if _, keyErr := note.NewSigner(signerKey); keyErr != nil {
			err = ErrKey
		}
		return nil, fmt.Errorf("sign policy: %w", err)
	}
	return sign(data, signerKey)
}

func sign(data []byte, signerKey string) ([]byte, error) {
	s, err := note.NewSigner(signerKey)
	if err != nil {
		return nil, fmt.Errorf("sign policy: %w", ErrKey)
	}
	text, isNote := noteText(data)
	n := &note.Note{Text: string(text)}
	if isNote {
		_, err := note.Open(data, nil)
		var unverified *note.UnverifiedNoteError
		if errors.As(err, &unverified) {
			n = unverified.Note
		}
	} else if !bytes.HasSuffix(text, []byte("\n")) {
		n.Text += "\n"
	}
	out, err := note.Sign(n, s)
	if err != nil {
		return nil, errNoNote
	}
	if _, ok := noteText(out); !ok {
		return nil, errNoNote
	}
	return out, nil
}

// GenerateKey makes a policy or controller key: a signer key, to be kept secret, and the verifier key that
// is published. The name is shown in signatures; it has no spaces and no "+", and is by convention a domain name.
func GenerateKey(name string) (signer, verifier string, err error) {
	signer, verifier, err = note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", "", fmt.Errorf("generate key: %w", err)
	}
	if _, err := note.NewVerifier(verifier); err != nil {
		return "", "", fmt.Errorf("generate key: name: %w", ErrKey)
	}
	return signer, verifier, nil
}
