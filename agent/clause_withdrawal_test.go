package agent_test

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/control"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// known gives a consent with something to send, of which the receiver knows, and returns its id.
func (h *house) known(tuple string) string {
	h.t.Helper()
	id := h.give(tuple)
	h.collected(tuple)
	h.introduced()
	return id
}

// introduced waits until the controller knows of every consent.
func (h *house) introduced() {
	h.t.Helper()
	h.waiting(0)
}

// waiting waits until so many messages of lane A wait.
func (h *house) waiting(n int) {
	h.t.Helper()
	eventually(h.t, "lane A is as it should be", func() bool {
		got := 0
		for _, l := range h.status().Lanes {
			got += l.Waiting
		}
		return got == n
	})
}

// receipts counts the controller's verified receipts of a kind.
func (d *daemon) receipts(kind, tuple string) (n int) {
	d.t.Helper()
	list, err := d.client.Receipts(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, r := range list {
		if r.Kind == kind && r.Tuple == tuple {
			n++
		}
	}
	return n
}

// TestClause_6_4_WhateverTheReceiverAnswers: five consents are withdrawn while the receiver answers their messages with 400,
// 404, 410, 500 and silence. Each is in force at once, the status shows what fails and when it is tried again, the
// messages outlive the daemon's death, and they are delivered when the receiver is well.
func TestClause_6_4_WhateverTheReceiverAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, receivertest.Options{})
	h.steps(1337)
	consents := map[string]string{}
	for tuple, fault := range map[string]receiver.Fault{
		"device/service":        {Status: http.StatusBadRequest},
		"steps/compare":         {Status: http.StatusNotFound},
		"location/nearby":       {Status: http.StatusGone},
		"location/shake":        {Status: http.StatusInternalServerError},
		"accelerometer/gravity": {Silent: true},
	} {
		id := h.give(tuple)
		consents[tuple] = id
		fault.On, fault.Times = "PUT /v1/consents/"+id+"/withdrawal", -1
		h.far.Faults.Next(fault)
	}
	h.collected("device/service")
	h.introduced()
	for tuple := range consents {
		w, err := h.client.Withdraw(t.Context(), tuple, tuple == "device/service")
		if err != nil || w.Status != control.StatusWithdrawn || len(w.Unfinished) != 0 {
			t.Errorf("withdraw %s: %+v, %v", tuple, w, err)
		}
	}
	failing := func() bool {
		for _, id := range consents {
			if h.far.Faults.Seen("PUT /v1/consents/"+id+"/withdrawal") == 0 {
				return false
			}
		}
		lanes := h.status().Lanes
		return len(lanes) == 1 && lanes[0].Waiting == 5 && lanes[0].LastError != "" && lanes[0].NextTry.After(time.Now())
	}
	eventually(t, "every withdrawal was tried, and the status shows the failure and the next try", failing)
	for _, row := range h.status().Tuples {
		if _, ours := consents[row.Tuple]; ours && (row.Status != control.StatusWithdrawn || row.Collecting || row.Spool.Reports != 0) {
			t.Errorf("%s while the receiver fails: status %q, collecting %v, %d reports", row.Tuple, row.Status, row.Collecting, row.Spool.Reports)
		}
	}
	if out := h.must("status"); !strings.Contains(out, "5 waiting") || !strings.Contains(out, "sending failed") || !strings.Contains(out, "again at") {
		t.Errorf("status does not show the lane:\n%s", out)
	}

	h.kill()
	h.start()
	h.waiting(5)
	h.far.Stop() // ends the silence
	h.far.Faults.Clear()
	h.far.Start(t)
	h.waiting(0)
	for tuple, id := range consents {
		kind := "withdrawal"
		if tuple == "device/service" {
			kind = "erasure"
		}
		if held, ok := h.holding(id); !ok || held.Status != receiver.StatusWithdrawn || held.Batches != 0 {
			t.Errorf("%s: the receiver says %+v", tuple, held)
		}
		if h.receipts(kind, tuple) != 1 {
			t.Errorf("%s: no %s receipt", tuple, kind)
		}
	}
}

// TestClause_6_4_InTheMiddleOfAnUpload: a withdrawal cancels the request that a slow receiver has not answered, and answers
// the person without waiting for it.
func TestClause_6_4_InTheMiddleOfAnUpload(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	id := h.known(tuple)
	h.far.Faults.Next(receiver.Fault{On: "PUT /v1/batches/", Delay: time.Hour, Times: -1})
	done := make(chan error, 1)
	go func() {
		_, err := h.client.Flush(context.WithoutCancel(t.Context()), tuple)
		done <- err
	}()
	eventually(t, "the upload is under way", func() bool { return h.far.Faults.Seen("PUT /v1/batches/") == 1 })
	h.must("consent", "withdraw", tuple)
	if err := <-done; err == nil {
		t.Error("the upload went on")
	}
	h.far.Faults.Clear()
	h.introduced()
	h.refused(control.ExitRefused, tuple, "egress", "send", tuple)
	wait()
	if held, _ := h.holding(id); held.Batches != 0 || held.Status != receiver.StatusWithdrawn || h.far.Faults.Seen("PUT /v1/batches/") != 1 {
		t.Errorf("the receiver holds %+v after %d batches", held, h.far.Faults.Seen("PUT /v1/batches/"))
	}
	list, err := h.client.EgressList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if strings.HasPrefix(e.Path, "/v1/batches/") && (e.Readable || e.Error == "") {
			t.Errorf("the journal has the cancelled upload as %+v", e)
		}
	}
}

