package rolecatalog_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

// What happens to writes that fail, are in doubt, or have been overtaken.

// yesman is a client that says yes to additions and doesn't carry them out.
type yesman struct{ rolecatalog.Client }

func (yesman) AddRoles(context.Context, string, nemlogin.Scope, []string) error { return nil }

func (w *world) events(actions ...string) map[string]int {
	w.Helper()
	events, err := w.store.Audit(w.ctx, rolecatalog.AuditFilter{CVR: cvr, Actions: actions})
	w.must(err)
	n := map[string]int{}
	for _, e := range events {
		n[e.Outcome]++
	}
	return n
}

func (w *world) attempts() []rolecatalog.Attempt {
	w.Helper()
	attempts, err := w.store.Attempts(w.ctx, cvr)
	w.must(err)
	return attempts
}

func TestNothingIsTakenForAnAdditionThatOnlySaidYes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	admin := w.sim.AddRole("Administrator af noget", "")
	anne, bo := w.person("anne"), w.person("bo")
	w.hold(anne, ids[0], "PU", "1000000001")
	w.hold(bo, admin, "Cvr", cvr)
	w.importAll()
	// anne moves to another P-number, and bo's role goes to her.
	w.must(w.bridge.Unassign(w.ctx, w.row("anne").ID, w.explain("anne").Assignments[0].ID, "test"))
	w.assign("anne", w.imported(ids[0], "PU"), rolecatalog.AssignmentValue{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "PU", Value: "1000000002"})
	w.must(w.bridge.Unassign(w.ctx, w.row("bo").ID, w.explain("bo").Assignments[0].ID, "test"))
	w.assign("anne", w.imported(admin, "Cvr"))
	w.wrap = func(c rolecatalog.Client) rolecatalog.Client { return yesman{c} }
	w.connect()
	report := w.reconcile()
	if report.Failed != 2 || report.Held != 2 || report.Removed != 0 {
		t.Errorf("failed %d, held %d, removed %d; want 2, 2 and 0: %+v", report.Failed, report.Held, report.Removed, report.Failures)
	}
	w.holds(anne, g(ids[0], "PU", "1000000001"))
	w.holds(bo, g(admin, "Cvr", cvr))
	w.wrap = nil
	w.connect()
	w.clock.Add(2 * time.Minute)
	w.work()
	w.holds(anne, g(ids[0], "PU", "1000000002"), g(admin, "Cvr", cvr))
	w.holds(bo)
}

func TestRemovalThatIsTriedSeveralTimesCountsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *rolecatalog.Options, _ *nemloginOptions) {
		o.Limits = plan.DefaultLimits()
		o.Limits.RoleRemovalsCount = 100
	})
	_, users := w.staff(40)
	var mu sync.Mutex
	seen := map[string]bool{}
	w.sim.OnRequest(func(r simulator.Request) simulator.Action {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodDelete && !seen[r.Identity] {
			seen[r.Identity] = true
			return simulator.Action{Status: http.StatusServiceUnavailable}
		}
		return simulator.Action{}
	})
	w.del(users[:20]...)
	if report := w.reconcile(); report.Removed != 20 || !report.Clean() {
		t.Fatalf("%+v", report)
	}
	total, _, err := w.store.RemovalsSince(w.ctx, cvr, w.clock.Now().Add(-time.Hour))
	w.must(err)
	if total != 20 {
		t.Errorf("%d removals are counted, want 20", total)
	}
	w.del(users[20:25]...)
	if report := w.reconcile(); report.Blocked {
		t.Errorf("25 removals in a day are within the guard: %+v", report.Plan.Guards)
	}
}

func TestRemovalsThatWereNeverSentDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, users := w.staff(40)
	w.del(users[:15]...)
	w.sim.OnRequest(func(r simulator.Request) simulator.Action {
		if r.Method == http.MethodDelete {
			return simulator.Action{Status: http.StatusUnauthorized}
		}
		return simulator.Action{}
	})
	_, err := w.bridge.Reconcile(w.ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{})
	if nemlogin.ClassOf(err) != nemlogin.ClassAuth {
		t.Fatalf("a lasting 401 gives %v", err)
	}
	w.sim.OnRequest(nil)
	// The first 401 that stays ends the run; of what was on its way just then nobody knows, and of nothing else.
	if n := w.events(rolecatalog.AuditRemove); n[rolecatalog.OutcomeFailed]+n[rolecatalog.OutcomeUnknown] != n[rolecatalog.OutcomeIntended] ||
		n[rolecatalog.OutcomeFailed] == 0 || n[rolecatalog.OutcomeUnknown] > nemlogin.DefaultConcurrency {
		t.Errorf("the trail tells %v", n)
	}
	// What was broken off is on the record, and the next run takes it up.
	plans, err := w.store.Plans(w.ctx, cvr, 1)
	w.must(err)
	if plans[0].Status != rolecatalog.PlanPartly || w.events(rolecatalog.AuditPlanApplied)[string(rolecatalog.PlanPartly)] != 1 {
		t.Errorf("the plan is %q", plans[0].Status)
	}
	// A request that was given up may still be carried out by the service; the reading sees it, and the guard isn't misled.
	if report := w.reconcile(); report.Removed < 15-nemlogin.DefaultConcurrency || report.Quarantined || !report.Clean() {
		t.Errorf("%+v", report)
	}
	if open, err := w.store.OpenIntents(w.ctx, cvr, time.Time{}); err != nil || len(open) > 0 {
		t.Errorf("%d writes have no outcome on record (%v)", len(open), err)
	}
	if p, err := w.bridge.Plan(w.ctx, rolecatalog.Selection{}, nil); err != nil || !p.Empty() {
		t.Errorf("there is still something to do: %v", err)
	}
}

