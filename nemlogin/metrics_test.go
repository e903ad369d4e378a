package nemlogin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	ctx, cancel := context.WithCancel(t.Context())
	wire := func(req *http.Request) (*http.Response, error) {
		switch req.URL.Path {
		case pathAuthenticate:
			return tokenReply(), nil
		case pathSENumbers:
			return reply(200, "[]"), nil
		case pathProductionUnits:
			return reply(503, ""), nil
		case pathCatalogue:
			return nil, errors.New("connection reset")
		case pathEmployee + alice:
			cancel()
			return nil, ctx.Err()
		}
		return reply(409, ""), nil
	}
	c := fakeClient(t, wire, quick, withAttempts(2), func(o *Options) { o.Metrics = metrics })
	other := fakeClient(t, wire, quick, withAttempts(1), func(o *Options) { o.Metrics, o.CVR, o.ReadOnly = metrics, "12345678", true })

	_, ok := c.SENumbers(ctx)
	_, unavailable := c.ProductionUnits(ctx)
	_, reset := c.Roles(ctx)
	refusedWrite := c.AddRoles(ctx, alice, wholeCVR, []string{roleA})
	_, canceled := c.Employee(ctx, alice)
	readOnly := other.do(t.Context(), call{op: opAddRoles, method: http.MethodPost, path: pathIdentity + alice + "/roles", write: true})
	for i, want := range []Class{"", ClassTransient, ClassTransient, ClassConflict, ClassCanceled, ClassReadOnly} {
		if got := ClassOf([]error{ok, unavailable, reset, refusedWrite, canceled, readOnly}[i]); got != want {
			t.Fatalf("call %d: got %q, want %q", i, got, want)
		}
	}

	want := `
# HELP rollebro_nemlogin_requests_total Requests to the NemLog-in IdM services by call and status class; refused: stopped by read-only mode, error: no answer.
# TYPE rollebro_nemlogin_requests_total counter
rollebro_nemlogin_requests_total{cvr="12345678",op="addRoles",status="refused"} 1
rollebro_nemlogin_requests_total{cvr="12345678",op="authenticate",status="2xx"} 1
rollebro_nemlogin_requests_total{cvr="98765432",op="addRoles",status="4xx"} 1
rollebro_nemlogin_requests_total{cvr="98765432",op="authenticate",status="2xx"} 1
rollebro_nemlogin_requests_total{cvr="98765432",op="employee",status="canceled"} 1
rollebro_nemlogin_requests_total{cvr="98765432",op="productionUnits",status="5xx"} 2
rollebro_nemlogin_requests_total{cvr="98765432",op="roles",status="error"} 2
rollebro_nemlogin_requests_total{cvr="98765432",op="seNumbers",status="2xx"} 1
# HELP rollebro_nemlogin_retries_total Requests to the NemLog-in IdM services repeated, by call and why.
# TYPE rollebro_nemlogin_retries_total counter
rollebro_nemlogin_retries_total{class="transient",cvr="98765432",op="productionUnits"} 1
rollebro_nemlogin_retries_total{class="transient",cvr="98765432",op="roles"} 1
# HELP rollebro_nemlogin_token_refreshes_total Access tokens asked of the NemLog-in IdM services, by result (ok or failed).
# TYPE rollebro_nemlogin_token_refreshes_total counter
rollebro_nemlogin_token_refreshes_total{cvr="12345678",result="ok"} 1
rollebro_nemlogin_token_refreshes_total{cvr="98765432",result="ok"} 1
# HELP rollebro_nemlogin_requests_in_flight Requests to the NemLog-in IdM services that wait for their answer.
# TYPE rollebro_nemlogin_requests_in_flight gauge
rollebro_nemlogin_requests_in_flight{cvr="12345678"} 0
rollebro_nemlogin_requests_in_flight{cvr="98765432"} 0
# HELP rollebro_nemlogin_concurrency_limit Requests to the NemLog-in IdM services allowed at a time, as adapted to how it fares.
# TYPE rollebro_nemlogin_concurrency_limit gauge
rollebro_nemlogin_concurrency_limit{cvr="12345678"} 8
rollebro_nemlogin_concurrency_limit{cvr="98765432"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"rollebro_nemlogin_requests_total", "rollebro_nemlogin_retries_total", "rollebro_nemlogin_token_refreshes_total",
		"rollebro_nemlogin_requests_in_flight", "rollebro_nemlogin_concurrency_limit"); err != nil {
		t.Error(err)
	}
	if c.Limit() != 2 || other.Limit() != DefaultConcurrency {
		t.Errorf("the limits are %d and %d", c.Limit(), other.Limit())
	}
}

// TestLimitFollowsTheService has the service fall ill and recover.
func TestLimitFollowsTheService(t *testing.T) {
	t.Parallel()
	status := 429
	c := fakeClient(t, func(req *http.Request) (*http.Response, error) {
		if req.URL.Path == pathAuthenticate {
			return tokenReply(), nil
		}
		return reply(status, "[]"), nil
	}, quick, withAttempts(1))
	for _, want := range []int{4, 2, 1} {
		if _, err := c.SENumbers(t.Context()); ClassOf(err) != ClassTransient || c.Limit() != want {
			t.Fatalf("got %v, limit %d; want %d", err, c.Limit(), want)
		}
	}
	status = 200
	for range 40 {
		if _, err := c.SENumbers(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c.Limit() != DefaultConcurrency {
		t.Errorf("the limit came back to %d only", c.Limit())
	}
}
