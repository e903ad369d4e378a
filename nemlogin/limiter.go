package nemlogin

import (
	"container/list"
	"context"
	"errors"
	"net/http"
	"sync"
)

// limiter bounds the requests in flight and adapts the bound to the service:
// additive increase while answers are good, multiplicative decrease when the
// service asks for mercy or does not answer, between 1 and max. The bound starts
// at max, because a healthy service is the rule.
//
// Waiting requests are let in first come, first served.
type limiter struct {
	mu       sync.Mutex
	max      float64
	limit    float64
	inFlight int
	waiting  list.List // of chan struct{}, closed when its owner may go
	// epoch counts the decreases. Requests sent before a decrease cannot cause
	// another one: eight failures of one burst are one sign of trouble.
	epoch uint64
	// changed is told the state after every change, with mu held.
	changed func(inFlight, limit int)
}

// outcome is what a request tells about the service's condition.
type outcome int

const (
	neutral  outcome = iota // says nothing, e.g. canceled by the caller
	good                    // answered
	overload                // 429, 502, 503, 504, or no answer
)

// newLimiter makes a limiter of at most n requests; changed may be nil.
func newLimiter(n int, changed func(inFlight, limit int)) *limiter {
	l := &limiter{max: float64(n), limit: float64(n), changed: changed}
	l.report()
	return l
}

// acquire waits for a turn, or until ctx ends. The epoch it returns goes back in
// with release.
func (l *limiter) acquire(ctx context.Context) (epoch uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	if l.inFlight < int(l.limit) { // then nobody waits: admit leaves no room unused
		defer l.mu.Unlock()
		l.inFlight++
		l.report()
		return l.epoch, nil
	}
	turn := make(chan struct{})
	place := l.waiting.PushBack(turn)
	l.mu.Unlock()

	select {
	case <-turn:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.epoch, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // let in at the same moment: the turn goes to the next one
		l.inFlight--
		l.admit()
	default:
		l.waiting.Remove(place)
	}
	l.report()
	return 0, ctx.Err()
}

// release gives a turn back and learns from its outcome.
func (l *limiter) release(epoch uint64, result outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	switch result {
	case good:
		l.limit = min(l.max, l.limit+1/l.limit)
	case overload:
		if epoch == l.epoch {
			l.limit = max(1, l.limit/2)
			l.epoch++
		}
	case neutral:
	}
	l.admit()
	l.report()
}

// admit lets in those waiting who now have room. mu must be held.
func (l *limiter) admit() {
	for l.inFlight < int(l.limit) {
		first := l.waiting.Front()
		if first == nil {
			return
		}
		l.inFlight++
		turn, _ := l.waiting.Remove(first).(chan struct{}) // nothing else is put in
		close(turn)
	}
}

// report tells changed the state. mu must be held.
func (l *limiter) report() {
	if l.changed != nil {
		l.changed(l.inFlight, int(l.limit))
	}
}

// state returns the requests in flight and the present bound.
func (l *limiter) state() (inFlight, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inFlight, int(l.limit)
}

// limited is the part of the transport chain that takes turns by a limiter. A
// turn lasts until the answer is read, because wire returns no earlier.
type limited struct {
	next    http.RoundTripper
	limiter *limiter
}

func (l *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	epoch, err := l.limiter.acquire(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // RoundTrip must close it; nothing was read from it
		}
		return nil, err
	}
	result := neutral
	defer func() { l.limiter.release(epoch, result) }()
	resp, err := l.next.RoundTrip(req)
	result = outcomeOf(req.Context(), resp, err)
	return resp, err
}

// outcomeOf says what an exchange tells about the service's condition. A 500 is
// neutral: the service answers so for an unknown identity, which is no load.
func outcomeOf(ctx context.Context, resp *http.Response, err error) outcome {
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, errReadOnly) {
			return neutral
		}
		return overload
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return overload
	case http.StatusInternalServerError:
		return neutral
	}
	if whole, ok := resp.Body.(*wholeBody); ok && whole.err != nil {
		if ctx.Err() != nil || errors.Is(whole.err, errTooLarge) {
			return neutral
		}
		return overload
	}
	return good
}
