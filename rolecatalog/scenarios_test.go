package rolecatalog_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// The scenarios that OS2rollekatalog's users have met, and what must happen in them.

func TestT01FixedAndChosenScopesGiveExactlyTheirGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	identity := w.person("anne")
	w.importAll()
	a, b := w.systemRole(ids[0]), w.systemRole(ids[1])
	role := w.jobFunctionRole("Begge",
		rolecatalog.ScopeRule{SystemRoleID: a.ID, ScopeType: "PU", Values: []string{"1000000001"}},
		rolecatalog.ScopeRule{SystemRoleID: b.ID, ScopeType: "SE", AtAssignment: true})
	w.assign("anne", role, rolecatalog.AssignmentValue{SystemRoleID: b.ID, ScopeType: "SE", Value: "20000001"})
	w.reconcile()
	w.holds(identity, g(a.UUID, "PU", "1000000001"), g(b.UUID, "SE", "20000001"))
}

func TestT02EveryScopeValueIsImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	identity := w.person("anne")
	w.hold(identity, ids[0], "PU", "1000000001")
	w.hold(identity, ids[0], "PU", "1000000002")
	if report := w.importAll(); report.Assignments != 2 || report.Roles != 1 {
		t.Errorf("%d assignments of %d roles were made, want 2 of 1", report.Assignments, report.Roles)
	}
	w.sim.ResetRequests()
	w.reconcile()
	w.noWrites()
	w.holds(identity, g(ids[0], "PU", "1000000001"), g(ids[0], "PU", "1000000002"))
}

func TestT03RolesOfTheSameNameStayApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.sim.AddRole("Indberetter", ""), w.sim.AddRole("Indberetter", "")
	anne, bo := w.person("anne"), w.person("bo")
	w.hold(anne, one, "Cvr", cvr)
	w.hold(bo, two, "Cvr", cvr)
	if report := w.importAll(); report.Roles != 2 {
		t.Errorf("%d job function roles were made, want 2", report.Roles)
	}
	w.sim.ResetRequests()
	w.reconcile()
	w.noWrites()
	w.holds(anne, g(one, "Cvr", cvr))
	w.holds(bo, g(two, "Cvr", cvr))
}

func TestT04RoleThatLeavesTheCatalogueAndReturnsCostsNobodyAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(10)
	identity := w.person("anne")
	w.hold(identity, ids[0], "Cvr", cvr)
	w.importAll()
	w.sim.ResetRequests()

	w.must(w.sim.RemoveRoleFromCatalogue(ids[0]))
	if report := w.refresh(); report.Withdrawn != 1 {
		t.Fatalf("the refresh reports %+v", report)
	}
	w.reconcile()
	w.noWrites()
	if r := w.systemRole(ids[0]); r.WithdrawnAt == nil {
		t.Error("the role isn't marked as withdrawn")
	}
	status, err := w.bridge.Status(w.ctx)
	w.must(err)
	if !slices.ContainsFunc(status.Attention, func(s string) bool { return strings.Contains(s, "Rolle 00") }) {
		t.Errorf("nobody is warned about the withdrawn role that is still held: %q", status.Attention)
	}

	w.must(w.sim.RestoreRole(ids[0]))
	if report := w.refresh(); report.Returned != 1 || report.New != 0 {
		t.Fatalf("the refresh reports %+v", report)
	}
	w.reconcile()
	w.noWrites()
	w.holds(identity, g(ids[0], "Cvr", cvr))
	if x := w.explain("anne"); len(x.Assignments) != 1 || x.Assignments[0].EndedAt != nil {
		t.Errorf("the assignment has not stayed: %+v", x.Assignments)
	}
}

