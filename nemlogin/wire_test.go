package nemlogin

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestTrust breaks the trust between client and server in every way and wants
// to be told what to do about it, at once and without repetition.
func TestTrust(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		server func(*service)
		client func(*Options)
		want   []string
	}{
		{"unknown authority", nil, func(o *Options) { o.RootCAs = x509.NewCertPool() }, []string{"rc.integrations.nemLogin.rootCertificates"}},
		{"other host", nil, func(o *Options) { o.BaseURL = strings.Replace(o.BaseURL, "127.0.0.1", "localhost", 1) }, []string{"another host", "baseUrl"}},
		{"keystore unreadable", nil, func(o *Options) {
			o.Certificate = func() (*tls.Certificate, error) { return nil, errors.New("no such file") }
		}, []string{"no such file", "keystoreLocation"}},
		{"keystore empty", nil, func(o *Options) {
			o.Certificate = func() (*tls.Certificate, error) { return &tls.Certificate{}, nil }
		}, []string{"keystoreLocation"}},
		{"keystore nil", nil, func(o *Options) {
			o.Certificate = func() (*tls.Certificate, error) { return nil, nil } //nolint:nilnil // a careless callback
		}, []string{"keystoreLocation"}},
		{"certificate refused, TLS 1.3", func(s *service) { s.TLS.ClientCAs = x509.NewCertPool() }, nil, []string{"does not accept the client certificate", "Adgang til IdM services"}},
		{"certificate refused, TLS 1.2", func(s *service) {
			s.TLS.ClientCAs, s.TLS.MaxVersion = x509.NewCertPool(), tls.VersionTLS12
		}, nil, []string{"does not accept the client certificate", "Adgang til IdM services"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &service{handle: answer(200, "[]")}
			s.Server = httptest.NewUnstartedServer(s)
			s.Config.ErrorLog = discard
			s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clientPool(), MinVersion: tls.VersionTLS12}
			if test.server != nil {
				test.server(s)
			}
			s.StartTLS()
			t.Cleanup(s.Close)
			asked := 0
			c := s.client(t, func(o *Options) {
				if test.client != nil {
					test.client(o)
				}
				give := o.Certificate
				o.Certificate = func() (*tls.Certificate, error) { asked++; return give() }
				o.Retry.Attempts = 1 // a reset instead of the alert would be transient
			})
			// A refused certificate in TLS 1.3 shows as an alert or, if the server
			// closes before the alert is read, as a reset.
			var err error
			for range 20 {
				if err = c.Authenticate(t.Context()); ClassOf(err) == ClassAuth {
					break
				}
			}
			if ClassOf(err) != ClassAuth {
				t.Fatalf("%v is %q, want %q", err, ClassOf(err), ClassAuth)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if len(s.requests(true)) > 0 {
				t.Error("the service got a request")
			}
		})
	}
}

func TestHintsFromTexts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"local error: tls: no renegotiation", "rc.integrations.nemLogin.renegotiate"},
		{"local error: tls: unexpected message", "rc.integrations.nemLogin.renegotiate"},
		{"http: server gave HTTP response to HTTPS client", "does not speak TLS"},
	} {
		c := fakeClient(t, func(*http.Request) (*http.Response, error) { return nil, errors.New(test.text) })
		if err := c.Authenticate(t.Context()); ClassOf(err) != ClassAuth || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", test.text, err)
		}
	}
}

func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(answer(200, "[]"))
	t.Cleanup(s.Close)
	c, err := New(Options{BaseURL: strings.Replace(s.URL, "http:", "https:", 1), Certificate: clientCertificate})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Authenticate(t.Context()); ClassOf(err) != ClassAuth || !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("got %v", err)
	}
}

func TestTLSSettings(t *testing.T) {
	t.Parallel()
	for _, renegotiate := range []bool{false, true} {
		w := newWire(Options{Renegotiate: renegotiate, Concurrency: 5, Certificate: clientCertificate})
		for _, transport := range []*http.Transport{w.pooled, w.fresh} {
			config := transport.TLSClientConfig
			if config.InsecureSkipVerify || //nolint:forbidigo // that it is off is what the test is for
				config.MinVersion != tls.VersionTLS12 || config.GetClientCertificate == nil || config.ClientSessionCache != nil {
				t.Errorf("the TLS configuration is %+v", config)
			}
			if (config.Renegotiation == tls.RenegotiateOnceAsClient) != renegotiate || (config.MaxVersion == tls.VersionTLS12) != renegotiate {
				t.Errorf("renegotiate %v: got %v up to version %x", renegotiate, config.Renegotiation, config.MaxVersion)
			}
			if transport.MaxIdleConnsPerHost != 5 {
				t.Errorf("%d connections are kept for 5 requests at a time", transport.MaxIdleConnsPerHost)
			}
		}
	}
}

