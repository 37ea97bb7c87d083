package uploader

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// What can be wrong with a connection. Each error of a request is one of these, a *Refusal, ErrNoReceipt, or one of
// package consent when the consent ended meanwhile.
var (
	// ErrWrongPin says that the server's certificates have none of the keys that the policy names: it is not the
	// controller, or the controller has changed its keys without a new policy.
	ErrWrongPin = errors.New("the server does not have a key that the policy names")
	// ErrCertificate says that the server's certificate is not issued by the pinned key, or is malformed.
	ErrCertificate = errors.New("the server's certificate is not valid")
	// ErrExpired says that a certificate of the server is not valid yet or any more, by this device's clock.
	ErrExpired = errors.New("the server's certificate has expired, or the clock is wrong")
	// ErrWrongHost says that the server's certificate is for another host.
	ErrWrongHost = errors.New("the server's certificate is for another host")
	// ErrOldTLS says that the server does not speak TLS 1.3.
	ErrOldTLS = errors.New("the server does not speak TLS 1.3")
	// ErrUnreachable says that no connection could be made.
	ErrUnreachable = errors.New("the server cannot be reached")
	// ErrTimeout says that the server did not answer in time.
	ErrTimeout = errors.New("the server did not answer in time")
	// ErrCut says that the connection ended before the answer did.
	ErrCut = errors.New("the connection was cut")
	// ErrGarbage says that the server answered something that is not what this protocol has.
	ErrGarbage = errors.New("the server's answer cannot be understood")
	// ErrRedirect says that the server wanted the request to go elsewhere; only the policy decides where data goes.
	ErrRedirect = errors.New("the server redirects elsewhere, which only the policy may do")
	// ErrEndpoint says that the policy's endpoint is not an https URL.
	ErrEndpoint = errors.New("the policy's endpoint is not an https URL")
)

// tlsConfig is the one way of this program to speak TLS: version 1.3 alone; the server's chain must hold
// a certificate whose key the policy pins, and is verified up to that one as its root, with validity and host name; the
// tuple's own certificate; no session tickets, which would link connections. now is asked at the handshake.
func tlsConfig(host string, pins []string, certificate *tls.Certificate, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		MaxVersion:             tls.VersionTLS13,
		ServerName:             host,
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
		// The system's authorities have no say; VerifyConnection verifies against the pins.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verify(cs.PeerCertificates, host, pins, now())
		},
		// Given whatever authorities the server says that it accepts: the certificate is a pseudonym, issued by nobody.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil },
	}
}

// verify checks a presented chain against the pins.
func verify(chain []*x509.Certificate, host string, pins []string, now time.Time) error {
	if len(chain) == 0 {
		return ErrCertificate
	}
	roots, others, pinned := x509.NewCertPool(), x509.NewCertPool(), false
	for _, c := range chain {
		if slices.Contains(pins, Pin(c)) {
			roots.AddCert(c)
			pinned = true
		} else {
			others.AddCert(c)
		}
	}
	if !pinned {
		return ErrWrongPin
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		DNSName: host, Roots: roots, Intermediates: others, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	var (
		invalid x509.CertificateInvalidError
		wrong   x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return ErrExpired
	case errors.As(err, &wrong):
		return ErrWrongHost
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: not issued by the pinned key", ErrCertificate)
	}
	return ErrCertificate
}

// Pin returns the policy's name for a certificate's public key: "sha256/" and the base64 of the SHA-256 of its
// SubjectPublicKeyInfo (RFC 7469 section 2.4).
func Pin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return "sha256/" + base64.StdEncoding.EncodeToString(sum[:])
}

// selfSigned returns the certificate of a tuple: its key, and nothing else that tells one device from another. The serial is
// random, there is no name, and the dates are the same for everybody.
func selfSigned(key ed25519.PrivateKey) (*tls.Certificate, error) {
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] &= 0x7f // RFC 5280 section 4.1.2.2: positive
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 section 4.1.2.5: no well-defined end
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
