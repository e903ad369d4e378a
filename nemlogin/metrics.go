package nemlogin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics measures the traffic of one or more clients. The label "cvr" tells
// the organisations apart, "op" the calls; neither users nor roles are labels.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	limit    *prometheus.GaugeVec
	retries  *prometheus.CounterVec
	tokens   *prometheus.CounterVec
}

// NewMetrics registers the metrics with registerer, nil to register them
// nowhere. It panics if they are registered already: make one Metrics and share
// it among the clients.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	factory := promauto.With(registerer)
	return &Metrics{
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "rollebro_nemlogin_requests_total",
			Help: "Requests to the NemLog-in IdM services by call and status class; refused: stopped by read-only mode, error: no answer.",
		}, []string{"cvr", "op", "status"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "rollebro_nemlogin_request_duration_seconds",
			Help:    "Time from sending a request to the NemLog-in IdM services until its answer was read.",
			Buckets: []float64{0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 180},
		}, []string{"cvr", "op"}),
		inFlight: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollebro_nemlogin_requests_in_flight",
			Help: "Requests to the NemLog-in IdM services that wait for their answer.",
		}, []string{"cvr"}),
		limit: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollebro_nemlogin_concurrency_limit",
			Help: "Requests to the NemLog-in IdM services allowed at a time, as adapted to how it fares.",
		}, []string{"cvr"}),
		retries: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "rollebro_nemlogin_retries_total",
			Help: "Requests to the NemLog-in IdM services repeated, by call and why.",
		}, []string{"cvr", "op", "class"}),
		tokens: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "rollebro_nemlogin_token_refreshes_total",
			Help: "Access tokens asked of the NemLog-in IdM services, by result (ok or failed).",
		}, []string{"cvr", "result"}),
	}
}

// observed is Metrics for one client.
type observed struct {
	*Metrics
	cvr string
}

// limiterChanged is what the limiter tells.
func (o observed) limiterChanged(inFlight, limit int) {
	o.inFlight.WithLabelValues(o.cvr).Set(float64(inFlight))
	o.limit.WithLabelValues(o.cvr).Set(float64(limit))
}

// retried counts a repetition.
func (o observed) retried(op string, class Class) {
	o.retries.WithLabelValues(o.cvr, op, string(class)).Inc()
}

// refreshed counts a token asked for.
func (o observed) refreshed(err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	o.tokens.WithLabelValues(o.cvr, result).Inc()
}

// measured is the part of the transport chain that counts and times what goes
// out.
type measured struct {
	next     http.RoundTripper
	observed observed
}

func (m *measured) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := m.next.RoundTrip(req)
	op := opOf(req.Context())
	m.observed.requests.WithLabelValues(m.observed.cvr, op, statusLabel(req.Context(), resp, err)).Inc()
	m.observed.duration.WithLabelValues(m.observed.cvr, op).Observe(time.Since(start).Seconds())
	return resp, err
}

// statusLabel is "2xx" and so on, or why there is no status.
func statusLabel(ctx context.Context, resp *http.Response, err error) string {
	switch {
	case err == nil:
		return strconv.Itoa(resp.StatusCode/100) + "xx"
	case ctx.Err() != nil:
		return "canceled"
	case isReadOnly(err):
		return "refused"
	}
	return "error"
}

type opKey struct{}

// withOp names the call that requests with the context returned belong to.
func withOp(ctx context.Context, op string) context.Context {
	return context.WithValue(ctx, opKey{}, op)
}

// opOf is the name given by withOp.
func opOf(ctx context.Context) string {
	op, _ := ctx.Value(opKey{}).(string)
	return op
}
