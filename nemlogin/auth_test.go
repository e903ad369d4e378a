package nemlogin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestUnauthorizedOnce(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(http.StatusNoContent, ""))
	var bad atomic.Value
	bad.Store("")
	s.accept = func(token string) bool { return token != bad.Load() }
	c := s.client(t)
	if err := c.AddRoles(t.Context(), alice, wholeCVR, []string{roleA}); err != nil {
		t.Fatal(err)
	}
	bad.Store("1") // revoked before its time
	if err := c.AddRoles(t.Context(), alice, wholeCVR, []string{roleB}); err != nil {
		t.Fatal(err)
	}
	got := s.requests(true)
	var flow []string
	for _, r := range got {
		flow = append(flow, r.method+" "+strings.TrimPrefix(r.auth, "Bearer "))
	}
	want := "POST |POST secret-token-1|POST secret-token-1|POST |POST secret-token-2"
	if strings.Join(flow, "|") != want {
		t.Fatalf("got %v", flow)
	}
	if got[2].connection == got[4].connection {
		t.Error("the repetition went over the connection that was refused")
	}
	if got[4].body != got[2].body || !strings.Contains(got[4].body, roleB) {
		t.Errorf("the write was repeated with the body %q", got[4].body)
	}
}

func TestUnauthorizedAlways(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(200, "[]"))
	s.accept = func(string) bool { return false }
	c := s.client(t)
	_, err := c.AssignedRoles(t.Context(), alice)
	if ClassOf(err) != ClassAuth || !strings.Contains(err.Error(), "Adgang til IdM services") {
		t.Errorf("got %v", err)
	}
	if n := len(s.requests(false)); n != 2 {
		t.Errorf("the read was sent %d times, want twice", n)
	}
}

// TestUnauthorizedStorm kills the token while many requests use it: all get
// through, and one new token is enough.
func TestUnauthorizedStorm(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(200, "[]"))
	var good atomic.Value
	good.Store("1")
	s.accept = func(token string) bool { return token == good.Load() }
	c := s.client(t)
	if err := c.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	good.Store("2")
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() {
			if _, err := c.AssignedRoles(t.Context(), alice); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if s.tokens != 2 {
		t.Errorf("%d tokens were fetched, want 2", s.tokens)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(200, "[]"))
	c := s.client(t, func(o *Options) { o.ReadOnly = true })
	for want := 1; want <= 2; want++ {
		if err := c.Authenticate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.tokens != want {
			t.Errorf("%d tokens were given out, want %d", s.tokens, want)
		}
	}
	if state := c.TokenState(); !state.Valid || state.LastError != nil {
		t.Errorf("got %+v", state)
	}
}

func TestAuthenticateRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status   int
		body     string
		class    Class
		attempts int
		want     []string
	}{
		{401, "no right", ClassAuth, 1, []string{"401", "no right", "Adgang til IdM services i MitID Erhverv"}},
		{403, "forbidden for " + testCPR, ClassAuth, 1, []string{"403", "[cpr]", "Adgang til IdM services i MitID Erhverv"}},
		{400, "bad", ClassAuth, 1, []string{"400", "Adgang til IdM services i MitID Erhverv"}},
		{404, "", ClassAuth, 1, []string{"404", "baseUrl"}},
		{409, "", ClassAuth, 1, []string{"409"}},
		{302, "", ClassGarbage, 3, []string{"302", "redirects"}},
		{429, "", ClassTransient, 3, []string{"429"}},
		{500, "See log for exception details", ClassTransient, 3, []string{"See log"}},
		{503, "ServiceUnavailable", ClassTransient, 3, []string{"503"}},
		{200, "", ClassGarbage, 3, []string{"empty"}},
		{200, `{"accessToken":"half-of-a-secret`, ClassGarbage, 3, []string{"parsing"}},
		{200, "<html>half-of-a-secret</html>", ClassGarbage, 3, []string{"web page"}},
	} {
		t.Run(fmt.Sprint(test.status, " ", test.body), func(t *testing.T) {
			t.Parallel()
			s := newService(t, answer(200, "[]"))
			s.authenticate = answer(test.status, test.body)
			c := s.client(t)
			for name, do := range map[string]func() error{
				"Authenticate": func() error { return c.Authenticate(t.Context()) },
				"Roles":        func() error { _, err := c.Roles(t.Context()); return err },
				"AddRoles":     func() error { return c.AddRoles(t.Context(), alice, wholeCVR, []string{roleA}) },
			} {
				before := len(s.requests(true))
				err := do()
				if ClassOf(err) != test.class {
					t.Errorf("%s: class %q, want %q", name, ClassOf(err), test.class)
				}
				for _, want := range test.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %q does not say %q", name, err, want)
					}
				}
				if strings.Contains(err.Error(), "half-of-a-secret") {
					t.Errorf("%s: the error shows a part of a token: %v", name, err)
				}
				if n := len(s.requests(true)) - before; n != test.attempts {
					t.Errorf("%s: %d requests, want %d", name, n, test.attempts)
				}
			}
			if len(s.requests(false)) > 0 {
				t.Error("something was sent without a token")
			}
		})
	}
}

// TestTokenStaysAtHome gives the transport a request for another host.
func TestTokenStaysAtHome(t *testing.T) {
	t.Parallel()
	c := fakeClient(t, func(req *http.Request) (*http.Response, error) {
		if req.Header.Get("Authorization") != "" {
			t.Errorf("the token went to %s", req.URL.Host)
		}
		return tokenReply(), nil
	})
	for _, to := range []struct{ url, host string }{
		{"https://elsewhere.test/", ""},
		{"http://nemlogin.test/", ""},
		{"https://nemlogin.test.evil.test/", ""},
		{"https://nemlogin.test:444/", ""},
		{"https://nemlogin.test/", "elsewhere.test"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if to.host != "" {
			req.Host = to.host
		}
		resp, err := c.authorized.RoundTrip(req)
		if !errors.Is(err, errForeignHost) {
			t.Errorf("%v: got %v", to, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	other := newService(t, answer(200, "[]"))
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	c := s.client(t)
	if _, err := c.AssignedRoles(t.Context(), alice); ClassOf(err) != ClassGarbage || !strings.Contains(err.Error(), "redirects are not followed") {
		t.Errorf("got %v", err)
	}
	if n := len(other.requests(true)); n != 0 {
		t.Errorf("%d requests went to the other host", n)
	}
}

// TestTokenLivesOn uses a client for a day with tokens of an hour.
func TestTokenLivesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens := 0
		c := fakeClient(t, func(req *http.Request) (*http.Response, error) {
			if req.URL.Path == pathAuthenticate {
				tokens++
				return tokenReply(), nil
			}
			return reply(200, "[]"), nil
		})
		for range 24 * 60 {
			if _, err := c.SENumbers(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
		}
		if tokens != 48 {
			t.Errorf("%d tokens for a day, want one every half hour", tokens)
		}
	})
}
