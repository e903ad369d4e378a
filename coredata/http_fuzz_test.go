package coredata_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/rollebro/rollebro/coredata"
)

var tenDigits = regexp.MustCompile(`(^|[^0-9])[0-9]{10}($|[^0-9])`)

// Whatever is asked for, it is answered, no fault of ours is found, and no CPR number of the request comes back in an error or
// stands in the log.
func FuzzRequest(f *testing.F) {
	for _, path := range []string{"", "/full", "/", "//", "/status", "/1403791001", "/140379-1001/x", "/jfr/1403791001", "/%2e%2e/x", "/groups/single", "/\x00", "/æ"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			f.Add(method, path, "domain=skovby.dk", "application/json", `{"domain":"skovby.dk","entryList":[]}`)
		}
	}
	f.Add("GET", "/status", "domain=%zz&onlyNsisAllowed=1;2", "", "")
	f.Add("PUT", "/groups/single", "domain=elev1&domain=x", "application/json;charset=", `{"groupUuid":1403791001,"sAMAccountName":{}}`)
	f.Fuzz(func(t *testing.T, method, path, query, contentType, body string) {
		var book bytes.Buffer
		log := logrus.New()
		log.SetOutput(&book)
		store := newFakeStore()
		h := coredata.Handler(coredata.HandlerOptions{
			Service: &coredata.Service{Store: store, Logger: log}, Directory: store, MaxBody: 1 << 16,
			Authenticate: func(*http.Request) (coredata.Caller, error) { return coredata.Caller{Name: "fuzz"}, nil },
		})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Method, r.URL = method, &url.URL{Path: coredata.Base + path, RawQuery: query}
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 200 || w.Code >= 500 || w.Code >= 300 && w.Code < 400 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code != http.StatusOK && tenDigits.MatchString(w.Body.String()) {
			t.Errorf("the answer repeats a CPR number: %s", w.Body)
		}
		if tenDigits.MatchString(book.String()) {
			t.Errorf("the log holds a CPR number: %s", book.String())
		}
		for _, call := range store.calls {
			if tenDigits.MatchString(call.Error + " " + call.Domain) {
				t.Errorf("the call log holds a CPR number: %+v", call)
			}
		}
	})
}
