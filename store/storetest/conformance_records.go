//go:build unix

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollebro/rollebro/rolecatalog"
	"github.com/rollebro/rollebro/scheduler"
	"github.com/rollebro/rollebro/store"
)

func work(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	one, two := f.user(t, "one"), f.user(t, "two")
	fresh := &rolecatalog.User{DomainID: 1, UserID: "three"}
	f.commit(t, &rolecatalog.Changes{
		Users: []*rolecatalog.User{fresh},
		Mark: []rolecatalog.Work{
			{UserID: one.ID, Reason: "a", NextTryAt: Noon.Add(time.Hour)}, {UserID: two.ID, Reason: "b", NextTryAt: Noon}, {Of: fresh, Reason: "c", NextTryAt: Noon.Add(2 * time.Hour)},
		},
	})
	f.commit(t, &rolecatalog.Changes{CVR: OtherCVR, Mark: []rolecatalog.Work{{UserID: one.ID, NextTryAt: Noon}}})
	due := func(at time.Time, want ...uint64) []rolecatalog.Work {
		t.Helper()
		rows, err := f.DueWork(ctx, CVR, at, 0)
		check(t, err)
		ids := []uint64{}
		for _, r := range rows {
			ids = append(ids, r.UserID)
		}
		same(t, "due", ids, append([]uint64{}, want...))
		return rows
	}
	due(Noon.Add(-time.Microsecond))
	due(Noon, two.ID)
	looked := due(Noon.Add(3*time.Hour), two.ID, one.ID, fresh.ID)
	next, ok, err := f.NextWork(ctx, CVR)
	check(t, err)
	if !ok || !next.Equal(Noon) {
		t.Errorf("next at %v, %v", next, ok)
	}
	limited, err := f.DueWork(ctx, CVR, Noon.Add(3*time.Hour), 1)
	check(t, err)
	if len(limited) != 1 {
		t.Errorf("%d rows", len(limited))
	}

	// One is marked again, sooner, while it is looked at: neither finishing nor failing may lose that.
	f.commit(t, &rolecatalog.Changes{Mark: []rolecatalog.Work{{UserID: one.ID, Reason: "again", NextTryAt: Noon.Add(time.Minute)}, {UserID: two.ID, Reason: "later", NextTryAt: Noon.Add(5 * time.Hour)}}})
	failed := looked[1]
	failed.Attempts, failed.LastError, failed.FirstFailedAt, failed.NextTryAt = 1, "fejl", at(0), Noon.Add(9*time.Hour)
	f.commit(t, &rolecatalog.Changes{Finished: []rolecatalog.Work{looked[0], looked[1]}, Retried: []rolecatalog.Work{failed}})
	now := due(Noon.Add(time.Minute), two.ID, one.ID)
	if now[1].Reason != "again" || now[1].Attempts != 0 || now[1].Version <= looked[1].Version || now[0].Reason != "later" || !now[0].NextTryAt.Equal(Noon) {
		t.Errorf("after the later marks: %+v", now)
	}

	// With the present versions both are taken.
	failed.Version = now[1].Version
	f.commit(t, &rolecatalog.Changes{Finished: []rolecatalog.Work{now[0]}, Retried: []rolecatalog.Work{failed}})
	backlog, err := f.Work(ctx, CVR, 0)
	check(t, err)
	if len(backlog) != 2 || backlog[0].UserID != one.ID || backlog[0].LastError != "fejl" || backlog[0].Attempts != 1 || !backlog[0].FirstFailedAt.Equal(Noon) ||
		!backlog[0].NextTryAt.Equal(Noon.Add(9*time.Hour)) || backlog[0].Reason != "again" {
		t.Errorf("backlog: %+v", backlog)
	}
	all, failing, err := f.WorkBacklog(ctx, CVR)
	check(t, err)
	if all != 2 || failing != 1 {
		t.Errorf("%d, %d failing", all, failing)
	}
	// Somebody still has the version of a row that is gone and has come again.
	f.commit(t, &rolecatalog.Changes{Mark: []rolecatalog.Work{{UserID: two.ID, NextTryAt: Noon}}})
	f.commit(t, &rolecatalog.Changes{Finished: []rolecatalog.Work{now[0], looked[0]}})
	due(Noon, two.ID)
	_, ok, err = f.NextWork(ctx, "00000000")
	check(t, err)
	if ok {
		t.Error("work of an organisation without any")
	}
}

