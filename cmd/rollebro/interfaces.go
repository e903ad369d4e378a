package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/rollebro/rollebro/apikeys"
	"github.com/rollebro/rollebro/coredata"
)

// How often what time alone changes is looked at.
const (
	expireEvery = time.Minute
	pruneEvery  = time.Hour
)

func (s *service) keys() *apikeys.Guard {
	return &apikeys.Guard{Store: s.store, Logger: s.log, Now: s.now}
}

// interfaces are those that others load people through, by pattern.
func (s *service) interfaces() map[string]http.Handler {
	mount := map[string]http.Handler{"GET /openapi.yaml": http.HandlerFunc(coredata.ServeOpenAPI)}
	if s.config.CVR == "" {
		s.log.Warn("the CoreData API is not served: set rc.customer.cvr to the organisation's CVR number")
		return mount
	}
	c, keys := s.config, s.keys()
	h := coredata.Handler(coredata.HandlerOptions{
		Service: &coredata.Service{
			Store: s.store, CVR: c.CVR, Logger: s.log, Now: s.now, Wake: s.bridge.Wake,
			Options: coredata.Options{
				TrustedEmployee: c.CoreData.TrustedEmployee, RoleAPI: c.CoreData.RoleAPI, ExternalUUIDs: c.CoreData.ExternalUUIDs,
				SkipBadEntries: c.CoreData.SkipBadEntries, GuardCount: c.Guard.LoadsCount, GuardPercent: c.Guard.LoadsPercent,
			},
		},
		Directory: s.store,
		Authenticate: func(r *http.Request) (coredata.Caller, error) {
			key, err := keys.Authenticate(r, apikeys.CoreData)
			if errors.Is(err, apikeys.ErrUnknown) {
				return coredata.Caller{}, coredata.ErrUnauthorized
			}
			name := key.Name
			if name == "" {
				name = key.Prefix
			}
			return coredata.Caller{Name: name, Allowed: key.Allows}, err
		},
		MaxBody: c.CoreData.MaxBody,
	})
	mount[coredata.Base], mount[coredata.Base+"/"] = h, h
	return mount
}

// upkeep does what time alone asks for: it locks accounts whose end has come, forgets calls that are too old, and tells
// when a domain's loads have stopped coming. What fails is tried again the next time.
func (s *service) upkeep(ctx context.Context) error {
	if s.config.CVR == "" {
		<-ctx.Done()
		return nil
	}
	expire, prune := time.NewTicker(expireEvery), time.NewTicker(pruneEvery)
	defer expire.Stop()
	defer prune.Stop()
	s.expire(ctx)
	told := s.prune(ctx, nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-expire.C:
			s.expire(ctx)
		case <-prune.C:
			told = s.prune(ctx, told)
		}
	}
}

func (s *service) expire(ctx context.Context) {
	n, err := s.store.Expire(ctx, s.config.CVR, s.now())
	switch {
	case err != nil && ctx.Err() == nil:
		s.log.WithError(err).Error("accounts whose end has come could not be locked")
	case n > 0:
		s.log.WithField("users", n).Info("accounts whose end has come were locked")
	}
}

// prune returns the silent domains that have been told.
func (s *service) prune(ctx context.Context, told []string) []string {
	silent, err := coredata.Silent(ctx, s.store, s.now())
	if err == nil {
		for _, domain := range silent {
			if !slices.Contains(told, domain) {
				s.log.Warn(silentText(domain))
			}
		}
		told = silent
		const day = 24 * time.Hour
		_, err = coredata.PruneCalls(ctx, s.store, s.now(), int(s.config.Retention.Calls/day))
	}
	if err != nil && ctx.Err() == nil {
		s.log.WithError(err).Error("the log of loads could not be looked after")
	}
	return told
}
