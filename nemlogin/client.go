package nemlogin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

// The service's paths, below the base URL.
const (
	pathAuthenticate    = "/api/administration/idmlogin/tls/authenticate"
	pathCatalogue       = "/api/administration/rights/categorizedRoles"
	pathIdentity        = "/api/administration/rights/identity/"
	pathSENumbers       = "/api/administration/organization/senumber"
	pathProductionUnits = "/api/administration/organization/productionunits"
	pathEmployee        = "/api/administration/identity/employee/"
	pathSearch          = "/api/administration/identity/employee/search"
)

// The names of the calls in errors, log lines and metrics.
const (
	opAuthenticate    = "authenticate"
	opRoles           = "roles"
	opAssignedRoles   = "assignedRoles"
	opAddRoles        = "addRoles"
	opRemoveRoles     = "removeRoles"
	opSENumbers       = "seNumbers"
	opProductionUnits = "productionUnits"
	opEmployee        = "employee"
)

// Client talks to the NemLog-in IdM services for one organisation. It is safe
// for concurrent use.
type Client struct {
	options  Options
	base     *url.URL
	root     string // base as text, in front of every path
	log      logrus.FieldLogger
	observed observed

	limiter *limiter
	tokens  *tokenSource
	outage  outage
	// plain is the transport chain without the access token, authorized with it.
	plain      http.RoundTripper
	authorized http.RoundTripper
	closeIdle  func()

	// singly is set when the service was seen to refuse writes of several roles
	// whose roles it takes one by one.
	singly atomic.Bool
}

// New makes a client. It does not connect yet; see [Client.Authenticate].
func New(options Options) (*Client, error) {
	options, base, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	wire := newWire(options)
	return newClient(options, base, wire, wire.CloseIdleConnections), nil
}

// newClient builds the transport chain above wire for checked options.
func newClient(options Options, base *url.URL, wire http.RoundTripper, closeIdle func()) *Client {
	c := &Client{
		options: options, base: base, root: base.String(), log: options.Logger,
		observed: observed{options.Metrics, options.CVR}, closeIdle: closeIdle,
	}
	c.limiter = newLimiter(options.Concurrency, c.observed.limiterChanged)
	c.tokens = &tokenSource{fetch: c.fetchToken}
	c.outage.log = c.log

	if options.ReadOnly {
		wire = &gate{next: wire, prefix: base.EscapedPath()}
	}
	c.plain = &limited{next: &measured{next: wire, observed: c.observed}, limiter: c.limiter}
	c.authorized = &auth{next: c.plain, base: base, tokens: c.tokens, forget: closeIdle}
	return c
}

// Authenticate fetches a new access token, whether or not there is one. It shows
// that the service can be reached and accepts the certificate; long runs begin
// with it, so as not to run out of a token half-way.
func (c *Client) Authenticate(ctx context.Context) error {
	p := call{op: opAuthenticate, method: http.MethodPost, path: pathAuthenticate}
	return c.repeat(ctx, p, func(ctx context.Context) error {
		_, err := c.tokens.renew(ctx)
		return err
	})
}

// ReadOnly reports whether the client refuses to change anything.
func (c *Client) ReadOnly() bool { return c.options.ReadOnly }

// CloseIdleConnections closes the connections that no request is using, so that
// later requests shake hands again, with the certificate of that time. The
// client stays usable.
func (c *Client) CloseIdleConnections() { c.closeIdle() }

// TokenState tells about the access token.
func (c *Client) TokenState() TokenState { return c.tokens.state() }

// InFlight is the number of requests waiting for their answer.
func (c *Client) InFlight() int {
	inFlight, _ := c.limiter.state()
	return inFlight
}

// Limit is the number of requests allowed in flight at present; see
// [Options.Concurrency].
func (c *Client) Limit() int {
	_, limit := c.limiter.state()
	return limit
}

// call is one request to be made, perhaps several times.
type call struct {
	op, method, path string
	body             []byte
	// write is set if the request can change something.
	write bool
	// secret is set if even a part of the answer must not be shown.
	secret bool
	// decode reads the body of a success; an error makes the read a failed one.
	// Nil accepts any body.
	decode func([]byte) error
	// refine may look closer at a failure before it is decided upon, nil to
	// leave it as it is.
	refine func(context.Context, *Error) *Error
}

