package receiver

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/policy"
)

// openNoteKey reads a note signer key, or makes one.
func openNoteKey(path, name string) (note.Signer, string, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := NewNoteKey(path, name); err != nil {
			return nil, "", err
		}
		key, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, "", err
	}
	return noteKey(path, string(key))
}

// NewNoteKey makes an Ed25519 note key, writes its private half to a new file (0600) and returns the public one, which
// goes into the policy. It never replaces a key that is there: os.ErrExist.
func NewNoteKey(path, name string) (verifier string, err error) {
	private, public, err := policy.GenerateKey(name)
	if err != nil {
		return "", err
	}
	if err := createFile(path, []byte(private+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	return public, nil
}

// ReadNoteKey reads what NewNoteKey wrote.
func ReadNoteKey(path string) (note.Signer, string, error) {
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	return noteKey(path, string(key))
}

// errNoteKey does not say what the file holds instead.
var errNoteKey = errors.New("not a private Ed25519 note key")

// noteKey reads "PRIVATE+KEY+NAME+HASH+KEY" and derives the public half.
func noteKey(path, text string) (note.Signer, string, error) {
	text = strings.TrimSpace(text)
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, errNoteKey)
	}
	const ed25519Alg = 1
	parts := strings.SplitN(text, "+", 5) // the last one, base64, may itself hold a "+"
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != ed25519Alg {
		return nil, "", fmt.Errorf("%s: %w", path, errNoteKey)
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	verifier, err := note.NewEd25519VerifierKey(signer.Name(), public)
	return signer, verifier, err
}
