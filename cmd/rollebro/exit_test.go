package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/scheduler"
	"github.com/rollebro/rollebro/store"
)

// Every exit code has a test: scripts rely on them.

func TestExitFine(t *testing.T) {
	t.Parallel()
	r := settings{}.must(t, exitOK, "version")
	if !strings.HasPrefix(r.out, "rollebro "+version+" ") || r.err != "" {
		t.Errorf("got %q, %q", r.out, r.err)
	}
}

func TestExitFailure(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"serv"}, "rollebro: unknown command \"rollebro serv\"\n  Did you mean \"rollebro serve\"?\n"},
		{[]string{"users", "lod"}, "rollebro: unknown command \"rollebro users lod\"\n  Did you mean \"rollebro users load\"?\n"},
		{[]string{"xyzzy"}, "rollebro: unknown command \"rollebro xyzzy\"\n  \"rollebro --help\" lists the commands.\n"},
		{[]string{"plan", "--nope"}, "rollebro: unknown flag: --nope\n  \"rollebro plan --help\" shows what it takes.\n"},
		{[]string{"plan", "extra"}, "rollebro: unknown command \"extra\" for \"rollebro plan\"\n  Usage: rollebro plan [flags]\n"},
		{[]string{"plan", "-o", "xml"}, "rollebro: unknown output format \"xml\"\n  Known are text, json, csv, markdown, html.\n"},
		{[]string{"users", "load"}, "rollebro: accepts 1 arg(s), received 0\n  Usage: rollebro users load FILE [flags]\n"},
		{[]string{"users", "load", "/none/u.csv"}, "rollebro: reading /none/u.csv: no such file or directory\n"},
		{[]string{"apply"}, "rollebro: name the plan to apply, or say --yes to apply what a fresh one says\n  \"rollebro plan\" makes a plan and tells its id.\n"},
		{[]string{"apply", "abc", "--yes"}, "rollebro: a plan is named and --yes is given\n  Use one of them.\n"},
		{[]string{"approve", "abc", "--by", " "}, "rollebro: an approval needs a name and a reason\n  Give --by NAME and --reason TEXT.\n"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			r := emptySettings(t).must(t, exitFailure, test.args...)
			if r.err != test.want || r.out != "" {
				t.Errorf("got  %q and %q\nwant %q", r.err, r.out, test.want)
			}
		})
	}
}

func TestExitChangesPending(t *testing.T) {
	t.Parallel()
	w := imported(t, 20)
	w.must(t, exitOK, "plan", "--detailed-exitcode")
	w.drift(t, 1)
	if r := w.must(t, exitChanges, "plan", "--detailed-exitcode"); !strings.Contains(r.out, "Plan ") {
		t.Errorf("no plan in %q", r.out)
	}
	w.must(t, exitOK, "plan")
}

func TestExitPartly(t *testing.T) {
	t.Parallel()
	w := imported(t, 20)
	w.drift(t, 2)
	w.sim.OnRequest(func(r simulator.Request) simulator.Action {
		if r.Method == http.MethodDelete {
			return simulator.Action{Status: http.StatusBadRequest, Body: "no"}
		}
		return simulator.Action{}
	})
	r := w.must(t, exitPartly, "apply", "--yes")
	if !strings.Contains(r.out, "2 writes failed") || !strings.Contains(r.err, "rollebro: not everything could be done") {
		t.Errorf("got %q and %q", r.out, r.err)
	}
}

func TestExitBlocked(t *testing.T) {
	t.Parallel()
	w := imported(t, 20)
	w.drift(t, 40)
	w.must(t, exitBlocked, "plan", "--detailed-exitcode")
	r := w.must(t, exitBlocked, "apply", "--yes")
	if !strings.Contains(r.err, "rollebro approve") || len(w.writes()) != 0 {
		t.Errorf("%d writes, and it says %q", len(w.writes()), r.err)
	}
	w.must(t, exitBlocked, "plan", "--detailed-exitcode") // the quarantine doesn't stop the planning
}

func TestExitStale(t *testing.T) {
	t.Parallel()
	w := imported(t, 20)
	w.drift(t, 1)
	id := decode[struct{ ID string }](t, w.must(t, exitOK, "plan", "-o", "json").out).ID
	w.drift(t, 1)
	r := w.must(t, exitStale, "apply", id)
	if len(w.writes()) != 0 || !strings.Contains(r.err, "rollebro plan") {
		t.Errorf("%d writes, and it says %q", len(w.writes()), r.err)
	}
}

func TestExitConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, test := range []struct {
		name     string
		settings settings
		args     []string
		want     string
	}{
		{
			"a URL without TLS", w.with(setBaseURL, "http://services.nemlog-in.dk"),
			[]string{"plan"},
			"rollebro: rc.integrations.nemLogin.baseUrl = \"http://services.nemlog-in.dk\" (environment variable RC_INTEGRATIONS_NEMLOGIN_BASEURL): must begin with https://, because the access token must not be sent without TLS\n",
		},
		{
			"two faults", w.with("RC_WEB_LITSEN", ":1", setCVR, "7"),
			[]string{"serve"},
			"rollebro: RC_WEB_LITSEN (environment variable RC_WEB_LITSEN): unknown setting; did you mean rc.web.listen?\n" +
				"rollebro: rc.customer.cvr = \"7\" (environment variable RC_CUSTOMER_CVR): must be a CVR number: 8 digits\n",
		},
		{
			"no file",
			settings{},
			[]string{"--config", "/none/rollebro.yaml", "status"},
			"rollebro: settings file /none/rollebro.yaml (--config): the file does not exist\n",
		},
		{
			"not on", w.with(setEnabled, "false"),
			[]string{"import"},
			"rollebro: the integration with MitID Erhverv is off, and this command needs it\n  Set rc.integrations.nemLogin.enabled to true.\n",
		},
		{
			"no organisation", emptySettings(t),
			[]string{"status"},
			"rollebro: rc.customer.cvr is not set\n  Set it to the CVR number of the organisation: 8 digits.\n",
		},
		{
			"no roots", w.with(setRoots, "/none/ca.pem"),
			[]string{"plan"},
			"rollebro: rc.integrations.nemLogin.rootCertificates = \"/none/ca.pem\": the file cannot be read: no such file or directory\n",
		},
		{
			"no database", w.with(setDatabase, "jdbc:mariadb://127.0.0.1:1/rollebro"),
			[]string{"status"},
			"rollebro: connecting to the database: no database answers at database rollebro at 127.0.0.1:1: check host and port, and that it runs\n" +
				"  Check spring.datasource.url, .username and .password; \"rollebro config show\" shows what is set.\n",
		},
		{
			"no SQLite database", w.with(setDatabase, "sqlite:"+w.file("users.csv")),
			[]string{"status"},
			"rollebro: opening the database: SQLite file " + w.file("users.csv") + " is not a SQLite database (or it is encrypted)\n" +
				"  Check spring.datasource.url, .username and .password; \"rollebro config show\" shows what is set.\n",
		},
		{
			"no TLS key", w.with(setListen, "127.0.0.1:0", "RC_WEB_TLSCERTIFICATE", "/none/c.pem", "RC_WEB_TLSKEY", "/none/k.pem"),
			[]string{"serve"},
			"  Check rc.web.tlsCertificate and rc.web.tlsKey.\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := test.settings.must(t, exitConfig, test.args...)
			if !strings.HasSuffix(r.err, test.want) || r.out != "" {
				t.Errorf("got  %q and %q\nwant %q", r.err, r.out, test.want)
			}
		})
	}
}

