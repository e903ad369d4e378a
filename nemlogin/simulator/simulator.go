package simulator

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"
	_ "time/tzdata" // the hours of bad-hours are Danish, also where the machine has no time zones

	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/certs/certstest"
)

// Options says what organisation to simulate. The zero value is a small one, served on the default addresses.
type Options struct {
	// CVR is the organisation's number, eight digits. Default "99900011": invented organisations begin with 9.
	CVR string
	// Organisation is its name. Default "Eksempelby Kommune".
	Organisation string
	// Users is how many identities to seed. Default 100; a negative number means none.
	Users int
	// Imported is how many users from NemID's days there are besides, not yet activated. Default a fiftieth of Users,
	// rounded up; a negative number means none.
	Imported int
	// Roles is how many roles the catalogue has. Default 200; a negative number means none.
	Roles int
	// Seed chooses the world: the same options and seed always give the same one.
	Seed uint64
	// Latency is added to every answer.
	Latency time.Duration
	// Listen is where to serve the calls with mutual TLS. Default 127.0.0.1:8443; a port of 0 takes a free one.
	Listen string
	// Inspect is where to serve the inspection API in plain HTTP; only loopback addresses are allowed. Empty: nowhere.
	Inspect string
	// Faults are behaviours to switch, with their rates.
	Faults map[string]float64
	// Now is the clock for tokens, hours and the request log. Default time.Now. It must be safe for concurrent use.
	Now func() time.Time
	// Logger gets what happens, request by request at debug level. Default: nowhere.
	Logger logrus.FieldLogger
	// TokenLifetime is how long tokens live. Default an hour. It is told in whole seconds.
	TokenLifetime time.Duration
	// Authority issues the certificates. Default: a new one.
	Authority *certstest.Authority
}

// The default addresses of the command.
const (
	DefaultListen  = "127.0.0.1:8443"
	DefaultInspect = "127.0.0.1:8444"
)

// Simulator is one organisation in MitID Erhverv. Its methods are safe for concurrent use.
type Simulator struct {
	opts      Options
	log       logrus.FieldLogger
	world     *world
	zone      *time.Location
	authority *certstest.Authority
	client    certstest.Leaf
	password  string
	keystore  []byte
	server    tls.Certificate

	switching sync.Mutex
	faults    atomic.Pointer[faultTable]
	hook      atomic.Pointer[func(Request) Action]
	requests  requestLog
	tokens    tokens
	changes   atomic.Uint64 // numbers foreign changes
	numbered  atomic.Uint64 // numbers requests
	handshook atomic.Uint64 // numbers the changes of what a handshake demands

	running   sync.Mutex
	api       *http.Server
	inspect   *http.Server
	address   net.Addr
	inspectAt net.Addr
	stop      context.CancelFunc
	base      func(net.Listener) context.Context // of every call; ends with stop
}

var cvrPattern = regexp.MustCompile(`^[0-9]{8}$`)

// New seeds an organisation and makes its certificates. Nothing listens before Start.
func New(opts Options) (*Simulator, error) {
	opts = opts.withDefaults()
	if !cvrPattern.MatchString(opts.CVR) {
		return nil, fmt.Errorf("making a simulator: %q is not a CVR number of eight digits", opts.CVR)
	}
	if err := checkLoopback(opts.Inspect); err != nil {
		return nil, fmt.Errorf("making a simulator: %w", err)
	}
	zone, err := time.LoadLocation("Europe/Copenhagen")
	if err != nil {
		return nil, fmt.Errorf("making a simulator: %w", err)
	}
	s := &Simulator{opts: opts, log: opts.Logger, zone: zone, world: newWorld(opts.CVR, opts.Seed)}
	calls, stop := context.WithCancel(context.Background())
	s.base, s.stop = func(net.Listener) context.Context { return calls }, stop
	s.tokens.live = map[string]time.Time{}
	empty := faultTable{}
	s.faults.Store(&empty)
	s.ClearFaults()
	for name, rate := range opts.Faults {
		if err := s.SetFault(name, Fault{Rate: rate}); err != nil {
			return nil, fmt.Errorf("making a simulator: %w", err)
		}
	}
	if err := s.makeCertificates(); err != nil {
		return nil, fmt.Errorf("making a simulator: %w", err)
	}
	fill(s.world, opts.Roles, opts.Users, opts.Imported)
	return s, nil
}

func (o Options) withDefaults() Options {
	count := func(n *int, otherwise int) {
		if *n == 0 {
			*n = otherwise
		}
		*n = max(*n, 0)
	}
	count(&o.Users, 100)
	count(&o.Imported, (o.Users+49)/50)
	count(&o.Roles, 200)
	if o.CVR == "" {
		o.CVR = "99900011"
	}
	if o.Organisation == "" {
		o.Organisation = "Eksempelby Kommune"
	}
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TokenLifetime <= 0 {
		o.TokenLifetime = time.Hour
	}
	if o.Logger == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		o.Logger = silent
	}
	return o
}