func attempts(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	a := rolecatalog.Attempt{Verb: "add", Identity: "i", Role: "r", ScopeType: "PU", ScopeValue: "1", Attempts: 1, FirstFailedAt: Noon, NextTryAt: Noon, Class: "rejected", Error: "x"}
	b, c := a, a
	b.Verb, c.ScopeValue = "remove", "2"
	f.commit(t, &rolecatalog.Changes{Attempts: []rolecatalog.Attempt{a, b, c}})
	a.Attempts, a.NextTryAt, a.Error = 2, Noon.Add(time.Minute), "y"
	gone := rolecatalog.Attempt{Verb: "remove", Identity: "i", Role: "r", ScopeType: "PU", ScopeValue: "1"}
	f.commit(t, &rolecatalog.Changes{Attempts: []rolecatalog.Attempt{a}, ClearedAttempts: []rolecatalog.Attempt{gone, {Identity: "nobody"}}})
	got, err := f.Attempts(ctx, CVR)
	check(t, err)
	a.CVR, c.CVR = CVR, CVR
	same(t, "attempts", got, []rolecatalog.Attempt{a, c})
}

func plans(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	p := &rolecatalog.PlanRecord{
		CVR: CVR, ID: "abcdef0123456789", Effect: "e1", Selection: "alle", Status: rolecatalog.PlanBlocked, DryRun: true, Adds: 1, Removes: 2, Keeps: 3, Skips: 4,
		CreatedAt: Noon, Document: []byte(`{"æ":1}`),
	}
	check(t, f.SavePlan(ctx, p))
	other := &rolecatalog.PlanRecord{CVR: CVR, ID: "abcdef9999999999", Status: rolecatalog.PlanComputed, CreatedAt: Noon.Add(time.Minute), Document: []byte("2")}
	check(t, f.SavePlan(ctx, other))
	check(t, f.SavePlan(ctx, &rolecatalog.PlanRecord{CVR: OtherCVR, ID: "abcdef0123456789", CreatedAt: Noon}))

	for _, id := range []string{"abcdef0123456789", "abcdef01"} {
		got, err := f.Plan(ctx, CVR, id)
		check(t, err)
		same(t, "the plan "+id, got, *p)
	}
	for id, want := range map[string]error{"abcdef": store.ErrAmbiguous, "abcde": rolecatalog.ErrNotFound, "abcdee": rolecatalog.ErrNotFound, "%_____": rolecatalog.ErrNotFound, "ABCDEF01": rolecatalog.ErrNotFound} {
		if _, err := f.Plan(ctx, CVR, id); !errors.Is(err, want) {
			t.Errorf("%q gives the error %v", id, err)
		}
	}
	list, err := f.Plans(ctx, CVR, 1)
	check(t, err)
	if len(list) != 1 || list[0].ID != other.ID || list[0].Document != nil {
		t.Errorf("the newest: %+v", list)
	}
	_, err = f.ApprovalFor(ctx, CVR, "e1")
	is(t, err, rolecatalog.ErrNotFound)

	// Approved; then computed again, blocked as before: the approval stays.
	approved := *p
	approved.Status, approved.ApprovedAt, approved.ApprovedBy, approved.ApproveWhy, approved.Document = rolecatalog.PlanApproved, at(time.Hour), "Bo", "ok", nil
	check(t, f.SavePlan(ctx, &approved))
	again := *p
	again.CreatedAt, again.Document = Noon.Add(2*time.Hour), []byte(`{"æ":2}`)
	check(t, f.SavePlan(ctx, &again))
	got, err := f.Plan(ctx, CVR, p.ID)
	check(t, err)
	if got.Status != rolecatalog.PlanApproved || got.ApprovedBy != "Bo" || string(got.Document) != `{"æ":2}` || again.Status != rolecatalog.PlanApproved {
		t.Errorf("computed again: %+v", got)
	}
	same(t, "as given back", got, again)
	release, err := f.ApprovalFor(ctx, CVR, "e1")
	check(t, err)
	if release.ID != p.ID {
		t.Errorf("the approval is %+v", release)
	}

	// Used: it holds for one apply.
	release.ReleaseUsed, release.Status, release.AppliedAt = true, rolecatalog.PlanApplied, at(3*time.Hour)
	check(t, f.SavePlan(ctx, &release))
	_, err = f.ApprovalFor(ctx, CVR, "e1")
	is(t, err, rolecatalog.ErrNotFound)
	third := *p
	check(t, f.SavePlan(ctx, &third))
	if third.Status != rolecatalog.PlanBlocked || !third.ReleaseUsed || third.ApprovedBy != "Bo" || third.AppliedAt == nil {
		t.Errorf("blocked once more: %+v", third)
	}
	// Approved anew.
	third.Status, third.ApprovedAt, third.ApprovedBy, third.ReleaseUsed = rolecatalog.PlanApproved, at(4*time.Hour), "Ida", false
	check(t, f.SavePlan(ctx, &third))
	release, err = f.ApprovalFor(ctx, CVR, "e1")
	check(t, err)
	if release.ApprovedBy != "Ida" {
		t.Errorf("the second approval is %+v", release)
	}
	is(t, f.SavePlan(ctx, &rolecatalog.PlanRecord{CVR: CVR}), store.ErrInvalid)
}

