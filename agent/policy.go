package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/agent/keyring"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/configs"
)

var (
	// ErrPolicyKey says that the settings name another policy key than the one pinned at the first start.
	ErrPolicyKey = errors.New("the policy key is not the one that was pinned at the first start: a new key needs a later version of the policy, signed by the old key and the new one")
	// ErrPolicyOlder says that the policy is of an earlier version than one that was in force here.
	ErrPolicyOlder = errors.New("the policy is older than the one that was in force: put the later version back")
	// ErrPolicyDiffers says that a document says something else than before under the same version.
	ErrPolicyDiffers = errors.New("the policy has changed without a later version: put the former text back, or have it signed as a later version")
	// ErrPolicyMissing says that a document that was in force is not among the policy's files any more.
	ErrPolicyMissing = errors.New("a document of the policy that was in force is missing: put it back, or a later version of it")
	// ErrPolicyOther says that a document that came to a running agent is none of those in force.
	ErrPolicyOther = errors.New("not a later version of a document in force")
)

// inForce is a policy with everything that is derived from it. It is replaced as a whole.
type inForce struct {
	policy.Loaded
	info control.Policy
	// tuples has every tuple of the policy, and those that earlier ones had while the agent ran.
	tuples map[policy.Tuple]*collection
}

func (a *Agent) document() *policy.Document { return a.current.Load().Document }

func (a *Agent) collection(t policy.Tuple) *collection { return a.current.Load().tuples[t] }

// builtIn is the name of the example policy in messages.
const builtIn = "built in"

// policyFiles reads the files that the settings name, general first, or the built-in one, which is unsigned and so needs the
// development setting.
func (a *Agent) policyFiles() ([]policy.File, error) {
	if a.settings.PolicyFile == "" && len(a.settings.PolicyLayers) == 0 {
		return []policy.File{{Name: builtIn, Data: configs.PolicyYAML}}, nil
	}
	first := policy.File{Name: builtIn, Data: configs.PolicyYAML}
	names := a.settings.PolicyLayers
	if a.settings.PolicyFile != "" {
		first, names = policy.File{}, append([]string{a.settings.PolicyFile}, names...)
	}
	var files []policy.File
	if first.Name != "" {
		files = append(files, first)
	}
	for _, name := range names {
		data, err := readBounded(name)
		if err != nil {
			return nil, err
		}
		files = append(files, policy.File{Name: name, Data: data})
	}
	return files, nil
}

// openPolicy reads the policy: of each document the later of what the settings name and what came to the running agent.
func (a *Agent) openPolicy() error {
	files, err := a.policyFiles()
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	loaded, err := policy.LoadAll(files, a.loadOptions())
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if later := a.laterFiles(files, loaded); later != nil {
		if loaded, err = policy.LoadAll(later, a.loadOptions()); err != nil {
			return fmt.Errorf("policy: %w", err)
		}
	}
	a.current.Store(newInForce(loaded))
	if !loaded.Signed() {
		a.log.Warn("the policy is unsigned: development only")
	}
	return nil
}

func (a *Agent) loadOptions() policy.LoadOptions {
	return policy.LoadOptions{Key: a.settings.PolicyKey, Dev: a.settings.Dev}
}

// newInForce describes a policy, still without tuples.
func newInForce(l policy.Loaded) *inForce {
	all := sha256.New()
	name := ""
	for _, p := range l.Parts {
		all.Write(p.Note)
		if name != "" {
			name += ", "
		}
		name += p.File
	}
	f := &inForce{Loaded: l, info: control.Policy{
		PolicyInfo: control.PolicyInfo{
			ID: l.Document.ID, Version: l.Document.Version, Effective: l.Document.From,
			SHA256: hex.EncodeToString(all.Sum(nil)), Signed: l.Signed(), File: name,
		},
		YAML: string(l.YAML), Conflicts: changes(l.Conflicts, nil),
	}}
	if len(l.Parts) > 1 {
		for _, p := range l.Parts {
			f.info.Layers = append(f.info.Layers, control.PolicyLayer{ID: p.ID, Version: p.Version, File: p.File})
		}
	}
	return f
}

// storedPolicy is where a document is kept that came to the running agent.
func (a *Agent) storedPolicy(id string) string {
	return filepath.Join(a.settings.StateDir, "policy", id+".note")
}

