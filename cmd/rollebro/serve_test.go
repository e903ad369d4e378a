package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollebro/rollebro/certs/certstest"
	"github.com/rollebro/rollebro/cmd/rollebro/config"
	"github.com/rollebro/rollebro/scheduler"
)

// get asks the service and returns the status and the body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// client keeps no connection, so that a service that ends is not held up.
func client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}

// serve starts the service and returns it with its address.
func (s settings) serve(t *testing.T) (*background, string) {
	t.Helper()
	b := s.with(setListen, "127.0.0.1:0").start(t, "serve")
	return b, decode[struct{ Listen string }](t, b.await(t, `"listen":`)).Listen
}

func TestServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10)
	w.must(t, exitOK, "users", "load", w.file("users.csv"))
	b, addr := w.serve(t)
	b.await(t, `"job":"administrators","level":"info","msg":"job done"`) // the last of the start
	for path, want := range map[string]string{
		"/healthz": "alive", "/readyz": `"status":"ready"`, "/manage/health": `{"status":"UP"}`, "/api/status": `"adopted":10`,
		"/metrics": "rollebro_certificate_not_after_timestamp_seconds",
	} {
		code, body := get(t, "http://"+addr+path)
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	_, metrics := get(t, "http://"+addr+"/metrics")
	for _, want := range []string{
		"rollebro_dry_run 0", "rollebro_keystore_usable 1", "rollebro_quarantine 0", `rollebro_backlog{state="failing"} 0`,
		`rollebro_job_runs_total{job="import",outcome="ok"} 1`,
	} {
		if !strings.Contains(metrics, "\n"+want+"\n") {
			t.Errorf("%s is missing in the metrics", want)
		}
	}
	if r := w.with(setListen, addr).must(t, exitOK, "healthcheck"); r.out != "ok\n" {
		t.Errorf("the health check says %q", r.out)
	}
	// What is changed by a command on the same database is done within seconds.
	w.must(t, exitOK, "plan", "--detailed-exitcode")
	if code := b.stop(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, b.output())
	}
	if !strings.Contains(b.output(), `"msg":"stopped"`) {
		t.Errorf("it did not say that it stopped:\n%s", b.output())
	}
	if r := w.with(setListen, addr).must(t, exitFailure, "healthcheck"); !strings.Contains(r.err, "does not answer") {
		t.Errorf("the health check says %q", r.err)
	}
}

