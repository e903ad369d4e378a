package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/rollebro/rollebro/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

// logBook is what was logged, one JSON object a line.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newLog() (*logrus.Logger, *logBook) {
	book := &logBook{}
	log := logrus.New()
	log.SetOutput(book)
	log.SetLevel(logrus.DebugLevel)
	log.SetFormatter(&logrus.JSONFormatter{})
	return log, book
}

func get(t *testing.T, h http.Handler, method, path string, change ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	for _, c := range change {
		c(req)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	resp := rec.Result()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func withKey(key string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("ApiKey", key) }
}

func authorize(r *http.Request) error {
	if r.Header.Get("ApiKey") != "good" {
		return web.ErrUnauthorized
	}
	return nil
}

func failing(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

func TestHealth(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		checks []web.Check
		code   int
		health string
		ready  string
	}{
		"no checks": {nil, 200, `{"status":"UP"}`, `{"status":"ready","checks":[]}`},
		"all met": {
			[]web.Check{{"database", true, failing(nil)}},
			200, `{"status":"UP"}`,
			`{"status":"ready","checks":[{"name":"database","ok":true,"critical":true}]}`,
		},
		"a critical one fails": {
			[]web.Check{{"database", true, failing(errBoom)}, {"keystore", true, failing(nil)}},
			503, `{"status":"DOWN"}`,
			`{"status":"not ready","checks":[{"name":"database","ok":false,"critical":true},{"name":"keystore","ok":true,"critical":true}]}`,
		},
		"another fails": {
			[]web.Check{{"certificate", false, failing(errBoom)}},
			200, `{"status":"UP"}`,
			`{"status":"ready","checks":[{"name":"certificate","ok":false,"critical":false}]}`,
		},
		"one panics": {
			[]web.Check{{"database", true, func(context.Context) error { panic("oh") }}},
			503, `{"status":"DOWN"}`,
			`{"status":"not ready","checks":[{"name":"database","ok":false,"critical":true}]}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := web.Handler(web.Options{Checks: tt.checks, Authorize: authorize})
			for path, want := range map[string]string{"/manage/health": tt.health, "/readyz": tt.ready} {
				resp, body := get(t, h, "GET", path)
				if resp.StatusCode != tt.code || strings.TrimSpace(body) != want {
					t.Errorf("%s: %d %s; want %d %s", path, resp.StatusCode, body, tt.code, want)
				}
				if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
					t.Errorf("%s: content type %q", path, ct)
				}
			}
			if resp, _ := get(t, h, "GET", "/healthz"); resp.StatusCode != 200 {
				t.Errorf("/healthz: %d", resp.StatusCode)
			}
		})
	}
}

func TestReadyTellsTheReasonToWhoHasAKey(t *testing.T) {
	t.Parallel()
	log, book := newLog()
	h := web.Handler(web.Options{Checks: []web.Check{{"database", true, failing(errBoom)}}, Authorize: authorize, Logger: log})
	if _, body := get(t, h, "GET", "/readyz"); strings.Contains(body, "boom") {
		t.Errorf("the reason is shown to everybody: %s", body)
	}
	if _, body := get(t, h, "GET", "/readyz", withKey("good")); !strings.Contains(body, "boom") {
		t.Errorf("the reason is not shown: %s", body)
	}
	if n := strings.Count(book.String(), "check fails"); n != 1 {
		t.Errorf("the failure was logged %d times: %s", n, book)
	}
}

func TestChecksAreAskedOnceASecondAndNotWaitedForTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		free := make(chan struct{})
		var hang atomic.Bool
		h := web.Handler(web.Options{Checks: []web.Check{{"database", true, func(context.Context) error {
			asked.Add(1)
			if hang.Load() {
				<-free // doesn't listen to its context
			}
			return nil
		}}}})
		for range 10 {
			get(t, h, "GET", "/readyz")
			get(t, h, "GET", "/manage/health")
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times within a second", n)
		}
		<-time.After(time.Second)
		hang.Store(true)
		for range 3 {
			began := time.Now()
			if resp, _ := get(t, h, "GET", "/manage/health"); resp.StatusCode != 503 {
				t.Errorf("a check that hangs: %d", resp.StatusCode)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("answered after %v", took)
			}
			<-time.After(time.Second)
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("a check that hangs was begun %d times", n-1)
		}
		hang.Store(false)
		close(free)
		<-time.After(time.Second)
		if resp, _ := get(t, h, "GET", "/manage/health"); resp.StatusCode != 200 {
			t.Errorf("after it was mended: %d", resp.StatusCode)
		}
	})
}

// A caller that has gone away must not look to the next one like a database that is down.
func TestCallerGoneIsNoFailure(t *testing.T) {
	t.Parallel()
	h := web.Handler(web.Options{Checks: []web.Check{{"database", true, func(ctx context.Context) error { return ctx.Err() }}}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	resp, _ := get(t, h, "GET", "/readyz", func(r *http.Request) { *r = *r.WithContext(ctx) })
	if resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestStatusNeedsAKey(t *testing.T) {
	t.Parallel()
	opts := web.Options{
		Status:    func(context.Context) (any, error) { return map[string]int{"people": 3}, nil },
		Authorize: authorize,
	}
	h := web.Handler(opts)
	resp, body := get(t, h, "GET", "/api/status")
	var answer struct{ Status int }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != 401 || resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("without a key: %d %s", resp.StatusCode, body)
	}
	if resp, _ := get(t, h, "GET", "/api/status", withKey("bad")); resp.StatusCode != 401 {
		t.Errorf("with a bad key: %d", resp.StatusCode)
	}
	resp, body = get(t, h, "GET", "/api/status", withKey("good"))
	if resp.StatusCode != 200 || strings.TrimSpace(body) != `{"people":3}` || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("with a key: %d %s", resp.StatusCode, body)
	}
	opts.Authorize = nil
	if resp, _ := get(t, web.Handler(opts), "GET", "/api/status", withKey("good")); resp.StatusCode != 401 {
		t.Errorf("when nobody says who may: %d", resp.StatusCode)
	}
}

func TestStatusThatFailsTellsNothing(t *testing.T) {
	t.Parallel()
	log, book := newLog()
	for _, status := range []func(context.Context) (any, error){
		func(context.Context) (any, error) { return nil, errBoom },
		func(context.Context) (any, error) { return func() {}, nil },
	} {
		h := web.Handler(web.Options{Status: status, Authorize: authorize, Logger: log})
		resp, body := get(t, h, "GET", "/api/status", withKey("good"))
		if resp.StatusCode != 500 || strings.Contains(body, "boom") || !strings.Contains(body, resp.Header.Get("X-Request-Id")) {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
	if !strings.Contains(book.String(), "boom") {
		t.Error("the log doesn't say why")
	}
}

func TestAllowLoopback(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		remote, host, header string
		want                 bool
	}{
		"this machine":             {"127.0.0.1:5000", "127.0.0.1:8090", "", true},
		"by name":                  {"127.0.0.1:5000", "localhost:8090", "", true},
		"IPv6":                     {"[::1]:5000", "[::1]:8090", "", true},
		"IPv6, no port":            {"[::1]:5000", "[::1]", "", true},
		"IPv4 in IPv6":             {"[::ffff:127.0.0.1]:5000", "localhost", "", true},
		"another machine":          {"192.0.2.1:5000", "localhost", "", false},
		"a page with another name": {"127.0.0.1:5000", "evil.example:8090", "", false},
		"a proxy on this machine":  {"127.0.0.1:5000", "localhost", "X-Forwarded-For", false},
		"another proxy":            {"127.0.0.1:5000", "localhost", "Forwarded", false},
		"nonsense":                 {"pipe", "localhost", "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/status", http.NoBody)
			r.RemoteAddr, r.Host = tt.remote, tt.host
			if tt.header != "" {
				r.Header.Set(tt.header, "x")
			}
			if err := web.AllowLoopback(nil)(r); (err == nil) != tt.want {
				t.Errorf("without a key: %v", err)
			}
			r.Header.Set("ApiKey", "good")
			if err := web.AllowLoopback(authorize)(r); err != nil {
				t.Errorf("with a key: %v", err)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "rollebro_answer", Help: "."}))
	h := web.Handler(web.Options{Gatherer: reg})
	if _, body := get(t, h, "GET", "/metrics"); !strings.Contains(body, "rollebro_answer 0") {
		t.Errorf("%s", body)
	}
	if resp, _ := get(t, web.Handler(web.Options{}), "GET", "/metrics"); resp.StatusCode != 404 {
		t.Errorf("without a gatherer: %d", resp.StatusCode)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	h := web.Handler(web.Options{
		Gatherer: prometheus.NewRegistry(), Authorize: func(*http.Request) error { return nil },
		Status: func(context.Context) (any, error) { return 1, nil },
	})
	for _, path := range []string{"/healthz", "/readyz", "/manage/health", "/metrics", "/api/status"} {
		if resp, _ := get(t, h, "HEAD", path); resp.StatusCode != 200 {
			t.Errorf("HEAD %s: %d", path, resp.StatusCode)
		}
		resp, _ := get(t, h, "POST", path)
		if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d, allowed %q", path, resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
	if resp, _ := get(t, h, "GET", "/nowhere"); resp.StatusCode != 404 || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("GET /nowhere: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestMountedHandlersAreGuarded(t *testing.T) {
	t.Parallel()
	log, book := newLog()
	h := web.Handler(web.Options{Logger: log, Mount: map[string]http.Handler{
		"GET /panic": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh no") }),
		"GET /half": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("half"))
			panic("oh no")
		}),
		"GET /id": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			w.Write([]byte(web.RequestID(r.Context())))
		}),
	}})
	resp, body := get(t, h, "GET", "/panic")
	if resp.StatusCode != 500 || strings.Contains(body, "oh no") || !strings.Contains(body, resp.Header.Get("X-Request-Id")) {
		t.Errorf("a panic: %d %s", resp.StatusCode, body)
	}
	if !strings.Contains(book.String(), "oh no") || !strings.Contains(book.String(), "TestMountedHandlersAreGuarded") {
		t.Errorf("the log has no stack: %s", book)
	}
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // a panic's value
				t.Errorf("half an answer ended with %v", v)
			}
		}()
		get(t, h, "GET", "/half")
	}()
	resp, body = get(t, h, "GET", "/id")
	if body == "" || body != resp.Header.Get("X-Request-Id") || resp.Header.Get("Content-Security-Policy") != "default-src 'self'" {
		t.Errorf("%q %v", body, resp.Header)
	}
}

func TestRequestIDOfAProxyIsKept(t *testing.T) {
	t.Parallel()
	h := web.Handler(web.Options{})
	for given, keep := range map[string]bool{
		"ab-12.CD_3":            true,
		"":                      false,
		"a b":                   false,
		"a\tb":                  false,
		"3112991234":            false,
		"æ":                     false,
		strings.Repeat("a", 65): false,
	} {
		resp, _ := get(t, h, "GET", "/healthz", func(r *http.Request) { r.Header.Set("X-Request-Id", given) })
		if got := resp.Header.Get("X-Request-Id"); got == "" || (got == given) != keep {
			t.Errorf("%q became %q", given, got)
		}
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/users/3112991234":                                  "/users/**********",
		"/users/311299-1234/roles?cpr=3112991234":            "/users/**********/roles",
		"/users/311299%201234":                               "/users/**********",
		"/cpr3112991234x":                                    "/cpr**********x",
		"/users/12345678901":                                 "/users/12345678901",
		"/users/123456":                                      "/users/123456",
		"/users/00000000-0000-4000-8000-123456789012?q=hush": "/users/00000000-0000-4000-8000-123456789012",
		"/" + strings.Repeat("a", 1000):                      "/" + strings.Repeat("a", 299) + "…",
	} {
		log, book := newLog()
		get(t, web.Handler(web.Options{Logger: log}), "GET", path)
		var line struct {
			Level, Method, Path, Remote, Request, Duration string
			Status                                         int
		}
		if err := json.Unmarshal([]byte(book.String()), &line); err != nil {
			t.Fatalf("%v in %s", err, book)
		}
		if line.Path != want || line.Status != 404 || line.Level != "info" || line.Remote != "192.0.2.1" || line.Request == "" || line.Duration == "" {
			t.Errorf("%s was logged as %s", path, book)
		}
		if strings.Contains(book.String(), "3112991234") || strings.Contains(book.String(), "hush") {
			t.Errorf("the log has what it must not: %s", book)
		}
	}
	log, book := newLog()
	get(t, web.Handler(web.Options{Logger: log}), "GET", "/healthz")
	if !strings.Contains(book.String(), `"level":"debug"`) {
		t.Errorf("a probe was logged as %s", book)
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	resp, _ := get(t, web.Handler(web.Options{}), "GET", "/healthz")
	got := make(map[string]string)
	for _, name := range []string{"X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Content-Security-Policy", "Strict-Transport-Security"} {
		got[name] = resp.Header.Get(name)
	}
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
