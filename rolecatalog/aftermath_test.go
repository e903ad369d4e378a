package rolecatalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollebro/rollebro/nemlogin"
	"github.com/rollebro/rollebro/nemlogin/simulator"
	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/rolecatalog/plan"
)

func TestInterruptedWritesGetTheirOutcomeOnTheRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	w.importAll()
	role := w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"})
	for i := range 6 {
		user := fmt.Sprintf("u%d", i)
		w.person(user)
		w.assign(user, role)
	}
	// The process dies with the third write, which is carried out all the same.
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	dying := &mortal{Store: w.store, die: cancel}
	dying.left.Store(1 << 40)
	w.connect(wide, func(o *rolecatalog.Options, _ *nemlogin.Options) { o.Store, o.Concurrency = dying, 1 })
	writes := 0
	w.sim.OnRequest(func(r simulator.Request) simulator.Action {
		if r.Endpoint != simulator.EndpointRoles || r.Method != "POST" {
			return simulator.Action{}
		}
		if writes++; writes == 3 {
			dying.left.Store(0)
			cancel()
			return simulator.Action{Drop: true, Apply: true}
		}
		return simulator.Action{}
	})
	if _, err := w.bridge.Reconcile(ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{}); err == nil {
		t.Fatal("the run was not killed")
	}
	w.sim.OnRequest(nil)
	open, err := w.store.OpenIntents(w.ctx, cvr, time.Time{})
	w.must(err)
	if len(open) == 0 {
		t.Fatal("no write was left without an outcome; the test shows nothing")
	}
	broken := open[0].Plan
	w.connect(wide)
	w.reconcile()
	if open, err = w.store.OpenIntents(w.ctx, cvr, time.Time{}); err != nil || len(open) > 0 {
		t.Errorf("%d writes still have no outcome (%v)", len(open), err)
	}
	events, err := w.store.Audit(w.ctx, rolecatalog.AuditFilter{CVR: cvr, Plan: broken})
	w.must(err)
	if !slices.ContainsFunc(events, func(e rolecatalog.AuditEvent) bool {
		return e.Outcome == rolecatalog.OutcomeDone && strings.Contains(e.Detail, "a later reading shows")
	}) {
		t.Errorf("the write that was carried out isn't on record as done: %+v", events)
	}
	record, err := w.store.Plan(w.ctx, cvr, broken)
	w.must(err)
	if record.Status != rolecatalog.PlanPartly {
		t.Errorf("the plan that was broken off is %q", record.Status)
	}
	if _, err := w.store.VerifyAudit(w.ctx); err != nil {
		t.Error(err)
	}
}

func TestReadingEverybodyEmptiesTheWorkList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	w.person("anne")
	failing := w.person("bo")
	w.importAll()
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"}))
	w.must(w.sim.SetFault("see-log-500", simulator.Fault{Rate: 1, Identity: failing}))
	w.reconcile()
	left, err := w.store.Work(w.ctx, cvr, 10)
	w.must(err)
	if len(left) != 1 || left[0].UserID != w.row("bo").ID {
		t.Errorf("the work list holds %+v, want bo alone, who could not be read", left)
	}
}

func TestServiceThatIsDownBreaksTheReadingOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	var rows []rolecatalog.UserRow
	for i := range 200 {
		identity := w.identity()
		w.hold(identity, ids[0], "Cvr", cvr)
		rows = append(rows, rolecatalog.UserRow{UserID: fmt.Sprintf("u%03d", i), Name: "Navn", NemLoginUUID: &identity})
	}
	_, err := w.bridge.LoadUsers(w.ctx, rows, rolecatalog.LoadOptions{Actor: "test"})
	w.must(err)
	w.importAll()
	w.must(w.sim.SetFault("service-unavailable", simulator.Fault{Rate: 1, Endpoint: "GET " + simulator.EndpointRoles}))
	w.sim.ResetRequests()
	if _, err := w.bridge.Plan(w.ctx, rolecatalog.Selection{}, nil); !errors.Is(err, rolecatalog.ErrUnreachable) {
		t.Errorf("the plan gives %v", err)
	}
	if n := len(w.sim.Requests()); n > 3*120 {
		t.Errorf("%d requests were sent to a service that is down", n)
	}
	if _, err := w.bridge.Reconcile(w.ctx, rolecatalog.Selection{}, rolecatalog.ReconcileOptions{}); !errors.Is(err, rolecatalog.ErrUnreachable) {
		t.Errorf("the reconcile gives %v", err)
	}
	w.noWrites()
	w.sim.ClearFaults()
	if report := w.reconcile(); !report.Clean() || !report.Plan.Empty() {
		t.Errorf("when it is back: %+v", report.Plan.Counts)
	}
}

