package receiver_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

func TestBadBodies(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	c.Give(t)
	id := wire.NewUUID().String()
	_, good := c.Batch(t, steps(r.Now(), 1))
	bomb, err := wire.Compress(make([]byte, wire.MaxPlain))
	if err != nil {
		t.Fatal(err)
	}
	// Two frames unpack to twice the limit.
	bomb = append(bomb, bomb...)
	for name, tc := range map[string]struct {
		path, encoding string
		body           []byte
		status         int
		want           wire.ProblemType
	}{
		"empty batch":         {"/v1/batches/" + id, "zstd", []byte{}, 400, wire.ProblemMalformed},
		"batch of garbage":    {"/v1/batches/" + id, "zstd", []byte(strings.Repeat("garbage", 99)), 400, wire.ProblemMalformed},
		"cut batch":           {"/v1/batches/" + id, "zstd", good[:len(good)-3], 400, wire.ProblemMalformed},
		"not packed":          {"/v1/batches/" + id, "", good, 415, ""},
		"bomb":                {"/v1/batches/" + id, "zstd", bomb, 413, wire.ProblemTooLarge},
		"large batch":         {"/v1/batches/" + id, "zstd", make([]byte, wire.MaxBody+1), 413, wire.ProblemTooLarge},
		"upper case id":       {"/v1/batches/" + strings.ToUpper(id[:35]) + "A", "zstd", good, 400, wire.ProblemMalformed},
		"id that is none":     {"/v1/consents/1", "", good, 400, wire.ProblemMalformed},
		"consent of garbage":  {"/v1/consents/" + id, "", []byte("garbage"), 400, wire.ProblemMalformed},
		"withdrawal as a cbo": {"/v1/consents/" + id + "/withdrawal", "", c.Sign(t, c.Message()), 400, wire.ProblemMalformed},
		"other consent":       {"/v1/consents/" + id, "", c.Sign(t, c.Message()), 400, wire.ProblemMalformed},
		"large message":       {"/v1/erasures/" + id, "", make([]byte, 1<<20), 413, wire.ProblemTooLarge},
		"no such path":        {"/v2/erasures/" + id, "", good, 404, ""},
		"other method's path": {"/v1/data", "", good, 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.Do(t.Context(), http.MethodPut, tc.path, tc.body, tc.encoding)
			if a.Err != nil || a.Status != tc.status || a.Problem() != tc.want {
				t.Errorf("got %d %q %v, want %d %q", a.Status, a.Problem(), a.Err, tc.status, tc.want)
			}
		})
	}
}

func TestOnlyTLS13WithACertificate(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "steps", "compare")
	good := c.HTTP.Transport.(*http.Transport).TLSClientConfig
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.2": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good.Clone()
			change(cfg)
			tr := &http.Transport{TLSClientConfig: cfg}
			defer tr.CloseIdleConnections()
			resp, err := (&http.Client{Transport: tr}).Get(r.URL + "/v1/controller")
			if err == nil {
				resp.Body.Close()
				t.Errorf("got status %d, want no connection", resp.StatusCode)
			}
		})
	}
	nobody := good.Clone()
	nobody.Certificates = nil
	tr := &http.Transport{TLSClientConfig: nobody}
	defer tr.CloseIdleConnections()
	for _, path := range []string{"/v1/controller", "/v1/data", "/v1/consents/" + wire.NewUUID().String()} {
		resp, err := (&http.Client{Transport: tr}).Get(r.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a client certificate: status %d, want 401", path, resp.StatusCode)
		}
	}
	conn, err := tls.Dial("tcp", r.Address, good)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s := conn.ConnectionState(); s.Version != tls.VersionTLS13 || s.DidResume {
		t.Errorf("got version %x resumed %t, want TLS 1.3", s.Version, s.DidResume)
	}
}

