package coredata_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/go-cmp/cmp"

	"github.com/rollebro/rollebro/coredata"
)

// description reads the OpenAPI document, which must be in order, its examples too.
func description(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(coredata.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// operation is a call of the document.
type operation struct {
	*openapi3.Operation
	method, path string
}

func operations(doc *openapi3.T) []operation {
	var all []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, operation{op, method, path})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.method+a.path, b.method+b.path) })
	return all
}

// request makes the request that the document has as an example.
func (op *operation) request(t *testing.T, base string) *http.Request {
	t.Helper()
	path, query := op.path, url.Values{}
	for _, ref := range op.Parameters {
		p := ref.Value
		value := fmt.Sprint(p.Example)
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", value)
		case p.Required:
			query.Set(p.Name, value)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var body io.Reader = http.NoBody
	if op.RequestBody != nil {
		example, err := json.Marshal(op.RequestBody.Value.Content["application/json"].Example)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(example)
	}
	req, err := http.NewRequestWithContext(t.Context(), op.method, base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("ApiKey", goodKey)
	if op.RequestBody != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

func TestEveryEndpointIsDescribed(t *testing.T) {
	t.Parallel()
	doc, _ := description(t)
	var described []string
	for _, op := range operations(doc) {
		described = append(described, op.method+" "+op.path)
	}
	served := coredata.Endpoints()
	slices.Sort(described)
	slices.Sort(served)
	if diff := cmp.Diff(described, served); diff != "" {
		t.Errorf("described, but not served (-), or served, but not described (+):\n%s", diff)
	}
}

// situation is how a call comes to an answer of one status.
type situation struct {
	status  int
	applies func(op *operation) bool
	world   func(*coredata.HandlerOptions)
	store   func(*world)
	request func(t *testing.T, r *http.Request)
	invalid bool // the request is none that the document allows
}

func hasBody(op *operation) bool { return op.RequestBody != nil }

func always(*operation) bool { return true }

func replaceBody(t *testing.T, r *http.Request, change func(string) string) {
	t.Helper()
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(text))
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
	r.GetBody = nil
}

var situations = map[string]situation{
	"done":    {status: 200, applies: always},
	"refused": {status: 400, applies: always, request: elsewhere},
	"no key":  {status: 401, applies: always, request: func(_ *testing.T, r *http.Request) { r.Header.Del("ApiKey") }, invalid: true},
	"of others": {status: 403, applies: always, request: func(_ *testing.T, r *http.Request) {
		r.Header.Set("ApiKey", otherKey)
	}},
	"nobody": {status: 404, applies: func(op *operation) bool { return op.OperationID == "cprLookup" }, request: func(_ *testing.T, r *http.Request) {
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "userId=both", "userId=nobody", 1)
	}},
	"too slow": {status: 408, applies: hasBody, world: func(o *coredata.HandlerOptions) { o.IdleTime = 20 * time.Millisecond }, request: func(_ *testing.T, r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(never{r.Context()}), 1000
	}, invalid: true},
	"too large": {status: 413, applies: hasBody, request: func(t *testing.T, r *http.Request) {
		t.Helper()
		replaceBody(t, r, func(text string) string { return text + strings.Repeat(" ", 10_000) })
	}, world: func(o *coredata.HandlerOptions) { o.MaxBody = 10_000 }},
	"not JSON": {status: 415, applies: hasBody, request: func(_ *testing.T, r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, invalid: true},
	"fault":    {status: 500, applies: always, store: func(w *world) { w.store.failWith(errBoom) }},
	"too busy": {status: 503, applies: always, store: func(w *world) { w.store.failWith(context.DeadlineExceeded) }},
}

// elsewhere asks for a domain that there isn't.
func elsewhere(t *testing.T, r *http.Request) {
	t.Helper()
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "domain=skovby.dk", "domain=nowhere.dk", 1)
	replaceBody(t, r, func(text string) string {
		return strings.Replace(text, `"domain":"skovby.dk"`, `"domain":"nowhere.dk"`, 1)
	})
}

// never is a body that doesn't come.
type never struct{ ctx context.Context }

// Read waits for the end of the request.
func (n never) Read([]byte) (int, error) {
	<-n.ctx.Done()
	return 0, n.ctx.Err()
}

// Every status of every call in the document is brought about, and the request and the answer are as the document says.
func TestDescriptionHolds(t *testing.T) {
	t.Parallel()
	doc, router := description(t)
	for _, op := range operations(doc) {
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			t.Parallel()
			var met []string
			for name, s := range situations {
				if s.applies(&op) {
					met = append(met, fmt.Sprint(s.status))
					t.Run(name, func(t *testing.T) { s.check(t, &op, router) })
				}
			}
			slices.Sort(met)
			described := slices.Sorted(maps.Keys(op.Responses.Map()))
			if diff := cmp.Diff(described, met); diff != "" {
				t.Errorf("described, but not met (-), or met, but not described (+):\n%s", diff)
			}
		})
	}
}

func (s *situation) check(t *testing.T, op *operation, router routers.Router) {
	t.Helper()
	var change []func(*coredata.HandlerOptions)
	if s.world != nil {
		change = append(change, s.world)
	}
	w := newWorld(t, change...)
	w.populate(t)
	if s.store != nil {
		s.store(w)
	}
	req := op.request(t, w.url)
	if s.request != nil {
		s.request(t, req)
	}
	asked := req.Clone(t.Context())
	asked.URL.Scheme, asked.URL.Host = "", ""
	route, params, err := router.FindRoute(asked)
	if err != nil {
		t.Fatal(err)
	}
	if route.Operation.OperationID != op.OperationID {
		t.Fatalf("this is %s", route.Operation.OperationID)
	}
	input := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: func(_ context.Context, in *openapi3filter.AuthenticationInput) error {
				if in.RequestValidationInput.Request.Header.Get(in.SecurityScheme.Name) == "" {
					return errBoom
				}
				return nil
			},
			IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true,
		},
	}
	if !s.invalid {
		if req.Body != nil && req.Body != http.NoBody {
			text, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			req.Body, asked.Body = io.NopCloser(bytes.NewReader(text)), io.NopCloser(bytes.NewReader(text))
		}
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != s.status {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	header := resp.Header.Clone()
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: resp.StatusCode, Header: header, Options: input.Options}
	answer.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(t.Context(), answer); err != nil {
		t.Errorf("%v\n%s", err, body)
	}
	if described := route.Operation.Responses.Value(fmt.Sprint(s.status)).Value; len(described.Content) == 0 && len(body) > 0 {
		t.Errorf("an answer without a body has %q", body)
	}
	if s.status == http.StatusOK && op.method == http.MethodGet && !bytes.Contains(body, []byte(`both`)) {
		t.Errorf("the answer is about nobody: %s", body)
	}
}