// TestClause_6_4_LateBatches: the receiver stores no batch of a withdrawn consent, neither from a client that sends one late nor
// from a device whose disk was set back to before the withdrawal.
func TestClause_6_4_LateBatches(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	far := h.far.Client(t, "steps", "compare")
	far.Give(t)
	late := wire.Item{Time: time.Now().Unix(), Fields: map[string]any{"total": int64(100)}}
	far.Withdraw(t, false)
	if answer := far.Send(t, late); answer.Problem() != wire.ProblemConsentWithdrawn {
		t.Errorf("a late batch: status %d, problem %q", answer.Status, answer.Problem())
	}

	id := h.known(tuple)
	h.stop()
	before := filepath.Join(h.dir, "before")
	if err := os.CopyFS(before, os.DirFS(filepath.Join(h.dir, "state"))); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.must("consent", "withdraw", tuple)
	h.introduced()
	h.stop()
	restore(t, before, filepath.Join(h.dir, "state"))
	if err := h.try(); err == nil { // or the daemon itself has noticed
		_, _ = h.client.Flush(t.Context(), tuple)
	}
	if held, _ := h.holding(id); held.Status != receiver.StatusWithdrawn || held.Batches != 0 {
		t.Errorf("the receiver holds %+v", held)
	}
}

// restore puts a copy of a folder in its place.
func restore(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error { // CopyFS widens modes
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestClause_6_1_SeeAndExport: the person sees every record that lies here and at the receiver.
func TestClause_6_1_SeeAndExport(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	h.give(tuple)
	h.collected(tuple)
	h.send(tuple)
	if c, err := h.client.Collect(t.Context(), tuple); err != nil || c.Reports != 1 {
		t.Fatalf("%d reports, %v", c.Reports, err)
	}
	sent := fields(t, h.sent(tuple)...)
	model, _ := sent[0]["model"].(string)
	if out := h.must("data", "show", tuple); !strings.Contains(out, model) {
		t.Errorf("data show does not show what lies here:\n%s", out)
	}
	file := filepath.Join(h.dir, "mine.json")
	h.must("data", "export", "--out", file)
	data := parsed[control.Data](t, string(read(t, file)))
	if len(data.Tuples) != 1 || len(data.Tuples[0].Reports) != 1 || data.Tuples[0].RemoteError != "" {
		t.Fatalf("the export has %+v", data.Tuples)
	}
	for where, text := range map[string]string{
		"here": string(data.Tuples[0].Reports[0].Fields), "at the receiver": string(data.Tuples[0].Remote),
	} {
		if !strings.Contains(text, model) {
			t.Errorf("the export lacks what is held %s: %.500s", where, text)
		}
	}
}

// TestClause_6_2_EraseUntilConfirmed: what is erased is gone here at once and asked of the receiver until its signed receipt is
// there, across a refusal and the daemon's death; the consent goes on.
func TestClause_6_2_EraseUntilConfirmed(t *testing.T) {
	t.Parallel()
	const tuple = "device/service"
	h := newHouse(t, receivertest.Options{})
	id := h.give(tuple)
	h.collected(tuple)
	h.send(tuple)
	if _, err := h.client.Collect(t.Context(), tuple); err != nil {
		t.Fatal(err)
	}
	h.far.Faults.Next(receiver.Fault{On: "PUT /v1/erasures/", Status: http.StatusInternalServerError, Times: -1})
	h.must("data", "erase", tuple, "--yes")
	if row := h.tuple(tuple); row.Status != control.StatusGiven || row.Spool.Reports != 0 {
		t.Errorf("after erasing: status %q, %d reports here", row.Status, row.Spool.Reports)
	}
	if len(h.sent(tuple)) != 0 {
		t.Error("what was sent can still be read in the journal")
	}
	eventually(t, "the receiver was asked", func() bool { return h.far.Faults.Seen("PUT /v1/erasures/") > 0 })
	h.kill()
	h.start()
	h.waiting(1)
	if held, _ := h.holding(id); held.Batches != 1 {
		t.Errorf("the receiver, which refuses, holds %+v", held)
	}
	h.far.Faults.Clear()
	h.waiting(0)
	if held, _ := h.holding(id); held.Batches != 0 || held.Status != receiver.StatusGiven {
		t.Errorf("the receiver holds %+v", held)
	}
	if h.receipts("erasure", tuple) != 1 {
		t.Error("there is no erasure receipt")
	}
	if c, err := h.client.Collect(t.Context(), tuple); err != nil || c.Reports != 1 {
		t.Errorf("the consent does not go on: %d reports, %v", c.Reports, err)
	}
}
