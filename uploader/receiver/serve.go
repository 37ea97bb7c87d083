package receiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Times within which a client must have done its part.
const (
	headerTime = 10 * time.Second
	// requestTime is enough for the largest body at 1 Mbit/s.
	requestTime = 90 * time.Second
	answerTime  = 120 * time.Second
	idleTime    = 2 * time.Minute
	// shutdownTime is how long requests under way may take when the receiver ends.
	shutdownTime = 10 * time.Second
	maxHeader    = 16 << 10
)

// TLSConfig returns the configuration of a receiver's listener: TLS 1.3 only, a client certificate asked for (it need
// be signed by nobody: its key is the pseudonym), and no session tickets, which would link connections. Without a certificate
// only the analytics lane can be used; every other route answers 401.
func TLSConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{cert},
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		NextProtos:             []string{"h2", "http/1.1"},
	}
}

// Server returns a server of the receiver with all limits set. Its own log goes nowhere: its lines hold the
// peer's address.
func (rv *Receiver) Server(tlsConfig *tls.Config) *http.Server {
	return &http.Server{
		Handler:           rv,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
}

// Serve answers on ln, and sweeps, until ctx ends; then it lets the requests under way finish. It closes ln.
func (rv *Receiver) Serve(ctx context.Context, ln net.Listener, tlsConfig *tls.Config) error {
	srv := rv.Server(tlsConfig)
	// What waits for its client (Faults.Silent) ends with the server.
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	srv.BaseContext = func(net.Listener) context.Context { return base }

	swept := make(chan struct{})
	keep, stopKeep := context.WithCancel(ctx)
	go func() {
		defer close(swept)
		rv.Keep(keep)
	}()
	done := make(chan error, 1)
	go func() { done <- srv.ServeTLS(ln, "", "") }()

	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		if rv.cfg.Faults != nil {
			stop()
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		err = srv.Shutdown(grace)
		cancel()
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
		<-done
	}
	stopKeep()
	<-swept
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
