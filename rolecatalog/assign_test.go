package rolecatalog_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/rollebro/rollebro/rolecatalog"
)

func TestAssignRefusesWhatIsNotAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	w.person("anne")
	w.importAll()
	a, b := w.systemRole(ids[0]), w.systemRole(ids[1])
	plain := w.jobFunctionRole("Hele kommunen", rolecatalog.ScopeRule{SystemRoleID: a.ID, ScopeType: "Cvr"})
	open := w.jobFunctionRole("Valgt",
		rolecatalog.ScopeRule{SystemRoleID: a.ID, ScopeType: "PU", AtAssignment: true},
		rolecatalog.ScopeRule{SystemRoleID: b.ID, ScopeType: "SE", AtAssignment: true})
	pu := rolecatalog.AssignmentValue{SystemRoleID: a.ID, ScopeType: "PU", Value: "1000000001"}
	se := rolecatalog.AssignmentValue{SystemRoleID: b.ID, ScopeType: "SE", Value: "20000001"}
	with := func(v rolecatalog.AssignmentValue, value string) rolecatalog.AssignmentValue {
		v.Value = value
		return v
	}
	anne := w.row("anne").ID
	type values = []rolecatalog.AssignmentValue
	for _, c := range []struct {
		what    string
		request rolecatalog.AssignRequest
		want    error
	}{
		{"unknown role", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: 99999}, rolecatalog.ErrNotFound},
		{"unknown user", rolecatalog.AssignRequest{UserID: 99999, JobFunctionRoleID: plain.ID}, rolecatalog.ErrNotFound},
		{"start is no day", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: plain.ID, StartDate: "1/6 2026"}, rolecatalog.ErrInvalid},
		{"no such day", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: plain.ID, StopDate: "2026-02-29"}, rolecatalog.ErrInvalid},
		{"ends before it starts", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: plain.ID, StartDate: "2026-06-02", StopDate: "2026-06-01"}, rolecatalog.ErrInvalid},
		{"value not asked for", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: plain.ID, Values: values{pu}}, rolecatalog.ErrInvalid},
		{"no value", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: open.ID}, rolecatalog.ErrInvalid},
		{"one value of two", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: open.ID, Values: values{pu}}, rolecatalog.ErrInvalid},
		{"empty value", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: open.ID, Values: values{with(pu, ""), se}}, rolecatalog.ErrInvalid},
		{"short value", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: open.ID, Values: values{with(pu, "100000001"), se}}, rolecatalog.ErrInvalid},
		{"letters", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: open.ID, Values: values{pu, with(se, "2000000a")}}, rolecatalog.ErrInvalid},
		{"value of the other role", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: open.ID, Values: values{pu, {SystemRoleID: a.ID, ScopeType: "SE", Value: "20000001"}}}, rolecatalog.ErrInvalid},
		{"whole organisation by the back door", rolecatalog.AssignRequest{UserID: anne, JobFunctionRoleID: open.ID, Values: values{pu, se, {SystemRoleID: a.ID, ScopeType: "Cvr", Value: cvr}}}, rolecatalog.ErrInvalid},
	} {
		if _, err := w.bridge.Assign(w.ctx, c.request); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if x := w.explain("anne"); len(x.Assignments) != 0 {
		t.Errorf("something was stored: %+v", x.Assignments)
	}
	w.assign("anne", open, pu, with(pu, "1000000002"), se)
	if err := w.bridge.Unassign(w.ctx, anne, 99999, "test"); !errors.Is(err, rolecatalog.ErrNotFound) {
		t.Errorf("ending an assignment that isn't there: %v", err)
	}
	id := w.explain("anne").Assignments[0].ID
	w.must(w.bridge.Unassign(w.ctx, anne, id, "Kirsten Opdigt"))
	if err := w.bridge.Unassign(w.ctx, anne, id, "test"); !errors.Is(err, rolecatalog.ErrNotFound) {
		t.Errorf("ending it twice: %v", err)
	}
	// Both are in her history, by the name she is found by.
	history := w.explain("anne").History
	for _, action := range []string{rolecatalog.AuditAssign, rolecatalog.AuditUnassign} {
		if !slices.ContainsFunc(history, func(e rolecatalog.AuditEvent) bool { return e.Action == action && e.User == "anne" && e.Identity != "" }) {
			t.Errorf("%s isn't in her history", action)
		}
	}
}