func TestT05MissingScopeValueGivesNothingAndTakesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	identity := w.person("anne")
	w.hold(identity, ids[0], "PU", "1000000001")
	w.importAll()
	r := w.systemRole(ids[0])
	role := w.jobFunctionRole("Valgt", rolecatalog.ScopeRule{SystemRoleID: r.ID, ScopeType: "PU", AtAssignment: true})
	user := w.row("anne")
	_, err := w.bridge.Assign(w.ctx, rolecatalog.AssignRequest{UserID: user.ID, JobFunctionRoleID: role.ID, Actor: "test"})
	if !errors.Is(err, rolecatalog.ErrInvalid) {
		t.Errorf("assigning without a value gives %v, want ErrInvalid", err)
	}
	if x := w.explain("anne"); len(x.Assignments) != 1 {
		t.Errorf("something was stored: %+v", x.Assignments)
	}
	// A row from elsewhere has no value all the same; the imported one, which has, ends.
	imported := w.explain("anne").Assignments[0]
	w.must(w.bridge.Unassign(w.ctx, user.ID, imported.ID, "test"))
	broken := &rolecatalog.Assignment{CVR: cvr, UserID: user.ID, JobFunctionRoleID: role.ID, AssignedBy: "test", CreatedAt: w.clock.Now()}
	w.must(w.store.Commit(w.ctx, &rolecatalog.Changes{CVR: cvr, Assignments: []*rolecatalog.Assignment{broken}}))
	w.sim.ResetRequests()
	for range 2 {
		report := w.reconcile()
		if !hasChange(report.Plan, plan.Skip, plan.NoScopeValue) {
			t.Errorf("the user isn't reported: %+v", report.Plan.Changes)
		}
	}
	w.noWrites()
	w.holds(identity, g(ids[0], "PU", "1000000001"))
}

func hasChange(p *plan.Plan, verb plan.Verb, reason plan.Reason) bool {
	return slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Verb == verb && c.Reason == reason })
}

func TestT06TokenRefusedInMidRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	var identities []string
	w.importAll()
	role := w.jobFunctionRole("Alle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"})
	for i := range 20 {
		user := fmt.Sprintf("u%02d", i)
		identities = append(identities, w.person(user))
		w.assign(user, role)
	}
	w.must(w.sim.SetFault("token-revoked", simulator.Fault{Rate: 1, Nth: 15}))
	report := w.reconcile()
	if report.Added != 20 || !report.Clean() {
		t.Fatalf("%d added, clean %t: %+v", report.Added, report.Clean(), report.Failures)
	}
	for _, id := range identities {
		w.holds(id, g(ids[0], "Cvr", cvr))
	}

	// When the 401 stays, the run stops and is an error, and whoever was to be looked at stays on the list.
	w.assign("u00", w.jobFunctionRole("Mere", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "PU", Values: []string{"1000000001"}}))
	w.must(w.sim.SetFault("token-revoked", simulator.Fault{Rate: 1}))
	if _, err := w.bridge.ProcessWork(w.ctx, 100, rolecatalog.ReconcileOptions{}); err == nil {
		t.Fatal("a lasting 401 is no error")
	}
	if all, _, err := w.store.WorkBacklog(w.ctx, cvr); err != nil || all == 0 {
		t.Fatalf("the work list has %d entries (%v), want what was left", all, err)
	}
	w.sim.ClearFaults()
	w.clock.Add(time.Hour)
	w.work()
	w.holds(identities[0], g(ids[0], "Cvr", cvr), g(ids[0], "PU", "1000000001"))
}

func TestT07FailedReadDuringImportCostsNobodyAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	anne, bo := w.person("anne"), w.person("bo")
	w.hold(anne, ids[0], "Cvr", cvr)
	w.hold(bo, ids[0], "Cvr", cvr)
	w.must(w.sim.SetFault("see-log-500", simulator.Fault{Rate: 1, Identity: bo}))
	report := w.importAll()
	if report.Adopted != 1 || report.Failed != 1 {
		t.Fatalf("%+v", report)
	}
	if x := w.explain("bo"); x.Identity == nil || x.Identity.Adopted() || x.Identity.LastError == "" {
		t.Errorf("bo isn't shown as not imported: %+v", x.Identity)
	}
	w.sim.ResetRequests()
	for range 3 {
		w.reconcile()
	}
	w.noWrites()
	w.holds(bo, g(ids[0], "Cvr", cvr))

	w.sim.ClearFaults()
	if report := w.importAll(); report.Adopted != 1 || report.Assignments != 1 {
		t.Errorf("the second import did %+v", report)
	}
	w.reconcile()
	w.noWrites()
}