func largePlans(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	document := make([]byte, 20<<20) // and it doesn't compress
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(document)
	check(t, f.SavePlan(ctx, &rolecatalog.PlanRecord{CVR: CVR, ID: "largelarge", CreatedAt: Noon, Document: document}))
	got, err := f.Plan(ctx, CVR, "largelarge")
	check(t, err)
	if !bytes.Equal(got.Document, document) {
		t.Errorf("%d bytes came back changed", len(got.Document))
	}
	check(t, f.SavePlan(ctx, &rolecatalog.PlanRecord{CVR: CVR, ID: "largelarge", CreatedAt: Noon, Document: []byte("kort")}))
	got, err = f.Plan(ctx, CVR, "largelarge")
	check(t, err)
	if string(got.Document) != "kort" {
		t.Errorf("%d bytes are left", len(got.Document))
	}
}

func prune(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	save := func(id string, change ...func(*rolecatalog.PlanRecord)) {
		t.Helper()
		p := &rolecatalog.PlanRecord{CVR: CVR, ID: id, Status: rolecatalog.PlanComputed, CreatedAt: Noon, Document: []byte(id)}
		for _, do := range change {
			do(p)
		}
		check(t, f.SavePlan(ctx, p))
	}
	save("old")
	save("new", func(p *rolecatalog.PlanRecord) { p.CreatedAt = Noon.Add(time.Hour) })
	save("approved", func(p *rolecatalog.PlanRecord) { p.Status, p.ApprovedAt = rolecatalog.PlanApproved, at(0) })
	save("used", func(p *rolecatalog.PlanRecord) {
		p.Status, p.ApprovedAt, p.ReleaseUsed = rolecatalog.PlanApplied, at(0), true
	})
	save("quarantine")
	save("running")
	save("other", func(p *rolecatalog.PlanRecord) { p.CVR = OtherCVR })
	f.commit(t, &rolecatalog.Changes{State: func(s *rolecatalog.State) { s.QuarantinePlan = "quarantine" }, Audit: []rolecatalog.AuditEvent{{Plan: "old"}}})
	for _, plan := range []string{"running", "", "late"} {
		r := &scheduler.Run{CVR: CVR, Job: scheduler.JobApply, Plan: plan, StartedAt: Noon}
		if plan == "late" {
			r.StartedAt = Noon.Add(time.Hour)
		}
		check(t, f.StartRun(ctx, r))
		if plan != "running" {
			r.Outcome, r.FinishedAt = scheduler.OK, at(time.Minute)
			check(t, f.FinishRun(ctx, r))
		}
	}
	n, err := f.Prune(ctx, CVR, Noon.Add(time.Second), Noon.Add(time.Second))
	check(t, err)
	if n != 3 {
		t.Errorf("%d rows went, want 3", n)
	}
	left, err := f.Plans(ctx, CVR, 0)
	check(t, err)
	var ids []string
	for _, p := range left {
		ids = append(ids, p.ID)
	}
	same(t, "plans left", ids, []string{"new", "approved", "quarantine", "running"})
	others, err := f.Plans(ctx, OtherCVR, 0)
	check(t, err)
	runs, err := f.Runs(ctx, CVR, "", 0)
	check(t, err)
	if len(others) != 1 || len(runs) != 2 {
		t.Errorf("%d plans of the other organisation, %d runs", len(others), len(runs))
	}
	n, err = f.VerifyAudit(ctx)
	check(t, err)
	if n != 1 {
		t.Errorf("%d audit events", n)
	}
}

