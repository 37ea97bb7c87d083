package receiver_test

import (
	"strings"
	"testing"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestClause_7_TheReceiverProvesForItself: with the earlier version at hand it takes what was made under that one or under a
// narrower one, under the same consent; what is wider, or of a version it does not hold, it refuses.
func TestClause_7_TheReceiverProvesForItself(t *testing.T) {
	const kept = "retention: {device: {for: 30d}, controller: {for: 180d}}"
	version := func(n, days string) func(string) string {
		return func(yaml string) string {
			lines := strings.Split(yaml, "\n")
			for i, line := range lines {
				if strings.HasPrefix(line, "version: ") {
					lines[i] = "version: " + n
				}
			}
			yaml = strings.Join(lines, "\n")
			for _, d := range []string{"180d", "90d", "200d"} {
				yaml = strings.Replace(yaml, strings.Replace(kept, "180d", d, 1), strings.Replace(kept, "180d", days, 1), 1)
			}
			return yaml
		}
	}
	for _, tt := range []struct {
		name       string
		accept     bool
		days       string
		old, fresh wire.ProblemType // answers to a batch of the old terms, and of the new ones
	}{
		{"narrower, earlier version held", true, "90d", "", ""},
		{"wider, earlier version held", true, "200d", "", wire.ProblemPolicyMismatch},
		{"narrower, earlier version not held", false, "90d", wire.ProblemPolicyMismatch, wire.ProblemPolicyMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := receivertest.New(t, receivertest.Options{})
			c := r.Client(t, "device", "service")
			c.Give(t)
			before := c.Effective
			r.Change(t, tt.accept, version("2", tt.days))
			after, err := r.Policy.Effective("device", "service")
			if err != nil {
				t.Fatal(err)
			}
			if before.SubtreeHash() == after.SubtreeHash() {
				t.Fatal("the policy did not change")
			}
			for _, send := range []struct {
				terms policy.Effective
				want  wire.ProblemType
			}{{before, tt.old}, {after, tt.fresh}} {
				c.Effective = send.terms
				a := c.Send(t, wire.Item{Time: r.Now().Unix(), Fields: map[string]any{"os": "linux"}})
				if a.Err != nil || a.Problem() != send.want || send.want == "" && a.Status != 200 {
					t.Errorf("answer %d %q, %v; want %q", a.Status, a.Problem(), a.Err, send.want)
				}
			}
		})
	}
}
