package rolecatalog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// What a person's approval allows, and what it doesn't.

// staff makes n people who all hold the first role.
func (w *world) staff(n int) (ids []string, users []uint64) {
	w.Helper()
	ids = w.roles(10)
	for i := range n {
		user := fmt.Sprintf("u%02d", i)
		w.hold(w.person(user), ids[0], "Cvr", cvr)
		users = append(users, w.row(user).ID)
	}
	w.importAll()
	w.reconcile()
	return ids, users
}

func (w *world) del(users ...uint64) {
	w.Helper()
	w.must(w.bridge.ChangeUserState(w.ctx, users, "test", func(u *rolecatalog.User) { u.Deleted = true }))
}

func (w *world) approve(id string) {
	w.Helper()
	_, err := w.bridge.Approve(w.ctx, id, "Kirsten Opdigt", "it is meant")
	w.must(err)
}

func (w *world) plan(id string) rolecatalog.PlanRecord {
	w.Helper()
	p, err := w.store.Plan(w.ctx, cvr, id)
	w.must(err)
	return p
}

func (w *world) state() rolecatalog.State {
	w.Helper()
	st, err := w.store.State(w.ctx, cvr)
	w.must(err)
	return st
}

func TestApprovalOfSomethingElseDoesNotLetACatalogueShrink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids, _ := w.staff(2)
	w.assign("u00", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "Cvr"}))
	// The catalogue can't be read, so nothing is written; a person approves the plan that waits.
	w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Endpoint: "GET " + simulator.EndpointCatalogue}))
	if _, err := w.bridge.RefreshCatalogue(w.ctx); err == nil {
		t.Fatal("the refresh succeeds")
	}
	report := w.reconcile()
	if !report.Blocked {
		t.Fatalf("%+v", report)
	}
	w.approve(report.PlanID)
	w.sim.ClearFaults()
	for _, id := range ids[5:] {
		w.must(w.sim.RemoveRoleFromCatalogue(id))
	}
	if report := w.refresh(); report.Refused == "" {
		t.Error("half of the catalogue is gone, and the approval of a plan for one user lets it through")
	}
}

func TestApprovedShrinkIsTheOneThatWasShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids, _ := w.staff(2)
	for _, id := range ids[6:] {
		w.must(w.sim.RemoveRoleFromCatalogue(id))
	}
	if report := w.refresh(); report.Refused == "" {
		t.Fatal("a shrink of 40 % is taken")
	}
	report := w.reconcile()
	w.approve(report.PlanID)
	// An outage in between doesn't cost the approval; more missing roles do.
	w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Endpoint: "GET " + simulator.EndpointCatalogue}))
	_, err := w.bridge.RefreshCatalogue(w.ctx)
	if err == nil {
		t.Fatal("the refresh succeeds")
	}
	w.sim.ClearFaults()
	w.must(w.sim.RemoveRoleFromCatalogue(ids[5]))
	if report := w.refresh(); report.Refused == "" {
		t.Error("the approval of 4 missing roles lets 5 through")
	}
	w.must(w.sim.RestoreRole(ids[5]))
	if report := w.refresh(); report.Refused == "" {
		t.Error("an approval that was overtaken is still good")
	}
	w.approve(w.reconcile().PlanID)
	if report := w.refresh(); report.Refused != "" || report.Withdrawn != 4 {
		t.Errorf("%+v", report)
	}
	if st := w.state(); st.CatalogueError != "" || st.AcceptShrink {
		t.Errorf("%+v", st)
	}
}

func TestApprovalHoldsOnceAndForThatPlanOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids, users := w.staff(40)
	w.del(users[:30]...)
	report := w.reconcile()
	w.approve(report.PlanID)
	// One more is deleted: that is another plan, and nobody has approved it.
	w.del(users[30])
	if other := w.reconcile(); !other.Blocked || other.Removed != 0 {
		t.Fatalf("%+v", other)
	}
	if _, err := w.bridge.Apply(w.ctx, report.PlanID, rolecatalog.ReconcileOptions{}); !errors.Is(err, rolecatalog.ErrStale) {
		t.Fatalf("a plan that has been overtaken: %v", err)
	}
	if got := w.plan(report.PlanID).Status; got != rolecatalog.PlanStale {
		t.Errorf("its status is %q", got)
	}
	if _, err := w.bridge.Approve(w.ctx, report.PlanID, "Kirsten Opdigt", "again"); !errors.Is(err, rolecatalog.ErrStale) {
		t.Errorf("a stale plan can be approved: %v", err)
	}
	fresh := w.reconcile()
	w.approve(fresh.PlanID)
	applied := w.reconcile()
	if applied.Removed != 31 || !applied.Clean() {
		t.Fatalf("%+v", applied)
	}
	if got := w.plan(fresh.PlanID); got.Status != rolecatalog.PlanApplied || !got.ReleaseUsed || got.AppliedAt == nil {
		t.Errorf("the plan that was applied: %+v", got)
	}
	// The same again by hand: the approval is used up.
	for _, u := range users[:31] {
		row, err := w.store.Users(w.ctx, rolecatalog.UserFilter{IDs: []uint64{u}, IncludeDeleted: true})
		w.must(err)
		w.must(w.bridge.ChangeUserState(w.ctx, []uint64{u}, "test", func(u *rolecatalog.User) { u.Deleted = false }))
		w.hold(row[0].NemLoginUUID, ids[0], "Cvr", cvr)
	}
	w.reconcile()
	w.del(users[:31]...)
	if again := w.reconcile(); !again.Blocked {
		t.Errorf("a used approval lets the same plan through again: %+v", again)
	}
}

