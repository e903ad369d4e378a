package rolecatalog_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// What happens when NemLogin UUIDs move, are shared, go and come back.

func (w *world) reconcileOnly(users ...string) rolecatalog.ReconcileReport {
	w.Helper()
	sel := rolecatalog.Selection{Label: "some"}
	for _, u := range users {
		sel.Users = append(sel.Users, w.row(u).ID)
	}
	report, err := w.bridge.Reconcile(w.ctx, sel, rolecatalog.ReconcileOptions{})
	w.must(err)
	return report
}

func TestIdentityThatMovedOnIsNotAbandonedBecauseItsNewOwnerIsNotLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	shared := w.person("anne")
	w.hold(shared, ids[0], "Cvr", cvr)
	w.importAll()
	w.user("bo", shared)
	w.user("anne", "") // now it is bo's
	w.sim.ResetRequests()
	w.reconcileOnly("anne")
	w.noWrites()
	w.holds(shared, g(ids[0], "Cvr", cvr))
	if x := w.explain("anne"); slices.ContainsFunc(x.Changes, func(c plan.Change) bool { return c.Verb == plan.Remove }) {
		t.Errorf("anne's page speaks of removing what is bo's: %+v", x.Changes)
	}
}

func TestIdentityThatComesBackAfterItWasRetiredIsAdoptedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	anne := w.person("anne")
	w.hold(anne, ids[0], "Cvr", cvr)
	w.importAll()
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", func(u *rolecatalog.User) { u.Deleted = true }))
	w.work()
	w.holds(anne)
	if x := w.explain("anne"); x.Identity.RetiredAt == nil {
		t.Fatal("the identity of a deleted user who holds nothing is still read")
	}
	// Nobody looks at it here, so somebody gives it a right in MitID Erhverv. When the user is back, that is kept.
	w.hold(anne, ids[1], "PU", "1000000001")
	w.user("anne", anne)
	w.work()
	w.holds(anne, g(ids[0], "Cvr", cvr), g(ids[1], "PU", "1000000001"))
}

func TestIdentityThatWasGoneIsAskedForAgainWhenItsUserComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	anne := w.person("anne")
	w.hold(anne, ids[0], "Cvr", cvr)
	w.importAll()
	w.must(w.sim.SetFault("see-log-500", simulator.Fault{Rate: 1, Identity: anne}))
	gone := simulator.Action{Status: 404}
	w.sim.OnRequest(func(r simulator.Request) simulator.Action {
		if r.Identity == anne {
			return gone
		}
		return simulator.Action{}
	})
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", func(u *rolecatalog.User) { u.Deleted = true }))
	w.work()
	if x := w.explain("anne"); x.Identity.GoneSince == nil || x.Identity.RetiredAt == nil {
		t.Fatalf("gone since %v, retired at %v", x.Identity.GoneSince, x.Identity.RetiredAt)
	}
	w.sim.OnRequest(nil)
	w.sim.ClearFaults()
	w.clock.Add(time.Minute)
	w.user("anne", anne)
	w.work()
	if x := w.explain("anne"); x.Identity.GoneSince != nil || x.Identity.RetiredAt != nil {
		t.Errorf("gone since %v, retired at %v", x.Identity.GoneSince, x.Identity.RetiredAt)
	}
	w.holds(anne, g(ids[0], "Cvr", cvr))
}

func TestFailureOfASharedIdentityIsNotForgottenWithTheUserWhoWasLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	shared := w.person("anne")
	w.hold(shared, ids[0], "Cvr", cvr)
	w.importAll()
	w.user("bo", shared)
	w.assign("bo", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "PU", Values: []string{"1000000001"}}))
	w.work()
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", func(u *rolecatalog.User) { u.Deleted = true }))
	w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Identity: shared}))
	w.work()
	w.sim.ClearFaults()
	w.clock.Add(2 * time.Minute)
	w.work()
	w.holds(shared, g(ids[0], "Cvr", cvr), g(ids[0], "PU", "1000000001"))
}

