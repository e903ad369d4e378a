package coredata_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/coredata"
	"github.com/rollebro/rollebro/web"
)

const (
	goodKey  = "good"
	otherKey = "other" // is for other.dk alone
	cprBoth  = "1403791001"
)

var (
	errBoom = errors.New("boom")
	noon    = time.Date(2026, 11, 2, 11, 20, 0, 0, time.UTC)
)

// logBook is what was logged.
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

// world is the API on a loopback address, over TLS 1.2 as the oldest client speaks it.
type world struct {
	store  *fakeStore
	log    *logBook
	url    string
	client *http.Client
}

func newWorld(t *testing.T, change ...func(*coredata.HandlerOptions)) *world {
	t.Helper()
	w := &world{store: newFakeStore(), log: &logBook{}}
	log := logrus.New()
	log.SetOutput(w.log)
	log.SetLevel(logrus.TraceLevel)
	now := func() time.Time { return noon }
	opts := coredata.HandlerOptions{
		Service: &coredata.Service{
			Store: w.store, CVR: "99000011", Logger: log, Now: now,
			Options: coredata.Options{TrustedEmployee: true, ExternalUUIDs: true},
		},
		Directory: w.store,
		Authenticate: func(r *http.Request) (coredata.Caller, error) {
			switch r.Header.Get("ApiKey") {
			case goodKey:
				return coredata.Caller{Name: "ADSync"}, nil
			case otherKey:
				return coredata.Caller{Name: "Other", Allowed: func(master string) bool { return master == "other.dk" }}, nil
			case "fault":
				return coredata.Caller{}, errBoom
			}
			return coredata.Caller{}, coredata.ErrUnauthorized
		},
	}
	for _, c := range change {
		c(&opts)
	}
	h := coredata.Handler(opts)
	server := httptest.NewUnstartedServer(web.Handler(web.Options{
		Logger: log, Now: now, Mount: map[string]http.Handler{coredata.Base: h, coredata.Base + "/": h},
	}))
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	w.url, w.client = server.URL, server.Client()
	transport, ok := w.client.Transport.(*http.Transport)
	if !ok {
		t.Fatal("the client has another transport")
	}
	transport.TLSClientConfig.MaxVersion = tls.VersionTLS12
	transport.ExpectContinueTimeout = time.Minute // who asks for 100 gets no answer without it
	return w
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (w *world) send(t *testing.T, method, path string, body io.Reader, change ...func(*http.Request)) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("ApiKey", goodKey)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, c := range change {
		c(req)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp, string(text)}, err
}

func (w *world) do(t *testing.T, method, path, body string, change ...func(*http.Request)) answer {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	a, err := w.send(t, method, path, from, change...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// load sends a body that must be taken.
func (w *world) load(t *testing.T, method, path, body string) {
	t.Helper()
	if a := w.do(t, method, path, body); a.StatusCode != http.StatusOK || a.body != "" {
		t.Fatalf("%s %s: %d %q", method, path, a.StatusCode, a.body)
	}
}

// populate loads what the examples say.
func (w *world) populate(t *testing.T) {
	t.Helper()
	w.load(t, "POST", "/api/coredata/full", example(t, "e1_ad_full"))
	w.load(t, "POST", "/api/coredata/full", example(t, "e2_ad_full_subdomain"))
	w.load(t, "POST", "/api/coredata/groups/load/full", example(t, "e4_ad_groups_full"))
	w.load(t, "POST", "/api/coredata/jfr/full", example(t, "e5_ad_jfr_full"))
	w.load(t, "POST", "/api/coredata/kombitAttributes/load/full", example(t, "e5d_ad_misc_kombitattributes"))
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, u := range w.store.users {
		if u.UserKey == "both" {
			u.NemLoginUUID = "2e4b6d80-1c3f-4a5b-8e9d-7f6a5b4c3d2f"
		}
	}
}

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func withKey(key string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("ApiKey", key) }
}

func withHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = []string{value} }
}

func TestEveryExampleIsAnsweredWithNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ method, path, example string }{
		{"POST", "/full", "e1_ad_full"},
		{"POST", "/full", "e2_ad_full_subdomain"},
		{"POST", "/delta", "e3a_ad_delta"},
		{"DELETE", "", "e3b_ad_delete"},
		{"POST", "/groups/load/full", "e4_ad_groups_full"},
		{"POST", "/groups/load/delta", "e4_ad_groups_full"},
		{"POST", "/jfr/full", "e5_ad_jfr_full"},
		{"POST", "/jfr/delta", "e5_ad_jfr_full"},
		{"POST", "/nsisallowed/load", "e5b_ad_misc_nsisallowed"},
		{"POST", "/transfertonemlogin/load", "e5c_ad_misc_transfertonemlogin"},
		{"POST", "/kombitAttributes/load/full", "e5d_ad_misc_kombitattributes"},
		{"DELETE", "/cleanup", "e3b_ad_delete"},
	} {
		a := w.do(t, c.method, "/api/coredata"+c.path, example(t, c.example))
		if a.StatusCode != http.StatusOK || a.body != "" || a.Header.Get("Content-Length") != "0" || a.Header.Get("Content-Type") != "" {
			t.Errorf("%s %s: %d %q %v", c.method, c.path, a.StatusCode, a.body, a.Header)
		}
		if a.TLS.Version != tls.VersionTLS12 {
			t.Errorf("the connection is %x", a.TLS.Version)
		}
	}
	if a := w.do(t, "POST", "/api/coredata/jfr/delta", `{"domain":"skovby.dk","entryList":[]}`); a.StatusCode != http.StatusOK {
		t.Errorf("an empty delta: %d %q", a.StatusCode, a.body)
	}
}

func TestKeyHeaderInAnyCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"ApiKey", "apiKey", "APIKEY", "apikey"} {
		a := w.do(t, "GET", "/api/coredata?domain=skovby.dk", "", func(r *http.Request) {
			delete(r.Header, "Apikey")
			r.Header[name] = []string{goodKey}
		})
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", name, a.StatusCode)
		}
	}
}

func TestBodyIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.do(t, "POST", "/api/coredata/full", example(t, "e1_ad_full"), withHeader("Expect", "100-continue")); a.StatusCode != http.StatusOK {
		t.Error(a.StatusCode, a.body)
	}
}

