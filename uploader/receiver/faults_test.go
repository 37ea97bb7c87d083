package receiver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/mod/sumdb/note"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Whatever happens to the answer, sending the same bytes again ends with the batch stored once.
func TestFaultsThenResend(t *testing.T) {
	const put = "PUT /v1/batches/"
	for name, tc := range map[string]struct {
		fault  receiver.Fault
		stored int // by the faulty request
	}{
		"lost ack":       {receiver.Fault{On: put, LoseAck: true}, 1},
		"cut answer":     {receiver.Fault{On: put, CutAnswer: true}, 1},
		"cut request":    {receiver.Fault{On: put, CutRequest: true}, 0},
		"garbage":        {receiver.Fault{On: put, Garbage: true}, 0},
		"forged receipt": {receiver.Fault{On: put, Forge: []byte("scruple/receipt/1\n")}, 0},
		"problem":        {receiver.Fault{On: put, Problem: wire.ProblemSlowDown, RetryAfter: time.Second}, 0},
		"status":         {receiver.Fault{On: put, Status: http.StatusBadGateway}, 0},
		"silent":         {receiver.Fault{On: put, Silent: true}, 0},
		"delay":          {receiver.Fault{On: put, Delay: time.Minute}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receivertest.New(t, receivertest.Options{})
			c := r.Client(t, "steps", "compare")
			r.Faults.Next(tc.fault)
			c.Give(t) // another path: not affected
			b, body := c.Batch(t, steps(r.Now(), 1))

			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			bad := c.Do(ctx, http.MethodPut, "/v1/batches/"+b.ID.String(), body, "zstd")
			if _, err := wire.OpenReceipt(bad.Body, c.Effective.Controller.Key); err == nil && bad.Err == nil {
				t.Error("the faulty request was confirmed")
			}
			if got := len(r.Stored(t, c.Consent)); got != tc.stored {
				t.Errorf("stored by the faulty request: got %d, want %d", got, tc.stored)
			}
			if n := r.Faults.Left(); n != 0 {
				t.Errorf("faults left: got %d, want none", n)
			}
			c.Receipt(t, c.PutBatch(t, b.ID, body))
			if got := r.Stored(t, c.Consent); len(got) != 1 || got[0].ID != b.ID {
				t.Errorf("stored at the end: got %d, want the batch once", len(got))
			}
			if n := r.Faults.Seen(put); n != 2 {
				t.Errorf("requests seen: got %d, want 2", n)
			}
		})
	}
}

func TestFaultAnswers(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	r.Faults.Next(
		receiver.Fault{Times: 2, Status: http.StatusServiceUnavailable, RetryAfter: 90 * time.Second},
		receiver.Fault{Problem: wire.ProblemWrongEpoch},
		receiver.Fault{Garbage: true},
	)
	for range 2 {
		if a := c.Send(t, steps(r.Now(), 1)); a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "90" {
			t.Errorf("got %d Retry-After %q, want 503 and 90", a.Status, a.Header.Get("Retry-After"))
		}
	}
	if a := c.Send(t, steps(r.Now(), 1)); a.Problem() != wire.ProblemWrongEpoch {
		t.Errorf("got %d %q, want wrong-epoch", a.Status, a.Problem())
	}
	if a := c.Send(t, steps(r.Now(), 1)); a.Status != http.StatusOK || !bytes.Contains(a.Body, []byte{0xff}) {
		t.Errorf("got %d, want garbage", a.Status)
	}
	r.Faults.Next(receiver.Fault{Times: -1, Status: 500})
	r.Faults.Clear()
	c.Receipt(t, c.Send(t, steps(r.Now(), 1)))
}

// Clients that stop in the middle of a body do not keep others waiting.
func TestSlowClientsHoldUpNobody(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 20 {
		body, stalled := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.URL+"/v1/batches/"+wire.NewUUID().String(), body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/cbor")
		req.Header.Set("Content-Encoding", "zstd")
		wg.Go(func() {
			if resp, err := c.HTTP.Do(req); err == nil {
				resp.Body.Close()
			}
		})
		if _, err := stalled.Write([]byte{0x28}); err != nil {
			t.Fatal(err)
		}
	}
	c.Receipt(t, c.Send(t, steps(r.Now(), 1)))
	cancel()
	wg.Wait()
}

// panicking signs nothing.
type panicking struct{ note.Signer }

func (panicking) Sign([]byte) ([]byte, error) { panic(canary) }

// A panic drops the connection, is logged without its value, and leaves nothing half done.
func TestPanic(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	signer, _, err := receiver.ReadNoteKey(filepath.Join(r.Dir, receiver.ControllerKey))
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	rv, err := receiver.New(receiver.Config{
		Policy: r.Policy, Controller: "messenger", Store: r.Store, Signer: panicking{signer}, Log: zap.New(core),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- rv.Serve(ctx, ln, r.TLS) }()
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	healthy := r.URL
	r.URL = "https://" + ln.Addr().String()
	if a := c.Send(t, steps(r.Now(), 1)); a.Err == nil {
		t.Errorf("batch: got status %d, want no answer", a.Status)
	}
	if a := c.PutWithdrawal(t, wire.Withdrawal{Consent: c.Consent, Controller: "messenger", Clear: true}); a.Err == nil {
		t.Errorf("withdrawal: got status %d, want no answer", a.Status)
	}
	r.URL = healthy
	if n := len(r.Stored(t, c.Consent)); n != 0 {
		t.Errorf("stored: got %d, want nothing", n)
	}
	c.Receipt(t, c.Send(t, steps(r.Now(), 1)))
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if logs.FilterMessage("panic").Len() != 2 {
		t.Errorf("got %d log lines, want the two panics", logs.Len())
	}
	for _, line := range logs.All() {
		if b, err := json.Marshal(line.ContextMap()); err != nil || bytes.Contains(b, []byte(canary)) {
			t.Errorf("logged: %s %v", b, err)
		}
	}
}
