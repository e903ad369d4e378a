package nemlogin

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sirupsen/logrus"
)

// RetryPolicy says how failed attempts are repeated. Zero values mean the
// defaults.
type RetryPolicy struct {
	// Attempts is how often a request is sent at most, 5 by default; 1 never
	// repeats.
	Attempts int
	// Base and Max bound the wait: before the n-th repetition it is drawn evenly
	// from zero to Base·2ⁿ⁻¹, at most Max. 1 s and 30 s by default.
	Base, Max time.Duration
	// MaxRetryAfter is the longest Retry-After that is waited out here, 2 min by
	// default. Asked to wait longer, the call fails with it in
	// [Error.RetryAfter].
	MaxRetryAfter time.Duration
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	setDefault(&p.Attempts, 5)
	setDefault(&p.Base, time.Second)
	setDefault(&p.Max, 30*time.Second)
	setDefault(&p.MaxRetryAfter, 2*time.Minute)
	return p
}

// repeats reports whether a call may be sent again after it failed with e.
//
// A read may after any trouble that passes. A write may only if the service
// surely did not carry it out: it said "too many requests", or there was no
// connection, or no token. Any other failed write could have been carried out;
// repeating it blindly is the caller's decision, after reading back.
func (p RetryPolicy) repeats(write bool, e *Error) bool {
	switch {
	case !e.Class.passing(), e.RetryAfter > p.MaxRetryAfter:
		return false
	case write:
		return !e.Sent || e.Status == http.StatusTooManyRequests
	}
	return true
}

// ceiling is the longest wait before the n-th repetition, n from 1.
func (p RetryPolicy) ceiling(n int) time.Duration {
	wait := p.Base
	for range n - 1 {
		if wait >= p.Max/2 {
			return p.Max
		}
		wait *= 2
	}
	return min(wait, p.Max)
}

// pacer is a RetryPolicy at work for one call.
type pacer struct {
	policy RetryPolicy
	write  bool
	last   *Error
	n      int
}

// NextBackOff implements backoff.BackOff: full jitter, and after a Retry-After
// as much more, so that the clients of one outage do not return together.
func (p *pacer) NextBackOff() time.Duration {
	if !p.policy.repeats(p.write, p.last) {
		return backoff.Stop
	}
	p.n++
	return p.last.RetryAfter + rand.N(p.policy.ceiling(p.n)+1) //nolint:gosec // spreads load, guards nothing
}

// Reset implements backoff.BackOff.
func (p *pacer) Reset() { p.n = 0 }

// do sends a call with the access token, repeats it as its kind and failure
// allow, and decodes the answer. The error is an *Error.
func (c *Client) do(ctx context.Context, call call) error {
	return c.repeat(ctx, call, func(ctx context.Context) error {
		return c.exchange(ctx, c.authorized, call)
	})
}

// repeat makes attempts at a call until one succeeds or must not be followed by
// another. The error is an *Error.
func (c *Client) repeat(ctx context.Context, call call, attempt func(context.Context) error) error {
	p := &pacer{policy: c.options.Retry, write: call.write}
	repeated := false
	_, err := backoff.Retry(ctx,
		func() (struct{}, error) {
			err := attempt(ctx)
			if err == nil {
				return struct{}{}, nil
			}
			p.last = c.asError(ctx, call, err)
			if call.refine != nil {
				p.last = call.refine(ctx, p.last)
			}
			return struct{}{}, p.last
		},
		backoff.WithBackOff(p),
		backoff.WithMaxTries(uint(c.options.Retry.Attempts)),
		backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			c.observed.retried(call.op, p.last.Class)
			c.outage.repeats(!repeated, c.log.WithFields(logrus.Fields{
				"op": call.op, "attempt": p.n, "wait": wait.Round(time.Millisecond).String(),
			}).WithError(err))
			repeated = true
		}))
	c.outage.ended(repeated, err == nil)
	if err == nil {
		return nil
	}
	if ctx.Err() == nil {
		return p.last
	}
	// The context ended before, during or after an attempt, and err is the cause of that.
	if p.last == nil {
		return c.asError(ctx, call, err)
	}
	if !p.policy.repeats(p.write, p.last) {
		return p.last
	}
	err = fmt.Errorf("%w while waiting to repeat it after: %w", ended(ctx, err), p.last)
	canceled := c.failure(call)
	canceled.Class, canceled.Err = ClassCanceled, err
	canceled.Sent = p.last.Sent
	return canceled
}

// asError makes an error of a call an *Error. Those that are none yet come from
// waiting: for a turn, a token, or the next attempt.
func (c *Client) asError(ctx context.Context, call call, err error) *Error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // one wrapped in another error is not this call's
		return e
	}
	failed := c.failure(call)
	failed.Class, failed.Err = ClassCanceled, ended(ctx, err)
	return failed
}