func TestApprovedPlanCountsAsAppliedThoughOtherPeopleHaveChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, users := w.staff(40)
	w.del(users[:30]...)
	report := w.reconcile()
	w.approve(report.PlanID)
	w.person("newcomer") // makes a plan with another id that would do the same
	applied, err := w.bridge.Apply(w.ctx, report.PlanID, rolecatalog.ReconcileOptions{})
	w.must(err)
	if applied.PlanID == report.PlanID {
		t.Fatal("the test needs two plans of one effect")
	}
	for _, id := range []string{report.PlanID, applied.PlanID} {
		if got := w.plan(id); got.Status != rolecatalog.PlanApplied {
			t.Errorf("plan %s is %q", id[:12], got.Status)
		}
	}
	// Applied is what it stays, also when somebody asks for it once more.
	if _, err := w.bridge.Apply(w.ctx, report.PlanID, rolecatalog.ReconcileOptions{}); !errors.Is(err, rolecatalog.ErrStale) {
		t.Errorf("applying it twice: %v", err)
	}
	if got := w.plan(report.PlanID); got.Status != rolecatalog.PlanApplied {
		t.Errorf("then it is %q", got.Status)
	}
}

func TestApproveErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	w.person("anne")
	w.importAll()
	empty := w.reconcile().PlanID
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"}))
	p, err := w.bridge.Plan(w.ctx, rolecatalog.Selection{}, nil)
	w.must(err)
	before, err := w.store.Audit(w.ctx, rolecatalog.AuditFilter{CVR: cvr, Actions: []string{rolecatalog.AuditPlanApproved}})
	w.must(err)
	for _, c := range []struct {
		what, id, by, reason string
		want                 error
	}{
		{"unknown", "ffffffffffff", "K", "r", rolecatalog.ErrUnknownPlan},
		{"no name", p.ID, "", "r", nil},
		{"blank name", p.ID, " ", "r", nil},
		{"no reason", p.ID, "K", "", nil},
		{"blank reason", p.ID, "K", "\t", nil},
		{"nothing to do", empty, "K", "r", nil},
	} {
		if _, err := w.bridge.Approve(w.ctx, c.id, c.by, c.reason); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	after, err := w.store.Audit(w.ctx, rolecatalog.AuditFilter{CVR: cvr, Actions: []string{rolecatalog.AuditPlanApproved}})
	w.must(err)
	if len(after) != len(before) || w.plan(p.ID).Status != rolecatalog.PlanComputed {
		t.Errorf("a refused approval leaves %d events and a plan that is %q", len(after), w.plan(p.ID).Status)
	}
	if _, err := w.bridge.Apply(w.ctx, p.ID[:12], rolecatalog.ReconcileOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.bridge.Approve(w.ctx, p.ID, "K", "r"); !errors.Is(err, rolecatalog.ErrStale) {
		t.Errorf("an applied plan: %v", err)
	}
}

// forgetful is a store whose audit trail can't be written.
type forgetful struct{ rolecatalog.Store }

func (f forgetful) Commit(ctx context.Context, c *rolecatalog.Changes) error {
	if len(c.Audit) > 0 {
		return errKilled
	}
	return f.Store.Commit(ctx, c)
}

func TestApprovalThatIsNotOnTheRecordDoesNotHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, users := w.staff(40)
	w.del(users[:30]...)
	report := w.reconcile()
	w.connect(func(o *rolecatalog.Options, _ *nemloginOptions) { o.Store = forgetful{w.store} })
	if _, err := w.bridge.Approve(w.ctx, report.PlanID, "Kirsten Opdigt", "it is meant"); err == nil {
		t.Fatal("the approval succeeds")
	}
	w.connect()
	if again := w.reconcile(); !again.Blocked {
		t.Errorf("an approval without a record lets the plan through: %+v", again)
	}
}

func TestQuarantineNamesThePlanThatReleasesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, users := w.staff(40)
	w.del(users[:30]...)
	people := w.work() // the plan of thirty people brings the quarantine
	if st := w.state(); !people.Quarantined || st.QuarantinePlan != people.PlanID {
		t.Fatalf("quarantined %t, by plan %s", people.Quarantined, st.QuarantinePlan)
	}
	w.del(users[30])
	everybody := w.reconcile()
	if !everybody.Blocked || !everybody.Quarantined {
		t.Fatalf("%+v", everybody)
	}
	st := w.state()
	if st.QuarantinePlan != everybody.PlanID {
		t.Errorf("the quarantine names plan %s, which would not be carried out; want %s", st.QuarantinePlan[:12], everybody.PlanID[:12])
	}
	w.approve(st.QuarantinePlan)
	if report := w.reconcile(); report.Removed != 31 || !report.Clean() {
		t.Errorf("%+v", report)
	}
	if st := w.state(); st.QuarantineSince != nil {
		t.Error("the quarantine goes on")
	}
}

func TestQuarantineRefusesOnTheRecordAndEndsWithACleanPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids, users := w.staff(40)
	w.del(users[:30]...)
	w.reconcile()
	w.must(w.bridge.ChangeUserState(w.ctx, users[:30], "test", func(u *rolecatalog.User) { u.Deleted = false }))
	w.assign("u35", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "Cvr"}))
	w.sim.ResetRequests()
	if report := w.work(); !report.Quarantined || report.Blocked || report.Done != 0 {
		t.Errorf("one person's harmless plan in quarantine: %+v", report)
	}
	w.noWrites()
	refused, err := w.store.Audit(w.ctx, rolecatalog.AuditFilter{CVR: cvr, Actions: []string{rolecatalog.AuditPlanRefused}})
	w.must(err)
	if len(refused) != 1 {
		t.Errorf("%d refusals are on the record, want 1", len(refused))
	}
	if report := w.reconcile(); report.Quarantined || report.Added != 1 {
		t.Errorf("a clean plan of everybody: %+v", report)
	}
	w.clock.Add(16 * time.Minute)
	if report := w.work(); report.Failed != 0 {
		t.Errorf("%+v", report)
	}
	if all, _, err := w.store.WorkBacklog(w.ctx, cvr); err != nil || all != 0 {
		t.Errorf("%d people are left on the work list (%v)", all, err)
	}
}

func TestWhatAPersonApprovedDoesNotUseUpTheDaysAllowance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, users := w.staff(40)
	w.del(users[:30]...)
	w.approve(w.reconcile().PlanID)
	if report := w.reconcile(); report.Removed != 30 {
		t.Fatalf("%+v", report)
	}
	w.del(users[30])
	if report := w.reconcile(); report.Blocked || report.Removed != 1 {
		t.Errorf("one removal after an approved one of thirty: blocked %t, removed %d", report.Blocked, report.Removed)
	}
}

func TestApprovalUsedInDryRunIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dryRun)
	_, users := w.staff(40)
	w.del(users[:30]...)
	report := w.reconcile()
	if !report.Blocked || report.Quarantined {
		t.Errorf("%+v", report)
	}
	w.approve(report.PlanID)
	w.reconcile()
	w.work()
	w.noWrites()
	if got := w.plan(report.PlanID); got.Status != rolecatalog.PlanApproved || got.ReleaseUsed {
		t.Errorf("%+v", got)
	}
	// In a dry run nobody has to wait for an approval: nothing would be written after it either.
	if all, _, err := w.store.WorkBacklog(w.ctx, cvr); err != nil || all != 0 {
		t.Errorf("%d people are left on the work list (%v)", all, err)
	}
	w.connect()
	if report := w.reconcile(); report.Removed != 30 {
		t.Errorf("with the dry run switched off: %+v", report)
	}
}

func TestGuardOfOnePersonIsMeasuredAgainstTheWholeOrganisation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *rolecatalog.Options, _ *nemloginOptions) {
		o.Limits = plan.Limits{RemovalsPercent: 10, RoleRemovalsPercent: 50, CatalogueShrinkPercent: 20}
	})
	_, users := w.staff(20)
	w.del(users[0])
	if report := w.reconcileOnly("u00"); report.Blocked || report.Removed != 1 {
		t.Errorf("1 of 20 is less than 10 %%: %+v", report)
	}
	w.del(users[1], users[2])
	report := w.reconcileOnly("u01", "u02")
	if !report.Blocked || report.Plan.Selection != "some" {
		t.Errorf("3 of 20 within a day is more than 10 %%: %+v", report)
	}
}
