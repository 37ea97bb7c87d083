package agent

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/agent/control/server"
	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/agent/settings"
)

// TestClosedAccountIsForgotten: for thirty days after an account is closed its records can be read; then the daemon's own wheel erases them, as
// soon as no quiet period rests on one. Another account's stay.
func TestClosedAccountIsForgotten(t *testing.T) {
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
		by := server.Actor{UID: 1000, Channel: "cli", Person: true}
		actor := consent.Actor{UID: 1000, Channel: "cli", Person: true}
		if err := a.register.DeclareAge(consent.BandAdult, actor); err != nil {
			t.Fatal(err)
		}
		refuse := func(name string) {
			t.Helper()
			tuple, err := a.document().Tuple(a.subject, name)
			if err == nil {
				_, err = a.register.Show(tuple, policy.LangEN, actor)
			}
			if err == nil {
				err = a.register.Refuse(tuple, actor)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		readable := func(controller policy.ControllerID) (n int) {
			for _, l := range a.register.Audit() {
				if l.Problem != nil {
					t.Error(l.Problem)
				}
				if l.Controller == controller {
					n = l.Readable
				}
			}
			return n
		}
		refuse("device/service")
		refuse("bank-card/binding")
		done := make(chan struct{})
		go func() { defer close(done); a.wheel(t.Context()) }()
		time.Sleep(10 * policy.Day)
		if _, err := a.CloseAccount(t.Context(), by, control.AccountRequest{Controller: "messenger"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c, _ := a.cases.Closed("messenger"); c.Done == 0 {
			t.Fatal("it is not closed")
		}
		refused := readable("messenger")
		time.Sleep(closedKept - time.Hour)
		synctest.Wait()
		if n := readable("messenger"); n != refused || n == 0 {
			t.Errorf("%d records can be read before their time, want %d", n, refused)
		}
		time.Sleep(3 * policy.Day)
		synctest.Wait()
		if n := readable("messenger"); n != 0 {
			t.Errorf("%d records can be read after it", n)
		}
		if n := readable("payments"); n == 0 {
			t.Error("the records of the other account are gone")
		}
	})
}
