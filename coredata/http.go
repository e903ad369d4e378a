package coredata

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/semaphore"

	"github.com/rollebro/rollebro/rolecatalog"
)

// Base is the path that everything of the API is at or below. It answers without a redirect: clients send DELETE with a body to
// exactly this path.
const Base = "/api/coredata"

// Defaults of HandlerOptions.
const (
	DefaultMaxBody   = 128 << 20 // at some 450 bytes a person, 280,000 of them
	DefaultQueueTime = time.Minute
	DefaultLoadTime  = 10 * time.Minute
	DefaultIdleTime  = 30 * time.Second
	DefaultBodyTime  = 5 * time.Minute
)

// ErrUnauthorized says that a request shows no key that fits.
var ErrUnauthorized = errors.New("no API key that fits")

// Directory is what the reading calls ask of the catalogue beside Store. Package store implements it.
type Directory interface {
	Domains(ctx context.Context) ([]rolecatalog.Domain, error)
	Users(ctx context.Context, f rolecatalog.UserFilter) ([]rolecatalog.User, error)
}

// HandlerOptions configures Handler; zero values mean the defaults.
type HandlerOptions struct {
	Service   *Service
	Directory Directory
	// Authenticate tells who calls. It returns ErrUnauthorized for a request without a key that fits; any other error is a
	// fault of our own.
	Authenticate func(*http.Request) (Caller, error)

	MaxBody    int64         // bytes that one request may send
	MaxLoading int64         // bytes of bodies that are loaded at the same time; further ones wait. At least MaxBody; default three times it, so that a slow body whose length is unknown holds nobody up
	QueueTime  time.Duration // how long they wait for that at most
	LoadTime   time.Duration // of one load, from the first byte of the body to the end
	BodyTime   time.Duration // for the whole body
	IdleTime   time.Duration // for the next bytes: of a body that comes in, or of an answer that is taken
}

// Handler serves the CoreData API at and below Base: the writing calls by Service, the reading ones straight from its Store.
//
// A load that succeeds is answered with 200 and an empty body. An error is a plain text in UTF-8; one that is found before the call
// itself begins (no key, no such path, a body that is no JSON by its Content-Type) is a JSON object with timestamp, status,
// error and path, as clients know it from the original.
func Handler(opts HandlerOptions) http.Handler {
	defaultTo(&opts.MaxBody, DefaultMaxBody)
	const bodies = 3
	defaultTo(&opts.MaxLoading, bodies*opts.MaxBody)
	opts.MaxLoading = max(opts.MaxLoading, opts.MaxBody)
	defaultTo(&opts.QueueTime, DefaultQueueTime)
	defaultTo(&opts.LoadTime, DefaultLoadTime)
	defaultTo(&opts.BodyTime, DefaultBodyTime)
	defaultTo(&opts.IdleTime, DefaultIdleTime)
	h := &handler{
		HandlerOptions: opts, store: opts.Service.Store, log: opts.Service.Logger, now: opts.Service.Now,
		loading: semaphore.NewWeighted(opts.MaxLoading), mux: http.NewServeMux(),
	}
	if h.log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		h.log = silent
	}
	if h.now == nil {
		h.now = time.Now
	}
	methods := map[string]map[string]http.HandlerFunc{}
	for _, e := range h.endpoints() {
		if methods[e.path] == nil {
			methods[e.path] = map[string]http.HandlerFunc{}
		}
		methods[e.path][e.method] = e.serve
	}
	for pattern, byMethod := range methods {
		h.mux.Handle(pattern, h.dispatch(byMethod))
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { answerEarly(w, r, http.StatusNotFound) })
	return h
}