// laterFiles returns the files with those replaced of which a later version was stored; nil when there is none. A stored
// file that cannot be believed is passed over: the mark in the ring refuses what is then too old.
func (a *Agent) laterFiles(files []policy.File, l policy.Loaded) []policy.File {
	var later []policy.File
	for i, p := range l.Parts {
		name := a.storedPolicy(p.ID)
		data, err := readBounded(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		part := policy.Part{}
		if err == nil {
			part, err = policy.Inspect(policy.File{Name: name, Data: data}, a.loadOptions())
		}
		if err != nil || part.ID != p.ID {
			a.log.Warn("a stored policy is not used", zap.String("policy", p.ID), zap.Error(err))
			continue
		}
		if part.Version > p.Version {
			if later == nil {
				later = append(later, files...)
			}
			later[i] = policy.File{Name: name, Data: data}
		}
	}
	return later
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

// admit checks a policy against what was in force before: the pinned key, versions that only rise, the same words under
// the same version, no document gone. It returns the marks that the ring is to have.
func (a *Agent) admit(l policy.Loaded) (marks map[string]keyring.PolicyMark, err error) {
	var (
		key     string
		version int
	)
	a.ring.View(func(s *keyring.State) {
		key, version, marks = s.PolicyKey, s.PolicyVersion, maps.Clone(s.Policies)
	})
	if marks == nil {
		marks = map[string]keyring.PolicyMark{}
	}
	signed := l.Signed()
	switch {
	case key == "" || key == a.settings.PolicyKey:
	case signed && l.Document.Version > version:
		// A new key, which the old one has to vouch for. Only with a later version: else the note of the rotation itself would
		// lead back to the old key.
		for _, p := range l.Parts {
			if policy.SignedBy(p.File, p.Note, key) != nil {
				return nil, fmt.Errorf("%s: %w", p.File, ErrPolicyKey)
			}
		}
	case signed || !a.settings.Dev:
		return nil, ErrPolicyKey
	}
	if key != "" && !signed && !a.settings.Dev {
		return nil, ErrPolicyKey
	}
	if l.Document.Version < version {
		return nil, fmt.Errorf("%w: version %d after %d", ErrPolicyOlder, l.Document.Version, version)
	}
	if !signed {
		return marks, nil // whoever may use unsigned ones may change them
	}
	seen := map[string]bool{}
	for _, p := range l.Parts {
		seen[p.ID] = true
		mark, ok := marks[p.ID]
		digest := sha256.Sum256(p.Text)
		switch {
		case ok && p.Version < mark.Version:
			return nil, fmt.Errorf("%s: %w: version %d after %d", p.File, ErrPolicyOlder, p.Version, mark.Version)
		case ok && p.Version == mark.Version && string(mark.Digest) != string(digest[:]):
			return nil, fmt.Errorf("%s: %w: version %d", p.File, ErrPolicyDiffers, p.Version)
		}
		marks[p.ID] = keyring.PolicyMark{Version: p.Version, Digest: digest[:]}
	}
	for id := range marks {
		if !seen[id] {
			return nil, fmt.Errorf("%s: %w", id, ErrPolicyMissing)
		}
	}
	return marks, nil
}

// pinPolicy pins the policy's key at the first start, and refuses afterwards what admit refuses.
func (a *Agent) pinPolicy() error {
	l := a.current.Load().Loaded
	marks, err := a.admit(l)
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := a.mark(l, marks); err != nil {
		return fmt.Errorf("pin the policy: %w", err)
	}
	return nil
}

// mark writes what admit allowed to the ring, if it is not there yet.
func (a *Agent) mark(l policy.Loaded, marks map[string]keyring.PolicyMark) error {
	known := true
	a.ring.View(func(s *keyring.State) {
		known = s.PolicyVersion == l.Document.Version && (!l.Signed() || s.PolicyKey == a.settings.PolicyKey) && len(s.Policies) == len(marks)
		for id, m := range marks {
			known = known && s.Policies[id].Version == m.Version
		}
	})
	if known {
		return nil
	}
	err := a.ring.Update(func(s *keyring.State) error {
		s.PolicyVersion = l.Document.Version
		if l.Signed() {
			s.PolicyKey, s.Policies = a.settings.PolicyKey, marks
		}
		return nil
	})
	if err == nil {
		a.log.Info("policy in force", zap.Int("version", l.Document.Version), zap.Bool("signed", l.Signed()))
	}
	return err
}

// ReloadPolicy reads the policy's files again and puts a later version into force; with none it returns the policy as it is. After an error
// the policy in force stays, and the status says why.
func (a *Agent) ReloadPolicy() (control.PolicyUpdate, error) { return a.updatePolicy(nil) }

// UpdatePolicy implements server.Backend. It answers nothing for the person: what is not provably narrower waits for them.
func (a *Agent) UpdatePolicy(_ context.Context, by server.Actor, note []byte) (control.PolicyUpdate, error) {
	u, err := a.updatePolicy(note)
	if err == nil {
		a.log.Info("policy update asked for", zap.String("channel", by.Channel))
		return u, nil
	}
	kind := control.KindPolicy
	var faults policy.Faults
	if errors.As(err, &faults) {
		kind = control.KindBadRequest
	}
	return u, control.NewProblem(kind, "", err.Error())
}

// updatePolicy puts a later version of a document into force; nil reads the files of the settings again. A crash in
// between leaves either version: each step is repeated at the next start.
func (a *Agent) updatePolicy(note []byte) (u control.PolicyUpdate, err error) {
	a.updating.Lock()
	defer a.updating.Unlock()
	if note == nil {
		defer func() {
			a.refused.Store(nil)
			if err != nil {
				why := err.Error()
				a.refused.Store(&why)
			}
		}()
	}
	before := a.current.Load()
	var files []policy.File
	id := ""
	if note == nil {
		if files, err = a.policyFiles(); err != nil {
			return control.PolicyUpdate{}, err
		}
	} else {
		part, err := policy.Inspect(policy.File{Name: "policy", Data: note}, a.loadOptions())
		if err != nil {
			return control.PolicyUpdate{}, err
		}
		for _, p := range before.Parts {
			f := policy.File{Name: p.File, Data: p.Note}
			if p.ID == part.ID {
				id, f = p.ID, policy.File{Name: a.storedPolicy(p.ID), Data: note}
			}
			files = append(files, f)
		}
		if id == "" {
			return control.PolicyUpdate{}, fmt.Errorf("%w: it has another id", ErrPolicyOther)
		}
	}
	loaded, err := policy.LoadAll(files, a.loadOptions())
	if err != nil {
		return control.PolicyUpdate{}, err
	}
	if note == nil {
		if later := a.laterFiles(files, loaded); later != nil {
			if loaded, err = policy.LoadAll(later, a.loadOptions()); err != nil {
				return control.PolicyUpdate{}, err
			}
		}
	}
	marks, err := a.admit(loaded)
	if err != nil {
		return control.PolicyUpdate{}, err
	}
	if id != "" {
		if err := durable.MkdirAll(filepath.Join(a.settings.StateDir, "policy")); err != nil {
			return control.PolicyUpdate{}, err
		}
		if err := durable.WriteFile(a.storedPolicy(id), note, 0o600); err != nil {
			return control.PolicyUpdate{}, err
		}
	}
	if err := a.mark(loaded, marks); err != nil {
		return control.PolicyUpdate{}, err
	}
	after := newInForce(loaded)
	if err := a.register.SetPolicy(loaded.Document); err != nil {
		if errors.Is(err, consent.ErrClosed) {
			return control.PolicyUpdate{}, err
		}
		a.log.Warn("a step of the policy change failed and will be repeated", zap.Error(err))
	}
	a.adopt(after)
	a.wake()
	a.uploader.Kick()
	diff := policy.Diff(before.Document, loaded.Document)
	return control.PolicyUpdate{PolicyInfo: after.info.PolicyInfo, Before: before.info.Version, Changes: changes(diff, a.goesOn)}, nil
}

// adopt makes a policy the one that everything here goes by. The register has closed what ended already.
func (a *Agent) adopt(f *inForce) {
	f.tuples = map[policy.Tuple]*collection{}
	if old := a.current.Load(); old.tuples != nil {
		f.tuples = maps.Clone(old.tuples)
	}
	var changed []*collection
	for _, t := range f.Document.Tuples(a.subject) {
		rules, err := f.Document.Effective(t.Category, t.Purpose)
		if err != nil { // the tuple was listed by the same document
			panic(fmt.Sprintf("agent: tuple %s is not in its own policy: %v", t, err))
		}
		c := f.tuples[t]
		if c == nil {
			c = &collection{agent: a, tuple: t}
			f.tuples[t] = c
		} else if c.rules().SubtreeHash() != rules.SubtreeHash() {
			changed = append(changed, c)
		}
		c.terms.Store(&rules)
	}
	a.current.Store(f)
	for _, c := range changed {
		c.renew()
	}
}

// goesOn reports whether a consent for a (category, purpose) that was given before is in force.
func (a *Agent) goesOn(c policy.CategoryID, p policy.PurposeID) bool {
	t, err := a.document().Tuple(a.subject, string(c)+"/"+string(p))
	return err == nil && a.register.State(t).InForce
}

// PolicyChanges implements server.Backend: what differs from what the person agreed to.
func (a *Agent) PolicyChanges(context.Context) ([]control.PolicyChange, error) {
	return changes(a.register.Changed(), a.goesOn), nil
}

// changes gives differences the form that the API has. goesOn may be nil.
func changes(list []policy.Change, goesOn func(policy.CategoryID, policy.PurposeID) bool) []control.PolicyChange {
	out := []control.PolicyChange{}
	for _, c := range list {
		one := control.PolicyChange{
			Kind: string(c.Kind), Subject: c.Subject(), Narrower: c.Narrower || c.Kind == policy.Changed && !c.Subtree, Details: []control.PolicyDetail{},
		}
		if c.Category != "" {
			one.Tuple = string(c.Category) + "/" + string(c.Purpose)
			one.GoesOn = goesOn != nil && c.Kind == policy.Changed && goesOn(c.Category, c.Purpose)
		}
		for _, d := range c.Details {
			one.Details = append(one.Details, control.PolicyDetail(d))
		}
		out = append(out, one)
	}
	return out
}
