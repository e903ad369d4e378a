package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log" // the only logger that http.Server takes; it writes to ours
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

// ServerOptions configures a Server.
type ServerOptions struct {
	Listen  string // host:port; ":8090" is every address of the machine, port 0 a free one
	TLSCert string // PEM files of the certificate with its chain and of its key; both empty: no TLS
	TLSKey  string
	Handler http.Handler
	Logger  logrus.FieldLogger // default: silent
	Grace   time.Duration      // for requests under way when the server stops; default 15 seconds
	Now     func() time.Time   // default time.Now
}

// Server listens from the moment it is made, so that an address in use is noticed before anything else begins.
type Server struct {
	opts     ServerOptions
	listener net.Listener
	http     *http.Server
	cancel   context.CancelFunc // ends the requests
}

// Listen takes the address and reads the certificate. Serve, or Close, must follow.
func Listen(ctx context.Context, opts ServerOptions) (*Server, error) {
	if opts.Grace <= 0 {
		opts.Grace = 15 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = silent()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	var config *tls.Config
	if opts.TLSCert != "" || opts.TLSKey != "" {
		pair, err := newKeyPair(opts)
		if err != nil {
			return nil, err
		}
		config = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", opts.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program: end that one, or listen elsewhere: %w", opts.Listen, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s may not be used by this account: ports below 1024 are reserved: %w", opts.Listen, err)
	case err != nil:
		return nil, fmt.Errorf("listening on %q: %w", opts.Listen, err)
	}
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &Server{
		opts: opts, listener: listener, cancel: cancel,
		http: &http.Server{
			Handler:           opts.Handler,
			TLSConfig:         config,
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       5 * time.Minute, // a whole organisation over a slow line
			WriteTimeout:      5 * time.Minute,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			BaseContext:       func(net.Listener) context.Context { return requests },
			ErrorLog:          log.New(lines{opts.Logger}, "", 0),
		},
	}, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve answers until ctx ends. Then it takes no new requests, gives those under way the grace of the options, and cuts off
// what still runs. It returns nil when it was asked to end.
func (s *Server) Serve(ctx context.Context) error {
	defer s.cancel()
	var failure error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if s.http.TLSConfig != nil {
			failure = s.http.ServeTLS(s.listener, "", "")
		} else {
			failure = s.http.Serve(s.listener)
		}
	}()
	select {
	case <-ended:
		return fmt.Errorf("serving on %s: %w", s.Addr(), failure)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Grace)
	defer cancel()
	err := s.http.Shutdown(grace)
	if err != nil {
		s.opts.Logger.WithError(err).Warn("requests were cut off")
		s.cancel()
		err = s.http.Close()
	}
	<-ended
	if err != nil {
		return fmt.Errorf("closing %s: %w", s.Addr(), err)
	}
	return nil
}

// Close gives the address back without having served.
func (s *Server) Close() error {
	s.cancel()
	return s.listener.Close()
}

// Serve listens and serves until ctx ends.
func Serve(ctx context.Context, opts ServerOptions) error {
	s, err := Listen(ctx, opts)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// lines is where http.Server tells of broken connections.
type lines struct{ log logrus.FieldLogger }

// Write logs one line.
func (l lines) Write(p []byte) (int, error) {
	l.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}

// keyPairEvery is how often a handshake looks whether the certificate's files were replaced.
const keyPairEvery = 10 * time.Second

// keyPair is the server's certificate, read again when its files are replaced.
type keyPair struct {
	certFile, keyFile string
	log               logrus.FieldLogger
	now               func() time.Time

	mu        sync.Mutex
	cert      *tls.Certificate
	seen      [2]os.FileInfo
	looked    time.Time
	complaint string // what the last reading failed of
}

func newKeyPair(opts ServerOptions) (*keyPair, error) {
	if opts.TLSCert == "" || opts.TLSKey == "" {
		return nil, errors.New("TLS needs both a certificate file and a key file")
	}
	p := &keyPair{certFile: opts.TLSCert, keyFile: opts.TLSKey, log: opts.Logger, now: opts.Now}
	p.looked = p.now()
	err := p.load()
	return p, err
}

// load reads the files if they are others than before. What was read stays when they are unusable, as they are for a
// moment when one of them is replaced before the other. The caller holds mu, or is the only one.
func (p *keyPair) load() error {
	var seen [2]os.FileInfo
	for i, name := range []string{p.certFile, p.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("reading the TLS certificate: %w", err)
		}
		seen[i] = info
	}
	if p.cert != nil && unchanged(seen[0], p.seen[0]) && unchanged(seen[1], p.seen[1]) {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("reading the TLS certificate %s with the key %s: %w", p.certFile, p.keyFile, err)
	}
	p.cert, p.seen = &cert, seen
	return nil
}

func unchanged(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (p *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.looked) >= keyPairEvery {
		p.looked = now
		before := p.cert
		err := p.load()
		switch {
		case err != nil && err.Error() != p.complaint:
			p.complaint = err.Error()
			p.log.WithError(err).Error("the TLS certificate could not be read again; the old one is still used")
		case err == nil:
			p.complaint = ""
			if p.cert != before {
				p.log.Info("the TLS certificate was replaced")
			}
		}
	}
	return p.cert, nil
}
