package nemlogin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestNoSecretsAnywhere has a service that puts the token and a CPR number into
// everything it says, and looks for them in every error, log line and metric.
func TestNoSecretsAnywhere(t *testing.T) {
	t.Parallel()
	leak := func(token string) string {
		return strings.NewReplacer("TOKEN", token, "CPR", testCPR, "DIGITS", strings.ReplaceAll(testCPR, "-", "")).Replace(
			`{"error":"TOKEN","authorization":"Bearer TOKEN","accessToken":"TOKEN","cpr":"CPR","number":DIGITS} raw TOKEN`)
	}
	opaque := regexp.MustCompile(`secret-token|` + testCPR[:6] + `[^0-9]?` + testCPR[7:])
	log, output := logger()
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	var texts []string
	note := func(err error) {
		if err == nil {
			return
		}
		texts = append(texts, err.Error(), fmt.Sprintf("%v %+v %s %q", err, err, err, err))
		if e, ok := errors.AsType[*Error](err); ok {
			texts = append(texts, fmt.Sprintf("%#v", *e), e.Body, e.RequestID)
		}
	}
	for _, status := range []int{200, 204, 302, 400, 401, 403, 404, 409, 429, 500, 503} {
		for _, authenticating := range []bool{false, true} {
			handle := func(w http.ResponseWriter, r *http.Request) {
				token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				if token == "" {
					token = "secret-token-9"
				}
				text := leak(token)
				if authenticating && status >= 300 { // no token yet that could be known by its value
					text, _, _ = strings.Cut(text, ` raw `)
					text = strings.Replace(text, `"error":"secret-token-9",`, "", 1)
					token = "x"
				}
				w.Header().Set("X-Request-Id", token+" "+testCPR)
				w.Header().Set("Location", "/"+token)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, text)
			}
			s := newService(t, handle)
			if authenticating {
				s.authenticate = handle
			}
			c := s.client(t, func(o *Options) { o.Logger, o.Metrics = log, metrics })
			_, err := c.Roles(t.Context())
			note(err)
			_, err = c.AssignedRoles(t.Context(), alice)
			note(err)
			_, err = c.Employee(t.Context(), alice)
			note(err)
			note(c.AddRoles(t.Context(), alice, wholeCVR, []string{roleA, roleB, testCPR}))
			note(c.RemoveRoles(t.Context(), testCPR, Scope{testCPR, testCPR}, []string{roleA}))
			note(c.Authenticate(t.Context()))
			note(c.TokenState().LastError)
		}
	}
	// Causes from below, too.
	c := fakeClient(t, func(*http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("cannot send Bearer secret-token-1 for %s: %w", testCPR, context.DeadlineExceeded)
	}, quick, func(o *Options) { o.Logger = log })
	note(c.Authenticate(t.Context()))

	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		texts = append(texts, family.String())
		for _, person := range []string{alice, bob, roleA} {
			if strings.Contains(family.String(), person) {
				t.Errorf("the metric %s has an identity or role in it", family.GetName())
			}
		}
	}
	if len(families) != 6 || len(texts) < 100 || !strings.Contains(output.String(), "Repeating a request") || !strings.Contains(output.String(), maskedCPR) {
		t.Fatalf("the test saw too little: %d metrics, %d texts", len(families), len(texts))
	}
	for _, text := range append(texts, output.String()) {
		if found := opaque.FindString(text); found != "" {
			at := strings.Index(text, found)
			t.Fatalf("%q is in: %s", found, text[max(0, at-200):min(len(text), at+200)])
		}
	}
}

// TestOldTokenIsMasked has a late answer repeat the token before the present
// one.
func TestOldTokenIsMasked(t *testing.T) {
	t.Parallel()
	s := newService(t, answer(400, "was secret-token-1, is secret-token-2"))
	c := s.client(t)
	for range 2 {
		if err := c.Authenticate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.SENumbers(t.Context())
	if failed, ok := errors.AsType[*Error](err); !ok || failed.Body != "was [token], is [token]" {
		t.Errorf("got %v", err)
	}
}