// TestCertificateIsSentDespiteTheIssuerList uses a server that names only foreign issuers.
func TestCertificateIsSentDespiteTheIssuerList(t *testing.T) {
	t.Parallel()
	s := &service{handle: answer(200, "[]")}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = discard
	foreign := x509.NewCertPool()
	foreign.AddCert(&x509.Certificate{RawSubject: []byte{0x30, 0x00}, Raw: []byte("foreign")})
	var got atomic.Int32
	s.TLS = &tls.Config{
		ClientAuth: tls.RequireAnyClientCert, ClientCAs: foreign, MinVersion: tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error {
			got.Store(int32(len(state.PeerCertificates)))
			return nil
		},
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	if err := s.client(t).Authenticate(t.Context()); err != nil || got.Load() != 1 {
		t.Errorf("got %v, %d certificates arrived", err, got.Load())
	}
}

func TestCertificateIsAskedAtEveryHandshake(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(200, "[]"))
	asked := 0
	c := s.client(t, func(o *Options) {
		o.Certificate = func() (*tls.Certificate, error) { asked++; return clientCertificate() }
	})
	read := func() {
		t.Helper()
		if _, err := c.SENumbers(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	read()
	read()
	if asked != 1 {
		t.Errorf("asked %d times on one connection", asked)
	}
	c.CloseIdleConnections()
	read()
	if asked != 2 {
		t.Errorf("asked %d times on two connections", asked)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathSENumbers {
			w.WriteHeader(400)
		}
		_, _ = io.WriteString(w, strings.Repeat(" ", 50_000)+"[]")
	})
	c := s.client(t)
	for range 5 {
		if _, err := c.SENumbers(t.Context()); ClassOf(err) != ClassRejected {
			t.Fatal(err)
		}
		if _, err := c.ProductionUnits(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	connections := make(map[string]bool)
	for _, r := range s.requests(true) {
		connections[r.connection] = true
	}
	if len(connections) != 1 {
		t.Errorf("%d connections for requests one after the other", len(connections))
	}
}

// TestTimeout has the service never answer.
func TestTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathSENumbers { // the header, and no more
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "[")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	c := s.client(t, func(o *Options) { o.Retry.Attempts, o.Timeout = 2, 300*time.Millisecond })
	_, whileReading := c.SENumbers(t.Context())
	_, noAnswer := c.ProductionUnits(t.Context())
	onWrite := c.AddRoles(t.Context(), alice, wholeCVR, []string{roleA})
	for name, err := range map[string]error{"while reading": whileReading, "no answer": noAnswer, "write": onWrite} {
		if ClassOf(err) != ClassTransient || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 300ms") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// On a busy machine the time can be up before the handshake is over, so the
	// exact numbers are not known.
	if n := count(s.requests(false), http.MethodPost); n > 1 {
		t.Errorf("the write was sent %d times", n)
	}
	if n := count(s.requests(false), http.MethodGet); n > 4 {
		t.Errorf("two reads were sent %d times, want at most twice each", n)
	}
}

// TestCancelInFlight ends the caller's context while the service works.
func TestCancelInFlight(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 10)
	s := newService(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	c := s.client(t)
	for name, do := range map[string]func(context.Context) error{
		"read":  func(ctx context.Context) error { _, err := c.Roles(ctx); return err },
		"write": func(ctx context.Context) error { return c.RemoveRoles(ctx, alice, wholeCVR, []string{roleA, roleB}) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		err := do(ctx)
		if ClassOf(err) != ClassCanceled || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
		if failed, ok := errors.AsType[*Error](err); !ok || !failed.Sent {
			t.Errorf("%s: the error denies that the request was sent: %+v", name, failed)
		}
	}
	if inFlight, limit := c.limiter.state(); inFlight != 0 || limit != DefaultConcurrency {
		t.Errorf("afterwards %d are in flight and the limit is %d", inFlight, limit)
	}
}

func TestAnswerSize(t *testing.T) {
	t.Parallel()
	body := `[{"seNumber":"12345678"}]`
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathProductionUnits { // 1 MB of blanks in about 1 kB
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, strings.Repeat(" ", 1<<20)+"[]")
			_ = z.Close()
			return
		}
		_, _ = io.WriteString(w, body)
	})
	for _, test := range []struct {
		limit int
		want  Class
	}{{len(body), ""}, {len(body) - 1, ClassGarbage}} {
		c := s.client(t, func(o *Options) { o.MaxBody = int64(test.limit) })
		// Such a limit is too small for a token; take one from elsewhere.
		c.tokens.value, c.tokens.renewAt = "secret-token-0", time.Now().Add(time.Hour)
		if _, err := c.SENumbers(t.Context()); ClassOf(err) != test.want {
			t.Errorf("limit %d for %d bytes: got %v", test.limit, len(body), err)
		}
	}
	c := s.client(t, func(o *Options) { o.MaxBody = 100_000 })
	if _, err := c.ProductionUnits(t.Context()); ClassOf(err) != ClassGarbage || !errors.Is(err, errTooLarge) {
		t.Errorf("compressed: got %v", err)
	}
}

func TestLongErrorBodyIsCut(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(400, strings.Repeat("Rollen er afvist. ", 100_000)))
	_, err := s.client(t).Roles(t.Context())
	failed, ok := errors.AsType[*Error](err)
	if !ok || len(failed.Body) < 4000 || len(failed.Body) > 4096 || failed.Class != ClassRejected {
		t.Errorf("got a body of %d bytes, %v", len(failed.Body), failed.Class)
	}
}