func TestSaveJobFunctionRoleRefusesRulesThatMeanNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	w.importAll()
	a := w.systemRole(ids[0]).ID
	type rules = []rolecatalog.ScopeRule
	for _, c := range []struct {
		what string
		role rolecatalog.JobFunctionRole
		want error
	}{
		{"no name", rolecatalog.JobFunctionRole{Name: " "}, rolecatalog.ErrInvalid},
		{"unknown system role", rolecatalog.JobFunctionRole{Name: "R", Rules: rules{{SystemRoleID: 9999, ScopeType: "Cvr"}}}, rolecatalog.ErrNotFound},
		{"unknown scope type", rolecatalog.JobFunctionRole{Name: "R", Rules: rules{{SystemRoleID: a, ScopeType: "Region"}}}, rolecatalog.ErrInvalid},
		{"no scope type", rolecatalog.JobFunctionRole{Name: "R", Rules: rules{{SystemRoleID: a}}}, rolecatalog.ErrInvalid},
		{"values for the whole organisation", rolecatalog.JobFunctionRole{Name: "R", Rules: rules{{SystemRoleID: a, ScopeType: "Cvr", Values: []string{cvr}}}}, rolecatalog.ErrInvalid},
		{"the whole organisation at assignment", rolecatalog.JobFunctionRole{Name: "R", Rules: rules{{SystemRoleID: a, ScopeType: "Cvr", AtAssignment: true}}}, rolecatalog.ErrInvalid},
		{"no number", rolecatalog.JobFunctionRole{Name: "R", Rules: rules{{SystemRoleID: a, ScopeType: "PU"}}}, rolecatalog.ErrInvalid},
		{"fixed and chosen", rolecatalog.JobFunctionRole{Name: "R", Rules: rules{{SystemRoleID: a, ScopeType: "PU", AtAssignment: true, Values: []string{"1000000001"}}}}, rolecatalog.ErrInvalid},
		{"SE-number as P-number", rolecatalog.JobFunctionRole{Name: "R", Rules: rules{{SystemRoleID: a, ScopeType: "PU", Values: []string{"20000001"}}}}, rolecatalog.ErrInvalid},
		{"limited and not", rolecatalog.JobFunctionRole{Name: "R", Rules: rules{{SystemRoleID: a, ScopeType: "PU", AtAssignment: true}, {SystemRoleID: a, ScopeType: "Cvr"}}}, rolecatalog.ErrInvalid},
		{"unknown id", rolecatalog.JobFunctionRole{ID: 9999, Name: "R"}, rolecatalog.ErrNotFound},
	} {
		if err := w.bridge.SaveJobFunctionRole(w.ctx, &c.role, "test"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	_, err := w.bridge.MirrorAdministrators(w.ctx, nil)
	w.must(err)
	roles, err := w.bridge.JobFunctionRoles(w.ctx)
	w.must(err)
	if len(roles) != 3 {
		t.Fatalf("%d roles, want the three of administrators", len(roles))
	}
	if err := w.bridge.SaveJobFunctionRole(w.ctx, &rolecatalog.JobFunctionRole{ID: roles[0].ID, Name: "Min", Rules: rules{{SystemRoleID: a, ScopeType: "Cvr"}}}, "test"); !errors.Is(err, rolecatalog.ErrReadOnly) {
		t.Errorf("changing a read-only role: %v", err)
	}
	// A new role is a new one: an identifier that is taken isn't silently somebody else's.
	if err := w.bridge.SaveJobFunctionRole(w.ctx, &rolecatalog.JobFunctionRole{Identifier: roles[0].Identifier, Name: "Min"}, "test"); !errors.Is(err, rolecatalog.ErrDuplicate) {
		t.Errorf("an identifier that is taken: %v", err)
	}
}

func TestChangedJobFunctionRoleReachesItsHolders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	anne := w.person("anne")
	w.importAll()
	role := w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"})
	w.assign("anne", role)
	w.work()
	role.Rules = []rolecatalog.ScopeRule{{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "SE", Values: []string{"20000002"}}}
	role.Identifier, role.Origin = "another", rolecatalog.OriginAdministrator
	w.must(w.bridge.SaveJobFunctionRole(w.ctx, role, "test"))
	if role.Identifier == "another" || role.Origin != rolecatalog.OriginManual {
		t.Errorf("what can't be changed was: %+v", role)
	}
	w.work()
	w.holds(anne, g(ids[1], "SE", "20000002"))
}
