package receiver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/policy"
)

// Files that Dev makes in its folder, beside the store's. Those that hold private keys are 0600.
const (
	PolicyNote    = "policy.note"       // the policy, signed: what an agent is given
	PolicyKey     = "policy.key"        // the policy key's public part: what an agent pins at install
	PolicyYAML    = "policy.yaml"       // the policy, unsigned: the base for another receiver's
	AddressFile   = "address"           // host:port
	ControllerKey = "controller.key"    // private: signs receipts
	policySigner  = "policy-signer.key" // private: signs the policy
	authorityFile = "authority.pem"     // private: signs the server's certificate; its key is the pin
	backupFile    = "backup.pem"        // private: what the backup pin is for
)

// authorityYears is how long a trial authority lives.
const authorityYears = 10

// DevOptions of a trial receiver.
type DevOptions struct {
	// Dir is its folder; what is there from the last time is used again.
	Dir string
	// Policy is the document as YAML, unsigned. Its section of this controller is rewritten.
	Policy []byte
	// Controller for which it receives.
	Controller policy.ControllerID
	// Listen is where to listen, a loopback address; with port 0 the port of the last time is taken where it is
	// free: the endpoint is part of what a person agreed to.
	Listen string
	// NotAfter is when the server's certificate ends; a year from Config.Now where zero.
	NotAfter time.Time
	// Config may give Now, Limits, Faults and Log.
	Config Config
}

// Dev is a trial receiver with everything it needs: its own certificate authority (whose key it pins, with a backup), server
// certificate, controller key, policy key, and the policy rewritten for its address and signed.
type Dev struct {
	*Receiver
	Store    *Store
	Listener net.Listener
	TLS      *tls.Config
	Policy   *policy.Document
	YAML     []byte // the policy, unsigned: the base for another controller's receiver
	Note     []byte // the signed policy
	Key      string // verifier key of the policy
	Address  string // host:port
	URL      string // the endpoint
}

// OpenDev makes or reopens a trial receiver and listens; Serve answers. It is for trials on one machine: all
// private keys lie in the one folder.
func OpenDev(o DevOptions) (*Dev, error) {
	d := &Dev{}
	if err := d.open(o); err != nil {
		return nil, errors.Join(fmt.Errorf("open trial receiver: %w", err), d.Close())
	}
	return d, nil
}

func (d *Dev) open(o DevOptions) (err error) {
	if o.Config.Now == nil {
		o.Config.Now = time.Now
	}
	if d.Store, err = Open(o.Dir); err != nil {
		return err
	}
	if d.Listener, err = listen(o.Dir, o.Listen); err != nil {
		return err
	}
	d.Address = d.Listener.Addr().String()
	d.URL = "https://" + d.Address

	authority, err := openAuthority(filepath.Join(o.Dir, authorityFile), o.Config.Now())
	if err != nil {
		return err
	}
	backup, err := openAuthority(filepath.Join(o.Dir, backupFile), o.Config.Now())
	if err != nil {
		return err
	}
	if o.NotAfter.IsZero() {
		o.NotAfter = o.Config.Now().AddDate(1, 0, 0)
	}
	cert, err := authority.issue(d.Address, o.NotAfter)
	if err != nil {
		return err
	}
	d.TLS = TLSConfig(cert)

	signer, verifier, err := openNoteKey(filepath.Join(o.Dir, ControllerKey), string(o.Controller))
	if err != nil {
		return err
	}
	yaml, err := policy.Customise(o.Policy, map[policy.ControllerID]policy.ControllerOverride{
		o.Controller: {Endpoint: d.URL, Key: verifier, Pins: []string{Pin(authority.cert), Pin(backup.cert)}},
	})
	if err != nil {
		return err
	}
	if err := d.signPolicy(o.Dir, yaml); err != nil {
		return err
	}
	cfg := o.Config
	cfg.Policy, cfg.Controller, cfg.Store, cfg.Signer = d.Policy, o.Controller, d.Store, signer
	if d.Receiver, err = New(cfg); err != nil {
		return err
	}
	return replaceFile(filepath.Join(o.Dir, AddressFile), []byte(d.Address+"\n"), 0o644)
}

func (d *Dev) signPolicy(dir string, yaml []byte) error {
	path := filepath.Join(dir, policySigner)
	_, verifier, err := openNoteKey(path, "policy")
	if err != nil {
		return err
	}
	d.Key, d.YAML = verifier, yaml
	key, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if d.Note, err = policy.Sign(yaml, strings.TrimSpace(string(key))); err != nil {
		return err
	}
	if d.Policy, err = policy.Load(PolicyNote, d.Note, policy.LoadOptions{Key: d.Key}); err != nil {
		return err
	}
	return errors.Join(
		replaceFile(filepath.Join(dir, PolicyYAML), yaml, 0o644),
		replaceFile(filepath.Join(dir, PolicyNote), d.Note, 0o644),
		replaceFile(filepath.Join(dir, PolicyKey), []byte(d.Key+"\n"), 0o644),
	)
}

// Serve answers until ctx ends.
func (d *Dev) Serve(ctx context.Context) error { return d.Receiver.Serve(ctx, d.Listener, d.TLS) }

// Close closes the listener and the store.
func (d *Dev) Close() error {
	var errs []error
	if d.Listener != nil {
		if err := d.Listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if d.Store != nil {
		errs = append(errs, d.Store.Close())
	}
	return errors.Join(errs...)
}

// listen takes the address of the last time where only the host is asked for.
func listen(dir, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errors.New("a trial receiver listens on loopback only")
	}
	if last, err := os.ReadFile(filepath.Join(dir, AddressFile)); port == "0" && err == nil {
		if _, p, err := net.SplitHostPort(strings.TrimSpace(string(last))); err == nil {
			if ln, err := net.Listen("tcp", net.JoinHostPort(host, p)); err == nil {
				return ln, nil
			}
		}
	}
	return net.Listen("tcp", address)
}

// authority signs server certificates; its key is what a policy pins.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// openAuthority reads key and certificate from one PEM file, or makes them.
func openAuthority(path string, now time.Time) (*authority, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return newAuthority(path, now)
	} else if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, fmt.Errorf("%s: not a key with its certificate", path)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an ECDSA key", path)
	}
	return &authority{key, pair.Leaf}, nil
}

func newAuthority(path string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Scruple trial authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(authorityYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	file := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := createFile(path, file, 0o600); err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{key, cert}, err
}

// Pin returns a certificate's key pin as a policy spells it: "sha256/" and the base64 of the SHA-256 of its
// SubjectPublicKeyInfo.
func Pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256/" + base64.StdEncoding.EncodeToString(sum[:])
}

// issue makes a server certificate for the host of address, under a new key that is never written.
func (a *authority) issue(address string, notAfter time.Time) (tls.Certificate, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Scruple trial receiver"},
		NotBefore: a.cert.NotBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.ParseIP("127.0.0.1"), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, err
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