// Errors that are found before a call begins are JSON, with exactly four members.
func TestEarlyErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	full := example(t, "e1_ad_full")
	for name, c := range map[string]struct {
		method, path, body string
		change             func(*http.Request)
		status             int
		errorText, shown   string
	}{
		"no key":             {"POST", "/full", full, withKey(""), 401, "Unauthorized", "/full"},
		"wrong key":          {"POST", "/full", full, withKey("wrong"), 401, "Unauthorized", "/full"},
		"no key, no path":    {"GET", "/nothing/there", "", withKey(""), 401, "Unauthorized", "/nothing/there"},
		"no key, no method":  {"PATCH", "/full", full, withKey(""), 401, "Unauthorized", "/full"},
		"own fault":          {"POST", "/full", full, withKey("fault"), 500, "Internal Server Error", "/full"},
		"unknown path":       {"POST", "/fuld/load", full, nil, 404, "Not Found", "/fuld/load"},
		"trailing slash":     {"POST", "/full/", full, nil, 404, "Not Found", "/full/"},
		"base with slash":    {"DELETE", "/", full, nil, 404, "Not Found", "/"},
		"get with slash":     {"GET", "/status/?domain=skovby.dk", "", nil, 404, "Not Found", "/status/"},
		"case of path":       {"POST", "/Full", full, nil, 405, "Method Not Allowed", "/Full"}, // is read as a CPR number
		"out of scope":       {"POST", "/passwordchange/force", full, nil, 404, "Not Found", "/passwordchange/force"},
		"out of scope, too":  {"GET", "/nemlogin/lookup/both?domain=skovby.dk", "", nil, 404, "Not Found", "/nemlogin/lookup/both"},
		"wrong method":       {"GET", "/full?domain=skovby.dk", "", nil, 405, "Method Not Allowed", "/full"},
		"put":                {"PUT", "", full, nil, 405, "Method Not Allowed", ""},
		"options":            {"OPTIONS", "/full", "", nil, 405, "Method Not Allowed", "/full"},
		"post to a person":   {"POST", "/" + cprBoth, full, nil, 405, "Method Not Allowed", "/**********"},
		"below a person":     {"GET", "/140379-1001/x?domain=skovby.dk", "", nil, 404, "Not Found", "/xxxxxx-xxxx/x"},
		"form":               {"POST", "/full", full, withHeader("Content-Type", "application/x-www-form-urlencoded"), 415, "Unsupported Media Type", "/full"},
		"text":               {"POST", "/full", full, withHeader("Content-Type", "text/plain"), 415, "Unsupported Media Type", "/full"},
		"no type":            {"POST", "/full", full, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "Unsupported Media Type", "/full"},
		"broken type":        {"POST", "/full", full, withHeader("Content-Type", "application"), 415, "Unsupported Media Type", "/full"},
		"other alphabet":     {"POST", "/full", full, withHeader("Content-Type", "application/json; charset=iso-8859-1"), 415, "Unsupported Media Type", "/full"},
		"no domain":          {"GET", "", "", nil, 400, "Bad Request", ""},
		"no domain, status":  {"GET", "/status", "", nil, 400, "Bad Request", "/status"},
		"no domain, groups":  {"GET", "/groups?Domain=skovby.dk", "", nil, 400, "Bad Request", "/groups"},
		"no domain, person":  {"GET", "/" + cprBoth, "", nil, 400, "Bad Request", "/**********"},
		"no domain, single":  {"PUT", "/groups/single", `{}`, nil, 400, "Bad Request", "/groups/single"},
		"no user":            {"GET", "/cprLookup?domain=skovby.dk", "", nil, 400, "Bad Request", "/cprLookup"},
		"neither on nor off": {"GET", "/status?domain=skovby.dk&onlyNsisAllowed=perhaps", "", nil, 400, "Bad Request", "/status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changes []func(*http.Request)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			a := w.do(t, c.method, "/api/coredata"+c.path, c.body, changes...)
			var got map[string]any
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatalf("%d %q: %v", a.StatusCode, a.body, err)
			}
			at, ok := got["timestamp"].(string)
			if _, err := time.Parse(time.RFC3339, at); !ok || err != nil {
				t.Errorf("timestamp %v", got["timestamp"])
			}
			delete(got, "timestamp")
			want := map[string]any{"status": float64(c.status), "error": c.errorText, "path": strings.ReplaceAll("/api/coredata"+c.shown, "**********", "xxxxxxxxxx")}
			if diff := cmp.Diff(want, got); diff != "" || a.StatusCode != c.status || a.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s\n%s", a.StatusCode, a.Header.Get("Content-Type"), diff)
			}
			if c.status == http.StatusMethodNotAllowed && a.Header.Get("Allow") == "" {
				t.Error("nothing is allowed")
			}
		})
	}
	t.Cleanup(func() {
		if n := len(w.store.state()); n != 0 {
			t.Errorf("%d people were loaded", n)
		}
	})
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "APPLICATION/JSON", `application/json; charset="utf-8"`, "application/json;", "application/vnd.skovby+json"} {
		w := newWorld(t)
		if a := w.do(t, "POST", "/api/coredata/full", example(t, "e1_ad_full"), withHeader("Content-Type", kind)); a.StatusCode != http.StatusOK {
			t.Errorf("%q: %d %q", kind, a.StatusCode, a.body)
		}
	}
}