func TestFailureIsForgottenWhenItsWriteIsNoLongerWanted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	anne := w.person("anne")
	w.importAll()
	role := w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "PU", Values: []string{"1000000009"}})
	wrong := w.assign("anne", role) // a P-number that MitID Erhverv doesn't know
	w.work()
	if attempts := w.attempts(); len(attempts) != 1 || attempts[0].Class != string(nemlogin.ClassRejected) {
		t.Fatalf("%+v", attempts)
	}
	w.must(w.bridge.Unassign(w.ctx, w.row("anne").ID, wrong.ID, "test"))
	w.work()
	if attempts := w.attempts(); len(attempts) != 0 {
		t.Errorf("nobody wants it any more, and it is still remembered: %+v", attempts)
	}
	// Months later the P-number exists, and the role is given again.
	w.clock.Add(90 * 24 * time.Hour)
	w.must(w.sim.AddPNumber("1000000009", "Ny enhed"))
	w.assign("anne", role)
	w.work()
	w.holds(anne, g(ids[0], "PU", "1000000009"))
}

func TestChangeDuringALongReadingIsHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	anne, bo := w.person("anne"), w.person("bo")
	w.hold(bo, ids[1], "Cvr", cvr)
	w.importAll()
	role := w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"})
	w.hold(anne, ids[0], "Cvr", cvr) // not in the catalogue yet: a right that the run would take away
	var once sync.Once
	w.sim.OnRequest(func(r simulator.Request) simulator.Action {
		if r.Method == http.MethodGet && r.Endpoint == simulator.EndpointRoles {
			once.Do(func() { w.assign("anne", role) })
		}
		return simulator.Action{}
	})
	w.sim.ResetRequests()
	report := w.reconcile()
	w.noWrites()
	w.holds(anne, g(ids[0], "Cvr", cvr))
	if !report.Plan.Empty() {
		t.Errorf("%+v", report.Plan.Changes)
	}
}

func TestRetriesOfAWriteGoByTheScheduleAndEndWithAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	anne := w.person("anne")
	w.importAll()
	w.work()
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "PU", Values: []string{"1000000009"}}))
	start := w.clock.Now()
	tried := func() int {
		n := 0
		for _, line := range w.sim.Requests() {
			if line.Method == http.MethodPost && line.Identity == anne {
				n++
			}
		}
		return n
	}
	w.sim.ResetRequests()
	w.work()
	steps := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 24 * time.Hour}
	for i, wait := range steps {
		next, ok, err := w.bridge.NextWork(w.ctx)
		w.must(err)
		if !ok || next.Sub(w.clock.Now()) != wait {
			t.Fatalf("after failure %d the next try is in %s (%t), want %s", i+1, next.Sub(w.clock.Now()), ok, wait)
		}
		w.clock.Add(wait - time.Second)
		if report := w.work(); report.Done+report.Failed != 0 {
			t.Errorf("it was looked at too early: %+v", report)
		}
		before := tried()
		w.clock.Add(time.Second)
		w.work()
		if tried() != before+1 {
			t.Errorf("at %s: %d writes, want 1", wait, tried()-before)
		}
	}
	// A daily run in between does not try earlier.
	before := tried()
	w.reconcile()
	if tried() != before {
		t.Error("the daily run tries what isn't due")
	}
	w.clock.Set(start.Add(rolecatalog.NeedsPersonAfter))
	report := w.reconcile()
	if tried() != before || !hasChange(report.Plan, plan.Skip, plan.NeedsPerson) {
		t.Errorf("after 28 days: %d more writes", tried()-before)
	}
	status, err := w.bridge.Status(w.ctx)
	w.must(err)
	if status.Attempts != 1 || status.OldestFail == nil || !status.OldestFail.Equal(start) || len(status.Attention) == 0 {
		t.Errorf("%+v", status)
	}
}
