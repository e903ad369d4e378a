package simulator

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tokens are the access tokens in use, with the time each dies.
type tokens struct {
	mu   sync.RWMutex
	live map[string]time.Time
}

type tokenWire struct {
	AccessToken string `json:"accessToken"`
	TokenType   string `json:"tokenType"`
	ExpiresIn   int64  `json:"expiresIn"`
	Scope       string `json:"scope,omitempty"`
}

// authenticate hands out a token for a certificate. It takes an empty object as body, or nothing.
func (c *call) authenticate() answer {
	if f := c.strike(AuthDown); f != nil {
		return failure(f.status(http.StatusServiceUnavailable), "ServiceUnavailable", "The token service cannot answer now.")
	}
	if len(c.body) == 0 && !c.on(AuthBodyOptional) {
		return failure(http.StatusBadRequest, "BadRequest", "A body is required.")
	}
	if len(c.body) > 0 && !json.Valid(c.body) {
		return failure(http.StatusBadRequest, "BadRequest", "The body is not JSON.")
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	token := base64.RawURLEncoding.EncodeToString(secret)
	s := c.sim
	s.tokens.mu.Lock()
	for old, dies := range s.tokens.live {
		if dies.Before(c.now.Add(-24 * time.Hour)) {
			delete(s.tokens.live, old)
		}
	}
	s.tokens.live[token] = c.now.Add(s.opts.TokenLifetime)
	s.tokens.mu.Unlock()
	wire := tokenWire{AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(s.opts.TokenLifetime / time.Second)}
	if c.on(UnknownFields) {
		wire.Scope = "idm"
	}
	return ok(wire)
}

// checkToken refuses calls without a living token.
func (c *call) checkToken() *answer {
	scheme, token, _ := strings.Cut(c.request.Header.Get("Authorization"), " ")
	s := c.sim
	s.tokens.mu.RLock()
	dies, known := s.tokens.live[token]
	s.tokens.mu.RUnlock()
	refused := !strings.EqualFold(scheme, "Bearer") || !known
	if !refused && !c.now.Before(dies) {
		refused = c.on(TokenExpiry)
	}
	if !refused && c.on(TokenRevoked) {
		s.tokens.mu.Lock()
		delete(s.tokens.live, token)
		s.tokens.mu.Unlock()
		refused = true
	}
	if !refused {
		return nil
	}
	a := failure(http.StatusUnauthorized, "Unauthorized", "The access token is missing, unknown or dead.")
	a.header = http.Header{"Www-Authenticate": {"Bearer"}}
	return &a
}

// RevokeTokens kills all tokens there are.
func (s *Simulator) RevokeTokens() {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	clear(s.tokens.live)
}
