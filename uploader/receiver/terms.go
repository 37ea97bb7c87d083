package receiver

import (
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// A policy changes on the two ends at different times, and neither end takes the other's word for what a change
// means. The receiver holds the version in force and those earlier ones that it still accepts (Config.Earlier). A consent names the
// terms that the person agreed to by their hash, a batch those that it was made under; both must be in a document held
// here, the second the same as the first or provably narrower. What is enforced, fields and retention, is the
// narrowest of them, the version in force included where it is narrower.

// effective returns what a document held here says about a (category, purpose) of this controller, where its subtree is the
// one named.
func (rv *Receiver) effective(category policy.CategoryID, purpose policy.PurposeID, subtree wire.Hash) (policy.Effective, error) {
	refusal, other := refuse(wire.ProblemPolicyMismatch, "%s: the policy declares no such category and purpose",
		policy.Shown(string(category)+"/"+string(purpose))), false
	for _, d := range rv.documents() {
		e, err := d.Effective(category, purpose)
		switch {
		case err != nil || !e.Category.Asked():
			continue
		case e.Controller.ID != rv.cfg.Controller:
			if d == rv.cfg.Policy {
				other = true
				refusal = refuse(wire.ProblemWrongController, "the policy names another controller for this purpose")
			}
			continue
		case wire.Hash(e.SubtreeHash()) == subtree:
			return e, nil
		case !other:
			refusal = refuse(wire.ProblemPolicyMismatch, "the policy says something else about this purpose")
		}
	}
	return policy.Effective{}, refusal
}

// documents are the policies held here, the one in force first.
func (rv *Receiver) documents() []*policy.Document {
	return append([]*policy.Document{rv.cfg.Policy}, rv.cfg.Earlier...)
}

// covers returns what is enforced for something made under the named subtree, with a consent given to what a names.
func (rv *Receiver) covers(a agreement, subtree wire.Hash) (policy.Effective, error) {
	given, err := rv.effective(a.Category, a.Purpose, a.Subtree)
	if err != nil {
		return policy.Effective{}, err
	}
	made := given
	if subtree != a.Subtree {
		if made, err = rv.effective(a.Category, a.Purpose, subtree); err != nil {
			return policy.Effective{}, err
		}
		if narrower, _ := policy.Narrower(given, made); !narrower {
			return policy.Effective{}, refuse(wire.ProblemPolicyMismatch, "the consent was given to something else")
		}
	}
	now, err := rv.cfg.Policy.Effective(a.Category, a.Purpose)
	if err == nil && now.Controller.ID == rv.cfg.Controller {
		if narrower, _ := policy.Narrower(made, now); narrower {
			return now, nil
		}
	}
	return made, nil
}
