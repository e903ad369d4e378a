package nemlogin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// The defaults of [Options].
const (
	DefaultConcurrency    = 8
	DefaultBatchSize      = 50
	DefaultTimeout        = 3 * time.Minute
	DefaultConnectTimeout = 10 * time.Second
	DefaultMaxBody        = 64 << 20
	DefaultUserAgent      = "rollebro"
)

// Options says how to reach the service. BaseURL and Certificate are required;
// every other zero value means the default.
type Options struct {
	// BaseURL is where the service is, e.g. https://services.nemlog-in.dk. It
	// must be https.
	BaseURL string
	// CVR is the organisation's number. If it is set, writes to the scope of
	// another CVR number are refused before they are sent.
	CVR string
	// Certificate gives the client certificate. It is asked at every handshake,
	// so that a renewed keystore is used without a restart; call
	// [Client.CloseIdleConnections] after a renewal to make it soon.
	Certificate func() (*tls.Certificate, error)
	// RootCAs are the roots that the server's certificate is verified by, nil
	// for the system's. The verification cannot be switched off.
	RootCAs *x509.CertPool
	// Renegotiate lets a server ask for the client certificate only once it has
	// seen the request, as IIS may. It limits connections to TLS 1.2.
	Renegotiate bool
	// Concurrency is the most requests in flight at a time. The client goes
	// below it while the service is in trouble.
	Concurrency int
	// BatchSize is the most role uuids in one write, 1 to write singly.
	BatchSize int
	// ReadOnly refuses every request that could change something at MitID
	// Erhverv, last before the wire.
	ReadOnly bool
	// Timeout is how long one request and its answer may take. Waiting for a
	// turn and between attempts is not counted.
	Timeout time.Duration
	// ConnectTimeout is how long a connection and how long its TLS handshake
	// may take.
	ConnectTimeout time.Duration
	// MaxBody is the most bytes accepted as an answer, decompressed.
	MaxBody int64
	// Retry says how failed attempts are repeated.
	Retry RetryPolicy
	// Logger gets a debug line per exchange and a warning per retry, nil for
	// none.
	Logger logrus.FieldLogger
	// Metrics counts and times the requests, nil for none.
	Metrics *Metrics
	// UserAgent is sent with every request.
	UserAgent string
}

// withDefaults checks o and fills in what is not set. All faults are reported
// together.
func (o Options) withDefaults() (Options, *url.URL, error) {
	base, err := parseBaseURL(o.BaseURL)
	errs := []error{err}
	if o.Certificate == nil {
		errs = append(errs, errors.New("no client certificate is given"))
	}
	if o.CVR != "" && (len(o.CVR) != 8 || !allDigits(o.CVR)) {
		errs = append(errs, errors.New("the CVR number must have 8 digits"))
	}
	for _, number := range []struct {
		name  string
		value int64
	}{
		{"concurrency", int64(o.Concurrency)},
		{"batch size", int64(o.BatchSize)},
		{"timeout", int64(o.Timeout)},
		{"connect timeout", int64(o.ConnectTimeout)},
		{"size limit of answers", o.MaxBody},
		{"number of attempts", int64(o.Retry.Attempts)},
		{"retry base", int64(o.Retry.Base)},
		{"longest retry wait", int64(o.Retry.Max)},
		{"longest Retry-After", int64(o.Retry.MaxRetryAfter)},
	} {
		if number.value < 0 {
			errs = append(errs, fmt.Errorf("the %s must not be negative", number.name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Options{}, nil, fmt.Errorf("configuring the NemLog-in client: %w", err)
	}

	setDefault(&o.Concurrency, DefaultConcurrency)
	setDefault(&o.BatchSize, DefaultBatchSize)
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.ConnectTimeout, DefaultConnectTimeout)
	setDefault(&o.MaxBody, DefaultMaxBody)
	setDefault(&o.UserAgent, DefaultUserAgent)
	o.Retry = o.Retry.withDefaults()
	if o.Logger == nil {
		silent := logrus.New()
		silent.SetLevel(logrus.PanicLevel)
		o.Logger = silent
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o, base, nil
}

// setDefault sets *option to value unless it is set already.
func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// parseBaseURL accepts an https URL without anything after the path. The faulty
// URL is not repeated in the error if it may have a password in it.
func parseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case s == "":
		return nil, errors.New("no base URL is given")
	case err != nil:
		return nil, errors.New("the base URL is not a URL")
	case u.User != nil:
		return nil, errors.New("the base URL must not have a user name or password in it")
	case u.Scheme == "http":
		return nil, fmt.Errorf("the base URL %s has no TLS: it must start with https://, "+
			"because the access token and the roles would be sent in the clear", u.Redacted())
	case u.Scheme != "https" || u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("the base URL %q must have the form https://host", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, errors.New("the base URL must not have a query or fragment")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}
