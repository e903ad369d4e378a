package nemlogin

import (
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Options{BaseURL: "https://services.nemlog-in.dk", Certificate: clientCertificate}
	tests := []struct {
		name   string
		change func(*Options)
		want   []string
	}{
		{"no URL", func(o *Options) { o.BaseURL = "" }, []string{"no base URL"}},
		{"no TLS", func(o *Options) { o.BaseURL = "http://services.nemlog-in.dk" }, []string{"https://", "in the clear"}},
		{"no scheme", func(o *Options) { o.BaseURL = "services.nemlog-in.dk" }, []string{"https://host"}},
		{"no host", func(o *Options) { o.BaseURL = "https:///api" }, []string{"https://host"}},
		{"only a port", func(o *Options) { o.BaseURL = "https://:443" }, []string{"https://host"}},
		{"query", func(o *Options) { o.BaseURL = "https://a.dk/?x=1" }, []string{"query"}},
		{"not a URL", func(o *Options) { o.BaseURL = "https://a b\x00" }, []string{"not a URL"}},
		{"no certificate", func(o *Options) { o.Certificate = nil }, []string{"client certificate"}},
		{"CVR", func(o *Options) { o.CVR = "1234567" }, []string{"8 digits"}},
		{"negative", func(o *Options) { o.Concurrency = -1; o.MaxBody = -1 }, []string{"concurrency", "size limit"}},
		{"everything at once", func(o *Options) { *o = Options{CVR: "x", BatchSize: -1} }, []string{"base URL", "certificate", "CVR", "batch size"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			options := good
			test.change(&options)
			_, err := New(options)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestNewHidesThePasswordInABadURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://user:hunter2@a.dk", "http://user:hunter2@a.dk", "ftp://user:hunter2@a.dk", "https://user:hunter2@a b\x00"} {
		_, err := New(Options{BaseURL: url, Certificate: clientCertificate})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v", url, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := New(Options{BaseURL: "https://services.nemlog-in.dk/", Certificate: clientCertificate})
	if err != nil {
		t.Fatal(err)
	}
	o := c.options
	if o.Concurrency != 8 || o.BatchSize != 50 || o.Timeout != 3*time.Minute || o.ConnectTimeout != 10*time.Second ||
		o.MaxBody != 64<<20 || o.Retry != (RetryPolicy{5, time.Second, 30 * time.Second, 2 * time.Minute}) || o.ReadOnly || o.Renegotiate {
		t.Errorf("got %+v", o)
	}
	if c.root != "https://services.nemlog-in.dk" || c.Limit() != 8 || c.InFlight() != 0 || c.ReadOnly() || c.TokenState() != (TokenState{}) {
		t.Errorf("got root %q, limit %d, in flight %d, token %+v", c.root, c.Limit(), c.InFlight(), c.TokenState())
	}
}
