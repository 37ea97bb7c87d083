package receivertest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
	"github.com/scruple-agent/scruple/hasher"
	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// Client is one tuple of one device, as the receiver sees it.
type Client struct {
	// Identity is the tuple's key.
	Identity ed25519.PrivateKey
	// Consent is the id under which it gives, sends and withdraws; change it for another.
	Consent wire.UUID
	// Effective is what the receiver's policy says about the (category, purpose).
	Effective policy.Effective
	// HTTP speaks with this identity's certificate and pins the receiver's authority.
	HTTP *http.Client

	r *Receiver
}

// Client makes a tuple with a new identity that has given no consent yet.
func (r *Receiver) Client(t testing.TB, category policy.CategoryID, purpose policy.PurposeID) *Client {
	t.Helper()
	e, err := r.Policy.Effective(category, purpose)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{Identity: key, Consent: wire.NewUUID(), Effective: e, r: r}
	cert := certificate(t, key)
	roots := x509.NewCertPool()
	for _, der := range r.TLS.Certificates[0].Certificate[1:] {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots.AddCert(ca)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS13, Time: r.Now,
		},
		ForceAttemptHTTP2: true,
	}
	c.HTTP = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// certificate is self-signed, as the agent's are: a key and nothing that identifies.
func certificate(t testing.TB, key ed25519.PrivateKey) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<37, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Pseudonym is what the receiver knows it by.
func (c *Client) Pseudonym(t testing.TB) receiver.Pseudonym {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(c.Identity.Public())
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(spki)
}

// Answer of the receiver. Err is set when there was none, or not a whole one.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error
}

// Problem returns the kind of a refusal, "" for anything else.
func (a Answer) Problem() wire.ProblemType {
	p, err := wire.DecodeProblem(a.Body)
	if err != nil {
		return ""
	}
	return p.Kind()
}