// rawServer answers every connection after its TLS handshake by serve.
func rawServer(t *testing.T, serve func(n int, conn net.Conn, r *http.Request)) *service {
	t.Helper()
	s := newService(t, nil)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", s.TLS)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	go func() {
		defer close(done)
		for n := 0; ; {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reader := bufio.NewReader(conn)
			for {
				r, err := http.ReadRequest(reader)
				if err != nil {
					break
				}
				body, _ := io.ReadAll(r.Body)
				s.mu.Lock()
				s.seen = append(s.seen, sent{method: r.Method, path: r.URL.Path, body: string(body)})
				s.mu.Unlock()
				if r.URL.Path == pathAuthenticate {
					token := `{"accessToken":"secret-token-1"}`
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(token), token)
					continue
				}
				n++
				serve(n, conn, r)
				break
			}
			_ = conn.Close()
		}
	}()
	s.URL = "https://" + listener.Addr().String()
	return s
}

// TestConnectionBreaks closes connections at every stage of an answer.
func TestConnectionBreaks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer string
		read, write  Class
	}{
		{"no answer", "", ClassTransient, ClassTransient},
		{"half a header", "HTTP/1.1 200 OK\r\nContent-", ClassTransient, ClassTransient},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n[{\"seNumber\"", ClassTransient, ""},
		{"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{", ClassTransient, ""},
		{"body until the end", "HTTP/1.1 200 OK\r\n\r\n[]", "", ""},
		{"not HTTP", "SSH-2.0-OpenSSH\r\n", ClassTransient, ClassTransient},
		{"half an error", "HTTP/1.1 400 Bad Request\r\nContent-Length: 300\r\n\r\nwrong", ClassRejected, ClassRejected},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := rawServer(t, func(_ int, conn net.Conn, _ *http.Request) { _, _ = io.WriteString(conn, test.answer) })
			c := s.client(t, func(o *Options) { o.Concurrency = 1 })
			_, err := c.SENumbers(t.Context())
			if ClassOf(err) != test.read {
				t.Errorf("read: %v is %q, want %q", err, ClassOf(err), test.read)
			}
			err = c.AddRoles(t.Context(), alice, wholeCVR, []string{roleA})
			if ClassOf(err) != test.write {
				t.Errorf("write: %v is %q, want %q", err, ClassOf(err), test.write)
			}
			if n := count(s.requests(false), http.MethodPost); n != 1 {
				t.Errorf("the write was sent %d times", n)
			}
			if failed, ok := errors.AsType[*Error](err); ok && !failed.Sent {
				t.Error("the error denies that the write was sent")
			}
		})
	}
}

// TestNobodyListens wants writes repeated, because they surely did not arrive.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	c := s.client(t)
	c.tokens.value, c.tokens.renewAt = "secret-token-0", time.Now().Add(time.Hour)
	s.Close()
	l, output := logger()
	c.log = l
	err := c.AddRoles(t.Context(), alice, wholeCVR, []string{roleA})
	failed, ok := errors.AsType[*Error](err)
	if !ok || failed.Class != ClassTransient || failed.Sent || failed.Status != 0 {
		t.Errorf("got %+v", failed)
	}
	if n := strings.Count(output.String(), "Repeating a request"); n != 2 {
		t.Errorf("repeated %d times, want 2", n)
	}
}