func TestT08UnknownFieldsEverywhere(t *testing.T) {
	t.Parallel()
	results := map[bool]string{}
	for _, on := range []bool{true, false} {
		w := newWorld(t)
		rate := 0.0
		if on {
			rate = 1
		}
		w.must(w.sim.SetFault("unknown-fields", simulator.Fault{Rate: rate}))
		id := w.sim.AddRole("Indberetter", "Beskrivelse")
		identity := w.person("anne")
		w.hold(identity, id, "SE", "20000001")
		imported := w.importAll()
		numbers, err := w.bridge.RefreshNumbers(w.ctx)
		w.must(err)
		report := w.reconcile()
		results[on] = fmt.Sprintf("%d %d %d %d %d", imported.Assignments, numbers.PNumbers, numbers.SENumbers, report.Plan.Counts.Keep, len(w.writes()))
	}
	if results[true] != results[false] || results[true] != "1 3 2 1 0" {
		t.Errorf("with unknown fields %q, without %q", results[true], results[false])
	}
}

func TestT09LateUserKeepsWhatHeHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	w.person("anne")
	w.user("bo", "")
	w.importAll()
	w.work()
	w.clock.Add(21 * 24 * time.Hour)
	late := w.identity()
	w.hold(late, ids[0], "Cvr", cvr)
	w.hold(late, ids[1], "PU", "1000000001")
	w.user("bo", late)
	w.sim.ResetRequests()
	if report := w.work(); report.Adopted != 1 || report.Done != 1 {
		t.Errorf("%+v", report)
	}
	w.noWrites()
	w.holds(late, g(ids[0], "Cvr", cvr), g(ids[1], "PU", "1000000001"))

	// From now on he is like everybody: a right that somebody gives him elsewhere is taken back.
	w.hold(late, ids[1], "PU", "1000000002")
	w.reconcile()
	w.holds(late, g(ids[0], "Cvr", cvr), g(ids[1], "PU", "1000000001"))
}

func TestT09LateUsersCanBeOverwrittenOnRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, overwriteLate)
	ids := w.roles(2)
	w.hold(w.person("anne"), ids[0], "Cvr", cvr)
	w.importAll()
	late := w.identity()
	w.hold(late, ids[1], "Cvr", cvr)
	w.user("bo", late)
	w.work()
	w.holds(late)
}

func TestT10OtherCVRIsAnotherGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	identity := w.person("anne")
	w.hold(identity, ids[0], "Cvr", "99900099")
	w.importAll()
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"}))
	report := w.reconcile()
	w.holds(identity, g(ids[0], "Cvr", cvr), g(ids[0], "Cvr", "99900099"))
	if !hasChange(report.Plan, plan.Skip, plan.OtherCVR) {
		t.Error("the other organisation's grant isn't reported")
	}
}

func TestT11DeletedAndDisabledUsersLoseWhatIsManaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	outside := w.sim.AddRole("Uden for kataloget", "")
	w.must(w.sim.RemoveRoleFromCatalogue(outside))
	anne, bo := w.person("anne"), w.person("bo")
	for _, id := range []string{anne, bo} {
		w.hold(id, ids[0], "Cvr", cvr)
		w.hold(id, ids[1], "PU", "1000000001")
		w.hold(id, outside, "Cvr", cvr)
	}
	w.importAll()
	w.reconcile()
	off, on := true, false
	set := func(id string, disabled *bool) {
		_, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{{UserID: id, Disabled: disabled}}, rolecatalog.LoadOptions{Actor: "test"})
		w.must(err)
	}
	set("bo", &off)
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", func(u *rolecatalog.User) { u.Deleted = true }))
	// The first try fails, and it is not the daily run that makes it good.
	w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Endpoint: "DELETE " + simulator.EndpointRoles}))
	w.work()
	w.sim.ClearFaults()
	w.clock.Add(2 * time.Minute)
	w.work()
	w.holds(anne, g(outside, "Cvr", cvr))
	w.holds(bo, g(outside, "Cvr", cvr))

	set("bo", &on)
	w.work()
	w.holds(bo, g(ids[0], "Cvr", cvr), g(ids[1], "PU", "1000000001"), g(outside, "Cvr", cvr))
}

func TestT12OneIdentityOfTwoUsersIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	shared, other := w.identity(), w.person("carl")
	w.hold(shared, ids[0], "Cvr", cvr)
	report, err := w.bridge.LoadUsers(w.ctx, []rolecatalog.UserRow{
		{UserID: "anne", Name: "Anne", NemLoginUUID: &shared}, {UserID: "bo", Name: "Bo", NemLoginUUID: &shared},
	}, rolecatalog.LoadOptions{Actor: "test"})
	w.must(err)
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "anne and bo") {
		t.Errorf("the load warns %q", report.Warnings)
	}
	if imported := w.importAll(); imported.Conflicts != 1 {
		t.Errorf("%+v", imported)
	}
	role := w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "Cvr"})
	for _, user := range []string{"anne", "bo", "carl"} {
		w.assign(user, role)
	}
	run := w.reconcile()
	w.work()
	w.holds(shared, g(ids[0], "Cvr", cvr))
	w.holds(other, g(ids[1], "Cvr", cvr))
	if !hasChange(run.Plan, plan.Skip, plan.Conflict) {
		t.Error("the conflict isn't in the plan")
	}
	for _, user := range []string{"anne", "bo"} {
		if x := w.explain(user); !slices.Equal(x.Conflict, []string{"anne", "bo"}) {
			t.Errorf("%s: conflict %q", user, x.Conflict)
		}
	}
	// Solved, the one who keeps the identity is adopted first and then gets his roles.
	w.user("bo", "")
	w.work()
	w.holds(shared, g(ids[0], "Cvr", cvr), g(ids[1], "Cvr", cvr))
}

func TestT13GoneAndDownAreToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	gone, down, fine := unknownUUID(), w.identity(), w.identity()
	w.user("gone", gone)
	w.user("down", down)
	w.user("fine", fine)
	w.hold(down, ids[0], "Cvr", cvr)
	w.importAll()
	w.assign("fine", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"}))
	w.must(w.sim.SetFault("see-log-500", simulator.Fault{Rate: 1, Identity: down, Endpoint: "GET " + simulator.EndpointRoles}))
	w.sim.ResetRequests()
	report := w.reconcile()
	if report.ReadFailed != 1 || report.Added != 1 {
		t.Errorf("%+v", report)
	}
	if x := w.explain("gone"); x.Identity.GoneSince == nil {
		t.Error("the user isn't shown as unknown at MitID Erhverv")
	}
	asked := func(identity string) (n int) {
		for _, r := range w.sim.Requests() {
			if r.Identity == identity {
				n++
			}
		}
		return n
	}
	if asked(gone) != 0 {
		t.Errorf("%d requests for the unknown identity within a day of the last check", asked(gone))
	}
	w.clock.Add(25 * time.Hour)
	w.reconcile()
	if asked(gone) != 2 { // its roles, and whether it exists
		t.Errorf("%d requests for the unknown identity after a day, want 2", asked(gone))
	}
	w.sim.ClearFaults()
	if report := w.work(); report.Failed != 0 {
		t.Errorf("%+v", report)
	}
	w.holds(down, g(ids[0], "Cvr", cvr))
	w.holds(fine, g(ids[0], "Cvr", cvr))
}

func TestT14EmptyOrFailedListsChangeNothing(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"empty-catalogue", "empty-pnumbers", "empty-senumbers", "garbage-200", "empty-200", "service-unavailable"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ids := w.roles(3)
			identity := w.person("anne")
			w.hold(identity, ids[0], "Cvr", cvr)
			w.importAll()
			_, err := w.bridge.RefreshNumbers(w.ctx)
			w.must(err)
			w.sim.ResetRequests()
			for _, endpoint := range []string{simulator.EndpointCatalogue, simulator.EndpointSENumbers, simulator.EndpointPNumbers} {
				w.must(w.sim.SetFault(fault, simulator.Fault{Rate: 1, Endpoint: "GET " + endpoint}))
				_, _ = w.bridge.RefreshCatalogue(w.ctx)
				_, _ = w.bridge.RefreshNumbers(w.ctx)
				w.sim.ClearFaults()
			}
			status, err := w.bridge.Status(w.ctx)
			w.must(err)
			if len(status.Attention) == 0 && status.State.NumbersError == "" {
				// The last call may have healed the lists; then the trail still tells.
				events, err := w.store.Audit(w.ctx, rolecatalog.AuditFilter{CVR: cvr, Actions: []string{rolecatalog.AuditCatalogueNo}})
				w.must(err)
				if len(events) == 0 && !strings.Contains(fault, "numbers") {
					t.Error("nobody is told")
				}
			}
			w.reconcile()
			w.noWrites()
			roles, err := w.store.SystemRoles(w.ctx, cvr)
			w.must(err)
			numbers, err := w.store.ScopeNumbers(w.ctx, cvr)
			w.must(err)
			for _, n := range numbers {
				if n.GoneAt != nil {
					t.Errorf("%s %s is marked as gone", n.ScopeType, n.Value)
				}
			}
			for _, r := range roles {
				if r.WithdrawnAt != nil {
					t.Errorf("the role %s is withdrawn", r.Name)
				}
			}
			if len(roles) != 3 || len(numbers) != 5 {
				t.Errorf("%d roles and %d numbers are left, want 3 and 5", len(roles), len(numbers))
			}
		})
	}
}

func TestT15LongNamesDoNotMultiplyRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("Meget lang rolle ", 12)
	one, two := w.sim.AddRole(long+"1", ""), w.sim.AddRole(long+"2", "")
	for i := range 3 {
		identity := w.person(fmt.Sprintf("u%d", i))
		w.hold(identity, one, "Cvr", cvr)
		w.hold(identity, two, "PU", "1000000001")
	}
	if report := w.importAll(); report.Roles != 2 || report.Assignments != 6 {
		t.Errorf("%+v", report)
	}
	if report := w.importAll(); report.Roles != 0 || report.Assignments != 0 || report.Candidates != 0 {
		t.Errorf("the second import did %+v", report)
	}
	if name := w.imported(one, "Cvr").Name; name != long+"1" {
		t.Errorf("the name was cut to %d characters", len(name))
	}
	w.sim.ResetRequests()
	w.reconcile()
	w.noWrites()
}

func TestT16MassRemovalIsBlockedUntilItIsApproved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	var users []uint64
	var identities []string
	for i := range 40 {
		user := fmt.Sprintf("u%02d", i)
		identity := w.person(user)
		w.hold(identity, ids[i%2], "Cvr", cvr)
		users, identities = append(users, w.row(user).ID), append(identities, identity)
	}
	w.importAll()
	w.reconcile()
	w.sim.ResetRequests()
	w.must(w.bridge.ChangeUserState(w.ctx, users[:39], "test", func(u *rolecatalog.User) { u.Deleted = true }))
	report := w.reconcile()
	if !report.Blocked || !report.Quarantined {
		t.Fatalf("the run isn't blocked: %+v", report)
	}
	w.work()
	w.noWrites()
	if _, err := w.bridge.Apply(w.ctx, report.PlanID, rolecatalog.ReconcileOptions{}); !errors.Is(err, rolecatalog.ErrBlocked) {
		t.Fatalf("applying a blocked plan gives %v", err)
	}
	if _, err := w.bridge.Approve(w.ctx, report.PlanID, "", ""); err == nil {
		t.Error("an approval without a name and a reason is taken")
	}
	_, err := w.bridge.Approve(w.ctx, report.PlanID, "Kirsten Opdigt", "the school closes")
	w.must(err)
	applied, err := w.bridge.Apply(w.ctx, report.PlanID, rolecatalog.ReconcileOptions{Actor: "Kirsten Opdigt"})
	w.must(err)
	if applied.Removed != 39 || !applied.Clean() {
		t.Errorf("%d removed: %+v", applied.Removed, applied.Failures)
	}
	w.holds(identities[0])
	w.holds(identities[39], g(ids[1], "Cvr", cvr))
	state, err := w.store.State(w.ctx, cvr)
	w.must(err)
	if state.QuarantineSince != nil {
		t.Error("the bridge is still in quarantine")
	}
}

