package nemlogin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// auth is the part of the transport chain that puts the access token on
// requests. After a 401 it gets a new token, once, and repeats the request on a
// new connection: a 401 means that the request was not carried out, so this is
// safe for writes too. A second 401 is the answer.
type auth struct {
	next http.RoundTripper
	base *url.URL
	// tokens is where tokens come from.
	tokens *tokenSource
	// forget closes the idle connections, which a refused token may be tied to.
	forget func()
}

// errForeignHost keeps the token at home.
var errForeignHost = errors.New("refused: the request does not go to the configured base URL, and the access token must not leave it")

func (a *auth) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != a.base.Scheme || req.URL.Host != a.base.Host || (req.Host != "" && req.Host != a.base.Host) {
		return nil, errForeignHost
	}
	token, err := a.tokens.get(req.Context(), "")
	if err != nil {
		return nil, unsent(err)
	}
	resp, err := a.next.RoundTrip(withToken(req.Context(), req, token))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	_ = resp.Body.Close() // the answer is dropped for the next one

	a.forget()
	ctx := onFreshConnection(req.Context())
	token, err = a.tokens.get(ctx, token)
	if err != nil {
		return nil, unsent(err)
	}
	again := withToken(ctx, req, token)
	if req.GetBody != nil {
		again.Body, err = req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("repeating the request with a new token: %w", err)
		}
	}
	return a.next.RoundTrip(again)
}

// withToken copies req, because a RoundTripper must not change what it is given.
func withToken(ctx context.Context, req *http.Request, token string) *http.Request {
	req = req.Clone(ctx)
	req.Header.Set("Authorization", "Bearer "+token)
	return req
}

// unsent marks the failure to get a token as one that the request itself never
// suffered: it was not sent, or answered 401 and so not carried out.
func unsent(err error) error {
	if failed, ok := errors.AsType[*Error](err); ok {
		e := *failed
		e.Sent = false
		return &e
	}
	return err
}

// fetchToken asks the service for a token. The certificate alone says who asks.
func (c *Client) fetchToken(ctx context.Context) (value string, lifetime time.Duration, err error) {
	defer func() { c.observed.refreshed(err) }()
	err = c.exchange(ctx, c.plain, call{
		op: opAuthenticate, method: http.MethodPost, path: pathAuthenticate,
		// The service insists on a body in some releases and takes none in
		// others; both of its public clients' ways work with an empty object.
		body:   []byte("{}"),
		secret: true,
		decode: func(data []byte) error {
			value, lifetime, err = decodeToken(data)
			return err
		},
	})
	if err != nil {
		return "", 0, err
	}
	return value, lifetime, nil
}
