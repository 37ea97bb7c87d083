// Package carddav reads an address book from a CardDAV server (RFC 6352). It
// opens with a consent.Permit, asks the server for TEL and EMAIL alone, and
// feeds whatever cards come back to the same reader as files; no card touches
// the disk. With a contacts.Memory only cards that changed are asked for: by
// sync token (RFC 6578) where the server has them, else by ctag and etags.
//
// The few requests are written and read here. A client that returns parsed
// cards could not be used: the parsers in them lose values that ours finds, and
// the text as the server sent it is out of reach behind them.
//
// A server is somebody else's computer. What it sends is bounded in bytes, in
// depth and in time; redirects are followed on the same host only; passwords go
// over TLS, or to this very machine, alone. No error names the address, the user
// or a card.
//
// What is left out: authentication other than Basic, client certificates, and
// finding a server by DNS.
package carddav

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/scruple-agent/scruple/agent/consent"
	"github.com/scruple-agent/scruple/agent/durable"
	"github.com/scruple-agent/scruple/sensors/contacts"
)

// What may be wrong with the server or the settings. Each is an error of the
// source that status shows; the next pass tries again.
var (
	ErrPassword    = errors.New("carddav: the password file cannot be used")
	ErrCA          = errors.New("carddav: the file of certificate authorities cannot be used")
	ErrAddress     = errors.New("carddav: not an https address (or http on this machine), or one with a password in it")
	ErrCertificate = errors.New("carddav: the server's certificate is not trusted")
	ErrRefused     = errors.New("carddav: the server refuses the user or the password")
	ErrRedirect    = errors.New("carddav: the server redirects to another host, or in a circle")
	ErrTimeout     = errors.New("carddav: the server did not answer in time")
	ErrUnreachable = errors.New("carddav: the server cannot be reached")
	ErrStatus      = errors.New("carddav: the server answered with an error")
	ErrGarbage     = errors.New("carddav: what the server sent is not what was asked for")
	ErrTooLarge    = errors.New("carddav: the server sent more than an address book can be")
	ErrNoBook      = errors.New("carddav: there is no address book at this address")
)

// Config says where the address book is.
type Config struct {
	// URL is that of the address book, of the account, or of the server.
	URL string
	// User may be empty for a server that asks for none.
	User string
	// PasswordFile holds the password and nothing else, readable to its owner alone.
	PasswordFile string
	// CAFile is a PEM file of the authorities that count in place of the system's; empty for those.
	CAFile string

	limits limits // zero fields mean the defaults
}

// limits bound what a server may cost.
type limits struct {
	body  int64         // bytes of one answer
	card  int           // bytes of one card, and of anything else that must be held whole
	idle  time.Duration // between two reads of an answer
	whole time.Duration // one request with its answer
	pass  time.Duration // all requests
	cards int           // cards of all books
	chunk int           // cards asked for in one request
}

func (l limits) orDefault() limits {
	set := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.idle, time.Minute)
	set(&l.whole, 10*time.Minute)
	set(&l.pass, time.Hour)
	if l.body == 0 {
		l.body = 64 << 20
	}
	if l.card == 0 {
		l.card = 4 << 20
	}
	if l.cards == 0 {
		l.cards = 1 << 17
	}
	if l.chunk == 0 {
		l.chunk = 50
	}
	return l
}

// Check tells what is wrong with the address, nil for nothing.
func (c Config) Check() error {
	_, err := parseURL(c.URL)
	return err
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return nil, ErrAddress
	}
	switch u.Scheme {
	case "https":
	case "http":
		host := u.Hostname()
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, ErrAddress
		}
	default:
		return nil, ErrAddress
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// Open returns the address books at the address. It fails when the permit does
// not hold, and when address, password file or authorities cannot be used;
// nothing is sent before the first Next.
func Open(p consent.Permit, cfg Config) (*contacts.Source, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("open contacts: %w", err)
	}
	base, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	password, err := readPassword(cfg)
	if err != nil {
		return nil, err
	}
	roots, err := readCA(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	s := &shelf{base: base, done: p.Done(), client: &client{
		base: base, user: cfg.User, password: password, limits: cfg.limits.orDefault(),
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:              nil, // the person named the server, not the environment
				TLSClientConfig:    &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
				DisableCompression: true, // what is bounded is what was sent
				MaxConnsPerHost:    1,
				DialContext:        (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}}
	return contacts.OpenShelf(p, s)
}

// maxPassword is the largest password file, in bytes.
const maxPassword = 4096

func readPassword(cfg Config) (string, error) {
	if cfg.PasswordFile == "" {
		if cfg.User != "" {
			return "", ErrPassword
		}
		return "", nil
	}
	if err := durable.CheckPrivate(cfg.PasswordFile); err != nil {
		if errors.Is(err, durable.ErrForeign) {
			return "", fmt.Errorf("%w: it %w", ErrPassword, durable.ErrForeign)
		}
		return "", ErrPassword
	}
	info, err := os.Stat(cfg.PasswordFile)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxPassword {
		return "", ErrPassword
	}
	b, err := os.ReadFile(cfg.PasswordFile)
	if err != nil {
		return "", ErrPassword
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func readCA(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > 4<<20 {
		return nil, ErrCA
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, ErrCA
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, ErrCA
	}
	return roots, nil
}

// plain is an error of the network without the address that it names.
func plain(err error) error {
	var (
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		network  net.Error
		mismatch tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify):
		return ErrCertificate
	case errors.As(err, &mismatch):
		return ErrGarbage
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	case errors.As(err, &network) && network.Timeout():
		return ErrTimeout
	}
	return ErrUnreachable
}
