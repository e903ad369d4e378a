// Package web is what the program serves over HTTP to people and to those who watch over it.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
)

// ErrUnauthorized says that a request shows no key that fits.
var ErrUnauthorized = errors.New("not authorized")

// Options configures a Handler.
type Options struct {
	// Checks tell whether the service can do its work; see /readyz.
	Checks []Check
	// CheckTimeout bounds each check; default 5 seconds.
	CheckTimeout time.Duration
	Gatherer     prometheus.Gatherer // of /metrics; nil: /metrics is not served
	// Status is what /api/status answers, as JSON; nil: it is not served.
	Status func(ctx context.Context) (any, error)
	// Authorize says who may read the status and why a check failed; its error is not shown. nil: nobody may.
	Authorize func(*http.Request) error
	// Mount serves what other rooms have, by http.ServeMux pattern.
	Mount  map[string]http.Handler
	Logger logrus.FieldLogger // default: silent
	Now    func() time.Time   // default time.Now
}

// Handler serves what watches over the program:
//
//	/healthz        the process lives: always 200
//	/readyz         200 when every critical check is met, otherwise 503; the body names each check
//	/manage/health  the same answer in the words of Spring's actuator: {"status":"UP"} or {"status":"DOWN"}
//	/metrics        for Prometheus
//	/api/status     how the bridge stands, for who shows a key
//
// and all that is mounted. Every request gets an id and a line in the log, and no panic ends the process.
func Handler(opts Options) http.Handler {
	if opts.CheckTimeout <= 0 {
		opts.CheckTimeout = 5 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = silent()
	}
	h := &operations{opts: opts, checks: newChecker(opts)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.alive)
	mux.HandleFunc("GET /readyz", h.ready)
	mux.HandleFunc("GET /manage/health", h.actuator)
	if opts.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{ErrorLog: opts.Logger}))
	}
	if opts.Status != nil {
		mux.HandleFunc("GET /api/status", h.status)
	}
	for pattern, handler := range opts.Mount {
		mux.Handle(pattern, handler)
	}
	return guard(mux, opts.Logger, opts.Now)
}

func silent() logrus.FieldLogger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

type operations struct {
	opts   Options
	checks *checker
}

func (h *operations) alive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

func (h *operations) actuator(w http.ResponseWriter, r *http.Request) {
	if _, ok := h.checks.results(r.Context()); !ok {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "DOWN"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "UP"})
}

func (h *operations) ready(w http.ResponseWriter, r *http.Request) {
	results, ok := h.checks.results(r.Context())
	if h.authorize(r) != nil {
		// What went wrong may name hosts and accounts: it is in the log, and for who has a key.
		for i := range results {
			results[i].Error = ""
		}
	}
	answer := struct {
		Status string   `json:"status"`
		Checks []result `json:"checks"`
	}{"ready", results}
	code := http.StatusOK
	if !ok {
		answer.Status, code = "not ready", http.StatusServiceUnavailable
	}
	writeJSON(w, code, answer)
}

func (h *operations) status(w http.ResponseWriter, r *http.Request) {
	if err := h.authorize(r); err != nil {
		w.Header().Set("WWW-Authenticate", "ApiKey")
		writeError(w, r, http.StatusUnauthorized, "a key is needed: send it in the header ApiKey")
		return
	}
	status, err := h.opts.Status(r.Context())
	if err == nil {
		var body []byte
		if body, err = json.Marshal(status); err == nil {
			writeBody(w, http.StatusOK, body)
			return
		}
	}
	h.opts.Logger.WithError(err).WithField("request", RequestID(r.Context())).Error("the status could not be read")
	writeError(w, r, http.StatusInternalServerError, "the status could not be read; the log says why")
}

func (h *operations) authorize(r *http.Request) error {
	if h.opts.Authorize == nil {
		return ErrUnauthorized
	}
	return h.opts.Authorize(r)
}

// AllowLoopback lets in requests from this machine too, without a key: those whose connection comes from a
// loopback address, that name one as the host (a page of elsewhere, in a browser here, does not), and that no proxy passed on.
func AllowLoopback(authorize func(*http.Request) error) func(*http.Request) error {
	return func(r *http.Request) error {
		if fromLoopback(r) {
			return nil
		}
		if authorize == nil {
			return ErrUnauthorized
		}
		return authorize(r)
	}
}

func fromLoopback(r *http.Request) bool {
	for _, proxy := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(proxy) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// errorAnswer is the body of an answer that is an error.
type errorAnswer struct {
	Status  int    `json:"status"`
	Error   string `json:"error"`
	Message string `json:"message"`
	Request string `json:"requestId,omitempty"`
}

func writeError(w http.ResponseWriter, r *http.Request, code int, message string) {
	writeJSON(w, code, errorAnswer{Status: code, Error: http.StatusText(code), Message: message, Request: RequestID(r.Context())})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // not with the types of this package
		code, body = http.StatusInternalServerError, []byte(`{}`)
	}
	writeBody(w, code, body)
}

func writeBody(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write(append(body, '\n'))
}
