package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// checkFor is how long a check's answer stands, so that whoever asks for /readyz again and again asks the database no more
// than that.
const checkFor = time.Second

var errCheckTime = errors.New("no answer in time")

// Check tells whether something that the service needs is there.
type Check struct {
	Name string
	// Critical: without it the service is not ready. Otherwise a failure is only shown.
	Critical bool
	// Func returns what is wrong, without secrets.
	Func func(ctx context.Context) error
}

// result is how a check went.
type result struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Critical bool   `json:"critical"`
	Error    string `json:"error,omitempty"`
}

// checker runs the checks, all at once, and each at most once at a time.
type checker struct {
	checks  []Check
	timeout time.Duration
	now     func() time.Time
	log     logrus.FieldLogger
	busy    []chan struct{} // by check: has room when the check is not under way

	mu   sync.Mutex
	at   time.Time
	last []result
}

func newChecker(opts Options) *checker {
	c := &checker{checks: opts.Checks, timeout: opts.CheckTimeout, now: opts.Now, log: opts.Logger}
	for range c.checks {
		c.busy = append(c.busy, make(chan struct{}, 1))
	}
	return c
}

// results returns how the checks went within the last second, and whether all critical ones are met. ctx only lends its
// values: that one caller goes away must not look to the next like a failure.
func (c *checker) results(ctx context.Context) ([]result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || c.now().Sub(c.at) >= checkFor {
		before := c.last
		c.last = c.run(context.WithoutCancel(ctx))
		c.at = c.now()
		c.report(before)
	}
	ok := !slices.ContainsFunc(c.last, func(r result) bool { return r.Critical && !r.OK })
	return slices.Clone(c.last), ok
}

func (c *checker) run(ctx context.Context) []result {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	results := make([]result, len(c.checks))
	var wg sync.WaitGroup
	for i, check := range c.checks {
		wg.Go(func() {
			err := c.one(ctx, i)
			results[i] = result{Name: check.Name, OK: err == nil, Critical: check.Critical}
			if err != nil {
				results[i].Error = err.Error()
			}
		})
	}
	wg.Wait()
	return results
}

// one runs a check, but waits for it no longer than ctx, whether it listens or not.
func (c *checker) one(ctx context.Context, i int) error {
	select {
	case c.busy[i] <- struct{}{}:
	default:
		return errCheckTime // the one before still hangs
	}
	answer := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				answer <- fmt.Errorf("the check itself failed: %v", v)
			}
			<-c.busy[i]
		}()
		answer <- c.checks[i].Func(ctx)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return errCheckTime
	}
}

// report logs what has changed since the last time.
func (c *checker) report(before []result) {
	for i, r := range c.last {
		was := len(before) == 0 || before[i].OK // nothing is said of what has always been met
		if was == r.OK {
			continue
		}
		log := c.log.WithField("check", r.Name)
		if r.OK {
			log.Info("check is met again")
		} else {
			log.WithField("error", r.Error).Warn("check fails")
		}
	}
}
