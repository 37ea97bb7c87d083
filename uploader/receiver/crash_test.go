package receiver_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// crashDir tells this test binary that it is to be a receiver in that folder.
const crashDir = "SCRUPLE_RECEIVER_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := serveUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) error {
	dev, err := receiver.OpenDev(receiver.DevOptions{Dir: dir, Policy: configs.PolicyYAML, Controller: "messenger", Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	fmt.Println(dev.Address)
	return dev.Serve(context.Background())
}

// A receiver that is killed at any moment has everything it confirmed, and nothing that it confirmed to have erased.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	r := receivertest.New(t, receivertest.Options{Dir: dir})
	// Clients are made while it runs here, and used on the process that takes its place at the same address.
	const rounds = 4
	type state struct {
		*receivertest.Client
		acked            []wire.UUID
		asked, withdrawn bool
	}
	var states []*state
	for range rounds {
		states = append(states, &state{Client: r.Client(t, "steps", "compare")})
	}
	address := r.Address
	r.Stop()

	for _, s := range states {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		killed := sync.OnceFunc(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		t.Cleanup(killed)
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != address {
			t.Fatalf("address of the restarted receiver: got %q %v, want %q", line, err, address)
		}
		time.AfterFunc(time.Duration(20+rand.IntN(150))*time.Millisecond, killed)

		if a := s.PutConsent(t, s.Message()); a.Status == http.StatusOK {
			for i := range 200 {
				b, body := s.Batch(t, steps(time.Unix(0, 0), int64(i)))
				if a := s.PutBatch(t, b.ID, body); a.Status == http.StatusOK && a.Err == nil {
					s.acked = append(s.acked, b.ID)
				} else {
					break
				}
				if i == 5 && rand.IntN(2) == 0 {
					w := wire.Withdrawal{Consent: s.Consent, Controller: "messenger", Clear: true}
					s.asked = true
					a := s.PutWithdrawal(t, w)
					s.withdrawn = a.Status == http.StatusOK && a.Err == nil
					break
				}
			}
		}
		killed()
	}

	r.Start(t)
	total := 0
	for _, s := range states {
		held := map[wire.UUID]bool{}
		for _, b := range r.Stored(t, s.Consent) {
			held[b.ID] = true
		}
		total += len(s.acked)
		switch {
		case s.withdrawn && len(held) != 0:
			t.Errorf("after a confirmed erasure: got %d batches, want none", len(held))
		case s.withdrawn:
			if a := s.Send(t, steps(r.Now(), 1)); a.Problem() != wire.ProblemConsentWithdrawn {
				t.Errorf("after a confirmed withdrawal: got %d %q, want consent-withdrawn", a.Status, a.Problem())
			}
		}
		// An erasure that was asked for may have been done, wholly or not at all.
		if s.asked && len(held) != 0 && len(held) < len(s.acked) {
			t.Errorf("after an erasure without an answer: got %d of %d batches, want all or none", len(held), len(s.acked))
		}
		for _, id := range s.acked {
			if !held[id] && !s.asked {
				t.Error("a confirmed batch is gone")
			}
		}
	}
	t.Logf("%d batches confirmed before %d kills", total, rounds)
}
