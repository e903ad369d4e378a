package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/nemlogin/simulator"
)

// What was done to a user, what failed and what is to be done are told with the names of roles and in sentences.
func TestUsersShowNamesRolesAndReasons(t *testing.T) {
	t.Parallel()
	w := imported(t, 5)
	who, _ := w.sim.Identity(w.sim.State().Identities[0].UUID)
	var extra []simulator.Role // that the user doesn't hold
	for _, r := range w.sim.Roles() {
		if !who.Holds(r.UUID, simulator.ScopeCVR, w.sim.CVR()) {
			extra = append(extra, r)
		}
	}
	give := func(r simulator.Role) {
		t.Helper()
		if err := w.sim.Grant(who.UUID, r.UUID, simulator.ScopeCVR, w.sim.CVR()); err != nil {
			t.Fatal(err)
		}
	}
	give(extra[0])
	w.must(t, exitOK, "apply", "--yes")
	w.sim.OnRequest(func(r simulator.Request) simulator.Action {
		if r.Method == http.MethodDelete {
			return simulator.Action{Status: http.StatusBadRequest, Body: "no"}
		}
		return simulator.Action{}
	})
	give(extra[1])
	w.must(t, exitPartly, "apply", "--yes")

	r := w.must(t, exitOK, "users", "show", who.UserID)
	line := func(texts ...string) bool {
		for line := range strings.SplitSeq(r.out, "\n") {
			found := true
			for _, text := range texts {
				found = found && strings.Contains(line, text)
			}
			if found {
				return true
			}
		}
		return false
	}
	for _, want := range [][]string{
		{"WHEN", "ROLE", "WHY"},
		{"grant.remove", extra[0].Name, "Cvr " + w.sim.CVR(), "done", "no assignment in the catalogue gives it"},
		{"grant.remove", extra[1].Name, "failed", "no assignment in the catalogue gives it ("}, // and the error
		{"remove", extra[1].Name, "  1  "},
		{"! ", extra[1].Name, "not removed: the last attempt failed"},
	} {
		if !line(want...) {
			t.Errorf("no line with %q in\n%s", want, r.out)
		}
	}
	if strings.Contains(r.out, "not_assigned") || strings.Contains(r.out, extra[0].UUID) {
		t.Errorf("it tells codes:\n%s", r.out)
	}
}

func TestUsersRetry(t *testing.T) {
	t.Parallel()
	w := imported(t, 5)
	r := w.must(t, exitOK, "users", "list", "--output", "json")
	list := decode[[]struct{ UserID string }](t, r.out)
	r = w.must(t, exitOK, "users", "retry", list[0].UserID)
	if !strings.Contains(r.out, list[0].UserID+" is looked at again; 0 failed writes are tried anew.") {
		t.Errorf("it says %q", r.out)
	}
	if r := w.must(t, exitOK, "users", "show", list[0].UserID, "--output", "json"); !strings.Contains(r.out, "tried again by hand") {
		t.Errorf("the user isn't on the work list: %s", r.out)
	}
	if r := w.must(t, exitFailure, "users", "retry", "nobody"); !strings.Contains(r.err, `there is no user "nobody"`) {
		t.Errorf("the error is %q", r.err)
	}
}
