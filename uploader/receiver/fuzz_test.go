package receiver_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// FuzzBodies sends any body to every route that takes one, from a client with a consent in force. The answer is
// never a 5xx, and what is refused leaves nothing.
func FuzzBodies(f *testing.F) {
	r := receivertest.New(f, receivertest.Options{Limits: receiver.Limits{
		Batches: receiver.Rate{Burst: 1 << 30, Every: 1},
	}})
	c := r.Client(f, "contacts", "find-friends")
	message := c.Sign(f, c.Message())
	f.Add(uint8(0), message)
	f.Add(uint8(1), c.Sign(f, wire.Withdrawal{Consent: wire.NewUUID(), Controller: "messenger", Clear: true}))
	f.Add(uint8(2), c.Sign(f, wire.Erasure{ID: wire.NewUUID(), Consent: c.Consent, Controller: "messenger"}))
	c.Give(f)
	e := c.Epoch(f)
	b, body := c.Batch(f, receivertest.Contacts(f, e, r.Now(), "+12025550100"))
	f.Add(uint8(3), body)
	plain, err := wire.EncodeBatch(b)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(4), plain)
	f.Add(uint8(3), []byte{0x28, 0xb5, 0x2f, 0xfd})
	cert, err := x509.ParseCertificate(c.HTTP.Transport.(*http.Transport).TLSClientConfig.Certificates[0].Certificate[0])
	if err != nil {
		f.Fatal(err)
	}
	paths := []string{
		"/v1/consents/" + c.Consent.String(), "/v1/consents/" + c.Consent.String() + "/withdrawal",
		"/v1/erasures/" + wire.NewUUID().String(), "/v1/batches/" + b.ID.String(), "/v1/batches/" + b.ID.String(),
	}
	f.Fuzz(func(t *testing.T, route uint8, body []byte) {
		n := int(route) % len(paths)
		if n == 4 { // what is inside the compression
			if len(body) > 1<<20 {
				return
			}
			packed, err := wire.Compress(body)
			if err != nil {
				t.Fatal(err)
			}
			body = packed
		}
		req := httptest.NewRequest(http.MethodPut, paths[n], bytes.NewReader(body))
		req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
		req.Header.Set("Content-Type", "application/cbor")
		if n >= 3 {
			req.Header.Set("Content-Encoding", "zstd")
		}
		rec := httptest.NewRecorder()
		r.ServeHTTP(rec, req)
		if rec.Code >= 500 {
			t.Fatalf("got %d %s", rec.Code, rec.Body)
		}
		if rec.Code == http.StatusOK {
			if _, err := wire.OpenReceipt(rec.Body.Bytes(), c.Effective.Controller.Key); err != nil {
				t.Fatal(err)
			}
			return
		}
		if p, err := wire.DecodeProblem(rec.Body.Bytes()); err != nil || p.Kind() == "" {
			t.Fatalf("got %d %s, want a problem of the closed list", rec.Code, rec.Body)
		}
	})
}

// FuzzMetadata reads any bytes as a controller's metadata.
func FuzzMetadata(f *testing.F) {
	r := receivertest.New(f, receivertest.Options{})
	c := r.Client(f, "steps", "compare")
	f.Add(c.Do(f.Context(), http.MethodGet, "/v1/controller", nil, "").Body)
	f.Add([]byte("scruple/controller/1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := wire.OpenMetadata(b, c.Effective.Controller.Key); err == nil && m.Controller != "messenger" {
			t.Errorf("opened metadata of %q", m.Controller)
		}
	})
}