func defaultTo[T int64 | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

type handler struct {
	HandlerOptions
	store   Store
	log     logrus.FieldLogger
	now     func() time.Time
	loading *semaphore.Weighted
	mux     *http.ServeMux
}

// endpoint is a call of the API.
type endpoint struct {
	method, path string
	serve        http.HandlerFunc
}

// endpoints are all calls, with the paths as in the OpenAPI document.
func (h *handler) endpoints() []endpoint {
	s := h.Service
	all := []endpoint{
		{http.MethodGet, "", h.read(h.everything)},
		{http.MethodGet, "/status", h.read(h.status)},
		{http.MethodGet, "/nemloginStatus", h.read(h.nemLoginStatus)},
		{http.MethodGet, "/cprLookup", h.read(h.cprLookup)},
		{http.MethodGet, "/jfr", h.read(h.kombit)},
		{http.MethodGet, "/jfr/{cpr}", h.read(h.kombit)},
		{http.MethodGet, "/groups", h.read(h.groups)},
		{http.MethodGet, "/groups/{cpr}", h.read(h.groups)},
		{http.MethodGet, "/{cpr}", h.read(h.person)},
	}
	for call, load := range map[string]loadFunc{
		"POST /full":                       s.Full,
		"POST /delta":                      s.Delta,
		"DELETE ":                          s.Lock,
		"DELETE /cleanup":                  s.Cleanup,
		"POST /groups/load/full":           s.GroupsFull,
		"POST /groups/load/delta":          s.GroupsDelta,
		"POST /jfr/full":                   s.JFRFull,
		"POST /jfr/delta":                  s.JFRDelta,
		"POST /nsisallowed/load":           s.NSISAllowed,
		"POST /transfertonemlogin/load":    s.TransferToNemLogin,
		"POST /kombitAttributes/load/full": s.KombitAttributesFull,
	} {
		method, below, _ := strings.Cut(call, " ")
		all = append(all, endpoint{method, below, h.load(method+" "+Base+below, func(*http.Request) (loadFunc, error) { return load, nil })})
	}
	all = append(all,
		endpoint{http.MethodPost, "/kombitAttributes/single", h.load("POST "+Base+"/kombitAttributes/single", ofDomain(s.KombitAttributesSingle))},
		endpoint{http.MethodPut, "/groups/single", h.load("PUT "+Base+"/groups/single", ofDomain(h.member(true)))},
		endpoint{http.MethodDelete, "/groups/single", h.load("DELETE "+Base+"/groups/single", ofDomain(h.member(false)))},
	)
	for i := range all {
		all[i].path = Base + all[i].path
	}
	return all
}

// ServeHTTP answers a request. Who shows no key is told nothing else, not even which paths there are.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store") // it is all about people
	caller, err := h.Authenticate(r)
	switch {
	case errors.Is(err, ErrUnauthorized):
		w.Header().Set("WWW-Authenticate", "ApiKey")
		answerEarly(w, r, http.StatusUnauthorized)
		return
	case err != nil:
		h.fault(w, r, err)
		return
	}
	// The mux would redirect to the clean path, which clients don't follow with a body.
	if path.Clean(r.URL.Path) != r.URL.Path {
		answerEarly(w, r, http.StatusNotFound)
		return
	}
	h.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
}

type callerKey struct{}

// callerOf returns who makes a request that ServeHTTP has let in.
func callerOf(r *http.Request) Caller {
	caller, _ := r.Context().Value(callerKey{}).(Caller)
	return caller
}

// dispatch serves a path by method.
func (h *handler) dispatch(byMethod map[string]http.HandlerFunc) http.HandlerFunc {
	var allowed []string
	for method := range byMethod {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		serve, ok := byMethod[method]
		if !ok {
			w.Header().Set("Allow", allow)
			answerEarly(w, r, http.StatusMethodNotAllowed)
			return
		}
		serve(w, r)
	}
}

// early is an error that is found before the call itself begins.
type early int

// Error names the status.
func (e early) Error() string { return strconv.Itoa(int(e)) + " " + http.StatusText(int(e)) }

// fail answers an error and returns the status.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) int {
	if e, ok := errors.AsType[early](err); ok {
		answerEarly(w, r, int(e))
		return int(e)
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		answerText(w, refusal.Status, refusal.Text)
		return refusal.Status
	}
	if errors.Is(err, context.DeadlineExceeded) {
		h.entry(w, r).WithError(err).Error("the call took too long")
		w.Header().Set("Retry-After", "60")
		answerEarly(w, r, http.StatusServiceUnavailable)
		return http.StatusServiceUnavailable
	}
	h.fault(w, r, err)
	return http.StatusInternalServerError
}

// fault answers a fault of our own: what it is stands in the log alone.
func (h *handler) fault(w http.ResponseWriter, r *http.Request, err error) {
	h.entry(w, r).WithError(err).Error("the call failed")
	answerEarly(w, r, http.StatusInternalServerError)
}

// entry begins a line of the log about a request; what goes around all handlers has given it its id.
func (h *handler) entry(w http.ResponseWriter, r *http.Request) *logrus.Entry {
	return h.log.WithFields(logrus.Fields{"request": w.Header().Get("X-Request-Id"), "call": r.Method + " " + maskCPR(r.URL.Path)})
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	io.WriteString(w, text) //nolint:errcheck // nobody is left to tell
}

// answerEarly answers as the framework of the original does before a call is reached.
func answerEarly(w http.ResponseWriter, r *http.Request, status int) {
	body, err := json.Marshal(struct {
		Timestamp string `json:"timestamp"`
		Status    int    `json:"status"`
		Error     string `json:"error"`
		Path      string `json:"path"`
	}{time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00"), status, http.StatusText(status), maskCPR(r.URL.Path)})
	if err != nil { // not with these types
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
