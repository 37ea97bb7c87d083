package policy_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
)

func hexOf(h [32]byte) string { return hex.EncodeToString(h[:]) }

func keys(t testing.TB) (signer, verifier string) {
	t.Helper()
	signer, verifier, err := policy.GenerateKey("policy.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func TestLoad(t *testing.T) {
	signer, key := keys(t)
	otherSigner, otherKey := keys(t)
	signed, err := policy.Sign([]byte(small), signer)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := policy.Sign([]byte(small), otherSigner)
	if err != nil {
		t.Fatal(err)
	}
	changed := []byte(strings.Replace(string(signed), "level: 12", "level: 13", 1))
	cut := signed[:len(signed)-20]
	for _, tt := range []struct {
		name string
		data []byte
		o    policy.LoadOptions
		want error
	}{
		{"signed", signed, policy.LoadOptions{Key: key}, nil},
		{"signed, development", signed, policy.LoadOptions{Key: key, Dev: true}, nil},
		{"signed, development without a key", signed, policy.LoadOptions{Dev: true}, nil},
		{"bare, development", []byte(small), policy.LoadOptions{Dev: true}, nil},
		{"bare, development with a key", []byte(small), policy.LoadOptions{Key: key, Dev: true}, nil},
		{"bare", []byte(small), policy.LoadOptions{Key: key}, policy.ErrUnsigned},
		{"bare without a key", []byte(small), policy.LoadOptions{}, policy.ErrUnsigned},
		{"signed, no key pinned", signed, policy.LoadOptions{}, policy.ErrUnsigned},
		{"signed by another", foreign, policy.LoadOptions{Key: key}, policy.ErrUnsigned},
		{"signed by another, development", foreign, policy.LoadOptions{Key: key, Dev: true}, policy.ErrUnsigned},
		{"changed after signing", changed, policy.LoadOptions{Key: key}, policy.ErrSignature},
		{"changed, development", changed, policy.LoadOptions{Key: key, Dev: true}, policy.ErrSignature},
		{"cut off", cut, policy.LoadOptions{Key: key}, policy.ErrUnsigned},
		{"another key", signed, policy.LoadOptions{Key: otherKey}, policy.ErrUnsigned},
		{"a pinned signer key", signed, policy.LoadOptions{Key: signer}, policy.ErrKey},
		{"a pinned nonsense", signed, policy.LoadOptions{Key: "nonsense"}, policy.ErrKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := policy.Load("p", tt.data, tt.o)
			if !errors.Is(err, tt.want) || (d == nil) != (tt.want != nil) {
				t.Fatalf("got %v, %v, want %v", d != nil, err, tt.want)
			}
			if err == nil && d.Version != 3 {
				t.Errorf("version %d", d.Version)
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	signer, verifier := keys(t)
	if _, err := policy.Sign([]byte("policy: x\n"), signer); err == nil {
		t.Error("a faulty document was signed")
	}
	if _, err := policy.Sign([]byte(small), verifier); !errors.Is(err, policy.ErrKey) {
		t.Errorf("signed with a verifier key: %v", err)
	}
	tabbed := strings.Replace(small, "version: 3", "version: 3 #\ttab", 1)
	if _, err := policy.Sign([]byte(tabbed), signer); err == nil {
		t.Error("a text was signed that cannot be read back")
	}
	spoilt := signer[:len(signer)-4] + "AAA="
	if _, err := policy.Sign([]byte(small), spoilt); !errors.Is(err, policy.ErrKey) || strings.Contains(err.Error(), "AAA=") {
		t.Errorf("spoilt key: %v", err)
	}
	// Signing keeps the lines, so that faults of a signed file name the right ones.
	signed, err := policy.Sign([]byte(strings.TrimRight(small, "\n")), signer)
	if err != nil || !strings.HasPrefix(string(signed), small) {
		t.Errorf("the text changed: %v", err)
	}
	for _, name := range []string{"", "two words", "a+b"} {
		if _, _, err := policy.GenerateKey(name); !errors.Is(err, policy.ErrKey) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	signer, key := keys(f)
	signed, err := policy.Sign([]byte(small), signer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte("policy: small\n\n— policy.example.com AAAAAAA=\n"))
	f.Add([]byte("\n\n— "))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := policy.Load("p", data, policy.LoadOptions{Key: key})
		if err == nil && !strings.HasPrefix(string(data), small) {
			t.Fatalf("something else than what was signed was accepted: version %d", d.Version)
		}
		_, _ = policy.Load("p", data, policy.LoadOptions{Dev: true})
	})
}
