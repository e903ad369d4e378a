package main

import (
	"strings"
	"testing"
)

// An id that is mistyped or too short is told, and is not a run that failed.
func TestApplyUnknownPlan(t *testing.T) {
	t.Parallel()
	w := imported(t, 5)
	for id, want := range map[string]string{
		"ffffffff": "rollebro: no such plan: ffffffff\n  \"rollebro plan\" makes one and tells its id; \"rollebro status\" lists the newest.\n",
		"fffff":    "rollebro: \"fffff\" is too short for the id of a plan\n  Give at least its first 6 characters; \"rollebro status\" lists the newest plans.\n",
	} {
		if r := w.must(t, exitFailure, "apply", id); r.out != "" || r.err != want {
			t.Errorf("%q and %q, want %q", r.out, r.err, want)
		}
	}
	if r := w.must(t, exitOK, "status"); strings.Contains(r.out, "\napply ") || strings.Contains(r.out, "failed  ") {
		t.Errorf("it became a run:\n%s", r.out)
	}
}

// A plan that is stale is refused, and nothing is said that reads as if it had been carried out.
func TestApplyStalePlanSaysNothingOfAnother(t *testing.T) {
	t.Parallel()
	w := imported(t, 20)
	w.drift(t, 1)
	id := decode[struct{ ID string }](t, w.must(t, exitOK, "plan", "-o", "json").out).ID
	w.drift(t, 1)
	for _, args := range [][]string{{"apply", id}, {"apply", id, "-o", "json"}} {
		if r := w.must(t, exitStale, args...); r.out != "" || !strings.Contains(r.err, "plan "+id[:12]) {
			t.Errorf("%v says %q and %q", args, r.out, r.err)
		}
	}
}