func TestSlowDown(t *testing.T) {
	clock := receivertest.NewClock()
	r := receivertest.New(t, receivertest.Options{Clock: clock, Limits: receiver.Limits{
		Batches: receiver.Rate{Burst: 2, Every: time.Minute}, Epochs: receiver.Rate{Burst: 1, Every: time.Hour},
	}})
	c, other := r.Client(t, "contacts", "find-friends"), r.Client(t, "steps", "compare")
	c.Give(t)
	other.Give(t)
	item := receivertest.Contacts(t, c.Epoch(t), r.Now())
	for range 2 {
		c.Receipt(t, c.Send(t, item))
	}
	a := c.Send(t, item)
	if a.Problem() != wire.ProblemSlowDown || a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "60" {
		t.Errorf("third batch: got %d %q Retry-After %q, want 429 slow-down 60", a.Status, a.Problem(), a.Header.Get("Retry-After"))
	}
	if a := c.Do(t.Context(), http.MethodGet, "/v1/contacts/epoch", nil, ""); a.Problem() != wire.ProblemSlowDown {
		t.Errorf("second epoch: got %d %q, want slow-down", a.Status, a.Problem())
	}
	other.Receipt(t, other.Send(t, steps(r.Now(), 1)))
	clock.Advance(time.Minute)
	c.Receipt(t, c.Send(t, item))
	c.Send(t, item)
	c.Withdraw(t, true) // is never told to wait
}

func TestDataIsWhatWasSent(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "device", "service")
	c.Give(t)
	b, body := c.Batch(t, wire.Item{Time: 1784000000, Fields: map[string]any{"model": canary, "sensors": []string{"accelerometer"}}})
	c.Receipt(t, c.PutBatch(t, b.ID, body))
	c.Withdraw(t, false) // what is kept after a withdrawal can still be seen

	type data struct {
		Controller string
		Pseudonym  string
		Consents   []struct {
			Consent receiver.Holding
			Digests []string
			Batches []receiver.BatchJSON
		}
	}
	var got data
	a := c.Do(t.Context(), http.MethodGet, "/v1/data", nil, "")
	if err := json.Unmarshal(a.Body, &got); err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
	if got.Controller != "messenger" || got.Pseudonym != c.Pseudonym(t).String() || len(got.Consents) != 1 || len(got.Consents[0].Batches) != 1 {
		t.Fatalf("got %s", a.Body)
	}
	batch := got.Consents[0].Batches[0]
	if batch.ID != b.ID || batch.Items[0].Fields["model"] != canary || batch.Items[0].Time.Unix() != 1784000000 {
		t.Errorf("got %+v, want what was sent", batch)
	}
	log, err := r.Store.Accesses(t.Context())
	if err != nil || len(log) != 1 || log[0].Who != "data subject" || log[0].Command != "GET /v1/data" {
		t.Errorf("accesses: got %+v %v, want the one", log, err)
	}
}

func TestController(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	c := r.Client(t, "contacts", "find-friends")
	c.Give(t)
	e := c.Epoch(t)
	a := c.Do(t.Context(), http.MethodGet, "/v1/controller", nil, "")
	m, err := wire.OpenMetadata(a.Body, c.Effective.Controller.Key)
	if err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
	if m.Controller != "messenger" || m.Endpoint != r.URL || m.Region != "CN" || len(m.Pins) != 2 || len(m.Epochs) != 1 || m.Epochs[0].ID != e.ID {
		t.Errorf("got %+v", m)
	}
	damaged := bytes.Replace(a.Body, []byte("region CN"), []byte("region SG"), 1)
	if _, err := wire.OpenMetadata(damaged, c.Effective.Controller.Key); !errors.Is(err, wire.ErrMetadata) {
		t.Errorf("damaged: got %v, want ErrMetadata", err)
	}
}

// No log line, at any level, holds a value or an address.
func TestLogsSayNothing(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	r := receivertest.New(t, receivertest.Options{Log: zap.New(core)})
	c := r.Client(t, "device", "service")
	c.Give(t)
	c.Receipt(t, c.Send(t, device(r.Now(), canary)))
	c.Send(t, wire.Item{Fields: map[string]any{canary: canary}})
	c.PutBatch(t, wire.NewUUID(), []byte(canary))
	c.Withdraw(t, true)
	if logs.Len() == 0 {
		t.Fatal("nothing was logged")
	}
	for _, line := range logs.All() {
		b, err := json.Marshal(line.ContextMap())
		if text := line.Message + string(b); err != nil || strings.Contains(text, canary) || strings.Contains(text, "127.0.0.1") {
			t.Errorf("logged: %s %v", text, err)
		}
	}
}
