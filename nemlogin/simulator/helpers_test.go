package simulator

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollebro/rollebro/certs/certstest"
)

// sharedAuthority spares the tests the making of keys.
var sharedAuthority = sync.OnceValue(func() *certstest.Authority {
	a, err := certstest.NewAuthority(certstest.AuthorityOptions{Keys: certstest.ECDSA})
	if err != nil {
		panic(err)
	}
	return a
})

// start runs a small simulator for a test.
func start(t *testing.T, opts Options) *Simulator {
	t.Helper()
	opts.Listen = "127.0.0.1:0"
	if opts.Users == 0 {
		opts.Users = 40
	}
	if opts.Authority == nil {
		opts.Authority = sharedAuthority()
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client calls a simulator over the wire.
type client struct {
	t     *testing.T
	s     *Simulator
	http  *http.Client
	tls   *tls.Config
	token string
}

func connect(t *testing.T, s *Simulator, certificates ...tls.Certificate) *client {
	t.Helper()
	config := &tls.Config{RootCAs: s.Roots(), MinVersion: tls.VersionTLS12}
	transport := &http.Transport{TLSClientConfig: config}
	if len(certificates) > 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &certificates[0], nil
		}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t: t, s: s, tls: config, http: &http.Client{Transport: transport}}
}

// login is a client with the right certificate and a token.
func login(t *testing.T, s *Simulator) *client {
	t.Helper()
	c := connect(t, s, s.ClientCertificate())
	c.authenticate()
	return c
}

func (c *client) authenticate() {
	c.t.Helper()
	var token tokenWire
	c.post(EndpointAuthenticate, "{}").want(http.StatusOK).into(&token)
	c.token = token.AccessToken
}

type response struct {
	t      *testing.T
	err    error
	status int
	header http.Header
	body   string
}

func (c *client) get(path string) response { c.t.Helper(); return c.do(http.MethodGet, path, "") }
func (c *client) post(path, body string) response {
	c.t.Helper()
	return c.do(http.MethodPost, path, body)
}

func (c *client) put(path, body string) response {
	c.t.Helper()
	return c.do(http.MethodPut, path, body)
}

func (c *client) del(path, body string) response {
	c.t.Helper()
	return c.do(http.MethodDelete, path, body)
}

func (c *client) do(method, path, body string) response {
	c.t.Helper()
	return c.send(context.Background(), method, path, body, http.Header{"Content-Type": {"application/json"}})
}

func (c *client) send(ctx context.Context, method, path, body string, header http.Header) response {
	c.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.s.URL()+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header = header
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return response{t: c.t, err: err}
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	return response{t: c.t, err: err, status: answer.StatusCode, header: answer.Header, body: string(data)}
}

// want fails the test unless the call was answered with this status.
func (r response) want(status int) response {
	r.t.Helper()
	if r.err != nil {
		r.t.Fatalf("the call failed: %v", r.err)
	}
	if r.status != status {
		r.t.Fatalf("status %d, want %d; body: %.300s", r.status, status, r.body)
	}
	return r
}

// broken fails the test unless the connection broke.
func (r response) broken() response {
	r.t.Helper()
	if r.err == nil {
		r.t.Fatalf("status %d, want a broken connection; body: %.300s", r.status, r.body)
	}
	return r
}

func (r response) into(value any) {
	r.t.Helper()
	if err := json.NewDecoder(bytes.NewBufferString(r.body)).Decode(value); err != nil {
		r.t.Fatalf("reading %.300q: %v", r.body, err)
	}
}

func (r response) says(text string) response {
	r.t.Helper()
	if !strings.Contains(r.body, text) {
		r.t.Fatalf("the body lacks %q: %.300s", text, r.body)
	}
	return r
}

// at fills the UUIDs into an endpoint.
func at(endpoint string, parts ...string) string {
	for _, part := range parts {
		endpoint = strings.Replace(endpoint, "*", part, 1)
	}
	return endpoint
}

// write is the body of a call that adds or removes roles.
func write(scopeType, value string, roles ...string) string {
	body, err := json.Marshal(map[string]any{"scope": Scope{scopeType, value}, "roleUuids": roles})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// person finds the first identity a test can use.
func person(t *testing.T, s *Simulator, wanted func(Identity) bool) Identity {
	t.Helper()
	for _, i := range s.State().Identities {
		if wanted(i) {
			return i
		}
	}
	t.Fatal("the world has no such identity")
	return Identity{}
}

func active(i Identity) bool { return i.Status == StatusActive && len(i.Roles) > 0 }

func mustFault(t *testing.T, s *Simulator, name string, f Fault) {
	t.Helper()
	if err := s.SetFault(name, f); err != nil {
		t.Fatal(err)
	}
}

func (c *client) roles(identity string) []assignedRoleWire {
	c.t.Helper()
	var roles []assignedRoleWire
	c.get(at(EndpointRoles, identity)).want(http.StatusOK).into(&roles)
	return roles
}

func (c *client) catalogue() []catalogueRoleWire {
	c.t.Helper()
	var answer struct{ Roles []catalogueRoleWire }
	c.get(EndpointCatalogue).want(http.StatusOK).into(&answer)
	return answer.Roles
}
