package nemlogin

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// maxErrorBody is the most bytes read of an answer that is not a success.
const maxErrorBody = 64 << 10

// wire is the end of the transport chain: it sends a request over TLS with the
// client certificate, within a time limit, and reads the answer whole. Its
// answers' bodies are in memory; what went wrong while reading is what their
// Read returns at the end.
type wire struct {
	pooled *http.Transport
	// fresh makes a connection of its own for every request. A service that
	// asks for the client certificate only at the handshake may have tied its
	// refusal to the old connection.
	fresh   *http.Transport
	timeout time.Duration
	maxBody int64
}

type freshKey struct{}

// onFreshConnection makes wire send requests with the context returned on a new
// connection.
func onFreshConnection(ctx context.Context) context.Context {
	return context.WithValue(ctx, freshKey{}, true)
}

// newWire makes the wire for checked options.
func newWire(o Options) *wire {
	tlsConfig := &tls.Config{
		MinVersion: tls.VersionTLS12,
		RootCAs:    o.RootCAs,
		// Not Certificates: with those Go sends no certificate at all when the
		// server's list of acceptable issuers does not name ours.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate, err := o.Certificate()
			if err != nil {
				return nil, &certificateError{err}
			}
			if certificate == nil || len(certificate.Certificate) == 0 {
				return nil, &certificateError{errors.New("the keystore has no certificate")}
			}
			return certificate, nil
		},
	}
	if o.Renegotiate {
		tlsConfig.Renegotiation = tls.RenegotiateOnceAsClient
		tlsConfig.MaxVersion = tls.VersionTLS12
	}
	// HTTP/1.1 alone: renegotiation needs it, and with one request per
	// connection a broken connection costs one request.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	pooled := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: o.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    o.ConnectTimeout,
		Protocols:              protocols,
		MaxIdleConns:           o.Concurrency,
		MaxIdleConnsPerHost:    o.Concurrency,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
	fresh := pooled.Clone()
	fresh.DisableKeepAlives = true
	return &wire{pooled: pooled, fresh: fresh, timeout: o.Timeout, maxBody: o.MaxBody}
}

// certificateError is a client certificate that could not be had.
type certificateError struct{ err error }

func (e *certificateError) Error() string {
	return "loading the client certificate: " + e.err.Error()
}
func (e *certificateError) Unwrap() error { return e.err }

// timeoutError is an answer that did not come in time. It is not a
// context.DeadlineExceeded, which would read as if the caller's own context had
// ended.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string   { return fmt.Sprintf("no answer within %v", e.after) }
func (e *timeoutError) Timeout() bool   { return true }
func (e *timeoutError) Temporary() bool { return true }

// sentError is a failure after a connection was there, so that the request may
// have reached the service.
type sentError struct{ err error }

func (e *sentError) Error() string { return e.err.Error() }
func (e *sentError) Unwrap() error { return e.err }

// errTooLarge is an answer of more bytes than allowed.
var errTooLarge = errors.New("the answer is larger than allowed")

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	// The transport's error is then the cause, which tells our own limit from
	// the end of the caller's context.
	ctx, cancel := context.WithTimeoutCause(req.Context(), w.timeout, &timeoutError{w.timeout})
	defer cancel()
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	transport := w.pooled
	if req.Context().Value(freshKey{}) != nil {
		transport = w.fresh
	}
	resp, err := transport.RoundTrip(req.WithContext(traced))
	if err != nil {
		if connected.Load() {
			err = &sentError{err}
		}
		return nil, err
	}

	limit := w.maxBody
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		limit = min(limit, maxErrorBody)
	}
	data, err := readAll(resp, limit)
	_ = resp.Body.Close() // the answer is read; a failing close changes nothing
	if err != nil && !errors.Is(err, errTooLarge) {
		err = &sentError{err}
	}
	resp.Body = &wholeBody{Reader: bytes.NewReader(data), data: data, err: err}
	return resp, nil
}

// CloseIdleConnections closes the connections that no request is using.
func (w *wire) CloseIdleConnections() {
	w.pooled.CloseIdleConnections()
	w.fresh.CloseIdleConnections()
}

// readAll reads the answer's body up to limit bytes.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	var buffer bytes.Buffer
	if n := resp.ContentLength; n > 0 {
		buffer.Grow(int(min(n, limit, 1<<20)) + bytes.MinRead)
	}
	n, err := buffer.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if n > limit {
		return buffer.Bytes()[:limit], errTooLarge
	}
	return buffer.Bytes(), err
}

// wholeBody is an answer's body that was read already: its bytes, and then the
// error that ended the reading.
type wholeBody struct {
	*bytes.Reader
	data []byte
	err  error
}

func (b *wholeBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) && b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *wholeBody) Close() error { return nil }

// bodyOf returns the whole body of an answer, without a copy if wire read it,
// and what went wrong while reading.
func bodyOf(resp *http.Response) ([]byte, error) {
	if whole, ok := resp.Body.(*wholeBody); ok {
		return whole.data, whole.err
	}
	return io.ReadAll(resp.Body)
}