// Do sends one request. encoding is "zstd" for batches.
func (c *Client) Do(ctx context.Context, method, path string, body []byte, encoding string) Answer {
	req, err := http.NewRequestWithContext(ctx, method, c.r.URL+path, bytes.NewReader(body))
	if err != nil {
		return Answer{Err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/cbor")
	}
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer resp.Body.Close()
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	a.Body, a.Err = io.ReadAll(resp.Body)
	return a
}

// Message returns the consent message that Give sends.
func (c *Client) Message() wire.Consent {
	now := c.r.Now()
	return wire.Consent{
		Consent: c.Consent, Controller: string(c.Effective.Controller.ID),
		Category: string(c.Effective.Category.ID), Purpose: string(c.Effective.Purpose.ID),
		PolicyVersion: uint(c.r.Policy.Version), Subtree: c.Effective.SubtreeHash(),
		Notice: c.Effective.Notice(policy.LangEN).SHA256, Lang: string(policy.LangEN),
		Time: now.Unix(), Expiry: now.Add(c.Effective.Purpose.Expiry).Unix(),
	}
}

// Sign signs a lane A message with the identity.
func (c *Client) Sign(t testing.TB, message any) []byte {
	t.Helper()
	b, err := wire.Sign(c.Identity, message)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// PutConsent sends a signed consent message.
func (c *Client) PutConsent(t testing.TB, m wire.Consent) Answer {
	t.Helper()
	return c.Do(t.Context(), http.MethodPut, "/v1/consents/"+m.Consent.String(), c.Sign(t, m), "")
}

// Give introduces the consent; the test fails if the receiver does not confirm it.
func (c *Client) Give(t testing.TB) wire.Receipt {
	t.Helper()
	return c.Receipt(t, c.PutConsent(t, c.Message()))
}

// Withdraw ends the consent; the test fails if the receiver does not confirm it.
func (c *Client) Withdraw(t testing.TB, clear bool) wire.Receipt {
	t.Helper()
	return c.Receipt(t, c.PutWithdrawal(t, wire.Withdrawal{
		Consent: c.Consent, Controller: string(c.Effective.Controller.ID), Time: c.r.Now().Unix(), Clear: clear,
	}))
}

// PutWithdrawal sends a signed withdrawal.
func (c *Client) PutWithdrawal(t testing.TB, m wire.Withdrawal) Answer {
	t.Helper()
	return c.Do(t.Context(), http.MethodPut, "/v1/consents/"+m.Consent.String()+"/withdrawal", c.Sign(t, m), "")
}

// Erase asks for erasure of what was sent; the test fails if the receiver does not confirm it.
func (c *Client) Erase(t testing.TB) wire.Receipt {
	t.Helper()
	m := wire.Erasure{ID: wire.NewUUID(), Consent: c.Consent, Controller: string(c.Effective.Controller.ID), Time: c.r.Now().Unix()}
	return c.Receipt(t, c.Do(t.Context(), http.MethodPut, "/v1/erasures/"+m.ID.String(), c.Sign(t, m), ""))
}

// Batch makes a batch of items as it is sent, with its plain form.
func (c *Client) Batch(t testing.TB, items ...wire.Item) (wire.Batch, []byte) {
	t.Helper()
	b := wire.Batch{Version: wire.BatchVersion, ID: wire.NewUUID(), Consent: c.Consent, Subtree: c.Effective.SubtreeHash(), Items: items}
	return b, Pack(t, b)
}

// Pack encodes and compresses a batch.
func Pack(t testing.TB, b wire.Batch) []byte {
	t.Helper()
	plain, err := wire.EncodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	body, err := wire.Compress(plain)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// PutBatch sends a packed batch, as one does who knows of all changes.
func (c *Client) PutBatch(t testing.TB, id wire.UUID, body []byte) Answer {
	t.Helper()
	a := c.PutBatchUnder(t, id, body, 0)
	if p, err := wire.DecodeProblem(a.Body); err == nil && p.Kind() == wire.ProblemChanged {
		a = c.PutBatchUnder(t, id, body, p.Changes)
	}
	return a
}

// PutBatchUnder sends a packed batch under a number of changes.
func (c *Client) PutBatchUnder(t testing.TB, id wire.UUID, body []byte, changes uint64) Answer {
	t.Helper()
	path := fmt.Sprintf("/v1/batches/%s?%s=%d", id, wire.ChangesParameter, changes)
	return c.Do(t.Context(), http.MethodPut, path, body, "zstd")
}

// Send makes and sends one batch.
func (c *Client) Send(t testing.TB, items ...wire.Item) Answer {
	t.Helper()
	b, body := c.Batch(t, items...)
	return c.PutBatch(t, b.ID, body)
}

// Epoch fetches the contacts epoch; the test fails if the receiver refuses.
func (c *Client) Epoch(t testing.TB) wire.Epoch {
	t.Helper()
	a := c.Do(t.Context(), http.MethodGet, "/v1/contacts/epoch", nil, "")
	e, err := wire.DecodeEpoch(a.Body)
	if a.Err != nil || err != nil {
		t.Fatalf("epoch: status %d, %v, %v", a.Status, a.Err, err)
	}
	return e
}

// Contacts makes the item of a contacts report: the digests of these E.164 numbers, padded.
func Contacts(t testing.TB, e wire.Epoch, at time.Time, numbers ...string) wire.Item {
	t.Helper()
	key, err := hasher.NewKey(e.Key, hasher.Phone, e.Form)
	if err != nil {
		t.Fatal(err)
	}
	var digests []byte
	for _, n := range numbers {
		d := key.Digest([]byte(n))
		digests = append(digests, d[:]...)
	}
	set := hasher.Pad(hasher.SortDedupe(digests), make([]byte, 32))
	return wire.Item{Time: at.Unix(), Fields: map[string]any{
		"digests": slices.Clone(set), "epoch": int64(e.ID), "form": int64(e.Form), "metadata": "test",
	}}
}

// Receipt opens the receipt of an answer with the controller's key of the policy; the test fails if there is none.
func (c *Client) Receipt(t testing.TB, a Answer) wire.Receipt {
	t.Helper()
	r, err := wire.OpenReceipt(a.Body, c.Effective.Controller.Key)
	if a.Err != nil || a.Status != http.StatusOK || err != nil {
		t.Fatalf("receipt: status %d, problem %q, %v, %v", a.Status, a.Problem(), a.Err, err)
	}
	return r
}
