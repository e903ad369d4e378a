package nemlogin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestTokenUse(t *testing.T) {
	t.Parallel()
	for lifetime, want := range map[time.Duration]time.Duration{
		0: 5 * time.Minute, -1: 5 * time.Minute, time.Hour: 30 * time.Minute, 24 * time.Hour: 30 * time.Minute,
		10 * time.Minute: 9 * time.Minute, 31 * time.Minute: 30 * time.Minute, 10 * time.Second: 5 * time.Second,
	} {
		if got := tokenUse(lifetime); got != want {
			t.Errorf("tokenUse(%v) = %v, want %v", lifetime, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		lifetime := time.Duration(rapid.Int64Range(2, int64(100*time.Hour)).Draw(t, "lifetime"))
		if use := tokenUse(lifetime); use <= 0 || use >= lifetime || use > 30*time.Minute {
			t.Fatalf("a token that lives %v is used for %v", lifetime, use)
		}
	})
}

// fetcher gives out numbered tokens, each after a second.
type fetcher struct {
	calls    atomic.Int32
	canceled atomic.Int32
	fail     atomic.Bool
	lifetime time.Duration
}

func (f *fetcher) fetch(ctx context.Context) (string, time.Duration, error) {
	n := f.calls.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		f.canceled.Add(1)
		return "", 0, ctx.Err()
	}
	if f.fail.Load() {
		return "", 0, &Error{Class: ClassAuth, Op: opAuthenticate}
	}
	return fmt.Sprintf("t%d", n), f.lifetime, nil
}

func TestTokenIsFetchedOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{lifetime: time.Hour}
		s := &tokenSource{fetch: f.fetch}
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if token, err := s.get(t.Context(), ""); token != "t1" || err != nil {
					t.Errorf("got %q, %v", token, err)
				}
			})
		}
		group.Wait()
		if n := f.calls.Load(); n != 1 {
			t.Errorf("fetched %d times", n)
		}
	})
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{lifetime: 10 * time.Minute}
		s := &tokenSource{fetch: f.fetch}
		want := func(token string) {
			t.Helper()
			if got, err := s.get(t.Context(), ""); got != token || err != nil {
				t.Fatalf("got %q, %v; want %q", got, err, token)
			}
		}
		want("t1")
		if state := s.state(); !state.Valid || state.RenewAt.Sub(state.ObtainedAt) != 9*time.Minute {
			t.Errorf("got %+v", state)
		}
		<-time.After(9*time.Minute - time.Nanosecond)
		want("t1")
		<-time.After(time.Nanosecond)
		if s.state().Valid {
			t.Error("the token is called valid when it is to be replaced")
		}
		want("t2")
	})
}

func TestTokenFailureIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{lifetime: time.Hour}
		s := &tokenSource{fetch: f.fetch}
		f.fail.Store(true)
		if _, err := s.get(t.Context(), ""); ClassOf(err) != ClassAuth {
			t.Fatalf("got %v", err)
		}
		if state := s.state(); state.Valid || state.LastError == nil || state.LastErrorAt.IsZero() {
			t.Errorf("got %+v", state)
		}
		f.fail.Store(false)
		if token, err := s.get(t.Context(), ""); token != "t2" || err != nil {
			t.Fatalf("got %q, %v", token, err)
		}
		if state := s.state(); !state.Valid || state.LastError != nil {
			t.Errorf("got %+v", state)
		}
	})
}

func TestRejectedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{lifetime: time.Hour}
		s := &tokenSource{fetch: f.fetch}
		first, _ := s.get(t.Context(), "")
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				<-time.After(time.Duration(i) * 100 * time.Millisecond) // some come after the new one is there
				if token, err := s.get(t.Context(), first); token != "t2" || err != nil {
					t.Errorf("got %q, %v", token, err)
				}
			})
		}
		group.Wait()
		if n := f.calls.Load(); n != 2 {
			t.Errorf("fetched %d times", n)
		}
	})
}

func TestTokenWaiterLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{lifetime: time.Hour}
		s := &tokenSource{fetch: f.fetch}
		hurried, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		// The one who started the fetch leaves; the other gets its result.
		group.Go(func() {
			if _, err := s.get(hurried, ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		group.Go(func() {
			if token, err := s.get(t.Context(), ""); token != "t1" || err != nil {
				t.Errorf("got %q, %v", token, err)
			}
		})
		group.Wait()
		if f.canceled.Load() != 0 {
			t.Error("the fetch was given up though somebody waited")
		}
	})
}

func TestTokenFetchIsGivenUpWhenAllLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fetcher{lifetime: time.Hour}
		s := &tokenSource{fetch: f.fetch}
		hurried, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				if _, err := s.get(hurried, ""); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		group.Wait()
		// Who comes next does not get the others' cancellation.
		if token, err := s.get(t.Context(), ""); token != "t2" || err != nil {
			t.Errorf("got %q, %v", token, err)
		}
		if f.canceled.Load() != 1 {
			t.Errorf("%d fetches were given up, want 1", f.canceled.Load())
		}
		if s.state().LastError != nil {
			t.Error("giving up is shown as a failure")
		}
		if _, err := s.get(hurried, ""); err != nil {
			t.Errorf("a token at hand needs no waiting: %v", err)
		}
		if _, err := s.renew(hurried); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