// maxKeptGarbage is how much is kept of a success that does not parse, in bytes.
// It is enough for the title of a maintenance page, and for little else: unlike
// an error's body it may be about people.
const maxKeptGarbage = 256

// maxKeptBody is how much of an error's body is kept, in bytes.
const maxKeptBody = 4 << 10

// exchange sends a call once by transport and decodes the answer. The error is
// an *Error.
func (c *Client) exchange(ctx context.Context, transport http.RoundTripper, call call) error {
	start := time.Now()
	err := c.send(ctx, transport, call)
	if !c.debug() {
		return err
	}
	entry := c.log.WithFields(logrus.Fields{
		"op": call.op, "method": call.method, "path": call.path, "duration": time.Since(start).Round(time.Microsecond).String(),
	})
	if err != nil {
		entry = entry.WithError(err)
	}
	entry.Debug("Request to the NemLog-in IdM services")
	return err
}

// debug reports whether debug lines are wanted; making them up is not free.
func (c *Client) debug() bool {
	leveled, ok := c.log.(interface{ IsLevelEnabled(logrus.Level) bool })
	if entry, isEntry := c.log.(*logrus.Entry); isEntry {
		leveled, ok = entry.Logger, true
	}
	return !ok || leveled.IsLevelEnabled(logrus.DebugLevel)
}

// send is exchange without the log line.
func (c *Client) send(ctx context.Context, transport http.RoundTripper, call call) error {
	req, err := http.NewRequestWithContext(withOp(ctx, call.op), call.method, c.root+call.path, bytes.NewReader(call.body))
	if err != nil {
		return refused(call.op, err)
	}
	if len(call.body) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
	}
	// The service wants both even where there is no content.
	req.Header["Accept"] = jsonType
	req.Header["Content-Type"] = jsonType
	req.Header.Set("User-Agent", c.options.UserAgent)

	resp, err := transport.RoundTrip(req)
	if err == nil {
		defer resp.Body.Close()
		return c.judge(ctx, call, resp)
	}
	failed := c.failure(call)
	_, failed.Sent = errors.AsType[*sentError](err)
	if ctx.Err() != nil {
		failed.Class, failed.Err = ClassCanceled, ended(ctx, err)
		return failed
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e // from getting a token
	}
	failed.Class, failed.Hint = classifyTransport(ctx, err)
	failed.Err = err
	return failed
}

// judge decides what an answer means, and decodes a success.
func (c *Client) judge(ctx context.Context, call call, resp *http.Response) error {
	body, bodyErr := bodyOf(resp)
	success := resp.StatusCode >= 200 && resp.StatusCode <= 299
	if success && call.write {
		return nil // whatever the body, even one that breaks off
	}
	var decodeErr error
	if success && bodyErr == nil {
		if decodeErr = call.decode(body); decodeErr == nil {
			return nil
		}
	}

	failed := c.failure(call)
	failed.Status, failed.Sent = resp.StatusCode, true
	secrets := c.tokens.secrets()
	if !call.secret || !success { // else there may be a token in it that is not known yet
		failed.RequestID = requestID(resp.Header, secrets...)
	}
	switch {
	case !success:
		failed.Body = excerpt(body, maxKeptBody, secrets...)
		failed.Class, failed.Hint = classifyStatus(call.op, resp.StatusCode, failed.Body)
		failed.RetryAfter = retryAfter(resp.Header, time.Now())
	case errors.Is(bodyErr, errTooLarge):
		failed.Class, failed.Err = ClassGarbage, fmt.Errorf("%w (%d bytes)", bodyErr, c.options.MaxBody)
	case bodyErr != nil:
		failed.Class, failed.Hint = classifyTransport(ctx, bodyErr)
		failed.Err = fmt.Errorf("reading the answer: %w", ended(ctx, bodyErr))
	default:
		failed.Class, failed.Err = ClassGarbage, decodeErr
		if !call.secret {
			failed.Body = excerpt(body, maxKeptGarbage, secrets...)
		}
	}
	return failed
}

// ended is the error to report when the context of a call may have ended: then no more than that. What net/http and others
// wrap is the cause of the end, and that is often the failure of another call, which must not be read as this one's.
func ended(ctx context.Context, err error) error {
	if e := ctx.Err(); e != nil {
		return e
	}
	return err
}

// failure starts the error of a call.
func (c *Client) failure(call call) *Error {
	return &Error{Op: call.op, Method: call.method, Path: c.base.Path + call.path}
}

var jsonType = []string{"application/json"}