func TestT17DatesTakeEffectAtMidnight(t *testing.T) {
	t.Parallel()
	summer := time.Date(2026, 3, 29, 0, 0, 0, 0, rolecatalog.Copenhagen()) // summer time begins at 02:00
	winter := time.Date(2026, 10, 25, 0, 0, 0, 0, rolecatalog.Copenhagen())
	plain := time.Date(2026, 6, 10, 0, 0, 0, 0, rolecatalog.Copenhagen())
	for _, day := range []time.Time{summer, winter, plain} {
		t.Run(day.Format(time.DateOnly), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.clock.Set(day.Add(-30 * time.Hour))
			ids := w.roles(2)
			anne, bo := w.person("anne"), w.person("bo")
			w.importAll()
			one := w.jobFunctionRole("En", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"})
			two := w.jobFunctionRole("To", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "Cvr"})
			before := day.AddDate(0, 0, -1).Format(time.DateOnly)
			w.assignDates("anne", one, day.Format(time.DateOnly), "")
			w.assignDates("bo", two, "", before)
			_, err := w.bridge.Housekeep(w.ctx)
			w.must(err)
			w.work()
			w.holds(anne)
			w.holds(bo, g(ids[1], "Cvr", cvr))

			tick := func(at time.Time) {
				w.clock.Set(at)
				_, err := w.bridge.Housekeep(w.ctx)
				w.must(err)
				w.work()
			}
			tick(day.Add(-time.Minute)) // 23:59, the last valid day isn't over
			w.holds(anne)
			w.holds(bo, g(ids[1], "Cvr", cvr))
			w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Endpoint: "DELETE " + simulator.EndpointRoles}))
			tick(day.Add(2 * time.Minute))
			w.holds(anne, g(ids[0], "Cvr", cvr))
			w.sim.ClearFaults()
			tick(day.Add(5 * time.Minute)) // the failed removal is tried again without waiting for the daily run
			w.holds(bo)
		})
	}
}

func TestT18RolesOutsideTheCatalogueAreNeverTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	outside := w.sim.AddRole("Uden for", "")
	w.must(w.sim.RemoveRoleFromCatalogue(outside))
	identity := w.person("anne")
	w.hold(identity, outside, "Cvr", cvr)
	w.hold(identity, ids[0], "Cvr", cvr)
	w.importAll()
	report := w.reconcile()
	if !hasChange(report.Plan, plan.Skip, plan.Unmanaged) {
		t.Error("the role isn't shown as not managed")
	}
	for _, change := range []func(*rolecatalog.User){func(u *rolecatalog.User) { u.Disabled = true }, func(u *rolecatalog.User) { u.Deleted = true }} {
		w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", change))
		w.work()
		w.reconcile()
		w.holds(identity, g(outside, "Cvr", cvr))
	}
}

func TestT18RoleThatComesIntoTheCatalogueLaterIsAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.roles(5)
	later := w.sim.AddRole("Kommer senere", "")
	w.must(w.sim.RemoveRoleFromCatalogue(later))
	identity := w.person("anne")
	w.hold(identity, later, "PU", "1000000001")
	w.importAll()
	w.reconcile()
	w.must(w.sim.RestoreRole(later))
	w.refresh()
	w.sim.ResetRequests()
	p, err := w.bridge.Plan(w.ctx, rolecatalog.Selection{}, nil)
	w.must(err)
	if !p.Empty() || !hasChange(p, plan.Skip, plan.NotAdopted) {
		t.Errorf("the plan for a role that is new to the catalogue: %+v", p.Changes)
	}
	w.reconcile()
	w.reconcile()
	w.noWrites()
	w.holds(identity, g(later, "PU", "1000000001"))
}

func TestT19UnknownScopeTypeIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	identity := w.person("anne")
	w.hold(identity, ids[0], "Region", "1081")
	w.importAll()
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "Cvr"}))
	report := w.reconcile()
	w.holds(identity, g(ids[0], "Region", "1081"), g(ids[1], "Cvr", cvr))
	if !hasChange(report.Plan, plan.Skip, plan.UnknownScope) {
		t.Error("the unknown scope type isn't reported")
	}
}

func TestT20AdministratorRolesAreMirroredOneWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.roles(1)
	identity := w.person("anne")
	w.importAll()
	w.must(w.sim.SetAdminRoles(identity, "RightsAdministrator", "OrganizationAdministrator"))
	mirror := func() rolecatalog.MirrorReport {
		report, err := w.bridge.MirrorAdministrators(w.ctx, nil)
		w.must(err)
		return report
	}
	if report := mirror(); report.Added != 2 {
		t.Fatalf("%+v", report)
	}
	w.must(w.sim.SetAdminRoles(identity, "RightsAdministrator"))
	if report := mirror(); report.Removed != 1 {
		t.Fatalf("%+v", report)
	}
	present := func() (names []string) {
		for _, a := range w.explain("anne").Assignments {
			if a.EndedAt == nil {
				names = append(names, a.RoleName)
			}
		}
		return names
	}
	if got := present(); !slices.Equal(got, []string{"Rettighedsadministrator"}) {
		t.Errorf("anne is shown with %q", got)
	}
	// A failed reading changes nothing.
	w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Endpoint: "GET " + simulator.EndpointEmployee}))
	if report := mirror(); report.Failed != 1 || report.Removed != 0 {
		t.Errorf("%+v", report)
	}
	w.sim.ClearFaults()

	roles, err := w.bridge.JobFunctionRoles(w.ctx)
	w.must(err)
	user := w.row("anne")
	for _, r := range roles {
		if r.Origin != rolecatalog.OriginAdministrator {
			continue
		}
		if _, err := w.bridge.Assign(w.ctx, rolecatalog.AssignRequest{UserID: user.ID, JobFunctionRoleID: r.ID, Actor: "test"}); !errors.Is(err, rolecatalog.ErrReadOnly) {
			t.Errorf("assigning %s gives %v", r.Name, err)
		}
	}
	for _, a := range w.explain("anne").Assignments {
		if a.EndedAt == nil {
			if err := w.bridge.Unassign(w.ctx, user.ID, a.ID, "test"); !errors.Is(err, rolecatalog.ErrReadOnly) {
				t.Errorf("taking %s away gives %v", a.RoleName, err)
			}
		}
	}
	// A role of the same identifier elsewhere has no effect.
	other := &rolecatalog.JobFunctionRole{CVR: cvr, ITSystemID: roles[0].ITSystemID + 1000, Identifier: "IdentityAdministrator", Name: "En anden", Origin: rolecatalog.OriginManual, CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now()}
	_ = w.store.Commit(w.ctx, &rolecatalog.Changes{CVR: cvr, JobFunctionRoles: []*rolecatalog.JobFunctionRole{other}})
	w.must(w.sim.SetAdminRoles(identity, "RightsAdministrator", "IdentityAdministrator"))
	mirror()
	if got := present(); len(got) != 2 || slices.Contains(got, "En anden") {
		t.Errorf("anne is shown with %q", got)
	}
	w.reconcile()
	for _, r := range w.sim.Requests() {
		if r.Method != http.MethodGet && r.Endpoint != simulator.EndpointAuthenticate {
			t.Errorf("%s %s was sent", r.Method, r.Path)
		}
	}
}

func TestLockedAndExpiredUsersHaveNoRolesUnlessTheyKeepThem(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		for name, lock := range map[string]func(*rolecatalog.User, bool){
			"locked":  func(u *rolecatalog.User, on bool) { u.LockedDataset = on },
			"expired": func(u *rolecatalog.User, on bool) { u.LockedExpired = on },
		} {
			t.Run(fmt.Sprintf("%s, keep %t", name, keep), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(o *rolecatalog.Options, _ *nemlogin.Options) { o.KeepRolesOfLocked = keep })
				ids := w.roles(1)
				identity := w.person("anne")
				w.hold(identity, ids[0], "PU", "1000000001")
				w.importAll()
				set := func(on bool) {
					user := w.row("anne")
					lock(&user, on)
					w.must(w.store.Commit(w.ctx, &rolecatalog.Changes{CVR: cvr, Users: []*rolecatalog.User{&user}, Mark: []rolecatalog.Work{
						{CVR: cvr, UserID: user.ID, NextTryAt: w.clock.Now(), CreatedAt: w.clock.Now()},
					}}))
					w.work()
				}
				set(true)
				if keep {
					w.holds(identity, g(ids[0], "PU", "1000000001"))
				} else {
					w.holds(identity)
				}
				set(false)
				w.holds(identity, g(ids[0], "PU", "1000000001"))
			})
		}
	}
}
