package nemlogin

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestLimiterProperties drives a limiter by random steps, one at a time: start,
// finish with some outcome, give up waiting.
func TestLimiterProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "n")
		steps := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 60).Draw(rt, "steps")
		synctest.Test(t, func(*testing.T) { driveLimiter(rt, n, steps) })
	})
}

// waiter is a request in the property test.
type waiter struct {
	cancel context.CancelFunc
	epoch  uint64
	done   atomic.Bool // acquire returned
	err    error
}

func driveLimiter(t *rapid.T, n int, steps []int) {
	l := newLimiter(n, nil)
	var waiting, running []*waiter
	settle := func() {
		synctest.Wait()
		// First come, first served: those let in are a prefix of those waiting.
		for len(waiting) > 0 && waiting[0].done.Load() {
			running = append(running, waiting[0])
			waiting = waiting[1:]
		}
		for _, w := range waiting {
			if w.done.Load() {
				t.Fatal("somebody overtook the first one waiting")
			}
		}
		inFlight, limit := l.state()
		switch {
		case limit < 1 || limit > n:
			t.Fatalf("the limit is %d, outside 1 to %d", limit, n)
		case inFlight != len(running):
			t.Fatalf("%d counted in flight, %d are", inFlight, len(running))
		case inFlight > n:
			t.Fatalf("%d in flight, at most %d allowed", inFlight, n)
		case len(waiting) > 0 && inFlight < limit:
			t.Fatalf("%d wait though only %d of %d are in flight", len(waiting), inFlight, limit)
		case len(waiting) != l.waiting.Len():
			t.Fatalf("%d wait, %d are listed", len(waiting), l.waiting.Len())
		}
	}
	finish := func(result outcome) {
		before, _ := l.state()
		_, limit := l.state()
		w := running[0]
		running = running[1:]
		l.release(w.epoch, result)
		settle()
		_, after := l.state()
		switch {
		case result == overload && after > limit, result == good && after < limit, result == neutral && after != limit:
			t.Fatalf("outcome %d with %d in flight moved the limit from %d to %d", result, before, limit, after)
		}
	}
	for _, step := range steps {
		switch {
		case step <= 1: // start
			ctx, cancel := context.WithCancel(context.Background())
			w := &waiter{cancel: cancel}
			waiting = append(waiting, w)
			go func() {
				w.epoch, w.err = l.acquire(ctx)
				w.done.Store(true)
			}()
		case step <= 4 && len(running) > 0:
			finish(outcome(step - 2))
		case step == 5 && len(waiting) > 0: // the last one gives up
			w := waiting[len(waiting)-1]
			w.cancel()
			synctest.Wait()
			if !w.done.Load() || !errors.Is(w.err, context.Canceled) {
				t.Fatal("canceling did not end the wait")
			}
			waiting = waiting[:len(waiting)-1]
		}
		settle()
	}
	for len(running) > 0 { // nobody is forgotten
		finish(good)
	}
	if len(waiting) > 0 {
		t.Fatalf("%d were never let in", len(waiting))
	}
}

func TestLimiterFallsOncePerBurstAndRecovers(t *testing.T) {
	t.Parallel()
	l := newLimiter(8, nil)
	ctx := t.Context()
	burst := func(result outcome) {
		_, limit := l.state()
		epochs := make([]uint64, limit)
		for i := range epochs {
			epoch, err := l.acquire(ctx)
			if err != nil {
				t.Fatal(err)
			}
			epochs[i] = epoch
		}
		for _, epoch := range epochs {
			l.release(epoch, result)
		}
	}
	for _, want := range []int{4, 2, 1, 1} {
		burst(overload)
		if _, limit := l.state(); limit != want {
			t.Fatalf("after a failed burst the limit is %d, want %d", limit, want)
		}
	}
	bursts := 0
	for {
		if _, limit := l.state(); limit == 8 {
			break
		}
		if bursts++; bursts > 12 {
			t.Fatalf("the limit did not recover within 12 good bursts")
		}
		burst(good)
	}
}

// lastMoment is a context that ends at the moment the limiter begins to wait,
// after doing something.
type lastMoment struct {
	context.Context
	do    func()
	ended chan struct{}
}

func (c lastMoment) Done() <-chan struct{} {
	c.do()
	close(c.ended)
	return c.ended
}

func (c lastMoment) Err() error {
	select {
	case <-c.ended:
		return context.Canceled
	default:
		return nil
	}
}

// TestLimiterCancelAtTheTurn lets somebody in and cancels him at once: which of
// the two he notices is left to chance, but no turn may get lost.
func TestLimiterCancelAtTheTurn(t *testing.T) {
	t.Parallel()
	l := newLimiter(1, nil)
	canceled := 0
	for range 100 {
		first, err := l.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx := lastMoment{t.Context(), func() { l.release(first, neutral) }, make(chan struct{})}
		if second, err := l.acquire(ctx); err == nil {
			l.release(second, neutral)
		} else {
			canceled++
		}
		if inFlight, _ := l.state(); inFlight != 0 {
			t.Fatalf("%d turns were lost", inFlight)
		}
	}
	if canceled == 0 || canceled == 100 {
		t.Errorf("of 100 cancellations %d were noticed; the test needs both", canceled)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]outcome{
		200: good, 204: good, 400: good, 401: good, 404: good, 409: good,
		429: overload, 502: overload, 503: overload, 504: overload, 500: neutral,
	} {
		if got := outcomeOf(t.Context(), reply(status, ""), nil); got != want {
			t.Errorf("%d: got %d, want %d", status, got, want)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		resp *http.Response
		err  error
		want outcome
	}{
		{t.Context(), nil, errors.New("connection reset"), overload},
		{t.Context(), nil, errReadOnly, neutral},
		{canceled, nil, context.Canceled, neutral},
		{t.Context(), &http.Response{StatusCode: 200, Body: &wholeBody{err: errors.New("reset")}}, nil, overload},
		{t.Context(), &http.Response{StatusCode: 200, Body: &wholeBody{err: errTooLarge}}, nil, neutral},
		{canceled, &http.Response{StatusCode: 200, Body: &wholeBody{err: context.Canceled}}, nil, neutral},
	} {
		if got := outcomeOf(test.ctx, test.resp, test.err); got != test.want {
			t.Errorf("%v, %v: got %d, want %d", test.resp, test.err, got, test.want)
		}
	}
}

// TestConcurrencyIsBounded lets many calls loose on a slow service.
func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		c := fakeClient(t, func(req *http.Request) (*http.Response, error) {
			if req.URL.Path == pathAuthenticate {
				return tokenReply(), nil
			}
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-time.After(20 * time.Millisecond)
			return reply(200, "[]"), nil
		}, func(o *Options) { o.Concurrency = 5 })
		start := time.Now()
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if _, err := c.AssignedRoles(t.Context(), alice); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if most.Load() != 5 || time.Since(start) != 200*time.Millisecond {
			t.Errorf("50 calls of 20 ms, 5 at a time: most in flight %d, took %v", most.Load(), time.Since(start))
		}
	})
}
