package scheduler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the jobs do. All names begin with rollebro_.
type Metrics struct {
	runs     *prometheus.CounterVec
	duration *prometheus.HistogramVec
	success  *prometheus.GaugeVec
	running  *prometheus.GaugeVec
	lease    *prometheus.GaugeVec
	attempts *prometheus.GaugeVec
}

// NewMetrics makes the metrics and registers them; nil registers them nowhere. It panics when they are registered twice.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollebro_job_runs_total",
			Help: "Runs of a job that have ended, by outcome (ok, partly, failed, blocked, interrupted).",
		}, []string{"job", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "rollebro_job_duration_seconds",
			Help:    "How long a run of a job took.",
			Buckets: []float64{0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600},
		}, []string{"job"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollebro_job_last_success_timestamp_seconds",
			Help: "When a job last ended with the outcome ok, in seconds since 1970.",
		}, []string{"job"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollebro_job_running",
			Help: "1 while the job runs in this process.",
		}, []string{"job"}),
		lease: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollebro_lease_held",
			Help: "1 while this process holds the lease.",
		}, []string{"lease"}),
		attempts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollebro_job_failures_in_a_row",
			Help: "How often a job has failed as a whole since it last did not.",
		}, []string{"job"}),
	}
	if reg != nil {
		reg.MustRegister(m.runs, m.duration, m.success, m.running, m.lease, m.attempts)
	}
	return m
}

func (m *Metrics) started(job string) { m.running.WithLabelValues(job).Set(1) }

func (m *Metrics) finished(job string, o Outcome, took time.Duration, at time.Time) {
	m.running.WithLabelValues(job).Set(0)
	m.runs.WithLabelValues(job, string(o)).Inc()
	m.duration.WithLabelValues(job).Observe(took.Seconds())
	if o == OK {
		m.succeeded(job, at)
	}
}

func (m *Metrics) succeeded(job string, at time.Time) {
	m.success.WithLabelValues(job).Set(float64(at.Unix()))
}

func (m *Metrics) leaseHeld(name string, held bool) {
	v := 0.0
	if held {
		v = 1
	}
	m.lease.WithLabelValues(name).Set(v)
}

func (m *Metrics) failuresInARow(job string, n int) {
	m.attempts.WithLabelValues(job).Set(float64(n))
}