func TestPlanOfSomebodyWhoCannotSignInFailsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.roles(1)
	w.person("anne")
	w.importAll()
	w.must(w.sim.SetFault("cert-without-right", simulator.Fault{Rate: 1}))
	w.sim.RevokeTokens()
	w.connect()
	if _, err := w.bridge.Plan(w.ctx, rolecatalog.Selection{}, nil); err == nil || !strings.Contains(err.Error(), "signing in") {
		t.Errorf("the plan gives %v", err)
	}
}

func TestApprovalWithACPRNumberIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	w.person("anne")
	w.importAll()
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"}))
	p, err := w.bridge.Plan(w.ctx, rolecatalog.Selection{}, nil)
	w.must(err)
	for _, text := range []string{"0311651234 said so", "case of 031165-1234", "031165 1234"} {
		for _, try := range [][2]string{{"Bodil", text}, {text, "because"}} {
			if _, err := w.bridge.Approve(w.ctx, p.ID, try[0], try[1]); err == nil || strings.Contains(err.Error(), "1234") {
				t.Errorf("approving with %q gives %v", try, err)
			}
		}
	}
	events, err := w.store.Audit(w.ctx, rolecatalog.AuditFilter{CVR: cvr, Actions: []string{rolecatalog.AuditPlanApproved}})
	w.must(err)
	if len(events) > 0 {
		t.Errorf("on record: %+v", events)
	}
	if _, err := w.bridge.Approve(w.ctx, p.ID, "Bodil Thorup", "sag 26-1234, journal 1000000001"); err != nil {
		t.Error(err)
	}
}

func TestStatusAfterAnApprovalSaysWhatComesNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(1)
	var users []uint64
	for i := range 30 {
		user := fmt.Sprintf("u%02d", i)
		w.hold(w.person(user), ids[0], "Cvr", cvr)
		users = append(users, w.row(user).ID)
	}
	w.importAll()
	w.must(w.bridge.ChangeUserState(w.ctx, users[:29], "test", func(u *rolecatalog.User) { u.Deleted = true }))
	report := w.reconcile()
	says := func(want, not string) {
		t.Helper()
		status, err := w.bridge.Status(w.ctx)
		w.must(err)
		text := strings.Join(status.Attention, "\n")
		if !strings.Contains(text, want) || strings.Contains(text, not) {
			t.Errorf("the status says %q", text)
		}
	}
	says("approve it", "is approved")
	_, err := w.bridge.Approve(w.ctx, report.PlanID, "Bodil", "the school is closed")
	w.must(err)
	says("is approved", "approve it")
}

func TestShrunkenCatalogueIsTheGuardOfThatName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.roles(10)
	w.hold(w.person("anne"), ids[9], "Cvr", cvr)
	w.importAll()
	guard := func(p *plan.Plan) plan.GuardResult {
		i := slices.IndexFunc(p.Guards, func(g plan.GuardResult) bool { return g.Guard == plan.GuardShrunk })
		if i < 0 {
			t.Fatalf("no guard for a shrunken catalogue: %+v", p.Guards)
		}
		return p.Guards[i]
	}
	if g := guard(w.reconcile().Plan); !g.OK || g.Of != 10 {
		t.Errorf("with a whole catalogue the guard is %+v", g)
	}
	for _, id := range ids[:5] {
		w.must(w.sim.RemoveRoleFromCatalogue(id))
	}
	w.refresh()
	if g := guard(w.reconcile().Plan); g.OK || !strings.Contains(g.Message, "lacks 5 of the 10 roles") {
		t.Errorf("with a shrunken catalogue the guard is %+v", g)
	}
}

func TestReadingEverybodyInADryRunEmptiesTheWorkListToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dryRun)
	ids := w.roles(1)
	w.person("anne")
	w.importAll()
	w.assign("anne", w.jobFunctionRole("Rolle", rolecatalog.ScopeRule{SystemRoleID: w.systemRole(ids[0]).ID, ScopeType: "Cvr"}))
	if report := w.reconcile(); report.Plan.Counts.Add != 1 {
		t.Errorf("the plan has %+v", report.Plan.Counts)
	}
	if all, _, err := w.store.WorkBacklog(w.ctx, cvr); err != nil || all != 0 {
		t.Errorf("%d people wait (%v)", all, err)
	}
}
