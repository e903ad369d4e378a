package nemlogin

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

// What the tests talk about.
const (
	alice   = "0a1b2c3d-0000-4000-8000-00000000a11c"
	bob     = "0a1b2c3d-0000-4000-8000-000000000b0b"
	roleA   = "11111111-aaaa-4000-8000-000000000001"
	roleB   = "22222222-bbbb-4000-8000-000000000002"
	roleC   = "33333333-cccc-4000-8000-000000000003"
	testCVR = "98765432"
	// testCPR fails modulus 11 and belongs to nobody.
	testCPR = "010190-1235"
)

var wholeCVR = Scope{ScopeCvr, testCVR}

// sent is a request as the test service received it.
type sent struct {
	method, path, auth, body string
	connection               string
}

// service is a small NemLog-in over TLS with client certificates: it gives out
// numbered tokens and leaves the rest to handle.
type service struct {
	*httptest.Server
	handle http.HandlerFunc
	// authenticate replaces giving out tokens, if set.
	authenticate http.HandlerFunc
	// accept says which token is good; nil accepts every token given out.
	accept func(token string) bool

	mu     sync.Mutex
	seen   []sent
	tokens int
}

// newService starts a service whose calls with a good token go to handle.
func newService(t testing.TB, handle http.HandlerFunc) *service {
	t.Helper()
	s := &service{handle: handle}
	s.Server = httptest.NewUnstartedServer(s)
	s.Server.Config.ErrorLog = discard
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clientPool(), MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.seen = append(s.seen, sent{r.Method, r.URL.Path, r.Header.Get("Authorization"), string(body), r.RemoteAddr})
	s.mu.Unlock()
	if r.URL.Path == pathAuthenticate {
		if s.authenticate != nil {
			s.authenticate(w, r)
			return
		}
		s.mu.Lock()
		s.tokens++
		n := s.tokens
		s.mu.Unlock()
		fmt.Fprintf(w, `{"accessToken":"secret-token-%d","tokenType":"Bearer","expiresIn":3600}`, n)
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer secret-token-")
	if !ok || (s.accept != nil && !s.accept(token)) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.handle(w, r)
}

// requests returns what was received, without the token requests unless asked
// for.
func (s *service) requests(withTokens bool) []sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []sent
	for _, request := range s.seen {
		if withTokens || request.path != pathAuthenticate {
			found = append(found, request)
		}
	}
	return found
}

// options returns options for s: quick retries, everything else as in use.
func (s *service) options() Options {
	return Options{
		BaseURL: s.URL, CVR: testCVR, Certificate: clientCertificate, RootCAs: s.roots(),
		Retry: RetryPolicy{Attempts: 3, Base: time.Microsecond, Max: time.Microsecond, MaxRetryAfter: time.Minute},
	}
}

func (s *service) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

// client makes a client of s, with its options changed by adjust.
func (s *service) client(t testing.TB, adjust ...func(*Options)) *Client {
	t.Helper()
	options := s.options()
	for _, f := range adjust {
		f(&options)
	}
	c, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// discard silences the test servers, which complain about refused certificates.
var discard = log.New(io.Discard, "", 0)

var clientCertificate = sync.OnceValues(func() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Testby Kommune"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
})

func clientPool() *x509.CertPool {
	certificate, err := clientCertificate()
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Leaf)
	return pool
}

// answer is a handler that always answers the same.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// route is a handler by "METHOD path"; anything else is 404.
type route map[string]http.HandlerFunc

func (r route) handler(w http.ResponseWriter, req *http.Request) {
	if h, ok := r[req.Method+" "+req.URL.Path]; ok {
		h(w, req)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

// rolesIn decodes the body of a write.
func rolesIn(t testing.TB, body string) (Scope, []string) {
	t.Helper()
	var write struct {
		Scope     Scope
		RoleUUIDs []string
	}
	if err := json.Unmarshal([]byte(body), &write); err != nil {
		t.Errorf("the body of a write does not parse: %v", err)
	}
	return write.Scope, write.RoleUUIDs
}

// recorder collects log output.
type recorder struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// logger returns a logger at debug level and what it writes.
func logger() (*logrus.Logger, *recorder) {
	r := &recorder{}
	l := logrus.New()
	l.SetOutput(r)
	l.SetLevel(logrus.DebugLevel)
	return l, r
}