func (s *Simulator) makeCertificates() error {
	s.authority = s.opts.Authority
	if s.authority == nil {
		var err error
		if s.authority, err = certstest.NewAuthority(certstest.AuthorityOptions{Keys: certstest.ECDSA}); err != nil {
			return err
		}
	}
	hosts := []string{"127.0.0.1", "::1", "localhost"}
	if host, _, err := net.SplitHostPort(s.opts.Listen); err != nil {
		return fmt.Errorf("reading the address to listen on: %w", err)
	} else if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsLoopback() && !ip.IsUnspecified()) {
		hosts = append(hosts, host)
	}
	var err error
	if s.server, err = s.authority.Server(hosts...); err != nil {
		return err
	}
	s.client, err = s.authority.Issue(certstest.LeafOptions{
		CVR:          s.opts.CVR,
		UUID:         s.world.newUUID().String(),
		Name:         "Rollebro simulator",
		Organisation: s.opts.Organisation,
		Keys:         certstest.ECDSA,
	})
	if err != nil {
		return err
	}
	secret := make([]byte, 18)
	_, _ = rand.Read(secret) // never fails
	s.password = base64.RawURLEncoding.EncodeToString(secret)
	s.keystore, err = s.client.Keystore(s.password, certstest.KeystoreOptions{})
	return err
}

// Roots returns the certificates to verify the simulator's own with.
func (s *Simulator) Roots() *x509.CertPool { return s.authority.Pool() }

// Authority returns what issued the certificates, so that a test can have more made.
func (s *Simulator) Authority() *certstest.Authority { return s.authority }

// ClientCertificate returns the organisation's certificate, which has the right to call the IdM services.
func (s *Simulator) ClientCertificate() tls.Certificate { return s.client.TLS() }

// Keystore returns the organisation's certificate as a PKCS#12 file, with the file's password.
func (s *Simulator) Keystore() (data []byte, password string) { return s.keystore, s.password }

// CVR returns the organisation's number.
func (s *Simulator) CVR() string { return s.world.cvr }

// Start begins to listen. URL and InspectURL are known when it returns. A simulator is started once.
func (s *Simulator) Start() error {
	s.running.Lock()
	defer s.running.Unlock()
	if s.api != nil {
		return errors.New("starting the simulator: it was started before")
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(context.Background(), "tcp", s.opts.Listen)
	if err != nil {
		return fmt.Errorf("starting the simulator: %w", err)
	}
	var inspectListener net.Listener
	if s.opts.Inspect != "" {
		if inspectListener, err = listening.Listen(context.Background(), "tcp", s.opts.Inspect); err != nil {
			return errors.Join(fmt.Errorf("starting the simulator's inspection API: %w", err), listener.Close())
		}
	}
	s.address = listener.Addr()
	s.api = s.newServer(s.Handler())
	s.serve("calls", s.api, tls.NewListener(listener, s.tlsConfig()))
	if inspectListener != nil {
		s.inspectAt = inspectListener.Addr()
		s.inspect = s.newServer(s.InspectHandler())
		s.serve("inspection", s.inspect, inspectListener)
	}
	s.log.WithFields(logrus.Fields{"listen": s.address, "identities": len(s.world.all())}).Info("Simulator listens")
	return nil
}

func (s *Simulator) newServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // faults cut single connections, which HTTP/2 would share between calls
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       3 * time.Minute,
		ErrorLog:          log.New(logWriter{s.log}, "", 0),
		BaseContext:       s.base,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, handshakeKey{}, s.handshook.Load())
		},
	}
}

func (s *Simulator) serve(what string, server *http.Server, listener net.Listener) {
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.WithError(err).Error("Simulator stopped serving " + what)
		}
	}()
}

// Close stops listening, abandons calls that wait for something, and lets the others end until ctx does.
func (s *Simulator) Close(ctx context.Context) error {
	s.running.Lock()
	defer s.running.Unlock()
	s.stop()
	var errs []error
	for _, server := range []*http.Server{s.api, s.inspect} {
		if server == nil {
			continue
		}
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("closing the simulator: %w", err), server.Close())
		}
	}
	return errors.Join(errs...)
}

// URL returns the base URL to call, https://127.0.0.1:8443 for example; empty before Start.
func (s *Simulator) URL() string {
	s.running.Lock()
	defer s.running.Unlock()
	return baseURL("https", s.address)
}

// InspectURL returns the base URL of the inspection API; empty before Start and when there is none.
func (s *Simulator) InspectURL() string {
	s.running.Lock()
	defer s.running.Unlock()
	return baseURL("http", s.inspectAt)
}

func baseURL(scheme string, addr net.Addr) string {
	if addr == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// handshakeKey finds in a connection's context which rules its handshake went by.
type handshakeKey struct{}

// newHandshakeRules ends the connections that were made under other rules: those nobody uses just now at once, the others
// when somebody calls.
func (s *Simulator) newHandshakeRules() {
	s.handshook.Add(1)
	s.running.Lock()
	defer s.running.Unlock()
	if s.api != nil {
		s.api.SetKeepAlivesEnabled(false)
		s.api.SetKeepAlivesEnabled(true)
	}
}

// outdated tells whether a connection was made under other rules than there are now.
func (s *Simulator) outdated(ctx context.Context) bool {
	made, known := ctx.Value(handshakeKey{}).(uint64)
	return known && made != s.handshook.Load()
}

// logWriter takes what the HTTP server has to say; failed handshakes, mostly, which tests provoke.
type logWriter struct{ log logrus.FieldLogger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Debug(string(p))
	return len(p), nil
}
