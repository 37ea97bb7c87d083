package receiver_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scruple-agent/scruple/configs"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// TestClause_2_2_ReceiverForgetsInSimulatedMonths: a running receiver, left to itself for seven months, erases each batch when the policy's retention is
// over and not a day before, and keeps none whose consent has ended where the policy ties it to that.
func TestClause_2_2_ReceiverForgetsInSimulatedMonths(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(27 * 365 * day) // each bubble begins in the year 2000, the policy later
		dev, err := receiver.OpenDev(receiver.DevOptions{Dir: dir, Policy: configs.PolicyYAML, Controller: "messenger", Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			dev.Keep(ctx)
		}()
		kept := map[wire.UUID]time.Duration{}
		for name, fields := range map[string]map[string]any{"device/service": {"model": "m"}, "steps/compare": {"total": int64(1)}} {
			id, keep := deliver(t, dev, name, fields)
			kept[id] = keep
		}
		holds := func() map[wire.UUID]int {
			list, err := dev.Store.Holdings(t.Context(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			n := map[wire.UUID]int{}
			for _, h := range list {
				n[h.Consent] = h.Batches
			}
			return n
		}
		for d := 1; d <= 210; d++ {
			time.Sleep(day)
			synctest.Wait()
			for id, keep := range kept {
				age := time.Duration(d) * day
				if n := holds()[id]; age < keep && n != 1 || age > keep+day && n != 0 {
					t.Fatalf("day %d: %d batches are held that are kept %s", d, n, keep)
				}
			}
		}
		cancel()
		<-done
	})
}

// deliver gives a consent and sends a batch without a network, and returns how long the policy keeps it.
func deliver(t *testing.T, dev *receiver.Dev, name string, fields map[string]any) (wire.UUID, time.Duration) {
	t.Helper()
	tuple, err := dev.Policy.Tuple("1000", name)
	if err != nil {
		t.Fatal(err)
	}
	e, err := dev.Policy.Effective(tuple.Category, tuple.Purpose)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<37, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	put := func(path string, body []byte, encoding string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPut, path, bytes.NewReader(body))
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
		r.Header.Set("Content-Type", "application/cbor")
		if encoding != "" {
			r.Header.Set("Content-Encoding", encoding)
		}
		w := httptest.NewRecorder()
		dev.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	id, now := wire.NewUUID(), time.Now()
	message, err := wire.Sign(key, wire.Consent{
		Consent: id, Controller: "messenger", Category: string(tuple.Category), Purpose: string(tuple.Purpose), PolicyVersion: 1,
		Subtree: e.SubtreeHash(), Notice: wire.HashOf([]byte("notice")), Lang: "en", Time: now.Unix(), Expiry: now.Add(365 * day).Unix(), Sequence: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	put("/v1/consents/"+id.String(), message, "")
	b := wire.Batch{
		Version: wire.BatchVersion, ID: wire.NewUUID(), Consent: id, Subtree: e.SubtreeHash(),
		Items: []wire.Item{{Time: now.Unix(), Fields: fields}},
	}
	put("/v1/batches/"+b.ID.String(), receivertest.Pack(t, b), "zstd")
	return id, e.Purpose.Kept.For
}