func TestExitLease(t *testing.T) {
	t.Parallel()
	w := imported(t, 5)
	s, err := store.Open(t.Context(), store.Options{URL: w.settings[setDatabase]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AcquireLease(t.Context(), scheduler.LeaseWriter, "another/1/x", time.Now(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"apply", "--yes", "--wait", "0s"}, {"import", "--wait", "300ms"}} {
		r := w.must(t, exitLease, args...)
		if !strings.Contains(r.err, "another/1/x") || !strings.Contains(r.err, "rollebro status") {
			t.Errorf("%v says %q", args, r.err)
		}
	}
	if r := w.must(t, exitOK, "status"); !strings.Contains(r.out, "another/1/x") {
		t.Errorf("the status says %q", r.out)
	}
}

func TestExitKeystore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for _, test := range []struct {
		name     string
		settings settings
		want     string
	}{
		{"missing", w.with(setKeystore, "/none/k.p12"), "rollebro: keystore /none/k.p12: there is no such file\n  Check the path"},
		{"not one", w.with(setKeystore, w.file("users.csv")), "it is not a PKCS#12 keystore"},
		{"wrong password", w.with("RC_INTEGRATIONS_NEMLOGIN_KEYSTOREPASSWORDFILE", w.file("ca.pem")), "the password is wrong"},
		{"no password", w.with("RC_INTEGRATIONS_NEMLOGIN_KEYSTOREPASSWORD", "", "RC_INTEGRATIONS_NEMLOGIN_KEYSTOREPASSWORDFILE", ""), "no password is set"},
		{"another organisation's", w.with(setCVR, "12345678"), "belongs to CVR " + w.sim.CVR()},
		{"of the test environment", w.with(setBaseURL, "https://services.nemlog-in.dk"), "test"},
	} {
		for _, args := range [][]string{{"plan"}, {"serve"}} {
			t.Run(test.name+" "+args[0], func(t *testing.T) {
				t.Parallel()
				r := test.settings.with(setListen, "127.0.0.1:0").must(t, exitKeystore, args...)
				if !strings.Contains(r.err, test.want) || strings.Count(r.err, "\n") != 2 {
					t.Errorf("got %q, want %q in two lines", r.err, test.want)
				}
			})
		}
	}
	if n := len(w.sim.Requests()); n != 0 {
		t.Errorf("MitID Erhverv was asked %d times", n)
	}
}

func TestExitBug(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: failingWriter{}, stderr: &stderr, log: newLogger(&stderr), now: time.Now}
	if code := p.run(t.Context(), []string{"version"}); code != exitBug {
		t.Errorf("exit code %d, want %d", code, exitBug)
	}
	lines := strings.SplitAfter(stderr.String(), "\n")
	if len(lines) != 4 || lines[1] != "rollebro: a bug in Rollebro: no more paper\n" || !strings.Contains(lines[0], "failingWriter") {
		t.Errorf("got %q", lines)
	}
	// In a goroutine, and in a job.
	bug := guarded(func() error { panic("no more ink") })
	for _, err := range []error{bug, fmt.Errorf("serving: %w", bug), &scheduler.PanicError{Value: 1}} {
		if code := exitCode(err); code != exitBug {
			t.Errorf("%v: exit code %d", err, code)
		}
	}
	if err := guarded(func() error { return errInterrupted }); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
}

// failingWriter panics.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { panic("no more paper") }

func TestExitInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 30)
	w.must(t, exitOK, "users", "load", w.file("users.csv"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.sim.OnRequest(func(r simulator.Request) simulator.Action {
		if r.Identity != "" {
			cancel()
		}
		return simulator.Action{}
	})
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"import"}, w.environ(), strings.NewReader(""), &stdout, &stderr)
	if code != exitInterrupted || !strings.HasSuffix(stderr.String(), "rollebro: "+errInterrupted.Error()+"\n") {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	w.sim.OnRequest(nil)
	w.must(t, exitOK, "import") // the lease was given back, and the import goes on
	w.must(t, exitOK, "plan", "--detailed-exitcode")
}

func TestCommandWaitsForAProcessThatWritesForAMoment(t *testing.T) {
	t.Parallel()
	w := imported(t, 5)
	s, err := store.Open(t.Context(), store.Options{URL: w.settings[setDatabase]})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	lease, err := s.AcquireLease(t.Context(), scheduler.LeaseWriter, "another/1/x", time.Now(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	told := &onWrite{text: "another/1/x", do: func() {
		if err := s.ReleaseLease(t.Context(), lease); err != nil {
			t.Error(err)
		}
	}}
	if code := run(t.Context(), []string{"apply", "--yes", "--wait", "1m"}, w.environ(), strings.NewReader(""), &out, told); code != exitOK {
		t.Errorf("exit code %d\n%s%s", code, out.String(), told.String())
	}
	if told.do != nil {
		t.Error("nobody was told that the command waits")
	}
}

// onWrite does something when a text is written.
type onWrite struct {
	bytes.Buffer
	text string
	do   func()
}

func (o *onWrite) Write(p []byte) (int, error) {
	n, err := o.Buffer.Write(p)
	if o.do != nil && strings.Contains(o.String(), o.text) {
		o.do()
		o.do = nil
	}
	return n, err
}

func TestAdviceWhenMitIDErhvervIsNotReached(t *testing.T) {
	t.Parallel()
	down := fmt.Errorf("signing in: %w", &nemlogin.Error{Class: nemlogin.ClassTransient, Err: errors.New("connection refused")})
	if got := adviceFor(down); !strings.Contains(got, "baseUrl") {
		t.Errorf("no connection: %q", got)
	}
	ill := fmt.Errorf("reading: %w: %w", rolecatalog.ErrUnreachable, &nemlogin.Error{Class: nemlogin.ClassTransient, Status: http.StatusServiceUnavailable})
	if got := adviceFor(ill); !strings.Contains(got, "Try again later") {
		t.Errorf("no service: %q", got)
	}
}
