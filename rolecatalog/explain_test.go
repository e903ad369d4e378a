package rolecatalog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

func TestExplainTellsWhatWhyAndSinceWhen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(3)
	anne := w.person("anne")
	w.hold(anne, ids[0], "Cvr", cvr)
	w.importAll()
	w.work()
	w.assign("anne", w.jobFunctionRole("Sagsbehandler", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "PU", Values: []string{"1000000009"}}))
	if x := w.explain("anne"); x.Work == nil || x.Work.Reason != "a role was assigned" {
		t.Errorf("she waits to be looked at: %+v", x.Work)
	}
	w.work() // the P-number is refused
	w.sim.ResetRequests()
	for _, key := range []string{"anne", "ANNE", anne, w.row("anne").UUID} {
		x := w.explain(key)
		if x.User.UserID != "anne" || x.Identity == nil || x.Identity.UUID != anne || len(x.Assignments) != 2 || len(x.Attempts) != 1 || x.Work == nil {
			t.Fatalf("%s: %+v", key, x)
		}
		if x.Assignments[0].RoleName != "Sagsbehandler" || x.Assignments[1].RoleName != "Rolle 00" {
			t.Errorf("newest first: %+v", x.Assignments)
		}
		kept := slices.IndexFunc(x.Changes, func(c plan.Change) bool { return c.Verb == plan.Keep })
		waits := slices.IndexFunc(x.Changes, func(c plan.Change) bool { return c.Verb == plan.Skip && c.Reason == plan.Waiting })
		if kept < 0 || waits < 0 || !slices.Equal(x.Changes[kept].Because, []string{"direct: Rolle 00"}) || x.Changes[waits].Detail == "" {
			t.Errorf("%+v", x.Changes)
		}
		if len(x.History) == 0 || x.History[0].ID < x.History[len(x.History)-1].ID {
			t.Errorf("the history isn't newest first: %+v", x.History)
		}
	}
	if n := len(w.sim.Requests()); n != 0 {
		t.Errorf("explaining sends %d requests", n)
	}
	if _, err := w.bridge.Explain(w.ctx, "nobody"); !errors.Is(err, rolecatalog.ErrNotFound) {
		t.Errorf("an unknown user: %v", err)
	}
	w.user("bo", "")
	if x := w.explain("bo"); x.Identity != nil || len(x.Changes) != 0 || x.Work != nil {
		t.Errorf("a user without NemLogin UUID: %+v", x)
	}
}

func TestExplainShowsOnesOwnIdentityOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	old := w.person("anne")
	w.hold(old, ids[0], "Cvr", cvr)
	w.importAll()
	w.user("anne", unknownUUID()) // not met yet
	if x := w.explain("anne"); x.Identity != nil {
		t.Errorf("her new identity isn't known yet, and %s is shown", x.Identity.UUID)
	}
	w.user("anne", "")
	if x := w.explain("anne"); x.Identity == nil || x.Identity.UUID != old || !slices.ContainsFunc(x.Changes, func(c plan.Change) bool { return c.Reason == plan.Abandoned }) {
		t.Errorf("the identity that she has left: %+v", x)
	}
}

func TestStatusCountsAndCallsForPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(5)
	w.hold(w.person("anne"), ids[0], "Cvr", cvr)
	w.hold(w.person("bo"), ids[0], "Cvr", "99900099")
	w.user("gone", unknownUUID())
	w.user("none", "")
	shared := w.identity()
	w.user("carl", shared)
	w.user("dan", shared)
	broken := w.person("eva")
	w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Identity: broken}))
	w.importAll()
	status := func() rolecatalog.Status {
		st, err := w.bridge.Status(w.ctx)
		w.must(err)
		return st
	}
	st := status()
	if st.CVR != cvr || st.DryRun || st.Users != 7 || st.WithUUID != 6 || st.Identities != 5 || st.Adopted != 2 || st.NotAdopted != 3 ||
		st.Gone != 1 || st.Conflicts != 1 || st.SystemRoles != 5 || st.Withdrawn != 0 || st.Grants != 1 || st.Backlog != 6 || st.Failing != 0 {
		t.Errorf("%+v", st)
	}
	w.work()
	if st := status(); st.Backlog != 1 || st.Failing != 1 {
		t.Errorf("after a turn of the work list: %+v", st)
	}
	for _, want := range []string{"1 NemLogin UUID belongs to more than one user", "unknown at MitID Erhverv", "failed at the last try"} {
		if !slices.ContainsFunc(status().Attention, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("nobody is told that something is %q: %q", want, status().Attention)
		}
	}
	// A deleted user's identity that holds nothing any more is nothing to adopt.
	w.sim.ClearFaults()
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("eva").ID}, "test", func(u *rolecatalog.User) { u.Deleted = true }))
	w.work()
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("eva").ID}, "test", func(u *rolecatalog.User) { u.Deleted, u.Disabled = false, true }))
	w.work()
	if st := status(); st.NotAdopted != 2 || st.Identities != 4 {
		t.Errorf("%d not adopted of %d, want 2 of 4", st.NotAdopted, st.Identities)
	}
}