func audit(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	events := []rolecatalog.AuditEvent{
		{At: Noon, Actor: "Åse", Action: rolecatalog.AuditAdd, Identity: "i1", User: "u1", Role: "r", ScopeType: "PU", ScopeValue: "1", Reason: "x", Plan: "p", Run: 7, Outcome: rolecatalog.OutcomeDone, Detail: "d"},
		{At: Noon.Add(time.Second), Action: rolecatalog.AuditRemove, Identity: "i2", Plan: "p"},
		{At: Noon.Add(2 * time.Second), Action: rolecatalog.AuditUser, User: "u1"},
	}
	f.commit(t, &rolecatalog.Changes{Audit: events})
	f.commit(t, &rolecatalog.Changes{CVR: OtherCVR, Audit: []rolecatalog.AuditEvent{{At: Noon, Action: rolecatalog.AuditUser}}})
	for name, c := range map[string]struct {
		filter rolecatalog.AuditFilter
		want   []uint64
	}{
		"all":      {rolecatalog.AuditFilter{}, []uint64{4, 3, 2, 1}},
		"CVR":      {rolecatalog.AuditFilter{CVR: CVR}, []uint64{3, 2, 1}},
		"identity": {rolecatalog.AuditFilter{Identity: "i2"}, []uint64{2}},
		"user":     {rolecatalog.AuditFilter{User: "u1"}, []uint64{3, 1}},
		"plan":     {rolecatalog.AuditFilter{Plan: "p", Limit: 1}, []uint64{2}},
		"actions":  {rolecatalog.AuditFilter{Actions: []string{rolecatalog.AuditAdd, rolecatalog.AuditRemove}}, []uint64{2, 1}},
		"since":    {rolecatalog.AuditFilter{CVR: CVR, Since: Noon.Add(time.Second)}, []uint64{3, 2}},
		"before":   {rolecatalog.AuditFilter{BeforeID: 3}, []uint64{2, 1}},
	} {
		found, err := f.Audit(ctx, c.filter)
		check(t, err)
		var ids []uint64
		for _, e := range found {
			ids = append(ids, e.ID)
		}
		same(t, name, ids, c.want)
	}
	found, err := f.Audit(ctx, rolecatalog.AuditFilter{BeforeID: 2})
	check(t, err)
	same(t, "an event", found[0], events[0])
	// The same on every database, for ever: an exported trail can be checked without this program.
	if want := "39da453c2d75bb35f038b54bafd97219d8216b63405aca42a3638ee54d92421f"; found[0].Hash != want {
		t.Errorf("the hash is %s, want %s", found[0].Hash, want)
	}
}

func auditConcurrent(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	const writers, each = 16, 8
	check(t, together(writers, func(i int) error {
		for j := range each {
			err := f.Commit(ctx, &rolecatalog.Changes{
				CVR:   CVR,
				Users: []*rolecatalog.User{{DomainID: 1, UserID: fmt.Sprintf("%d-%d", i, j)}},
				Audit: []rolecatalog.AuditEvent{{Action: rolecatalog.AuditUser, User: fmt.Sprint(i)}, {Action: rolecatalog.AuditUser, Detail: fmt.Sprint(j)}},
			})
			if err != nil {
				return err
			}
			if _, err := f.Users(ctx, rolecatalog.UserFilter{Limit: 3}); err != nil {
				return err
			}
		}
		return nil
	}))
	n, err := f.VerifyAudit(ctx)
	check(t, err)
	if n != writers*each*2 {
		t.Errorf("%d events, want %d", n, writers*each*2)
	}
}

func removals(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	event := func(role, outcome string, at time.Time) rolecatalog.AuditEvent {
		return rolecatalog.AuditEvent{Action: rolecatalog.AuditRemove, Role: role, Outcome: outcome, At: at}
	}
	old, in, done, failed := Noon.Add(-time.Second), rolecatalog.OutcomeIntended, rolecatalog.OutcomeDone, rolecatalog.OutcomeFailed
	add := event("r1", in, Noon)
	add.Action = rolecatalog.AuditAdd
	f.commit(t, &rolecatalog.Changes{Audit: []rolecatalog.AuditEvent{
		event("r1", in, Noon), event("r1", done, Noon), event("r1", in, Noon), event("r1", rolecatalog.OutcomeUnknown, Noon), event("r1", in, old),
		event("r2", in, Noon), event("r2", failed, Noon), event("r3", failed, Noon), event("r4", in, Noon), add,
	}})
	// What a person approved doesn't count, once the approval is used; an approval that waits changes nothing.
	for id, used := range map[string]bool{"used01": true, "waits1": false} {
		check(t, f.SavePlan(t.Context(), &rolecatalog.PlanRecord{
			CVR: CVR, ID: id, Effect: id, Status: rolecatalog.PlanApproved, CreatedAt: Noon, ApprovedAt: at(0), ApprovedBy: "K", ReleaseUsed: used,
		}))
		e := event("r4", in, Noon)
		e.Plan = id
		f.commit(t, &rolecatalog.Changes{Audit: []rolecatalog.AuditEvent{e}})
	}
	total, byRole, err := f.RemovalsSince(t.Context(), CVR, Noon)
	check(t, err)
	same(t, "by role", byRole, map[string]int{"r1": 2, "r4": 2})
	if total != 4 {
		t.Errorf("total %d", total)
	}
}

