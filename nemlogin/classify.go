package nemlogin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What could be wrong, and what to do about it.
const (
	hintRight = `is "Adgang til IdM services i MitID Erhverv" set on the certificate?`
	hintRoots = "the server's certificate is not signed by a known authority; if it is the right server, " +
		"name its root certificate in rc.integrations.nemLogin.rootCertificates"
	hintNoRoots = "this machine has no root certificates; install them (ca-certificates) or name a file in " +
		"rc.integrations.nemLogin.rootCertificates"
	hintHost        = "the server's certificate is for another host; check rc.integrations.nemLogin.baseUrl"
	hintServerCert  = "the server's certificate is not valid; check this machine's clock"
	hintRenegotiate = "the server asks for the client certificate in a way that needs rc.integrations.nemLogin.renegotiate=true"
	hintKeystore    = "check rc.integrations.nemLogin.keystoreLocation and keystorePassword"
	hintNoTLS       = "the server does not speak TLS; check rc.integrations.nemLogin.baseUrl"
	hintAlert       = "the server does not accept the client certificate: is it valid, and made for this environment (test or production)? Otherwise, "
	hintURL         = "check rc.integrations.nemLogin.baseUrl"
	hintRedirect    = "redirects are not followed, to keep the access token at home; check rc.integrations.nemLogin.baseUrl"
)

// isReadOnly reports whether the gate refused.
func isReadOnly(err error) bool { return errors.Is(err, errReadOnly) }

// classifyTransport finds the class of a request without an answer, and a hint.
func classifyTransport(ctx context.Context, err error) (class Class, hint string) {
	switch {
	case isReadOnly(err):
		return ClassReadOnly, ""
	case errors.Is(err, errForeignHost):
		return ClassRejected, ""
	case ctx.Err() != nil:
		return ClassCanceled, ""
	}
	if hint, ok := distrust(err); ok {
		return ClassAuth, hint
	}
	return ClassTransient, ""
}

// distrust reports whether no TLS connection comes about, and will not by trying
// again.
func distrust(err error) (hint string, ok bool) {
	if _, ok := errors.AsType[*certificateError](err); ok {
		return hintKeystore, true
	}
	if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		return hintNoRoots, true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return hintRoots, true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return hintHost, true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return hintServerCert, true
	}
	text := err.Error()
	// Go's TLS alerts have no exported type; the text is all there is. IIS asks
	// for the certificate after the handshake: by renegotiation up to TLS 1.2,
	// by a message Go does not expect in TLS 1.3.
	if strings.Contains(text, "tls: no renegotiation") || strings.Contains(text, "local error: tls: unexpected message") {
		return hintRenegotiate, true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || strings.Contains(text, "server gave HTTP response to HTTPS client") {
		return hintNoTLS, true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" && slices.Contains(certificateAlerts, op.Err.Error()) {
		return hintAlert + hintRight, true
	}
	return "", false
}

// certificateAlerts are the TLS alerts by which servers refuse a client
// certificate, in crypto/tls's words. Some say no more than "handshake failure".
var certificateAlerts = []string{
	"tls: handshake failure", "tls: bad certificate", "tls: unsupported certificate", "tls: revoked certificate",
	"tls: expired certificate", "tls: unknown certificate", "tls: unknown certificate authority",
	"tls: access denied", "tls: certificate required",
}

// classifyStatus finds the class of an answer that is not a success, and a hint.
// The status decides first. The body of an error has no known form; two texts
// are known to mean passing trouble, whatever the status.
func classifyStatus(op string, status int, body string) (class Class, hint string) {
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return ClassTransient, ""
	case status < 400:
		hint := ""
		if status >= 300 {
			hint = hintRedirect
		}
		return ClassGarbage, hint
	case status == http.StatusUnauthorized:
		return ClassAuth, hintRight
	case strings.Contains(body, "ServiceUnavailable"), strings.Contains(body, "See log for exception details"):
		return ClassTransient, ""
	case op == opAuthenticate && status == http.StatusNotFound:
		return ClassAuth, hintURL
	case op == opAuthenticate:
		return ClassAuth, hintRight
	case status == http.StatusNotFound:
		return ClassNotFound, ""
	case status == http.StatusConflict:
		return ClassConflict, ""
	case status == http.StatusForbidden:
		return ClassRejected, hintRight
	}
	return ClassRejected, ""
}

// maxRetryAfter bounds what Retry-After is believed.
const maxRetryAfter = 7 * 24 * time.Hour

// retryAfter reads the header Retry-After, in seconds or as a date; 0 without
// one.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(max(0, min(seconds, int64(maxRetryAfter/time.Second)))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, min(at.Sub(now), maxRetryAfter))
	}
	return 0
}

// requestIDHeaders are where services and their gateways put the name of an
// exchange.
var requestIDHeaders = []string{"X-Request-Id", "X-Correlation-Id", "Request-Id", "X-Ms-Request-Id"}

// requestID finds the service's name of an exchange.
func requestID(header http.Header, secrets ...string) string {
	for _, name := range requestIDHeaders {
		if value := header.Get(name); value != "" {
			return excerpt([]byte(value), 128, secrets...)
		}
	}
	return ""
}