// Errors of a call are bare texts.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.populate(t)
	before := w.store.state()
	for name, c := range map[string]struct {
		method, path, body string
		key                string
		status             int
		text               string
	}{
		"unknown domain":         {"POST", "/full", `{"domain":"nær.dk","entryList":[{}]}`, goodKey, 400, "Ukendt domæne: nær.dk"},
		"empty list":             {"POST", "/full", `{"domain":"skovby.dk","entryList":[]}`, goodKey, 400, "Tom entryList for domæne skovby.dk"},
		"sub-domain":             {"POST", "/delta", `{"domain":"elev1","entryList":[{}]}`, goodKey, 400, "Angivne domæne (elev1) er et sub-domæne"},
		"empty body":             {"POST", "/full", "", goodKey, 400, "Indholdet mangler"},
		"status, empty":          {"GET", "/status?domain=", "", goodKey, 400, "Domain cannot be empty"},
		"status, unknown":        {"GET", "/status?domain=x", "", goodKey, 400, "Domain was either null or not a master domain"},
		"status, sub":            {"GET", "/status?domain=elev1", "", goodKey, 400, "Domain was either null or not a master domain"},
		"everything, empty":      {"GET", "?domain=", "", goodKey, 400, "Domain cannot be empty"},
		"everything, sub":        {"GET", "?domain=elev1", "", goodKey, 400, "Domain was either null or not a master domain"},
		"nemloginStatus, sub":    {"GET", "/nemloginStatus?domain=elev1", "", goodKey, 400, "Domain was either null or not a master domain"},
		"nemloginStatus, x":      {"GET", "/nemloginStatus?domain=x", "", goodKey, 400, "Domain was either null or not a master domain"},
		"person, unknown":        {"GET", "/" + cprBoth + "?domain=x", "", goodKey, 400, "Unknown domain: x"},
		"person, empty":          {"GET", "/" + cprBoth + "?domain=", "", goodKey, 400, "Unknown domain: "},
		"person, sub":            {"GET", "/" + cprBoth + "?domain=elev1", "", goodKey, 400, "Domain was not a master domain"},
		"jfr, sub":               {"GET", "/jfr?domain=elev1", "", goodKey, 400, "Domain was not a master domain"},
		"jfr of person, unknown": {"GET", "/jfr/" + cprBoth + "?domain=x", "", goodKey, 400, "Unknown domain: x"},
		"groups, sub":            {"GET", "/groups?domain=elev1", "", goodKey, 400, "Domain was not a master domain"},
		"groups of person, x":    {"GET", "/groups/" + cprBoth + "?domain=x", "", goodKey, 400, "Unknown domain: x"},
		"lookup, unknown domain": {"GET", "/cprLookup?userId=both&domain=x", "", goodKey, 400, "Unknown domain: x"},
		"a CPR as a domain":      {"GET", "/jfr?domain=" + cprBoth, "", goodKey, 400, "Unknown domain: xxxxxxxxxx"},
		"other key, load":        {"POST", "/full", example(t, "e1_ad_full"), otherKey, 403, "API-nøglen gælder ikke for domænet skovby.dk"},
		"other key, sub-domain":  {"GET", "/cprLookup?userId=both&domain=elev1", "", otherKey, 403, "API-nøglen gælder ikke for domænet elev1"},
		"other key, status":      {"GET", "/status?domain=SKOVBY.dk", "", otherKey, 403, "API-nøglen gælder ikke for domænet SKOVBY.dk"},
		"lookup, nobody":         {"GET", "/cprLookup?userId=nobody&domain=skovby.dk", "", goodKey, 404, ""},
		"lookup, by uuid":        {"GET", "/cprLookup?userId=5b0f2c1e-7a34-4c55-9d0e-3f1f6f0a9b01&domain=skovby.dk", "", goodKey, 404, ""},
		"lookup, no name":        {"GET", "/cprLookup?userId=&domain=skovby.dk", "", goodKey, 404, ""},
		"lookup, elsewhere":      {"GET", "/cprLookup?userId=both&domain=elev1", "", goodKey, 404, ""},
		"lookup, other tree":     {"GET", "/cprLookup?userId=both&domain=other.dk", "", goodKey, 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := w.do(t, c.method, "/api/coredata"+c.path, c.body, withKey(c.key))
			if a.StatusCode != c.status || a.body != c.text {
				t.Errorf("%d %q", a.StatusCode, a.body)
			}
			if kind := a.Header.Get("Content-Type"); c.text != "" && kind != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type %q", kind)
			}
		})
	}
	t.Cleanup(func() {
		if diff := cmp.Diff(before, w.store.state()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNothingIsRedirected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, path := range []string{"", "/full", "/cleanup", "/", "/full/", "/status", "/jfr"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			if a := w.do(t, method, "/api/coredata"+path, "{}"); a.StatusCode >= 300 && a.StatusCode < 400 {
				t.Errorf("%s %q: %d", method, path, a.StatusCode)
			}
		}
	}
}

// What fails here is never told as an empty list or as done.
func TestOwnFaults(t *testing.T) {
	t.Parallel()
	for err, status := range map[error]int{errBoom: 500, context.DeadlineExceeded: 503} {
		w := newWorld(t)
		w.store.failWith(fmt.Errorf("reading: %w", err))
		for _, path := range []string{"", "/status", "/nemloginStatus", "/cprLookup", "/jfr", "/groups", "/" + cprBoth, "/jfr/" + cprBoth, "/groups/" + cprBoth} {
			a := w.do(t, "GET", "/api/coredata"+path+"?domain=skovby.dk&userId=both", "")
			if a.StatusCode != status || strings.Contains(a.body, "reading") || (a.Header.Get("Retry-After") != "") != (status == 503) {
				t.Errorf("GET %s: %d %q", path, a.StatusCode, a.body)
			}
		}
		if a := w.do(t, "POST", "/api/coredata/full", example(t, "e1_ad_full")); a.StatusCode != status || strings.Contains(a.body, "reading") {
			t.Errorf("POST: %d %q", a.StatusCode, a.body)
		}
		if !strings.Contains(w.log.String(), err.Error()) {
			t.Error("the log doesn't say why")
		}
	}
}

func TestNoCPRInTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.populate(t)
	for _, path := range []string{"/1403791001", "/jfr/1403791001", "/groups/1403791001", "/140379-1001", "/1403791001/x", "/1403791001/"} {
		w.do(t, "GET", "/api/coredata"+path+"?domain=skovby.dk", "")
	}
	w.store.failWith(errBoom)
	w.do(t, "GET", "/api/coredata/1403791001?domain=skovby.dk", "")
	log := w.log.String()
	if !strings.Contains(log, "boom") || !strings.Contains(log, "path=") {
		t.Fatal("the log is another one")
	}
	for _, secret := range []string{"1403791001", "140379-1001", "2305881038", "1706671038", goodKey + "\n", "ApiKey"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestSilentDomains(t *testing.T) {
	t.Parallel()
	f := newFakeStore()
	week := 7 * 24 * time.Hour
	f.loads = map[string]time.Time{"z": noon.Add(-week - 1), "a": noon.Add(-2 * week), "on time": noon.Add(-week), "today": noon}
	names, err := coredata.Silent(t.Context(), f, noon)
	if diff := cmp.Diff([]string{"a", "z"}, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
	f.err = errBoom
	if _, err := coredata.Silent(t.Context(), f, noon); !errors.Is(err, errBoom) {
		t.Error(err)
	}
}

func TestPruneCalls(t *testing.T) {
	t.Parallel()
	f := newFakeStore()
	n, err := coredata.PruneCalls(t.Context(), f, noon, coredata.DefaultCallDays)
	if n != 7 || err != nil || !f.pruned.Equal(noon.AddDate(0, 0, -30)) {
		t.Error(n, err, f.pruned)
	}
	f.err = errBoom
	if _, err := coredata.PruneCalls(t.Context(), f, noon, 30); !errors.Is(err, errBoom) {
		t.Error(err)
	}
}

func TestDescriptionIsServed(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	coredata.ServeOpenAPI(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi.yaml", http.NoBody))
	if rec.Code != http.StatusOK || !bytes.Equal(rec.Body.Bytes(), coredata.OpenAPI) || rec.Header().Get("Content-Type") != "application/yaml" {
		t.Error(rec.Code, rec.Header())
	}
}