func leases(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	_, ok, err := f.CurrentLease(ctx, "writer")
	check(t, err)
	if ok {
		t.Error("a lease that nobody has held")
	}
	a, err := f.AcquireLease(ctx, "writer", "a", Noon, time.Minute)
	check(t, err)
	same(t, "the first", a, scheduler.Lease{Name: "writer", Owner: "a", Token: 1, AcquiredAt: Noon, ExpiresAt: Noon.Add(time.Minute)})
	held, err := f.AcquireLease(ctx, "writer", "b", Noon.Add(time.Minute-time.Microsecond), time.Minute)
	is(t, err, scheduler.ErrHeld)
	same(t, "the holder", held, a)
	a2, err := f.AcquireLease(ctx, "writer", "a", Noon.Add(30*time.Second), time.Minute)
	check(t, err)
	if a2.Token != 1 || !a2.AcquiredAt.Equal(Noon) || !a2.ExpiresAt.Equal(Noon.Add(90*time.Second)) {
		t.Errorf("extended: %+v", a2)
	}
	a3, err := f.RenewLease(ctx, a, Noon.Add(time.Minute), time.Minute)
	check(t, err)
	stored, ok, err := f.CurrentLease(ctx, "writer")
	check(t, err)
	same(t, "as stored", stored, a3)
	if !ok || !a3.ExpiresAt.Equal(Noon.Add(2*time.Minute)) {
		t.Errorf("renewed: %+v", a3)
	}
	b, err := f.AcquireLease(ctx, "writer", "b", Noon.Add(2*time.Minute), time.Minute) // expired at this moment
	check(t, err)
	if b.Token != 2 || b.Owner != "b" || !b.AcquiredAt.Equal(Noon.Add(2*time.Minute)) {
		t.Errorf("taken over: %+v", b)
	}
	_, err = f.RenewLease(ctx, a3, Noon, time.Minute)
	is(t, err, scheduler.ErrLost)
	check(t, f.ReleaseLease(ctx, a3)) // not a's any more: no effect
	_, err = f.AcquireLease(ctx, "writer", "a", Noon.Add(2*time.Minute), time.Minute)
	is(t, err, scheduler.ErrHeld)
	check(t, f.ReleaseLease(ctx, b))
	_, err = f.RenewLease(ctx, b, Noon, time.Minute)
	is(t, err, scheduler.ErrLost)
	again, err := f.AcquireLease(ctx, "writer", "b", Noon.Add(2*time.Minute), time.Minute)
	check(t, err)
	if again.Token != 3 {
		t.Errorf("the token after a release is %d", again.Token)
	}
	_, err = f.AcquireLease(ctx, "other", "c", Noon, time.Minute)
	check(t, err)
	_, err = f.RenewLease(ctx, scheduler.Lease{Name: "never"}, Noon, time.Minute)
	is(t, err, scheduler.ErrLost)
	_, err = f.AcquireLease(ctx, "writer", "", Noon, time.Minute)
	is(t, err, store.ErrInvalid)
}

func leasesConcurrent(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	won := make([]bool, 16)
	check(t, together(len(won), func(i int) error {
		_, err := f.AcquireLease(ctx, "writer", fmt.Sprint(i), Noon, time.Minute)
		if errors.Is(err, scheduler.ErrHeld) {
			return nil
		}
		won[i] = err == nil
		return err
	}))
	n := 0
	for _, w := range won {
		if w {
			n++
		}
	}
	l, _, err := f.CurrentLease(ctx, "writer")
	check(t, err)
	if n != 1 || l.Token != 1 {
		t.Errorf("%d have it, token %d", n, l.Token)
	}
}

