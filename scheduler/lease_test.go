package scheduler_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollebro/rollebro/scheduler"
)

func leaseOf(m *memory, owner string) scheduler.LeaseOptions {
	return scheduler.LeaseOptions{Store: m, Owner: owner}
}

func TestHoldRenewsUntilReleased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		ctx, hold, err := scheduler.Acquire(t.Context(), leaseOf(m, "a"))
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if ctx.Err() != nil {
			t.Fatalf("after an hour the lease is gone: %v", context.Cause(ctx))
		}
		_, _, err = scheduler.Acquire(t.Context(), leaseOf(m, "b"))
		var held *scheduler.HeldError
		if !errors.As(err, &held) || !errors.Is(err, scheduler.ErrHeld) || held.Lease.Owner != "a" {
			t.Fatalf("acquiring a lease that is held: %v", err)
		}
		// By the clock on the wall.
		until := held.Lease.ExpiresAt.In(copenhagen(t, "2000-01-01 00:00:00").Location()).Format("until 2006-01-02 15:04:05 CET")
		if !strings.Contains(err.Error(), "a has held") || !strings.Contains(err.Error(), until) {
			t.Errorf("the error %q names neither the owner nor until when", err)
		}
		hold.Release(t.Context())
		hold.Release(t.Context())
		if ctx.Err() == nil || errors.Is(context.Cause(ctx), scheduler.ErrLost) {
			t.Errorf("after the release the context ended with %v", context.Cause(ctx))
		}
		_, second, err := scheduler.Acquire(t.Context(), leaseOf(m, "b"))
		if err != nil {
			t.Fatalf("acquiring a lease that was given back: %v", err)
		}
		if second.Lease().Token <= hold.Lease().Token {
			t.Errorf("the token went from %d to %d", hold.Lease().Token, second.Lease().Token)
		}
		second.Release(t.Context())
	})
}

// A process that cannot reach the database stops writing well before another process may begin.
func TestLostLeaseCancelsBeforeItExpires(t *testing.T) {
	t.Parallel()
	breaks := map[string]func(m *memory) (mend func()){
		"the database is down": func(m *memory) func() {
			m.setDown(true)
			return func() { m.setDown(false) }
		},
		"the database doesn't answer": func(m *memory) func() {
			wait := make(chan struct{})
			m.mu.Lock()
			m.renewing = wait
			m.mu.Unlock()
			return func() { close(wait) }
		},
	}
	for name, breakIt := range breaks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				ctx, hold, err := scheduler.Acquire(t.Context(), leaseOf(m, "a"))
				if err != nil {
					t.Fatal(err)
				}
				pass(5 * time.Minute)
				mend := breakIt(m)
				broken := time.Now()
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), scheduler.ErrLost) {
					t.Errorf("the cause is %v", context.Cause(ctx))
				}
				l, _, _ := m.CurrentLease(t.Context(), scheduler.LeaseWriter)
				if left := time.Until(l.ExpiresAt); left < 10*time.Second {
					t.Errorf("%v are left before another process may take the lease", left)
				}
				if time.Since(broken) < 20*time.Second {
					t.Errorf("gave up after %v: a hiccup of the database must not stop a run", time.Since(broken))
				}
				mend()
				hold.Release(t.Context())
			})
		})
	}
}

func TestHiccupOfTheDatabaseKeepsTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		ctx, hold, err := scheduler.Acquire(t.Context(), leaseOf(m, "a"))
		if err != nil {
			t.Fatal(err)
		}
		defer hold.Release(t.Context())
		for range 10 {
			m.setDown(true)
			pass(19 * time.Second)
			m.setDown(false)
			pass(19 * time.Second)
		}
		if ctx.Err() != nil {
			t.Errorf("the lease is gone: %v", context.Cause(ctx))
		}
	})
}

func TestTakenOverLeaseCancelsAtTheNextRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		began := time.Now()
		err := scheduler.WithLease(t.Context(), leaseOf(m, "a"), func(ctx context.Context, l scheduler.Lease) error {
			if l.Owner != "a" || l.Token != 1 {
				t.Errorf("the lease is %+v", l)
			}
			m.mu.Lock()
			m.leases[l.Name] = scheduler.Lease{Name: l.Name, Owner: "b", Token: 2, ExpiresAt: time.Now().Add(time.Hour)}
			m.mu.Unlock()
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, scheduler.ErrLost) {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("noticed after %v", took)
		}
		if l, _, _ := m.CurrentLease(t.Context(), scheduler.LeaseWriter); l.Owner != "b" {
			t.Errorf("the lease of the other process was given back: %+v", l)
		}
	})
}

// A machine that slept has a steady clock that stood still; the clock on the wall tells.
func TestSleepingMachineLosesItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		opts := leaseOf(m, "a")
		slept := make(chan struct{})
		opts.Now = func() time.Time {
			now := time.Now()
			select {
			case <-slept:
				return now.Add(10 * time.Minute)
			default:
				return now
			}
		}
		ctx, hold, err := scheduler.Acquire(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		defer hold.Release(t.Context())
		close(slept)
		woke := time.Now()
		<-ctx.Done()
		if took := time.Since(woke); took > time.Second || !errors.Is(context.Cause(ctx), scheduler.ErrLost) {
			t.Errorf("noticed after %v: %v", took, context.Cause(ctx))
		}
	})
}

func TestEndOfTheCallerKeepsTheLeaseUntilRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		parent, cancel := context.WithCancelCause(t.Context())
		ctx, hold, err := scheduler.Acquire(parent, leaseOf(m, "a"))
		if err != nil {
			t.Fatal(err)
		}
		cancel(scheduler.ErrStopped)
		if !errors.Is(context.Cause(ctx), scheduler.ErrStopped) {
			t.Errorf("the cause is %v", context.Cause(ctx))
		}
		pass(10 * time.Minute)
		if _, _, err := scheduler.Acquire(t.Context(), leaseOf(m, "b")); !errors.Is(err, scheduler.ErrHeld) {
			t.Errorf("while the first still ends, another process got: %v", err)
		}
		hold.Release(parent)
		_, second, err := scheduler.Acquire(t.Context(), leaseOf(m, "b"))
		if err != nil {
			t.Fatal(err)
		}
		second.Release(t.Context())
	})
}

func TestAcquireReportsAnUnreachableDatabase(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.setDown(true)
	err := scheduler.WithLease(t.Context(), leaseOf(m, "a"), func(context.Context, scheduler.Lease) error {
		t.Error("called without the lease")
		return nil
	})
	if !errors.Is(err, errDown) || errors.Is(err, scheduler.ErrHeld) {
		t.Errorf("the error is %v", err)
	}
}

func TestOwnersDiffer(t *testing.T) {
	t.Parallel()
	a, b := scheduler.NewOwner(), scheduler.NewOwner()
	if a == b || a == "" || len(a) > 100 {
		t.Errorf("owners %q and %q", a, b)
	}
}

// pass lets time pass in the bubble of a test, and everything happen that then happens.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
