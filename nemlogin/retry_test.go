package nemlogin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestStatusTable sends a read and a write to a service that always answers the
// same.
func TestStatusTable(t *testing.T) {
	t.Parallel()
	const attempts = 3
	tests := []struct {
		status       int
		body         string
		read, write  Class // "" is success
		readAttempts int
		tries        int // of the write
	}{
		{200, `[]`, "", "", 1, 1},
		{200, ``, ClassGarbage, "", attempts, 1},
		{200, `null`, ClassGarbage, "", attempts, 1},
		{200, `<html>done</html>`, ClassGarbage, "", attempts, 1},
		{200, `OK`, ClassGarbage, "", attempts, 1},
		{201, `[]`, "", "", 1, 1},
		{202, `[{"seNumber":`, ClassGarbage, "", attempts, 1},
		{204, ``, ClassGarbage, "", attempts, 1},
		{301, ``, ClassGarbage, ClassGarbage, attempts, 1},
		{400, `wrong P-number 1234567890`, ClassRejected, ClassRejected, 1, 1},
		{400, `ServiceUnavailable`, ClassTransient, ClassTransient, attempts, 1},
		{401, ``, ClassAuth, ClassAuth, 2, 2},
		{403, ``, ClassRejected, ClassRejected, 1, 1},
		{404, ``, ClassNotFound, ClassNotFound, 1, 1},
		{405, ``, ClassRejected, ClassRejected, 1, 1},
		{408, ``, ClassTransient, ClassTransient, attempts, 1},
		{409, `OptimisticConcurrency`, ClassConflict, ClassConflict, 1, 1},
		{409, ``, ClassConflict, ClassConflict, 1, 1},
		{418, ``, ClassRejected, ClassRejected, 1, 1},
		{422, ``, ClassRejected, ClassRejected, 1, 1},
		{429, ``, ClassTransient, ClassTransient, attempts, attempts},
		{500, `See log for exception details`, ClassTransient, ClassTransient, attempts, 1},
		{502, `<html>`, ClassTransient, ClassTransient, attempts, 1},
		{503, `ServiceUnavailable`, ClassTransient, ClassTransient, attempts, 1},
		{504, ``, ClassTransient, ClassTransient, attempts, 1},
		{599, ``, ClassTransient, ClassTransient, attempts, 1},
	}
	for _, test := range tests {
		t.Run(http.StatusText(test.status)+" "+test.body, func(t *testing.T) {
			t.Parallel()
			s := newService(t, answer(test.status, test.body))
			c := s.client(t)
			_, err := c.SENumbers(t.Context())
			if ClassOf(err) != test.read {
				t.Errorf("read: %v is %q, want %q", err, ClassOf(err), test.read)
			}
			if n := len(s.requests(false)); n != test.readAttempts {
				t.Errorf("the read was sent %d times, want %d", n, test.readAttempts)
			}
			err = c.AddRoles(t.Context(), alice, wholeCVR, []string{roleA})
			if ClassOf(err) != test.write {
				t.Errorf("write: %v is %q, want %q", err, ClassOf(err), test.write)
			}
			if n := count(s.requests(false), http.MethodPost); n != test.tries {
				t.Errorf("the write was sent %d times, want %d", n, test.tries)
			}
			if test.read == "" {
				return
			}
			failed, ok := errors.AsType[*Error](err)
			if err != nil && (!ok || failed.Status != test.status || !failed.Sent || failed.Op != opAddRoles || failed.Method != http.MethodPost) {
				t.Errorf("the error does not tell what was answered: %+v", failed)
			}
		})
	}
}

// count counts the requests with a method.
func count(requests []sent, method string) int {
	n := 0
	for _, r := range requests {
		if r.method == method {
			n++
		}
	}
	return n
}

func TestReadGetsThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []*http.Response{reply(503, ""), reply(200, "null"), reply(429, ""), reply(500, "See log"), reply(200, `[{"seNumber":"12345678"}]`)}
		c := fakeClient(t, func(req *http.Request) (*http.Response, error) {
			if req.URL.Path == pathAuthenticate {
				return tokenReply(), nil
			}
			next := answers[0]
			answers = answers[1:]
			return next, nil
		})
		start := time.Now()
		numbers, err := c.SENumbers(t.Context())
		check(t, "SENumbers", err, numbers, []SENumber{{"12345678"}})
		if waited := time.Since(start); waited > (1+2+4+8)*time.Second {
			t.Errorf("waited %v, at most 15 s are allowed", waited)
		}
	})
}

// failing is a wire whose calls, but for the token, all end the same.
func failing(attempts *int, status int, headers ...string) roundTripper {
	return func(req *http.Request) (*http.Response, error) {
		if req.URL.Path == pathAuthenticate {
			return tokenReply(), nil
		}
		*attempts++
		return reply(status, "", headers...), nil
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			value    string
			attempts int
			least    time.Duration
		}{
			{time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat), 3, 90 * time.Second},
			{"10", 3, 20 * time.Second},
			{"0", 3, 0},
			{"-5", 3, 0},
			{"soon", 3, 0},
			{"121", 1, 0}, // too long to be waited out
			{"99999999999999", 1, 0},
		} {
			attempts := 0
			c := fakeClient(t, failing(&attempts, 429, "Retry-After", test.value), withAttempts(3))
			start := time.Now()
			err := c.AddRoles(t.Context(), alice, wholeCVR, []string{roleA})
			waited := time.Since(start)
			if ClassOf(err) != ClassTransient || attempts != test.attempts || waited < test.least || waited > test.least+3*time.Second+10*time.Second {
				t.Errorf("%q: %d attempts in %v, %v", test.value, attempts, waited, err)
			}
			if failed, ok := errors.AsType[*Error](err); !ok || (test.attempts == 1 && failed.RetryAfter < 121*time.Second) {
				t.Errorf("%q: the caller is not told how long to wait: %+v", test.value, failed)
			}
		}
	})
}

func TestCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		c := fakeClient(t, failing(&attempts, 503, "Retry-After", "60"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.SENumbers(ctx)
		if ClassOf(err) != ClassCanceled || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "503") {
			t.Errorf("got %v", err)
		}
		if attempts != 1 || time.Since(start) != time.Second {
			t.Errorf("%d attempts in %v", attempts, time.Since(start))
		}
	})
}

func TestCanceledBeforeTheStart(t *testing.T) {
	t.Parallel()
	attempts := 0
	c := fakeClient(t, func(*http.Request) (*http.Response, error) {
		attempts++
		return tokenReply(), nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.SENumbers(ctx)
	for name, err := range map[string]error{
		"SENumbers":    err,
		"AddRoles":     c.AddRoles(ctx, alice, wholeCVR, []string{roleA, roleB}),
		"Authenticate": c.Authenticate(ctx),
	} {
		if ClassOf(err) != ClassCanceled || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if attempts != 0 {
		t.Errorf("%d requests were sent", attempts)
	}
}

func TestFinalFailureOutlivesTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := fakeClient(t, func(req *http.Request) (*http.Response, error) {
		if req.URL.Path == pathAuthenticate {
			return tokenReply(), nil
		}
		cancel() // as the answer comes
		return reply(409, ""), nil
	})
	if _, err := c.SENumbers(ctx); ClassOf(err) != ClassConflict {
		t.Errorf("the answer is lost: %v", err)
	}
}

func TestCeiling(t *testing.T) {
	t.Parallel()
	policy := RetryPolicy{}.withDefaults()
	for i, want := range []float64{1, 2, 4, 8, 16, 30, 30, 30} {
		if got := policy.ceiling(i + 1); got.Seconds() != want {
			t.Errorf("before repetition %d: at most %v, want %v s", i+1, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := RetryPolicy{
			Base: time.Duration(rapid.Int64Range(1, 1<<62).Draw(t, "base")),
			Max:  time.Duration(rapid.Int64Range(1, 1<<62).Draw(t, "max")),
		}
		n := rapid.IntRange(1, 200).Draw(t, "n")
		if got := p.ceiling(n); got <= 0 || got > p.Max {
			t.Fatalf("%+v: ceiling %d is %v", p, n, got)
		}
	})
}