func fence(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	changes := func(token uint64) *rolecatalog.Changes {
		return &rolecatalog.Changes{CVR: CVR, Fence: &rolecatalog.Fence{Name: "writer", Token: token}, Audit: []rolecatalog.AuditEvent{{Action: "x"}}}
	}
	is(t, f.Commit(ctx, changes(1)), rolecatalog.ErrFenced)
	a, err := f.AcquireLease(ctx, "writer", "a", Noon, time.Minute)
	check(t, err)
	check(t, f.Commit(ctx, changes(a.Token)))
	b, err := f.AcquireLease(ctx, "writer", "b", Noon.Add(time.Hour), time.Minute)
	check(t, err)
	is(t, f.Commit(ctx, changes(a.Token)), rolecatalog.ErrFenced)
	check(t, f.Commit(ctx, changes(b.Token)))
	n, err := f.VerifyAudit(ctx)
	check(t, err)
	if n != 2 {
		t.Errorf("%d events", n)
	}
}

func runs(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	r := &scheduler.Run{CVR: CVR, Job: scheduler.JobReconcile, Trigger: "schedule", Owner: "a", DryRun: true, StartedAt: Noon}
	check(t, f.StartRun(ctx, r))
	if r.ID != 1 || r.Outcome != scheduler.Running {
		t.Errorf("started: %+v", r)
	}
	_, ok, err := f.LastRun(ctx, CVR, scheduler.JobReconcile)
	check(t, err)
	if ok {
		t.Error("an unfinished run is the last")
	}
	r.Outcome, r.FinishedAt, r.Counts, r.Plan, r.Error = scheduler.Partly, at(time.Minute), map[string]int{"adds": 3, "ø": -1}, "p", "fejl"
	check(t, f.FinishRun(ctx, r))
	second := &scheduler.Run{CVR: CVR, Job: scheduler.JobReconcile, StartedAt: Noon.Add(time.Hour)}
	check(t, f.StartRun(ctx, second))
	second.Outcome, second.FinishedAt = scheduler.OK, at(2*time.Hour)
	check(t, f.FinishRun(ctx, second))
	check(t, f.StartRun(ctx, &scheduler.Run{CVR: CVR, Job: scheduler.JobCatalogue}))
	check(t, f.StartRun(ctx, &scheduler.Run{CVR: OtherCVR, Job: scheduler.JobCatalogue}))
	all, err := f.Runs(ctx, CVR, "", 2)
	check(t, err)
	if len(all) != 2 || all[0].Job != scheduler.JobCatalogue || all[1].ID != second.ID {
		t.Errorf("runs: %+v", all)
	}
	all, err = f.Runs(ctx, CVR, scheduler.JobReconcile, 0)
	check(t, err)
	same(t, "as stored", all, []scheduler.Run{*second, *r}, cmpopts.EquateEmpty())
	last, ok, err := f.LastRun(ctx, CVR, scheduler.JobReconcile, scheduler.Partly, scheduler.Failed)
	check(t, err)
	if !ok || last.ID != r.ID {
		t.Errorf("the last with failures: %+v", last)
	}
	is(t, f.FinishRun(ctx, &scheduler.Run{ID: 99}), rolecatalog.ErrNotFound)
}

func interruptedRuns(t *testing.T, f *fixture) { //nolint:thelper // a test: its own lines are to be named
	ctx := t.Context()
	_, err := f.AcquireLease(ctx, "writer", "me", Noon, time.Minute)
	check(t, err)
	_, err = f.AcquireLease(ctx, "second", "alive", Noon, time.Minute)
	check(t, err)
	_, err = f.AcquireLease(ctx, "third", "expired", Noon.Add(-time.Hour), time.Minute)
	check(t, err)
	var mine uint64
	for _, owner := range []string{"me", "alive", "expired", "unknown", "me"} {
		r := &scheduler.Run{CVR: CVR, Job: scheduler.JobReconcile, Owner: owner, StartedAt: Noon}
		check(t, f.StartRun(ctx, r))
		mine = r.ID
	}
	n, err := f.InterruptRuns(ctx, CVR, mine, Noon)
	check(t, err)
	all, err := f.Runs(ctx, CVR, "", 0)
	check(t, err)
	got := map[string]scheduler.Outcome{}
	for _, r := range all[1:] {
		got[r.Owner] = r.Outcome
	}
	same(t, "outcomes", got, map[string]scheduler.Outcome{"me": scheduler.Interrupted, "alive": scheduler.Running, "expired": scheduler.Interrupted, "unknown": scheduler.Interrupted})
	if n != 3 || all[0].Outcome != scheduler.Running || all[1].FinishedAt != nil && !all[1].FinishedAt.Equal(Noon) {
		t.Errorf("%d marked; %+v", n, all[0])
	}
}
