package main

import (
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
