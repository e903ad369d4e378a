package nemlogin

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// roundTripper is a wire made of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// reply makes an answer; headers come in pairs.
func reply(status int, body string, headers ...string) *http.Response {
	header := make(http.Header)
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

// tokenReply is a good answer to authenticate.
func tokenReply() *http.Response {
	return reply(200, `{"accessToken":"secret-token-1","expiresIn":3600}`)
}

// fakeClient makes a client without a network, as tests in a synctest bubble
// need it. The retry policy is the default one.
func fakeClient(t testing.TB, wire roundTripper, adjust ...func(*Options)) *Client {
	t.Helper()
	options := Options{BaseURL: "https://nemlogin.test", CVR: testCVR, Certificate: clientCertificate}
	for _, f := range adjust {
		f(&options)
	}
	options, base, err := options.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return newClient(options, base, wire, func() {})
}

// withAttempts sets the number of attempts.
func withAttempts(n int) func(*Options) {
	return func(o *Options) { o.Retry.Attempts = n }
}

// quick makes retries wait for no time worth mentioning.
func quick(o *Options) {
	o.Retry.Base, o.Retry.Max = time.Microsecond, time.Microsecond
}
