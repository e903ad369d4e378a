package nemlogin

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestGate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, url string
		want        bool
	}{
		{"GET", "/anything", true},
		{"HEAD", "/anything", true},
		{"POST", pathAuthenticate, true},
		{"POST", pathSearch, true},
		{"POST", pathAuthenticate + "/", false},
		{"POST", pathAuthenticate + "/../../../rights/identity/" + alice + "/roles", false},
		{"POST", "/x" + pathAuthenticate, false},
		{"POST", strings.ToUpper(pathAuthenticate), false},
		{"POST", strings.Replace(pathAuthenticate, "tls", "%74ls", 1), false},
		{"POST", pathEmployee, false},
		{"POST", pathIdentity + alice + "/roles", false},
		{"DELETE", pathIdentity + alice + "/roles", false},
		{"DELETE", pathAuthenticate, false},
		{"PUT", pathSearch, false},
		{"PATCH", "/", false},
		{"OPTIONS", "/", false},
		{"TRACE", "/", false},
		{"CONNECT", "/", false},
		{"post", pathAuthenticate, false},
		{"get", "/", false},
		{"", "/", false},
		{"BREW", "/", false},
	}
	for _, prefix := range []string{"", "/gateway/nl"} {
		for _, test := range tests {
			passed := false
			g := &gate{prefix: prefix, next: roundTripper(func(*http.Request) (*http.Response, error) {
				passed = true
				return reply(200, ""), nil
			})}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.test"+prefix+test.url, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Method = test.method
			resp, err := g.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if passed != test.want || errors.Is(err, errReadOnly) == test.want {
				t.Errorf("%s %s: passed %v (%v), want %v", test.method, prefix+test.url, passed, err, test.want)
			}
		}
	}
}

// TestReadOnlyClient tries every way to write.
func TestReadOnlyClient(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(200, "[]"))
	c := s.client(t, func(o *Options) { o.ReadOnly = true })
	if !c.ReadOnly() {
		t.Error("the client does not say so")
	}
	if _, err := c.AssignedRoles(t.Context(), alice); err != nil {
		t.Errorf("reading: %v", err)
	}
	for _, err := range []error{
		c.AddRoles(t.Context(), alice, wholeCVR, []string{roleA, roleB}),
		c.RemoveRoles(t.Context(), alice, wholeCVR, []string{roleA}),
		// Past the checks of the methods, straight to the transport.
		c.do(t.Context(), call{op: opAddRoles, method: http.MethodPost, path: pathIdentity + alice + "/roles", body: []byte("{}"), write: true}),
		c.do(t.Context(), call{op: "suspend", method: http.MethodPut, path: pathEmployee + alice + "/suspend", write: true}),
		c.exchange(t.Context(), c.plain, call{op: "delete", method: http.MethodDelete, path: pathEmployee + alice, write: true}),
	} {
		if ClassOf(err) != ClassReadOnly {
			t.Errorf("got %v", err)
		}
	}
	for _, r := range s.requests(false) {
		if r.method != http.MethodGet {
			t.Errorf("the service received %+v", r)
		}
	}
	if inFlight, limit := c.limiter.state(); inFlight != 0 || limit != DefaultConcurrency {
		t.Errorf("after the refusals %d are in flight and the limit is %d", inFlight, limit)
	}
}

func TestReadOnlyWriteNamesEveryRole(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(204, ""))
	c := s.client(t, func(o *Options) { o.ReadOnly = true })
	rapid.Check(t, func(t *rapid.T) {
		roles := rapid.SliceOfN(rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), 1, 120).Draw(t, "roles")
		err := c.AddRoles(t.Context(), alice, wholeCVR, roles)
		failed, ok := errors.AsType[*WriteError](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		for _, role := range roles {
			if failed.Failed[role] == nil {
				t.Fatalf("%s is not named", role)
			}
		}
	})
	if n := len(s.requests(true)); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}