func TestImportedRoleThatAPersonHasChangedIsNotUsedForWhatItNoLongerGives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	anne := w.person("anne")
	w.hold(anne, ids[0], "PU", "1000000001")
	w.importAll()
	w.work()
	// The imported role now gives something else, and more.
	role := w.imported(ids[0], "PU")
	role.Rules = []rolecatalog.ScopeRule{
		{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "PU", Values: []string{"1000000001"}},
		{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "Cvr"},
	}
	w.must(w.bridge.SaveJobFunctionRole(w.ctx, role, "test"))
	bo, carl := w.identity(), w.identity()
	w.hold(bo, ids[0], "PU", "1000000002")
	w.hold(carl, ids[0], "PU", "1000000003")
	w.user("bo", bo)
	w.user("carl", carl)
	w.work()
	w.reconcile()
	w.holds(bo, g(ids[0], "PU", "1000000002"))
	w.holds(carl, g(ids[0], "PU", "1000000003"))
	w.holds(anne, g(ids[0], "PU", "1000000001"), g(ids[1], "Cvr", cvr))
	roles, err := w.bridge.JobFunctionRoles(w.ctx)
	w.must(err)
	if len(roles) != 2 {
		t.Errorf("there are %d job function roles, want the changed one and one for both newcomers", len(roles))
	}
}

func TestNewSystemRoleIsAdoptedFromThoseWhoHoldIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.roles(5)
	late := w.sim.AddRole("Ny rolle", "")
	w.must(w.sim.RemoveRoleFromCatalogue(late))
	anne := w.person("anne")
	w.hold(anne, late, "Cvr", cvr)
	w.importAll()
	w.must(w.sim.RestoreRole(late))
	w.refresh()
	// The person-level look comes first, and its reading fails: nothing is lost by that.
	w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Identity: anne}))
	w.reconcileOnly("anne")
	w.sim.ClearFaults()
	if report := w.reconcileOnly("anne"); report.Adopted != 1 {
		t.Errorf("%+v", report)
	}
	w.reconcile()
	w.holds(anne, g(late, "Cvr", cvr))
}

func TestAdministratorRolesOfThoseWhoHaveLeftAreNoLongerShown(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"deleted", "without UUID"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.roles(1)
			anne := w.person("anne")
			w.importAll()
			w.must(w.sim.SetAdminRoles(anne, "RightsAdministrator"))
			_, err := w.bridge.MirrorAdministrators(w.ctx, nil)
			w.must(err)
			if how == "deleted" {
				w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", func(u *rolecatalog.User) { u.Deleted = true }))
			} else {
				w.user("anne", "")
			}
			w.work() // retires the identity
			report, err := w.bridge.MirrorAdministrators(w.ctx, nil)
			w.must(err)
			if report.Removed != 1 {
				t.Errorf("%+v", report)
			}
			for _, a := range w.explain("anne").Assignments {
				if a.EndedAt == nil {
					t.Errorf("%s is still shown", a.RoleName)
				}
			}
		})
	}
}

func TestAdministratorRolesInConflictStayAsTheyAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.roles(1)
	anne := w.person("anne")
	w.importAll()
	w.must(w.sim.SetAdminRoles(anne, "RightsAdministrator"))
	_, err := w.bridge.MirrorAdministrators(w.ctx, nil)
	w.must(err)
	w.user("bo", anne)
	report, err := w.bridge.MirrorAdministrators(w.ctx, nil)
	w.must(err)
	if report.Removed != 0 || report.Added != 0 {
		t.Errorf("%+v", report)
	}
	events, err := w.store.Audit(w.ctx, rolecatalog.AuditFilter{CVR: cvr, Actions: []string{rolecatalog.AuditConflict}})
	w.must(err)
	if len(events) != 1 || events[0].Identity != anne || !strings.Contains(events[0].Detail, "anne and bo") {
		t.Errorf("the trail tells of the conflict: %+v", events)
	}
}
