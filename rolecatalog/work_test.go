package rolecatalog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{
		-1: time.Minute, 0: time.Minute, 1: time.Minute, 2: 5 * time.Minute, 3: 15 * time.Minute, 4: time.Hour, 5: 6 * time.Hour,
		6: 24 * time.Hour, 7: 24 * time.Hour, 1000: 24 * time.Hour,
	} {
		if got := rolecatalog.RetryDelay(n); got != want {
			t.Errorf("after failure %d: %s, want %s", n, got, want)
		}
	}
}

func TestUnreadablePersonIsRetriedBySchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.roles(1)
	anne := w.person("anne")
	w.importAll()
	w.work()
	w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Identity: anne}))
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", func(u *rolecatalog.User) { u.Disabled = true }))
	for i, wait := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
		if report := w.work(); report.Failed != 1 || report.Done != 0 {
			t.Fatalf("%+v", report)
		}
		x := w.explain("anne")
		if x.Work == nil || x.Work.Attempts != i+1 || x.Work.LastError == "" || x.Work.FirstFailedAt == nil || x.Work.NextTryAt.Sub(w.clock.Now()) != wait {
			t.Fatalf("after failure %d: %+v", i+1, x.Work)
		}
		w.clock.Add(wait)
	}
	// A change by a person brings it forward, and success ends it.
	w.work()
	w.sim.ClearFaults()
	w.must(w.bridge.ChangeUserState(w.ctx, []uint64{w.row("anne").ID}, "test", func(u *rolecatalog.User) { u.Disabled = false }))
	if report := w.work(); report.Done != 1 {
		t.Errorf("%+v", report)
	}
	if x := w.explain("anne"); x.Work != nil {
		t.Errorf("%+v", x.Work)
	}
}

func TestMarkDuringARunIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(2)
	anne := w.person("anne")
	w.importAll()
	w.work()
	one := w.jobFunctionRole("En", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"})
	two := w.jobFunctionRole("To", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[1]).ID, ScopeType: "Cvr"})
	w.assign("anne", one)
	done := false
	w.sim.OnRequest(func(r simulator.Request) simulator.Action {
		if r.Method == "POST" && r.Endpoint == simulator.EndpointRoles && !done {
			done = true
			w.assign("anne", two) // while her plan is being carried out
		}
		return simulator.Action{}
	})
	w.work()
	w.work()
	w.holds(anne, g(ids[0], "Cvr", cvr), g(ids[1], "Cvr", cvr))
}

var errLeaseLost = errors.New("the lease was lost")

func TestStoppedRunLeavesItsPeopleDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	anne := w.person("anne")
	w.importAll()
	w.work()
	w.assign("anne", w.jobFunctionRole("En", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"}))
	ctx, stop := context.WithCancelCause(w.ctx)
	w.sim.OnRequest(func(simulator.Request) simulator.Action {
		stop(errLeaseLost)
		return simulator.Action{}
	})
	if _, err := w.bridge.ProcessWork(ctx, 100, rolecatalog.ReconcileOptions{}); err == nil {
		t.Fatal("a run that was stopped succeeds")
	}
	w.sim.OnRequest(nil)
	if x := w.explain("anne"); x.Work == nil || x.Work.Attempts != 0 || x.Work.NextTryAt.After(w.clock.Now()) {
		t.Errorf("the stop counts as her failure: %+v", x.Work)
	}
	w.work()
	w.holds(anne, g(ids[0], "Cvr", cvr))
}

func TestHousekeepCatchesUpAfterDaysOfStandstill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.Set(time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC))
	ids := w.roles(3)
	anne, bo, carl := w.person("anne"), w.person("bo"), w.person("carl")
	w.importAll()
	rule := func(i int) rolecatalog.ScopeRule {
		return rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[i]).ID, ScopeType: "Cvr"}
	}
	one, two, three := w.jobFunctionRole("En", rule(0)), w.jobFunctionRole("To", rule(1)), w.jobFunctionRole("Tre", rule(2))
	w.assignDates("anne", one, "2026-06-03", "")
	w.assignDates("bo", two, "", "2026-06-02")
	w.assignDates("carl", three, "2026-06-03", "2026-06-04") // begins and ends meanwhile
	keep := func() int {
		report, err := w.bridge.Housekeep(w.ctx)
		w.must(err)
		return report.Marked
	}
	if n := keep(); n != 0 {
		t.Errorf("the first time %d are marked", n)
	}
	w.work()
	w.holds(bo, g(ids[1], "Cvr", cvr))
	w.clock.Set(time.Date(2026, 6, 6, 10, 0, 0, 0, time.UTC))
	if n := keep(); n != 3 {
		t.Errorf("after five days %d are marked, want 3", n)
	}
	w.work()
	w.holds(anne, g(ids[0], "Cvr", cvr))
	w.holds(bo)
	w.holds(carl)
	if n := keep(); n != 0 {
		t.Errorf("the same day again %d are marked", n)
	}
	// A clock that goes back does nothing, and nothing twice when it is right again.
	w.clock.Set(time.Date(2026, 6, 5, 10, 0, 0, 0, time.UTC))
	if n := keep(); n != 0 {
		t.Errorf("with the clock back %d are marked", n)
	}
	if got := w.state().DatesThrough; got != "2026-06-06" {
		t.Errorf("the dates are handed over through %s", got)
	}
}

func TestHousekeepKeepsWhatIsInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *rolecatalog.Options, _ *nemloginOptions) {
		o.Retention = rolecatalog.Retention{Plans: 24 * time.Hour, Runs: 24 * time.Hour}
	})
	_, users := w.staff(40)
	old := w.reconcile().PlanID
	w.del(users[:30]...)
	blocked := w.reconcile().PlanID
	w.clock.Add(48 * time.Hour)
	report, err := w.bridge.Housekeep(w.ctx)
	w.must(err)
	if report.Pruned == 0 {
		t.Error("nothing is pruned")
	}
	if _, _, err := w.bridge.StoredPlan(w.ctx, old); !errors.Is(err, rolecatalog.ErrUnknownPlan) {
		t.Errorf("the old plan: %v", err)
	}
	if _, _, err := w.bridge.StoredPlan(w.ctx, blocked); err != nil {
		t.Errorf("the plan that caused the quarantine: %v", err)
	}
}

func TestRetryByHandTriesWhatHasGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	identity := w.person("anne")
	w.importAll()
	// A P-number that the organisation doesn't have is refused until somebody makes it good in MitID Erhverv.
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "PU", Values: []string{"1000000099"}}))
	for range 40 {
		w.work()
		w.clock.Add(24 * time.Hour)
	}
	if p := w.reconcile().Plan; !hasChange(p, plan.Skip, plan.NeedsPerson) {
		t.Fatalf("after 40 days the write still doesn't need a person: %+v", p.Changes)
	}
	w.must(w.sim.AddPNumber("1000000099", "Ny enhed"))
	user := w.row("anne").ID
	n, err := w.bridge.Retry(w.ctx, user, "test")
	if err != nil || n != 1 {
		t.Errorf("%d writes are tried anew (%v), want 1", n, err)
	}
	w.work()
	w.holds(identity, g(ids[0], "PU", "1000000099"))
	if _, err := w.bridge.Retry(w.ctx, user+1000, "test"); !errors.Is(err, rolecatalog.ErrNotFound) {
		t.Errorf("retrying nobody gives %v", err)
	}
}
