package nemlogin

import (
	"context"
	"sync"
	"time"
)

const (
	// maxTokenUse is how long a token is used at most, whatever the service
	// promises: the unit of expiresIn is known from answers only.
	maxTokenUse = 30 * time.Minute
	// unknownTokenUse is how long a token is used if the service does not say
	// how long it lives.
	unknownTokenUse = 5 * time.Minute
	// tokenMargin is how long before its end a token is replaced, so that it
	// does not die on the way.
	tokenMargin = time.Minute
)

// tokenUse is how long a token that lives for lifetime is used. Of a short-lived
// token half is kept as margin.
func tokenUse(lifetime time.Duration) time.Duration {
	if lifetime <= 0 {
		return unknownTokenUse
	}
	return min(lifetime-min(tokenMargin, lifetime/2), maxTokenUse)
}

// TokenState tells about the access token, for status pages. The token itself is
// not in it.
type TokenState struct {
	// Valid reports whether there is a token that would be used now.
	Valid bool
	// ObtainedAt and RenewAt are when the last token came and when it is to be
	// replaced, zero if there was none.
	ObtainedAt time.Time
	RenewAt    time.Time
	// LastError is why the last attempt to get a token failed, nil if it
	// succeeded; LastErrorAt is when.
	LastError   error
	LastErrorAt time.Time
}

// tokenSource keeps the access token. However many requests need a new one, it
// is fetched once; a failure is told to those who waited for it and then
// forgotten.
type tokenSource struct {
	fetch func(context.Context) (value string, lifetime time.Duration, err error)

	mu       sync.Mutex
	value    string
	obtained time.Time
	renewAt  time.Time
	previous string // the token before, which late answers may still repeat
	flight   *tokenFlight

	lastErr   error
	lastErrAt time.Time
}

// tokenFlight is a fetch under way. It belongs to nobody: it is given up when
// the last one waiting for it has left.
type tokenFlight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	value   string // set before done is closed
	err     error  // set before done is closed
}

// get returns a token that is not the rejected one, "" for none rejected.
func (s *tokenSource) get(ctx context.Context, rejected string) (string, error) {
	s.mu.Lock()
	if s.value != "" && s.value != rejected && time.Now().Before(s.renewAt) {
		defer s.mu.Unlock()
		return s.value, nil
	}
	return s.join(ctx)
}

// renew returns a token fetched now.
func (s *tokenSource) renew(ctx context.Context) (string, error) {
	s.mu.Lock()
	return s.join(ctx)
}

// join waits for the fetch under way, or starts one. mu must be held; join
// releases it.
func (s *tokenSource) join(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		s.mu.Unlock()
		return "", err
	}
	if s.flight == nil {
		flying, cancel := context.WithCancel(context.WithoutCancel(ctx))
		s.flight = &tokenFlight{done: make(chan struct{}), cancel: cancel}
		go s.fly(flying, s.flight)
	}
	flight := s.flight
	flight.waiting++
	s.mu.Unlock()

	select {
	case <-flight.done:
		return flight.value, flight.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	flight.waiting--
	if flight.waiting == 0 {
		flight.cancel()
		if s.flight == flight {
			s.flight = nil // whoever comes next must not get our cancellation
		}
	}
	return "", ctx.Err()
}

// fly fetches a token for flight.
func (s *tokenSource) fly(ctx context.Context, flight *tokenFlight) {
	defer flight.cancel()
	value, lifetime, err := s.fetch(ctx)
	now := time.Now()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == flight {
		s.flight = nil
	}
	flight.value, flight.err = value, err
	defer close(flight.done)
	if err != nil {
		if ctx.Err() == nil {
			s.lastErr, s.lastErrAt = err, now
		}
		return
	}
	if value != s.value {
		s.previous = s.value
	}
	s.value, s.obtained, s.renewAt = value, now, now.Add(tokenUse(lifetime))
	s.lastErr, s.lastErrAt = nil, time.Time{}
}

// state describes the token.
func (s *tokenSource) state() TokenState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return TokenState{
		Valid:      s.value != "" && time.Now().Before(s.renewAt),
		ObtainedAt: s.obtained, RenewAt: s.renewAt,
		LastError: s.lastErr, LastErrorAt: s.lastErrAt,
	}
}

// secrets returns the tokens that must not show up in any text.
func (s *tokenSource) secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []string{s.value, s.previous}
}
