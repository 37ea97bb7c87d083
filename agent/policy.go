package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
)

var (
	// ErrPolicyKey says that the settings name another policy key than the one pinned at the first start.
	ErrPolicyKey = errors.New("the policy key is not the one that was pinned at the first start")
	// ErrPolicyOlder says that the policy is of an earlier version than one that was in force here.
	ErrPolicyOlder = errors.New("the policy is older than the one that was in force")
)

// openPolicy reads the policy that the settings name, or the built-in one, which is unsigned and so needs the
// development setting.
func (a *Agent) openPolicy() error {
	name, data := a.settings.PolicyFile, configs.PolicyYAML
	if name == "" {
		name = "built in"
	} else {
		var err error
		if data, err = readBounded(name); err != nil {
			return fmt.Errorf("policy: %w", err)
		}
	}
	document, err := policy.Load(name, data, policy.LoadOptions{Key: a.settings.PolicyKey, Dev: a.settings.Dev})
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	text, signed := string(data), false
	if n, err := openNote(data, a.settings.PolicyKey); err == nil {
		text, signed = n.Text, true
	}
	sum := sha256.Sum256(data)
	a.document = document
	a.policy = control.Policy{
		PolicyInfo: control.PolicyInfo{
			ID: document.ID, Version: document.Version, Effective: document.From,
			SHA256: hex.EncodeToString(sum[:]), Signed: signed, File: name,
		},
		YAML: text,
	}
	if !signed {
		a.log.Warn("the policy is unsigned: development only")
	}
	return nil
}

// openNote checks the signature of a policy note.
func openNote(data []byte, key string) (*note.Note, error) {
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	return note.Open(data, note.VerifierList(v))
}

// maxPolicy bounds a policy file; the one that declares the whole guideline is about 60 KB.
const maxPolicy = 4 << 20

func readBounded(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxPolicy {
		return nil, fmt.Errorf("%s: not a regular file of at most %d bytes", file, maxPolicy)
	}
	return os.ReadFile(file)
}

// pinPolicy pins the policy's key at the first start, and refuses another key or an older version afterwards.
func (a *Agent) pinPolicy() error {
	var key string
	var version int
	a.ring.View(func(s *keyring.State) { key, version = s.PolicyKey, s.PolicyVersion })
	if key != "" && a.policy.Signed && key != a.settings.PolicyKey {
		return fmt.Errorf("policy: %w (rotate it with a policy signed by the old key)", ErrPolicyKey)
	}
	if key != "" && !a.policy.Signed && !a.settings.Dev {
		return fmt.Errorf("policy: %w", ErrPolicyKey)
	}
	if a.document.Version < version {
		return fmt.Errorf("policy: %w: version %d after %d", ErrPolicyOlder, a.document.Version, version)
	}
	if version == a.document.Version && (key != "" || !a.policy.Signed) {
		return nil
	}
	err := a.ring.Update(func(s *keyring.State) error {
		s.PolicyVersion = a.document.Version
		if a.policy.Signed {
			s.PolicyKey = a.settings.PolicyKey
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("pin the policy: %w", err)
	}
	a.log.Info("policy in force", zap.Int("version", a.document.Version), zap.Bool("signed", a.policy.Signed))
	return nil
}
