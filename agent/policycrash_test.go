package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestPolicyUpdateStoppedAtEveryStep cuts the power before every durable step of a policy update, and then before every step of
// the start after it. The agent starts; one version is in force, whole; what was agreed to and has not changed goes on;
// nothing is read under terms that nobody agreed to; nothing that was stored is lost; and the update can be
// done again, after which the receivers hear of every consent that it ended.
func TestPolicyUpdateStoppedAtEveryStep(t *testing.T) {
	house := newDeployment(t)
	for name, next := range map[string]terms{
		"narrower":           {"messenger", 300, 1},
		"narrower content":   {"messenger", 400, 100},
		"wider":              {"messenger", 500, 1},
		"another controller": {"payments", 400, 1},
	} {
		for _, file := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, from a file %v", name, file), func(t *testing.T) {
				dir := inMemory(t)
				synctest.Test(t, func(t *testing.T) {
					u := policyUpdate{t: t, house: house, dir: dir, next: next, file: file, versions: map[int]bool{}}
					for _, torn := range []int{0, 40} {
						n := 1
						for u.stoppedAt(n, torn) {
							n++
						}
						if n < 4 {
							t.Errorf("only %d steps", n-1)
						}
					}
					if !u.versions[1] && !file || !u.versions[2] {
						t.Errorf("after the power cuts only %v was in force: the test shows less than it says", u.versions)
					}
				})
			})
		}
	}
}

type policyUpdate struct {
	t        *testing.T
	house    *deployment
	dir      string
	next     terms // of purpose compare
	file     bool  // the update comes as the file that the settings name
	worlds   int
	versions map[int]bool // in force after a power cut
}

// stoppedAt lives one update that is stopped before the n-th step; false when it has fewer.
func (u *policyUpdate) stoppedAt(n, torn int) bool {
	u.worlds++
	dir := filepath.Join(u.dir, fmt.Sprint(u.worlds))
	w := aloneWorld(u.t, u.house, dir, rand.New(rand.NewPCG(uint64(n), uint64(torn))))
	defer w.endAlone("stopped at %d (%d)", n, torn)
	for _, p := range []policy.PurposeID{"compare", "rank"} {
		w.grant(p)
		w.read(p)
	}
	changed, unchanged := w.given["compare"].id, w.given["rank"].id
	other := map[policy.PurposeID]terms{"compare": u.next, "rank": w.current()["rank"], "coach": w.current()["coach"]}
	w.addVersion(other)
	w.renewReceivers()
	w.between = 2
	if u.file { // by whoever installs it, not by the agent
		if err := os.WriteFile(w.policyFile(), w.notes[1], 0o600); err != nil {
			u.t.Fatal(err)
		}
	}

	w.steps.StopAt(n, torn)
	err := u.update(w)
	stopped := w.steps.Stopped()
	switch {
	case stopped:
		u.restart(w)
		u.versions[w.agent.document().Version] = true
	case err != nil:
		w.failf("not stopped: %v", err)
	default:
		w.steps.StopAt(0, 0)
		w.adopt(2)
	}
	u.whole(w, changed, unchanged)
	if err := u.update(w); err != nil {
		w.failf("the update cannot be done again: %v", err)
	}
	if w.version != 2 {
		w.adopt(2)
	}
	u.whole(w, changed, unchanged)
	w.quiesce()
	if away := u.next.controller != "messenger"; away != w.account.withdrawn[changed] {
		w.failf("the receiver knows of an end: %v, want %v", !away, away)
	}
	return stopped
}

func (u *policyUpdate) update(w *world) error {
	if u.file {
		_, err := w.agent.ReloadPolicy()
		return err
	}
	_, err := w.agent.UpdatePolicy(context.Background(), modelPerson, w.notes[1])
	return err
}

// restart cuts the power, and cuts it again before every step of the start.
func (u *policyUpdate) restart(w *world) {
	w.agent.Close()
	for n := 1; ; n++ {
		if err := w.steps.Lose(w.r); err != nil {
			u.t.Fatal(err)
		}
		w.steps.StopAt(n, 0)
		err := w.open()
		if !w.steps.Stopped() {
			if err != nil {
				u.t.Fatalf("the agent does not start again: %v", err)
			}
			break
		}
		if err == nil {
			w.agent.Close()
		}
	}
	w.steps.StopAt(0, 0)
	w.settle()
}

// whole holds the agent against the version that is in force.
func (u *policyUpdate) whole(w *world, changed, unchanged wire.UUID) {
	w.check()
	for p, id := range map[string]wire.UUID{"compare": changed, "rank": unchanged} {
		if stored, err := w.agent.spool.Reports(id); err != nil || len(stored) == 0 {
			w.failf("%s: what was stored is lost: %v", p, err)
		}
	}
	if w.version == 2 && u.next.controller != "messenger" && !slices.ContainsFunc(w.agent.register.Outbox("messenger"), func(m consent.Message) bool {
		return m.Consent == changed && m.Kind == wire.MsgWithdrawal
	}) {
		w.failf("compare: its controller will not hear of the end")
	}
	w.look("compare") // which the model allows under terms that were agreed to, and under no others
	w.look("rank")
	if !w.inForce(w.given["rank"]) || w.given["rank"].id != unchanged {
		w.failf("rank: what has not changed does not go on")
	}
	w.check()
}
