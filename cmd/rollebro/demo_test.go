package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestDemoGoesThroughTheMainJob(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	// What is set on the machine must not reach the demo.
	r := settings{"RC_CUSTOMER_CVR": "nonsense", setDryRun: "true", "SPRING_DATASOURCE_URL": "jdbc:mariadb://nowhere/nothing"}.must(t, 0, "demo", "--once", "--users", "30")
	for _, want := range []string{
		"30 users loaded", "nothing to do", "no assignment in the catalogue gives it", "the assignment that gave it has ended", "PU 1",
		"2 added, 2 removed", "not known to be done", "Blocked: The plan removes", "the chain is whole", "Done: MitID Erhverv holds exactly what the catalogue says.",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the tour doesn't say %q:\n%s", want, r.out)
		}
	}
	if r.err != "" {
		t.Errorf("the tour writes to standard error:\n%s", r.err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the demo leaves %v behind (%v)", left, err)
	}
}

func TestDemoRefusesTooFewUsers(t *testing.T) {
	t.Parallel()
	if r := (settings{}).must(t, 1, "demo", "--once", "--users", "3"); !strings.Contains(r.err, "at least 10") {
		t.Errorf("the error is %q", r.err)
	}
}

// An address that another program has is told before anything else is done, with what to do.
func TestAddressesInUse(t *testing.T) {
	t.Parallel()
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	addr := taken.Listener.Addr().String()
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"demo", "--listen", addr}, []string{"--listen"}},
		{[]string{"simulator", "--listen", addr, "--inspect", ""}, []string{"--listen", "--inspect"}},
		{[]string{"simulator", "--listen", "127.0.0.1:0", "--inspect", addr}, []string{"--listen", "--inspect", "inspection"}},
	} {
		r := (settings{}).must(t, exitFailure, test.args...)
		if r.out != "" || strings.Count(r.err, "\n") != 2 || !strings.Contains(r.err, "address already in use") {
			t.Errorf("%v: %q and %q", test.args, r.out, r.err)
		}
		for _, want := range test.want {
			if !strings.Contains(r.err, want) {
				t.Errorf("%v doesn't name %s: %q", test.args, want, r.err)
			}
		}
	}
}

// After the tour the service runs on the address that it says, also when the port was left to the system.
func TestDemoServes(t *testing.T) {
	t.Parallel()
	b := (settings{}).start(t, "demo", "--users", "30", "--listen", "127.0.0.1:0")
	line := b.await(t, "The service runs now: ")
	_, url, _ := strings.Cut(line, "The service runs now: ")
	url, _, _ = strings.Cut(url, ",")
	b.await(t, `"listen":`)
	if code, body := get(t, url); code != http.StatusOK || !strings.Contains(body, "UP") {
		t.Errorf("%s: %d %s", url, code, body)
	}
	if code := b.stop(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, b.output())
	}
}
