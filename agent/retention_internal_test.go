package agent

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/settings"
	"github.com/scruple-agent/scruple/uploader/journal"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestClause_2_2_DeviceForgetsInSimulatedMonths: the daemon's own wheel, with nothing sent for three months. No report that waits and no body
// that was sent stays longer than the policy lets the device keep it, also after the policy has changed and the person does
// not answer; what was withdrawn is gone, and in the end nothing is left to look after.
func TestClause_2_2_DeviceForgetsInSimulatedMonths(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(27 * 365 * policy.Day) // each bubble begins in the year 2000, the policy later
		s := settings.Defaults()
		s.StateDir, s.Socket, s.Dev = filepath.Join(dir, "state"), filepath.Join(dir, "socket"), true
		s.IIORoot, s.GPSD, s.Region, s.Language = filepath.Join(dir, "sys"), "127.0.0.1:1", "CN", "en"
		if err := os.Mkdir(s.IIORoot, 0o700); err != nil {
			t.Fatal(err)
		}
		a, err := New(s, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		person := consent.Actor{UID: 1000, Channel: "cli", Person: true}
		tuple, err := a.document().Tuple(a.subject, "device/service")
		if err != nil {
			t.Fatal(err)
		}
		if err := a.register.DeclareAge(consent.BandAdult, person); err != nil {
			t.Fatal(err)
		}
		n, err := a.register.Show(tuple, policy.LangEN, person)
		if err != nil {
			t.Fatal(err)
		}
		id, err := a.register.Grant(tuple, n.Lang, n.SHA256, person)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); a.wheel(t.Context()) }()

		keep := a.register.Retention(id)
		body, err := a.journal.Begin(journal.LaneB, id, "PUT", "/v1/batches/x", []byte("body"))
		if err != nil || keep != 30*policy.Day {
			t.Fatalf("kept %s, %v", keep, err)
		}
		reports := func() []wire.Report {
			list, err := a.spool.Reports(id)
			if err != nil {
				return nil
			}
			return list
		}
		most := 0
		for day := 1; day <= 45; day++ {
			time.Sleep(policy.Day)
			synctest.Wait()
			list := reports()
			most = max(most, len(list))
			for _, r := range list {
				if age := time.Since(time.Unix(r.Item.Time, 0)); age > keep+2*sweepEvery {
					t.Fatalf("day %d: a report is %s old", day, age)
				}
			}
			if _, err := a.journal.Body(body); (err == nil) != (day <= 30) && day != 30 {
				t.Fatalf("day %d: the body that was sent: %v", day, err)
			}
		}
		if n := len(reports()); most < 25 || n < 25 {
			t.Errorf("at most %d reports waited, %d at the end: it does not collect", most, n)
		}

		later := *a.document()
		later.Version++
		later.Categories = append([]policy.Category(nil), later.Categories...)
		for i, c := range later.Categories {
			if c.ID == tuple.Category {
				c.Purposes = append([]policy.Purpose(nil), c.Purposes...)
				c.Purposes[0].Kept.For *= 2
				later.Categories[i] = c
			}
		}
		if err := a.register.SetPolicy(&later); err != nil {
			t.Fatal(err)
		}
		a.wake()
		if a.register.InForce(id) == nil {
			t.Fatal("a consent to a policy that asks for more is in force")
		}
		time.Sleep(25 * policy.Day)
		synctest.Wait()
		if n := len(reports()); n == 0 {
			t.Error("what is kept back goes before its time")
		}
		time.Sleep(7 * policy.Day)
		synctest.Wait()
		if n := len(reports()); n != 0 {
			t.Errorf("%d reports are kept back longer than their retention", n)
		}
	})
}
