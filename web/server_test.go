package web_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rollebro/rollebro/web"
)

// serving is a server under way.
type serving struct {
	addr string
	stop context.CancelFunc
	done chan error
}

func serve(t *testing.T, opts web.ServerOptions) serving {
	t.Helper()
	opts.Listen = "127.0.0.1:0"
	s, err := web.Listen(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // stopped by the test
	run := serving{addr: s.Addr().String(), stop: cancel, done: make(chan error, 1)}
	go func() {
		run.done <- s.Serve(ctx)
		close(run.done)
	}()
	t.Cleanup(func() {
		cancel()
		for range run.done { // until it is closed
			continue
		}
	})
	return run
}

func client(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func fetch(t *testing.T, c *http.Client, url string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestServeAnswersAndStops(t *testing.T) {
	t.Parallel()
	run := serve(t, web.ServerOptions{Handler: web.Handler(web.Options{})})
	c := client(t, nil)
	if resp, body, err := fetch(t, c, "http://"+run.addr+"/manage/health"); err != nil || resp.StatusCode != 200 || strings.TrimSpace(body) != `{"status":"UP"}` {
		t.Fatalf("%v %q %v", resp, body, err)
	}
	run.stop()
	if err := <-run.done; err != nil {
		t.Errorf("stopping: %v", err)
	}
	if _, _, err := fetch(t, c, "http://"+run.addr+"/healthz"); err == nil {
		t.Error("it still answers")
	}
}

func TestStopWaitsForRequests(t *testing.T) {
	t.Parallel()
	begun, free := make(chan struct{}), make(chan struct{})
	run := serve(t, web.ServerOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-free
		if r.Context().Err() != nil {
			t.Error("called off")
		}
		w.Write([]byte("whole"))
	})})
	answer := make(chan string, 1)
	c := client(t, nil)
	go func() {
		_, body, _ := fetch(t, c, "http://"+run.addr)
		answer <- body
	}()
	<-begun
	run.stop()
	refused(t, run.addr)
	select {
	case err := <-run.done:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	close(free)
	if body := <-answer; body != "whole" {
		t.Errorf("the answer is %q", body)
	}
	if err := <-run.done; err != nil {
		t.Error(err)
	}
}

// refused returns when nobody listens at an address any more.
func refused(t *testing.T, addr string) {
	t.Helper()
	var d net.Dialer
	for {
		conn, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			return
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStopCutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}), make(chan struct{})
	run := serve(t, web.ServerOptions{Grace: 10 * time.Millisecond, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	})})
	c := client(t, nil)
	answer := make(chan error, 1)
	go func() {
		_, _, err := fetch(t, c, "http://"+run.addr)
		answer <- err
	}()
	<-begun
	run.stop()
	if err := <-run.done; err != nil {
		t.Error(err)
	}
	<-ended
	if err := <-answer; err == nil {
		t.Error("the request was answered")
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	taken, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = web.Serve(t.Context(), web.ServerOptions{Listen: taken.Addr().String(), Handler: http.NotFoundHandler()})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), taken.Addr().String()+" is in use by another program") {
		t.Errorf("the error is %v", err)
	}
	if _, err := web.Listen(t.Context(), web.ServerOptions{Listen: "nonsense"}); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("the error is %v", err)
	}
}

func TestCloseWithoutServing(t *testing.T) {
	t.Parallel()
	s, err := web.Listen(t.Context(), web.ServerOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again, err := web.Listen(t.Context(), web.ServerOptions{Listen: s.Addr().String()})
	if err != nil {
		t.Fatalf("the address was not given back: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	run := serve(t, web.ServerOptions{Handler: web.Handler(web.Options{})})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+run.addr+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("a", 100<<10))
	resp, err := client(t, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", resp.StatusCode)
	}
}

// issue writes a certificate for 127.0.0.1 and its key, and returns the pool that trusts it.
func issue(t *testing.T, certFile, keyFile string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	replace(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

func replace(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestTLSCertificateIsReplacedWithoutRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	pool := issue(t, certFile, keyFile, 1)
	var later atomic.Int64
	log, book := newLog()
	run := serve(t, web.ServerOptions{
		TLSCert: certFile, TLSKey: keyFile, Logger: log, Handler: web.Handler(web.Options{}),
		Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
	})
	serial := func(pool *x509.CertPool) string {
		t.Helper()
		later.Add(int64(time.Minute))
		resp, _, err := fetch(t, client(t, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}), "https://"+run.addr+"/healthz")
		if err != nil {
			return err.Error()
		}
		if resp.ProtoMajor != 2 || resp.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s %v", resp.Proto, resp.Header)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(pool); got != "1" {
		t.Fatalf("the certificate is %s", got)
	}
	renewed := issue(t, certFile, keyFile, 2)
	if got := serial(renewed); got != "2" {
		t.Errorf("after it was replaced the certificate is %s", got)
	}
	replace(t, keyFile, []byte("half a key"))
	for range 2 {
		if got := serial(renewed); got != "2" {
			t.Errorf("with a broken file the certificate is %s", got)
		}
	}
	if n := strings.Count(book.String(), "could not be read again"); n != 1 {
		t.Errorf("the broken file was logged %d times:\n%s", n, book)
	}
	if got := serial(issue(t, certFile, keyFile, 3)); got != "3" {
		t.Errorf("after it was mended the certificate is %s", got)
	}
}

func TestTLSNeedsBothFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	issue(t, certFile, keyFile, 1)
	other := filepath.Join(dir, "other.key")
	issue(t, filepath.Join(dir, "other.crt"), other, 2)
	for name, opts := range map[string]web.ServerOptions{
		"no key":          {TLSCert: certFile},
		"no certificate":  {TLSKey: keyFile},
		"missing":         {TLSCert: certFile + "x", TLSKey: keyFile},
		"the wrong key":   {TLSCert: certFile, TLSKey: other},
		"swapped by hand": {TLSCert: keyFile, TLSKey: certFile},
	} {
		opts.Listen = "127.0.0.1:0"
		if _, err := web.Listen(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
