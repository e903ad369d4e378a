package apikeys

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"
)

// Header is the name of the header that carries the key. Clients spell it in any case.
const Header = "ApiKey"

const (
	// usageStep is how exactly the last use of a key is kept: a write per request would cost more than it tells.
	usageStep = time.Hour
	// usageWait is how long a request waits for that: a large load may keep the database from all other writing meanwhile.
	usageWait = 100 * time.Millisecond
)

// Guard tells whose request it is by the key that it shows. Nothing is remembered between requests, so that a revoked key ends at
// once: finding a key is one look-up by a unique hash.
type Guard struct {
	Store  Store
	Logger logrus.FieldLogger // keys are never logged; may be nil
	Now    func() time.Time   // nil: time.Now
}

// Authenticate returns the key that a request shows, if it may be used for the role. It returns ErrUnknown for a request without a
// key, with more than one, or with one that doesn't exist, is revoked, has expired or has another role; any other error is a
// fault of our own.
func (g *Guard) Authenticate(r *http.Request, role Role) (Key, error) {
	shown := r.Header.Values(Header)
	if len(shown) != 1 || !wellFormed(shown[0]) {
		return Key{}, ErrUnknown
	}
	sum := hash(shown[0])
	key, err := g.Store.KeyByHash(r.Context(), sum)
	switch {
	case errors.Is(err, ErrUnknown):
		return Key{}, ErrUnknown
	case err != nil:
		return Key{}, fmt.Errorf("looking up an API key: %w", err)
	}
	now := g.now()
	// The database has found the row in its own way; what decides is this comparison.
	same := subtle.ConstantTimeCompare(key.Hash, sum) == 1
	if !same || !key.Usable(now) || !key.Grants(role) {
		return Key{}, ErrUnknown
	}
	g.used(r.Context(), &key, now)
	return key, nil
}

// used keeps the hour of the last use. Failing to is no reason to turn the request away, nor is a busy database one to keep it
// waiting: the next request tries again.
func (g *Guard) used(ctx context.Context, key *Key, now time.Time) {
	hour := now.UTC().Truncate(usageStep)
	if key.LastUsedAt != nil && !key.LastUsedAt.Before(hour) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, usageWait)
	defer cancel()
	if err := g.Store.UsedKey(ctx, key.ID, hour); err != nil {
		if g.Logger != nil && ctx.Err() == nil {
			g.Logger.WithError(err).WithField("key", key.ID).Warn("the last use of an API key could not be kept")
		}
		return
	}
	key.LastUsedAt = &hour
}

func (g *Guard) now() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}