// An expired certificate does not end the service: it says what is wrong, calls nobody, and takes up a new keystore.
func TestServeWithExpiredCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	renewed := readFile(t, w.file("keystore.p12"))
	expired := certstest.MustIssue(t, w.sim.Authority(), certstest.LeafOptions{
		CVR: w.sim.CVR(), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
	})
	password := strings.TrimSpace(readFile(t, w.file("keystore.password")))
	writeFile(t, w.file("keystore.p12"), string(certstest.MustKeystore(t, expired, password, certstest.KeystoreOptions{})))

	w.must(t, exitKeystore, "import")
	b, addr := w.serve(t)
	code, body := get(t, "http://"+addr+"/readyz")
	if code != http.StatusOK || !strings.Contains(body, `{"name":"keystore","ok":false`) || !strings.Contains(body, "expired") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if _, metrics := get(t, "http://"+addr+"/metrics"); !strings.Contains(metrics, "\nrollebro_keystore_usable 0\n") {
		t.Error("the metrics do not tell")
	}
	b.await(t, `"job":"catalogue","level":"error"`) // tried, and refused before anything was sent
	if n := len(w.sim.Requests()); n != 0 {
		t.Errorf("MitID Erhverv was asked %d times", n)
	}

	beside := writeFile(t, w.file("new.p12"), renewed)
	if err := os.Rename(beside, w.file("keystore.p12")); err != nil {
		t.Fatal(err)
	}
	b.await(t, "took up a new keystore")
	if _, metrics := get(t, "http://"+addr+"/metrics"); !strings.Contains(metrics, "\nrollebro_keystore_usable 1\n") {
		t.Error("the new keystore is not in use")
	}
	// Another organisation's is not taken up.
	stranger := certstest.MustIssue(t, w.sim.Authority(), certstest.LeafOptions{CVR: "90000002"})
	beside = writeFile(t, w.file("new.p12"), string(certstest.MustKeystore(t, stranger, password, certstest.KeystoreOptions{})))
	if err := os.Rename(beside, w.file("keystore.p12")); err != nil {
		t.Fatal(err)
	}
	b.await(t, "90000002")
	// The status of another process and the metrics of this one agree.
	if _, metrics := get(t, "http://"+addr+"/metrics"); !strings.Contains(metrics, "\nrollebro_keystore_usable 0\n") {
		t.Error("the metrics don't tell that the file cannot be used")
	}
	if _, body := get(t, "http://"+addr+"/api/status"); !strings.Contains(body, `"usable":false`) {
		t.Errorf("the status doesn't tell that the file cannot be used: %s", body)
	}
	if r := w.must(t, exitOK, "status"); !strings.Contains(r.out, "CANNOT BE USED") {
		t.Errorf("the command says %q", r.out)
	}
	if code := b.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestServeWithoutMitID(t *testing.T) {
	t.Parallel()
	b, addr := emptySettings(t).serve(t)
	if code, body := get(t, "http://"+addr+"/api/status"); code != http.StatusOK || !strings.Contains(body, `"integration":false`) {
		t.Errorf("/api/status: %d %s", code, body)
	}
	if code, body := get(t, "http://"+addr+"/manage/health"); code != http.StatusOK {
		t.Errorf("/manage/health: %d %s", code, body)
	}
	if code := b.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestServeOnAnAddressInUse(t *testing.T) {
	t.Parallel()
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	r := emptySettings(t).with(setListen, taken.Listener.Addr().String()).must(t, exitFailure, "serve")
	if !strings.Contains(r.err, "in use") || !strings.Contains(r.err, "rc.web.listen") {
		t.Errorf("got %q", r.err)
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	health := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			http.NotFound(w, r)
		}
	})
	plain, sick, secure := httptest.NewServer(health), httptest.NewServer(http.NotFoundHandler()), httptest.NewTLSServer(health)
	defer plain.Close()
	defer sick.Close()
	defer secure.Close()
	certificate := writeFile(t, filepath.Join(t.TempDir(), "c.pem"),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	other := certstest.MustIssue(t, certstest.MustAuthority(t, certstest.AuthorityOptions{Keys: certstest.ECDSA}), certstest.LeafOptions{})
	stranger := writeFile(t, filepath.Join(t.TempDir(), "c.pem"),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.TLS().Certificate[0]})))
	_, port, err := net.SplitHostPort(plain.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		web  config.Web
		want string
	}{
		{"well", config.Web{Listen: plain.Listener.Addr().String()}, ""},
		{"every address", config.Web{Listen: "0.0.0.0:" + port}, ""},
		{"no host", config.Web{Listen: ":" + port}, ""},
		{"not well", config.Web{Listen: sick.Listener.Addr().String()}, "the service is not well: 404"},
		{"with TLS", config.Web{Listen: secure.Listener.Addr().String(), TLSCertificate: certificate}, ""},
		{"another certificate", config.Web{Listen: secure.Listener.Addr().String(), TLSCertificate: stranger}, "certificate"},
		{"no certificate", config.Web{Listen: secure.Listener.Addr().String(), TLSCertificate: "/none"}, "rc.web.tlsCertificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			err := askHealth(t.Context(), test.web, &out)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// The jobs' hours come from the settings, and the minute otherwise from the database, the same at every start.
func TestHours(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	hours := func(s settings) map[string]string {
		p := &program{environ: s.environ(), stderr: io.Discard, log: newLogger(io.Discard), now: time.Now}
		a, err := p.open(t.Context(), needsCatalogue)
		if err != nil {
			t.Fatal(err)
		}
		defer a.close()
		crons, err := a.hours(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return crons
	}
	minute := func(crons map[string]string) string { return strings.Fields(crons[scheduler.JobCatalogue])[1] }
	if one, two := minute(hours(w.settings)), minute(hours(w.settings)); one != two {
		t.Errorf("minute %s, then %s", one, two)
	}
	crons := hours(w.with("rc.schedule.minute", "7", "cron.nemlogin.fullSync", "0 17 11 * * ?"))
	if minute(crons) != "7" || !strings.HasPrefix(crons[scheduler.JobReconcile], "0 17 11 ") {
		t.Errorf("got %v", crons)
	}
	if crons := hours(w.with("cron.nemlogin.fullSync", "-")); crons[scheduler.JobReconcile] != "" {
		t.Errorf("the reconcile is at %q", crons[scheduler.JobReconcile])
	}
}

// A writer that has lost the lease meanwhile commits nothing.
func TestJobsAreFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	p := &program{environ: w.environ(), stderr: io.Discard, log: newLogger(io.Discard), now: time.Now}
	a, err := p.open(t.Context(), needsMitID)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	called := false
	job := a.job("test", scheduler.LeaseWriter, func(context.Context, *scheduler.Run, scheduler.Progress) error {
		called = true
		return nil
	})
	if err := job.Run(t.Context(), &scheduler.Run{}, nil); err == nil || called {
		t.Errorf("it ran without the lease: %v", err)
	}
	if _, err := a.runner.Run(t.Context(), job, scheduler.TriggerCommand, nil); err != nil || !called {
		t.Errorf("it did not run with the lease: %v", err)
	}
}

// The extra roots come beside the system's, and verify the simulator.
func TestRootCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	pool, err := rootCertificates(w.file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.sim.URL(), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	system, err := x509.SystemCertPool()
	if err == nil && pool.Equal(system) {
		t.Error("the file added nothing")
	}
	if _, err := rootCertificates(w.file("users.csv")); err == nil {
		t.Error("a file without certificates was taken")
	}
	r := w.with(setRoots, "").must(t, exitFailure, "import")
	if !strings.Contains(r.err, "rc.integrations.nemLogin.rootCertificates") || strings.Contains(r.err, "certs inspect") {
		t.Errorf("without the roots: %q", r.err)
	}
}
