package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scruple-agent/scruple/uploader/receiver"
	"github.com/scruple-agent/scruple/uploader/receiver/receivertest"
	"github.com/scruple-agent/scruple/uploader/wire"
)

// writeCertificate writes the chain and key that a receiver uses as the files that run takes.
func writeCertificate(t *testing.T, r *receivertest.Receiver) (chain, key string) {
	t.Helper()
	dir := t.TempDir()
	cert := r.TLS.Certificates[0]
	var b bytes.Buffer
	for _, der := range cert.Certificate {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	chain, key = filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(chain, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return chain, key
}

// runArgs are the arguments with which a receiver that was made for a trial runs as a real one.
func runArgs(t *testing.T, r *receivertest.Receiver) []string {
	t.Helper()
	chain, key := writeCertificate(t, r)
	return []string{
		"run", "--dir", r.Dir, "--listen", r.Address, "--controller", "messenger", "--policy", filepath.Join(r.Dir, receiver.PolicyNote),
		"--policy-key", filepath.Join(r.Dir, receiver.PolicyKey), "--certificate", chain, "--certificate-key", key,
	}
}

func english(string) string { return "" }

func TestRunWithSignedPolicy(t *testing.T) {
	r := receivertest.New(t, receivertest.Options{})
	args := runArgs(t, r)
	c := r.Client(t, "steps", "compare")
	r.Stop()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs bytes.Buffer
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, english, nil, &out, &errs) }()
	var a receivertest.Answer
	for range 200 {
		if a = c.PutConsent(t, c.Message()); a.Err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.Receipt(t, a)
	c.Receipt(t, c.Send(t, wire.Item{Fields: map[string]any{"total": int64(5)}}))
	cancel()
	if got := <-code; got != exitDone || strings.TrimSpace(out.String()) != r.Address {
		t.Errorf("got exit code %d, stdout %q, stderr %q; want 0 and the address", got, out.String(), errs.String())
	}
}

func TestRunRefuses(t *testing.T) {
	good := receivertest.New(t, receivertest.Options{})
	other := receivertest.New(t, receivertest.Options{})
	expired := receivertest.New(t, receivertest.Options{NotAfter: time.Now().Add(-time.Minute)})
	otherChain, otherKey := writeCertificate(t, other)
	replace := func(args []string, flag, value string) []string {
		for i := range args {
			if args[i] == flag {
				args[i+1] = value
			}
		}
		return args
	}
	damaged := filepath.Join(t.TempDir(), "policy.note")
	if err := os.WriteFile(damaged, bytes.Replace(good.Note, []byte("region: CN"), []byte("region: SG"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"another's certificate":  {replace(replace(runArgs(t, good), "--certificate", otherChain), "--certificate-key", otherKey), exitRefused, "pins none"},
		"key of another chain":   {replace(runArgs(t, good), "--certificate-key", otherKey), exitFailed, "chain.pem"},
		"expired":                {runArgs(t, expired), exitRefused, "not valid at this time"},
		"another's policy key":   {replace(runArgs(t, good), "--policy-key", filepath.Join(other.Dir, receiver.PolicyKey)), exitRefused, "policy"},
		"changed policy":         {replace(runArgs(t, good), "--policy", damaged), exitRefused, "signature"},
		"unsigned policy":        {replace(runArgs(t, good), "--policy", filepath.Join(good.Dir, receiver.PolicyYAML)), exitRefused, "not signed"},
		"another controller":     {replace(runArgs(t, good), "--controller", "payments"), exitRefused, "pins none"},
		"no controller":          {replace(runArgs(t, good), "--controller", "nobody"), exitRefused, "not declared"},
		"no controller key":      {replace(runArgs(t, good), "--dir", t.TempDir()), exitFailed, "controller.key"},
		"missing policy":         {replace(runArgs(t, good), "--policy", "nowhere"), exitFailed, "nowhere"},
		"another controller key": {replace(runArgs(t, good), "--dir", other.Dir), exitRefused, "another key"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if got := run(t.Context(), tc.args, english, nil, &out, &errs); got != tc.code || !strings.Contains(errs.String(), tc.want) {
				t.Errorf("got exit code %d, %q; want %d and %q", got, errs.String(), tc.code, tc.want)
			}
		})
	}
}
